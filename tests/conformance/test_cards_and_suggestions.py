"""Cards, suggestions, actions and links, over every answer that the application gives to the calls of the suite."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from tests.conformance.answers import CONVERSATIONS, EXTENSION, Answer, every_answer
from tests.conformance.calls import CALLS, answered, asking, call_of, conversation, every_object, written
from tests.conformance.packages import package, profile_faults
from tests.conformance.statements import requirement

ANSWERS = [one for one in every_answer() if one.name != "on file"]
CARDS = [(one, card) for one in ANSWERS for card in one.response["cards"]]
SUGGESTIONS = [(one, card, each) for one, card in CARDS for each in card.get("suggestions", ())]
ROOT = Path(__file__).parents[2]
MODEL = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/CRDHooksResponse"
ORDERS = {
    "CommunicationRequest", "DeviceRequest", "MedicationRequest", "NutritionOrder", "ServiceRequest",
    "VisionPrescription",
}  # fmt: skip


def of_kind(kind: str) -> Iterator[tuple[Answer, dict[str, Any]]]:
    """The cards of one type of response: what it is shows in its shape."""
    for one, card in CARDS:
        actions = [each["type"] for suggestion in card.get("suggestions", ()) for each in suggestion["actions"]]
        found = "externalReference" if "links" in card else "instructions"
        if card["source"]["topic"]["code"] == "insurance":
            found = "adjustCoverage"
        elif actions:
            found = "additionalOrders" if set(actions) == {"create"} else "alternateRequest"
        if found == kind:
            yield one, card


def orders_of(call: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every resource of a call by its reference."""
    found = [one for one in every_object([call["context"], call.get("prefetch")]) if "resourceType" in one]
    return {f"{one['resourceType']}/{one['id']}": one for one in found if "id" in one}


@requirement("cds-hooks/override-reasons", "crd_card_optional_fields_validation")
def test_the_reasons_for_setting_a_card_aside_are_codings_with_a_display() -> None:
    offered = [card["overrideReasons"] for _, card in CARDS if "overrideReasons" in card]
    assert offered
    for reasons in offered:
        assert 0 < len(reasons) < 8
        assert all(set(one) == {"code", "system", "display"} and all(one.values()) for one in reasons)
        assert len({(one["system"], one["code"]) for one in reasons}) == len(reasons)


@requirement("cds-hooks/response")
@pytest.mark.parametrize("hook", CALLS)
def test_an_answer_is_cards_and_system_actions(hook: str, service: FlaskClient) -> None:
    answer = answered(service, call_of(hook))
    assert set(answer) <= {"cards", "systemActions"}
    assert isinstance(answer["cards"], list)


@requirement("cds-hooks/card-attributes", "resp-1", "resp-2", "resp-5")
@requirement("crd_service_response_validation", "crd_v221_service_response_validation")
def test_a_card_has_what_it_must_have() -> None:
    assert CARDS
    for one, card in CARDS:
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in ("info", "warning"), "payment is no clinical danger"
        assert card["source"]["label"].strip()
        topic = card["source"]["topic"]
        new = one.version == "2.2"
        assert topic["system"].endswith("CodeSystem/cdshooks-card-type" if new else "davinci-crd/CodeSystem/temp")
        assert topic["code"] and topic["display"]
    indicators = [card["indicator"] for _, card in CARDS]
    assert indicators.count("info") > indicators.count("warning")


@requirement("crd_service_response_validation", "crd_v221_service_response_validation", "cds-hooks/actions")
def test_a_system_action_has_a_type_a_description_and_a_resource() -> None:
    for one in ANSWERS:
        if one.request["hook"] in ("order-sign", "order-dispatch", "appointment-book"):
            assert isinstance(one.response["systemActions"], list)
        for action in one.response.get("systemActions", ()):
            assert (action["type"], set(action)) == ("update", {"type", "description", "resource"})
            assert action["description"].strip()
            assert action["resource"]["id"]


@requirement("resp-3", "cds-hooks/suggestions", "crd_card_optional_fields_validation")
def test_a_suggestion_has_a_label_and_a_uuid_and_its_card_says_how_many_may_be_chosen() -> None:
    assert SUGGESTIONS
    for _, card, suggestion in SUGGESTIONS:
        assert card["selectionBehavior"] in ("any", "at-most-one")
        assert suggestion["label"].strip()
        assert re.fullmatch(r"[0-9a-f-]{36}", suggestion["uuid"])
        assert suggestion["actions"]
    assert not any("selectionBehavior" in card for _, card in CARDS if "suggestions" not in card)
    for one in ANSWERS:
        uuids = [card["uuid"] for card in one.response["cards"]]
        uuids += [each["uuid"] for card in one.response["cards"] for each in card.get("suggestions", ())]
        assert len(set(uuids)) == len(uuids)


