"""CDS Hooks and CRD: hook request in, hook response out. Pure; knows policies by their determinations."""
