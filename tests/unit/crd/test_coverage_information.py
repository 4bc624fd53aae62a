"""What CRD 2.2 wants to read on an order, for each kind of statement."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cds_service.crd.coverage import OrderCoverage
from cds_service.crd.coverage_information import Manner, assertion_id_of, coverage_information, is_of_coverage
from cds_service.crd.statements import no_policy_held, not_to_be_performed, of_coverage
from cds_service.crd.versions import CRD_20, CRD_21, CRD_22, VERSIONS, CrdVersion
from cds_service.policy.model import Evidence, Status, Verdict
from tests.fakes import determination
from tests.unit.crd.small_call import coded, flat, order
from tests.unit.crd.small_statements import COVERAGE, draft_line, statement

TODAY = date(2026, 11, 21)
COVERAGE_REASON = "https://cds-service.example.org/fhir/CodeSystem/coverage-reason"


def said(version: CrdVersion = CRD_22, asks: bool = True, **changes: Any) -> dict[str, Any]:
    (extension,) = coverage_information(statement(determination(**changes)), TODAY, Manner(version, asks))
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


def test_a_purpose_is_given_beside_the_documents_that_have_it_and_explained() -> None:
    found = said(doc_needed=("clinical",), doc_purpose=("retain-doc",))
    # crd-ci-q8: a purpose needs a reason
    assert (found["doc-purpose"], found["reason"]) == (["retain-doc"], [{"text": "Every code needs authorization"}])
    assert "doc-purpose" not in said(doc_purpose=("retain-doc",))


@pytest.mark.parametrize(("version", "sent"), [(CRD_20, True), (CRD_21, False), (CRD_22, False)])
def test_a_purpose_that_validators_stumble_over_is_kept_back(version: CrdVersion, sent: bool) -> None:
    # crd-ci-q4 of 2.1 and 2.2 is empty, not true, for withpa beside auth-needed; validators differ on what that means
    found = said(version, doc_needed=("clinical",), doc_purpose=("withpa",))
    assert ("doc-purpose" in found) == sent


def test_a_hook_that_supports_asks_for_no_documents() -> None:
    asked = {"doc_needed": ("clinical",), "doc_purpose": ("withorder",), "questionnaire": "https://x/Questionnaire/q|1"}
    found = said(asks=False, **asked)
    assert {"doc-needed", "doc-purpose", "questionnaire", "info-needed"}.isdisjoint(found)


# -- what differs between the versions --------------------------------------------------------------------


def test_2_0_says_what_is_true_of_authorization_beside_not_covered() -> None:
    # its crd-ci-q2 is inverted: it holds only where pa-needed is there
    changes: dict[str, Any] = {"covered": "not-covered", "pa_needed": "auth-needed", "reason": ("Excluded.",)}
    assert said(CRD_20, **changes)["pa-needed"] == "auth-needed"
    assert "pa-needed" not in said(CRD_21, **changes)
    found = said(CRD_20, **{**changes, "pa_needed": "conditional"})
    assert (found["pa-needed"], found["info-needed"]) == ("conditional", ["OTH"])


def test_2_0_has_one_code_for_both_kinds_of_documents() -> None:
    assert said(CRD_20, doc_needed=("clinical", "admin"))["doc-needed"] == ["both"]
    assert said(CRD_20, doc_needed=("admin",))["doc-needed"] == ["admin"]
    assert said(CRD_21, doc_needed=("clinical", "admin"))["doc-needed"] == ["clinical", "admin"]


def test_before_2_2_a_wanted_detail_of_the_code_is_said_as_a_reason() -> None:
    changes: dict[str, Any] = {"pa_needed": "conditional", "info_needed": ("detail-code", "OTH"), "reason": ("Which?",)}
    assert said(CRD_22, **changes)["info-needed"] == ["detail-code", "OTH"]
    for version in (CRD_20, CRD_21):
        found = said(version, **changes)
        coding = {"system": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", "code": "detail-code"}
        assert found["info-needed"] == ["OTH"]
        assert found["reason"] == [{"coding": [coding], "text": "Which?"}]


def test_the_address_of_the_document_is_written_as_the_version_can() -> None:
    found = said(CRD_21, source_url="https://acme.example.org/p")["detail"]
    coding = {"system": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", "code": "policy-link"}
    assert found == [{"code": {"coding": [coding]}, "value": "https://acme.example.org/p"}]
    assert "detail" not in said(CRD_20, source_url="https://acme.example.org/p")


def test_whom_to_ask_is_written_with_a_name_only_where_the_version_knows_names() -> None:
    phone = {"system": "phone", "value": "555-0100"}
    who = {"name": "Utilization management", "telecom": [phone]}
    assert said(CRD_22, contact=(who,))["contact"] == [who]
    assert said(CRD_21, contact=(who,))["contact"] == said(CRD_20, contact=(who,))["contact"] == [phone]


def test_an_answer_lasts_no_longer_than_the_coverage() -> None:
    until = replace(COVERAGE, until=date(2026, 12, 31))
    for version, expected in ((CRD_20, None), (CRD_21, "2026-12-31"), (CRD_22, "2026-12-31")):
        (extension,) = coverage_information(statement(determination(), coverage=until), TODAY, Manner(version))
        assert flat(extension).get("expiry-date") == expected
    assert "expiry-date" not in said()


def test_another_order_that_decided_something_is_named() -> None:
    def decided(status: Status, *references: str) -> Verdict:
        return Verdict("a", "A", status, evidence=tuple(Evidence(one, "seen") for one in references))

    found = said(criteria=(decided(Status.MET, "DeviceRequest/o1", "DeviceRequest/o2", "Observation/s1"),))
    assert found["dependency"] == [{"reference": "DeviceRequest/o2"}]
    assert "dependency" not in said(criteria=(decided(Status.UNKNOWN, "DeviceRequest/o2"),))


def test_an_authorization_on_file_is_named_exactly_where_it_satisfies() -> None:
    assert said(pa_needed="satisfied", satisfied_pa_id="PA-1")["satisfied-pa-id"] == "PA-1"
    assert "satisfied-pa-id" not in said(pa_needed="auth-needed", satisfied_pa_id="PA-1")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_days_of_an_authorization_bound_what_is_said(version: CrdVersion) -> None:
    held = (date(2026, 11, 1), date(2027, 1, 31))
    satisfied = determination(pa_needed="satisfied", satisfied_pa_id="PA-1", satisfied_period=held)
    (extension,) = coverage_information(statement(satisfied), TODAY, Manner(version))
    found = flat(extension)
    (detail,) = found["detail"]
    assert detail["code"]["coding"][0] == {"system": version.detail_codes, "code": "allowed-period"}
    assert detail["value"] == {"start": "2026-11-01", "end": "2027-01-31"}
    assert detail.get("category") == ("cat-limitation" if version is CRD_22 else None)
    assert found.get("expiry-date") == ("2027-01-31" if version.expiry_date else None)
    ending = replace(COVERAGE, until=date(2026, 12, 31))
    (sooner,) = coverage_information(replace(statement(satisfied), coverage=ending), TODAY, Manner(version))
    assert flat(sooner).get("expiry-date") == ("2026-12-31" if version.expiry_date else None)


@pytest.mark.parametrize("version", [CRD_20, CRD_21])
def test_before_2_2_no_statement_is_conditional_and_explained(version: CrdVersion) -> None:
    (extension,) = coverage_information(
        statement(silence=no_policy_held(draft_line(), "Acme Health")), TODAY, Manner(version)
    )
    found = flat(extension)
    assert (found["covered"], found["info-needed"]) == ("conditional", ["OTH"])
    assert found.get("pa-needed") == ("conditional" if version is CRD_20 else None)
    assert found["reason"][0]["coding"][0]["code"] == "no-policy-held"


@pytest.mark.parametrize("version", [CRD_20, CRD_21])
def test_before_2_2_ended_coverage_is_said_in_the_words_of_the_guide(version: CrdVersion) -> None:
    ended = of_coverage(OrderCoverage({"reference": "Coverage/c1"}, "ended", why="It ended."))
    (extension,) = coverage_information(statement(silence=ended), TODAY, Manner(version))
    found = flat(extension)
    assert found["covered"] == "not-covered"
    assert found["reason"] == [{"text": "No Active Coverage"}, {"text": "It ended."}]
    # nothing was determined: never "no-auth"
    assert found.get("pa-needed") == ("conditional" if version is CRD_20 else None)


# -- where nothing was determined -------------------------------------------------------------------------


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
    assert "nothing to be done" in found["reason"][0]["text"]


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
