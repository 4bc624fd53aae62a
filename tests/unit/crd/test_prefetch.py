"""What discovery asks the EHR for, and that we can read back what we asked."""

from __future__ import annotations

from cds_service.crd.discovery import discovery
from tests.fakes import FakeCatalogue

SERVICE = discovery(FakeCatalogue(types_needed=frozenset({"Condition", "DeviceRequest", "Location", "Patient"})))[
    "services"
][0]


def test_a_type_that_no_policy_reads_is_not_asked_for() -> None:
    assert "observations" not in SERVICE["prefetch"]


def test_crds_own_expressions_are_used_as_they_stand() -> None:
    assert SERVICE["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert SERVICE["prefetch"]["encounter"] == "Encounter/{{context.encounterId}}"
    assert SERVICE["prefetch"]["coverage"] == "Coverage?patient={{context.patientId}}&status=active"
