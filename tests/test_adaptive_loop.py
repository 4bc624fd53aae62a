"""Every policy from open to met one question at a time, over HTTP: order-sign, $next-question, order-sign again."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse

from tests.live_server import LiveServer, Reply
from tests.questionnaire_answers import completed
from tests.test_questionnaire_loop import HOOK, INFORMATION, WALKS, Walk, call, coverage_information, determinations

pytestmark = pytest.mark.server

ADAPTIVE = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-questionnaireAdaptive"
MOST_CALLS = 40
PATIENTS = itertools.count(1)


def as_somebody_else(document: dict[str, Any]) -> dict[str, Any]:
    """The same call for a patient whom no other test has answered for."""
    old = document["context"]["patientId"].rpartition("/")[2]
    new = f"{old}-{next(PATIENTS)}"
    text = re.sub(rf'(?<=["/]){re.escape(old)}(?=")', new, json.dumps(document))
    return dict(json.loads(text))


def opened(walk: Walk, server: LiveServer) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The call and what was said of its order; and the instant, by the server's own clock."""
    sent = as_somebody_else(call(walk))
    signed = server.post(HOOK, json.dumps(sent).encode())
    return sent, signed.json(), parsedate_to_datetime(signed.headers["Date"]).isoformat()


def begun(walk: Walk, server: LiveServer) -> tuple[dict[str, Any], str]:
    """A response without an item, and where it goes on: as a client begins with what a package gave it."""
    sent, answer, authored = opened(walk, server)
    said = coverage_information(answer)
    response = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": said["questionnaire"],
        "status": "in-progress",
        "subject": {"reference": f"Patient/{sent['context']['patientId']}"},
        "authored": authored,
    }
    return response, f"/fhir/contexts/{said['coverage-assertion-id']}"


def asked(server: LiveServer, where: str, response: Mapping[str, Any], query: str = "") -> Reply:
    return server.post(f"{where}/Questionnaire/$next-question{query}", json.dumps(response).encode())


def answered(response: Mapping[str, Any], said: Mapping[str, str]) -> dict[str, Any]:
    """What was put, answered as a clinician would; what was answered before is answered the same."""
    [form] = response["contained"]
    whole = completed({"item": [], **form, "url": "x"}, "x", response["authored"], said)
    return {**response, "item": whole["item"]}


def link_ids(items: Any) -> Iterator[str]:
    for item in items:
        yield item["linkId"]
        yield from link_ids(item.get("item", ()))


def questions(response: Mapping[str, Any]) -> list[str]:
    return list(link_ids(response["contained"][0].get("item", ())))


@pytest.mark.parametrize("version", ["2.0.1", "2.1", "2.2"])
@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.policy)
def test_one_question_at_a_time_takes_a_policy_from_open_to_met(walk: Walk, version: str, server: LiveServer) -> None:
    sent, first, authored = opened(walk, server)
    said = coverage_information(first)
    response: dict[str, Any] = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": said["questionnaire"],
        "status": "in-progress",
        "subject": {"reference": f"Patient/{sent['context']['patientId']}"},
        "authored": authored,
    }
    where = f"/fhir/contexts/{said['coverage-assertion-id']}"
    seen: list[str] = []
    for _ in range(MOST_CALLS):
        reply = asked(server, where, response, f"?dtr-version={version}")
        assert reply.status == 200, reply.body.decode()
        response = reply.json()
        QuestionnaireResponse.model_validate(response)
        [form] = response["contained"]
        assert response["questionnaire"] == f"#{form['id']}"
        assert form["derivedFrom"] == [said["questionnaire"]]
        assert set(seen) <= set(questions(response)), "what was put stays"
        seen = questions(response)
        if response["status"] == "completed":
            break
        response = answered(response, walk.said)
    assert response["status"] == "completed"

    id_ = said["coverage-assertion-id"]
    posted = server.post(f"/fhir/QuestionnaireResponse?context={id_}", json.dumps(response).encode())
    assert posted.status == 201, posted.body.decode()
    parts = {one["name"]: one for one in posted.json()["parameter"]}
    after = json.loads(parts["determination"]["valueString"])
    assert after["criteria"][0]["status"] == "met", [one for one in after["criteria"] if one["status"] != "met"]

    borne = [one for one in response.get("extension", ()) if one["url"] == INFORMATION]
    assert bool(borne) is (version != "2.0.1"), "the profile of 2.0.1 has no place for it"
    for one in borne:
        told = {part["url"]: next(value for name, value in part.items() if name != "url") for part in one["extension"]}
        assert told["coverage-assertion-id"] == id_
        assert (told["covered"], told.get("pa-needed")) == (after["covered"], after["paNeeded"])
        assert "satisfied-pa-id" not in told

    sent["context"]["draftOrders"]["entry"][0]["resource"] = first["systemActions"][0]["resource"]
    [again] = determinations(server.post(HOOK, json.dumps(sent).encode()).json())
    assert again["criteria"] == after["criteria"]


