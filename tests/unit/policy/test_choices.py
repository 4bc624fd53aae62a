"""An answer that is the code of a choice: expressions read it, no verdict comes of it, a misspelt one is a fault. And
no case may give an answer that nobody who fills the policy's form could give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import CaseResult, run_case
from cds_service.policy.choices import choices
from cds_service.policy.form import form_of
from cds_service.policy.load import load_catalogue
from cds_service.policy.plan import Policy
from tests.unit.policy.small_plan import criterion, definitions, group, small_plan

WAY = "acme-oxygen.way"


def chosen(*codes: str) -> str:
    return " or ".join(f"%answers.exists(linkId = '{WAY}' and value = '{code}')" for code in codes)


@pytest.fixture(scope="module")
def policy() -> Policy:
    """The small plan with a group of two ways, of which the one that is chosen applies."""
    plan: dict[str, Any] = small_plan()
    root = plan["action"][1]["action"][0]
    root["action"].append(
        group(
            WAY,
            "one-or-more",
            criterion(f"{WAY}.night", applies=f"{chosen('night')} or iif({chosen('day')}, false)"),
            criterion(f"{WAY}.day", applies=f"{chosen('day')} or iif({chosen('night')}, false)"),
            start=f"{chosen('night', 'day')} or {{}}",
        )
    )
    catalogue, problems = load_catalogue(definitions(plan))
    assert catalogue is not None, problems
    return catalogue.policies[0]


def judged(policy: Policy, answers: str) -> CaseResult:
    text = (
        f"cases: [{{name: a, on: 2026-02-10, order: {{hcpcs: E1390}}, answers: {answers},"
        " expect: {covered: covered}}]"
    )
    file, problems = read_cases(text, "cases.yaml", {})
    assert not problems
    return run_case(file.cases[0], policy)


def statuses(result: CaseResult) -> dict[str, str]:
    assert result.determination is not None, result.differences
    return {one.id: one.status.value for one in result.determination.criteria if one.id.startswith(WAY)}


def test_the_codes_that_a_policy_reads_are_known(policy: Policy) -> None:
    assert choices(policy) == {WAY: frozenset({"night", "day"})}


def test_a_choice_decides_which_branch_applies(policy: Policy) -> None:
    assert statuses(judged(policy, f"{{{WAY}: night, {WAY}.night: yes}}")) == {
        WAY: "met",
        f"{WAY}.night": "met",
        f"{WAY}.day": "not-applicable",
    }


def test_a_choice_meets_nothing_by_itself(policy: Policy) -> None:
    found = statuses(judged(policy, f"{{{WAY}: day}}"))
    assert (found[WAY], found[f"{WAY}.day"]) == ("unknown", "unknown")


def test_what_only_one_of_the_choices_asks_is_marked_so_until_it_is_made(policy: Policy) -> None:
    for answers, marked in (("{}", {f"{WAY}.night", f"{WAY}.day"}), (f"{{{WAY}: day}}", set())):
        found = judged(policy, answers).determination
        assert found is not None
        assert {one.id for one in found.criteria if one.may_not_apply} == marked


def test_a_choice_that_is_not_made_is_asked(policy: Policy) -> None:
    result = judged(policy, "{}")
    assert set(statuses(result).values()) == {"unknown"}
    assert result.determination is not None
    assert next(one for one in result.determination.criteria if one.id == WAY).asked


@pytest.mark.parametrize("value", ["nihgt", "evening", "acme"])
def test_an_answer_that_nothing_reads_is_a_fault_of_the_case(policy: Policy, value: str) -> None:
    (fault,) = judged(policy, f"{{{WAY}: {value}}}").differences
    assert f"'{value}' to {WAY} is read by nothing" in fault


def test_a_choice_is_no_answer_to_a_criterion_that_asks_for_none(policy: Policy) -> None:
    (fault,) = judged(policy, "{acme-oxygen.stable: night}").differences
    assert "'night' to acme-oxygen.stable is read by nothing" in fault


@pytest.mark.parametrize("value", ["Night", "two words", "true", "3"])
def test_what_is_no_code_is_refused_when_the_file_is_read(value: str) -> None:
    text = f"cases: [{{name: a, on: 2026-02-10, order: {{}}, answers: {{a.b: {value}}}, expect: {{covered: covered}}}}]"
    _, problems = read_cases(text, "cases.yaml", {})
    assert [one.fix for one in problems] == ["yes, no or dont-know, or the code of a choice"]


# -- the form that a case's answers are held against

DONT_KNOW = {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "asked-unknown"}
YES_NO = [{"system": "http://terminology.hl7.org/CodeSystem/v2-0136", "code": code} for code in "YN"]
WAYS = [{"system": "https://acme.example.org/way", "code": code} for code in ("night", "day")]


def question(link: str, options: list[dict[str, str]], *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    offered = [{"valueCoding": one} for one in options]
    return {"linkId": link, "text": link, "type": "choice", "answerOption": offered, "item": list(items), **more}


def enabled(link: str, code: dict[str, str]) -> list[dict[str, Any]]:
    return [{"question": link, "operator": "=", "answerCoding": code}]


@pytest.fixture(scope="module")
def with_form(policy: Policy) -> Policy:
    night = question(f"{WAY}.night", [*YES_NO, DONT_KNOW])
    branch = {"linkId": "by-night", "type": "group", "enableWhen": enabled(WAY, WAYS[0]), "item": [night]}
    day = question(f"{WAY}.day", YES_NO, enableWhen=enabled(WAY, WAYS[1]))
    form = {
        "url": "https://acme.example.org/q",
        "version": "1",
        "title": "A",
        "item": [question(WAY, WAYS, branch, day), {"linkId": "doc.report", "text": "Report", "type": "attachment"}],
    }
    return replace(policy, form=form_of(form))


def faults(policy: Policy, answers: str) -> list[str]:
    return [one for one in judged(policy, answers).differences if one.startswith("answers:")]


def test_answers_that_the_form_asks_for_are_none_of_a_case_s_faults(with_form: Policy) -> None:
    assert faults(with_form, f"{{{WAY}: night, {WAY}.night: dont-know}}") == []


def test_a_paper_is_attached_or_it_is_not(with_form: Policy) -> None:
    assert faults(with_form, "{doc.report: yes}") == []
    (fault,) = faults(with_form, "{doc.report: no}")
    assert "does not offer 'no' to doc.report" in fault


def test_an_answer_to_what_the_form_does_not_ask_is_a_fault_of_the_case(with_form: Policy) -> None:
    (fault,) = faults(with_form, "{acme-oxygen.stable: yes}")
    assert "the form does not ask 'acme-oxygen.stable'" in fault


def test_an_answer_that_the_form_does_not_offer_is_a_fault_of_the_case(with_form: Policy) -> None:
    (fault,) = faults(with_form, f"{{{WAY}.day: dont-know}}")
    assert f"does not offer 'dont-know' to {WAY}.day (it offers N, Y)" in fault


def test_an_answer_to_an_item_that_another_answer_switches_off_is_a_fault_of_the_case(with_form: Policy) -> None:
    (own,) = faults(with_form, f"{{{WAY}: night, {WAY}.day: yes}}")
    assert f"does not ask {WAY}.day beside these answers (enableWhen of {WAY}.day)" in own
    (of_its_group,) = faults(with_form, f"{{{WAY}: day, {WAY}.night: yes}}")
    assert "(enableWhen of by-night)" in of_its_group


def test_a_question_that_is_left_out_switches_nothing_off(with_form: Policy) -> None:
    # an adaptive form does not ask what the chart decides
    assert faults(with_form, f"{{{WAY}.day: yes}}") == []


def test_an_answer_of_another_response_switches_nothing_off(with_form: Policy) -> None:
    assert faults(with_form, f"{{{WAY}: night, {WAY}.day: {{value: yes, authored: 2026-02-01}}}}") == []
