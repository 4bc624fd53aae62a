"""Orders that the call only names, or that stand in the chart: read from a real server that may misbehave."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.misbehaving_ehr import (
    Behaviour,
    MisbehavingEhr,
    Request,
    after,
    endless,
    hang,
    misbehaving_ehr,
    searchset,
    truncated,
)
from tests.read_back_calls import CALL, client, determination, holds_everything, posted, statuses

HOOKS = ("order-dispatch", "appointment-book", "encounter-start", "encounter-discharge")
SUPPLIER = {"resourceType": "Organization", "id": "supplier", "name": "Corner Oxygen"}
[ENTRY] = CALL["context"]["draftOrders"]["entry"]
ORDER: dict[str, Any] = {**ENTRY["resource"], "status": "active", "intent": "order"}
SLOW = 2.0


@pytest.fixture(scope="module")
def service() -> FlaskClient:
    return client()


@pytest.fixture
def ehr() -> Iterator[MisbehavingEhr]:
    with misbehaving_ehr() as server:
        holds_everything(server)
        holds_order(server, ORDER)
        server.holds(SUPPLIER)
        yield server


def holds_order(ehr: MisbehavingEhr, order: dict[str, Any]) -> None:
    """Read by its id, and found among the patient's."""
    ehr.on("DeviceRequest/o1", lambda request: request.fhir(order))
    ehr.finds("DeviceRequest?patient=p1", order)
    ehr.finds("ServiceRequest?patient=p1")


def appointment(*orders: str) -> dict[str, Any]:
    alternate = "http://hl7.org/fhir/StructureDefinition/alternate-reference"
    based_on = [{"extension": [{"url": alternate, "valueReference": {"reference": one}}]} for one in orders]
    patient = {"actor": {"reference": "Patient/p1"}, "status": "tentative"}
    booked = {"resourceType": "Appointment", "id": "a1", "status": "proposed", "participant": [patient]}
    return {**booked, "basedOn": based_on}


def named(ehr: MisbehavingEhr, hook: str, *orders: str, **prefetch: Any) -> dict[str, Any]:
    """A call of a hook that carries nothing of the orders but their names, and sends no prefetch but this."""
    orders = orders or ("DeviceRequest/o1",)
    contexts: dict[str, dict[str, Any]] = {
        "order-dispatch": {"dispatchedOrders": [*orders], "performer": "Organization/supplier"},
        "appointment-book": {
            "userId": "Practitioner/dr1",
            "appointments": {"resourceType": "Bundle", "entry": [{"resource": appointment(*orders)}]},
        },
        "encounter-start": {"userId": "Practitioner/dr1", "encounterId": "e1"},
        "encounter-discharge": {"userId": "Practitioner/dr1", "encounterId": "e1"},
    }
    return {
        "hook": hook,
        "hookInstance": CALL["hookInstance"],
        "fhirServer": ehr.base,
        "fhirAuthorization": CALL["fhirAuthorization"],
        "context": {"patientId": "p1", **contexts[hook]},
        "prefetch": prefetch,
    }


def updated(answer: dict[str, Any]) -> list[str]:
    return [f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in answer.get("systemActions", ())]


# -- found -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", HOOKS)
def test_an_order_that_the_ehr_holds_is_judged_as_if_it_had_been_sent(
    ehr: MisbehavingEhr, service: FlaskClient, hook: str
) -> None:
    answer = posted(service, named(ehr, hook))
    assert determination(answer)["order"] == "DeviceRequest/o1"
    assert statuses(answer)["ma-oxygen.continuous.rest"] == "met"
    assert updated(answer) == ([] if hook.startswith("encounter") else ["DeviceRequest/o1"])
    assert len(ehr.asked) == len(set(ehr.asked)), "nothing is asked twice"


