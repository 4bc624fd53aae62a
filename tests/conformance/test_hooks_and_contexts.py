"""The six hooks: what a context must hold, which orders are answered, and data of any of the profiles."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conformance.calls import (
    CALLS,
    PRIMARY,
    answered,
    asking,
    call_of,
    changed,
    conversation,
    coverage_in,
    draft,
    every_object,
    only_statement,
    refused,
    without_ids,
    written,
)
from tests.conformance.statements import requirement

HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
# hook -> what its context must hold, and what it may leave out (CDS Hooks library)
CONTEXTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "order-sign": (("userId", "patientId", "draftOrders"), ("encounterId",)),
    "order-select": (("userId", "patientId", "selections", "draftOrders"), ("encounterId",)),
    "order-dispatch": (("patientId", "dispatchedOrders", "performer"), ("fulfillmentTasks",)),
    "appointment-book": (("userId", "patientId", "appointments"), ("encounterId",)),
    "encounter-start": (("userId", "patientId", "encounterId"), ()),
    "encounter-discharge": (("userId", "patientId", "encounterId"), ()),
}
REQUIRED = [(hook, name) for hook, (names, _) in CONTEXTS.items() for name in names]
OPTIONAL = [(hook, name) for hook, (_, names) in CONTEXTS.items() for name in names]


@requirement("cds-hooks/context-fields")
@pytest.mark.parametrize(("hook", "member"), REQUIRED)
def test_a_context_without_what_it_must_hold_is_refused(hook: str, member: str, service: FlaskClient) -> None:
    call = changed(call_of(hook), lambda one: one["context"].pop(member))
    assert f"context.{member}" in refused(service, call, 400, hook)["details"]["text"]


@requirement("cds-hooks/context-fields", "conf-12")
@pytest.mark.parametrize(("hook", "member"), OPTIONAL)
def test_what_a_context_may_leave_out_is_not_missed(hook: str, member: str, service: FlaskClient) -> None:
    call = changed(call_of(hook), lambda one: one["context"].pop(member, None))
    assert bool(written(answered(service, call))) == (hook not in ("encounter-start", "encounter-discharge"))


# -- which orders are answered ----------------------------------------------------------------------------


@requirement("hook-16", "resp-14", "resp-26", "resp-28")
@requirement("hook-26", "hook-33", "hook-39")
@pytest.mark.parametrize("hook", PRIMARY)
@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_a_primary_hook_is_answered_with_coverage_information(hook: str, version: str, service: FlaskClient) -> None:
    said = written(answered(service, asking(call_of(hook), version)))
    assert said
    assert all(one["coverage"] and one["covered"] and one["date"] for each in said.values() for one in each)


@requirement("hook-16")
@pytest.mark.parametrize("hook", PRIMARY)
def test_it_is_owed_also_where_the_chart_says_nothing(hook: str, service: FlaskClient) -> None:
    def bare(call: dict[str, Any]) -> None:
        kept = ("coverage", "deviceRequests") if hook != "order-sign" else ("coverage",)
        call["prefetch"] = {name: one for name, one in call["prefetch"].items() if name in kept}

    said = written(answered(service, changed(call_of(hook), bare)))
    oxygen = said["DeviceRequest/o1"][0]
    assert (oxygen["pa-needed"], oxygen["doc-needed"]) == (["auth-needed"], ["clinical"])


@requirement("hook-4", "resp-29")
def test_every_type_of_order_is_answered_each_with_one_action(service: FlaskClient) -> None:
    call = conversation("orders-that-no-policy-knows")
    whose = {"status": "draft", "subject": {"reference": "Patient/p1"}, "authoredOn": "2026-11-21"}
    glasses = {
        "resourceType": "VisionPrescription", "id": "v1", "status": "draft", "created": "2026-11-21",
        "patient": {"reference": "Patient/p1"}, "dateWritten": "2026-11-21",
        "prescriber": {"reference": "Practitioner/dr1"}, "lensSpecification": [{"product": {"text": "x"}}],
    }  # fmt: skip
    message = {"resourceType": "CommunicationRequest", "id": "k1", **whose, "payload": [{"contentString": "x"}]}
    call["context"]["draftOrders"]["entry"] += [{"resource": glasses}, {"resource": message}]
    orders = [f"{one['resourceType']}/{one['id']}" for one in draft(call)]
    types = {one.split("/")[0] for one in orders}
    assert types == {
        "CommunicationRequest", "DeviceRequest", "MedicationRequest", "NutritionOrder", "ServiceRequest",
        "VisionPrescription",
    }  # fmt: skip
    answer = answered(service, call)
    assert [f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in answer["systemActions"]] == orders
    assert set(written(answer)) == set(orders)


@requirement("hook-34")
def test_on_order_select_only_the_selection_is_answered(service: FlaskClient) -> None:
    call = call_of("order-select")
    assert len(draft(call)) == 2
    assert set(written(answered(service, call))) == {"DeviceRequest/o2"}


@requirement("hook-34")
def test_on_order_select_the_other_drafts_count(service: FlaskClient) -> None:
    # a portable system whose concentrator is in the draft needs none to be added
    alone = conversation("portable-without-its-concentrator")
    alone |= {"hook": "order-select"}
    alone["context"]["selections"] = [f"DeviceRequest/{draft(alone)[0]['id']}"]
    beside = copy.deepcopy(alone)
    concentrator = copy.deepcopy(draft(beside)[0]) | {"id": "beside"}
    concentrator["codeCodeableConcept"] = {"coding": [{"system": HCPCS, "code": "E1390"}]}
    beside["context"]["draftOrders"]["entry"].append({"resource": concentrator})
    assert [_creates(answered(service, one)) for one in (alone, beside)] == [True, False]


def _creates(answer: dict[str, Any]) -> bool:
    """Whether another order is proposed."""
    return any(one.get("type") == "create" for one in every_object(answer["cards"]))


@requirement("hook-19")
@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_on_order_select_no_documents_are_asked_for(version: str, service: FlaskClient) -> None:
    said = only_statement(answered(service, asking(call_of("order-select"), version)))
    assert not {"doc-needed", "doc-purpose", "questionnaire"} & set(said)


@requirement("hook-30", "cds-hooks/order-dispatch-1.1")
def test_on_order_dispatch_only_what_is_dispatched_is_answered_and_nobody_has_to_be_the_user(
    service: FlaskClient,
) -> None:
    call = call_of("order-dispatch")
    assert "userId" not in call["context"]
    assert set(written(answered(service, call))) == {"DeviceRequest/o1"}
    other = changed(call, lambda one: one["context"].update(dispatchedOrders=["DeviceRequest/neb-1"]))
    assert set(written(answered(service, other))) == {"DeviceRequest/neb-1"}


@requirement("cds-hooks/order-dispatch-1.0")
def test_the_older_shape_of_order_dispatch_is_answered_too(service: FlaskClient) -> None:
    call = conversation("crd-2-0-order-dispatch-of-one-order")
    assert isinstance(call["context"]["order"], str)
    assert "dispatchedOrders" not in call["context"]
    assert set(written(answered(service, asking(call, "2.0")))) == {call["context"]["order"]}


@requirement("hook-26", "hook-4")
def test_on_appointment_book_the_order_behind_an_appointment_is_answered_else_the_appointment(
    service: FlaskClient,
) -> None:
    assert set(written(answered(service, call_of("appointment-book")))) == {"DeviceRequest/o1", "Appointment/a2"}


@requirement("crd-2.1/appointment-times")
def test_an_appointment_needs_no_more_than_a_requested_period(service: FlaskClient) -> None:
    def only_a_period(call: dict[str, Any]) -> None:
        for entry in call["context"]["appointments"]["entry"]:
            one = entry["resource"]
            for name in ("start", "end"):
                one.pop(name, None)
            one["requestedPeriod"] = [{"start": "2026-12-01", "end": "2026-12-05"}]

    call = changed(call_of("appointment-book"), only_a_period)
    assert set(written(answered(service, call))) == {"DeviceRequest/o1", "Appointment/a2"}


@requirement("ops-1", "found-13")
def test_an_encounter_hook_speaks_where_something_is_lacking_and_is_silent_else(service: FlaskClient) -> None:
    start, discharge = (answered(service, call_of(hook)) for hook in ("encounter-start", "encounter-discharge"))
    assert [card["source"]["topic"]["code"] for card in start["cards"]] == ["guideline"]
    assert discharge == {"cards": []}


# -- orders as the profiles want them, and no more --------------------------------------------------------

# what CRD's profiles of these make mandatory (min >= 1)
MANDATORY = {
    "DeviceRequest": ("resourceType", "id", "status", "intent", "codeCodeableConcept", "subject", "authoredOn",
                      "requester"),
    "Coverage": ("resourceType", "id", "status", "subscriberId", "beneficiary", "relationship", "payor"),
    "Patient": ("resourceType", "id", "name", "gender", "birthDate", "identifier"),
}  # fmt: skip


@requirement("hook-22", "conf-7", "conf-8", "conf-9", "conf-12")
@requirement("verify_response_without_billing_options", "crd_v221_service_request_no_custom_extensions")
def test_orders_with_nothing_but_what_their_profile_demands_are_answered(service: FlaskClient) -> None:
    def cut(resource: dict[str, Any]) -> None:
        for name in set(resource) - set(MANDATORY[resource["resourceType"]]):
            del resource[name]

    def bare(call: dict[str, Any]) -> None:
        call["prefetch"] = {name: call["prefetch"][name] for name in ("patient", "coverage")}
        for one in (*draft(call), coverage_in(call), call["prefetch"]["patient"]):
            cut(one)

    call = changed(call_of("order-sign"), bare)
    assert not [one for one in every_object(call) if "extension" in one]
    said = only_statement(answered(service, call))
    assert (said["covered"], said["pa-needed"]) == (["covered"], ["auth-needed"])


def _us_core_3(call: dict[str, Any]) -> None:
    for one in _observations(call):
        one["category"] = [{"coding": [{"system": _OBSERVATION, "code": "vital-signs"}]}]
        one["meta"] = {"profile": [f"{_US_CORE}us-core-pulse-oximetry"]}
    for one in _conditions(call):
        one["category"] = [{"coding": [{"system": _CONDITION, "code": "problem-list-item"}]}]
        one["meta"] = {"profile": [f"{_US_CORE}us-core-condition"]}


def _us_core_6(call: dict[str, Any]) -> None:
    for one in _observations(call):
        # 6.1.0: the profile is a pattern of its own, and the code carries both codings
        one["meta"] = {"profile": [f"{_US_CORE}us-core-pulse-oximetry|6.1.0"]}
        one["code"]["coding"] = [*one["code"]["coding"], {"system": "http://loinc.org", "code": "59408-5"}]
        one["performer"] = [{"reference": "Practitioner/dr1"}]
    for one in _conditions(call):
        one["meta"] = {"profile": [f"{_US_CORE}us-core-condition-problems-health-concerns|6.1.0"]}


def _us_core_7(call: dict[str, Any]) -> None:
    _us_core_6(call)
    call["prefetch"]["encounter"]["meta"] = {"lastUpdated": "2026-11-21T09:00:00Z"}
    for one in _conditions(call):
        one["meta"] = {"profile": [f"{_US_CORE}us-core-condition-encounter-diagnosis|7.0.0"]}
    call["prefetch"]["patient"]["extension"] = [
        {"url": f"{_US_CORE}us-core-sex", "valueCode": "248152002"},
        {"url": f"{_US_CORE}us-core-interpreter-needed",
         "valueCoding": {"system": "http://snomed.info/sct", "code": "373067005"}},
    ]  # fmt: skip


_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
_OBSERVATION = "http://terminology.hl7.org/CodeSystem/observation-category"
_CONDITION = "http://terminology.hl7.org/CodeSystem/condition-category"


def _observations(call: dict[str, Any]) -> list[dict[str, Any]]:
    found = (one["resource"] for one in call["prefetch"]["observations"]["entry"])
    return [one for one in found if "valueQuantity" in one and any(
        each.get("code") in ("59408-5", "2708-6") for each in one["code"]["coding"])]  # fmt: skip


def _conditions(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [one["resource"] for one in call["prefetch"]["conditions"]["entry"]]


@requirement("conf-2", "conf-4", "crd_v221_supported_us_core_versions")
@pytest.mark.parametrize("shaped", [_us_core_3, _us_core_6, _us_core_7], ids=["3.1.1", "6.1.0", "7.0.0"])
def test_a_chart_of_each_us_core_is_read_alike(shaped: Callable[[Any], None], service: FlaskClient) -> None:
    call = call_of("order-sign")
    assert _observations(call) and _conditions(call)
    assert _criteria(answered(service, changed(call, shaped))) == _criteria(answered(service, call))
    assert "met" in _criteria(answered(service, call)).values()


def _criteria(answer: dict[str, Any]) -> dict[str, str]:
    return {one["id"]: one["status"] for one in every_object(answer["cards"]) if {"id", "status"} == set(one) & {
        "id", "status"} and "resourceType" not in one}  # fmt: skip


# -- billing options, orders not to do --------------------------------------------------------------------

BILLING = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"


@requirement("billopt-2", "verify_response_without_billing_options")
def test_an_answer_does_not_need_billing_options(service: FlaskClient) -> None:
    call = call_of("order-sign")
    assert BILLING not in str(call)
    assert written(answered(service, call))


@requirement("billopt-3")
def test_a_code_in_billing_options_counts_like_a_coding_of_the_order(service: FlaskClient) -> None:
    def by_extension(call: dict[str, Any]) -> None:
        concept = {"coding": [{"system": HCPCS, "code": "E1390"}]}
        draft(call)[0]["codeCodeableConcept"] = {
            "text": "home oxygen",
            "extension": [{"url": BILLING, "valueCodeableConcept": copy.deepcopy(concept)}],
        }

    call = changed(call_of("order-sign"), by_extension)
    said = only_statement(answered(service, call))
    assert said["pa-needed"] == ["auth-needed"]
    assert [one["code"] for one in said["billingCode"]] == ["E1390"]


@requirement("crd-2.2/do-not-perform")
def test_an_order_not_to_do_something_asks_for_no_authorization(service: FlaskClient) -> None:
    call = conversation("home-infusion-two-more-therapies")
    services = [one for one in draft(call) if one["resourceType"] == "ServiceRequest"]
    before = written(answered(service, call))
    for one in services:
        one["doNotPerform"] = True
    after = written(answered(service, call))
    for one in services:
        reference = f"ServiceRequest/{one['id']}"
        assert before[reference][0].get("pa-needed")
        assert "pa-needed" not in after[reference][0]
        assert after[reference][0]["reason"][0]["text"]


# -- words that both sides know ---------------------------------------------------------------------------


@requirement("conf-13", "conf-5")
def test_what_crd_has_an_element_for_is_not_said_in_extensions_of_ours(service: FlaskClient) -> None:
    for hook in CALLS:
        answer = answered(service, call_of(hook))
        for action in answer.get("systemActions", ()):
            urls = [one["url"] for one in action["resource"]["extension"]]
            assert all("davinci-crd" in one for one in urls)
        for reference, said in written(answer).items():
            for one in said:
                assert set(one) >= {"coverage", "covered", "date", "coverage-assertion-id"}, reference
                # an order that some policy judges also tells its code
                assert "billingCode" in one or one["reason"], reference


@requirement("verify_response_without_configuration", "dev-15")
def test_a_call_without_extension_is_answered_like_one_with_an_empty_one(service: FlaskClient) -> None:
    for hook in CALLS:
        call = call_of(hook)
        assert "extension" not in call
        assert without_ids(answered(service, {**call, "extension": {}})) == without_ids(answered(service, call))
