"""`+` and `-` on numbers, quantities and dates, `&` on strings, and the sign. FHIRPath 2.0.0, Math."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from cds_service.fhir.dates import CALENDAR_UNITS
from cds_service.fhir.fhirpath.code import Code, One, Place, demand_one, nothing, single
from cds_service.fhir.fhirpath.errors import FhirPathError
from cds_service.fhir.fhirpath.paths import narrowed
from cds_service.fhir.fhirpath.scope import Environment
from cds_service.fhir.fhirpath.static_types import Type, in_words, kind_of, kinds_of
from cds_service.fhir.fhirpath.syntax import Binary, Literal, Node, Unary
from cds_service.fhir.fhirpath.values import as_quantity
from cds_service.fhir.quantities import Quantity, plus

Operation: TypeAlias = Callable[[Any, Any], Any]


def sum_or_difference(node: Binary, place: Place) -> Code:
    """`+` and `-`: empty if a side is, or if the units do not go together."""
    left = demand_one(_reckonable(node.left, place), f"'{node.operator}'", node.column)
    right = demand_one(_reckonable(node.right, place), f"'{node.operator}'", node.column)
    if not left.type.names or not right.type.names:
        return nothing().resting_on(left, right)
    operation = _operation(node, left, right)
    one = _both(left.one, right.one, operation)
    return single(_result_type(left.type, right.type), one).resting_on(left, right)


def _reckonable(node: Node, place: Place) -> Code:
    return narrowed(node, place, lambda name: kind_of(name) in ("number", "Quantity", "date"))


def _result_type(left: Type, right: Type) -> Type:
    if kinds_of(left) == {"number"} and left != right:
        whole = {"integer", "positiveInt", "unsignedInt"}
        return Type.of("integer" if left.names | right.names <= whole else "decimal")
    return left


def _operation(node: Binary, left: Code, right: Code) -> Operation:
    kinds = "".join(kinds_of(left.type)), "".join(kinds_of(right.type))
    sign = 1 if node.operator == "+" else -1
    if kinds == ("number", "number"):
        return lambda first, second: first + sign * second
    if kinds == ("Quantity", "Quantity"):
        return lambda first, second: _sum_of_quantities(first, second, sign)
    if kinds == ("date", "Quantity"):
        _demand_calendar_unit(node.right)
        return lambda first, second: _moved_date(first, second, sign)
    raise FhirPathError(_mismatch(node.operator, left, right), node.column, "type")


def _demand_calendar_unit(node: Node) -> None:
    # FHIRPath 2.0.0, Date/Time Arithmetic: 'mo' and 'a' are mean lengths, no calendar units
    if isinstance(node, Literal) and isinstance(node.value, Quantity) and node.value.unit not in CALENDAR_UNITS:
        message = f"a date moves by years, months, weeks or days, not by '{node.value.unit}'; write 3 months"
        raise FhirPathError(message, node.column, "type")


def _mismatch(operator: str, left: Code, right: Code) -> str:
    first, second = in_words(left.type.names), in_words(right.type.names)
    if operator == "+" and "string" in kinds_of(left.type) | kinds_of(right.type):
        return "'+' does not join strings; write &"
    if kinds_of(left.type) == {"date"} and kinds_of(right.type) == {"number"}:
        return f"'{operator}' moves a date by a duration; write a number with its unit, as in 7 days"
    if kinds_of(left.type) == {"date"} and kinds_of(right.type) == {"date"}:
        return f"'{operator}' does not take two dates; move one by a duration and compare"
    return f"'{operator}' does not take {first} and {second}"


def _sum_of_quantities(first: Any, second: Any, sign: int) -> Quantity | None:
    left, right = as_quantity(first), as_quantity(second)
    if left is None or right is None:
        return None
    return plus(left, Quantity(sign * right.value, right.unit))


def _moved_date(start: Any, duration: Any, sign: int) -> Any:
    quantity = as_quantity(duration)
    return None if quantity is None else start.plus(sign * quantity.value, quantity.unit)


def _both(left: One, right: One, operation: Operation) -> One:
    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        first = left(env, this, total)
        if first is None:
            return None
        second = right(env, this, total)
        return None if second is None else operation(first, second)

    return one


def sign(node: Unary, place: Place) -> Code:
    """`-x` and `+x` on a number or a quantity."""
    inner = demand_one(place.code(node.operand), f"'{node.operator}'", node.column)
    if not kinds_of(inner.type) <= {"number", "Quantity"}:
        message = f"'{node.operator}' takes a number or a quantity, not {in_words(inner.type.names)}"
        raise FhirPathError(message, node.column, "type")
    if node.operator == "+":
        return inner
    operand = inner.one

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        value = operand(env, this, total)
        if value is None or not (isinstance(value, dict) or type(value) is Quantity):
            return None if value is None else -value
        quantity = as_quantity(value)
        return None if quantity is None else Quantity(-quantity.value, quantity.unit)

    return single(inner.type, one).resting_on(inner)


def concatenation(node: Binary, place: Place) -> Code:
    """`a & b`: an empty side counts as the empty string."""
    sides = [demand_one(place.code(side), "'&'", node.column) for side in (node.left, node.right)]
    for side in sides:
        if not kinds_of(side.type) <= {"string"}:
            message = f"'&' joins strings, and this is {in_words(side.type.names)}; write toString()"
            raise FhirPathError(message, node.column, "type")
    left, right = sides[0].one, sides[1].one

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        return (left(env, this, total) or "") + (right(env, this, total) or "")

    return single(Type.of("string"), one).resting_on(*sides)
