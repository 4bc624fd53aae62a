"""Which EHRs the app at /dtr/ may talk to, as the settings and the client registry of a deployment say it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from cds_service.app import create_app
from cds_service.settings import read_settings

REGISTRY = {
    "clients": [
        {
            "id": "general",
            "fhir": ["https://ehr.example.org"],
            "dtr": {"clientId": "app-7", "signIn": ["https://auth.example.org"]},
        },
        {"id": "small", "fhir": ["https://small.example.org"]},
    ]
}


def served(folder: Path, authentication: str) -> FlaskClient:
    registry = folder / "clients.json"
    registry.write_text(json.dumps(REGISTRY), encoding="utf-8")
    settings, problems = read_settings(
        {
            "CDS_CLIENT_AUTH": authentication,
            "CDS_CLIENTS": str(registry),
            "CDS_DATABASE_URL": f"sqlite:///{folder}/cds.sqlite",
        }
    )
    assert settings is not None, problems
    return create_app(settings).test_client()


def test_registered_ehrs_are_talked_to_under_the_name_that_they_gave(tmp_path: Path) -> None:
    client = served(tmp_path, "required")

    def name_at(iss: str) -> str | None:
        reply = client.get("/dtr/ehr", query_string={"iss": iss})
        return reply.get_json().get("clientId") if reply.status_code == 200 else None

    assert name_at("https://ehr.example.org/fhir/") == "app-7"
    assert name_at("https://small.example.org/r4") == "cds-service-dtr"
    for stranger in ("http://127.0.0.1:8080/fhir", "https://other.example.org", "https://ehr.example.org@evil.example"):
        assert name_at(stranger) is None


def test_the_pages_may_connect_to_registered_ehrs_and_where_their_users_sign_in(tmp_path: Path) -> None:
    policy = served(tmp_path, "required").get("/dtr/launch").headers["Content-Security-Policy"]
    sources = "https://auth.example.org https://ehr.example.org https://small.example.org"
    assert f"connect-src 'self' {sources};" in policy
    assert f"frame-ancestors 'self' {sources};" in policy


@pytest.mark.parametrize("iss", ["http://127.0.0.1:9/fhir", "http://localhost/fhir"])
def test_while_nobody_is_asked_who_it_is_only_this_machine_is_talked_to(tmp_path: Path, iss: str) -> None:
    client = served(tmp_path, "off")
    assert client.get("/dtr/ehr", query_string={"iss": iss}).status_code == 200
    assert client.get("/dtr/ehr", query_string={"iss": "https://ehr.example.org"}).status_code == 403
    policy = client.get("/dtr/launch").headers["Content-Security-Policy"]
    assert "example.org" not in policy and "http://127.0.0.1:*" in policy
