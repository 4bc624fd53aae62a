"""and, or, implies, not and iif: Kleene's three values, and what a failed look-up does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cds_service.fhir.fhirpath.code import (
    Code,
    Items,
    One,
    Place,
    condition,
    demand_condition,
    several,
    single,
)
from cds_service.fhir.fhirpath.errors import FhirPathError
from cds_service.fhir.fhirpath.scope import Environment
from cds_service.fhir.fhirpath.static_types import Type
from cds_service.fhir.fhirpath.syntax import Binary, Call


def _and(left: One, right: One) -> One:
    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        first = left(env, this, total)
        if first is False:
            return False
        second = right(env, this, total)
        if second is False:
            return False
        return True if first and second else None

    return one


def _or(left: One, right: One) -> One:
    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        first = left(env, this, total)
        if first:
            return True
        second = right(env, this, total)
        if second:
            return True
        return None if first is None or second is None else False

    return one


def _implies(left: One, right: One) -> One:
    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        first = left(env, this, total)
        if first is False:
            return True
        second = right(env, this, total)
        if second:
            return True
        return None if first is None or second is None else False

    return one


def _and_all(parts: tuple[One, ...]) -> One:
    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        result: bool | None = True
        for part in parts:
            truth = part(env, this, total)
            if truth is False:
                return False
            if truth is None:
                result = None
        return result

    return one


def _or_any(parts: tuple[One, ...]) -> One:
    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        result: bool | None = False
        for part in parts:
            truth = part(env, this, total)
            if truth:
                return True
            if truth is None:
                result = None
        return result

    return one


_CONNECTIVES = {"and": _and, "or": _or, "implies": _implies}
_CHAINS = {"and": _and_all, "or": _or_any}


def connective(node: Binary, place: Place) -> Code:
    """FHIRPath 2.0.0, Boolean logic: three-valued and, or, implies."""
    where = f"'{node.operator}'"
    left = demand_condition(place.weighed(node.left), where, node.column)
    right = demand_condition(place.weighed(node.right), where, node.column)
    if left.chain is not None and left.chain[0] == node.operator:
        # `a or b or c` is one loop, not a call within a call
        parts = (*left.chain[1], right.one)
        code = condition(_CHAINS[node.operator](parts))
    else:
        parts = (left.one, right.one)
        code = condition(_CONNECTIVES[node.operator](left.one, right.one))
    chain = (node.operator, parts) if node.operator in _CHAINS else None
    return replace(code, decides=True, chain=chain).resting_on(left, right)


def negation(node: Call, place: Place) -> Code:
    """`not()`: `{}` stays `{}`."""
    if node.base is None:
        message = "not() with nothing before it is not admitted; write x.not()"
        raise FhirPathError(message, node.column, "not-admitted")
    inner = demand_condition(place.weighed(node.base), "not()", node.column)
    negated = inner.one

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        truth = negated(env, this, total)
        return None if truth is None else not truth

    return replace(condition(one), decides=True).resting_on(inner)


def iif(node: Call, place: Place) -> Code:
    """`iif(condition, then, else)`: an empty condition takes the else branch, as HL7 has it.

    Unless the condition is empty because a look-up failed: then the whole is `{}`.
    """
    if node.base is not None:
        message = "iif() behind a dot is not admitted; write iif(condition, then, else) by itself"
        raise FhirPathError(message, node.column, "not-admitted")
    criterion = demand_condition(place.weighed(node.arguments[0]), "the condition of iif()", node.column)
    branches = [place.weighed(argument) for argument in node.arguments[1:]]
    names = frozenset[str]().union(*(branch.type.names for branch in branches))
    kind = Type(names, any(branch.type.many for branch in branches))
    reads = criterion.reads if place.weighs_failures else frozenset()
    if kind.many:
        otherwise_items: Items = branches[1].items if len(branches) > 1 else lambda env, this, total: ()
        code = several(kind, _choose_items(criterion.one, branches[0].items, otherwise_items, reads))
    else:
        otherwise_one: One = branches[1].one if len(branches) > 1 else lambda env, this, total: None
        code = single(kind, _choose_one(criterion.one, branches[0].one, otherwise_one, reads))
    is_list = any(branch.is_list for branch in branches)
    return replace(code, is_list=is_list, decides=True).resting_on(criterion, *branches)


def _choose_one(criterion: One, then: One, otherwise: One, reads: frozenset[str]) -> One:
    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        truth = criterion(env, this, total)
        if truth:
            return then(env, this, total)
        if truth is None and env.failed and not reads.isdisjoint(env.failed):
            return None
        return otherwise(env, this, total)

    return one


def _choose_items(criterion: One, then: Items, otherwise: Items, reads: frozenset[str]) -> Items:
    def items(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        truth = criterion(env, this, total)
        if truth:
            return then(env, this, total)
        if truth is None and env.failed and not reads.isdisjoint(env.failed):
            return ()
        return otherwise(env, this, total)

    return items
