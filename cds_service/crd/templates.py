"""The prefetch templates of each hook, and which key shows that a type was looked up. Pure; fetches nothing.

CRD 2.2's standard expressions as they stand (found-26 to found-29), those of CDS Hooks 2.0 beside them for an EHR that
does not know the newer tokens, and one search for each type that policies read. The order counts: a `%key` names an
earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable

# R4: types with a `patient` search parameter that a policy may read
OF_PATIENT = frozenset(
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

# What a search of a type says beside the patient: of responses those that were finished, or taken back since
NARROWED = {"QuestionnaireResponse": (("status", "completed,amended,entered-in-error"),)}

_EVERY_HOOK = {
    "patient": "Patient/{{context.patientId}}",
    "encounter": "Encounter/{{context.encounterId}}",
    "coverage": "Coverage?patient={{context.patientId}}&status=active",
}
# of CDS Hooks 2.0: who is at the screen; and of ours, in the tokens of 3.0: the payer's name behind a bare reference
_USER = {
    "practitioner": "Practitioner/{{userPractitionerId}}",
    "practitionerRole": "PractitionerRole/{{userPractitionerRoleId}}",
    "userRoles": "PractitionerRole?practitioner={{userPractitionerId}}",
}
_PAYORS = {"payors": "Organization?_id={{%coverage.entry.resource.payor.resolve().ofType(Organization).id}}"}

# The payer's answers to requests for authorization, and the requests. R4 cannot search ExplanationOfBenefit by its
# use: to ask for the authorizations among them would be to ask for every claim that the patient ever had
_AUTHORIZATIONS = {
    "claimResponses": "ClaimResponse?patient={{context.patientId}}&use=preauthorization",
    "claims": "Claim?patient={{context.patientId}}&use=preauthorization",
}

_DRAFT = "context.draftOrders.entry.resource"
_PEOPLE = ("sender", "recipient", "requester", "performer", "orderer", "prescriber")
_DISPATCHED = (
    "CommunicationRequest",
    "DeviceRequest",
    "MedicationRequest",
    "NutritionOrder",
    "ServiceRequest",
    "VisionPrescription",
)
_DISPATCHED_PEOPLE = (
    *(f"%communicationRequests.entry.resource.{one}" for one in ("sender", "recipient", "requester")),
    *(f"%{key}.entry.resource.{one}" for key in ("deviceRequests", "medicationRequests", "serviceRequests")
      for one in ("performer", "requester")),
    "%nutritionOrders.entry.resource.orderer",
    "%visionPrescriptions.entry.resource.prescriber",
)  # fmt: skip
_BOOKED = "context.appointments.entry.resource.basedOn"
_ALTERNATE = f"{_BOOKED}.extension('http://hl7.org/fhir/StructureDefinition/alternate-reference').value"
_BOOKED_PEOPLE = (
    "context.appointments.entry.resource.participant.actor",
    *(f"%{key}.entry.resource.{one}" for key in ("deviceRequests", "medicationRequests", "serviceRequests")
      for one in ("performer", "requester")),
)  # fmt: skip


def _by_id(resource_type: str, *paths: str) -> str:
    return f"{resource_type}?_id={{{{{'|'.join(paths)}}}}}"


def _people(paths: Iterable[str]) -> dict[str, str]:
    paths = tuple(paths)

    def of(kind: str) -> list[str]:
        named = ("%encounter.participant.individual", *paths)
        return [f"{one}.resolve().ofType({kind}).id" for one in named]

    roles = "%practitionerRoles.entry.resource.practitioner.resolve().id"
    return {
        "practitionerRoles": _by_id("PractitionerRole", *of("PractitionerRole")),
        "practitioners": _by_id("Practitioner", roles, *of("Practitioner")),
    }


def _places(organizations: Iterable[str], locations: Iterable[str]) -> dict[str, str]:
    return {
        "organizations": _by_id(
            "Organization",
            "%practitionerRoles.entry.resource.organization.resolve().id",
            "%encounter.serviceProvider.resolve().ofType(Organization).id",
            *organizations,
        ),
        "locations": _by_id(
            "Location",
            "%practitionerRoles.entry.resource.location.resolve().id",
            "%encounter.location.location.resolve().id",
            *locations,
        ),
    }


def _plural(resource_type: str) -> str:
    return resource_type[0].lower() + resource_type[1:] + "s"


_OF_DRAFTS = {
    "devices": _by_id("Device", f"{_DRAFT}.ofType(DeviceRequest).code.resolve().id"),
    "medications": _by_id("Medication", f"{_DRAFT}.ofType(MedicationRequest).medication.resolve().id"),
    **_people(f"{_DRAFT}.{one}" for one in _PEOPLE),
    **_places(
        (
            f"{_DRAFT}.dispenseRequest.performer.resolve().id",
            *(f"{_DRAFT}.{one}.resolve().ofType(Organization).id" for one in ("sender", "recipient", "performer")),
        ),
        (f"{_DRAFT}.locationReference.resolve().id",),
    ),
}
_OF_ORDERS = {
    "devices": _by_id("Device", "%deviceRequests.entry.resource.code.resolve().id"),
    "medications": _by_id("Medication", "%medicationRequests.entry.resource.medication.resolve().id"),
}
_OF_HOOK: dict[str, dict[str, str]] = {
    "order-sign": _OF_DRAFTS,
    "order-select": _OF_DRAFTS,
    "order-dispatch": {
        **{
            _plural(one): _by_id(one, f"context.dispatchedOrders.resolve().ofType({one}).id") for one in _DISPATCHED
        },
        **_OF_ORDERS,
        **_people(_DISPATCHED_PEOPLE),
        **_places(
            (
                "%communicationRequests.entry.resource.recipient.resolve().ofType(Organization).id",
                "%communicationRequests.entry.resource.sender.resolve().ofType(Organization).id",
                "%medicationRequests.entry.resource.dispenseRequest.performer.resolve().id",
                "%serviceRequests.entry.resource.performer.resolve().ofType(Organization).id",
            ),
            ("%serviceRequests.entry.resource.locationReference.resolve().id",),
        ),
    },
    "appointment-book": {
        "deviceRequests": _by_id("DeviceRequest", f"{_ALTERNATE}.resolve().ofType(DeviceRequest).id"),
        "serviceRequests": _by_id("ServiceRequest", f"{_BOOKED}.resolve().ofType(ServiceRequest).id"),
        "medicationRequests": _by_id("MedicationRequest", f"{_ALTERNATE}.resolve().ofType(MedicationRequest).id"),
        **_OF_ORDERS,
        **_people(_BOOKED_PEOPLE),
        **_places(
            (
                "%medicationRequests.entry.resource.dispenseRequest.performer.resolve().ofType(Organization).id",
                "%serviceRequests.entry.resource.performer.resolve().ofType(Organization).id",
            ),
            (
                "context.appointments.entry.resource.participant.actor.resolve().ofType(Location).id",
                "%serviceRequests.entry.resource.locationReference.resolve().ofType(Location).id",
            ),
        ),
    },
}  # fmt: skip
_OF_ENCOUNTER = {**_people(()), **_places((), ())}


def templates(types_needed: Iterable[str], hook: str = "order-sign") -> dict[str, str]:
    """Prefetch templates of a hook by key: CRD's own, the user's, then one search for each type that policies read."""
    standard = _OF_HOOK.get(hook, _OF_ENCOUNTER)
    found = {**_EVERY_HOOK, **_USER, **_PAYORS, **standard}
    for resource_type in sorted(OF_PATIENT.intersection(types_needed)):
        key = _plural(resource_type)
        if key in standard:
            # there the key asks for certain ones by id, which is not all that the patient has
            key = "patient" + key[0].upper() + key[1:]
        narrowed = "".join(f"&{name}={value}" for name, value in NARROWED.get(resource_type, ()))
        found[key] = f"{resource_type}?patient={{{{context.patientId}}}}{narrowed}"
    return found | _AUTHORIZATIONS


def searched_type(key: str, hook: str) -> str | None:
    """The type that a key of prefetch looks up for the patient; None for one that names resources by their ids.

    A name that is none of ours is read as ours are: `conditions` stands for Condition.
    """
    if key in _USER or key in _PAYORS or key in _OF_HOOK.get(hook, _OF_ENCOUNTER):
        return None
    if key.startswith("patient") and key[7:8].isupper():
        key = key[7:]
    return key[:1].upper() + key[1:].removesuffix("s")
