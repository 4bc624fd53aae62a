"""One shape for every error, whichever way it comes about."""

from __future__ import annotations

import logging

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from cds_service.fhir.problem import Kind, Problem
from cds_service.web.problems import refusal, refuse_in_one_shape


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    refuse_in_one_shape(app, max_body=1000)

    @app.post("/breaks")
    def breaks() -> Response:
        raise KeyError("Jane Doe, born 1950-03-01")

    return app.test_client()


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("invalid", 400, "invalid"),
        ("not-found", 404, "not-found"),
        ("not-supported", 422, "not-supported"),
        ("unavailable", 412, "incomplete"),
        ("conflict", 409, "conflict"),
    ],
)
def test_each_kind_of_problem_has_its_status_and_issue_code(kind: Kind, status: int, code: str) -> None:
    response = refusal(Problem(kind, "context.userId", "missing", "name the user"))
    assert response.status_code == status
    assert response.mimetype == "application/fhir+json"
    assert response.get_json() == {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": code,
                "details": {"text": "context.userId: missing; name the user"},
            }
        ],
    }


def test_a_problem_may_name_a_closer_issue_code() -> None:
    response = refusal(Problem("invalid", "Coverage.payor", "not served here", "ask the payer", "business-rule"))
    assert response.status_code == 400
    assert response.get_json()["issue"][0]["code"] == "business-rule"


def test_an_unknown_address_is_answered_in_the_same_shape(client: FlaskClient) -> None:
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert response.get_json()["issue"][0]["code"] == "not-found"


def test_a_wrong_method_is_told_the_right_one(client: FlaskClient) -> None:
    response = client.get("/breaks")
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]
    assert response.get_json()["issue"][0]["details"]["text"] == (
        "/breaks: GET is not answered here; use OPTIONS, POST"
    )


def test_a_fault_of_ours_shows_neither_trace_nor_patient(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = client.post("/breaks")
    assert response.status_code == 500
    assert response.get_json()["issue"][0]["code"] == "exception"
    assert "Jane" not in response.text and "KeyError" not in response.text
    # the log says which line broke, and not about whom
    assert "KeyError" in caplog.text and "test_problems.py" in caplog.text
    assert "Jane" not in caplog.text
