"""What a plan may read beside its facts: the calendar, who performs, its own answers; and what a row may say."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_service.crd.coverage_information import Manner, coverage_information
from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import run_case
from cds_service.policy.load import load_catalogue
from cds_service.policy.model import Determination, ReasonCoding, Status, Verdict
from cds_service.policy.words import of_group
from tests.unit.crd.small_statements import statement
from tests.unit.policy.small_plan import CITED, definitions, fhirpath, part, row, small_plan

AUTHORIZATION, CRITERIA, ADVICE = 0, 1, 4
REASONS = "https://cds-service.example.org/fhir/CodeSystem/coverage-reason"


def judged(plan: dict[str, Any], case: str, on: str = "2026-11-20") -> Determination | None:
    text = f"cases: [{{name: a, on: {on}, {case}, expect: {{covered: covered}}}}]"
    file, problems = read_cases(text, "cases.yaml", {})
    assert not problems, problems
    catalogue, faults = load_catalogue(definitions(plan))
    assert catalogue is not None, faults
    return run_case(file.cases[0], catalogue.policies[0]).determination


def told(expression: str, case: str, on: str = "2026-11-20") -> str | None:
    """What a note of the small plan says of a case."""
    plan = small_plan()
    note = {
        "id": "advice.told",
        "title": "Told",
        "code": part("card"),
        "documentation": CITED,
        "dynamicValue": [{"path": "%action.description", "expression": fhirpath(expression)}],
    }
    plan["action"][ADVICE]["action"] = [note]
    determination = judged(plan, case, on)
    assert determination is not None
    assert determination.faults == ()
    return next(one.detail for one in determination.advice if one.id == "advice.told")


CALENDAR = "%calendar.date.toString() & ' ' & %calendar.day & ' ' & %calendar.hours & ' ' & "
CALENDAR += "%calendar.nextBusinessDay.toString()"


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-11-20T10:00:00", "2026-11-20 business normal 2026-11-23"),
        ("2026-11-20T18:00:00", "2026-11-20 business after 2026-11-23"),
        ("2026-11-20T07:59:00", "2026-11-20 business before 2026-11-23"),
        ("2026-11-21T12:00:00", "2026-11-21 weekend normal 2026-11-23"),
        ("2026-11-26T12:00:00", "2026-11-26 holiday normal 2026-11-27"),
        ("2026-09-04T18:00:00", "2026-09-04 business after 2026-09-08"),
    ],
)
def test_the_calendar_tells_day_hours_and_the_next_business_day(at: str, words: str) -> None:
    assert told(CALENDAR, f"at: {at}, order: {{hcpcs: E1390}}") == words


def test_the_calendar_goes_by_the_zone_of_the_instant() -> None:
    assert told(CALENDAR, "at: 2026-11-20T16:30:00-05:00, order: {hcpcs: E1390}").startswith("2026-11-20 business norm")
    eastern = datetime(2026, 11, 20, 22, 30, tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo("America/New_York"))
    assert told(CALENDAR, f"at: {eastern.isoformat()}, order: {{hcpcs: E1390}}").startswith("2026-11-20 business after")


def test_a_holiday_has_its_name_and_no_other_day_has_one() -> None:
    assert told("%calendar.holiday", "at: 2026-11-26T12:00:00, order: {hcpcs: E1390}") == "Thanksgiving Day"
    assert told("%calendar.holiday", "order: {hcpcs: E1390}") is None


@pytest.mark.parametrize(
    ("starts", "before"),
    [("2026-11-23", "2026-11-20"), ("2026-09-08", "2026-09-04"), ("2026-12", None), ("0001-01-01", None)],
)
def test_the_calendar_knows_the_last_business_day_before_the_first_day(starts: str, before: str | None) -> None:
    order = f"order: {{hcpcs: E1390, starts: '{starts}'}}"
    assert told("%calendar.businessDayBeforeFirstDay.toString()", order) == before


def test_the_performers_networks_can_be_read() -> None:
    said = "%performer.network.where(payer = %coverage.payer).programme.first()"
    order = "order: {hcpcs: E1390}"
    assert told(said, f"{order}, performer: {{network: [other, acme select]}}") == "select"
    assert told(said, f"{order}, performer: {{network: [other]}}") is None
    assert told(said, order) is None


def test_whether_the_requester_is_the_general_practitioner_can_be_read() -> None:
    said = "iif(%requester.generalPractitioner, 'theirs', 'not said')"
    asks = "order: {hcpcs: E1390}, requester:"
    assert told(said, f"{asks} {{role: [207Q00000X], general-practitioner: true}}") == "theirs"
    assert told(said, f"{asks} {{role: [207Q00000X]}}") == "not said"
    assert told(said, f"{asks} [207Q00000X]") == "not said"


# -- a trigger for every order of a type


def of_type(condition: str | None) -> dict[str, Any]:
    plan = small_plan()
    trigger: dict[str, Any] = {"type": "data-changed", "data": [{"type": "MedicationRequest"}]}
    if condition is not None:
        trigger["condition"] = fhirpath(condition)
    plan["action"][AUTHORIZATION]["trigger"].append(trigger)
    return plan


def test_a_trigger_without_codes_speaks_of_those_orders_that_its_condition_means() -> None:
    plan = of_type("%line.text contains 'vancomycin'")
    order = "order: {resourceType: MedicationRequest, text: %s}"
    assert judged(plan, order % "vancomycin") is not None
    assert judged(plan, order % "aspirin") is None
    assert judged(plan, "order: {resourceType: DeviceRequest, text: vancomycin}") is None


def test_a_policy_with_such_a_trigger_is_looked_at_for_every_order_of_the_type() -> None:
    catalogue, _ = load_catalogue(definitions(of_type("%line.text contains 'vancomycin'")))
    assert catalogue is not None
    (policy,) = catalogue.policies
    line = type("Line", (dict,), {"resource": {"resourceType": "MedicationRequest"}, "ordered": ()})(concept=[])
    other = type("Line", (dict,), {"resource": {"resourceType": "ServiceRequest"}, "ordered": ()})(concept=[])
    assert catalogue.in_force("acme", line, policy.start) == (policy,)
    assert catalogue.in_force("acme", other, policy.start) == ()
    assert catalogue.in_force("beta", line, policy.start) == ()


def test_a_trigger_with_neither_codes_nor_condition_is_refused() -> None:
    _, problems = load_catalogue(definitions(of_type(None)))
    assert "a condition that says which orders are meant" in str(problems[0])


def test_a_drug_is_called_by_its_name() -> None:
    plan = of_type("%line.text contains 'Vancomycin 1 g'")
    drug = "order: {resourceType: MedicationRequest, text: Vancomycin 1 g}"
    by_reference = (
        "order: {resourceType: MedicationRequest, resource: {medicationReference: {reference: '#m'}, "
        "contained: [{resourceType: Medication, id: m, code: {text: Vancomycin 1 g}}]}}"
    )
    for order in (drug, by_reference):
        found = judged(plan, order)
        assert found is not None and found.item == "Vancomycin 1 g"


# -- a reason with a code


def with_reason(reason: dict[str, Any]) -> dict[str, Any]:
    plan = small_plan()
    gives = {"covered": "conditional", "paNeeded": "conditional", "infoNeeded": "OTH", "reason": reason}
    plan["action"][AUTHORIZATION]["action"] = [row("auth.all", **gives)]
    return plan


def test_a_rows_reason_keeps_its_code_to_the_edge() -> None:
    reason = {"coding": [{"system": REASONS, "code": "referral"}], "text": "Ask for a referral."}
    found = judged(with_reason(reason), "order: {hcpcs: E1390}")
    assert found is not None
    assert found.reason == ("Ask for a referral.",)
    assert found.reason_codings == {"Ask for a referral.": ReasonCoding(REASONS, "referral")}
    (extension,) = coverage_information(statement(found), found.on_date, Manner())
    assert {"url": "reason", "valueCodeableConcept": reason} in extension["extension"]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ({"coding": [{"system": REASONS, "code": "x"}]}, "reason without text"),
        ({"coding": [{"code": "x"}], "text": "Words."}, "one coding, with system and code"),
        ({"coding": [{"system": REASONS, "code": "x"}] * 2, "text": "Words."}, "one coding, with system and code"),
    ],
)
def test_a_reason_has_words_and_at_most_one_whole_coding(reason: dict[str, Any], words: str) -> None:
    _, problems = load_catalogue(definitions(with_reason(reason)))
    assert any(words in str(one) for one in problems), problems


# -- a criterion that says itself what its answer means


def reading_its_answer() -> dict[str, Any]:
    plan = small_plan()
    said_no = "%answers.exists(linkId = 'acme-oxygen.rest' and value = 'no')"
    leaf = next(one for one in plan["action"][CRITERIA]["action"][0]["action"] if one["id"] == "acme-oxygen.rest")
    leaf["condition"] = [{"kind": "start", "expression": fhirpath(f"iif({said_no}, %restingLow, {{}})")}]
    return plan


@pytest.mark.parametrize(("low", "status"), [("true", "met"), ("false", "not-met")])
def test_an_answer_that_the_condition_reads_is_weighed_by_the_condition(low: str, status: str) -> None:
    answer = "answers: {acme-oxygen.rest: no}"
    found = judged(reading_its_answer(), f"order: {{hcpcs: E1390}}, facts: {{restingLow: {low}}}, {answer}")
    assert found is not None
    rest = next(one for one in found.criteria if one.id == "acme-oxygen.rest")
    assert rest.status.value == status
    assert "answered no on 2026-11-20" in str(rest.reason)


def test_without_an_answer_such_a_criterion_is_judged_as_any() -> None:
    found = judged(reading_its_answer(), "order: {hcpcs: E1390}, facts: {restingLow: true}")
    assert found is not None
    assert next(one for one in found.criteria if one.id == "acme-oxygen.rest").status.value == "unknown"


# -- a group with a demand of its own


@pytest.mark.parametrize(
    ("own", "below", "said"),
    [
        ("met", "met", "the range; with: A; C"),
        ("met", "unknown", "the range; still open: B"),
        ("met", "not-met", "the range; lacking: D"),
        ("unknown", "not-met", "the range"),
        ("not-met", "met", "the range"),
    ],
)
def test_a_group_whose_own_demand_is_met_says_which_members_go_with_it_or_lack(own: str, below: str, said: str) -> None:
    members = {"A": "met", "B": "unknown", "C": "met", "D": "not-met"}
    children = [Verdict(title, title, Status(status)) for title, status in members.items()]
    assert of_group(Verdict("g", "Group", Status(own), reason="the range"), Status(below), children) == said
