"""Who ordered: the order's requester -> what policies ask of them. Pure; says nothing of what a role may do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cds_service.fhir.codings import NPI, NUCC, canonical_system, codings_of
from cds_service.fhir.record import Record
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference, reference_key

Resource = Mapping[str, Any]

# R4: what the order types call the person who orders
_ELEMENTS = ("requester", "orderer", "prescriber")


def requester_of(order: Resource, record: Record) -> dict[str, Any] | None:
    """The view of an order's requester: `role` (CodeableConcepts), `reference` and `generalPractitioner`; None where
    none is named.

    Roles come from PractitionerRole.code, from those codings of its specialty that are provider taxonomy (NUCC is
    asked for there too), and from Practitioner.qualification. Without a readable resource there is no role.
    `generalPractitioner` is true where the Patient names this person as one, and absent where that is not shown.
    """
    named = next((order[element] for element in _ELEMENTS if isinstance(order.get(element), Mapping)), None)
    if named is None:
        return None
    found = record.resolve(named, within=order)
    reference = literal_reference(named)
    if reference is None or reference.startswith("#"):
        reference = own_reference(found) if found is not None else None
    view: dict[str, Any] = {"role": list(roles_of(found, record, order)) if found is not None else []}
    if reference is not None:
        view["reference"] = reference
    if _known_by(named, record, order) & _general_practitioners(record):
        view["generalPractitioner"] = True
    return view


def _general_practitioners(record: Record) -> set[str]:
    """Everything by which the people can be known that Patient.generalPractitioner names."""
    patient = record.patient
    named = objects_in(patient.get("generalPractitioner")) if patient is not None else ()
    return {key for one in named for key in _known_by(one, record, patient or {})}


def _known_by(reference: Mapping[str, Any], record: Record, within: Resource) -> set[str]:
    """The keys of the person behind a Reference: its own, that of the Practitioner in a role, and their identifiers.

    An organisation is no person: a clinic that is named as general practitioner does not make everybody in it one.
    """
    found = record.resolve(reference, within=within)
    keys = set(_reference_keys(reference, record))
    for resource in (found, record.resolve(found.get("practitioner"), within=within) if found is not None else None):
        if resource is not None and resource.get("resourceType") in _PEOPLE:
            keys |= set(_identifier_keys(objects_in(resource.get("identifier"))))
            if not _is_contained(resource, within):
                keys.add(own_reference(resource))
    if found is not None and found.get("resourceType") == "PractitionerRole":
        keys |= set(_reference_keys(found.get("practitioner"), record))
    return {key for key in keys if key.startswith(_PERSON_KEYS)}


def _is_contained(resource: Resource, within: Resource) -> bool:
    # its id holds inside that resource alone: `#gp` of two resources may be two people
    return any(one is resource for one in objects_in(within.get("contained")))


_PEOPLE = ("Practitioner", "PractitionerRole")
_PERSON_KEYS = ("Practitioner/", "PractitionerRole/", "|")


def _reference_keys(reference: Any, record: Record) -> Iterator[str]:
    text = literal_reference(reference)
    key = reference_key(text, record.base) if text is not None else None
    if key is not None:
        yield key
    if isinstance(reference, dict):
        yield from _identifier_keys(objects_in([reference.get("identifier")]))


def _identifier_keys(identifiers: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for one in identifiers:
        system, value = one.get("system"), one.get("value")
        # only a number of a person's own, given out by nobody twice
        if isinstance(system, str) and isinstance(value, str) and canonical_system(system) == NPI and value.strip():
            yield f"|{value.strip()}"


def roles_of(found: Resource, record: Record, order: Resource) -> Iterator[Mapping[str, Any]]:
    """The roles of a Practitioner or PractitionerRole, as CodeableConcepts."""
    if found.get("resourceType") == "PractitionerRole":
        yield from _of_role(found)
        practitioner = record.resolve(found.get("practitioner"), within=order)
        if practitioner is not None:
            yield from _of_practitioner(practitioner)
    elif found.get("resourceType") == "Practitioner":
        yield from _of_practitioner(found)
        for role in record.of_type("PractitionerRole"):
            # a role that was given up says nothing of who orders today
            if role.get("active") is not False and record.resolve(role.get("practitioner")) is found:
                yield from _of_role(role)


def _of_role(role: Resource) -> Iterator[Mapping[str, Any]]:
    yield from objects_in(role.get("code"))
    for specialty in objects_in(role.get("specialty")):
        # a specialty is no role (cardiology is not a physician), but a taxonomy code names the kind of provider
        taxonomy = [one for one in codings_of(specialty) if _is_nucc(one)]
        if taxonomy:
            yield {"coding": taxonomy}


def _of_practitioner(practitioner: Resource) -> Iterator[Mapping[str, Any]]:
    for qualification in objects_in(practitioner.get("qualification")):
        yield from objects_in(qualification.get("code"))


def _is_nucc(coding: Mapping[str, Any]) -> bool:
    system = coding.get("system")
    return isinstance(system, str) and canonical_system(system) == NUCC
