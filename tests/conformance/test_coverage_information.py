"""Coverage information as the application writes it: when, on what, with which ids, and what if it cannot be used."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conformance.answers import EXTENSION, every_answer
from tests.conformance.calls import (
    CALLS,
    PRIMARY,
    answered,
    application,
    asking,
    call_of,
    changed,
    conversation,
    coverage_in,
    draft,
    only_statement,
    written,
)
from tests.conformance.statements import requirement

VERSIONS = ["2.0", "2.1", "2.2"]
REASONS = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
each_version = pytest.mark.parametrize("version", VERSIONS)


@requirement("resp-28", "resp-29", "resp-48")
@each_version
def test_each_order_in_scope_has_one_action_unless_they_are_switched_off(version: str, service: FlaskClient) -> None:
    for name in ("two-lines-of-one-policy", "orders-of-several-policies-under-two-coverages"):
        call = conversation(name)
        orders = {f"{one['resourceType']}/{one['id']}" for one in draft(call)}
        answer = answered(service, asking(call, version))
        assert len(answer["systemActions"]) == len(orders)
        assert set(written(answer)) == orders
        assert answered(service, asking(call, version, coverage_info=False))["systemActions"] == []


@requirement("resp-37", "cds-hooks/fhir-json")
def test_an_order_comes_back_as_it_was_to_its_last_digit(service: FlaskClient) -> None:
    def odd(call: dict[str, Any]) -> None:
        order = draft(call)[0]
        order["x-of-a-vendor"] = {"b": 1, "a": [True]}
        order["extension"] = [{"url": "urn:ours", "valueDecimal": 0}]
        order["note"] = [{"text": "2.50 l – näher bestimmt"}]

    call = changed(call_of("order-sign"), odd)
    # the digits are put in by hand: no float may come between
    text = json.dumps(call).replace('"valueDecimal": 0', '"valueDecimal": 2.500')
    response = service.post("/cds-services/order-sign-crd", data=text)
    assert response.status_code == 200
    body = response.get_data(as_text=True)
    assert '"valueDecimal":2.500' in body
    (action,) = json.loads(body)["systemActions"]
    resource = action["resource"]
    resource["extension"] = [one for one in resource["extension"] if one["url"] != EXTENSION]
    sent = json.loads(text)["context"]["draftOrders"]["entry"][0]["resource"]
    assert resource == sent
    assert list(resource) == list(sent)


# -- not again --------------------------------------------------------------------------------------------


def _with_last_answer(call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The call as it comes again from an EHR that kept what it was told."""
    again = copy.deepcopy(call)
    updated = {one["resource"]["id"]: one["resource"] for one in answer["systemActions"]}
    for entry in again["context"]["draftOrders"]["entry"]:
        entry["resource"] = updated.get(entry["resource"]["id"], entry["resource"])
    return again


@requirement("resp-35", "hook-16")
@each_version
def test_an_order_of_which_nothing_new_is_said_is_not_updated(version: str, service: FlaskClient) -> None:
    call = asking(call_of("order-sign"), version)
    again = _with_last_answer(call, answered(service, call))
    assert answered(service, again)["systemActions"] == []


@requirement("resp-35", "resp-36")
@each_version
def test_what_is_new_is_said_under_the_id_of_the_earlier_assertion(version: str, service: FlaskClient) -> None:
    call = asking(call_of("order-sign"), version)
    first = answered(service, call)
    again = _with_last_answer(call, first)
    coverage_in(again)["status"] = "cancelled"
    second = answered(service, again)
    before, after = only_statement(first), only_statement(second)
    assert after["covered"] == ["not-covered"]
    assert after["coverage-assertion-id"] == before["coverage-assertion-id"]


@requirement("resp-36", "found-11")
def test_an_earlier_decision_is_found_again_by_its_id(tmp_path: Path) -> None:
    # what was found on file once holds for an order that comes back without the chart that showed it
    call = conversation("authorization-on-file")
    first = answered(application(tmp_path), call)
    said = next(iter(written(first).values()))[0]
    assert said["pa-needed"] == ["satisfied"]
    again = _with_last_answer(call, first)
    for key in ("claimResponses", "explanationOfBenefits"):
        again["prefetch"].pop(key, None)
    assert answered(application(tmp_path), again)["systemActions"] == []