def test_what_the_chart_decided_is_not_asked(server: LiveServer) -> None:
    response, where = begun(WALKS[0], server)
    _, answer, _ = opened(WALKS[0], server)
    [said] = determinations(answer)
    decided = {one["id"] for one in said["criteria"] if one["status"] in ("met", "not-met")}
    assert decided
    for _ in range(MOST_CALLS):
        response = asked(server, where, response).json()
        assert decided.isdisjoint(questions(response))
        if response["status"] == "completed":
            return
        response = answered(response, WALKS[0].said)
    raise AssertionError("it does not end")


def test_papers_and_the_attestation_come_after_the_clinical_questions_and_a_display_that_says_so(
    server: LiveServer,
) -> None:
    response, where = begun(WALKS[1], server)
    clinical: set[str] = set()
    for _ in range(MOST_CALLS):
        response = asked(server, where, response).json()
        now = set(questions(response))
        office = {one for one in now if one.startswith(("form.", "doc."))}
        if office:
            break
        clinical = now
        response = answered(response, WALKS[1].said)
    assert "form.attestation" in office
    assert now - clinical == office | {one for one in now if one.startswith(("form.", "doc."))}
    displays = [one for one in response["contained"][0]["item"] if one["type"] == "display"]
    assert displays, "DTR, spec-39: a display item says that the clinical questions are finished"
    assert response["status"] == "in-progress"


def test_each_version_gets_its_own_way_of_hanging_on_and_of_being_called(server: LiveServer) -> None:
    response, where = begun(WALKS[1], server)
    base = f"http://{server.host}:{server.port}{where}"
    for version, url, hangs in (("2.0.1", f"{base}/Questionnaire", False), ("2.1", base, False), ("2.2", base, True)):
        [form] = asked(server, where, response, f"?dtr-version={version}").json()["contained"]
        assert [one["valueUrl"] for one in form["extension"] if one["url"] == ADAPTIVE] == [url]
        assert ("enableWhen" in json.dumps(form)) is hangs, version
        assert form["text"]["div"], "2.0.1 and 2.1 want a narrative"


def test_the_version_is_kept_from_one_call_to_the_next_by_the_address_in_the_form(server: LiveServer) -> None:
    response, where = begun(WALKS[1], server)
    first = asked(server, where, response, "?dtr-version=2.0.1").json()
    [form] = asked(server, where, answered(first, {})).json()["contained"]
    assert form["extension"][-1]["valueUrl"].endswith("/Questionnaire")


def test_the_answer_is_the_bare_response_or_parameters_named_as_the_question_was(server: LiveServer) -> None:
    response, where = begun(WALKS[0], server)
    for name, out in (
        ("questionnaire-response", "return"),
        ("questionnaire-response-in", "questionnaire-response-out"),
        ("in", "out"),
    ):
        body = {"resourceType": "Parameters", "parameter": [{"name": name, "resource": response}]}
        assert asked(server, where, body).json()["resourceType"] == "QuestionnaireResponse"
        [given] = asked(server, where, body, "?output=parameters").json()["parameter"]
        assert given["name"] == out
        assert given["resource"]["resourceType"] == "QuestionnaireResponse"


def test_without_a_context_the_whole_form_is_gone_through_and_nothing_is_determined(server: LiveServer) -> None:
    response, _ = begun(WALKS[2], server)
    for _ in range(MOST_CALLS):
        response = asked(server, "/fhir", response).json()
        if response["status"] == "completed":
            break
        response = answered(response, {})
    assert response["status"] == "completed"
    assert "extension" not in response


# -- what is refused ---------------------------------------------------------------------------------------


def refused(reply: Reply, status: int, *words: str) -> None:
    outcome = reply.json()
    assert reply.status == status, outcome
    assert outcome["resourceType"] == "OperationOutcome"
    said = " ".join(one["details"]["text"] for one in outcome["issue"])
    for word in words:
        assert word in said


def test_another_patients_response_is_refused(server: LiveServer) -> None:
    response, where = begun(WALKS[0], server)
    refused(asked(server, where, {**response, "subject": {"reference": "Patient/other"}}), 400, "subject")
    refused(asked(server, where, {name: one for name, one in response.items() if name != "subject"}), 400, "subject")


def test_a_context_that_was_never_given_out_or_belongs_to_another_form_is_not_found(server: LiveServer) -> None:
    response, where = begun(WALKS[0], server)
    refused(asked(server, "/fhir/contexts/3f0e8a04-0000-4000-8000-000000000000", response), 404, "context")
    other, _ = begun(WALKS[1], server)
    refused(asked(server, where, {**other, "subject": response["subject"]}), 404, "context")


