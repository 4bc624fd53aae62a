"""An older answer that comes in never overrules a newer one that the chart held when the order was signed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.questionnaire_answers import completed
from tests.unit.crd.small_call import bundle, call, coverage, order
from tests.unit.policy.small_form import CANONICAL, NO, YES, item, response
from tests.unit.web.test_responses import (
    ALL,
    INFORMATION,
    LUNG,
    NOW,
    PATIENT,
    REST,
    SERVER,
    STABLE,
    Clock,
    assertion_id,
    determination,
    parameters,
    root,
    send,
    started,
)

NEWER = "2026-11-21T09:00:00-05:00"
OLDER = "2026-11-20T09:00:00-05:00"
REFUTED = response(item(LUNG, YES), item(REST, NO), item(STABLE, NO), id="newer", authored=NEWER)


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return started(tmp_path, tmp_path / "cds.sqlite", Clock())


def sign(client: FlaskClient, *chart: dict[str, Any], **more: Any) -> dict[str, Any]:
    held = bundle(*chart, **more)
    given = {"patient": PATIENT, "coverage": bundle(coverage()), "observations": bundle()}
    sent = call(order(), prefetch={**given, "questionnaireResponses": held}, fhirServer=SERVER)
    reply = client.post("/cds-services/order-sign-crd", json=sent)
    assert reply.status_code == 200, reply.text
    return dict(reply.json)


def ask_to_the_end(client: FlaskClient, context: str, authored: str) -> dict[str, Any]:
    """The adaptive form, every question answered yes at an instant."""
    said: Mapping[str, Any] = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": CANONICAL,
        "status": "in-progress",
        "subject": {"reference": "Patient/p1"},
        "authored": authored,
    }
    for _ in range(20):
        reply = client.post(f"/fhir/contexts/{context}/Questionnaire/$next-question", json=said)
        assert reply.status_code == 200, reply.text
        said = reply.json
        if said["status"] == "completed":
            return dict(said)
        [form] = said["contained"]
        whole = completed({"item": [], **form, "url": "x"}, "x", authored, {})
        said = {**said, "item": whole["item"]}
    raise AssertionError("the form has no end")


def coverage_said(resource: Mapping[str, Any]) -> list[str]:
    """What coverage-information says, in any order and in whatever version."""
    [said] = [one for one in resource["extension"] if one["url"] == INFORMATION]
    return sorted(json.dumps(one) for one in said["extension"] if one["url"] != "coverage-assertion-id")


def test_an_older_yes_that_is_sent_in_does_not_overrule_a_newer_no_of_the_chart(client: FlaskClient) -> None:
    first = sign(client, REFUTED)
    assert root(determination(first)) == "not-met"
    reply = send(client, response(*ALL, id="older", authored=OLDER), assertion_id(first))
    assert reply.status_code == 201, reply.text
    assert root(parameters(reply)["determination"]) == "not-met"
    assert determination(sign(client, REFUTED)) == parameters(reply)["determination"]


def test_a_newer_yes_that_is_sent_in_does(client: FlaskClient) -> None:
    first = sign(client, REFUTED)
    reply = send(client, response(*ALL, id="newest", authored="2026-11-21T10:00:00-05:00"), assertion_id(first))
    assert root(parameters(reply)["determination"]) == "met"
    assert determination(sign(client, REFUTED)) == parameters(reply)["determination"]


@pytest.mark.parametrize("fault", [{"item": [{"linkId": STABLE, "answer": "no"}]}, {"modifierExtension": [{}]}])
def test_an_answer_that_could_not_be_read_may_have_said_no(fault: dict[str, Any], client: FlaskClient) -> None:
    faulty = {**REFUTED, **fault}
    first = sign(client, faulty)
    reply = send(client, response(*ALL, id="older", authored=OLDER), assertion_id(first))
    assert root(parameters(reply)["determination"]) == "unknown"
    assert determination(sign(client, faulty)) == parameters(reply)["determination"]


def test_of_a_look_up_that_was_cut_off_the_newest_may_be_missing(client: FlaskClient) -> None:
    more = [{"relation": "next", "url": f"{SERVER}/more"}]
    chart = response(*ALL, id="chart", authored="2026-11-20T10:00:00-05:00")
    first = sign(client, chart, link=more)
    reply = send(client, response(*ALL, id="older", authored=OLDER), assertion_id(first))
    assert root(parameters(reply)["determination"]) == root(determination(first)) == "unknown"


def test_what_is_kept_of_the_charts_answers_fills_no_new_form(client: FlaskClient) -> None:
    # DTR 2.2, spec-125
    context = assertion_id(sign(client, REFUTED))
    sent = {"resourceType": "Parameters", "parameter": [{"name": "context", "valueString": context}]}
    reply = client.post("/fhir/Questionnaire/$questionnaire-package", json=sent)
    assert reply.status_code == 200, reply.text
    assert "newer" not in json.dumps(reply.json)


def test_one_question_at_a_time_comes_to_no_more_than_the_next_order_sign(client: FlaskClient) -> None:
    open_still = sign(client)
    alone = coverage_said(ask_to_the_end(client, assertion_id(open_still), OLDER))
    refuted = sign(client, REFUTED)
    beside = coverage_said(ask_to_the_end(client, assertion_id(refuted), OLDER))
    later = coverage_said(ask_to_the_end(client, assertion_id(refuted), NOW.isoformat()))
    assert beside == coverage_said(refuted["systemActions"][0]["resource"])
    assert alone == later != beside


def test_nor_than_what_was_sent_here_since(client: FlaskClient) -> None:
    context = assertion_id(sign(client))
    assert send(client, REFUTED, context).status_code == 201
    older = coverage_said(ask_to_the_end(client, context, OLDER))
    later = coverage_said(ask_to_the_end(client, context, NOW.isoformat()))
    assert older != later


def test_where_no_context_is_kept_an_assertion_id_is_passed_over(tmp_path: Path) -> None:
    client = started(tmp_path, tmp_path / "cds.sqlite", Clock(), CDS_DTR_CONTEXT_DAYS="0")
    done = ask_to_the_end(client, assertion_id(sign(client)), NOW.isoformat())
    assert INFORMATION not in [one["url"] for one in done.get("extension", ())]
