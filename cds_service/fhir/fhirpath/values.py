"""FHIRPath values side by side: equal, in order, distinct, as text. Three-valued; knows no expression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from cds_service.fhir.dates import FhirDate
from cds_service.fhir.quantities import Quantity, compare, parse_quantity

# Two values -> true, false, or None where they cannot be compared.
Test: TypeAlias = Callable[[Any, Any], bool | None]


def as_quantity(value: Any) -> Quantity | None:
    """A Quantity as it is, or read from its JSON."""
    if type(value) is Quantity:
        return value
    return parse_quantity(value) if isinstance(value, dict) else None


def _order_of_quantities(left: Any, right: Any) -> int | None:
    first, second = as_quantity(left), as_quantity(right)
    return None if first is None or second is None else compare(first, second)


def _order_of_dates(left: Any, right: Any) -> int | None:
    order: int | None = left.compare(right)
    return order


def _order_of_plain(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


_ORDERS: dict[str, Callable[[Any, Any], int | None]] = {
    "Quantity": _order_of_quantities,
    "date": _order_of_dates,
    "number": _order_of_plain,
    "string": _order_of_plain,
}
ORDERED_KINDS = frozenset(_ORDERS)


def kind_of_value(value: Any) -> str:
    """The kind of a value at hand. A Quantity still in JSON passes for any other object."""
    if type(value) is str:
        return "string"
    if value is True or value is False:
        return "boolean"
    if isinstance(value, FhirDate):
        return "date"
    if isinstance(value, Quantity):
        return "Quantity"
    return "number" if isinstance(value, int | Decimal) else "object"


def _order(left: Any, right: Any) -> int | None:
    """For values whose kind only the run shows: None where the kinds differ."""
    kind = kind_of_value(left)
    if kind != kind_of_value(right):
        kind = "Quantity"
    order = _ORDERS.get("Quantity" if kind == "object" else kind)
    return None if order is None else order(left, right)


def equal(left: Any, right: Any) -> bool | None:
    """FHIRPath 2.0.0, Equals, for two values whose kind only the run shows. None where the kinds differ."""
    if left is right:
        return True
    kind = kind_of_value(left)
    if kind != kind_of_value(right):
        # a Quantity read already beside one still in JSON
        order = _order_of_quantities(left, right)
        return None if order is None else order == 0
    if kind in ("date", "Quantity"):
        order = _ORDERS[kind](left, right)
        return None if order is None else order == 0
    if kind == "object":
        return _equal_objects(left, right)
    return bool(left == right)


def _equal_objects(left: Any, right: Any) -> bool | None:
    # A view stands for one resource: two are equal only where they are one.
    if type(left) is not dict or type(right) is not dict:
        return False
    return bool(left == right)


def equality_of(kinds: frozenset[str]) -> Test:
    """The test for `=` on values of these kinds, the plainest that serves; for no kinds, whatever comes."""
    kind = "".join(kinds) if len(kinds) == 1 else ""
    if kind in ("string", "boolean", "number"):
        return lambda left, right: bool(left == right)
    if kind in ("date", "Quantity"):
        order = _ORDERS[kind]

        def same(left: Any, right: Any) -> bool | None:
            found = order(left, right)
            return None if found is None else found == 0

        return same
    return equal


def ordering_of(operator: str, kinds: frozenset[str]) -> Test:
    """The test for `<`, `<=`, `>` or `>=` on values of these kinds; for no kinds, whatever comes."""
    kind = "".join(kinds) if len(kinds) == 1 else ""
    if kind in ("string", "number"):
        return _PLAIN[operator]
    passes, order = _PASSING[operator], _ORDERS.get(kind, _order)

    def test(left: Any, right: Any) -> bool | None:
        found = order(left, right)
        return None if found is None else found in passes

    return test


def against(operator: str, border: Quantity) -> Callable[[Any], bool | None]:
    """The test of a value against a border that is written in the expression: like units compare at once."""
    passes, plain, unit, number = _PASSING[operator], _PLAIN[operator], border.unit, border.value

    def test(value: Any) -> bool | None:
        if type(value) is Quantity and value.unit == unit:
            return plain(value.value, number)
        found = _order_of_quantities(value, border)
        return None if found is None else found in passes

    return test


_PASSING = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (1, 0)}
_PLAIN: dict[str, Test] = {
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
}


def equal_lists(left: Sequence[Any], right: Sequence[Any], same: Test) -> bool | None:
    """FHIRPath 2.0.0, Equals: item by item, in order; None if a pair cannot be compared and none differs."""
    if len(left) != len(right):
        return False
    certain = True
    for first, second in zip(left, right, strict=True):
        found = same(first, second)
        if found is False:
            return False
        certain = certain and found is True
    return True if certain else None


def distinct(items: Iterable[Any]) -> list[Any]:
    """The items in their order, without those that equal an earlier one."""
    kept: list[Any] = []
    seen: dict[Any, list[Any]] = {}
    for item in items:
        alike = seen.get(_likeness(item))
        if alike is None:
            seen[_likeness(item)] = [item]
        elif any(equal(item, other) for other in alike):
            continue
        else:
            alike.append(item)
        kept.append(item)
    return kept


def _likeness(item: Any) -> Any:
    """Equal items have one likeness; it keeps the search for doubles short where there are many resources."""
    kind = type(item)
    if kind is dict:
        identity = item.get("id")
        return ("object", identity if type(identity) is str else None)
    if kind is str or kind is bool:
        return (kind, item)
    if kind is int or kind is Decimal:
        return ("number", item)
    if kind is FhirDate or kind is Quantity:
        return kind
    return id(item)


def as_text(value: Any) -> str | None:
    """FHIRPath 2.0.0, toString(); None for what has no text."""
    kind = kind_of_value(value)
    if kind == "string":
        return str(value)
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "number":
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    if kind == "date":
        return str(value.text)
    quantity = as_quantity(value)
    return None if quantity is None else str(quantity)
