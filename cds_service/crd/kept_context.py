"""A kept context and the responses since -> the situation and determination that order-sign would come to. Pure.

What the chart's own responses said is kept beside the situation: an older answer that is sent in is weighed against
them, as at the hook, and never overrules a newer one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cds_service.crd.chart_answers import chart_answers
from cds_service.crd.responses import SKEW, Responses, StoredResponse
from cds_service.fhir.references import literal_reference, own_reference, reference_key
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.answers import About
from cds_service.policy.context import Context
from cds_service.policy.determination import determine
from cds_service.policy.model import Determination, Situation
from cds_service.policy.plan import Policy
from cds_service.policy.responses import Response, read_response
from cds_service.policy.situation_json import situation_from


def order_of(context: Context) -> str:
    """The order that a context is of, as it is pointed at."""
    return own_reference(context.situation["line"]["resource"])


def coverage_of(context: Context) -> str:
    return literal_reference(context.coverage) or "Coverage"


def situated(
    context: Context,
    policy: Policy,
    stored: Sequence[StoredResponse],
    asked_at: datetime,
    business_hours: BusinessHours,
) -> Situation:
    """The situation of a context, with what counts of the chart's answers then and of what was sent in since."""
    situation = situation_from(context.situation, policy, asked_at=asked_at, business_hours=business_hours, answers={})
    coverage = coverage_of(context)
    key = reference_key(coverage, situation.record.base) or coverage
    about = About(order_of(context), key, context.id, situation.order_date)
    heard = chart_answers(context.situation, policy.form)
    given = Responses(situation.record, (), stored, asked_at, heard.failed, heard)
    return given.situated(situation, policy.form, about)


def determined_with(
    response: Mapping[str, Any],
    context: Context,
    policy: Policy,
    stored: Sequence[StoredResponse],
    asked_at: datetime,
    business_hours: BusinessHours,
) -> Determination | None:
    """What a completed response would come to once it is sent in. None where it could not be taken as it is."""
    if policy.form is None:
        return None
    base = context.situation.get("base")
    latest = asked_at + SKEW
    read = read_response(response, policy.form, patient=context.subject, base=base, latest=latest)
    if not isinstance(read, Response):
        return None
    identity = response["id"] if isinstance(response.get("id"), str) else "being-answered"
    this = StoredResponse(identity, response, context.id, order_of(context))
    others = [one for one in stored if one.id != identity]
    return determine(policy, situated(context, policy, [*others, this], asked_at, business_hours))
