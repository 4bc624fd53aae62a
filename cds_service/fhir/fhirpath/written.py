"""Syntax -> FHIRPath text: what `parse` reads back as the same syntax. Says nothing of what it means."""

from __future__ import annotations

import re

from cds_service.fhir.dates import FhirDate
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
)

# FHIRPath 2.0.0, Operator Precedence: the higher binds tighter; all are left-associative.
_PRECEDENCE = {
    "implies": 1,
    "or": 2,
    "and": 3,
    **dict.fromkeys(("in", "contains"), 4),
    **dict.fromkeys(("=", "!="), 5),
    **dict.fromkeys(("<", "<=", ">", ">="), 6),
    "|": 7,
    **dict.fromkeys(("+", "-", "&"), 9),
}
_TIGHTEST = 12
_UNARY = 11
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_KEYWORDS = frozenset({"and", "or", "xor", "implies", "div", "mod", "true", "false"})
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"})


def written(node: Node) -> str:
    """An expression, or a part of one, as it would be written."""
    match node:
        case Empty():
            return "{}"
        case Literal():
            return _literal(node)
        case Variable(name=name):
            return f"%{_name(name)}"
        case This():
            return "$this"
        case Total():
            return "$total"
        case Member(base=base, name=name):
            return _behind(base, _name(name))
        case Call(base=base, name=name, arguments=arguments):
            return _behind(base, f"{name}({', '.join(map(written, arguments))})")
        case Unary(operator=operator, operand=operand):
            return f"{operator}{_within(operand, _UNARY)}"
        case Binary(operator=operator, left=left, right=right):
            binds = _PRECEDENCE[operator]
            return f"{_within(left, binds)} {operator} {_within(right, binds + 1)}"


def _behind(base: Node | None, step: str) -> str:
    return step if base is None else f"{_within(base, _TIGHTEST)}.{step}"


def _within(node: Node, binds: int) -> str:
    """A part of something that binds as tightly as `binds`: in brackets where it would fall apart."""
    own = _PRECEDENCE[node.operator] if isinstance(node, Binary) else _UNARY if isinstance(node, Unary) else _TIGHTEST
    return f"({written(node)})" if own < binds else written(node)


def _name(name: str) -> str:
    return name if _PLAIN_NAME.match(name) and name not in _KEYWORDS else f"`{name}`"


def _literal(node: Literal) -> str:
    value = node.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value.translate(_ESCAPES)}'"
    if isinstance(value, FhirDate):
        return f"@{value.text}"
    return str(value)
