"""The path of one call: hook request in, hook response out. Pure: the instant, new ids and links are arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import orjson

from cds_service.crd.authorizations import ANSWERS, Asked, on_file
from cds_service.crd.cards import Card, Showing, cards
from cds_service.crd.chart_answers import beside
from cds_service.crd.coverage import OrderCoverage, coverages_of
from cds_service.crd.coverage_information import Manner
from cds_service.crd.form_completion import Forms
from cds_service.crd.hook_request import HookRequest
from cds_service.crd.memory import NOTHING_KEPT, Assertion, Authorization, Kept, patient_digest, to_keep
from cds_service.crd.orders import ORDER_TYPES, DraftLine, order_lines
from cds_service.crd.performer import performer_of
from cds_service.crd.requester import requester_of
from cds_service.crd.responses import KIND, NONE_STORED, Responses, StoredResponse
from cds_service.crd.satisfied import asks_for_authorization, settled
from cds_service.crd.scope import Scope, scope_of
from cds_service.crd.statements import (
    Silence,
    Statement,
    no_policy_held,
    not_to_be_performed,
    nothing_to_perform,
    of_coverage,
)
from cds_service.crd.system_actions import assertion_id, system_actions
from cds_service.crd.templates import searched_type
from cds_service.fhir.problem import Problem
from cds_service.fhir.record import Record
from cds_service.fhir.references import reference_key
from cds_service.fhir.working_days import STANDARD_HOURS, BusinessHours
from cds_service.policy.answers import About
from cds_service.policy.context import Context
from cds_service.policy.determination import determine
from cds_service.policy.model import Determination, Situation
from cds_service.policy.order_line import OrderLine
from cds_service.policy.payers import Payer
from cds_service.policy.plan import Policy
from cds_service.policy.situation_json import kept as situation_kept

_NOTHING_EARLIER: Mapping[str, Assertion] = {}


class HoldsPolicies(Protocol):
    """What an answer reads of a catalogue."""

    @property
    def payers(self) -> tuple[Payer, ...]: ...

    @property
    def types_needed(self) -> frozenset[str]: ...

    def in_force(self, payer: str, line: OrderLine, on: date) -> tuple[Policy, ...]: ...

    def by_form(self, url: str, version: str | None = None) -> Policy | None: ...


@dataclass(frozen=True, slots=True)
class HookResponse:
    """What goes back: cards, system actions; and what they were made from, for those who keep or explain it."""

    cards: tuple[Card, ...]
    system_actions: tuple[Mapping[str, Any], ...]
    statements: tuple[Statement, ...]
    primary: bool = True
    kept: Kept = NOTHING_KEPT


def answer(
    request: HookRequest,
    catalogue: HoldsPolicies,
    asked_at: datetime,
    new_id: Callable[[], str],
    link: Callable[[str], str],
    business_hours: BusinessHours = STANDARD_HOURS,
    earlier: Mapping[str, Assertion] = _NOTHING_EARLIER,
    keeps_contexts: bool = False,
    stored: Sequence[StoredResponse] | None = NONE_STORED,
    dtr_launch: str = "",
) -> HookResponse | Problem:
    """Answer one call: every order that it is about, under each coverage that it is to be judged by.

    `asked_at` is the instant of the call in the service's zone; `link` gives the address of our page of a policy.
    `earlier` is what is kept of earlier answers under the assertion ids that the orders bear (see memory.py), `stored`
    the patient's finished questionnaires that were sent here; None where it is not known whether there are any.
    `keeps_contexts`: whether what a questionnaire is to be filled from is kept where one goes out.
    `dtr_launch` is where our app for questionnaires is launched.
    """
    hook = request.hook
    scope = scope_of(request)
    if isinstance(scope, Problem):
        return scope
    not_looked_up = request.not_looked_up(catalogue.types_needed)
    no_responses = not_looked_up.pop(KIND, None)
    # that none was sent is no failure: most EHRs send none
    chart_cut = no_responses if request.prefetch_state.get(KIND) in ("failed", "partial") else None
    # the newest may be one that was sent here
    cut = chart_cut or ("what was sent here could not be read" if stored is None else None)
    record = Record.build(request.resources, request.patient_id, not_looked_up, request.fhir_server)
    not_looked_up |= _unread(record, request)
    lines = order_lines(scope.draft, record, asked_at)
    answered = [
        one for one in lines if one.reference in scope.asked and not (scope.running and one.has_ended(asked_at.date()))
    ]
    if not answered:
        return HookResponse((), (), (), hook.primary)
    no_coverage = request.not_looked_up(("Coverage",))
    coverages = coverages_of(answered, record, catalogue.payers, asked_at.date(), no_coverage)
    if isinstance(coverages, Problem):
        return coverages
    patient = patient_digest(request.fhir_server, request.patient_id)
    call = _Call(
        request,
        catalogue,
        record,
        lines,
        scope,
        asked_at,
        not_looked_up,
        business_hours,
        patient,
        earlier,
        Responses(record, request.resources, stored or NONE_STORED, asked_at, cut),
        chart_cut,
    )
    said = [
        _say(call, line, one, coverages[line.reference], new_id)
        for line in answered
        for one in coverages[line.reference]
    ]
    statements = tuple(statement for statement, _ in said)
    actions = hook.writes and request.configuration.wants("coverage-info")
    manner = Manner(request.crd_version, asks=hook.primary)
    sent = cards(statements, Showing.of(request, scope.unread, dtr_launch, _forms(call, statements)), new_id, link)
    # where nothing is written, no id goes out under which it could be found again
    remembered = statements if hook.writes and request.in_earnest else ()
    return HookResponse(
        cards=sent,
        system_actions=system_actions(statements, asked_at.date(), manner) if actions else (),
        statements=statements,
        primary=hook.primary,
        kept=to_keep(
            remembered,
            sent,
            patient,
            [held for _, held in said if held is not None],
            _contexts(call, remembered) if keeps_contexts else (),
        ),
    )


def _forms(call: _Call, statements: Sequence[Statement]) -> Forms | None:
    """The questionnaires of an answer, for a client that is to have them as Tasks."""
    request = call.request
    if not request.wants_forms_as_tasks:
        return None
    wanted = {one.questionnaire for said in statements for one in said.determinations if one.questionnaire}
    was_asked = request.prefetch_state.get("Questionnaire") in ("given", "empty")
    held = {(one.get("url"), one.get("version")) for one in request.resources_of("Questionnaire")}
    found: dict[str, Mapping[str, Any] | None] = {}
    for canonical in sorted(wanted):
        url, _, version = canonical.partition("|")
        policy = call.catalogue.by_form(url, version)
        form = policy.form if policy is not None else None
        lacking = was_asked and form is not None and (url, version) not in held
        found[canonical] = form.resource if lacking and form is not None else None
    return Forms(found, request.patient_id, request.encounter_id, call.asked_at.date())


def _unread(record: Record, request: HookRequest) -> dict[str, str]:
    """What came and could not be read where absence would count: orders of the chart, and the call's encounter."""
    found: dict[str, str] = {}
    for fault in record.faults:
        source, _, place = fault.where.partition(".")
        kind = fault.resource_type or searched_type(re.split(r"[.\[]", place)[0], request.hook.name)
        if kind in ORDER_TYPES and source in ("prefetch", "fhirServer"):
            found[kind] = f"one {kind} could not be read ({fault.where}: {fault.what})"
    if request.encounter_id is not None and record.resolve(f"Encounter/{request.encounter_id}") is None:
        found["Encounter"] = "the encounter of the call could not be read"
    return found


