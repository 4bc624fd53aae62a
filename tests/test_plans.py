"""Every shipped policy is told whole by its cases. Nothing here names a policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_service.policy.case_completeness import gaps
from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import run_case
from tests.policy_cases import loaded

PLANS = Path(__file__).parent.parent / "plans"


def test_each_policy_has_cases_that_see_every_status_rule_exclusion_and_border(
    pytestconfig: pytest.Config,
) -> None:
    folders, catalogue = loaded(pytestconfig, PLANS)
    cases = {one.where.rsplit("/", 1)[0]: one for one in folders.cases}
    missing: list[str] = []
    for policy in catalogue.policies:
        folder = policy.where.rsplit("/", 1)[0]
        if policy.retired:
            continue
        if folder not in cases:
            missing.append(f"{folder}: no cases.yaml")
            continue
        file, problems = read_cases(cases[folder].text, cases[folder].where, cases[folder].charts)
        assert not problems
        results = [run_case(case, policy) for case in file.cases]
        missing += [f"{folder}: {gap}" for gap in gaps(policy, file, results)]
    assert not missing, "\n" + "\n".join(missing)


def test_every_value_set_is_used_by_a_policy(pytestconfig: pytest.Config) -> None:
    _, catalogue = loaded(pytestconfig, PLANS)
    used = {canonical for policy in catalogue.policies for canonical in policy.value_sets}
    assert set(catalogue.value_sets) == used
