"""What a web page of another origin is answered: a browser-based sandbox that is named, and any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conformance.calls import application, call_of
from tests.conformance.statements import requirement

SANDBOX = "https://sandbox.example.org"
HOOK = "/cds-services/order-sign-crd"
ROUTES = ("/cds-services", HOOK, f"{HOOK}/feedback")


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return application(tmp_path, CDS_CORS_ORIGINS=SANDBOX)


def preflight(client: FlaskClient, path: str, origin: str) -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return client.options(path, headers={**asked, "Access-Control-Request-Headers": "authorization,content-type"})


@requirement("cds-hooks/cors")
@pytest.mark.parametrize("path", ROUTES)
def test_a_page_of_an_origin_that_is_named_may_ask_and_send_its_token(client: FlaskClient, path: str) -> None:
    answered = preflight(client, path, SANDBOX)
    assert answered.status_code == 200
    assert answered.headers["Access-Control-Allow-Origin"] == SANDBOX
    assert {"GET", "POST"} <= set(answered.headers["Access-Control-Allow-Methods"].split(", "))
    assert answered.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert "Access-Control-Allow-Credentials" not in answered.headers


@requirement("cds-hooks/cors")
def test_it_may_read_answers_and_refusals(client: FlaskClient) -> None:
    for body, status in ((json.dumps(call_of("order-sign")).encode(), 200), (b"{", 400)):
        answered = client.post(HOOK, data=body, headers={"Origin": SANDBOX})
        assert answered.status_code == status
        assert answered.headers["Access-Control-Allow-Origin"] == SANDBOX
        assert "Origin" in answered.headers["Vary"]
    assert client.get("/cds-services", headers={"Origin": SANDBOX}).headers["Access-Control-Allow-Origin"] == SANDBOX


@requirement("cds-hooks/cors")
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://sandbox.example.org",
        "https://sandbox.example.org.evil.example",
        "https://sandbox.example.org:8443",
        "https://sandbox.example.org/",
        "http://localhost:3000",
        "null",
        "*",
        "",
    ],
)
def test_a_page_of_any_other_origin_may_not(client: FlaskClient, origin: str) -> None:
    for answered in (preflight(client, HOOK, origin), client.get("/cds-services", headers={"Origin": origin})):
        assert not [name for name in answered.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118
        assert "Origin" in answered.headers["Vary"], "no cache gives one origin the answer of another"


@requirement("cds-hooks/cors")
def test_while_nobody_is_asked_who_calls_the_pages_of_this_machine_may(tmp_path: Path) -> None:
    client = application(tmp_path)
    for origin in ("http://localhost:3000", "http://127.0.0.1:8000", "http://[::1]:5173"):
        assert preflight(client, HOOK, origin).headers["Access-Control-Allow-Origin"] == origin
    for origin in ("http://localhost.evil.example", "https://evil.example", "null"):
        assert "Access-Control-Allow-Origin" not in preflight(client, HOOK, origin).headers


@requirement("cds-hooks/cors")
def test_what_is_not_of_cds_hooks_is_not_opened(client: FlaskClient) -> None:
    for path in ("/readyz", "/fhir/CodeSystem/card-override-reason", "/cds-services-of-others"):
        answered = client.get(path, headers={"Origin": SANDBOX})
        assert "Access-Control-Allow-Origin" not in answered.headers


@requirement("cds-hooks/3.0-service-version")
def test_a_service_says_its_version_of_cds_hooks_and_of_its_hook(client: FlaskClient) -> None:
    services = client.get("/cds-services").get_json()["services"]
    assert {one["version"] for one in services} == {"2.0.0"}
    assert {one["hook"]: one["hookVersion"] for one in services}["order-dispatch"] == "1.1"
    assert all(one["hookVersion"] for one in services)