@pytest.mark.parametrize("hook", ["order-dispatch", "appointment-book"])
@pytest.mark.parametrize("fetched", ["by id", "by several ids"])
def test_the_decimals_of_an_order_that_was_read_go_back_with_their_digits(
    ehr: MisbehavingEhr, service: FlaskClient, hook: str, fetched: str
) -> None:
    text = json.dumps(ORDER).replace('"value": 2.0', '"value": 2.10')
    assert '"value": 2.10' in text
    ehr.on("DeviceRequest/o1", lambda request: request.say(200, text.encode()))
    both = f'{{"resourceType": "Bundle", "entry": [{{"resource": {text}}}]}}'
    ehr.on("DeviceRequest?_id=o1,o9", lambda request: request.say(200, both.encode()))
    orders = ("DeviceRequest/o1",) if fetched == "by id" else ("DeviceRequest/o1", "DeviceRequest/o9")
    response = service.post(f"/cds-services/{hook}-crd", data=json.dumps(named(ehr, hook, *orders)))
    assert response.status_code == 200
    assert b'"value":2.10' in response.data


def test_two_orders_that_were_read_one_after_the_other_keep_their_own_digits(
    ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    """An order that is read for another's sake does not take its place."""
    first = json.dumps({**ORDER, "basedOn": [{"reference": "DeviceRequest/o5"}]}).replace("2.0,", "2.10,")
    ehr.on("DeviceRequest/o1", lambda request: request.say(200, first.encode()))
    ehr.finds("DeviceRequest?patient=p1")
    ehr.on("DeviceRequest/o5", lambda request: request.fhir({**ORDER, "id": "o5"}))
    response = service.post("/cds-services/order-dispatch-crd", data=json.dumps(named(ehr, "order-dispatch")))
    assert response.status_code == 200
    [action] = json.loads(response.data)["systemActions"]
    assert action["resource"]["id"] == "o1"
    assert b'"value":2.10' in response.data


# -- failures ----------------------------------------------------------------------------------------------

FAILURES: list[Behaviour] = [
    lambda request: request.say(401),
    lambda request: request.say(404),
    lambda request: request.say(500),
    lambda request: request.say(200, b"<html>", "text/html"),
    lambda request: request.say(302, Location="https://evil.example/"),
    lambda request: request.fhir({**ORDER, "id": "o2"}),
    truncated,
    endless,
    Request.reset,
    hang,
]


@pytest.mark.parametrize("behaviour", FAILURES)
def test_dispatched_orders_that_could_not_be_read_are_a_412(ehr: MisbehavingEhr, behaviour: Behaviour) -> None:
    service = client(CDS_HOOK_BUDGET="1.5")
    ehr.on("DeviceRequest/o1", behaviour)
    began = time.monotonic()
    [issue] = posted(service, named(ehr, "order-dispatch"), 412)["issue"]
    assert time.monotonic() - began < 4
    assert "none of the orders could be read" in issue["details"]["text"]


@pytest.mark.parametrize("behaviour", FAILURES)
def test_an_appointment_whose_order_could_not_be_read_is_answered_without_a_determination(
    ehr: MisbehavingEhr, behaviour: Behaviour
) -> None:
    service = client(CDS_HOOK_BUDGET="1.5")
    ehr.on("DeviceRequest/o1", behaviour)
    began = time.monotonic()
    answer = posted(service, named(ehr, "appointment-book"))
    assert time.monotonic() - began < 4
    assert updated(answer) == ["Appointment/a1"]
    [said] = answer["systemActions"][0]["resource"]["extension"]
    assert {"url": "covered", "valueCode": "indeterminate"} in said["extension"]
    assert answer["cards"] == []


@pytest.mark.parametrize("hook", ["encounter-start", "encounter-discharge"])
@pytest.mark.parametrize("behaviour", [one for n, one in enumerate(FAILURES) if n != 5])
def test_an_encounter_whose_orders_could_not_be_looked_up_has_no_cards_and_no_error(
    ehr: MisbehavingEhr, hook: str, behaviour: Behaviour
) -> None:
    service = client(CDS_HOOK_BUDGET="1.5")
    ehr.on("DeviceRequest?patient=p1", behaviour)
    began = time.monotonic()
    assert posted(service, named(ehr, hook)) == {"cards": []}
    assert time.monotonic() - began < 4


def test_of_two_dispatched_orders_the_one_that_is_there_is_answered_and_the_other_named(
    ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    ehr.finds("DeviceRequest?_id=o1,o9", ORDER)
    answer = posted(service, named(ehr, "order-dispatch", "DeviceRequest/o1", "DeviceRequest/o9"))
    assert updated(answer) == ["DeviceRequest/o1"]
    assert any("DeviceRequest/o9" in card.get("detail", "") for card in answer["cards"])


@pytest.mark.parametrize("hook", HOOKS)
def test_an_order_of_another_patient_is_neither_judged_nor_written(
    ehr: MisbehavingEhr, service: FlaskClient, hook: str
) -> None:
    holds_order(ehr, {**copy.deepcopy(ORDER), "subject": {"reference": "Patient/p2"}})
    if hook == "order-dispatch":
        [issue] = posted(service, named(ehr, hook), 400)["issue"]
        assert "not for the patient of context.patientId" in issue["details"]["text"]
        return
    answer = posted(service, named(ehr, hook))
    assert updated(answer) == (["Appointment/a1"] if hook == "appointment-book" else [])
    assert "cds-service.determinations" not in json.dumps(answer)


def test_an_order_behind_an_appointment_that_cannot_be_written_back_is_not(
    ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    for broken in ({"extension": {"url": "urn:x"}}, {"authoredOn": "someday"}):
        holds_order(ehr, {**ORDER, **broken})
        assert updated(posted(service, named(ehr, "appointment-book"))) == ["Appointment/a1"]


def test_a_page_of_active_orders_that_is_missing_is_followed(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    cut = searchset(link=[{"relation": "next", "url": f"{ehr.base}?page=2"}])
    ehr.on("DeviceRequest?patient=p1", lambda request: request.fhir(cut))
    ehr.behaviours["/fhir?page=2"] = lambda request: request.fhir(searchset(ORDER))
    answer = posted(service, named(ehr, "encounter-start"))
    assert determination(answer)["order"] == "DeviceRequest/o1"


# -- on time -----------------------------------------------------------------------------------------------


def needing_twenty_reads(ehr: MisbehavingEhr) -> None:
    """The order points at much: with what every call reads, twenty reads and more."""
    kinds = ("Procedure", "MedicationRequest", "MedicationStatement", "AllergyIntolerance", "Immunization", "Device")
    more = ("MedicationAdministration", "NutritionOrder", "QuestionnaireResponse")
    pointing = copy.deepcopy(ORDER)
    pointing["supportingInfo"] = [{"reference": f"{kind}/s1"} for kind in (*kinds, *more)]
    pointing["reasonReference"] = [{"reference": "Condition/elsewhere"}, {"reference": "Observation/elsewhere"}]
    holds_order(ehr, pointing)


@pytest.mark.parametrize("hook", HOOKS)
def test_twenty_reads_of_two_seconds_each_are_made_in_time_and_judged(
    ehr: MisbehavingEhr, service: FlaskClient, hook: str
) -> None:
    needing_twenty_reads(ehr)
    whole = statuses(posted(service, named(ehr, hook)))
    ehr.seen.clear()
    ehr.behaviours = {path: after(SLOW, behaviour) for path, behaviour in ehr.behaviours.items()}
    ehr.otherwise = after(SLOW, lambda request: request.say(404))
    began = time.monotonic()
    answer = posted(service, named(ehr, hook))
    assert time.monotonic() - began < 5
    assert len(ehr.seen) >= 20
    assert statuses(answer) == whole, "two turns of two seconds bring the order, and the whole chart"