# -- ids --------------------------------------------------------------------------------------------------


@requirement("resp-32", "crd-2.0.1/shared-ids", "hook-13/several-coverages")
@each_version
def test_ids_are_one_for_a_coverage_and_another_for_another(version: str, service: FlaskClient) -> None:
    call = conversation("home-oxygen-order-sign")
    second = copy.deepcopy(coverage_in(call)) | {"id": "c2"}
    call["prefetch"]["coverage"]["entry"].append({"resource": second})
    draft(call)[0]["insurance"] = [{"reference": "Coverage/c1"}, {"reference": "Coverage/c2"}]
    ((one, other),) = written(answered(service, asking(call, version))).values()
    assert one["coverage"] != other["coverage"]
    assert one["coverage-assertion-id"] != other["coverage-assertion-id"]


@requirement("covinfo-1")
def test_an_order_has_one_repetition_for_a_coverage_so_that_none_overlap() -> None:
    looked_at = 0
    for one in every_answer():
        if one.name == "on file":  # written by hand: two policies of one code
            continue
        for reference, said in written(one.response).items():
            coverages = [each["coverage"][0]["reference"] for each in said]
            assert len(set(coverages)) == len(coverages), (one.name, reference)
            looked_at += 1
    assert looked_at > 50


# -- what bounds an assertion -----------------------------------------------------------------------------


@requirement("resp-30")
def test_what_an_assertion_is_bound_to_is_said_in_it(service: FlaskClient) -> None:
    said = only_statement(answered(service, call_of("order-sign")))
    assert said["billingCode"][0]["code"] == "E1390"
    assert said["coverage"] == [{"reference": "Coverage/c1"}]
    assert said["date"] == ["2026-11-21"]
    ending = changed(call_of("order-sign"), lambda call: coverage_in(call)["period"].update(end="2026-12-31"))
    for version, told in (("2.0", None), ("2.1", ["2026-12-31"]), ("2.2", ["2026-12-31"])):
        assert only_statement(answered(service, asking(ending, version))).get("expiry-date") == told


@requirement("resp-51", "impl-5", "found-10")
def test_a_code_that_only_a_modifier_or_another_spelling_tells_is_inferred_and_told(service: FlaskClient) -> None:
    for coding in ({"code": "E1390-RR"}, {"code": "e1390"}, {"code": "E1390:RR"}, {"code": "E1390RR"}):
        call = call_of("order-sign")
        (given,) = draft(call)[0]["codeCodeableConcept"]["coding"]
        draft(call)[0]["codeCodeableConcept"]["coding"] = [{"system": given["system"], **coding}]
        said = only_statement(answered(service, call))
        if "billingCode" in said:  # what was assumed is told, in the codes that the payer's policy uses
            assert [one["code"][:5] for one in said["billingCode"]] == ["E1390"]
        else:
            assert said["covered"] == ["indeterminate"] and said["reason"][0]["text"]


# -- coverage that cannot be used -------------------------------------------------------------------------


def _ended(call: dict[str, Any]) -> None:
    coverage_in(call)["period"] = {"start": "2025-01-01", "end": "2025-12-31"}


def _cancelled(call: dict[str, Any]) -> None:
    coverage_in(call)["status"] = "cancelled"


@requirement("resp-42", "resp-45", "crd_v221_coverage_not_found", "hrex/coverage-period")
@pytest.mark.parametrize("inactive", [_ended, _cancelled])
@pytest.mark.parametrize("hook", PRIMARY)
def test_a_coverage_that_is_not_active_is_not_covered_with_that_code_first(
    inactive: Any, hook: str, service: FlaskClient
) -> None:
    for said in written(answered(service, changed(call_of(hook), inactive))).values():
        for one in said:
            assert one["covered"] == ["not-covered"]
            assert one["reason"][0]["coding"][0] == {"system": REASONS, "code": "no-active-coverage"}
            assert "pa-needed" not in one


@requirement("crd-2.1/resolution-words", "crd-ci-q2")
@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_older_versions_say_so_in_words(version: str, service: FlaskClient) -> None:
    said = only_statement(answered(service, asking(changed(call_of("order-sign"), _ended), version)))
    assert said["covered"] == ["not-covered"]
    assert "No Active Coverage" in said["reason"][0]["text"]
    assert "coding" not in said["reason"][0]
    assert ("pa-needed" in said) == (version == "2.0")


