"""Orders and coverages that came without a hook -> contexts of the questionnaires they would be answered with. Pure.

The chart is not asked for here: of what did not come along nothing is known, and what rests on it is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from cds_service.crd.answer import HoldsPolicies, HookResponse, answer
from cds_service.crd.coverage import known_coverages
from cds_service.crd.hook_request import Configuration, HookRequest
from cds_service.crd.hooks import HOOKS
from cds_service.crd.looked_up import Given
from cds_service.crd.orders import ORDER_TYPES, DraftOrder, order_fault, patients_of
from cds_service.crd.statements import Statement
from cds_service.crd.versions import NEWEST
from cds_service.fhir.problem import Problem
from cds_service.fhir.record import Record
from cds_service.fhir.references import literal_reference, own_reference, reference_key
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.context import Context

Resource = Mapping[str, Any]
Placed = tuple[str, Resource]  # where it stands in what came, and itself


@dataclass(frozen=True, slots=True)
class Ordered:
    """The contexts of orders, and in words why others have none."""

    contexts: tuple[Context, ...]
    said: tuple[str, ...]


class Around(NamedTuple):
    """What orders are judged with, beside themselves."""

    catalogue: HoldsPolicies
    asked_at: datetime
    business_hours: BusinessHours
    new_id: Callable[[], str]


def contexts_of(
    orders: Sequence[Placed], coverages: Sequence[Placed], beside: Sequence[Placed], around: Around
) -> Ordered | Problem:
    """What the orders would be answered with under these coverages. A Problem where no coverage can be read."""
    fault = _order_fault(orders)
    if fault is not None:
        return fault
    patient = patient_of([*orders, *coverages])
    if patient is None:
        where = orders[0][0] if orders else "parameter"
        return Problem("invalid", where, "it does not say whose it is", "name the patient: Patient/<id>", "required")
    judged = [one for one in orders if one[1]["resourceType"] in ORDER_TYPES]
    said = [f"No policy speaks of {own_reference(one)}." for _, one in orders if one["resourceType"] not in ORDER_TYPES]
    if not judged:
        return known(coverages, beside, patient, around) or Ordered((), tuple(said))
    request = _request(judged, [*coverages, *beside], patient)
    response = answer(
        request,
        around.catalogue,
        around.asked_at,
        around.new_id,
        _no_page,
        around.business_hours,
        keeps_contexts=True,
    )
    if isinstance(response, Problem):
        return _of_coverage(response)
    unread = [one for one in response.statements if one.coverage.standing == "unread"]
    if unread and len(unread) == len(response.statements):
        return _unread(unread[0].coverage.why)
    return Ordered(response.kept.contexts, (*said, *_silences(response)))


def known(coverages: Sequence[Placed], beside: Sequence[Placed], patient: str, around: Around) -> Problem | None:
    """What is wrong with the coverages where none of them is one of a payer that is served here."""
    record = Record.build([*coverages, *beside], patient)
    found = known_coverages(record, around.catalogue.payers, around.asked_at.date())
    if isinstance(found, Problem):
        return _of_coverage(found)
    unread = [one for one in found if one.standing == "unread"]
    return _unread(unread[0].why) if unread and len(unread) == len(found) else None


def patient_of(placed: Sequence[Placed]) -> str | None:
    """The id of the patient whom the first order or coverage that says so is of."""
    for _, resource in placed:
        owners = patients_of(resource) or {literal_reference(resource.get("beneficiary")) or ""}
        for owner in sorted(owners):
            key = reference_key(owner)
            if key is not None and key.startswith("Patient/"):
                return key.removeprefix("Patient/")
    return None


def _order_fault(orders: Sequence[Placed]) -> Problem | None:
    seen: set[str] = set()
    for where, order in orders:
        fault = order_fault(order) if order["resourceType"] in ORDER_TYPES else None
        if fault is not None:
            return Problem("invalid", f"{where}.{fault.element}", fault.what, fault.fix)
        reference = own_reference(order)
        if reference in seen:
            return Problem("invalid", f"{where}.id", "two orders have this id", "give each order an id of its own")
        seen.add(reference)
    return None


def _request(orders: Sequence[Placed], beside: Sequence[Placed], patient: str) -> HookRequest:
    """The call that an EHR would have made of these orders when they were signed."""
    return HookRequest(
        hook=HOOKS["order-sign"],
        hook_instance="",
        crd_version=NEWEST,
        patient_id=patient,
        encounter_id=None,
        user_id=None,
        performer=None,
        fhir_server=None,
        orders=tuple(DraftOrder(where, order, order) for where, order in orders),
        named=(),
        resources=tuple(Given(where, resource) for where, resource in beside),
        as_written={},
        prefetch_state={},
        shown=frozenset(),
        configuration=Configuration(),
    )


def _no_page(plan: str) -> str:
    return ""


def _silences(response: HookResponse) -> list[str]:
    """Why an order has no questionnaire."""
    asked = {one.id for one in response.kept.contexts}
    return [_silence(one) for one in response.statements if one.assertion_id not in asked]


def _silence(statement: Statement) -> str:
    order = statement.line.reference
    if statement.silence is not None:
        return f"{order}: {statement.silence.text}"
    titles = "; ".join(one.policy_title for one in statement.determinations)
    return f"{order}: nothing has to be documented ({titles})."


def _of_coverage(problem: Problem) -> Problem:
    """The same, in the words of an operation that has no prefetch."""
    fix = "send the Coverage of a payer that is served here, with its payor's name or identifier"
    fix = problem.fix if problem.code == "business-rule" else fix
    return replace(problem, kind="invalid", where=problem.where.replace("prefetch.coverage", "coverage"), fix=fix)


def _unread(why: str) -> Problem:
    fix = "send the payor with the Coverage: contained, as `referenced`, or as a display in Coverage.payor"
    return Problem("invalid", "coverage", why.rstrip("."), fix, "business-rule")
