"""`=` `!=` `<` `<=` `>` `>=` `in` `contains` `|`: refuses at load what can never compare. Knows no policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cds_service.fhir.fhirpath.code import Code, One, Place, condition, demand_one, several
from cds_service.fhir.fhirpath.errors import FhirPathError
from cds_service.fhir.fhirpath.paths import narrowed
from cds_service.fhir.fhirpath.scope import Environment
from cds_service.fhir.fhirpath.static_types import Type, in_words, kind_of, kinds_of
from cds_service.fhir.fhirpath.syntax import Binary, Literal, Member, Node
from cds_service.fhir.fhirpath.values import (
    ORDERED_KINDS,
    Test,
    against,
    distinct,
    equal_lists,
    equality_of,
    ordering_of,
)
from cds_service.fhir.quantities import Quantity


def _sides(node: Binary, place: Place) -> tuple[Code, Code, frozenset[str]]:
    """Both sides, a choice element narrowed to what the other compares with; and the kinds of both.

    The kinds are none where a side may have others too: then the run must look at each value.
    """
    right = place.code(node.right)
    left = _narrowed_to(node.left, place, right.type)
    if isinstance(node.right, Member):
        right = _narrowed_to(node.right, place, left.type)
    common = kinds_of(left.type) & kinds_of(right.type)
    if left.type.names and right.type.names and not common:
        raise FhirPathError(_never(node, left, right), node.column, "type")
    if "time" in common:
        message = "a comparison of times of day is not admitted; compare dates"
        raise FhirPathError(message, node.column, "not-admitted")
    return left, right, common if kinds_of(left.type) == kinds_of(right.type) else frozenset()


def _narrowed_to(node: Node, place: Place, other: Type) -> Code:
    kinds = kinds_of(other)
    return narrowed(node, place, lambda name: kind_of(name) in kinds) if kinds else place.code(node)


def _never(node: Binary, left: Code, right: Code) -> str:
    first, second = in_words(left.type.names), in_words(right.type.names)
    fix = ""
    kinds = kinds_of(left.type) | kinds_of(right.type)
    if "Quantity" in kinds and "number" in kinds:
        fix = "; write the number with its unit, as in 88 '%', or compare the quantity's value"
    elif "date" in kinds and "string" in kinds:
        fix = "; a date is written @YYYY-MM-DD, without quotes"
    elif "CodeableConcept" in kinds or "Coding" in kinds:
        fix = "; use memberOf(...), or compare its code"
    return f"'{node.operator}' compares {first} with {second}, which can never compare{fix}"


def equality(node: Binary, place: Place) -> Code:
    """`=` and `!=`: empty if a side is; lists item by item."""
    left, right, common = _sides(node, place)
    for side in (left, right):
        # Lists of elements compare as HL7 has it; a list by design beside one item is a slip for `contains`.
        if left.is_list != right.is_list:
            demand_one(side, f"'{node.operator}'", node.column)
    same = equality_of(common)
    negate = node.operator == "!="
    if left.type.many or right.type.many:
        one = _list_equality(left, right, same, negate)
    else:
        one = _single_test(left, right, _negated(same) if negate else same)
    return condition(one).resting_on(left, right)


def _negated(same: Test) -> Test:
    def differs(left: Any, right: Any) -> bool | None:
        found = same(left, right)
        return None if found is None else not found

    return differs


def _list_equality(left: Code, right: Code, same: Test, negate: bool) -> One:
    left_items, right_items = left.items, right.items

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        first = left_items(env, this, total)
        if not first:
            return None
        second = right_items(env, this, total)
        if not second:
            return None
        found = equal_lists(first, second, same)
        return found if found is None or not negate else not found

    return one


def _single_test(left: Code, right: Code, test: Callable[[Any, Any], bool | None]) -> One:
    left_one, right_one = left.one, right.one
    if right.literal is not None:
        literal = right.literal

        def against_literal(env: Environment, this: Any, total: Sequence[Any]) -> Any:
            value = left_one(env, this, total)
            return None if value is None else test(value, literal)

        return against_literal

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        first = left_one(env, this, total)
        if first is None:
            return None
        second = right_one(env, this, total)
        return None if second is None else test(first, second)

    return one


def _border_test(value_of: One, test: Callable[[Any], bool | None]) -> One:
    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        value = value_of(env, this, total)
        return None if value is None else test(value)

    return one


def ordering(node: Binary, place: Place) -> Code:
    """`<` `<=` `>` `>=`: empty if a side is, if units differ, or if a partial date cannot decide."""
    left, right, common = _sides(node, place)
    for side in (left, right):
        unordered = kinds_of(side.type) - ORDERED_KINDS
        if side.type.names and not kinds_of(side.type) & ORDERED_KINDS:
            raise FhirPathError(f"'{node.operator}' has no meaning for {in_words(unordered)}", node.column, "type")
        demand_one(side, f"'{node.operator}'", node.column)
    test = ordering_of(node.operator, common)
    if isinstance(right.literal, Quantity) and right.literal.unit and not left.type.many:
        return condition(_border_test(left.one, against(node.operator, right.literal))).resting_on(left, right)
    return condition(_single_test(left, right, test)).resting_on(left, right)


def membership(node: Binary, place: Place) -> Code:
    """`item in list` and `list contains item`: empty if the item is; false where the list is empty."""
    if node.operator == "in":
        item, items, common = _sides(node, place)
    else:
        items, item, common = _sides(node, place)
    demand_one(item, f"the item of '{node.operator}'", node.column)
    same = equality_of(common)
    words = _literal_texts(node.right if node.operator == "in" else node.left)
    one = _in_words(item.one, words) if words is not None else _in_items(item, items, same)
    return condition(one).resting_on(item, items)


def _literal_texts(node: Node) -> frozenset[str] | None:
    """The strings of `('a' | 'b')`; None for anything else."""
    if isinstance(node, Literal) and isinstance(node.value, str):
        return frozenset({node.value})
    if isinstance(node, Binary) and node.operator == "|":
        left, right = _literal_texts(node.left), _literal_texts(node.right)
        return None if left is None or right is None else left | right
    return None


def _in_words(item: One, words: frozenset[str]) -> One:
    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        value = item(env, this, total)
        return None if value is None else value in words

    return one


def _in_items(item: Code, items: Code, same: Test) -> One:
    item_one, all_items = item.one, items.items

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        value = item_one(env, this, total)
        if value is None:
            return None
        certain = True
        for other in all_items(env, this, total):
            found = same(value, other)
            if found:
                return True
            certain = certain and found is False
        return False if certain else None

    return one


def union(node: Binary, place: Place) -> Code:
    """`a | b`: all items of both, without doubles."""
    left, right = place.code(node.left), place.code(node.right)
    left_items, right_items = left.items, right.items

    def items(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        first, second = left_items(env, this, total), right_items(env, this, total)
        if len(first) + len(second) < 2:
            return first or second
        return distinct([*first, *second])

    code = several(Type(left.type.names | right.type.names), items)
    if not left.type.names or not right.type.names:
        code = replace(code, type=Type(code.type.names, left.type.many or right.type.many))
    return replace(code, is_list=left.is_list or right.is_list).resting_on(left, right)
