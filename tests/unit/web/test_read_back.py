"""A call whose prefetch is not the whole: what is read back, from a real server, and that the answer is on time."""

from __future__ import annotations

import copy
import json
import logging
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
    drip,
    hang,
    misbehaving_ehr,
    searchset,
    truncated,
)
from tests.read_back_calls import (
    CALL,
    call,
    client,
    covered,
    determination,
    holds_everything,
    posted,
    resources,
    statuses,
)

SLOW = 2.0


@pytest.fixture(scope="module")
def service() -> FlaskClient:
    return client()


@pytest.fixture
def ehr() -> Iterator[MisbehavingEhr]:
    with misbehaving_ehr() as server:
        yield server


# -- all there, and nothing there -------------------------------------------------------------------------


def test_a_call_whose_prefetch_is_whole_asks_nothing(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    posted(service, call(ehr, *CALL["prefetch"]))
    assert ehr.seen == []


def test_without_any_prefetch_the_answer_is_the_same(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    holds_everything(ehr)
    whole = posted(service, {**CALL, "fhirServer": ehr.base})
    read = posted(service, call(ehr))
    assert statuses(read) == statuses(whole)
    assert determination(read) == determination(whole)
    assert len(ehr.asked) == len(set(ehr.asked)), "nothing is asked twice"


def test_only_the_missing_keys_are_read(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    holds_everything(ehr)
    rest = [key for key in CALL["prefetch"] if key not in ("observations", "documentReferences")]
    read = posted(service, call(ehr, *rest))
    assert ehr.asked == ["DocumentReference?patient=p1", "Observation?patient=p1"]
    assert statuses(read) == statuses(posted(service, {**CALL, "fhirServer": ehr.base}))


def test_another_machine_than_this_one_is_never_asked(service: FlaskClient) -> None:
    document = copy.deepcopy(CALL)
    document["prefetch"].pop("observations")
    read = posted(service, document)
    assert "the EHR sent no Observation with the call" in json.dumps(read)


# -- failures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (lambda request: request.say(401), "it answered 401"),
        (lambda request: request.say(403), "it answered 403"),
        (lambda request: request.say(404), "it answered 404"),
        (lambda request: request.say(429), "it answered 429"),
        (lambda request: request.say(500), "it answered 500"),
        (lambda request: request.say(200, b"<html>", "text/html"), "it sent something that is not FHIR JSON"),
        (lambda request: request.say(302, Location="https://evil.example/"), "it pointed to another server"),
        (truncated, "it broke off its answer"),
        (Request.reset, "it broke off its answer"),
        (hang, "it did not answer in time"),
        (drip, "it did not answer in time"),
    ],
)
def test_what_rests_on_a_failed_read_is_unknown_and_says_why(
    ehr: MisbehavingEhr, behaviour: Behaviour, said: str
) -> None:
    holds_everything(ehr)
    ehr.on("Observation?patient=p1", behaviour)
    rest = [key for key in CALL["prefetch"] if key != "observations"]
    service = client(CDS_HOOK_BUDGET="1")
    began = time.monotonic()
    answer = posted(service, call(ehr, *rest))
    assert time.monotonic() - began < 5
    whole = posted(service, {**CALL, "fhirServer": ehr.base})
    assert f"the EHR was asked for Observation and {said}" in json.dumps(answer)
    for one, status in statuses(answer).items():
        assert status in ("unknown", statuses(whole)[one], "not-applicable"), one
    assert statuses(answer)["ma-oxygen"] == "unknown"


def test_a_server_that_does_not_know_a_search_parameter_leaves_it_unknown(
    ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    holds_everything(ehr)
    issue = {"severity": "error", "code": "not-supported", "details": {"text": "patient"}}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    ehr.on("Observation?patient=p1", lambda request: request.say(400, json.dumps(outcome).encode()))
    ehr.on("Condition?patient=p1", lambda request: request.fhir(outcome))
    answer = json.dumps(posted(service, call(ehr, "coverage", "patient", "encounter")))
    assert "the EHR was asked for Observation and it answered 400" in answer
    assert "the EHR could not look up Condition" in answer


def test_of_a_server_that_ignores_the_patient_nothing_of_others_is_used(
    ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    holds_everything(ehr)
    observations = [one for one in resources() if one["resourceType"] == "Observation"]
    others = [{**one, "id": f"x-{one['id']}", "subject": {"reference": "Patient/p2"}} for one in observations]
    ehr.finds("Observation?patient=p1", *others)
    answer = posted(service, call(ehr))
    said = json.dumps(answer)
    assert not any(one["id"] in said for one in others)
    assert "met" not in {status for one, status in statuses(answer).items() if "continuous" in one}
    assert "fhirServer.Observation.entry" in said, "what was refused is named by its place"


def test_pages_are_followed_for_what_was_read_and_for_what_was_sent(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    holds_everything(ehr)
    observations = [one for one in resources() if one["resourceType"] == "Observation"]
    cut = searchset(*observations[:5], link=[{"relation": "next", "url": f"{ehr.base}?page=2"}])
    ehr.behaviours["/fhir?page=2"] = lambda request: request.fhir(searchset(*observations[5:]))
    whole = statuses(posted(service, {**CALL, "fhirServer": ehr.base}))

    ehr.on("Observation?patient=p1", lambda request: request.fhir(cut))
    assert statuses(posted(service, call(ehr))) == whole

    ehr.seen.clear()
    document = call(ehr, *CALL["prefetch"])
    document["prefetch"]["observations"] = cut
    assert statuses(posted(service, document)) == whole
    assert [path for _, path, _ in ehr.seen] == ["/fhir?page=2"]


def test_a_payers_name_is_read_behind_its_reference(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    holds_everything(ehr)
    document = call(ehr, *CALL["prefetch"])
    [mine] = [e for e in document["prefetch"]["coverage"]["entry"] if e["resource"]["resourceType"] == "Coverage"]
    mine["resource"]["payor"] = [{"reference": "Organization/payer-by-reference"}]
    assert covered(posted(service, document)) == ("indeterminate", "technical")
    ehr.holds({"resourceType": "Organization", "id": "payer-by-reference", "name": "MassHealth"})
    assert covered(posted(service, document))[0] != "indeterminate"


# -- coverage: 412, 400, technical ------------------------------------------------------------------------


def without_insurance(document: dict[str, Any]) -> dict[str, Any]:
    document["context"]["draftOrders"]["entry"][0]["resource"].pop("insurance")
    return document


@pytest.mark.parametrize(
    "behaviour", [lambda request: request.say(500), lambda request: request.say(401), Request.reset]
)
def test_without_any_reference_a_coverage_that_could_not_be_looked_up_is_a_412(
    ehr: MisbehavingEhr, service: FlaskClient, behaviour: Behaviour
) -> None:
    ehr.otherwise = behaviour
    [issue] = posted(service, without_insurance(call(ehr)), 412)["issue"]
    assert "the EHR was asked for Coverage and it " in issue["details"]["text"]


def test_without_any_reference_a_look_up_that_found_none_is_a_400(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    ehr.finds("Coverage?patient=p1&status=active")
    [issue] = posted(service, without_insurance(call(ehr)), 400)["issue"]
    assert issue["code"] == "required"


@pytest.mark.parametrize(
    "behaviour", [lambda request: request.say(500), lambda request: request.say(404), lambda request: request.say(403)]
)
def test_a_coverage_that_the_order_names_and_the_ehr_does_not_give_is_technical(
    ehr: MisbehavingEhr, service: FlaskClient, behaviour: Behaviour
) -> None:
    ehr.otherwise = behaviour
    answer = posted(service, call(ehr))
    assert covered(answer) == ("indeterminate", "technical")
    assert answer["cards"] == []


def test_several_coverages_are_read_together(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    holds_everything(ehr)
    [mine] = [one for one in resources() if one["resourceType"] == "Coverage"]
    ehr.finds("Coverage?_id=c1,c2", mine, {**mine, "id": "c2"})
    document = call(ehr)
    insurance = [{"reference": "Coverage/c1"}, {"reference": "Coverage/c2"}]
    document["context"]["draftOrders"]["entry"][0]["resource"]["insurance"] = insurance
    answer = posted(service, document)
    found = [one for card in answer["cards"] for one in card.get("extension", {}).get("cds-service.determinations", [])]
    assert [one["coverage"] for one in found] == ["Coverage/c1", "Coverage/c2"]


# -- on time ----------------------------------------------------------------------------------------------


def needing_twenty_reads(ehr: MisbehavingEhr) -> dict[str, Any]:
    """Orders that point at much: twenty reads and more."""
    document = call(ehr, "coverage")
    [entry] = document["context"]["draftOrders"]["entry"]
    kinds = ("Procedure", "MedicationRequest", "MedicationStatement", "AllergyIntolerance", "Immunization", "Device")
    more = ("MedicationAdministration", "NutritionOrder", "QuestionnaireResponse")
    entry["resource"]["supportingInfo"] = [{"reference": f"{kind}/s1"} for kind in (*kinds, *more)]
    second = {**copy.deepcopy(entry["resource"]), "id": "o2", "requester": {"reference": "Practitioner/dr9"}}
    second["codeReference"] = {"reference": "Device/ordered"}
    document["context"]["draftOrders"]["entry"].append({"resource": second})
    return document


def test_twenty_reads_of_two_seconds_each_are_made_in_time(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    holds_everything(ehr)
    ehr.behaviours = {path: after(SLOW, behaviour) for path, behaviour in ehr.behaviours.items()}
    ehr.otherwise = after(SLOW, lambda request: request.say(404))
    document = needing_twenty_reads(ehr)
    began = time.monotonic()
    answer = posted(service, document)
    took = time.monotonic() - began
    assert took < 5  # the guide's limit; the budget is half a second less
    assert len(ehr.seen) >= 20
    whole = statuses(posted(service, {**CALL, "fhirServer": ehr.base}))
    assert statuses(answer) == whole, "one turn of two seconds brings the whole chart"


def test_with_nothing_sent_the_answer_of_a_slow_server_is_on_time_and_judged(
    ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    holds_everything(ehr)
    ehr.behaviours = {path: after(SLOW, behaviour) for path, behaviour in ehr.behaviours.items()}
    began = time.monotonic()
    answer = posted(service, call(ehr))
    assert time.monotonic() - began < 5
    assert statuses(answer)["ma-oxygen.continuous.rest"] == "met"


def test_a_server_that_hangs_costs_the_budget_and_no_more(ehr: MisbehavingEhr) -> None:
    ehr.otherwise = hang
    service = client(CDS_HOOK_BUDGET="0.6")
    began = time.monotonic()
    answer = posted(service, call(ehr, "coverage"))
    assert time.monotonic() - began < 4
    assert "unknown" in set(statuses(answer).values())


# -- what is told -----------------------------------------------------------------------------------------


def test_no_log_and_no_refusal_holds_the_token_or_the_patient(
    ehr: MisbehavingEhr, service: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    document = without_insurance(call(ehr))
    document["context"]["patientId"] = "patient-4711"
    document["context"]["draftOrders"]["entry"][0]["resource"]["subject"] = {"reference": "Patient/patient-4711"}
    document["fhirAuthorization"]["access_token"] = "t0ken-of-the-call"
    ehr.otherwise = Request.reset
    with caplog.at_level(logging.DEBUG):
        refused = posted(service, document, 412)
    said = json.dumps(refused) + "\n".join(one.getMessage() + str(one.exc_info) for one in caplog.records)
    assert "the EHR was asked for Coverage" in said
    assert "4711" not in said
    assert "t0ken" not in said
