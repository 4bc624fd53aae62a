"""An expression is compiled once for all plans that say the same of the same, and anew where anything differs."""

from __future__ import annotations

import dataclasses

from cds_service.policy.load import load_catalogue
from cds_service.policy.plan import Policy
from cds_service.policy.read_plan import compile_plan
from cds_service.policy.remembered import Remembered
from cds_service.terminology.value_sets import ValueSets
from tests.unit.policy.small_plan import definitions as small_definitions
from tests.unit.policy.small_plan import derived, small_plan

CATALOGUE, _ = load_catalogue(small_definitions())
assert CATALOGUE is not None
SETS = CATALOGUE.value_sets


def compiled(remembered: Remembered, resting: str = "%saturation", sets: ValueSets = SETS) -> Policy:
    plan = small_plan()
    inputs = plan["action"][1]["input"]
    inputs[1] = {**inputs[1], "extension": [derived("x", "y", resting)["extension"][0], *inputs[1]["extension"][1:]]}
    policy, faults = compile_plan(plan, "x", "2024-06-01", {}, sets, {"acme": "Acme"}, remembered)
    assert policy is not None, faults.problems
    return policy


def test_what_two_plans_say_alike_is_compiled_once_and_the_facts_are_whole() -> None:
    remembered = Remembered()
    first, second = compiled(remembered), compiled(remembered)
    assert second.facts.keys() == first.facts.keys()
    assert second.facts["restingLow"].expression is first.facts["restingLow"].expression


def test_where_a_fact_is_of_another_type_what_reads_it_is_compiled_anew() -> None:
    remembered = Remembered()
    first = compiled(remembered)
    second = compiled(remembered, resting="%saturation.where(value > 0 '%').first()")
    assert second.facts["restingLow"].expression is not first.facts["restingLow"].expression


def test_where_a_value_set_holds_other_codes_what_names_it_is_compiled_anew() -> None:
    remembered = Remembered()
    first = compiled(remembered)
    changed = [
        dataclasses.replace(one, keys=one.keys | {("http://loinc.org", "1-8")}) if "angina" in one.url else one
        for one in SETS.values()
    ]
    second = compiled(remembered, sets=ValueSets(changed))
    [before], [after] = (one.exclusions["excl.angina"].condition.expressions for one in (first, second))
    assert after is not before
    assert second.facts["restingLow"].expression is first.facts["restingLow"].expression
