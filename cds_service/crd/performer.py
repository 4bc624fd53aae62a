"""Who is to carry out an order -> kind of provider and networks, for policies that ask. Pure; decides no coverage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from cds_service.crd.requester import roles_of
from cds_service.fhir.dates import parse_date
from cds_service.fhir.record import Record
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference
from cds_service.policy.payers import Payer, fold, says

Resource = Mapping[str, Any]

# Da Vinci PDex Plan-Net, StructureDefinition network-reference: on PractitionerRole, valueReference to a network
NETWORK_REFERENCE = "http://hl7.org/fhir/us/davinci-pdex-plan-net/StructureDefinition/network-reference"


# a name that says who is *not* in a network bears the payer's name all the same
_DENIALS = ("not", "non", "nonparticipating", "noncontracted", "out of network", "out of plan", "former", "terminated")


def performer_of(order: Resource, record: Record, payers: Sequence[Payer], on: date) -> dict[str, Any] | None:
    """The view of an order's performers: `named`, `reference`, `role` and `network` of all; None where none is named.

    `named` has each of them once, as what it is called here; a network's `performer` is the one whose it is. `role` is
    as of a requester, and the type of an Organization. A network has `reference`, `name`, and, where it or the
    Organization that it is part of goes by the name of a payer served here, that `payer` with the `programme`s that
    its name says. Which network another name stands for is not guessed; what ended before `on` does not count.
    """
    references = list(named_performers(order))
    if not references:
        return None
    named: dict[str, Resource] = {}
    for n, one in enumerate(references):
        found = record.resolve(one, within=order)
        named.setdefault(_called(one, found, n), found or {})
    held = [found for found in named.values() if found]
    stated = [text for one in references if (text := literal_reference(one)) is not None and not text.startswith("#")]
    return {
        "named": list(named),
        "reference": stated or [own_reference(one) for one in held],
        "role": [role for one in held for role in _roles(one, record, order)],
        "network": [
            {**_network(one, record, payers), "performer": name}
            for name, found in named.items()
            for one in _networks(found, record, on)
        ],
    }


def _called(reference: Mapping[str, Any], found: Resource | None, place: int) -> str:
    text = literal_reference(reference)
    if text is not None and text.startswith("#"):
        return text
    return own_reference(found) if found is not None else text or f"performer {place + 1}"


def named_performers(order: Resource) -> Iterator[Mapping[str, Any]]:
    """The References of an order to who is to carry it out."""
    yield from objects_in(order.get("performer"))
    for dispense in objects_in(order.get("dispenseRequest")):  # MedicationRequest: the intended dispenser
        yield from objects_in(dispense.get("performer"))


def _roles(found: Resource, record: Record, order: Resource) -> Iterator[Mapping[str, Any]]:
    yield from roles_of(found, record, order)
    organization = found
    if found.get("resourceType") == "PractitionerRole":
        organization = record.resolve(found.get("organization"), within=order) or {}
    if organization.get("resourceType") == "Organization":
        yield from objects_in(organization.get("type"))


def _networks(found: Resource, record: Record, on: date) -> Iterator[Mapping[str, Any]]:
    """References to the networks of a PractitionerRole, or of all active ones of a Practitioner."""
    roles = [found]
    if found.get("resourceType") == "Practitioner":
        roles = [one for one in record.of_type("PractitionerRole") if record.resolve(one.get("practitioner")) is found]
    for role in roles:
        if role.get("resourceType") == "PractitionerRole" and not _ended(role, on):
            yield from networks_of(role)


def networks_of(role: Resource) -> Iterator[Mapping[str, Any]]:
    """References to the networks of a PractitionerRole; none of a role that was given up."""
    for extension in objects_in(role.get("extension")) if role.get("active") is not False else ():
        if extension.get("url") == NETWORK_REFERENCE:
            yield from objects_in(extension.get("valueReference"))


def _ended(role: Resource, on: date) -> bool:
    period = role.get("period")
    end = period.get("end") if isinstance(period, dict) else None
    day = parse_date(end) if isinstance(end, str) else None
    return day is not None and day.last_day < on


def _network(reference: Mapping[str, Any], record: Record, payers: Sequence[Payer]) -> dict[str, Any]:
    network = record.resolve(reference) or {}
    owner_reference = objects_in(network.get("partOf"))
    owner = record.resolve(owner_reference[0]) if owner_reference else None
    names = [_text(reference.get("display")), _text(network.get("name"))]
    owners = [_text(one.get("display")) for one in owner_reference] + [_text((owner or {}).get("name"))]
    view: dict[str, Any] = {"reference": literal_reference(reference) or "Organization"}
    if any(names):
        view["name"] = next(filter(None, names))
    texts = [fold(one) for one in (*names, *owners) if one]
    denied = network.get("active") is False or any(says(text, word) for text in texts for word in _DENIALS)
    payer = None if denied else next((one for one in payers if _is_of(texts, one)), None)
    if payer is not None:
        view["payer"] = payer.id
        view["programme"] = [
            one.code
            for one in payer.programmes
            if any(says(text, w) for text in texts for w in one.words | one.aliases)
        ]
    return view


def _is_of(texts: Sequence[str], payer: Payer) -> bool:
    """Whether a network or its owner bears the name of a payer or of one of its programmes, with words about it."""
    names = payer.names | {name for one in payer.programmes for name in one.aliases}
    return any(says(text, name) for text in texts for name in names)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
