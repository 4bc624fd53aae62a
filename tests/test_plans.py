"""Every shipped policy is told whole by its cases. Nothing here names a policy."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from cds_service.fhir.record import Record
from cds_service.policy import asking
from cds_service.policy.case_completeness import form_gaps, gaps
from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import run_case
from cds_service.policy.criteria import Verdicts
from cds_service.policy.model import Situation
from cds_service.policy.order_line import read_order_line
from tests.policy_cases import loaded

PLANS = Path(__file__).parent.parent / "plans"


def test_each_policy_has_cases_that_see_every_status_rule_exclusion_border_and_answer(
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
        missing += [f"{folder}: {gap}" for gap in (*gaps(policy, file, results), *form_gaps(policy, results))]
    assert not missing, "\n" + "\n".join(missing)


def test_every_value_set_is_used_by_a_policy(pytestconfig: pytest.Config) -> None:
    _, catalogue = loaded(pytestconfig, PLANS)
    used = {canonical for policy in catalogue.policies for canonical in policy.value_sets}
    assert set(catalogue.value_sets) == used


def test_what_is_said_of_an_empty_chart_at_load_is_what_an_empty_chart_gets(pytestconfig: pytest.Config) -> None:
    _, catalogue = loaded(pytestconfig, PLANS)
    day = date(2026, 11, 21)
    noon = datetime.fromisoformat("2026-11-21T12:00:00-05:00")
    record = Record.build([("patient", {"resourceType": "Patient", "id": "p1"})], "p1")
    order = {"resourceType": "DeviceRequest", "id": "o1"}
    situation = Situation(record, read_order_line(order, 0, record, day), day, day, noon)
    settled = 0
    for policy in catalogue.policies:
        facts = Verdicts(policy, situation).facts
        for criterion in policy.criteria.values():
            condition = criterion.start
            if condition is not None and condition.settled:
                settled += 1
                assert asking.truth(facts, condition) is condition.on_nothing, criterion.id
    assert settled
