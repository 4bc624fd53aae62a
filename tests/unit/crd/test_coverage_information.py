"""What CRD 2.2 wants to read on an order, for each kind of statement."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds_service.crd.coverage import OrderCoverage
from cds_service.crd.coverage_information import Manner, assertion_id_of, coverage_information, is_of_coverage
from cds_service.crd.statements import no_policy_held, not_to_be_performed, of_coverage
from tests.fakes import determination
from tests.unit.crd.small_call import coded, flat, order
from tests.unit.crd.small_statements import COVERAGE, draft_line, statement

TODAY = date(2026, 11, 21)
COVERAGE_REASON = "https://cds-service.example.org/fhir/CodeSystem/coverage-reason"


def said(**changes: Any) -> dict[str, Any]:
    (extension,) = coverage_information(statement(determination(**changes)), TODAY, Manner())
    return flat(extension)


def test_a_determination_is_written_with_its_coverage_day_and_id() -> None:
    assert said() == {
        "coverage": {"reference": "Coverage/c1"},
        "covered": "covered",
        "pa-needed": "auth-needed",
        "billingCode": {"system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390"},
        "date": "2026-11-21",
        "coverage-assertion-id": "assertion-1",
    }


def test_the_parts_stand_in_the_order_of_the_profile() -> None:
    everything = determination(
        pa_needed="conditional",
        info_needed=("OTH",),
        reason=("Why",),
        doc_needed=("clinical", "admin"),
        questionnaire="https://x/Questionnaire/q|1",
        source_url="https://acme.example.org/policy",
    )
    (extension,) = coverage_information(statement(everything), TODAY, Manner())
    assert [one["url"] for one in extension["extension"]] == [
        "coverage",
        "covered",
        "pa-needed",
        "doc-needed",
        "doc-needed",
        "info-needed",
        "billingCode",
        "reason",
        "detail",
        "questionnaire",
        "date",
        "coverage-assertion-id",
    ]


def test_what_is_not_covered_says_nothing_of_authorization() -> None:
    found = said(covered="not-covered", pa_needed="auth-needed", reason=("Sleep studies alone.",))
    assert found["covered"] == "not-covered"
    assert "pa-needed" not in found
    assert found["reason"] == [{"text": "Sleep studies alone."}]


def test_what_is_conditional_names_what_is_wanted_and_why() -> None:
    found = said(pa_needed="conditional", info_needed=("timeframe",), reason=("Say how long.",))
    assert (found["info-needed"], found["reason"]) == (["timeframe"], [{"text": "Say how long."}])


def test_something_conditional_without_more_is_explained_by_its_rule() -> None:
    found = said(covered="conditional", rule_title="Findings still open")
    assert (found["info-needed"], found["reason"]) == (["OTH"], [{"text": "Findings still open"}])


def test_nothing_is_asked_for_where_nothing_is_conditional() -> None:
    assert "info-needed" not in said(info_needed=("OTH",))
    assert "info-needed" not in said(covered="not-covered", pa_needed="conditional", info_needed=("OTH",))


def test_a_questionnaire_goes_out_only_where_documents_are_needed() -> None:
    canonical = "https://x/Questionnaire/q|1"
    assert "questionnaire" not in said(questionnaire=canonical)
    found = said(questionnaire=canonical, doc_needed=("clinical",))
    assert (found["questionnaire"], found["doc-needed"]) == ([canonical], ["clinical"])


def test_the_payers_document_is_linked_only_at_a_verified_address() -> None:
    assert "detail" not in said()
    assert said(source_url="https://acme.example.org/p")["detail"] == [
        {
            "category": "cat-other",
            "code": {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/crd-coverage-detail", "code": "policy-link"}
                ]
            },
            "value": "https://acme.example.org/p",
        }
    ]


def test_a_purpose_is_never_given() -> None:
    # crd-ci-q4 is empty, not true, for withpa beside auth-needed; validators differ on what that means
    assert "doc-purpose" not in said(doc_needed=("clinical",))


def silent(silence: Any, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    (extension,) = coverage_information(statement(resource=resource, silence=silence), TODAY, Manner())
    return flat(extension)


def test_no_policy_is_no_answer_and_names_the_code() -> None:
    found = silent(no_policy_held(draft_line(), "Acme Health"))
    assert found["covered"] == "indeterminate"
    assert "pa-needed" not in found
    (reason,) = found["reason"]
    assert reason["coding"] == [{"system": COVERAGE_REASON, "code": "no-policy-held"}]
    assert "E1390" in reason["text"]
    assert "not an answer about authorization" in reason["text"]


def test_a_code_whose_policy_is_for_another_item_is_not_said_to_have_none() -> None:
    found = silent(no_policy_held(draft_line(), "Acme Health", code_is_known=True))
    reason = (
        found["reason"][0]["valueCodeableConcept"]
        if "valueCodeableConcept" in found["reason"][0]
        else found["reason"][0]
    )
    assert "nothing on this order was read as that item" in reason["text"]
    assert "not an answer about authorization" in reason["text"]
    assert reason["coding"][0]["code"] == "no-policy-held"


@pytest.mark.parametrize(
    "resource",
    [
        order(codeCodeableConcept={"text": "oxygen"}),
        order(codeCodeableConcept=coded("426294006", system="http://snomed.info/sct")),
        {"resourceType": "NutritionOrder", "id": "n"},
        {"resourceType": "DeviceRequest", "id": "o"},
    ],
)
def test_an_order_without_billing_code_is_told_how_to_add_one(resource: dict[str, Any]) -> None:
    found = silent(no_policy_held(draft_line(resource), "Acme Health"), resource)
    assert "billingCode" not in found
    (reason,) = found["reason"]
    assert reason["coding"][0]["code"] == "no-policy-held"
    assert "No billing code was found" in reason["text"]
    assert "Add the HCPCS code" in reason["text"]


def test_a_cpt_code_is_a_billing_code() -> None:
    resource = {
        "resourceType": "ServiceRequest",
        "id": "s",
        "code": coded("94760", system="http://www.ama-assn.org/go/cpt"),
    }
    found = silent(no_policy_held(draft_line(resource), "Acme Health"), resource)
    assert found["billingCode"] == {"system": "http://www.ama-assn.org/go/cpt", "code": "94760"}
    assert "94760" in found["reason"][0]["text"]


def test_an_order_not_to_do_something_asks_for_nothing() -> None:
    found = silent(not_to_be_performed())
    assert found["covered"] == "indeterminate"
    assert "not done" in found["reason"][0]["text"]


@pytest.mark.parametrize(
    ("standing", "covered", "code"),
    [("ended", "not-covered", "no-active-coverage"), ("unread", "indeterminate", "technical")],
)
def test_a_coverage_that_is_not_active_or_not_read_is_said_by_crds_own_codes(
    standing: Any, covered: str, code: str
) -> None:
    found = silent(of_coverage(OrderCoverage({"reference": "Coverage/c1"}, standing, why="The coverage is such.")))
    assert found["covered"] == covered
    (reason,) = found["reason"]
    assert reason["coding"] == [{"system": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", "code": code}]
    assert reason["text"].startswith("The coverage is such.")


def test_several_determinations_share_the_id() -> None:
    first, second = coverage_information(statement(determination(), determination(policy="other|1")), TODAY, Manner())
    assert flat(first)["coverage-assertion-id"] == flat(second)["coverage-assertion-id"] == "assertion-1"


@pytest.mark.parametrize(
    ("reference", "same"),
    [
        ("Coverage/c1", True),
        ("https://ehr.example.org/fhir/Coverage/c1", True),
        ("Coverage/c1/_history/2", True),
        ("Coverage/c2", False),
        (None, False),
    ],
)
def test_what_was_said_of_a_coverage_before_is_known_again(reference: str | None, same: bool) -> None:
    (extension,) = coverage_information(statement(determination()), TODAY, Manner())
    extension["extension"][0] = {"url": "coverage", "valueReference": {"reference": reference}}
    assert is_of_coverage(extension, COVERAGE.reference) is same


@pytest.mark.parametrize(
    "garbage", [None, "x", {}, {"url": "x"}, {"url": "x", "extension": {}}, {"extension": [None, {}]}]
)
def test_an_extension_of_another_kind_is_not_taken_for_ours(garbage: Any) -> None:
    assert not is_of_coverage(garbage, COVERAGE.reference)
    if isinstance(garbage, dict):
        assert assertion_id_of(garbage) is None
