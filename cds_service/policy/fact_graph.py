"""What a plan's conditions and facts rest on: the names they read, followed to the chart. Load time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from cds_service.fhir.fhirpath import Environment, EvaluationFault, Expression
from cds_service.fhir.fhirpath.syntax import Member, Variable, walk
from cds_service.policy.facts import CONTEXT
from cds_service.policy.plan import Condition, Fact, Policy, Reach

# context that stands on a resource of the chart: what its failed look-up leaves open
_CONTEXT_RESTS = {
    "answers": frozenset({"QuestionnaireResponse"}),
    "encounter": frozenset({"Encounter"}),
    "patient": frozenset({"Patient"}),
}


def reach(expressions: Iterable[Expression], facts: Mapping[str, Fact], owners: Collection[str]) -> Reach:
    """What conditions rest on, through their value facts down to items, verdicts (of `owners`) and context."""
    values: set[str] = set()
    items: dict[str, None] = {}
    verdicts: dict[str, None] = {}
    context: dict[str, None] = {}
    waiting = [name for expression in expressions for name in _read_in_order(expression)]
    while waiting:
        name = waiting.pop(0)
        if name in owners:
            verdicts[name] = None
        elif name in CONTEXT:
            context[name] = None
        elif name in facts and not facts[name].is_value:
            items[name] = None
        elif name in facts and name not in values:
            values.add(name)
            expression = facts[name].expression
            waiting.extend(_read_in_order(expression) if expression else ())
    booleans = tuple(sorted(name for name in values if facts[name].type == "boolean"))
    return Reach(frozenset(values), booleans, tuple(items), tuple(verdicts), tuple(context))


class _EmptyChart(Environment):
    """The environment of a chart that holds nothing: no items, and the values that follow from that."""

    __slots__ = ("_facts",)

    def __init__(self, facts: Mapping[str, Fact]) -> None:
        super().__init__()
        self._facts = facts

    def work_out(self, name: str) -> Sequence[Any]:
        fact = self._facts[name]
        return fact.expression.evaluate(self) if fact.is_value and fact.expression is not None else []


def joined(expressions: Sequence[Expression], facts: Mapping[str, Fact], owners: Collection[str]) -> Condition:
    """Expressions as one condition; what it says of a chart that holds nothing is worked out here, once."""
    rests = reach(expressions, facts, owners)
    # what rests on nothing at all, or reads the order, the patient or another verdict, is worked out for each call
    if not rests.items or rests.context or rests.verdicts:
        return Condition(tuple(expressions), rests)
    chart = _EmptyChart(facts)
    try:
        truths = [expression.truth(chart) for expression in expressions]
    except EvaluationFault:
        return Condition(tuple(expressions), rests)
    on_nothing = False if False in truths else None if None in truths else True
    return Condition(tuple(expressions), rests, settled=True, on_nothing=on_nothing)


def rests_on(facts: Mapping[str, Fact]) -> dict[str, frozenset[str]]:
    """Fact or context name -> the resource types whose failed look-up leaves it empty."""
    found = dict(_CONTEXT_RESTS)

    def of(name: str, path: tuple[str, ...]) -> frozenset[str]:
        if name in found or name not in facts or name in path:
            return found.get(name, frozenset())
        fact = facts[name]
        kinds = frozenset({fact.type}) if fact.retrieved else frozenset()
        for read in reads_of(fact):
            kinds |= of(read, (*path, name))
        found[name] = kinds
        return kinds

    for name in facts:
        of(name, ())
    return {name: kinds for name, kinds in found.items() if kinds}


def reads_of(fact: Fact) -> frozenset[str]:
    """Every name that a fact reads: in its expression, filter, window and qualifiers."""
    expressions = [fact.expression, fact.where]
    if fact.window is not None:
        expressions += [fact.window.start, fact.window.end]
    if fact.measurement is not None:
        expressions += [expression for _, expression in fact.measurement.qualifiers]
    return frozenset(name for one in expressions if one is not None for name in one.reads)


def elements_named(policy: Policy) -> frozenset[str]:
    """Every element that an expression of the policy names, those of its words and suggestions included."""
    expressions = [*policy.expressions(), *(one for row in policy.rows if isinstance(one := row.words, Expression))]
    for fact in policy.facts.values():
        window, measurement = fact.window, fact.measurement
        expressions += [one for one in ((window.start, window.end) if window else ()) if one is not None]
        expressions += [one for _, one in measurement.qualifiers] if measurement else []
    for advice in policy.advice:
        expressions += [advice.detail] if isinstance(advice.detail, Expression) else []
        expressions += [change.expression for action in advice.actions for change in action.changes]
    for trigger in policy.triggers:
        expressions += trigger.condition.expressions if trigger.condition is not None else ()
    nodes = (node for one in expressions for node in walk(one.ast))
    return frozenset(node.name for node in nodes if isinstance(node, Member))


def _read_in_order(expression: Expression) -> list[str]:
    """The variables of an expression as it names them: what it looks at first is shown first."""
    return list(dict.fromkeys(node.name for node in walk(expression.ast) if isinstance(node, Variable)))
