"""Asking a condition again with one item more or fewer: how evidence, candidates and conflicts are found.

Pure; knows items and answers, not what a criterion is. Why it is done so: ADR 0003.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cds_service.fhir.fhirpath import EvaluationFault
from cds_service.policy.facts import MOST_ASKED, Asked, Facts
from cds_service.policy.plan import Condition
from cds_service.policy.views import REQUESTS


def truth(facts: Facts, condition: Condition | None) -> bool | None:
    """A condition's plain answer: its expressions joined by *and*. No condition is true."""
    return True if condition is None else _truth_in(facts, facts, condition)


def ask(facts: Facts, condition: Condition, given: Mapping[str, list[Any]]) -> bool | None:
    """The condition's answer with some facts (or verdicts' views) replaced."""
    return _truth_in(facts, Asked(facts, given, condition.reach.values), condition)


def _truth_in(facts: Facts, environment: Facts | Asked, condition: Condition) -> bool | None:
    # a condition that runs into a fault of ours is unknown, and the fault is noted
    result: bool | None = True
    for expression in condition.expressions:
        try:
            answer = expression.truth(environment)
        except EvaluationFault as fault:
            facts.note(expression.text, fault)
            answer = None
        if answer is False:
            return False
        if answer is None:
            result = None
    return result


def set_aside(facts: Facts, condition: Condition) -> dict[str, list[Any]]:
    """The candidates of each fact that a condition rests on; only facts that have some."""
    return {name: held for name in condition.reach.items if (held := facts.gathered(name).candidates)}


def holders(lists: Mapping[str, list[Any]]) -> list[tuple[Any, list[str]]]:
    """Each item once, with the facts that hold it: one reading may stand in several."""
    found: dict[int, tuple[Any, list[str]]] = {}
    for name, items in lists.items():
        for item in items[:MOST_ASKED]:
            found.setdefault(id(item), (item, []))[1].append(name)
    return list(found.values())


def candidates(facts: Facts, condition: Condition, plain: bool | None) -> tuple[list[Any], bool]:
    """Items set aside that, put in, make the condition or a boolean fact that it reads true; and whether any of them
    (or all together) would keep a plain *no* from being one."""
    aside = set_aside(facts, condition) if plain is not True else {}
    if not aside:
        return [], False
    known = {name: facts.variable(name) for name in aside}
    closed = [name for name in condition.reach.booleans if facts.variable(name) != [True]]
    found: list[Any] = []
    unsettled = False
    for item, names in holders(aside):
        asked = Asked(facts, {name: [*known[name], item] for name in names}, condition.reach.values)
        answer = _truth_in(facts, asked, condition)
        if answer is True or any(asked.variable(one) == [True] for one in closed):
            found.append(item)
        unsettled = unsettled or answer is not False
    if plain is False and not unsettled:
        # two that are unconfirmed may settle it only together
        everything = {name: [*known[name], *items] for name, items in aside.items()}
        unsettled = ask(facts, condition, everything) is not False
    return found, unsettled


def doubted(facts: Facts, condition: Condition) -> list[Any]:
    """Orders set aside (their status cannot be read, say) that, put in, would take a plain *yes* back.

    Of orders absence counts once they were looked up, so one that may be there counts against it. Of what a chart
    never holds whole, candidates do not weaken a *yes*.
    """
    aside = {
        name: held for name, held in set_aside(facts, condition).items() if facts.policy.facts[name].type in REQUESTS
    }
    known = {name: facts.variable(name) for name in aside}
    return [
        item
        for item, names in holders(aside)
        if ask(facts, condition, {name: [*known[name], item] for name in names}) is not True
    ]


def deciding(facts: Facts, condition: Condition, plain: bool) -> list[Any]:
    """The items whose removal changes the answer, or that alone give it."""
    known = {name: held for name in condition.reach.items if (held := facts.variable(name))}
    nothing: dict[str, list[Any]] = {name: [] for name in known}
    # where nothing at all gives the same answer, giving it alone proves nothing
    alone_counts: bool | None = None
    found: list[Any] = []
    for item, names in holders(known):
        without = {name: [one for one in known[name] if one is not item] for name in names}
        if ask(facts, condition, without) is not plain:
            found.append(item)
            continue
        if alone_counts is None:
            alone_counts = ask(facts, condition, nothing) is not plain
        if alone_counts and ask(facts, condition, nothing | {name: [item] for name in names}) is plain:
            found.append(item)
    return found


def conflicts(facts: Facts, condition: Condition, plain: bool, decided: list[Any]) -> list[Any]:
    """Older values, or another analyte's, that alone would say the opposite."""
    if not decided:
        return []
    gathered = {name: facts.gathered(name) for name in condition.reach.items}
    others = {name: [*one.items, *one.older] for name, one in gathered.items()}
    known = {id(item) for item in decided}
    return [
        item
        for item, names in holders(others)
        if id(item) not in known and _alone(facts, condition, item, names) is (not plain)
    ]


def stale_behind(facts: Facts, condition: Condition) -> list[Any]:
    """The items that alone would make the condition true, were they not too old."""
    stale = {name: facts.gathered(name).stale for name in condition.reach.items}
    return [item for item, names in holders(stale) if _alone(facts, condition, item, names) is True]


def _alone(facts: Facts, condition: Condition, item: Any, names: list[str]) -> bool | None:
    given: dict[str, list[Any]] = {name: [] for name in condition.reach.items}
    return ask(facts, condition, given | {name: [item] for name in names})
