"""Who ordered: the order's requester -> the roles that policies ask about. Pure; says nothing of what a role may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cds_service.fhir.codings import NUCC, canonical_system, codings_of
from cds_service.fhir.record import Record
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference

Resource = Mapping[str, Any]

# R4: what the order types call the person who orders
_ELEMENTS = ("requester", "orderer", "prescriber")


def requester_of(order: Resource, record: Record) -> dict[str, Any] | None:
    """The view of an order's requester: `role` (CodeableConcepts) and `reference`; None where none is named.

    Roles come from PractitionerRole.code, from those codings of its specialty that are provider taxonomy (NUCC is
    asked for there too), and from Practitioner.qualification. Without a readable resource there is no role.
    """
    named = next((order[element] for element in _ELEMENTS if isinstance(order.get(element), Mapping)), None)
    if named is None:
        return None
    found = record.resolve(named, within=order)
    reference = literal_reference(named)
    if reference is None or reference.startswith("#"):
        reference = own_reference(found) if found is not None else None
    view: dict[str, Any] = {"role": list(_roles(found, record, order)) if found is not None else []}
    if reference is not None:
        view["reference"] = reference
    return view


def _roles(found: Resource, record: Record, order: Resource) -> Iterator[Mapping[str, Any]]:
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
