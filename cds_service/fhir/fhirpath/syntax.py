"""The parts of a parsed expression, for the compiler and for lints. Says nothing of what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from cds_service.fhir.dates import FhirDate
from cds_service.fhir.quantities import Quantity

LiteralValue: TypeAlias = str | bool | int | Decimal | FhirDate | Quantity


@dataclass(frozen=True, slots=True)
class Empty:
    """`{}`"""

    column: int


@dataclass(frozen=True, slots=True)
class Literal:
    """`'text'`, `5`, `5.0`, `true`, `@2026-02-10`, `88 '%'`, `3 months`; `type` is its FHIR type."""

    value: LiteralValue
    type: str
    column: int


@dataclass(frozen=True, slots=True)
class Variable:
    """`%name` or ``%`some-id` ``; `name` without the percent sign."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class This:
    """`$this`"""

    column: int


@dataclass(frozen=True, slots=True)
class Total:
    """`$total`, inside `aggregate`"""

    column: int


@dataclass(frozen=True, slots=True)
class Member:
    """`base.name`; without a base, `name` of the item in focus."""

    base: Node | None
    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Call:
    """`base.name(arguments)`; without a base, on the item in focus."""

    base: Node | None
    name: str
    arguments: tuple[Node, ...]
    column: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`-operand` or `+operand`"""

    operator: str
    operand: Node
    column: int


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`; `column` is the operator's."""

    operator: str
    left: Node
    right: Node
    column: int


Node: TypeAlias = Empty | Literal | Variable | This | Total | Member | Call | Unary | Binary


def children(node: Node) -> tuple[Node, ...]:
    """The parts that a node is made of, from left to right."""
    match node:
        case Member(base=base):
            return () if base is None else (base,)
        case Call(base=base, arguments=arguments):
            return arguments if base is None else (base, *arguments)
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return left, right
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """A node and everything in it, outermost first."""
    yield node
    for child in children(node):
        yield from walk(child)
