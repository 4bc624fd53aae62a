"""The composition root: what it refuses to start with, and that the moment and the ids are what it is given."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service.app import StartRefused, clock, create_app
from cds_service.settings import Settings, read_settings

HOOK = "/cds-services/order-sign-crd"
GOLDEN = Path(__file__).parents[1] / "conversations" / "home-oxygen-order-sign" / "request.json"
NOON = datetime.fromisoformat("2026-11-22T12:00:00-05:00")


@pytest.fixture(scope="module", autouse=True)
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the stores of these tests stand: not in the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("room")
        patch.chdir(folder)
        yield folder


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


# -- memory -----------------------------------------------------------------------------------------------

CONVERSATIONS = GOLDEN.parents[1]


def conversation(name: str) -> dict[str, Any]:
    call: dict[str, Any] = json.loads((CONVERSATIONS / name / "request.json").read_bytes())
    return call


def asked(call: dict[str, Any], at: datetime = NOON) -> dict[str, Any]:
    """One call to a service that has just been started on the database of these tests."""
    answer = create_app(settings(), lambda: at).test_client().post(HOOK, json=call)
    assert answer.status_code == 200
    said: dict[str, Any] = answer.get_json()
    return said


def with_order(call: dict[str, Any], order: dict[str, Any]) -> dict[str, Any]:
    call["context"]["draftOrders"]["entry"][0]["resource"] = order
    return call


def pa_needed(answer: dict[str, Any]) -> str:
    [said] = [one for card in answer["cards"] for one in card["extension"].get("cds-service.determinations", ())]
    return str(said["paNeeded"])


@pytest.fixture
def authorized() -> dict[str, Any]:
    """The order as an answer left it that found an authorization in the chart."""
    [action] = asked(conversation("authorization-on-file"))["systemActions"]
    resource: dict[str, Any] = action["resource"]
    return resource


def test_an_authorization_that_was_found_is_remembered_and_nothing_is_said_twice(authorized: dict[str, Any]) -> None:
    again = asked(with_order(conversation("home-oxygen-order-sign"), authorized), NOON + timedelta(days=1))
    assert pa_needed(again) == "satisfied"
    assert again["systemActions"] == []


def test_an_order_that_does_not_bear_the_id_is_nobody_s_to_remember() -> None:
    asked(conversation("authorization-on-file"))
    assert pa_needed(asked(conversation("home-oxygen-order-sign"))) == "auth-needed"


def test_the_order_of_another_patient_with_the_same_id_is_not_authorized(authorized: dict[str, Any]) -> None:
    call = json.dumps(with_order(conversation("home-oxygen-order-sign"), authorized))
    other = asked(json.loads(call.replace("Patient/p1", "Patient/p2").replace('"p1"', '"p2"')))
    assert pa_needed(other) == "auth-needed"
    [action] = other["systemActions"]
    assert assertion_id_of(action["resource"]) != assertion_id_of(authorized)


def test_nor_is_the_same_patient_id_on_another_server(authorized: dict[str, Any]) -> None:
    call = with_order(conversation("home-oxygen-order-sign"), authorized)
    assert pa_needed(asked({**call, "fhirServer": "https://other.example.org/fhir"})) == "auth-needed"


def test_what_was_remembered_ends_with_its_last_day(authorized: dict[str, Any]) -> None:
    call = with_order(conversation("home-oxygen-order-sign"), authorized)
    assert pa_needed(asked(call, NOON + timedelta(days=400))) == "auth-needed"


def test_a_chart_that_was_searched_and_does_not_hold_it_any_more_goes_before_memory(authorized: dict[str, Any]) -> None:
    call = with_order(conversation("home-oxygen-order-sign"), authorized)
    call["prefetch"]["claimResponses"] = None
    assert pa_needed(asked(call)) == "auth-needed"
    del call["prefetch"]["claimResponses"]
    assert pa_needed(asked(call)) == "auth-needed", "and it is forgotten then"


def test_a_what_if_is_neither_told_of_an_authorization_nor_remembered(authorized: dict[str, Any]) -> None:
    call = with_order(conversation("home-oxygen-order-sign"), authorized)
    what_if = {"extension": {"davinci-crd.configuration": {"unsolicited-determ": False}}}
    assert pa_needed(asked({**call, **what_if})) == "auth-needed"
    assert pa_needed(asked(call)) == "satisfied"


def assertion_id_of(order: dict[str, Any]) -> str:
    [said] = [one for one in order["extension"] if one["url"].endswith("ext-coverage-information")]
    [found] = [one["valueString"] for one in said["extension"] if one["url"] == "coverage-assertion-id"]
    return str(found)


def test_but_for_contexts_nothing_of_a_call_but_digests_codes_and_numbers_is_on_the_disk(
    authorized: dict[str, Any], room: Path
) -> None:
    held = b"".join(one.read_bytes() for one in (room / "var").iterdir())
    assert b"PA-2026-000123" in held
    call = conversation("authorization-on-file")
    subscriber = call["prefetch"]["coverage"]["entry"][0]["resource"]["subscriberId"]
    patient = call["prefetch"]["patient"]
    for secret in (subscriber, *patient["name"][0]["given"], patient["name"][0]["family"]):
        assert secret.encode() not in held
    with sqlite3.connect(room / "var" / "cds.sqlite") as connection:
        rows = [line for line in connection.iterdump() if not line.startswith('INSERT INTO "contexts"')]
    assert any("PA-2026-000123" in line for line in rows)
    for secret in (patient["birthDate"], "Patient/p1", "DeviceRequest/o1", "Coverage/c1", "Observation/", "J44.9"):
        assert not any(secret in line for line in rows)
