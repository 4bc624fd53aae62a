"""Compiled parts of an expression: closures with a static type, and two ways to run one. No FHIRPath yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from cds_service.fhir.fhirpath.errors import EvaluationFault, FhirPathError
from cds_service.fhir.fhirpath.scope import Environment, Scope
from cds_service.fhir.fhirpath.static_types import BOOLEAN, NOTHING, Type, in_words
from cds_service.fhir.fhirpath.syntax import LiteralValue, Node

# Both take the environment, the item in focus and `$total`. `One` gives the single item, or None for `{}`: no
# FHIRPath value is None. For a boolean this is the three-valued truth.
Items: TypeAlias = Callable[[Environment, Any, Sequence[Any]], Sequence[Any]]
One: TypeAlias = Callable[[Environment, Any, Sequence[Any]], Any]

NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Code:
    """One compiled part. `type.many` false promises at most one item.

    `is_list` marks what is a list by design (a variable of many, not merely a repeating element): it may not
    stand where one item is needed. `reads` and `value_sets` name what the part rests on. `decides` marks and,
    or, implies, not and iif: a failed look-up is weighed inside of them.
    """

    type: Type
    items: Items
    one: One
    reads: frozenset[str] = NO_NAMES
    value_sets: frozenset[str] = NO_NAMES
    is_list: bool = False
    decides: bool = False
    literal: LiteralValue | None = None
    is_focus: bool = False  # the item in focus itself
    chain: tuple[str, tuple[One, ...]] | None = None  # of a chain of one connective: its name and its parts

    def resting_on(self, *parts: Code) -> Code:
        """This code, which also rests on what `parts` rest on."""
        return replace(
            self,
            reads=self.reads.union(*(part.reads for part in parts)),
            value_sets=self.value_sets.union(*(part.value_sets for part in parts)),
        )


def single(kind: Type, one: One) -> Code:
    """Code for at most one item, from the closure that gives it."""

    def items(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        value = one(env, this, total)
        return [] if value is None else [value]

    return Code(Type(kind.names), items, one)


def several(kind: Type, items: Items) -> Code:
    """Code for any number of items, from the closure that gives them."""

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        found = items(env, this, total)
        if not found:
            return None
        if len(found) > 1:
            raise EvaluationFault(f"{len(found)} items where one is needed")
        return found[0]

    return Code(Type(kind.names, many=True), items, one)


def nothing() -> Code:
    """Code for what is always `{}`."""
    return single(NOTHING, lambda env, this, total: None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an expression a part stands: what is in focus, and whether failed look-ups are weighed."""

    text: str
    scope: Scope
    focus: Type | None
    compile: Callable[[Node, Place], Code]
    total: Type | None = None
    weighs_failures: bool = False

    def code(self, node: Node) -> Code:
        """A part of something that is itself weighed as a whole."""
        return self.compile(node, replace(self, weighs_failures=False) if self.weighs_failures else self)

    def code_for_each(self, node: Node, focus: Type) -> Code:
        """An argument that is run with each item of `focus` as `$this`."""
        return self.compile(node, replace(self, focus=Type(focus.names), weighs_failures=False))

    def weighed(self, node: Node) -> Code:
        """A part of and, or, implies, not or iif: `{}` by itself where a look-up under it failed."""
        code = self.compile(node, self)
        return unless_failed(code) if self.weighs_failures else code


def unless_failed(code: Code) -> Code:
    """Plan format, "A look-up that failed": what rests on one is `{}`, even `exists()` and `count()`."""
    if code.decides or not code.reads:
        return code
    one, items, reads = code.one, code.items, code.reads

    def one_unless_failed(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        if env.failed and not reads.isdisjoint(env.failed):
            return None
        return one(env, this, total)

    def items_unless_failed(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        if env.failed and not reads.isdisjoint(env.failed):
            return []
        return items(env, this, total)

    return replace(code, one=one_unless_failed, items=items_unless_failed)


def demand_condition(code: Code, where: str, column: int) -> Code:
    """Refuses what is no boolean. HL7 lets any single item pass for true; here that would hide mistakes."""
    if not code.type.is_condition:
        found = in_words(code.type.names)
        message = f"{where} takes true, false or {{}}, not {found}; compare it, or write exists()"
        raise FhirPathError(message, column, "type")
    return demand_one(code, where, column)


def demand_one(code: Code, where: str, column: int) -> Code:
    """Refuses what is a list by design."""
    if code.is_list:
        message = f"{where} takes one item, not {code.type}; narrow it with first(), where(...) or exists(...)"
        raise FhirPathError(message, column, "type")
    return code


def condition(one: One) -> Code:
    """Code for a three-valued truth."""
    return single(BOOLEAN, one)
