"""The composition root: what it refuses to start with, and that the moment and the ids are what it is given."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from cds_service.app import StartRefused, clock, create_app
from cds_service.settings import Settings, read_settings

HOOK = "/cds-services/order-sign-crd"
GOLDEN = Path(__file__).parents[1] / "conversations" / "home-oxygen-order-sign" / "request.json"
NOON = datetime.fromisoformat("2026-11-22T12:00:00-05:00")


def settings(**environ: str) -> Settings:
    chosen, problems = read_settings({"CDS_CLIENT_AUTH": "off", **environ})
    assert chosen is not None, problems
    return chosen


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return create_app(settings(CDS_MAX_BODY="100000"), lambda: NOON).test_client()


def test_a_broken_folder_refuses_the_start_with_every_fault(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text("{")
    (tmp_path / "patient.json").write_text('{"resourceType": "Patient"}')
    with pytest.raises(StartRefused) as refused:
        create_app(replace(settings(), plans=tmp_path))
    told = str(refused.value)
    assert f"{tmp_path.name}/torn.json: not JSON" in told
    assert f"{tmp_path.name}/patient.json: " in told
    assert len(refused.value.problems) == len(told.splitlines())


def test_a_broken_registry_refuses_the_start_with_every_fault(tmp_path: Path) -> None:
    registry = tmp_path / "clients.json"
    registry.write_text('{"clients": [{"id": "general"}, 7]}')
    with pytest.raises(StartRefused) as refused:
        create_app(settings(CDS_CLIENTS=str(registry)))
    assert [one.where for one in refused.value.problems] == [
        "clients.json: clients[0].fhir",
        "clients.json: clients[1]",
    ]


def test_an_unknown_disabled_policy_refuses_the_start() -> None:
    with pytest.raises(StartRefused, match="acme-nothing"):
        create_app(settings(CDS_DISABLED_POLICIES="acme-nothing"))


def test_the_same_call_at_the_same_instant_with_the_same_ids_has_the_same_answer() -> None:
    def answered() -> bytes:
        numbers = count(1)
        app = create_app(settings(), lambda: NOON, lambda: f"id-{next(numbers)}")
        return app.test_client().post(HOOK, data=GOLDEN.read_bytes()).data

    first = answered()
    assert b'"id-1"' in first
    assert answered() == first


def test_an_answer_is_json_that_is_not_to_be_kept(client: FlaskClient) -> None:
    answer = client.post(HOOK, data=GOLDEN.read_bytes())
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("path", "status"), [(HOOK, 400), ("/cds-services/order-sing-crd", 404)])
def test_a_refusal_is_an_operation_outcome(client: FlaskClient, path: str, status: int) -> None:
    refused = client.post(path, data=b"{")
    assert refused.status_code == status
    assert refused.mimetype == "application/fhir+json"


def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_read(client: FlaskClient) -> None:
    assert client.post(HOOK, data=b" " * 100_000).status_code == 400
    assert client.post(HOOK, data=b" " * 100_001).status_code == 413


def test_an_order_whose_coverage_is_of_nobody_served_here_is_refused(client: FlaskClient) -> None:
    body = GOLDEN.read_bytes().replace(b"MassHealth", b"Nobody Health")
    refused = client.post(HOOK, data=body)
    assert refused.status_code == 400
    assert refused.get_json()["issue"][0]["code"] == "business-rule"


def test_discovery_names_the_services_that_are_answered(client: FlaskClient) -> None:
    services = client.get("/cds-services").get_json()["services"]
    assert len(services) == 6
    for service in services:
        assert client.post(f"/cds-services/{service['id']}", data=b"{}").status_code == 400


def test_the_clock_tells_the_day_of_the_services_zone() -> None:
    zone = clock(settings(CDS_TIME_ZONE="America/Chicago"))().tzinfo
    assert str(zone) == "America/Chicago"


def test_the_business_hours_of_a_deployment_decide_what_is_after_hours() -> None:
    infusion = GOLDEN.parents[1] / "home-infusion-two-more-therapies" / "request.json"
    friday = datetime.fromisoformat("2026-11-20T16:30:00-05:00")

    def note(**environ: str) -> str:
        app = create_app(settings(**environ), lambda: friday)
        return str(app.test_client().post(HOOK, data=infusion.read_bytes()).json["cards"][-1]["detail"])

    assert "Ask by 2026-11-23, the last business day before the first day of service (2026-11-24)" in note()
    assert "Ask by 2026-11-23, the next business day: arranged after working hours" in note(
        CDS_BUSINESS_HOURS="08:00-16:00"
    )
