"""The two Inferno server suites, played: their checks in our words, over a session of calls like theirs.

Inferno's calls for CRD 2.0.1 name no version, so they go to an application that is set up for such clients. Where a
check of theirs is one of the statements that other modules of this suite hold, the id stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conformance.answers import CONVERSATIONS, EXTENSION
from tests.conformance.calls import (
    CALLS,
    CONFIGURATION,
    PRIMARY,
    answered,
    call_of,
    conversation,
    coverage_in,
    draft,
    parts_of,
    posted,
    written,
)
from tests.conformance.statements import requirement

# which resources coverage information may come on, by hook
ON_ORDERS = {"DeviceRequest", "MedicationRequest", "NutritionOrder", "ServiceRequest", "VisionPrescription"}
ON = dict.fromkeys(CALLS, ON_ORDERS) | {
    "appointment-book": {"Appointment"},
    "encounter-start": {"Encounter"},
    "encounter-discharge": {"Encounter"},
}
# several calls of a hook, as a tester would prepare them
SESSION = {
    "order-sign": (
        "home-oxygen-order-sign",
        "portable-without-its-concentrator",
        "orders-of-several-policies-under-two-coverages",
        "home-infusion-two-more-therapies",
        "oximeter-for-an-infant-on-oxygen",
        "coverage-ended",
        "managed-care-member",
    ),
    "order-select": ("order-select-one-of-two",),
    "order-dispatch": ("order-dispatch-with-an-order-that-is-not-sent", "crd-2-0-order-dispatch-of-one-order"),
    "appointment-book": ("appointment-book-with-and-without-an-order", "crd-2-0-appointment-book"),
    "encounter-start": ("encounter-start-with-an-order-that-lacks-something",),
    "encounter-discharge": ("encounter-discharge-without-active-orders",),
}
# what Inferno adds to the calls that it repeats
ADDED: dict[str, dict[str, Any]] = {
    "configuration": {"extension": {CONFIGURATION: {"inferno-unknown-configuration": True}}},
    "context": {"context": {"inferno_unknown_context": "unknown"}},
    "elements": {"inferno_unknown_element": {"unknown": "unknown"}},
}


class Exchange(NamedTuple):
    call: dict[str, Any]
    response: TestResponse

    @property
    def answer(self) -> dict[str, Any]:
        return dict(self.response.get_json())

    @property
    def actions(self) -> list[dict[str, Any]]:
        return list(self.answer["systemActions"])


def _session(client: FlaskClient) -> dict[str, list[Exchange]]:
    found = {}
    for hook, names in SESSION.items():
        calls = [conversation(name) for name in names]
        found[hook] = [Exchange(call, posted(client, call)) for call in calls]
    return found


Session = dict[str, list[Exchange]]


@pytest.fixture(scope="module")
def of_201(service_20: FlaskClient) -> Session:
    return _session(service_20)


@pytest.fixture(scope="module")
def of_221(service: FlaskClient) -> Session:
    return _session(service)


@pytest.fixture(params=["2.0.1", "2.2.1"])
def session(request: pytest.FixtureRequest, of_201: Session, of_221: Session) -> Session:
    return of_201 if request.param == "2.0.1" else of_221


def _all(session: Session) -> Iterator[tuple[str, Exchange]]:
    for hook, exchanges in session.items():
        for one in exchanges:
            yield hook, one


# -- every hook -------------------------------------------------------------------------------------------


@requirement("crd_service_call_test", "crd_v221_server_invoke_hook_test")
def test_every_call_of_the_session_is_answered_200_with_json(session: Session) -> None:
    for _, one in _all(session):
        assert one.response.status_code == 200, one.response.get_data(as_text=True)[:300]
        assert isinstance(one.response.get_json(), dict)


@requirement("crd_service_response_validation", "crd_v221_service_response_validation")
def test_cards_and_actions_have_the_members_that_are_checked(session: Session) -> None:
    for hook, one in _all(session):
        for card in one.answer["cards"]:
            assert isinstance(card["summary"], str) and len(card["summary"]) < 140
            assert card["indicator"] in ("info", "warning", "critical")
            assert isinstance(card["source"]["label"], str)
            assert all(isinstance(card["source"]["topic"][name], str) for name in ("code", "system"))
        if hook in PRIMARY:
            assert one.answer.get("systemActions") is not None
        for action in one.answer.get("systemActions", ()):
            assert isinstance(action["type"], str) and isinstance(action["description"], str)
            assert isinstance(action["resource"]["resourceType"], str)


@requirement("crd_coverage_info_system_action_received", "crd_v221_coverage_info_system_action_received")
@pytest.mark.parametrize("hook", PRIMARY)
def test_coverage_information_comes_on_a_resource_that_fits_the_hook(hook: str, session: Session) -> None:
    types = {
        action["resource"]["resourceType"]
        for one in session[hook]
        for action in one.actions
        if any(each["url"] == EXTENSION for each in action["resource"]["extension"])
    }
    assert types & ON[hook]


@requirement("crd_coverage_info_system_action_validation", "crd_v221_coverage_info_system_action_validation")
@requirement("crd_v221_coverage_info_system_action_across_hooks_validation")
def test_ids_are_shared_for_one_coverage_of_an_order_and_differ_else(session: Session) -> None:
    for _, one in _all(session):
        for said in written(one.answer).values():
            ids: dict[str, set[str]] = {}
            for each in said:
                ids.setdefault(each["coverage"][0]["reference"], set()).update(each["coverage-assertion-id"])
            assert all(len(found) == 1 for found in ids.values())
            assert len(set().union(*ids.values())) == len(ids)


@requirement("crd_server_required_card_response_validation")
def test_over_all_hooks_the_three_required_types_are_seen(of_201: Session) -> None:
    cards = [card for _, one in _all(of_201) for card in one.answer["cards"]]
    links = [card["links"] for card in cards if "links" in card and "suggestions" not in card]
    assert any(all(link["type"] == "absolute" for link in each) for each in links)
    assert any(not {"links", "suggestions"} & set(card) for card in cards)
    assert any(written(one.answer) for _, one in _all(of_201))


@requirement("crd_propose_alternate_request_card_validation", "crd_v221_propose_alternate_request_card_validation")
@requirement("crd_additional_orders_card_validation", "crd_v221_additional_orders_card_validation")
def test_what_suggestions_do_is_done_to_orders_of_the_draft(session: Session) -> None:
    done = set()
    for one in session["order-sign"]:
        drafts = {f"{each['resourceType']}/{each['id']}" for each in draft(one.call)}
        for card in one.answer["cards"]:
            for suggestion in card.get("suggestions", ()):
                for action in suggestion["actions"]:
                    done.add(action["type"])
                    resource = action["resource"]
                    if action["type"] == "update":
                        assert f"{resource['resourceType']}/{resource['id']}" in drafts
                    assert resource["resourceType"] in ON_ORDERS
    assert done == {"update", "create"}


# -- 2.0.1: codes of later versions are faults ------------------------------------------------------------


@requirement("crd_coverage_info_system_action_validation", "crd-ci-parts")
def test_nothing_of_later_versions_comes_to_a_client_of_2_0_1(of_201: Session) -> None:
    for hook, one in _all(of_201):
        for said in written(one.answer).values():
            for each in said:
                assert "indeterminate" not in str(each)
                assert "expiry-date" not in each
                assert set(each.get("doc-needed", ())) <= {"clinical", "admin", "both", "conditional"}
                assert len(each.get("doc-needed", ())) <= 1
                assert all("category" not in detail for detail in each.get("detail", ()))
                assert all("system" in contact for contact in each.get("contact", ())), "a ContactPoint"
                assert "pa-needed" in each, "crd-ci-q2 as it was published"
        for card in one.answer["cards"]:
            assert card["source"]["topic"]["system"].endswith("davinci-crd/CodeSystem/temp"), hook


# -- 2.2.1 ------------------------------------------------------------------------------------------------


@requirement("crd_v221_all_responses_include_coverage_information")
@pytest.mark.parametrize("hook", ["order-sign", "order-select", "appointment-book"])
def test_every_answer_for_orders_without_coverage_information_contains_it(hook: str, of_221: Session) -> None:
    for one in of_221[hook]:
        assert EXTENSION not in str(one.call["context"])
        assert written(one.answer), one.call["hook"]


@requirement("crd_v221_order_dispatch_coverage_information")
def test_every_answer_to_a_dispatch_contains_it(of_221: Session) -> None:
    for one in of_221["order-dispatch"]:
        assert written(one.answer)


@requirement("crd_v221_coverage_info_system_action_validation")
def test_nothing_but_coverage_information_changes(of_221: Session) -> None:
    for _, one in _all(of_221):
        resources = {f"{each['resourceType']}/{each['id']}": each for each in _resources(one.call)}
        for action in one.answer.get("systemActions", ()):
            resource = dict(action["resource"])
            kept = [each for each in resource.pop("extension") if each["url"] != EXTENSION]
            came = dict(resources[f"{resource['resourceType']}/{resource['id']}"])
            assert kept == [each for each in came.pop("extension", []) if each["url"] != EXTENSION]
            assert resource == came


def _resources(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "resourceType" in value and "id" in value:
            yield value
        for one in value.values():
            yield from _resources(one)
    elif isinstance(value, list):
        for one in value:
            yield from _resources(one)


@requirement("crd_v221_coverage_info_configuration")
@pytest.mark.parametrize("hook", CALLS)
def test_with_coverage_info_off_there_is_none_of_it_and_still_an_answer(hook: str, service: FlaskClient) -> None:
    answer = answered(service, {**call_of(hook), "extension": {CONFIGURATION: {"coverage-info": False}}})
    assert not written(answer)
    assert not [card for card in answer["cards"] if card["source"]["topic"]["code"] == "coverage-info"]
    if hook in PRIMARY:  # the same check that wants systemActions on primary hooks reads this answer
        assert answer["systemActions"] == []


@requirement("crd_v221_unknown_configuration", "crd_v221_unknown_context", "crd_v221_unknown_cds_hooks_elements")
@pytest.mark.parametrize("added", ADDED)
@pytest.mark.parametrize("hook", PRIMARY)
def test_what_inferno_adds_on_purpose_does_not_keep_coverage_information_away(
    hook: str, added: str, service: FlaskClient
) -> None:
    call = call_of(hook)
    for name, more in ADDED[added].items():
        call[name] = {**call[name], **more} if name == "context" else more
    assert set(written(answered(service, call))) == set(written(answered(service, call_of(hook))))


SIXTEEN = {
    "coverage", "covered", "pa-needed", "doc-needed", "doc-purpose", "info-needed", "billingCode", "reason", "detail",
    "dependency", "questionnaire", "date", "coverage-assertion-id", "satisfied-pa-id", "contact", "expiry-date",
}  # fmt: skip


@requirement("crd_v221_coverage_information_must_support")
def test_all_sixteen_parts_of_coverage_information_are_seen(service: FlaskClient) -> None:
    ending = conversation("home-oxygen-order-sign")
    coverage_in(ending)["period"] = {"start": "2026-01-01", "end": "2026-12-31"}
    calls = [conversation(path.parent.name) for path in sorted(CONVERSATIONS.glob("*/request.json"))]
    seen: set[str] = set()
    for call in (*calls, ending):
        response = posted(service, call)
        for action in (response.get_json() or {}).get("systemActions", ()):
            for one in action["resource"]["extension"]:
                seen |= set(parts_of(one)) if one["url"] == EXTENSION else set()
    assert SIXTEEN - seen == set()


@requirement("crd_v221_coverage_not_found")
def test_no_active_coverage_is_the_first_reason(service: FlaskClient) -> None:
    (said,) = written(answered(service, conversation("coverage-ended"))).values()
    for one in said:
        assert one["covered"] == ["not-covered"]
        assert one["reason"][0]["coding"][0]["code"] in ("coverage-not-found", "no-active-coverage")
        assert re.fullmatch(r".*CodeSystem/temp", one["reason"][0]["coding"][0]["system"])
