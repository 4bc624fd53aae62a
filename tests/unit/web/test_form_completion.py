"""A client without DTR is asked to fill in the payer's form by a Task; the form goes along where it lacks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.misbehaving_ehr import MisbehavingEhr, misbehaving_ehr
from tests.read_back_calls import CALL, client, holds_everything, posted

FORM = "https://cds-service.example.org/fhir/Questionnaire/masshealth-home-oxygen"
LOOK_UP = f"Questionnaire?url={FORM}"


@pytest.fixture
def ehr() -> Iterator[MisbehavingEhr]:
    with misbehaving_ehr() as server:
        holds_everything(server)
        yield server


def service_of(ehr: MisbehavingEhr, folder: Path, dtr: Any = False, **more: Any) -> FlaskClient:
    registry = folder / "clients.json"
    origin = ehr.base.removesuffix("/fhir")
    registry.write_text(json.dumps({"clients": [{"id": "clinic", "fhir": [origin], "dtr": dtr, **more}]}))
    return client(CDS_CLIENTS=str(registry))


def tasks_in(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The suggestions that hold a Task."""
    found = [one for card in answer["cards"] for one in card.get("suggestions", ())]
    return [one for one in found if any(each["resource"]["resourceType"] == "Task" for each in one["actions"])]


def asked(ehr: MisbehavingEhr, service: FlaskClient) -> dict[str, Any]:
    return posted(service, {**CALL, "fhirServer": ehr.base})


def test_a_client_without_the_form_gets_it_with_the_task(ehr: MisbehavingEhr, tmp_path: Path) -> None:
    ehr.finds(LOOK_UP)
    [suggestion] = tasks_in(asked(ehr, service_of(ehr, tmp_path)))
    form, task = suggestion["actions"]
    assert ehr.asked == [LOOK_UP], "dev-20: it is asked first"
    assert form["resource"]["resourceType"] == "Questionnaire"
    assert form["extension"] == {"davinci-crd.if-none-exist": f"url={FORM}&version={form['resource']['version']}"}
    assert task["resource"]["basedOn"] == [{"reference": "DeviceRequest/o1"}]
    assert task["resource"]["input"][0]["valueCanonical"] == f"{FORM}|{form['resource']['version']}"
    assert (task["resource"]["for"], task["resource"]["authoredOn"]) == ({"reference": "Patient/p1"}, "2026-11-21")


def test_a_client_that_has_the_form_gets_the_task_alone(ehr: MisbehavingEhr, tmp_path: Path) -> None:
    service = service_of(ehr, tmp_path)
    version = json.loads(service.get("/fhir/Questionnaire/masshealth-home-oxygen").data)["version"]
    ehr.finds(LOOK_UP, {"resourceType": "Questionnaire", "id": "theirs", "url": FORM, "version": version})
    [suggestion] = tasks_in(asked(ehr, service))
    [task] = suggestion["actions"]
    assert task["resource"]["resourceType"] == "Task"


def test_where_it_cannot_be_asked_the_form_is_not_pressed_on_the_client(ehr: MisbehavingEhr, tmp_path: Path) -> None:
    ehr.on(LOOK_UP, lambda request: request.say(403))
    [suggestion] = tasks_in(asked(ehr, service_of(ehr, tmp_path)))
    assert [one["resource"]["resourceType"] for one in suggestion["actions"]] == ["Task"]


def test_a_client_with_dtr_is_asked_by_coverage_information_alone(ehr: MisbehavingEhr, tmp_path: Path) -> None:
    assert not tasks_in(asked(ehr, service_of(ehr, tmp_path, dtr={})))
    assert ehr.asked == []


def test_crd_2_0_says_what_the_answers_are_for(ehr: MisbehavingEhr, tmp_path: Path) -> None:
    ehr.finds(LOOK_UP)
    [suggestion] = tasks_in(asked(ehr, service_of(ehr, tmp_path, crdVersion="2.0")))
    task = suggestion["actions"][-1]["resource"]
    [_, after] = task["input"]
    assert after["valueCodeableConcept"]["coding"][0]["code"] == "prior-auth-include"


def test_the_cards_can_be_switched_off(ehr: MisbehavingEhr, tmp_path: Path) -> None:
    ehr.finds(LOOK_UP)
    assert not tasks_in(asked(ehr, service_of(ehr, tmp_path, cards={"claim": False})))
