"""What is shown beside a verdict: the evidence of a demand in two halves, the order's own words, the order itself."""

from __future__ import annotations

from typing import Any

from cds_service.policy.case_file import Case, read_cases
from cds_service.policy.cases import run_case
from cds_service.policy.load import load_catalogue
from cds_service.policy.model import Determination, Verdict
from tests.unit.policy.small_plan import criterion, definitions, derived, part, retrieved, small_plan

ICD = "http://hl7.org/fhir/sid/icd-10-cm"


def lung_and_angina() -> dict[str, Any]:
    """The small plan with a criterion that wants both a lung disease and angina, and one about the order's words."""
    plan = small_plan()
    criteria = next(one for one in plan["action"] if one["id"] == "criteria")
    criteria["input"] += [
        retrieved("angina", "Condition", "dx-angina"),
        derived("hasLung", "boolean", "%lung.exists() or {}"),
        derived("hasAngina", "boolean", "%angina.exists() or {}"),
        derived("words", "markdown", "%line.text"),
    ]
    criteria["action"][0]["action"] += [
        criterion("acme-oxygen.both", "%hasLung and %hasAngina"),
        criterion("acme-oxygen.contents", input=[derived("orderWords", "markdown", "%line.text")]),
        criterion("acme-oxygen.named", "%words.exists(matches('(?i)\\\\bkit\\\\b')) or {}"),
    ]
    documents = next(one for one in plan["action"] if one["id"] == "documents")
    documents["action"].append(
        criterion("doc.prescription", "%`acme-oxygen.both`.met and %line.status = 'draft'", code=part("document"))
    )
    return plan


def judged(order: str, *chart: dict[str, Any]) -> dict[str, Verdict]:
    return {one.id: one for one in determined(order, *chart).criteria}


def determined(order: str, *chart: dict[str, Any]) -> Determination:
    catalogue, problems = load_catalogue(definitions(lung_and_angina()))
    assert catalogue is not None, problems
    text = f"cases: [{{name: a, on: 2026-02-10, order: {order}, expect: {{covered: covered}}}}]"
    file, faults = read_cases(text, "cases.yaml", {})
    assert not faults
    case = file.cases[0]
    changed = {name: getattr(case, name) for name in case.__dataclass_fields__}
    result = run_case(Case(**{**changed, "chart": chart}), catalogue.policies[0])
    assert result.determination is not None
    return result.determination


def condition(identity: str, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": identity,
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": ICD, "code": code}]},
    }


def shown(verdict: Verdict) -> list[str]:
    return sorted(one.reference for one in verdict.evidence)


def test_a_demand_in_two_halves_names_what_shows_either() -> None:
    chart = [condition("copd", "J44.9"), condition("angina", "I20.9")]
    assert shown(judged("{hcpcs: E1390}", *chart)["acme-oxygen.both"]) == ["Condition/angina", "Condition/copd"]


def test_a_half_that_is_shown_twice_over_is_named_all_the_same() -> None:
    chart = [condition("copd", "J44.9"), condition("fibrosis", "J84.10"), condition("angina", "I20.9")]
    verdict = judged("{hcpcs: E1390}", *chart)["acme-oxygen.both"]
    assert shown(verdict) == ["Condition/angina", "Condition/copd", "Condition/fibrosis"]


def test_two_halves_that_are_both_shown_twice_over_are_both_named() -> None:
    chart = [
        condition("copd", "J44.9"),
        condition("fibrosis", "J84.10"),
        condition("angina", "I20.9"),
        condition("angina-again", "I20.9"),
    ]
    verdict = judged("{hcpcs: E1390}", *chart)["acme-oxygen.both"]
    assert shown(verdict) == ["Condition/angina", "Condition/angina-again", "Condition/copd", "Condition/fibrosis"]


def test_the_words_of_an_order_are_shown_one_by_one_beside_a_question_and_decide_nothing() -> None:
    order = "{hcpcs: E1390, text: Ambu bag, resource: {note: [{text: with a mask}]}}"
    verdict = judged(order)["acme-oxygen.contents"]
    assert verdict.status.value == "unknown"
    assert [(one.reference, one.display) for one in verdict.candidates] == [
        ("DeviceRequest/o1", "Ambu bag, on this order"),
        ("DeviceRequest/o1", "with a mask, on this order"),
    ]


def test_the_words_of_an_order_may_also_be_asked_of_as_evidence() -> None:
    verdict = judged("{hcpcs: E1390, text: A kit, resource: {note: [{text: with a mask}]}}")["acme-oxygen.named"]
    assert verdict.status.value == "met"
    assert [one.display for one in verdict.evidence] == ["A kit, on this order"]


def test_a_paper_that_the_order_itself_is_names_the_order_before_what_else_shows_it() -> None:
    chart = [condition("copd", "J44.9"), condition("angina", "I20.9")]
    papers = {one.id: one for one in determined("{hcpcs: E1390}", *chart).documents}
    order, *others = papers["doc.prescription"].evidence
    assert order.display == "this order, once signed"
    assert [one.reference for one in others] == ["Condition/copd", "Condition/angina"]
