"""An answer that is the code of a choice: expressions read it, no verdict comes of it, a misspelt one is a fault."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import CaseResult, run_case
from cds_service.policy.choices import choices
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
