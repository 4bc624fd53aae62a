"""What a chart's responses said can be kept, and comes back as it was."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import orjson

from cds_service.crd.chart_answers import NONE_IN_CHART, ChartAnswers, beside, chart_answers
from cds_service.fhir.dates import parse_date
from cds_service.policy.answers import Unread
from cds_service.policy.form import form_of
from cds_service.policy.model import Answer
from cds_service.policy.responses import Response
from tests.unit.policy.small_form import questionnaire

FORM = form_of(questionnaire())
AUTHORED = parse_date("2026-11-21T09:00:00.5-05:00")
MOMENT = datetime(2026, 11, 21, 9, 0, 0, 500000, tzinfo=timezone(timedelta(hours=-5)))


def test_what_was_said_comes_back_as_it_was() -> None:
    assert AUTHORED is not None
    answers = {
        "a": Answer("no", MOMENT, "QuestionnaireResponse/1"),
        "b": Answer("dont-know", None, "QuestionnaireResponse/1"),
    }
    orders, coverages = frozenset({"DeviceRequest/o1"}), frozenset({"Coverage/c1"})
    read = Response(FORM, "QuestionnaireResponse/1", AUTHORED, answers, orders, coverages, "id-1")
    unread = (Unread("faulty", frozenset({"a"}), None, AUTHORED, True), Unread("begun", frozenset()))
    heard = ChartAnswers((read,), unread, frozenset({"QuestionnaireResponse/2"}), "cut off")
    kept = orjson.loads(orjson.dumps(beside({"line": {}}, heard)))
    assert kept["line"] == {}
    assert chart_answers(kept, FORM) == heard


def test_of_a_chart_without_responses_nothing_is_kept() -> None:
    assert beside({"line": {}}, NONE_IN_CHART) == {"line": {}}
    assert chart_answers({"line": {}}, FORM) == NONE_IN_CHART
