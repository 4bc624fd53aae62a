"""One call, from its bytes to the answer's bytes, on the small plan of the policy tests."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from cds_service.crd.answer import render
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import load_catalogue
from tests.unit.crd.small_call import answered, bundle, call, coded, coverage, coverage_information, order
from tests.unit.policy.small_plan import definitions


@pytest.fixture(scope="module")
def acme() -> Catalogue:
    catalogue, problems = load_catalogue(definitions())
    assert catalogue is not None, problems
    return catalogue


def chart(*conditions: Any, **prefetch: Any) -> dict[str, Any]:
    return {
        "patient": {"resourceType": "Patient", "id": "p1", "birthDate": "1950-05-01"},
        "coverage": bundle(coverage()),
        "conditions": bundle(*conditions),
        "observations": None,
        "documentReferences": None,
        **prefetch,
    }


LUNG = {
    "resourceType": "Condition",
    "id": "copd",
    "subject": {"reference": "Patient/p1"},
    "code": coded("J44.9", system="http://hl7.org/fhir/sid/icd-10-cm"),
}


def judged(response: Any) -> dict[str, str]:
    (one,) = response.cards[0]["extension"]["cds-service.determinations"]
    return {criterion["id"]: criterion["status"] for criterion in one["criteria"]}


def test_an_order_is_answered_on_the_order_and_on_a_card(acme: Catalogue) -> None:
    response = answered(call(prefetch=chart(LUNG)), acme)
    assert coverage_information(response)[0]["pa-needed"] == "auth-needed"
    assert response.cards[0]["summary"].startswith("Acme home oxygen (E1390): prior authorization needed; ")
    assert judged(response)["acme-oxygen.lung"] == "met"


def test_a_chart_of_another_patient_reaches_no_criterion(acme: Catalogue) -> None:
    stranger = {**LUNG, "subject": {"reference": "Patient/p2"}}
    assert judged(answered(call(prefetch=chart(stranger)), acme))["acme-oxygen.lung"] == "unknown"


def test_a_bad_resource_is_lost_alone_and_the_criteria_say_so(acme: Catalogue) -> None:
    broken = {**LUNG, "id": "broken", "code": "J44.9"}
    response = answered(call(prefetch=chart(broken, LUNG)), acme)
    assert judged(response)["acme-oxygen.lung"] == "met"
    alone = answered(call(prefetch=chart(broken)), acme)
    (one,) = alone.cards[0]["extension"]["cds-service.determinations"]
    (lung,) = [criterion for criterion in one["criteria"] if criterion["id"] == "acme-oxygen.lung"]
    assert lung["status"] == "unknown"
    assert "prefetch.conditions.entry[0].resource" in lung["reason"]


def test_a_look_up_that_was_not_made_leaves_its_criteria_unknown_and_says_so(acme: Catalogue) -> None:
    prefetch = chart()
    del prefetch["conditions"]
    response = answered(call(prefetch=prefetch), acme)
    (one,) = response.cards[0]["extension"]["cds-service.determinations"]
    (lung,) = [criterion for criterion in one["criteria"] if criterion["id"] == "acme-oxygen.lung"]
    assert lung["status"] == "unknown"
    assert "the EHR sent no Condition with the call" in lung["reason"]


@pytest.mark.parametrize(
    "unknown",
    [
        order("o1", "E0601"),
        order("o1", authoredOn="2024-05-31"),
        {"resourceType": "ServiceRequest", "id": "o1", "code": coded("E1390"), "authoredOn": "2026-11-21"},
    ],
)
def test_an_order_that_no_policy_in_force_knows_gets_no_statement(acme: Catalogue, unknown: dict[str, Any]) -> None:
    response = answered(call(unknown, prefetch=chart()), acme)
    assert response.cards == ()
    said = coverage_information(response)[0]
    assert said["covered"] == "indeterminate"
    assert said["reason"][0]["coding"][0]["code"] == "no-policy-held"
    assert "Acme Health" in said["reason"][0]["text"]


@pytest.mark.parametrize(
    "resource_type",
    ["CommunicationRequest", "MedicationRequest", "NutritionOrder", "ServiceRequest", "VisionPrescription"],
)
def test_each_type_of_order_gets_an_answer(acme: Catalogue, resource_type: str) -> None:
    response = answered(call({"resourceType": resource_type, "id": "o1"}, prefetch=chart()), acme)
    assert response.system_actions[0]["resource"]["resourceType"] == resource_type
    assert coverage_information(response)[0]["covered"] == "indeterminate"


@pytest.mark.parametrize(
    "change",
    [{"doNotPerform": True}, {"status": "revoked"}, {"status": "Entered-in-error"}, {"status": "cancelled"}],
)
def test_an_order_that_asks_for_nothing_is_not_judged(acme: Catalogue, change: dict[str, Any]) -> None:
    response = answered(call(order(**change), prefetch=chart()), acme)
    assert response.cards == ()
    assert "nothing to be done" in coverage_information(response)[0]["reason"][0]["text"]


def test_each_order_gets_one_update_and_an_id_of_its_own(acme: Catalogue) -> None:
    response = answered(call(order("o1"), order("o2", "E1392"), order("o3", "E0601"), prefetch=chart()), acme)
    assert [one["resource"]["id"] for one in response.system_actions] == ["o1", "o2", "o3"]
    ids = [coverage_information(response, n)[0]["coverage-assertion-id"] for n in range(3)]
    assert len(set(ids)) == 3


def test_two_coverages_have_two_ids(acme: Catalogue) -> None:
    both = chart(coverage=bundle(coverage("c1"), coverage("c2")))
    first, second = coverage_information(answered(call(prefetch=both), acme))
    assert first["coverage-assertion-id"] != second["coverage-assertion-id"]
    assert (first["coverage"]["reference"], second["coverage"]["reference"]) == ("Coverage/c1", "Coverage/c2")


def test_asked_again_with_the_answer_on_the_order_nothing_is_updated(acme: Catalogue) -> None:
    first = answered(call(prefetch=chart(LUNG)), acme)
    again = answered(call(dict(first.system_actions[0]["resource"]), prefetch=chart(LUNG)), acme)
    assert again.system_actions == ()
    assert again.cards[0]["summary"] == first.cards[0]["summary"]


def test_coverage_information_can_be_switched_off_and_the_cards_stay(acme: Catalogue) -> None:
    off = {"davinci-crd.configuration": {"coverage-info": False}}
    response = answered(call(prefetch=chart(LUNG), extension=off), acme)
    assert json.loads(render(response))["systemActions"] == []
    assert "cds-service.determinations" in response.cards[0]["extension"]


def test_everything_switched_off_is_an_empty_answer_and_no_error(acme: Catalogue) -> None:
    codes = ("coverage-info", "guideline", "claim", "clinical-reminder")
    off = {"davinci-crd.configuration": dict.fromkeys(codes, False)}
    assert json.loads(render(answered(call(extension=off), acme))) == {"cards": [], "systemActions": []}


def test_decimals_come_back_as_they_were_sent_also_in_a_suggestion(acme: Catalogue) -> None:
    body = orjson.dumps(call(order(quantityQuantity={"value": 77777}), prefetch=chart()))
    response = answered(body.replace(b"77777", b"1.10"), acme)
    assert render(response).count(b'"value":1.10') == 2  # the update, and the suggestion to add RR


def test_the_moment_decides_which_day_it_is(acme: Catalogue) -> None:
    undated = order()
    del undated["authoredOn"]
    (one,) = answered(call(undated, prefetch=chart()), acme).statements
    assert one.determinations[0].on_date.isoformat() == "2026-11-21"


def test_the_request_stays_as_it_came(acme: Catalogue) -> None:
    document = call(prefetch=chart(LUNG))
    before = orjson.dumps(document)
    answered(document, acme)
    assert orjson.dumps(document) == before
