"""FHIRPath text -> Expression: compiled once at load, run as closures. Knows no policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cds_service.fhir.fhirpath import arithmetic, comparison, functions, logic, paths
from cds_service.fhir.fhirpath.code import Code, Items, One, Place, nothing, single, unless_failed
from cds_service.fhir.fhirpath.errors import EvaluationFault
from cds_service.fhir.fhirpath.parse import parse
from cds_service.fhir.fhirpath.scope import Environment, Scope
from cds_service.fhir.fhirpath.static_types import Type
from cds_service.fhir.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Literal,
    Member,
    Node,
    This,
    Total,
    Unary,
    Variable,
    walk,
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    `reads` holds the names of all variables in it, `value_sets` the `url|version` of all value sets,
    `variable_members` pairs like ("ma-oxygen.findings", "status") for members read right behind a variable.
    """

    text: str
    ast: Node
    type: Type
    reads: frozenset[str]
    value_sets: frozenset[str]
    variable_members: frozenset[tuple[str, str]]
    # twice compiled: as it is, and with every largest part that rests on a failed look-up held empty
    _items: Items = field(repr=False, compare=False)
    _one: One = field(repr=False, compare=False)
    _weighed_items: Items = field(repr=False, compare=False)
    _weighed_one: One = field(repr=False, compare=False)

    def evaluate(self, env: Environment, focus: Any = None) -> Sequence[Any]:
        """The items, with `focus` as `$this`. The list may belong to the environment: read it only."""
        try:
            return (self._weighed_items if env.failed else self._items)(env, focus, ())
        except EvaluationFault:
            raise
        except Exception as fault:
            raise EvaluationFault(f"{type(fault).__name__} in: {self.text}") from fault

    def value(self, env: Environment, focus: Any = None) -> Any:
        """The one item, or None for `{}`."""
        try:
            return (self._weighed_one if env.failed else self._one)(env, focus, ())
        except EvaluationFault:
            raise
        except Exception as fault:
            raise EvaluationFault(f"{type(fault).__name__} in: {self.text}") from fault

    def truth(self, env: Environment, focus: Any = None) -> bool | None:
        """The expression as a condition: true, false, or None for `{}`."""
        found = self.value(env, focus)
        if found is True or found is False or found is None:
            return found
        # the value itself may be of the patient: a fault is logged, so it is not said
        raise EvaluationFault(f"{type(found).__name__} where a boolean is needed in: {self.text}")


def compile_expression(text: str, scope: Scope) -> Expression:
    """Compiles `text` for a place where `scope` holds. FhirPathError, with the column, for anything amiss."""
    ast = parse(text)
    code = _compile(ast, Place(text, scope, scope.focus, _compile))
    weighed = unless_failed(_compile(ast, Place(text, scope, scope.focus, _compile, weighs_failures=True)))
    return Expression(
        text=text,
        ast=ast,
        type=code.type,
        reads=code.reads,
        value_sets=code.value_sets,
        variable_members=frozenset(
            (node.base.name, node.name)
            for node in walk(ast)
            if isinstance(node, Member) and isinstance(node.base, Variable)
        ),
        _items=code.items,
        _one=code.one,
        _weighed_items=weighed.items,
        _weighed_one=weighed.one,
    )


def _compile(node: Node, place: Place) -> Code:
    match node:
        case Literal():
            return _literal(node)
        case Empty():
            return nothing()
        case Variable():
            return paths.variable(node, place)
        case This():
            return paths.this(node, place)
        case Total():
            return paths.total(node, place)
        case Member():
            return paths.member(node, place)
        case Call():
            return functions.call(node, place)
        case Unary():
            return arithmetic.sign(node, place)
        case Binary():
            return _binary(node, place)


def _literal(node: Literal) -> Code:
    value = node.value
    items = (value,)
    code = single(Type.of(node.type), lambda env, this, total: value)
    return replace(code, items=lambda env, this, total: items, literal=value)


_BINARY = {
    **dict.fromkeys(("and", "or", "implies"), logic.connective),
    **dict.fromkeys(("=", "!="), comparison.equality),
    **dict.fromkeys(("<", "<=", ">", ">="), comparison.ordering),
    **dict.fromkeys(("in", "contains"), comparison.membership),
    "|": comparison.union,
    **dict.fromkeys(("+", "-"), arithmetic.sum_or_difference),
    "&": arithmetic.concatenation,
}


def _binary(node: Binary, place: Place) -> Code:
    return _BINARY[node.operator](node, place)
