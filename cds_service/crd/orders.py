"""Draft orders -> order lines; what keeps an order from being read. Pure; knows no policy and no card."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.record import Record
from cds_service.fhir.record_shapes import objects_in, shape_fault
from cds_service.fhir.references import literal_reference, reference_key
from cds_service.policy.order_line import OrderLine, order_date, read_order_line
from cds_service.policy.views import REQUESTS as ORDER_TYPES

__all__ = ["ORDER_TYPES", "DraftLine", "DraftOrder", "OrderFault", "order_fault", "order_lines"]

Resource = Mapping[str, Any]


class DraftOrder(NamedTuple):
    """An order of the draft; `echo` is the same with its decimals as they were written: 1.10 stays 1.10."""

    where: str
    resource: Resource
    echo: Resource


@dataclass(frozen=True, slots=True)
class DraftLine:
    """An order of the draft, its view for policies, and its order date."""

    order: DraftOrder
    line: OrderLine
    day: date

    @property
    def reference(self) -> str:
        return str(self.line["reference"])

    def has_ended(self, on: date) -> bool:
        """Whether its last day of service, if it says one, has passed."""
        last = self.line.get("lastDay")
        return isinstance(last, FhirDate) and last.last_day < on


def patients_of(resource: Resource) -> frozenset[str]:
    """The patients that an order or appointment names, as `Patient/id` whatever base they are written with."""
    named = [resource.get("subject") or resource.get("patient")]
    named += [one.get("actor") for one in objects_in(resource.get("participant"))]
    texts = [text for one in named if (text := literal_reference(one))]
    # an actor may be a place or a practitioner; whoever the subject of an order is, it is for nobody else
    actors = resource.get("resourceType") == "Appointment"
    keys = (reference_key(text) or text for text in texts)
    return frozenset(key for key in keys if not actors or key.startswith("Patient/"))


class OrderFault(NamedTuple):
    """Why an order cannot be answered: the element, what is wrong with it, how to mend it."""

    element: str
    what: str
    fix: str


def order_lines(orders: Iterable[DraftOrder], record: Record, asked_at: datetime) -> tuple[DraftLine, ...]:
    """Each order of the draft as an order line, in the order of the draft."""
    found = []
    for position, order in enumerate(orders):
        day = order_date(order.resource, asked_at)
        found.append(DraftLine(order, read_order_line(order.resource, position, record, day), day))
    return tuple(found)


_DATES = ("authoredOn", "dateTime", "dateWritten", "created", "occurrenceDateTime")


def order_fault(resource: Resource) -> OrderFault | None:
    """The first thing that keeps a draft order from being read or written back; None where all is well."""
    identity = resource.get("id")
    if not isinstance(identity, str) or not identity:
        # the answer is an update of this very order (CRD, Coverage Information): an update needs the id
        return OrderFault("id", "missing", "give the order an id: the answer is written back by it")
    fault = shape_fault(resource)
    if fault is not None:
        element, _, what = fault.partition(" ")
        return OrderFault(element, what, "write it as FHIR R4 does; a date as 2026-11-21")
    extension = resource.get("extension")
    if extension is not None and not isinstance(extension, list):
        return OrderFault("extension", "is not a list", "send a list of extensions, or none")
    for element, value in _stated_dates(resource):
        if value is not None and (not isinstance(value, str) or parse_date(value) is None):
            return OrderFault(element, "is not a date", "write a date as 2026-11-21, with or without a time")
    return None


def _stated_dates(resource: Resource) -> Iterator[tuple[str, Any]]:
    for element in _DATES:
        yield element, resource.get(element)
    timing = resource.get("occurrenceTiming")
    repeat = timing.get("repeat") if isinstance(timing, dict) else None
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
    for element, period in (
        ("occurrencePeriod", resource.get("occurrencePeriod")),
        ("occurrenceTiming.repeat.boundsPeriod", bounds),
    ):
        if isinstance(period, dict):
            yield f"{element}.start", period.get("start")
            yield f"{element}.end", period.get("end")
