"""DTR's adaptive forms, value sets and reports of errors: what the guide wants of a payer, call by call."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from pathlib import Path
from typing import Any, cast

import pytest
from flask.testing import FlaskClient

from cds_service.dtr.asked_form import adaptive_shell
from cds_service.dtr.dialects import DTR_20, DTR_21, DTR_22, Dialect
from cds_service.policy.form import form_of
from tests.conformance.calls import NOW
from tests.conformance.packages import DTR, package, profile_faults, r4_faults
from tests.conformance.statements import requirement
from tests.live_server import LiveServer
from tests.questionnaire_answers import completed
from tests.test_adaptive_loop import ADAPTIVE, MOST_CALLS, begun, link_ids
from tests.test_questionnaire_loop import INFORMATION, WALKS, Walk

PROFILES = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition"
PLANS = Path(__file__).parents[2] / "plans"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class InProcess:
    """The application, called as a server on a socket is."""

    client: FlaskClient

    def post(self, path: str, body: bytes) -> Answer:
        response = self.client.post(path, data=body)
        return Answer(response.status_code, response.data, {"Date": format_datetime(NOW)})


def started(service: FlaskClient, walk: Walk = WALKS[1]) -> tuple[InProcess, dict[str, Any], str]:
    server = InProcess(service)
    response, where = begun(walk, cast(LiveServer, server))
    return server, response, f"{where}/Questionnaire/$next-question"


def steps(service: FlaskClient, version: str = "2.2", walk: Walk = WALKS[1]) -> list[dict[str, Any]]:
    """Every response on the way, to the completed one."""
    server, response, path = started(service, walk)
    found = []
    for _ in range(MOST_CALLS):
        answer = server.post(f"{path}?dtr-version={version}", json.dumps(response).encode())
        assert answer.status == 200, answer.body
        found.append(answer.json())
        if found[-1]["status"] == "completed":
            return found
        [form] = found[-1]["contained"]
        items = completed({"item": [], **form, "url": "x"}, "x", response["authored"], walk.said)["item"]
        response = {**found[-1], "item": items}
    raise AssertionError("it does not end")


def put(response: Mapping[str, Any]) -> set[str]:
    return set(link_ids(response["contained"][0].get("item", ())))


@requirement("dtr/next-question", "dtr/next-question-bare", "dtr/next-question-completed", "inferno-dtr/2.10")
@requirement("inferno-dtr/2.13")
def test_the_client_is_led_to_a_completed_response_that_keeps_what_it_said(service: FlaskClient) -> None:
    found = steps(service)
    assert {one["resourceType"] for one in found} == {"QuestionnaireResponse"}
    assert [one["status"] for one in found] == ["in-progress"] * (len(found) - 1) + ["completed"]
    for before, after in itertools.pairwise(found):
        assert put(before) <= put(after)
    assert put(found[-1]) == put(found[-2]), "the last only says that it is done"


@requirement("dtr/next-question-parameters")
@pytest.mark.parametrize("name", ["questionnaire-response", "questionnaire-response-in", "in"])
def test_the_response_is_taken_under_each_name_that_a_version_gives_it(service: FlaskClient, name: str) -> None:
    server, response, path = started(service)
    body = {"resourceType": "Parameters", "parameter": [{"name": name, "resource": response}]}
    assert server.post(path, json.dumps(body).encode()).json()["resourceType"] == "QuestionnaireResponse"


@requirement("dtr/derived-from", "dtr/one-contained-questionnaire")
def test_each_response_contains_one_questionnaire_derived_from_the_packaged_one(service: FlaskClient) -> None:
    _, begun_with, _ = started(service)
    for response in steps(service):
        [form] = response["contained"]
        assert response["questionnaire"] == f"#{form['id']}"
        assert form["derivedFrom"] == [begun_with["questionnaire"]]


@requirement("dtr/profile-adapt")
@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.policy)
def test_each_contained_questionnaire_meets_the_profile_of_2_0_1(
    service: FlaskClient, fhir_folder: Path, walk: Walk
) -> None:
    for response in steps(service, "2.0.1", walk):
        assert r4_faults(fhir_folder, response) == []
        [form] = response["contained"]
        assert profile_faults(package(fhir_folder, DTR), f"{PROFILES}/dtr-questionnaire-adapt", form) == []


@requirement("dtr/profile-adapt-search")
@pytest.mark.parametrize("dialect", [DTR_20, DTR_21, DTR_22], ids=lambda one: one.name)
def test_each_shell_meets_the_profile_of_2_0_1_and_has_no_items(fhir_folder: Path, dialect: Dialect) -> None:
    for path in sorted(PLANS.rglob("Questionnaire.json")):
        shell = adaptive_shell(form_of(json.loads(path.read_bytes())), "https://cds.example.org/fhir", dialect)
        assert r4_faults(fhir_folder, shell) == []
        assert profile_faults(package(fhir_folder, DTR), f"{PROFILES}/dtr-questionnaire-adapt-search", shell) == []
        assert "item" not in shell


@requirement("dtr/spec-24")
@pytest.mark.parametrize(("version", "tail"), [("2.0.1", "/Questionnaire"), ("2.1", ""), ("2.2", "")])
def test_the_address_of_the_next_question_lies_under_the_payers_base(
    service: FlaskClient, version: str, tail: str
) -> None:
    [form] = steps(service, version)[0]["contained"]
    [url] = [one["valueUrl"] for one in form["extension"] if one["url"] == ADAPTIVE]
    assert url.startswith("https://cds.example.org/fhir/")
    assert url.endswith("/Questionnaire") is bool(tail)


@requirement("dtr/spec-17")
def test_no_question_is_put_whose_answer_the_chart_holds(service: FlaskClient) -> None:
    # this infant's chart tells its age, and that it is on oxygen
    asked = put(steps(service)[-1])
    assert "oh-oximeter.paediatric" not in asked
    assert "oh-oximeter.oxygen-dependent" not in asked


@requirement("dtr/spec-36", "dtr/no-enable-when-before-2.2")
def test_questions_come_together_where_the_version_lets_one_hang_on_the_other(service: FlaskClient) -> None:
    assert len(steps(service, "2.2")) < len(steps(service, "2.1"))
    for version in ("2.0.1", "2.1"):
        assert "enableWhen" not in json.dumps(steps(service, version)[-1]["contained"])


@requirement("dtr/spec-39")
def test_a_display_says_that_the_clinical_questions_are_finished_before_anything_else_is_asked(
    service: FlaskClient,
) -> None:
    for walk in WALKS:
        for response in steps(service, "2.1", walk):
            items = response["contained"][0].get("item", ())
            names = [one["linkId"] for one in items]
            office = [n for n, name in enumerate(names) if name in ("form.documents", "form.attestation")]
            if office:
                assert names.index("form.clinical-end") < office[0]
                assert next(one for one in items if one["linkId"] == "form.clinical-end")["type"] == "display"


@requirement("dtr/spec-33", "dtr/spec-42", "dtr/spec-43", "dtr/spec-45")
def test_a_completed_response_bears_coverage_information_where_crd_was_asked_before(service: FlaskClient) -> None:
    said = [one for one in steps(service)[-1].get("extension", ()) if one["url"] == INFORMATION]
    assert len(said) == 1
    assert "satisfied-pa-id" not in json.dumps(said)
    server, response, _ = started(service)
    answer = server.post("/fhir/Questionnaire/$next-question", json.dumps(response).encode())
    assert INFORMATION not in json.dumps(answer.json())
    # a second run replaces what the first one said
    server, response, path = started(service)
    response["extension"] = [*said, {"url": "http://example.org/other", "valueBoolean": True}]
    said[0]["extension"] = [one for one in said[0]["extension"] if one["url"] != "coverage-assertion-id"]
    for _ in range(MOST_CALLS):
        response = server.post(path, json.dumps(response).encode()).json()
        if response["status"] == "completed":
            break
        [form] = response["contained"]
        whole = completed({"item": [], **form, "url": "x"}, "x", response["authored"], WALKS[1].said)
        response = {**response, "item": whole["item"]}
    assert [one["url"] for one in response["extension"]].count(INFORMATION) == 1
    assert response["extension"][0]["url"] == "http://example.org/other"


@requirement("dtr/spec-147")
def test_a_response_that_is_invalid_is_refused_with_what_is_wrong_in_it(service: FlaskClient) -> None:
    server, response, path = started(service)
    answer = server.post(path, json.dumps({**response, "item": [{"linkId": "a"}, {"linkId": "b"}]}).encode())
    assert answer.status == 400
    issues = [one["details"]["text"] for one in answer.json()["issue"]]
    assert len(issues) == 2
    assert "'a'" in issues[0]
    assert "'b'" in issues[1]


@requirement("dtr/spec-38")
def test_the_first_question_comes_within_five_seconds_and_nine_of_ten_later_ones_within_one(
    service: FlaskClient,
) -> None:
    server, response, path = started(service, WALKS[0])
    spent = []
    for _ in range(MOST_CALLS):
        began = time.monotonic()
        response = server.post(f"{path}?dtr-version=2.1", json.dumps(response).encode()).json()
        spent.append(time.monotonic() - began)
        if response["status"] == "completed":
            break
        [form] = response["contained"]
        whole = completed({"item": [], **form, "url": "x"}, "x", response["authored"], WALKS[0].said)
        response = {**response, "item": whole["item"]}
    assert spent[0] < 5
    assert sum(one <= 1 for one in spent[1:]) >= 0.9 * len(spent[1:])


@requirement("dtr/oper-4", "dtr/oper-5", "dtr/expand")
def test_a_value_set_is_expanded_by_its_url_and_a_filter_to_codes_that_are_active(service: FlaskClient) -> None:
    url = "https://cds-service.example.org/fhir/ValueSet/dx-cluster-headache"
    parameters = [{"name": "url", "valueUri": url}, {"name": "filter", "valueString": "cluster"}]
    response = service.post("/fhir/ValueSet/$expand", json={"resourceType": "Parameters", "parameter": parameters})
    found = response.get_json()
    assert found["resourceType"] == "ValueSet"
    assert found["expansion"]["contains"]
    assert not any(one.get("inactive") for one in found["expansion"]["contains"])


@requirement("dtr/oper-1", "dtr/oper-2")
def test_errors_of_a_form_are_taken_in_both_shapes_of_the_guide(service: FlaskClient) -> None:
    issue = {"severity": "error", "code": "not-found"}
    flat = [
        {"name": "questionnaire", "valueCanonical": "http://example.org/Questionnaire/x"},
        {"name": "operationOutcome", "resource": {"resourceType": "OperationOutcome", "issue": [issue]}},
    ]
    nested = [{"name": "resource", "resource": {"resourceType": "Parameters", "parameter": flat}}]
    for parameters in (flat, nested):
        body = {"resourceType": "Parameters", "parameter": parameters}
        assert service.post("/fhir/Questionnaire/$log-questionnaire-errors", json=body).status_code == 204


@requirement("dtr/payer-capabilities", "dtr/spec-13")
def test_the_capability_statement_names_the_operations_and_what_may_be_read(service: FlaskClient) -> None:
    rest = service.get("/fhir/metadata").get_json()["rest"][0]
    named = {one["type"]: {op["name"] for op in one.get("operation", ())} for one in rest["resource"]}
    assert {"next-question", "log-questionnaire-errors"} <= named["Questionnaire"]
    assert named["ValueSet"] == {"expand"}
    assert service.get("/fhir/Questionnaire").get_json()["total"] >= 6
