"""The path of one call: hook request in, hook response out. Pure: the instant, new ids and links are arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import orjson

from cds_service.crd.cards import cards
from cds_service.crd.coverage import OrderCoverage, coverages_of
from cds_service.crd.hook_request import HookRequest
from cds_service.crd.orders import ORDER_TYPES, DraftLine, order_lines
from cds_service.crd.performer import performer_of
from cds_service.crd.prefetch import type_of
from cds_service.crd.requester import requester_of
from cds_service.crd.statements import Silence, Statement, no_policy_held, not_to_be_performed, of_coverage
from cds_service.crd.system_actions import assertion_id, system_actions
from cds_service.fhir.problem import Problem
from cds_service.fhir.record import Record
from cds_service.fhir.working_days import STANDARD_HOURS, BusinessHours
from cds_service.policy.determination import determine
from cds_service.policy.model import Determination, Situation
from cds_service.policy.order_line import OrderLine
from cds_service.policy.payers import Payer
from cds_service.policy.plan import Policy


class HoldsPolicies(Protocol):
    """What an answer reads of a catalogue."""

    @property
    def payers(self) -> tuple[Payer, ...]: ...

    @property
    def types_needed(self) -> frozenset[str]: ...

    def in_force(self, payer: str, line: OrderLine, on: date) -> tuple[Policy, ...]: ...


@dataclass(frozen=True, slots=True)
class HookResponse:
    """What goes back: cards, system actions; and what they were made from, for those who keep or explain it."""

    cards: tuple[Mapping[str, Any], ...]
    system_actions: tuple[Mapping[str, Any], ...]
    statements: tuple[Statement, ...]


def answer(
    request: HookRequest,
    catalogue: HoldsPolicies,
    asked_at: datetime,
    new_id: Callable[[], str],
    link: Callable[[str], str],
    business_hours: BusinessHours = STANDARD_HOURS,
) -> HookResponse | Problem:
    """Answer one call: every order of the draft, under each coverage that it is to be judged by.

    `asked_at` is the instant of the call in the service's zone; `link` gives the address of our page of a policy.
    """
    not_looked_up = request.not_looked_up(catalogue.types_needed)
    record = Record.build(request.resources, request.patient_id, not_looked_up, request.fhir_server)
    not_looked_up |= _unread(record, request)
    lines = order_lines(request.orders, record, asked_at)
    no_coverage = request.not_looked_up(("Coverage",))
    coverages = coverages_of(lines, record, catalogue.payers, asked_at.date(), no_coverage)
    if isinstance(coverages, Problem):
        return coverages
    call = _Call(request, catalogue, record, lines, asked_at, not_looked_up, business_hours)
    statements = tuple(
        _state(call, line, coverage, assertion_id(line.order, coverage, new_id))
        for line in lines
        for coverage in coverages[line.reference]
    )
    actions = request.configuration.wants("coverage-info")
    return HookResponse(
        cards=cards(statements, request.configuration, new_id, link),
        system_actions=system_actions(statements, asked_at.date()) if actions else (),
        statements=statements,
    )


def _unread(record: Record, request: HookRequest) -> dict[str, str]:
    """What came and could not be read where absence would count: orders of the chart, and the call's encounter."""
    found: dict[str, str] = {}
    for fault in record.faults:
        kind = fault.resource_type or type_of(fault.where.removeprefix("prefetch.").split(".")[0].split("[")[0])
        if kind in ORDER_TYPES and fault.where.startswith("prefetch."):
            found[kind] = f"one {kind} could not be read ({fault.where}: {fault.what})"
    if request.encounter_id is not None and record.resolve(f"Encounter/{request.encounter_id}") is None:
        found["Encounter"] = "the encounter of the call could not be read"
    return found


def render(response: HookResponse) -> bytes:
    """The response as JSON. `systemActions` is always there: on a primary hook its absence reads as a failure."""
    return orjson.dumps({"cards": response.cards, "systemActions": response.system_actions})


@dataclass(frozen=True, slots=True)
class _Call:
    """One call with what was read of it."""

    request: HookRequest
    catalogue: HoldsPolicies
    record: Record
    lines: Sequence[DraftLine]
    asked_at: datetime
    not_looked_up: Mapping[str, str]
    business_hours: BusinessHours


def _state(call: _Call, line: DraftLine, coverage: OrderCoverage, identity: str) -> Statement:
    if coverage.standing != "active" or coverage.payer is None or coverage.view is None:
        return Statement(line, coverage, identity, silence=of_coverage(coverage))
    if line.order.resource.get("doNotPerform") is True:
        return Statement(line, coverage, identity, silence=not_to_be_performed())
    determinations = tuple(_determinations(call, line, coverage.payer.id, coverage.view))
    silence: Silence | None = None
    if not determinations:
        code_is_known = bool(call.catalogue.in_force(coverage.payer.id, line.line, line.day))
        silence = no_policy_held(line, coverage.payer.name, code_is_known)
    return Statement(line, coverage, identity, determinations, silence)


def _determinations(call: _Call, line: DraftLine, payer: str, coverage: Mapping[str, Any]) -> Iterator[Determination]:
    policies = call.catalogue.in_force(payer, line.line, line.day)
    if not policies:
        return
    encounter_id = call.request.encounter_id
    situation = Situation(
        record=call.record,
        line=line.line,
        order_date=line.day,
        on_date=call.asked_at.date(),
        asked_at=call.asked_at,
        draft=tuple(one.line for one in call.lines if one is not line),
        encounter=call.record.resolve(f"Encounter/{encounter_id}") if encounter_id is not None else None,
        coverage=coverage,
        requester=requester_of(line.order.resource, call.record),
        performer=performer_of(line.order.resource, call.record, call.catalogue.payers, call.asked_at.date()),
        business_hours=call.business_hours,
        not_looked_up=call.not_looked_up,
    )
    for policy in policies:
        determination = determine(policy, situation)
        if determination is not None:
            yield determination
