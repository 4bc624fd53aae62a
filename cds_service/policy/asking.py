"""Asking a condition again with one item more or fewer: how evidence, candidates and conflicts are found.

Pure; knows items and answers, not what a criterion is. Why it is done so: ADR 0003.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from cds_service.fhir.fhirpath import EvaluationFault
from cds_service.policy.facts import MOST_ASKED, NOTHING, Asked, Facts, Gathered
from cds_service.policy.plan import Condition
from cds_service.policy.views import REQUESTS

# what the chart holds of the facts behind a condition, by name
Held: TypeAlias = list[tuple[str, Gathered]]


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


def truth_of(facts: Facts, condition: Condition, holds: Held) -> bool | None:
    """A condition's plain answer, where it is known what the chart holds of its facts: for nothing it is known."""
    if condition.settled and not holds and not facts.failed and not facts.situation.stubs:
        return condition.on_nothing
    return _truth_in(facts, facts, condition)


def held(facts: Facts, condition: Condition) -> Held:
    """What the chart holds of each fact that a condition rests on; facts of which it holds nothing are left out."""
    gathered = facts.gathered
    return [(name, found) for name in condition.reach.items if (found := gathered(name)) is not NOTHING]


def set_aside(holds: Held) -> dict[str, list[Any]]:
    """The candidates of each fact; only of those that have some."""
    return {name: found.candidates for name, found in holds if found.candidates}


def holders(lists: Mapping[str, list[Any]]) -> list[tuple[Any, list[str]]]:
    """Each item once, with the facts that hold it: one reading may stand in several."""
    found: dict[int, tuple[Any, list[str]]] = {}
    for name, items in lists.items():
        for item in items[:MOST_ASKED]:
            holder = found.get(id(item))
            if holder is None:
                found[id(item)] = (item, [name])
            else:
                holder[1].append(name)
    return list(found.values())


def candidates(facts: Facts, condition: Condition, holds: Held, plain: bool | None) -> tuple[list[Any], bool]:
    """Items set aside that, put in, make the condition or a boolean fact that it reads true; and whether any of them
    (or all together) would keep a plain *no* from being one."""
    aside = set_aside(holds) if plain is not True else {}
    if not aside:
        return [], False
    known = {name: facts[name] for name in aside}
    closed = [name for name in condition.reach.booleans if facts[name] != [True]]
    found: list[Any] = []
    unsettled = False
    for item, names in holders(aside):
        asked = Asked(facts, {name: [*known[name], item] for name in names}, condition.reach.values)
        answer = _truth_in(facts, asked, condition)
        if answer is True or any(asked[one] == [True] for one in closed):
            found.append(item)
        unsettled = unsettled or answer is not False
    if plain is False and not unsettled:
        # two that are unconfirmed may settle it only together
        everything = {name: [*known[name], *items] for name, items in aside.items()}
        unsettled = ask(facts, condition, everything) is not False
    return found, unsettled


def doubted(facts: Facts, condition: Condition, holds: Held) -> bool:
    """Whether an order set aside (its status cannot be read, say) would, put in, take a plain *yes* back.

    Of orders absence counts once they were looked up, so one that may be there counts against it. Of what a chart
    never holds whole, candidates do not weaken a *yes*.
    """
    aside = {name: items for name, items in set_aside(holds).items() if facts.policy.facts[name].type in REQUESTS}
    return any(
        ask(facts, condition, {name: [*facts[name], item] for name in names}) is not True
        for item, names in holders(aside)
    )


def deciding(facts: Facts, condition: Condition, holds: Held, plain: bool) -> list[Any]:
    """The items whose removal changes the answer, or that alone give it. Where these do not make up a *yes* between
    them, also those that alone make true a boolean fact that it rests on."""
    known = {name: found.items for name, found in holds if found.items}
    if not known:
        return []
    nothing: dict[str, list[Any]] = {name: [] for name in known}
    # where nothing at all gives the same answer, giving it alone proves nothing
    alone_counts: bool | None = None
    found: list[Any] = []
    held_by = holders(known)
    for item, names in held_by:
        without = {name: [one for one in known[name] if one is not item] for name in names}
        if ask(facts, condition, without) is not plain:
            found.append(item)
            continue
        if alone_counts is None:
            alone_counts = ask(facts, condition, nothing) is not plain
        if alone_counts and ask(facts, condition, nothing | {name: [item] for name in names}) is plain:
            found.append(item)
    if plain and alone_counts and len(found) < len(held_by) and not _enough(facts, condition, known, found):
        return _making_parts(facts, condition, held_by, nothing, found)
    return found


def _enough(facts: Facts, condition: Condition, known: Mapping[str, list[Any]], found: list[Any]) -> bool:
    """Whether these items give a *yes* without any other."""
    chosen = {id(item) for item in found}
    return (
        ask(facts, condition, {name: [one for one in items if id(one) in chosen] for name, items in known.items()})
        is True
    )


def _making_parts(
    facts: Facts,
    condition: Condition,
    held_by: list[tuple[Any, list[str]]],
    nothing: Mapping[str, list[Any]],
    found: list[Any],
) -> list[Any]:
    """Of two demands, each shown twice over, no item is needed and none is enough: what shows either is named."""
    bare = Asked(facts, nothing, condition.reach.values)
    parts = [name for name in condition.reach.booleans if facts[name] == [True] and bare[name] != [True]]
    chosen = {id(item) for item in found}
    for item, names in held_by:
        asked = Asked(facts, {**nothing, **{name: [item] for name in names}}, condition.reach.values)
        if any(asked[one] == [True] for one in parts):
            chosen.add(id(item))
    return [item for item, _ in held_by if id(item) in chosen]


def conflicts(facts: Facts, condition: Condition, holds: Held, plain: bool, decided: list[Any]) -> list[Any]:
    """Older values, or another analyte's, that alone would say the opposite."""
    if not decided:
        return []
    others = {name: found.items + found.older for name, found in holds}
    known = {id(item) for item in decided}
    return [
        item
        for item, names in holders(others)
        if id(item) not in known and _alone(facts, condition, holds, item, names) is (not plain)
    ]


def stale_behind(facts: Facts, condition: Condition) -> list[Any]:
    """The items that alone would make the condition true, were they not too old."""
    holds = held(facts, condition)
    stale = {name: found.stale for name, found in holds}
    return [item for item, names in holders(stale) if _alone(facts, condition, holds, item, names) is True]


def _alone(facts: Facts, condition: Condition, holds: Held, item: Any, names: list[str]) -> bool | None:
    given: dict[str, list[Any]] = {name: [] for name, _ in holds}
    return ask(facts, condition, given | {name: [item] for name in names})
