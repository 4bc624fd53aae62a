"""Whether a policy's cases try its form: each answer in some case, and a chart that the answers alone complete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cds_service.policy.case_completeness import form_gaps
from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import run_case
from cds_service.policy.form import form_of
from cds_service.policy.load import load_catalogue
from cds_service.policy.plan import Policy
from tests.unit.policy.small_plan import definitions

ASKED = ("acme-oxygen.lung", "acme-oxygen.rest", "acme-oxygen.stable", "acme-oxygen.child")
NOT_COMPLETED = "no case with a chart whose answers alone take the root from unknown to met"
LUNG = """[{resourceType: Condition, id: c, subject: {reference: Patient/p1}, code: {coding: [{system:
  'http://hl7.org/fhir/sid/icd-10-cm', code: J44.9}]}}]"""
EACH_YES = "{acme-oxygen.rest: yes, acme-oxygen.stable: yes}"


@pytest.fixture(scope="module")
def policy() -> Policy:
    catalogue, problems = load_catalogue(definitions())
    assert catalogue is not None, problems
    options = [
        {"valueCoding": {"system": "https://acme.example.org", "code": one}} for one in ("Y", "N", "asked-unknown")
    ]
    items: list[dict[str, Any]] = [{"linkId": one, "type": "choice", "answerOption": options} for one in ASKED]
    items.append({"linkId": "form.attestation", "type": "choice", "answerOption": options[:1]})
    form = {"url": "https://acme.example.org/q", "version": "1", "title": "A", "item": items}
    return replace(catalogue.policies[0], form=form_of(form))


def gaps(policy: Policy, *cases: str) -> list[str]:
    listed = "".join(
        f"\n- {{name: case {n}, on: 2026-02-10, order: {{hcpcs: E1390}}, expect: {{covered: covered}}, {case}}}"
        for n, case in enumerate(cases)
    )
    file, problems = read_cases(f"cases:{listed}", "cases.yaml", {})
    assert not problems
    return form_gaps(policy, [run_case(case, policy) for case in file.cases])


def test_a_policy_without_a_form_lacks_no_answers(policy: Policy) -> None:
    assert gaps(replace(policy, form=None), "draft: []") == []


def test_each_answer_that_no_case_gives_is_told_but_for_dont_know_and_the_attestation(policy: Policy) -> None:
    found = gaps(policy, f"answers: {EACH_YES}", "answers: {acme-oxygen.lung: dont-know}")
    assert found == [
        "acme-oxygen.lung: no case answers 'yes'",
        "acme-oxygen.lung: no case answers 'no'",
        "acme-oxygen.rest: no case answers 'no'",
        "acme-oxygen.stable: no case answers 'no'",
        "acme-oxygen.child: no case answers 'yes'",
        "acme-oxygen.child: no case answers 'no'",
        NOT_COMPLETED,
    ]


def test_a_chart_that_the_answers_complete_is_seen(policy: Policy) -> None:
    assert NOT_COMPLETED not in gaps(policy, f"chart: {LUNG}, answers: {EACH_YES}")


@pytest.mark.parametrize(
    "case",
    [
        f"answers: {EACH_YES[:-1]}, acme-oxygen.lung: yes}}",  # no chart
        f"chart: {LUNG}, facts: {{restingO2: 88 %}}, answers: {{acme-oxygen.stable: yes}}",  # not the answers alone
        f"chart: {LUNG}, answers: {{acme-oxygen.stable: yes}}",  # still open
        f"chart: {LUNG}, answers: {{acme-oxygen.rest: no}}",
    ],
)
def test_what_shows_less_than_that_does_not_count(policy: Policy, case: str) -> None:
    assert NOT_COMPLETED in gaps(policy, case)