def render(response: HookResponse) -> bytes:
    """The response as JSON. On a primary hook `systemActions` is always there: its absence reads as a failure."""
    document: dict[str, Any] = {"cards": response.cards}
    if response.primary or response.system_actions:
        document["systemActions"] = response.system_actions
    return orjson.dumps(document)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call with what was read of it."""

    request: HookRequest
    catalogue: HoldsPolicies
    record: Record
    lines: Sequence[DraftLine]
    scope: Scope
    asked_at: datetime
    not_looked_up: Mapping[str, str]
    business_hours: BusinessHours
    patient: str  # a digest
    earlier: Mapping[str, Assertion]
    responses: Responses
    chart_cut: str | None  # why the chart's responses may not be all

    def chart_beside(self, line: DraftLine) -> Record:
        """The chart that an order is judged against: an order that came with the chart is no evidence for itself."""
        if not self.scope.of_chart:
            return self.record
        beside = (one for one in self.request.resources if one.where != line.order.where)
        request = self.request
        return Record.build(beside, request.patient_id, self.record.not_looked_up, request.fhir_server)

    def as_sent(self, line: DraftLine) -> Mapping[str, Any]:
        """The order as it goes to the performer whom the call names, if it names one: that one counts then."""
        order, performer = line.order.resource, self.request.performer
        if performer is None:
            return order
        rest = {name: value for name, value in order.items() if name != "dispenseRequest"}
        return {**rest, "performer": {"reference": performer}}

    def draft_beside(self, line: DraftLine) -> tuple[OrderLine, ...]:
        """The other orders of the draft. Orders that came with the chart stand in the chart."""
        return () if self.scope.of_chart else tuple(one.line for one in self.lines if one is not line)


def _say(
    call: _Call, line: DraftLine, coverage: OrderCoverage, beside: Sequence[OrderCoverage], new_id: Callable[[], str]
) -> tuple[Statement, Authorization | None]:
    """What is said of an order under a coverage, and the authorization that satisfies, if one does."""
    of_others = [one.id for one in call.earlier.values() if not _is_of(one, call.patient, coverage)]
    identity = assertion_id(line.order, coverage, new_id, of_others)
    statement = _state(call, line, coverage, identity)
    if not call.request.in_earnest or not asks_for_authorization(statement):
        return statement, None
    found = on_file(_asked(call, line, coverage, beside), call.record, call.earlier.get(identity))
    return settled(statement, found), None if found.bound else found.authorization


def _is_of(assertion: Assertion, patient: str, coverage: OrderCoverage) -> bool:
    # a coverage that cannot be read, or has no payer here, contradicts nothing
    return assertion.patient == patient and (coverage.payer is None or assertion.payer == coverage.payer.id)


def _asked(call: _Call, line: DraftLine, coverage: OrderCoverage, beside: Sequence[OrderCoverage]) -> Asked:
    alone = not any(one.payer == coverage.payer for one in beside if one is not coverage)
    states = call.request.prefetch_state
    looked_up = frozenset(kind for kind, state in states.items() if state in ("given", "empty"))
    cut_off = {kind: why for kind, why in call.request.not_looked_up(ANSWERS).items() if kind in states}
    return Asked(line, coverage, call.asked_at.date(), alone, looked_up, cut_off, call.as_sent(line))


def _state(call: _Call, line: DraftLine, coverage: OrderCoverage, identity: str) -> Statement:
    if coverage.standing != "active" or coverage.payer is None or coverage.view is None:
        return Statement(line, coverage, identity, silence=of_coverage(coverage))
    if nothing_to_perform(line.order.resource):
        return Statement(line, coverage, identity, silence=not_to_be_performed())
    determinations = tuple(_determinations(call, line, coverage, identity, coverage.payer.id, coverage.view))
    silence: Silence | None = None
    if not determinations:
        code_is_known = bool(call.catalogue.in_force(coverage.payer.id, line.line, line.day))
        silence = no_policy_held(line, coverage.payer.name, code_is_known)
    return Statement(line, coverage, identity, determinations, silence)


def _determinations(
    call: _Call, line: DraftLine, under: OrderCoverage, identity: str, payer: str, coverage: Mapping[str, Any]
) -> Iterator[Determination]:
    policies = call.catalogue.in_force(payer, line.line, line.day)
    if not policies:
        return
    situation = _situation(call, line, coverage)
    key = reference_key(under.key, call.request.fhir_server) or under.key
    about = About(line.reference, key, identity, line.day)
    for policy in policies:
        answered = call.responses.situated(situation, policy.form, about)
        determination = determine(policy, answered)
        if determination is not None:
            yield determination


def _situation(call: _Call, line: DraftLine, coverage: Mapping[str, Any]) -> Situation:
    encounter_id = call.request.encounter_id
    record = call.chart_beside(line)
    return Situation(
        record=record,
        line=line.line,
        order_date=line.day,
        on_date=call.asked_at.date(),
        asked_at=call.asked_at,
        draft=call.draft_beside(line),
        encounter=record.resolve(f"Encounter/{encounter_id}") if encounter_id is not None else None,
        coverage=coverage,
        requester=requester_of(line.order.resource, record),
        performer=performer_of(call.as_sent(line), record, call.catalogue.payers, call.asked_at.date()),
        business_hours=call.business_hours,
        not_looked_up=call.not_looked_up,
    )


def _contexts(call: _Call, statements: Iterable[Statement]) -> Iterator[Context]:
    """What each questionnaire that goes out is to be filled from; of one that went out before, as it is now."""
    for one in statements:
        payer, view, line = one.coverage.payer, one.coverage.view, one.line
        earlier = one.assertion_id in call.earlier
        named = {said.policy: said.questionnaire for said in one.determinations if said.doc_needed or earlier}
        if payer is None or view is None or not any(named.values()):
            continue
        situation = _situation(call, line, view)
        for policy in call.catalogue.in_force(payer.id, line.line, line.day):
            questionnaire = named.get(policy.canonical)
            if questionnaire is not None:
                yield Context(
                    id=one.assertion_id,
                    policy=policy.canonical,
                    questionnaire=questionnaire,
                    patient=call.patient,
                    subject=f"Patient/{call.request.patient_id}",
                    coverage=one.coverage.reference,
                    situation=_with_answers(call, policy, situation_kept(policy, situation)),
                    made_at=call.asked_at,
                )


def _with_answers(call: _Call, policy: Policy, kept: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is kept, with what the chart's own responses said: one that is sent in later may be older than they are."""
    if policy.form is None:
        return kept
    # those that were sent here are read anew by then
    sent = call.responses.stored if call.record.base else NONE_STORED
    return beside(kept, call.responses.of_chart(policy.form, call.chart_cut, sent))