@requirement("resp-4")
def test_a_card_is_from_the_insurer_on_the_members_card() -> None:
    payers = [json.loads(path.read_bytes()) for path in (ROOT / "plans" / "payers").glob("*.json")]
    names = {one["name"]: {one["name"].lower(), *(alias.lower() for alias in one.get("alias", ()))} for one in payers}
    for one, card in CARDS:
        if not (CONVERSATIONS / one.name).is_dir():  # made with a payer of the tests' own
            continue
        resources = orders_of(one.request).values()
        on_it = {
            each["payor"][0].get("display", "").lower() for each in resources if each["resourceType"] == "Coverage"
        }
        on_it |= {each.get("name", "").lower() for each in resources if each["resourceType"] == "Organization"}
        assert names[card["source"]["label"]] & on_it, (one.name, card["source"]["label"])


@requirement("cds-hooks/links", "resp-10", "resp-18", "resp-19", "crd_card_optional_fields_validation")
@requirement("crd_external_reference_card_validation", "crd_v221_external_reference_card_validation")
def test_an_external_reference_has_absolute_links_and_nothing_to_choose() -> None:
    cards = list(of_kind("externalReference"))
    assert {one.version for one, _ in cards} == {"2.0", "2.1", "2.2"}
    for _, card in cards:
        assert card["links"] and "suggestions" not in card
        for link in card["links"]:
            assert set(link) == {"label", "url", "type"}
            assert link["type"] == "absolute"
            assert urlsplit(link["url"]).scheme == "https" and link["label"].strip()
        in_text = re.findall(r"\]\((.*?)\)", card["detail"])
        assert set(in_text) <= {link["url"] for link in card["links"]}


@requirement("resp-9", "resp-20", "resp-21", "resp-11")
def test_an_external_reference_sums_up_what_its_page_says_of_the_order() -> None:
    for _, card in of_kind("externalReference"):
        if "Criteria:" in card["detail"]:
            assert re.search(r"^- [✓✗?] .{5,}", card["detail"], re.MULTILINE)
        assert len(card["detail"]) > len(card["summary"]) / 2
        assert all(len(urlsplit(link["url"]).path) > 1 for link in card["links"]), "a page, not a site"


@requirement("crd_valid_instructions_card_received", "crd_v221_valid_instructions_card_received")
def test_instructions_have_words_and_neither_links_nor_suggestions() -> None:
    cards = list(of_kind("instructions"))
    assert {one.version for one, _ in cards} == {"2.0", "2.1", "2.2"}
    for _, card in cards:
        assert card["detail"].strip()
        assert not {"links", "suggestions"} & set(card)


@requirement("crd-2.0.1/three-types", "crd_server_required_card_response_validation")
@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_the_three_types_that_older_guides_demand_come(version: str, service: FlaskClient) -> None:
    answer = answered(service, asking(call_of("order-sign"), version))
    assert any("links" in card for card in answer["cards"])
    assert any(not {"links", "suggestions"} & set(card) for card in answer["cards"])
    assert written(answer)


@requirement("resp-17")
def test_no_external_reference_leads_to_a_portal() -> None:
    for _, card in of_kind("externalReference"):
        for link in card["links"]:
            # our page of the policy, or the payer's own document: nothing to log in to
            assert re.search(r"/fhir/PlanDefinition/[\w-]+$|\.pdf(#.*)?$|/doc/|/policy|/policies", link["url"])


_PORTAL = re.compile(r"portal|\bPOSC\b|\bLTMS\b|online service center|log ?in|management system", re.IGNORECASE)


@requirement("resp-23")
def test_no_instructions_send_anybody_to_a_portal() -> None:
    cards = [card for _, card in of_kind("instructions")]
    assert cards
    assert not [card["summary"] for card in cards if _PORTAL.search(card["summary"] + card["detail"])]


@requirement("resp-23")
def test_no_shipped_policy_has_a_note_that_could() -> None:
    plans = [json.loads(path.read_bytes()) for path in sorted((ROOT / "plans").rglob("PlanDefinition.json"))]
    actions = [one for plan in plans for one in every_object(plan.get("action")) if "description" in one]
    notes = [one for one in actions if str(one.get("id", "")).startswith("advice")]
    assert notes
    assert not [one["id"] for one in notes if _PORTAL.search(one.get("title", "") + one["description"])]


# -- suggestions ------------------------------------------------------------------------------------------


@requirement("resp-53", "resp-54", "dev-21", "cds-hooks/actions")
@requirement("crd_propose_alternate_request_card_validation", "crd_v221_propose_alternate_request_card_validation")
def test_an_alternate_is_one_update_of_an_order_of_the_draft_that_keeps_all_else() -> None:
    cards = list(of_kind("alternateRequest"))
    assert cards
    for one, card in cards:
        drafts = {f"{each['resourceType']}/{each['id']}": each for each in _drafts(one.request)}
        assert "links" not in card
        for suggestion in card["suggestions"]:
            (action,) = suggestion["actions"]
            assert (action["type"], set(action)) == ("update", {"type", "description", "resource"})
            resource = action["resource"]
            came = drafts[f"{resource['resourceType']}/{resource['id']}"]
            assert resource != came
            assert set(came) <= set(resource)


