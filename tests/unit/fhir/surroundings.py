"""The surroundings of an expression under test: its variables, what failed, what can be resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cds_service.fhir.elements import ElementTable, Field, View
from cds_service.fhir.fhirpath import Environment, Expression, Scope, Type, compile_expression

ORDERS = ("DeviceRequest", "ServiceRequest")
VIEWS: dict[str, Mapping[str, Field] | View] = {
    "Reading": {
        "value": Field("Quantity"),
        "date": Field("dateTime"),
        "code": Field("CodeableConcept"),
        "component": Field("Observation.component", many=True),
        "activity": Field("string"),
    },
    "OrderLine": View(
        {
            "code": Field("Coding"),
            "concept": Field("Coding", many=True),
            "firstDay": Field("date"),
            "lastDay": Field("date"),
            "reason": Field("CodeableConcept", many=True),
            "text": Field("string", many=True),
            "references": Field("string", many=True),
        },
        over=ORDERS,
    ),
    "CriterionView": {"status": Field("string"), "met": Field("boolean")},
}
ELEMENTS = ElementTable(VIEWS)


class Line(dict[str, Any]):
    """An order line: a view with the order itself behind it."""

    def __init__(self, resource: dict[str, Any] | None = None, **fields: Any) -> None:
        super().__init__(fields)
        self.resource = resource or {}


@dataclass(frozen=True)
class Codes:
    """A value set as far as memberOf reads it."""

    keys: frozenset[tuple[str, str]]


# Variables by name, the names that rest on a failed look-up, and resources by reference
Surroundings = Environment


def compiled(
    text: str,
    types: Mapping[str, Type] | None = None,
    focus: str | Type | None = None,
    value_sets: Mapping[str, Codes] | None = None,
) -> Expression:
    """The expression, compiled where the variables of `types` and the views above are known."""
    kind = Type.of(focus) if isinstance(focus, str) else focus
    return compile_expression(text, Scope(kind, types or {}, value_sets or {}, ELEMENTS))


def values(text: str, item: Any = None, focus: str | Type | None = None) -> list[Any]:
    """What the expression gives on one item in focus, or on none."""
    if focus is None and isinstance(item, dict) and "resourceType" in item:
        focus = item["resourceType"]
    return list(compiled(text, focus=focus).evaluate(Surroundings(), item))


def truth(text: str, item: Any = None, focus: str | Type | None = None) -> bool | None:
    """The expression as a condition on one item in focus, or on none."""
    if focus is None and isinstance(item, dict) and "resourceType" in item:
        focus = item["resourceType"]
    return compiled(text, focus=focus).truth(Surroundings(), item)
