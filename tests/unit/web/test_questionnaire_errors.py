"""`$log-questionnaire-errors`: every spelling of the guide is read; the log gets counts and canonicals, never words."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cds_service.web.questionnaire_errors import questionnaire_errors

FORM = "https://cds-service.example.org/fhir/Questionnaire/acme-oxygen"
PATH = "/fhir/Questionnaire/$log-questionnaire-errors"
SECRET = "Jane Roe, born 1950-05-01, SpO2 85 %"
OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [
        {"severity": "error", "code": "invalid", "diagnostics": SECRET, "expression": [SECRET]},
        {"severity": "error", "code": "invalid", "details": {"text": SECRET}},
        {"severity": "warning", "code": SECRET},
    ],
}


@pytest.fixture
def service() -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(questionnaire_errors(frozenset({FORM, f"{FORM}|2024-06-01"}), 1 << 16))
    return app.test_client()


def flat(*names: str, canonical: str = f"{FORM}|2024-06-01") -> dict[str, Any]:
    questionnaire, outcome = names or ("questionnaire", "operationOutcome")
    parameters = [{"name": questionnaire, "valueCanonical": canonical}, {"name": outcome, "resource": OUTCOME}]
    return {"resourceType": "Parameters", "parameter": parameters}


NESTED = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": flat()}]}
PARTS = {"resourceType": "Parameters", "parameter": [{"name": "resource", "part": flat()["parameter"]}]}


@pytest.mark.parametrize("body", [flat(), flat("Questionnaire", "OperationOutcome"), NESTED, PARTS])
def test_the_form_and_the_counts_are_logged_and_nothing_else(
    service: FlaskClient, caplog: pytest.LogCaptureFixture, body: dict[str, Any]
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = service.post(PATH, json=body)
    assert response.status_code == 204
    assert response.data == b""
    [said] = [one.getMessage() for one in caplog.records]
    assert f"{FORM}|2024-06-01: 2 error invalid, 1 warning other" in said
    assert "Jane" not in caplog.text


def test_a_canonical_that_is_not_ours_is_not_logged_for_it_could_be_any_text(
    service: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert service.post(PATH, json=flat(canonical=f"http://x/{SECRET}\nforged")).status_code == 204
    assert "not held here" in caplog.text
    assert "Jane" not in caplog.text
    assert "forged" not in caplog.text


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"resourceType": "OperationOutcome"}, "Parameters"),
        ({"resourceType": "Parameters"}, "questionnaire"),
        ({"resourceType": "Parameters", "parameter": flat()["parameter"][:1]}, "OperationOutcome"),
        ({"resourceType": "Parameters", "parameter": flat()["parameter"][1:]}, "questionnaire"),
        ({"resourceType": "Parameters", "parameter": [7, None, "x"]}, "questionnaire"),
    ],
)
def test_a_report_that_lacks_something_is_refused_and_says_what(
    service: FlaskClient, caplog: pytest.LogCaptureFixture, body: dict[str, Any], wanted: str
) -> None:
    response = service.post(PATH, json=body)
    assert response.status_code == 400
    assert wanted in " ".join(one["details"]["text"] for one in response.get_json()["issue"])
    assert not caplog.records


def test_a_body_that_is_no_json_is_refused(service: FlaskClient) -> None:
    response = service.post(PATH, data=b"<Parameters/>")
    assert response.status_code == 400
    assert response.get_json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("code", [[], {}, {"x": 1}, None, 7])
def test_an_issue_whose_code_is_no_text_is_counted_as_another(
    service: FlaskClient, caplog: pytest.LogCaptureFixture, code: Any
) -> None:
    body = flat()
    body["parameter"][1]["resource"]["issue"] = [{"severity": code, "code": code}]
    assert service.post(PATH, json=body).status_code == 204
    assert "1 other other" in caplog.text