@requirement("resp-43", "crd-ci-q9")
@pytest.mark.parametrize("hook", ["order-sign", "order-select"])
def test_a_coverage_that_cannot_be_read_is_indeterminate_for_technical_reasons(hook: str, service: FlaskClient) -> None:
    def unread(call: dict[str, Any]) -> None:
        failed = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
        call["prefetch"]["coverage"] = failed
        for one in draft(call):
            one["insurance"] = [{"reference": "Coverage/c7"}]

    for said in written(answered(service, changed(call_of(hook), unread))).values():
        for one in said:
            assert one["covered"] == ["indeterminate"]
            assert one["reason"][0]["coding"][0] == {"system": REASONS, "code": "technical"}
            assert one["reason"][0]["text"].strip()


@requirement("hrex/payer-of-coverage", "hook-13/payer-identifier")
@pytest.mark.parametrize("way", ["organization", "display", "logical", "contained"])
def test_the_payer_is_known_by_its_organization_or_by_a_logical_reference(way: str, service: FlaskClient) -> None:
    def payor(call: dict[str, Any]) -> None:
        coverage, entries = coverage_in(call), call["prefetch"]["coverage"]["entry"]
        if way != "organization":
            entries[:] = [one for one in entries if one["resource"]["resourceType"] == "Coverage"]
        coverage["payor"] = [
            {
                "organization": {"reference": "Organization/masshealth"},
                "display": {"display": "MassHealth"},
                "logical": {"type": "Organization", "identifier": {"value": "12"}, "display": "MassHealth"},
                "contained": {"reference": "#org"},
            }[way]
        ]
        if way == "contained":
            coverage["contained"] = [
                {"resourceType": "Organization", "id": "org", "active": True, "name": "MassHealth"}
            ]

    said = only_statement(answered(service, changed(call_of("order-sign"), payor)))
    assert said["pa-needed"] == ["auth-needed"]


# -- codes ------------------------------------------------------------------------------------------------

SYSTEMS = [
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "urn:oid:2.16.840.1.113883.6.285",
    "https://bluebutton.cms.gov/resources/codesystem/hcpcs",
    "http://terminology.hl7.org/CodeSystem/HCPCS",
]


@requirement("crd-2.0.1/hcpcs-systems")
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("hook", ["order-sign", "order-select"])
def test_a_hcpcs_code_is_read_under_any_of_its_systems_and_comes_back_as_it_was(
    system: str, hook: str, service: FlaskClient
) -> None:
    def respelt(call: dict[str, Any]) -> None:
        for one in draft(call):
            for coding in one["codeCodeableConcept"]["coding"]:
                coding["system"] = system

    call = changed(call_of(hook), respelt)
    answer = answered(service, call)
    assert only_statement(answer)["pa-needed"] == ["auth-needed"]
    (action,) = answer["systemActions"]
    sent = next(one for one in draft(call) if one["id"] == action["resource"]["id"])
    assert action["resource"]["codeCodeableConcept"] == sent["codeCodeableConcept"]


@requirement("resp-28", "hook-16")
def test_with_coverage_information_off_the_cards_stay(service: FlaskClient) -> None:
    for hook in CALLS:
        on = answered(service, call_of(hook))
        off = answered(service, asking(call_of(hook), coverage_info=False))
        assert len(off["cards"]) == len(on["cards"])
        assert not written(off)


@requirement("resp-38")
@each_version
def test_where_documents_are_needed_the_questionnaire_is_named_and_is_held_here(
    version: str, service: FlaskClient
) -> None:
    asked: set[str] = set()
    for name in ("home-oxygen-order-sign", "two-lines-of-one-policy", "oximeter-for-an-infant-on-oxygen"):
        for statements in written(answered(service, asking(conversation(name), version))).values():
            for said in statements:
                assert ("doc-needed" in said) == ("questionnaire" in said), name
                asked |= set(said.get("questionnaire", ()))
    assert len(asked) == 2
    for canonical in asked:
        address = canonical.rpartition("|")[0].rpartition("/fhir/")[2]
        assert service.get(f"/fhir/{address}").status_code == 200
