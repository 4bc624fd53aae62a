"""The functions that plans may call, one small builder each; and what to write instead of the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from cds_service.fhir.elements import near_names
from cds_service.fhir.fhirpath import logic, paths, type_tests
from cds_service.fhir.fhirpath.code import (
    Code,
    Place,
    condition,
    demand_condition,
    demand_one,
    nothing,
    several,
    single,
)
from cds_service.fhir.fhirpath.errors import FhirPathError
from cds_service.fhir.fhirpath.patterns import compiled_pattern
from cds_service.fhir.fhirpath.scope import Environment
from cds_service.fhir.fhirpath.static_types import Type, in_words, kind_of, kinds_of
from cds_service.fhir.fhirpath.syntax import Call, Variable
from cds_service.fhir.fhirpath.value_set_membership import member_of
from cds_service.fhir.fhirpath.values import as_text

Builder: TypeAlias = Callable[[Call, Code, Place], Code]

# A text longer than this is not searched: a pattern may need time that grows with the square of the length.
LONGEST_SEARCHED_TEXT = 10_000


def call(node: Call, place: Place) -> Code:
    """`base.name(...)`, for every function that is admitted."""
    if node.name not in _ARITY:
        raise FhirPathError(_refusal(node.name), node.column, "not-admitted")
    fewest, most = _ARITY[node.name]
    if not fewest <= len(node.arguments) <= most:
        wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        message = f"{node.name}() takes {wanted} arguments, not {len(node.arguments)}"
        raise FhirPathError(message, node.column, "syntax")
    if node.name == "not":
        return logic.negation(node, place)
    if node.name == "iif":
        return logic.iif(node, place)
    return _BUILDERS[node.name](node, _base(node, place), place)


def _base(node: Call, place: Place) -> Code:
    if node.base is None:
        if place.focus is None:
            message = f"{node.name}() has nothing to work on; begin with a %variable"
            raise FhirPathError(message, node.column, "unknown-name")
        return single(place.focus, lambda env, this, total: this)
    if node.name == "ofType":
        return paths.narrowed(node.base, place, type_tests.type_keeper(node))
    if node.name == "memberOf":
        return paths.narrowed(node.base, place, lambda name: name in ("Coding", "CodeableConcept"))
    if node.name in ("matches", "replace", "lower"):
        return paths.narrowed(node.base, place, lambda name: kind_of(name) == "string")
    return place.code(node.base)


def _condition_on_each(node: Call, base: Code, place: Place) -> Code:
    inner = place.code_for_each(node.arguments[0], base.type)
    return demand_condition(inner, f"{node.name}()", node.arguments[0].column)


def _exists(node: Call, base: Code, place: Place) -> Code:
    one_base, items_base = base.one, base.items
    if not node.arguments:
        if isinstance(node.base, Variable):
            name = node.base.name
            return condition(lambda env, this, total: bool(env[name])).resting_on(base)
        if base.type.many:
            return condition(lambda env, this, total: bool(items_base(env, this, total))).resting_on(base)
        return condition(lambda env, this, total: one_base(env, this, total) is not None).resting_on(base)
    criterion = _condition_on_each(node, base, place)
    holds = criterion.one

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        for item in items_base(env, this, total):  # noqa: SIM110 - on the hot path a loop beats a generator
            if holds(env, item, total):
                return True
        return False

    return condition(one).resting_on(base, criterion)


def _empty(node: Call, base: Code, place: Place) -> Code:
    one_base, items_base = base.one, base.items
    if base.type.many:
        return condition(lambda env, this, total: not items_base(env, this, total)).resting_on(base)
    return condition(lambda env, this, total: one_base(env, this, total) is None).resting_on(base)


def _all(node: Call, base: Code, place: Place) -> Code:
    items_base = base.items
    criterion = _condition_on_each(node, base, place)
    holds = criterion.one

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        for item in items_base(env, this, total):  # noqa: SIM110 - on the hot path a loop beats a generator
            if not holds(env, item, total):
                return False
        return True

    return condition(one).resting_on(base, criterion)


def _count(node: Call, base: Code, place: Place) -> Code:
    items_base = base.items
    return single(Type.of("integer"), lambda env, this, total: len(items_base(env, this, total))).resting_on(base)


def _first(node: Call, base: Code, place: Place) -> Code:
    items_base = base.items

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        found = items_base(env, this, total)
        return found[0] if found else None

    return single(base.type, one).resting_on(base)


def _where(node: Call, base: Code, place: Place) -> Code:
    criterion = _condition_on_each(node, base, place)
    holds, one_base, items_base = criterion.one, base.one, base.items
    if not base.type.many:

        def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
            item = one_base(env, this, total)
            return item if item is not None and holds(env, item, total) else None

        return single(base.type, one).resting_on(base, criterion)

    def items(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        return [item for item in items_base(env, this, total) if holds(env, item, total)]

    return several(base.type, items).resting_on(base, criterion)


def _select(node: Call, base: Code, place: Place) -> Code:
    projection = place.code_for_each(node.arguments[0], base.type)
    one_base, items_base, one_of, items_of = base.one, base.items, projection.one, projection.items
    if not base.type.many and not projection.type.many:

        def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
            item = one_base(env, this, total)
            return None if item is None else one_of(env, item, total)

        return single(projection.type, one).resting_on(base, projection)

    def items(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        return [value for item in items_base(env, this, total) for value in items_of(env, item, total)]

    code = several(projection.type, items)
    return replace(code, is_list=base.is_list or projection.is_list).resting_on(base, projection)


def _aggregate(node: Call, base: Code, place: Place) -> Code:
    start = place.code(node.arguments[1]) if len(node.arguments) > 1 else nothing()
    so_far = start.type
    # $total has the type of what one round makes of it: widened until a round adds nothing
    while True:
        body = replace(place, total=so_far).code_for_each(node.arguments[0], base.type)
        wider = Type(so_far.names | body.type.names, so_far.many or body.type.many)
        if wider == so_far:
            break
        so_far = wider
    items_base, first_total, next_total = base.items, start.items, body.items

    def items(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        found = first_total(env, this, total)
        for item in items_base(env, this, total):
            found = next_total(env, item, found)
        return found

    code = replace(several(so_far, items), type=so_far)
    return code.resting_on(base, start, body)


def _demand_text(code: Code, node: Call, what: str) -> Code:
    if not kinds_of(code.type) <= {"string"}:
        message = f"{node.name}() {what} a string, not {in_words(code.type.names)}"
        raise FhirPathError(message, node.column, "type")
    return demand_one(code, f"{node.name}()", node.column)


def _matches(node: Call, base: Code, place: Place) -> Code:
    _demand_text(base, node, "works on")
    search = compiled_pattern(node).search
    text_of = base.one

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        text = text_of(env, this, total)
        if text is None or len(text) > LONGEST_SEARCHED_TEXT:
            return None
        return search(text) is not None

    return condition(one).resting_on(base)


def _replace(node: Call, base: Code, place: Place) -> Code:
    parts = [_demand_text(base, node, "works on")]
    parts += [_demand_text(place.code(argument), node, "takes") for argument in node.arguments]
    text_of, old_of, new_of = (part.one for part in parts)

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        text, old, new = text_of(env, this, total), old_of(env, this, total), new_of(env, this, total)
        return None if text is None or old is None or new is None else text.replace(old, new)

    return single(Type.of("string"), one).resting_on(*parts)


def _lower(node: Call, base: Code, place: Place) -> Code:
    _demand_text(base, node, "works on")
    text_of = base.one

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        text = text_of(env, this, total)
        return None if text is None else text.lower()

    return single(Type.of("string"), one).resting_on(base)


_WRITABLE = frozenset({"string", "boolean", "number", "date", "Quantity", "time"})


def _to_string(node: Call, base: Code, place: Place) -> Code:
    demand_one(base, "toString()", node.column)
    unwritable = kinds_of(base.type) - _WRITABLE
    if unwritable:
        raise FhirPathError(f"toString() has no text for {in_words(unwritable)}", node.column, "type")
    value_of = base.one

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        value = value_of(env, this, total)
        return None if value is None else as_text(value)

    return single(Type.of("string"), one).resting_on(base)


def _resolve(node: Call, base: Code, place: Place) -> Code:
    if not kinds_of(base.type) <= {"Reference", "string"}:
        message = f"resolve() takes a Reference or its text, not {in_words(base.type.names)}"
        raise FhirPathError(message, node.column, "type")
    one_base, items_base = base.one, base.items

    def target(env: Environment, item: Any) -> Any:
        reference = item if type(item) is str else item.get("reference")
        return env.resolve(reference) if type(reference) is str else None

    kind = Type.of("Resource")
    if not base.type.many:

        def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
            item = one_base(env, this, total)
            return None if item is None else target(env, item)

        return single(kind, one).resting_on(base)

    def items(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        found = (target(env, item) for item in items_base(env, this, total))
        return [resource for resource in found if resource is not None]

    return replace(several(kind, items), is_list=base.is_list).resting_on(base)


_BUILDERS: dict[str, Builder] = {
    "where": _where,
    "exists": _exists,
    "empty": _empty,
    "all": _all,
    "select": _select,
    "first": _first,
    "count": _count,
    "ofType": type_tests.of_type,
    "aggregate": _aggregate,
    "matches": _matches,
    "replace": _replace,
    "lower": _lower,
    "toString": _to_string,
    "memberOf": member_of,
    "resolve": _resolve,
}
_ARITY: dict[str, tuple[int, int]] = {
    "not": (0, 0),
    "iif": (2, 3),
    "where": (1, 1),
    "exists": (0, 1),
    "empty": (0, 0),
    "all": (1, 1),
    "select": (1, 1),
    "first": (0, 0),
    "count": (0, 0),
    "ofType": (1, 1),
    "aggregate": (1, 2),
    "matches": (1, 1),
    "replace": (2, 2),
    "lower": (0, 0),
    "toString": (0, 0),
    "memberOf": (1, 1),
    "resolve": (0, 0),
}
ADMITTED_FUNCTIONS = frozenset(_ARITY)

_NARROW = "use first(), or narrow with where(...)"
# What to write for a function of HL7's that plans may not call (plan format, section 3).
INSTEAD: dict[str, str] = {
    **dict.fromkeys(("today", "now", "timeOfDay"), "use %onDate or %orderDate"),
    "sort": "facts come sorted: sort the fact",
    **dict.fromkeys(("single", "last", "tail", "skip", "take"), _NARROW),
    **dict.fromkeys(("repeat", "children", "descendants"), "write the path out"),
    "is": "write ofType(...).exists()",
    "as": "write ofType(...)",
    "trace": "leave it out",
    "hasValue": "use exists()",
    **dict.fromkeys(("allTrue", "allFalse"), "use all(...)"),
    **dict.fromkeys(("anyTrue", "anyFalse"), "use exists(...)"),
    **dict.fromkeys(("union", "combine", "distinct"), "use |"),
    **dict.fromkeys(("upper",), "use lower()"),
    **dict.fromkeys(("startsWith", "endsWith", "contains", "indexOf", "matchesFull"), "use matches(...)"),
    "replaceMatches": "use replace(...)",
    "extension": "write extension.where(url = '...')",
    "isDistinct": "compare counts",
    "subsetOf": "use all($this in ...)",
    "supersetOf": "use all($this in ...)",
    "intersect": "use where($this in ...)",
    "exclude": "use where(($this in ...).not())",
}


# The rest of HL7's: known, and not what somebody may have meant by an admitted name.
_NO_ALTERNATIVE = re.compile(
    "convertsTo[A-Z].*|to[A-Z].*|abs|ceiling|comparable|conformsTo|decode|encode|escape|exp|floor|highBoundary"
    "|join|length|ln|log|lowBoundary|power|precision|round|split|sqrt|substring|trim|truncate|type|unescape"
)


def _refusal(name: str) -> str:
    refusal = f"function '{name}' is not admitted"
    if name in INSTEAD:
        return f"{refusal}; {INSTEAD[name]}"
    if _NO_ALTERNATIVE.fullmatch(name):
        return refusal
    near = near_names(name, tuple(sorted(ADMITTED_FUNCTIONS)))
    return f"{refusal}; did you mean {' or '.join(near)}?" if near else refusal
