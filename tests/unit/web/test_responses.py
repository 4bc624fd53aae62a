"""A finished questionnaire that is sent in: stored whole or refused whole, and what it comes to."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.crd.received import ToStore, fate_of
from cds_service.fhir.problem import Problem
from cds_service.settings import read_settings
from tests.fakes import numbered_ids
from tests.unit.crd.small_call import bundle, call, coverage, order
from tests.unit.policy.small_form import (
    CANONICAL,
    NO,
    URL,
    YES,
    about,
    definitions_with_form,
    item,
    response,
)

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=ZoneInfo("America/New_York"))
SERVER = "https://ehr.example.org/fhir"
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-05-01"}
LUNG, STABLE, REST = "acme-oxygen.lung", "acme-oxygen.stable", "acme-oxygen.rest"
ALL = (item(LUNG, YES), item(REST, YES), item(STABLE, YES))
INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"


class Clock:
    def __init__(self) -> None:
        self.moment = NOW

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "cds.sqlite"


@pytest.fixture
def client(tmp_path: Path, database: Path, clock: Clock) -> FlaskClient:
    return started(tmp_path, database, clock)


def started(tmp_path: Path, database: Path, clock: Clock, **more: str) -> FlaskClient:
    for one in definitions_with_form():
        path = tmp_path / one.where
        if one.resource["resourceType"] == "Questionnaire":
            path = tmp_path / "plans/acme/oxygen/2024-06-01/Questionnaire.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(one.resource))
    chosen = {
        "CDS_CLIENT_AUTH": "off",
        "CDS_DATABASE_URL": f"sqlite:///{database}",
        "CDS_PLANS": str(tmp_path / "plans"),
        "CDS_VALUESETS": str(tmp_path / "valuesets"),
        **more,
    }
    settings, problems = read_settings(chosen)
    assert settings is not None, problems
    return create_app(settings, now=clock, new_id=numbered_ids()).test_client()


def sign(client: FlaskClient, *orders: dict[str, Any]) -> dict[str, Any]:
    """order-sign: the answer, by order id -> (assertion id, determination)."""
    given = {"patient": PATIENT, "coverage": bundle(coverage()), "observations": bundle()}
    reply = client.post("/cds-services/order-sign-crd", json=call(*orders, prefetch=given, fhirServer=SERVER))
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json
    return body


def assertion_id(answer: dict[str, Any], place: int = 0) -> str:
    [said] = [one for one in answer["systemActions"][place]["resource"]["extension"] if one["url"] == INFORMATION]
    parts = {one["url"]: one for one in said["extension"]}
    return str(parts["coverage-assertion-id"]["valueString"])


def determination(answer: dict[str, Any], place: int = 0) -> dict[str, Any]:
    found = [one for card in answer["cards"] for one in card.get("extension", {}).get("cds-service.determinations", ())]
    return dict(found[place])


def root(said: dict[str, Any]) -> str:
    return str(said["criteria"][0]["status"])


def send(client: FlaskClient, body: Any, context: str | None = None) -> TestResponse:
    query = {"context": context} if context is not None else {}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/fhir/QuestionnaireResponse", data=raw, query_string=query)


def parameters(reply: TestResponse) -> dict[str, Any]:
    assert reply.mimetype == "application/fhir+json"
    body = reply.json
    assert body is not None and body["resourceType"] == "Parameters", body
    return {one["name"]: one.get("resource") or json.loads(one["valueString"]) for one in body["parameter"]}


def issues(reply: TestResponse) -> list[tuple[str, str]]:
    body = reply.json
    assert body is not None and body["resourceType"] == "OperationOutcome", body
    texts = [(one["code"], one["details"]["text"]) for one in body["issue"]]
    assert all(": " in text and "; " in text for _, text in texts), texts
    return texts


def stored(database: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT id, status, content FROM responses").fetchall()


# -- the loop


def test_a_response_under_its_assertion_id_gives_the_new_determination_and_the_next_order_sign_says_the_same(
    client: FlaskClient,
) -> None:
    first = sign(client)
    assert root(determination(first)) == "unknown"
    reply = send(client, response(*ALL), assertion_id(first))
    assert reply.status_code == 201, reply.text
    came = parameters(reply)
    assert came["response"] == response(*ALL)
    assert root(came["determination"]) == "met"
    again = sign(client, first["systemActions"][0]["resource"])
    assert determination(again) == came["determination"]
    evidence = next(one for one in came["determination"]["criteria"] if one["id"] == STABLE)["evidence"]
    assert evidence == [{"reference": "QuestionnaireResponse/r1", "display": "answered yes on 2026-11-20"}]


def test_it_may_say_its_assertion_id_itself_and_come_first_in_a_bundle(client: FlaskClient) -> None:
    context = assertion_id(sign(client))
    said = {"url": INFORMATION, "extension": [{"url": "coverage-assertion-id", "valueString": context}]}
    whole = response(*ALL, extension=[said, *about("DeviceRequest/o1", "Coverage/c1")])
    body = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": whole}, {"resource": PATIENT}]}
    reply = send(client, body)
    assert reply.status_code == 201, reply.text
    assert root(parameters(reply)["determination"]) == "met"


def test_answers_to_one_order_do_not_answer_for_another(client: FlaskClient) -> None:
    both = sign(client, order("o1"), order("o2"))
    assert send(client, response(*ALL), assertion_id(both)).status_code == 201
    again = sign(client, *(one["resource"] for one in both["systemActions"]))
    by_order = {}
    for card in again["cards"]:
        for one in card.get("extension", {}).get("cds-service.determinations", ()):
            by_order[one["order"]] = root(one)
    assert by_order == {"DeviceRequest/o1": "met", "DeviceRequest/o2": "unknown"}


def test_without_a_context_it_is_stored_and_the_outcome_says_why_nothing_is_determined(
    client: FlaskClient, database: Path
) -> None:
    whole = response(*ALL, subject={"reference": f"{SERVER}/Patient/p1"})
    reply = send(client, whole)
    assert reply.status_code == 201, reply.text
    came = parameters(reply)
    assert "determination" not in came
    assert "no context was named" in came["outcome"]["issue"][0]["details"]["text"]
    assert len(stored(database)) == 1
    # the patient was named with the server: a call from there finds it
    assert root(determination(sign(client))) == "met"


def test_without_an_id_it_is_given_one_and_the_same_content_is_stored_once(client: FlaskClient, database: Path) -> None:
    nameless = {name: value for name, value in response(*ALL).items() if name != "id"}
    context = assertion_id(sign(client))
    first, second = send(client, nameless, context), send(client, nameless, context)
    assert (first.status_code, second.status_code) == (201, 200)
    assert parameters(first) == parameters(second)
    assert parameters(first)["response"]["id"]
    assert len(stored(database)) == 1


# -- the same id again


def test_the_same_content_again_changes_nothing(client: FlaskClient, database: Path) -> None:
    context = assertion_id(sign(client))
    first, second = (
        send(client, response(*ALL), context),
        send(client, response(*ALL, meta={"versionId": "2"}), context),
    )
    assert (first.status_code, second.status_code) == (201, 200)
    assert parameters(first) == parameters(second)
    assert len(stored(database)) == 1


def test_a_context_that_comes_later_is_kept_with_it(client: FlaskClient) -> None:
    first = sign(client)
    whole = response(*ALL, subject={"reference": f"{SERVER}/Patient/p1"})
    assert send(client, whole).status_code == 201
    reply = send(client, whole, assertion_id(first))
    assert reply.status_code == 200
    assert root(parameters(reply)["determination"]) == "met"


@pytest.mark.parametrize(
    "change",
    [
        {"authored": "2026-11-21T09:00:00-05:00"},
        {"status": "amended"},
        {"status": "amended", "authored": "2026-11-21T09:00:00-05:00"},
    ],
)
def test_a_newer_version_takes_the_place_of_the_older(
    change: dict[str, Any], client: FlaskClient, database: Path
) -> None:
    first = sign(client)
    context = assertion_id(first)
    send(client, response(*ALL), context)
    reply = send(client, response(item(LUNG, YES), item(STABLE, NO), **change), context)
    assert reply.status_code == 201, reply.text
    assert root(parameters(reply)["determination"]) == "not-met"
    assert len(stored(database)) == 1
    assert root(determination(sign(client, first["systemActions"][0]["resource"]))) == "not-met"


@pytest.mark.parametrize("authored", ["2026-11-19T09:00:00-05:00", "2026-11-20T09:00:00-05:00", "2026-11-20"])
def test_another_version_that_is_not_newer_is_a_conflict(authored: str, client: FlaskClient, database: Path) -> None:
    context = assertion_id(sign(client))
    send(client, response(*ALL), context)
    before = stored(database)
    reply = send(client, response(item(LUNG, NO), authored=authored), context)
    assert reply.status_code == 409
    assert issues(reply)[0][0] == "conflict"
    assert stored(database) == before


def test_a_response_can_be_withdrawn_and_its_answers_count_no_more(client: FlaskClient, database: Path) -> None:
    first = sign(client)
    context = assertion_id(first)
    send(client, response(*ALL), context)
    withdrawn = response(*ALL, status="entered-in-error")
    reply = send(client, withdrawn, context)
    assert reply.status_code == 200, reply.text
    assert root(parameters(reply)["determination"]) == "unknown"
    assert root(determination(sign(client, first["systemActions"][0]["resource"]))) == "unknown"
    assert send(client, withdrawn, context).status_code == 200
    # as it was before it counts no more, newly completed it does
    assert send(client, response(*ALL), context).status_code == 409
    assert send(client, response(*ALL, authored="2026-11-21T09:00:00-05:00"), context).status_code == 201
    assert len(stored(database)) == 1


def test_what_is_not_held_cannot_be_withdrawn(client: FlaskClient, database: Path) -> None:
    context = assertion_id(sign(client))
    assert send(client, response(status="entered-in-error"), context).status_code == 404
    nameless = {name: value for name, value in response(status="entered-in-error").items() if name != "id"}
    assert send(client, nameless, context).status_code == 422
    foreign = response(status="entered-in-error", subject={"reference": "Patient/p2"})
    assert send(client, foreign, context).status_code == 422
    assert stored(database) == []


def test_a_version_that_comes_without_its_context_stays_with_the_order_that_it_was_held_for(
    client: FlaskClient,
) -> None:
    one, two = order("o1"), order("o2")
    assert send(client, response(*ALL), assertion_id(sign(client, one))).status_code == 201
    whole = response(*ALL, authored="2026-11-21T09:00:00-05:00", subject={"reference": f"{SERVER}/Patient/p1"})
    assert send(client, whole).status_code == 201
    assert root(determination(sign(client, one))) == "met"
    assert root(determination(sign(client, two))) == "unknown"
    # nor by way of a withdrawal
    assert send(client, {**whole, "status": "entered-in-error"}).status_code == 200
    assert send(client, {**whole, "authored": "2026-11-21T09:30:00-05:00"}).status_code == 201
    assert root(determination(sign(client, one))) == "met"
    assert root(determination(sign(client, two))) == "unknown"


def test_what_is_held_for_one_order_does_not_become_anothers_without_a_context(
    client: FlaskClient, database: Path
) -> None:
    assert send(client, response(*ALL), assertion_id(sign(client))).status_code == 201
    before = stored(database)
    moved = response(*ALL, authored="2026-11-21T09:00:00-05:00", extension=about("DeviceRequest/o2"))
    reply = send(client, {**moved, "subject": {"reference": f"{SERVER}/Patient/p1"}})
    assert reply.status_code == 409
    assert "for another order" in issues(reply)[0][1]
    assert stored(database) == before


@pytest.mark.parametrize("status", ["completed", "amended", "entered-in-error"])
def test_an_answer_to_another_questionnaire_does_not_take_the_place_of_what_is_held_under_its_id(status: str) -> None:
    held = ToStore("x", "p", f"{URL}|1", "completed", "2026-11-20T10:00:00Z", None, None, "d1", b"{}")
    new = replace(held, questionnaire=f"{URL}-2|1", status=status, authored="2026-11-21T10:00:00Z", digest="d2")
    fate = fate_of(new, held)
    assert isinstance(fate, Problem) and fate.kind == "conflict" and "another questionnaire" in fate.what
    assert fate_of(new, None) == "created" or status == "entered-in-error"


def test_a_server_is_the_same_with_its_host_in_capitals(client: FlaskClient) -> None:
    whole = response(*ALL, subject={"reference": "https://EHR.example.org:443/fhir/Patient/p1"})
    reply = send(client, whole)
    assert reply.status_code == 201
    assert [one["severity"] for one in parameters(reply)["outcome"]["issue"]] == ["information"]
    assert root(determination(sign(client))) == "met"


def test_of_a_response_that_no_call_will_find_the_answer_says_so(client: FlaskClient) -> None:
    reply = send(client, response(*ALL))
    assert reply.status_code == 201
    [_, warned] = parameters(reply)["outcome"]["issue"]
    assert (warned["severity"], warned["code"]) == ("warning", "incomplete")
    assert "no call will find these answers" in warned["details"]["text"]
    given = {"patient": PATIENT, "coverage": bundle(coverage()), "observations": bundle()}
    unnamed = client.post("/cds-services/order-sign-crd", json=call(prefetch=given))
    assert root(determination(unnamed.json or {})) == root(determination(sign(client))) == "unknown"


def test_of_more_than_are_read_for_a_patient_none_counts(client: FlaskClient, database: Path) -> None:
    whole = response(*ALL, subject={"reference": f"{SERVER}/Patient/p1"})
    assert send(client, whole).status_code == 201
    columns = 'questionnaire, status, authored, assertion, "order", digest, content, received_at'
    with sqlite3.connect(database) as connection:
        for n in range(200):
            copied = f"SELECT patient, ?, {columns} FROM responses WHERE id = 'r1'"
            connection.execute(f"INSERT INTO responses (patient, id, {columns}) {copied}", (f"c{n}",))
    said = determination(sign(client))
    assert root(said) == "unknown"
    assert "more than 200 were sent here" in json.dumps(said)


# -- bad input: a clear 4xx with the place, nothing stored


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b"[]", 400, "body"),
        (b"\xff", 400, "body"),
        (b"7", 400, "body"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, 400, "body"),
        ({}, 400, "resourceType"),
        ({"resourceType": "Patient"}, 400, "resourceType"),
        ({"resourceType": "Bundle"}, 400, "resourceType"),
        ({"resourceType": "Bundle", "entry": [{"resource": PATIENT}]}, 400, "resourceType"),
        ({"resourceType": "Bundle", "entry": [{"resource": response(*ALL)}] * 2}, 400, "entry"),
        (response(*ALL, id=7), 400, "id"),
        (response(*ALL, id="a/b"), 400, "id"),
        (response(*ALL, questionnaire=None), 400, "questionnaire"),
        (response(*ALL, questionnaire={}), 400, "questionnaire"),
        (response(*ALL, questionnaire="https://elsewhere.example.org/Questionnaire/phq-9|1"), 422, "questionnaire"),
        (response(*ALL, questionnaire=f"{URL}|2019-01-01"), 422, "questionnaire"),
        (response(*ALL, questionnaire=URL), 422, "questionnaire"),
        (response(*ALL, item(f"{LUNG}s", YES)), 422, f"(linkId '{LUNG}s')"),
        (response(item(LUNG, {"valueBoolean": True})), 422, f"(linkId '{LUNG}')"),
        (response(*ALL, item("acme-oxygen.child", YES)), 422, "(linkId 'acme-oxygen.child')"),
        (response(item(STABLE, YES)), 422, f"(linkId '{LUNG}')"),
        (response(*ALL, subject={"reference": "Patient/p2"}), 422, "subject"),
        (response(*ALL, subject={"reference": "https://other.example.org/fhir/Patient/p1"}), 422, "subject"),
        (response(*ALL, subject=None), 422, "subject"),
        (response(*ALL, status="in-progress"), 422, "status"),
        (response(*ALL, status="stopped"), 422, "status"),
        (response(*ALL, status="finished"), 422, "status"),
        (response(*ALL, authored=None), 422, "authored"),
        (response(*ALL, authored="2026-11-22T12:00:00-05:00"), 422, "authored"),
        (response(*ALL, extension=about("DeviceRequest/o9")), 422, "extension"),
        (response(*ALL, extension=about("Coverage/c9")), 422, "extension"),
        (response(*ALL, modifierExtension=[{"url": "urn:not"}]), 422, "modifierExtension"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place_and_nothing_is_stored(
    body: Any, status: int, where: str, client: FlaskClient, database: Path
) -> None:
    context = assertion_id(sign(client))
    reply = send(client, body, context)
    assert reply.status_code == status, reply.text
    assert any(where in text for _, text in issues(reply))
    assert stored(database) == []


def test_in_progress_says_to_complete_it_first(client: FlaskClient) -> None:
    [(_, text)] = issues(send(client, response(*ALL, status="in-progress"), assertion_id(sign(client))))
    assert "complete it first" in text


def test_every_fault_is_an_issue_of_its_own(client: FlaskClient) -> None:
    bad = response(item("nothing", YES), item(STABLE, {"valueBoolean": True}), status="in-progress")
    assert len(issues(send(client, bad, assertion_id(sign(client))))) == 4


@pytest.mark.parametrize("context", ["00000000-0000-4000-8000-999999999999", "' OR 1=1 --", "x" * 201])
def test_a_tampered_assertion_id_is_refused(context: str, client: FlaskClient, database: Path) -> None:
    sign(client)
    reply = send(client, response(*ALL), context)
    assert reply.status_code in (400, 422)
    assert issues(reply)[0][1].startswith("context: ")
    assert context not in reply.text
    assert stored(database) == []


def test_two_assertion_ids_that_differ_are_refused(client: FlaskClient, database: Path) -> None:
    said = {"url": INFORMATION, "extension": [{"url": "coverage-assertion-id", "valueString": "another"}]}
    reply = send(client, response(*ALL, extension=[said]), assertion_id(sign(client)))
    assert reply.status_code == 400
    assert stored(database) == []


def test_an_assertion_id_whose_days_are_over_is_refused(client: FlaskClient, clock: Clock) -> None:
    context = assertion_id(sign(client))
    clock.moment = NOW + timedelta(days=400)
    assert send(client, response(*ALL), context).status_code == 422


def test_a_response_to_an_expired_questionnaire_is_refused(client: FlaskClient, database: Path) -> None:
    # authored before the version began, and for no order that it was in force for
    reply = send(client, response(*ALL, authored="2024-05-31", subject={"reference": f"{SERVER}/Patient/p1"}))
    assert reply.status_code == 422
    assert [code for code, _ in issues(reply)] == ["expired"]
    assert stored(database) == []


def test_a_questionnaire_of_a_policy_that_is_switched_off_is_not_taken(
    tmp_path: Path, database: Path, clock: Clock
) -> None:
    client = started(tmp_path, database, clock, CDS_DISABLED_POLICIES="acme-oxygen")
    assert send(client, response(*ALL)).status_code == 422


def test_a_body_that_is_too_large_is_refused(tmp_path: Path, database: Path, clock: Clock) -> None:
    client = started(tmp_path, database, clock, CDS_MAX_BODY="2048")
    large = response(*ALL, item("doc.report.file", {"valueAttachment": {"data": "A" * 4096}}))
    assert send(client, large).status_code == 413
    assert stored(database) == []


def test_there_is_nothing_to_get(client: FlaskClient) -> None:
    assert client.get("/fhir/QuestionnaireResponse").status_code in (404, 405)
    assert client.get("/fhir/QuestionnaireResponse/r1").status_code == 404


def test_where_the_store_is_away_nothing_is_acknowledged(client: FlaskClient, database: Path) -> None:
    sign(client)
    database.unlink()
    database.mkdir()
    reply = send(client, response(*ALL, subject={"reference": f"{SERVER}/Patient/p1"}))
    assert reply.status_code == 503
    assert reply.headers["Retry-After"] == "60"


def test_numbers_are_kept_as_they_were_written(client: FlaskClient, database: Path) -> None:
    report = item("doc.report", {"valueAttachment": {"data": "JVBERi0=", "extension": [{"valueDecimal": 1.1}]}})
    text = json.dumps(response(*ALL, report)).replace("1.1}", "1.10}").encode()
    reply = send(client, text, assertion_id(sign(client)))
    assert reply.status_code == 201
    assert b'"valueDecimal": 1.10' in reply.data
    assert b'"valueDecimal": 1.10' in stored(database)[0][2]


def test_no_answer_is_written_to_the_log(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    context = assertion_id(sign(client))
    send(client, response(*ALL, item("acme-oxygen.nothing", {"valueString": "Mrs Example"})), context)
    send(client, response(*ALL), context)
    assert "Mrs Example" not in caplog.text and "Patient/" not in caplog.text


def test_the_form_that_is_answered_is_the_one_that_went_out(client: FlaskClient) -> None:
    assert determination(sign(client))["questionnaire"] == CANONICAL


def test_one_that_was_withdrawn_does_not_come_back_when_it_is_sent_again_without_its_id(
    client: FlaskClient, database: Path
) -> None:
    first = sign(client)
    context = assertion_id(first)
    nameless = {name: value for name, value in response(*ALL).items() if name != "id"}
    sent = send(client, nameless, context)
    given = parameters(sent)["response"]["id"]
    withdrawn = {**nameless, "id": given, "status": "entered-in-error"}
    assert send(client, withdrawn, context).status_code == 200
    # a queue that sends once more what it never saw acknowledged
    assert send(client, nameless, context).status_code == 409
    assert send(client, withdrawn, context).status_code == 200
    assert len(stored(database)) == 1
    assert root(determination(sign(client, first["systemActions"][0]["resource"]))) == "unknown"


def test_a_response_about_an_order_that_cannot_be_told_is_no_evidence_but_under_its_context(
    client: FlaskClient,
) -> None:
    context = assertion_id(sign(client))
    url = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/qr-context"
    untold = [{"url": url, "valueReference": {"identifier": {"value": "order 7"}}}]
    alone = response(*ALL, id="a1", extension=untold, subject={"reference": f"{SERVER}/Patient/p1"})
    assert send(client, alone).status_code == 201
    assert root(determination(sign(client))) == "unknown"
    reply = send(client, {**alone, "id": "a2"}, context)
    assert reply.status_code == 201, reply.text
    assert root(parameters(reply)["determination"]) == "met"


# -- a deployment that keeps no context


def test_where_no_context_is_kept_a_response_is_stored_and_the_outcome_says_how_it_is_judged(
    tmp_path: Path, database: Path, clock: Clock
) -> None:
    client = started(tmp_path, database, clock, CDS_DTR_CONTEXT_DAYS="0")
    first = sign(client)
    said = {"url": INFORMATION, "extension": [{"url": "coverage-assertion-id", "valueString": assertion_id(first)}]}
    whole = response(*ALL, extension=[said], subject={"reference": f"{SERVER}/Patient/p1"})
    for context in (None, assertion_id(first)):
        reply = send(client, whole, context)
        assert reply.status_code in (200, 201), reply.text
        came = parameters(reply)
        assert "determination" not in came
        assert "sign the order again" in came["outcome"]["issue"][0]["details"]["text"]
    assert len(stored(database)) == 1
    # of the order whose id it bears, and of no other
    assert root(determination(sign(client, first["systemActions"][0]["resource"]))) == "met"
    assert root(determination(sign(client, order("o2")))) == "unknown"
