"""What the chart's responses said to one form, as JSON that can be kept beside a situation, and back. Pure.

Kept as evidence only: a response that is sent in later is weighed against it, as at the hook, and no new form is filled
from it (DTR 2.2, spec-125). Of a response nothing is kept but its answers, their day and what they are about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.policy.answers import Unread
from cds_service.policy.form import Form
from cds_service.policy.model import Answer
from cds_service.policy.responses import Response

# where it stands in what is kept of a context
KEPT_AS = "chartAnswers"


@dataclass(frozen=True, slots=True)
class ChartAnswers:
    """The responses to one form that a chart held: those that can be read, those that cannot, those withdrawn.

    `failed`: why they may not be all, where that is so.
    """

    responses: tuple[Response, ...] = ()
    unread: tuple[Unread, ...] = ()
    closed: frozenset[str] = frozenset()
    failed: str | None = None


NONE_IN_CHART = ChartAnswers()


def beside(situation: Mapping[str, Any], heard: ChartAnswers) -> Mapping[str, Any]:
    """A kept situation with what its chart's responses said."""
    return situation if heard == NONE_IN_CHART else {**situation, KEPT_AS: _kept(heard)}


def chart_answers(situation: Mapping[str, Any], form: Form | None) -> ChartAnswers:
    """What stands beside a kept situation."""
    held = situation.get(KEPT_AS)
    if held is None or form is None:
        return NONE_IN_CHART
    return ChartAnswers(
        tuple(_response_from(one, form) for one in held["responses"]),
        tuple(_unread_from(one) for one in held["unread"]),
        frozenset(held["closed"]),
        held["failed"],
    )


def _kept(heard: ChartAnswers) -> dict[str, Any]:
    return {
        "responses": [_response(one) for one in heard.responses],
        "unread": [_unread(one) for one in heard.unread],
        "closed": sorted(heard.closed),
        "failed": heard.failed,
    }


def _response(one: Response) -> dict[str, Any]:
    return {
        "reference": one.reference,
        "authored": one.authored.text,
        "answers": [[name, said.value, _written(said.authored)] for name, said in one.answers.items()],
        "orders": sorted(one.orders),
        "coverages": sorted(one.coverages),
        "context": one.context,
    }


def _response_from(held: Mapping[str, Any], form: Form) -> Response:
    authored = parse_date(held["authored"])
    assert authored is not None, "a date that was read is read again"
    return Response(
        form=form,
        reference=held["reference"],
        authored=authored,
        answers={name: Answer(value, _moment(when), held["reference"]) for name, value, when in held["answers"]},
        orders=frozenset(held["orders"]),
        coverages=frozenset(held["coverages"]),
        context=held["context"],
    )


def _unread(one: Unread) -> dict[str, Any]:
    return {
        "said": one.said,
        "touches": sorted(one.touches),
        "reference": one.reference,
        "authored": one.authored.text if one.authored is not None else None,
        "doubts": one.doubts,
    }


def _unread_from(held: Mapping[str, Any]) -> Unread:
    authored: FhirDate | None = parse_date(held["authored"]) if held["authored"] is not None else None
    return Unread(held["said"], frozenset(held["touches"]), held["reference"], authored, held["doubts"])


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
