"""Which orders a call is to be answered for, hook by hook. Pure; judges none of them.

CRD 2.2, hook-30 and hook-34: an answer is about the orders that were selected or dispatched, whatever else lies there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cds_service.crd.hook_request import HookRequest
from cds_service.crd.hooks import Orders
from cds_service.crd.looked_up import Given
from cds_service.crd.orders import ORDER_TYPES, DraftOrder, order_fault, patients_of
from cds_service.fhir.problem import Problem
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference, reference_key

# R4 request-intent: what was really asked for, and not only planned or proposed
_ORDERED = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})


@dataclass(frozen=True, slots=True)
class Scope:
    """The orders of a call.

    `draft` are those that are considered together, `asked` the references of those that are answered. `of_chart`:
    they came with the chart, so that each is judged against a chart without itself. `running`: those that have ended
    are left out. `unread` are references that the call names and does not hold.
    """

    draft: tuple[DraftOrder, ...]
    asked: frozenset[str]
    of_chart: bool = False
    running: bool = False
    unread: tuple[str, ...] = ()


def scope_of(request: HookRequest) -> Scope | Problem:
    """The orders that a call is to be answered for, or why that cannot be told."""
    return _SCOPES[request.hook.orders](request)


def _draft(request: HookRequest) -> Scope:
    return Scope(request.orders, frozenset(own_reference(one.resource) for one in request.orders))


def _selections(request: HookRequest) -> Scope | Problem:
    held = {own_reference(one.resource): one for one in request.orders}
    # a selection is Type/id; who leaves out the type means the order with that id
    by_id = {reference.partition("/")[2]: reference for reference in held}
    named = [_key(one, request) for one in request.named]
    asked = frozenset(reference for one in named if (reference := one if one in held else by_id.get(one, "")))
    if named and not asked:
        what, fix = "names no order of the draft", "name orders of draftOrders as Type/id"
        return Problem("invalid", "context.selections", what, fix)
    return Scope(request.orders, asked)


def _appointments(request: HookRequest) -> Scope:
    """The orders that the appointments are based on; an appointment itself where it names none that is at hand.

    CRD 2.2, cards page, Coverage Information: what is based on an order is not annotated, the order is.
    """
    chart = _orders_of_chart(request)
    found: dict[str, DraftOrder] = {}
    for appointment in request.orders:
        keys = [_key(text, request) for text in based_on(appointment.resource)]
        behind = [chart[key] for key in keys if key in chart and _is_sound(chart[key], request)]
        for one in behind or [appointment]:
            found.setdefault(own_reference(one.resource), one)
    return Scope(tuple(found.values()), frozenset(found), of_chart=True)


def _is_sound(order: DraftOrder, request: HookRequest) -> bool:
    """Whether an order that only the EHR vouches for is this patient's, and can be read and written back."""
    owners = patients_of(order.resource)
    return (not owners or f"Patient/{request.patient_id}" in owners) and order_fault(order.resource) is None


def based_on(appointment: Mapping[str, Any]) -> Iterator[str]:
    """The references of an appointment to the orders that it is for."""
    for reference in objects_in(appointment.get("basedOn")):
        text = literal_reference(reference)
        if text:
            yield text
        # R4 allows a ServiceRequest only: other orders stand in this extension
        for extension in objects_in(reference.get("extension")):
            if extension.get("url") == "http://hl7.org/fhir/StructureDefinition/alternate-reference":
                other = literal_reference(extension.get("valueReference"))
                if other:
                    yield other


def _dispatched(request: HookRequest) -> Scope | Problem:
    chart = _orders_of_chart(request)
    keys = list(dict.fromkeys(_key(one, request) for one in request.named))
    found = {key: chart[key] for key in keys if key in chart}
    unread = tuple(key for key in keys if key not in chart)
    if not found:
        what, fix = "none of the orders could be read", "send them in prefetch"
        return Problem("unavailable", "context.dispatchedOrders", what, fix)
    for order in found.values():
        owners = patients_of(order.resource)
        if owners and f"Patient/{request.patient_id}" not in owners:
            what = "an order is not for the patient of context.patientId"
            return Problem("invalid", order.where, what, "send the orders of one patient in one call", "business-rule")
        fault = order_fault(order.resource)
        if fault is not None:
            return Problem("invalid", f"{order.where}.{fault.element}", fault.what, fault.fix)
    return Scope(tuple(found.values()), frozenset(found), of_chart=True, unread=unread)


def _active(request: HookRequest) -> Scope:
    """The patient's orders that are in force. One that cannot be read is passed over: nobody asked for it by name."""
    found = {
        key: one
        for key, one in _orders_of_chart(request).items()
        if one.resource.get("status") == "active"
        and one.resource.get("intent", "order") in _ORDERED
        and one.resource.get("doNotPerform") is not True
        and patients_of(one.resource) == {f"Patient/{request.patient_id}"}
        and order_fault(one.resource) is None
    }
    return Scope(tuple(found.values()), frozenset(found), of_chart=True, running=True)


_SCOPES: Mapping[Orders, Callable[[HookRequest], Scope | Problem]] = {
    "draft": _draft,
    "selections": _selections,
    "appointments": _appointments,
    "dispatched": _dispatched,
    "active": _active,
}


def _orders_of_chart(request: HookRequest) -> dict[str, DraftOrder]:
    """The orders among the resources of a call, by reference; of two with one id the first."""
    found: dict[str, DraftOrder] = {}
    for one in request.resources:
        if _is_order(one):
            echo = request.as_written.get(one.where, one.resource)
            found.setdefault(own_reference(one.resource), DraftOrder(one.where, one.resource, echo))
    return found


def _is_order(given: Given) -> bool:
    resource = given.resource
    return (
        isinstance(resource, dict)
        and isinstance(resource.get("id"), str)
        and isinstance(resource.get("resourceType"), str)
        and resource["resourceType"] in ORDER_TYPES
    )


def _key(reference: str, request: HookRequest) -> str:
    return reference_key(reference, request.fhir_server) or reference
