"""The pages that cards link to: definitions as their files say them."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from cds_service.web.definitions import definitions


def client(*held: tuple[dict[str, Any], bytes], today: str = "2026-06-01") -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(definitions(held, lambda: date.fromisoformat(today)))
    return app.test_client()


def plan(version: str) -> tuple[dict[str, Any], bytes]:
    resource = {
        "resourceType": "PlanDefinition",
        "id": "acme-cpap",
        "version": version,
        "effectivePeriod": {"start": version},
    }
    return resource, version.encode()


def test_a_definition_is_given_byte_for_byte_as_its_file_says() -> None:
    text = b'{"resourceType": "ValueSet",   "id": "v", "x": 1.10}\n'
    response = client(({"resourceType": "ValueSet", "id": "v"}, text)).get("/fhir/ValueSet/v")
    assert response.status_code == 200
    assert response.mimetype == "application/fhir+json"
    assert response.data == text


def test_of_several_versions_the_one_in_force_today_is_given() -> None:
    held = (plan("2027-01-01"), plan("2025-01-01"), plan("2026-01-01"))
    assert client(*held).get("/fhir/PlanDefinition/acme-cpap").data == b"2026-01-01"
    assert client(*held, today="2027-01-01").get("/fhir/PlanDefinition/acme-cpap").data == b"2027-01-01"


def test_before_the_first_day_in_force_the_first_version_is_given() -> None:
    held = (plan("2027-01-01"), plan("2028-01-01"))
    assert client(*held).get("/fhir/PlanDefinition/acme-cpap").data == b"2027-01-01"


def test_version_10_of_a_value_set_follows_version_9() -> None:
    sets = [({"resourceType": "ValueSet", "id": "v", "version": n}, n.encode()) for n in ("10", "9")]
    assert client(*sets).get("/fhir/ValueSet/v").data == b"10"


def test_an_unknown_id_and_an_unknown_type_are_not_found() -> None:
    asked = client(plan("2026-01-01"))
    for address in ("/fhir/PlanDefinition/other", "/fhir/Patient/acme-cpap"):
        response = asked.get(address)
        assert response.status_code == 404
        assert response.get_json()["resourceType"] == "OperationOutcome"
        assert response.get_json()["issue"][0]["details"]["text"].startswith(address)