@requirement("dev-21", "crd_additional_orders_card_validation", "crd_v221_additional_orders_card_validation")
def test_additional_orders_are_created_as_orders_of_the_same_patient() -> None:
    cards = list(of_kind("additionalOrders"))
    assert cards
    for one, card in cards:
        assert "links" not in card
        for action in (each for suggestion in card["suggestions"] for each in suggestion["actions"]):
            assert (action["type"], set(action)) == ("create", {"type", "description", "resource"})
            resource = action["resource"]
            assert resource["resourceType"] in ORDERS
            assert resource["subject"]["reference"].endswith(f"Patient/{one.request['context']['patientId']}")


def _drafts(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [one["resource"] for one in call["context"].get("draftOrders", {}).get("entry", ())]


@requirement("resp-55", "resp-57")
@pytest.mark.parametrize("version", ["2.0", "2.2"])
def test_a_proposed_order_fits_its_profile_as_well_as_the_order_that_it_is_for(version: str, fhir_folder: Path) -> None:
    found, looked_at = package(fhir_folder, version), 0
    for one, card, suggestion in SUGGESTIONS:
        if one.version != version:
            continue
        for action in suggestion["actions"]:
            resource = action["resource"]
            profile = (
                f"http://hl7.org/fhir/us/davinci-crd/StructureDefinition/profile-{resource['resourceType'].lower()}"
            )
            likes = [each for each in _drafts(one.request) if each["resourceType"] == resource["resourceType"]]
            before = {fault for like in likes for fault in profile_faults(found, profile, like)}
            assert set(profile_faults(found, profile, resource)) <= before, card["summary"]
            looked_at += 1
    assert looked_at


# -- which orders a card is about -------------------------------------------------------------------------


@requirement("dev-24", "dev-25", "resp-11")
def test_a_card_names_its_orders_in_words_and_by_reference() -> None:
    for one, card in CARDS:
        associated = card["extension"]["davinci-crd.associated-resource"]
        references = [each if isinstance(each, str) else each["reference"] for each in associated]
        assert references
        for reference in references:
            resource = orders_of(one.request).get(reference)
            if resource is None:  # an order to be dispatched that was not sent
                continue
            codes = {each["code"] for each in every_object(resource) if {"system", "code"} <= set(each)}
            assert any(code.split("-")[0] in card["detail"] for code in codes), (one.name, card["summary"])


@requirement("resp-12", "resp-25", "crd_v221_coverage_information_card_absence")
def test_no_card_carries_coverage_information() -> None:
    for _, card in CARDS:
        assert EXTENSION not in json.dumps(card)
        assert card["source"]["topic"]["code"] != "coverage-info"


@requirement("found-13")
def test_an_order_that_no_policy_knows_brings_no_card(service: FlaskClient) -> None:
    assert answered(service, conversation("orders-that-no-policy-knows"))["cards"] == []


@requirement("resp-59")
def test_no_form_is_sent_to_a_client_that_has_dtr() -> None:
    types = {each["resource"]["resourceType"] for _, _, one in SUGGESTIONS for each in one["actions"]}
    assert types <= ORDERS | {"Coverage"}


@requirement("resp-70")
def test_coverage_updates_are_offered_to_those_who_keep_the_record() -> None:
    hooks = {one.request["hook"] for one, _ in of_kind("adjustCoverage")}
    assert hooks and hooks <= {"appointment-book", "encounter-start"}


def test_an_update_of_a_coverage_is_one_suggestion_with_one_action_and_changes_nothing_else() -> None:
    for one, card in of_kind("adjustCoverage"):
        [suggestion] = card["suggestions"]
        [action] = suggestion["actions"]
        assert action["type"] == "update"
        before = orders_of(one.request)[f"Coverage/{action['resource']['id']}"]
        assert before["status"] == "active"
        assert action["resource"] == {**before, "status": "cancelled"}


# -- the logical models of CRD 2.2 ------------------------------------------------------------------------

MODELS = {
    "externalReference": "resp-22",
    "instructions": "resp-24",
    "alternateRequest": "resp-56",
    "additionalOrders": "resp-58",
    "adjustCoverage": "resp-71",
}


@requirement(*MODELS.values())
@pytest.mark.parametrize("kind", MODELS)
def test_a_card_fits_the_logical_model_of_its_type(kind: str, fhir_folder: Path) -> None:
    found = package(fhir_folder, "2.2")
    cards = [card for one, card in of_kind(kind) if one.version == "2.2"]
    assert cards
    for card in cards:
        faults = profile_faults(found, f"{MODEL}-{kind}", {"cards": [card]})
        # read as JSON: `extension` is an object there; and systemActions are not this card's matter
        faults = [one for one in faults if ".extension" not in one and ".systemActions" not in one]
        # the published model fixes every action of an alternate to `create`, against its own crd-respar-1
        assert [one for one in faults if not one.endswith("'update' is not 'create'")] == []
        for suggestion in card.get("suggestions", ()):
            actions = [each["type"] for each in suggestion["actions"]]
            assert kind != "alternateRequest" or actions == ["update"] or sorted(actions) == ["create", "delete"]
