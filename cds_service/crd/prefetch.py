"""What the EHR is asked to send with a call, and which key carries which type. Pure; fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

# The service that answers (contract, Service ids), and the CRD versions that it renders
SERVICE_ID, HOOK = "order-sign-crd", "order-sign"
VERSIONS = ("2.2",)

# CRD card types (CodeSystem cdshooks-card-type) that a call can switch off, and `max-cards`
DEFAULT_MAX_CARDS = 10
_MAX_CARDS = "At most this many cards, the most useful ones."
_SWITCHES = (
    ("coverage-info", "Coverage Information", "Write what the payer wants to know and to see on each order."),
    ("guideline", "Guidelines", "Say which criteria of the payer's policy are met, not met or still open."),
    ("claim", "Claim", "Suggest changes to an order, or further orders, that the payer's policy asks for."),
    ("clinical-reminder", "Clinical Reminders", "Give the notes of the payer's policy that ask no action."),
)

# In the subset of search that CDS Hooks 2.0 recommends (Prefetch query restrictions). The first three are
# CRD's own expressions; the requester is looked for behind the user who signs.
_TEMPLATES = {
    "patient": "Patient/{{context.patientId}}",
    "encounter": "Encounter/{{context.encounterId}}",
    "coverage": "Coverage?patient={{context.patientId}}&status=active",
    "practitioner": "Practitioner/{{userPractitionerId}}",
    "practitionerRole": "PractitionerRole/{{userPractitionerRoleId}}",
    "practitionerRoles": "PractitionerRole?practitioner={{userPractitionerId}}",
}
# R4: types with a `patient` search parameter that a policy may read
_OF_PATIENT = frozenset(
    {
        "AllergyIntolerance",
        "Condition",
        "Device",
        "DeviceRequest",
        "DiagnosticReport",
        "DocumentReference",
        "Immunization",
        "MedicationAdministration",
        "MedicationRequest",
        "MedicationStatement",
        "NutritionOrder",
        "Observation",
        "Procedure",
        "QuestionnaireResponse",
        "ServiceRequest",
    }
)


class NeedsTypes(Protocol):
    """What discovery reads of a catalogue."""

    @property
    def types_needed(self) -> Iterable[str]: ...


def type_of(key: str) -> str:
    """The resource type that a prefetch key stands for: `conditions` -> Condition, `patient` -> Patient."""
    return key[:1].upper() + key[1:].removesuffix("s")


def templates(types_needed: Iterable[str]) -> dict[str, str]:
    """Prefetch templates by key: the hook's own, then one search for each type that policies read."""
    found = dict(_TEMPLATES)
    for resource_type in sorted(_OF_PATIENT.intersection(types_needed)):
        key = resource_type[0].lower() + resource_type[1:] + "s"
        found[key] = f"{resource_type}?patient={{{{context.patientId}}}}"
    return found


def discovery(catalogue: NeedsTypes) -> dict[str, Any]:
    """The discovery document: one service, its prefetch, CRD versions and configuration options.

    Source: CDS Hooks 2.0, Discovery; CRD 2.2, deviations page (configuration options, version indicator).
    """
    service = {
        "hook": HOOK,
        "id": SERVICE_ID,
        "title": "Prior authorization of orders being signed",
        "description": (
            "Says for each order whether the payer wants prior authorization, which criteria of its policy "
            "the chart meets, and which documents are missing."
        ),
        "usageRequirements": (
            "Answers from what the call carries: what prefetch does not bring is unknown, and never a no."
        ),
        "prefetch": templates(catalogue.types_needed),
        "extension": {
            "davinci-crd.version": list(VERSIONS),
            "davinci-crd.configuration-options": [
                *(_option(code, "boolean", name, description, True) for code, name, description in _SWITCHES),
                _option("max-cards", "integer", "Maximum cards", _MAX_CARDS, DEFAULT_MAX_CARDS),
            ],
        },
    }
    return {"services": [service]}


def _option(code: str, kind: str, name: str, description: str, default: object) -> dict[str, Any]:
    return {"code": code, "type": kind, "name": name, "description": description, "default": default}
