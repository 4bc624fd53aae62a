"""Why a clinician sets a card aside: a few general reasons, offered on cards and served as a CodeSystem. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BASE = "https://cds-service.example.org/fhir"
SYSTEM = f"{_BASE}/CodeSystem/card-override-reason"

# Few: who sets a card aside has seconds for it. Each tells the payer something else to mend
_DISPLAYS: Mapping[str, str] = {
    "not-for-this-patient": "Not right for this patient",
    "patient-declined": "The patient wants something else",
    "already-done": "Done already, or on file elsewhere",
    "record-is-wrong": "What the card rests on is wrong or out of date",
    "later": "Not now: will be seen to later, or by someone else",
}


def override_reasons() -> list[dict[str, str]]:
    """CDS Hooks 2.0, overrideReasons: Codings, each with its display."""
    return [{"code": code, "system": SYSTEM, "display": display} for code, display in _DISPLAYS.items()]


def display_of(system: str, code: str) -> str | None:
    """What one of these reasons says; None for a reason of somebody else's."""
    return _DISPLAYS.get(code) if system == SYSTEM else None


def code_system() -> dict[str, Any]:
    return {
        "resourceType": "CodeSystem",
        "id": "card-override-reason",
        "url": SYSTEM,
        "version": "1",
        "name": "CardOverrideReason",
        "title": "Why a card was set aside",
        "status": "active",
        "experimental": False,
        "description": "The reasons that cards of this service offer for setting them aside.",
        "caseSensitive": True,
        "content": "complete",
        "count": len(_DISPLAYS),
        "concept": [{"code": code, "display": display} for code, display in _DISPLAYS.items()],
    }
