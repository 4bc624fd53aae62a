"""One recorded call under two versions of a policy -> what would be answered differently. Pure.

Says statuses and codes alone: reasons and evidence quote charts, and what is printed may be passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

from cds_service.crd.answer import answer
from cds_service.crd.hook_request import HookRequest
from cds_service.fhir.problem import Problem
from cds_service.fhir.working_days import STANDARD_HOURS, BusinessHours
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.model import Determination
from cds_service.policy.plan import Policy

NOTHING_SAID = "no statement"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a determination: "paNeeded", or the status of a criterion, document or exclusion by its id."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class OrderChange:
    """One order of the call under one coverage (by its place, from 1)."""

    order: str
    coverage: int
    fields: tuple[FieldChange, ...]  # none: answered alike


def changed_answers(
    request: HookRequest,
    catalogue: Catalogue,
    old: Policy,
    new: Policy,
    asked_at: datetime,
    business_hours: BusinessHours = STANDARD_HOURS,
) -> tuple[OrderChange, ...] | Problem:
    """Each order that one of the two versions speaks of, judged by both as if each had always been in force."""
    was = _determinations(request, catalogue, old, asked_at, business_hours)
    if isinstance(was, Problem):
        return was
    now = _determinations(request, catalogue, new, asked_at, business_hours)
    if isinstance(now, Problem):
        return now
    return tuple(
        OrderChange(order, coverage, tuple(_fields(was.get((order, coverage)), now.get((order, coverage)))))
        for order, coverage in dict.fromkeys((*was, *now))
    )


def _determinations(
    request: HookRequest, catalogue: Catalogue, policy: Policy, asked_at: datetime, business_hours: BusinessHours
) -> dict[tuple[str, int], Determination] | Problem:
    alone = Catalogue([replace(policy, start=date.min)], catalogue.payers, catalogue.value_sets, catalogue.resources)
    response = answer(request, alone, asked_at, lambda: "", str, business_hours)
    if isinstance(response, Problem):
        return response
    found: dict[tuple[str, int], Determination] = {}
    places: dict[str, int] = {}
    for statement in response.statements:
        order = statement.line.reference
        places[order] = places.get(order, 0) + 1
        for one in statement.determinations:
            found[order, places[order]] = one
    return found


def _fields(was: Determination | None, now: Determination | None) -> Iterator[FieldChange]:
    if was is None or now is None:
        spoken = [NOTHING_SAID if one is None else f"{one.covered}, {one.pa_needed}" for one in (was, now)]
        yield FieldChange("answer", spoken[0], spoken[1])
        return
    before, after = _said(was), _said(now)
    for field in dict.fromkeys((*before, *after)):
        if before.get(field) != after.get(field):
            yield FieldChange(field, before.get(field) or "none", after.get(field) or "none")
    if was.reason != now.reason:
        yield FieldChange("reason", "worded otherwise", "worded otherwise")


def _said(one: Determination) -> dict[str, str]:
    return {
        "covered": one.covered,
        "paNeeded": one.pa_needed,
        "infoNeeded": ", ".join(one.info_needed),
        "docNeeded": ", ".join(one.doc_needed),
        "authorizationRule": one.authorization_rule,
        "questionnaire": one.questionnaire or "",
        "urgent": "yes" if one.urgent else "no",
        "advice": ", ".join(advice.id for advice in one.advice),
        "exclusions": ", ".join(exclusion.id for exclusion in one.exclusions),
        **{f"criteria {verdict.id}": verdict.status.value for verdict in one.criteria},
        **{f"documents {document.id}": document.status for document in one.documents},
    }
