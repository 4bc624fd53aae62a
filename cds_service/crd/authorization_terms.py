"""Whom and how much an authorization is for, beside the order: what differs, and what one leaves unsaid. Pure.

Compared is what both state. That two references are one provider has to be seen: else they are two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cds_service.crd.pas import only_one, value_of
from cds_service.crd.performer import named_performers
from cds_service.fhir.record import Record
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference, reference_key

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much, and the word for its unit; "" where it counts pieces without saying so."""

    value: Decimal
    unit: str

    def __str__(self) -> str:
        return f"{self.value.normalize():f} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Terms:
    """The provider (a Reference of `within`) and the quantity of one authorized item, where they are stated."""

    within: Resource
    provider: Resource | None
    amount: Amount | None


def terms_of(answer: Resource, item: Resource, requested: Resource | None) -> Terms:
    """Da Vinci PAS, itemAuthorizedProvider and itemAuthorizedDetail; else the quantity of the item, or of what was
    asked for: certified in total is certified as asked."""
    provider = only_one(item, "extension-itemAuthorizedProvider")
    named = value_of(provider, "provider", "valueReference") if provider is not None else None
    detail = only_one(item, "extension-itemAuthorizedDetail")
    quantities = (
        value_of(detail, "quantity", "valueQuantity") if detail is not None else None,
        item.get("quantity"),
        (requested or {}).get("quantity"),
    )
    amounts = (_amount(one) for one in quantities if one is not None)
    return Terms(answer, named if isinstance(named, Mapping) else None, next(amounts, None))


def difference(terms: Terms, order: Resource, record: Record) -> str | None:
    """Why an authorization of these terms is not for this order; None where nothing says so."""
    given_to = _known_as(terms.provider, terms.within, record) if terms.provider is not None else frozenset()
    for one in named_performers(order):
        sent_to = _known_as(one, order, record)
        if given_to and sent_to and given_to.isdisjoint(sent_to):
            return "it was given to another provider than the one that the order goes to"
    wanted = _ordered(order)
    if terms.amount is None or wanted is None or wanted.unit != terms.amount.unit:
        return None
    return f"it is for {terms.amount}, and the order is for {wanted}" if wanted.value > terms.amount.value else None


def is_bound(terms: Terms, order: Resource) -> bool:
    """Whether another look at the order may find that it is not for it: whom it goes to, or how much, can change."""
    return terms.provider is not None or (terms.amount is not None and _ordered(order) is not None)


def unsaid(terms: Terms, order: Resource, record: Record) -> tuple[str, ...]:
    """What it is limited to and could not be held against the order."""
    return tuple(_unsaid(terms, order, record))


def _unsaid(terms: Terms, order: Resource, record: Record) -> Iterator[str]:
    if terms.provider is not None:
        performers = list(named_performers(order))
        if not performers:
            yield "It was given to one provider, and the order names none yet."
        elif not (
            _known_as(terms.provider, terms.within, record) and all(_known_as(one, order, record) for one in performers)
        ):
            yield "It was given to one provider; whether the order goes to that one could not be read."
    if terms.amount is not None:
        wanted = _ordered(order)
        if wanted is None:
            if terms.amount.value != 1:
                yield f"It is for {terms.amount}; the order states no quantity."
        elif wanted.unit != terms.amount.unit:
            yield f"It is for {terms.amount}, and the order is for {wanted}: the units differ."


# -- providers --------------------------------------------------------------------------------------------


def _known_as(reference: Resource, within: Resource, record: Record) -> frozenset[str]:
    """Everything that a provider is known by: its address, its identifiers, and of a role those of its people."""
    return frozenset(_names(reference, within, record, deep=True))


def _names(reference: Resource, within: Resource, record: Record, deep: bool) -> Iterator[str]:
    text = literal_reference(reference)
    key = reference_key(text, record.base) if text is not None and not text.startswith("#") else None
    if key is not None:
        yield key
    found = record.resolve(reference, within=within) or {}
    if found.get("id") and not (text or "").startswith("#"):
        yield own_reference(found)
    for one in (*objects_in(reference.get("identifier")), *objects_in(found.get("identifier"))):
        system, value = one.get("system"), one.get("value")
        if isinstance(system, str) and isinstance(value, str) and value.strip():
            yield f"{system.strip()}|{value.strip()}"
    if deep and found.get("resourceType") == "PractitionerRole":
        for element in ("practitioner", "organization"):
            for one in objects_in(found.get(element)):
                yield from _names(one, found, record, deep=False)


# -- quantities -------------------------------------------------------------------------------------------


def _ordered(order: Resource) -> Amount | None:
    """How much an order asks for in all. Of a DeviceRequest no element says it (its parameters say anything)."""
    if order.get("resourceType") == "MedicationRequest":
        dispense = order.get("dispenseRequest")
        dispense = dispense if isinstance(dispense, Mapping) else {}
        once, again = _amount(dispense.get("quantity")), dispense.get("numberOfRepeatsAllowed", 0)
        if once is None or not isinstance(again, int) or isinstance(again, bool) or again < 0:
            return None
        return Amount(once.value * (again + 1), once.unit)
    return _amount(order.get("quantityQuantity"))


def _amount(quantity: object) -> Amount | None:
    """A Quantity without a comparator."""
    if not isinstance(quantity, Mapping) or "comparator" in quantity:
        return None
    value = quantity.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    unit = quantity.get("code") or quantity.get("unit") or ""
    return Amount(Decimal(str(value)), unit.strip().lower() if isinstance(unit, str) else "")
