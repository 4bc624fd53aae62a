"""What the EHR is asked to send with a call, and which key carries which type. Pure; fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

# The hook of a call that is read from a file
HOOK = "order-sign"
# How many cards are sent where a call does not say
DEFAULT_MAX_CARDS = 10

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


def templates(types_needed: Iterable[str], hook: str = "order-sign") -> dict[str, str]:
    """Prefetch templates of a hook by key: its own, then one search for each type that policies read."""
    found = dict(_TEMPLATES)
    for resource_type in sorted(_OF_PATIENT.intersection(types_needed)):
        key = resource_type[0].lower() + resource_type[1:] + "s"
        found[key] = f"{resource_type}?patient={{{{context.patientId}}}}"
    return found