def test_an_unknown_form_or_version_is_told(server: LiveServer) -> None:
    response, where = begun(WALKS[0], server)
    url = response["questionnaire"].partition("|")[0]
    for canonical in (f"{url}|1999-01-01", "http://example.org/Questionnaire/other"):
        refused(asked(server, where, {**response, "questionnaire": canonical}), 422, "questionnaire")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"item": [{"linkId": "nobody.asked"}]}, ("nobody.asked",)),
        ({"item": [{"linkId": "ma-oxygen.stable", "answer": [{"valueBoolean": True}]}]}, ("ma-oxygen.stable",)),
        ({"status": "stopped"}, ("status",)),
        ({"modifierExtension": [{"url": "x", "valueBoolean": True}]}, ("modifierExtension",)),
        ({"questionnaire": "#lost"}, ("questionnaire",)),
        ({"authored": "yesterday"}, ("authored",)),
    ],
)
def test_an_invalid_response_is_refused_with_each_place(
    server: LiveServer, change: dict[str, Any], words: tuple[str, ...]
) -> None:
    response, where = begun(WALKS[0], server)
    refused(asked(server, where, {**response, **change}), 400, *words)


def test_an_answer_that_is_not_offered_is_named_by_its_link_id(server: LiveServer) -> None:
    response, where = begun(WALKS[1], server)
    first = asked(server, where, response).json()
    wrong = answered(first, {})
    text = json.dumps(wrong["item"]).replace('"Y"', '"maybe"')
    refused(asked(server, where, {**wrong, "item": json.loads(text)}), 400, "linkId", "options")


def test_a_contained_form_with_items_of_its_own_is_refused(server: LiveServer) -> None:
    response, where = begun(WALKS[1], server)
    first = asked(server, where, response).json()
    first["contained"][0]["item"].append({"linkId": "smuggled", "type": "string", "text": "x"})
    refused(asked(server, where, first), 400, "smuggled")


def test_what_is_no_response_at_all_is_refused(server: LiveServer) -> None:
    _, where = begun(WALKS[0], server)
    path = f"{where}/Questionnaire/$next-question"
    for body in (b"", b"[]", b"{", b'{"resourceType": "Patient"}', b'{"resourceType": "Parameters"}'):
        refused(server.post(path, body), 400)
    refused(asked(server, where, begun(WALKS[0], server)[0], "?dtr-version=9"), 422, "2.2")


YES = {"system": "http://terminology.hl7.org/CodeSystem/v2-0136", "code": "Y"}


@pytest.mark.parametrize("ring", [("ma-oxygen.stable",), ("ma-oxygen.stable", "ask.skilled-nursing-facility")])
def test_questions_that_hang_on_themselves_are_refused_by_their_names(
    ring: tuple[str, ...], server: LiveServer
) -> None:
    response, where = begun(WALKS[0], server)
    items = [
        {"linkId": one, "enableWhen": [{"question": before, "operator": "=", "answerCoding": YES}]}
        for one, before in zip(ring, (*ring[1:], ring[0]), strict=True)
    ]
    held = {"resourceType": "Questionnaire", "id": "q", "derivedFrom": [response["questionnaire"]], "item": items}
    said = [{"linkId": one, "answer": [{"valueCoding": YES}]} for one in ring]
    reply = asked(server, where, {**response, "questionnaire": "#q", "contained": [held], "item": said})
    assert reply.status == 400
    texts = [one["details"]["text"] for one in reply.json()["issue"]]
    assert len(texts) == len(ring) and all(any(one in text for text in texts) for one in ring)


@pytest.mark.parametrize("question", [[], {}, 7, None])
def test_an_enable_when_that_names_no_question_hangs_on_nothing(question: Any, server: LiveServer) -> None:
    response, where = begun(WALKS[0], server)
    gates = [{"question": question, "answerCoding": {"code": "Y"}}]
    items = [{"linkId": "ma-oxygen.stable", "enableWhen": gates}]
    held = {"resourceType": "Questionnaire", "id": "q", "derivedFrom": [response["questionnaire"]], "item": items}
    reply = asked(server, where, {**response, "questionnaire": "#q", "contained": [held]})
    assert reply.status == 200, reply.body.decode()


def test_a_completed_response_without_its_attestation_is_no_evidence(server: LiveServer) -> None:
    response, where = begun(WALKS[0], server)
    held = {"resourceType": "Questionnaire", "id": "q", "derivedFrom": [response["questionnaire"]]}
    held["item"] = [{"linkId": "ma-oxygen.stable"}]
    said = [{"linkId": "ma-oxygen.stable", "answer": [{"valueCoding": YES}]}]
    done = {**response, "status": "completed", "questionnaire": "#q", "contained": [held], "item": said}
    reply = server.post(f"/fhir/QuestionnaireResponse?context={where.rpartition('/')[2]}", json.dumps(done).encode())
    assert reply.status == 422
    assert "form.attestation" in reply.body.decode()


@pytest.mark.parametrize("authored", ["2999-01-01T00:00:00Z", "9999-12-31", "2999"])
def test_answers_of_a_day_to_come_are_refused(authored: str, server: LiveServer) -> None:
    response, where = begun(WALKS[0], server)
    reply = asked(server, where, {**response, "authored": authored})
    assert reply.status == 400
    assert "authored: lies in the future" in reply.body.decode()
