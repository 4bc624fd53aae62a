"""`ofType`: what of some items is of a type. Settled at load where it can be, else by what tells types apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cds_service.fhir.elements import PRIMITIVES, near_names, quoted
from cds_service.fhir.fhirpath.code import Code, Place, nothing, several, single
from cds_service.fhir.fhirpath.errors import FhirPathError
from cds_service.fhir.fhirpath.scope import Environment
from cds_service.fhir.fhirpath.static_types import Type, in_words, is_or_specialises, kind_of
from cds_service.fhir.fhirpath.syntax import Call, Member

_ANY_RESOURCE = frozenset({"Resource", "DomainResource"})
# The types that can be told from all others by the value alone.
_TOLD_BY_VALUE: dict[str, Callable[[Any], bool]] = {
    "boolean": lambda value: value is True or value is False,
    "string": lambda value: type(value) is str,
}


def of_type(node: Call, base: Code, place: Place) -> Code:
    """`ofType(T)`: what of the base is a T. `base` is compiled already, a choice element narrowed to T."""
    wanted, elements, names = _type_argument(node), place.scope.elements, base.type.names
    if not elements.is_type(wanted):
        near = near_names(wanted, tuple(sorted(names))) or tuple(sorted(names))
        hint = f"; this is {quoted(near)}" if near else ""
        raise FhirPathError(f"'{wanted}' is no type of R4{hint}", node.column, "unknown-name")
    fitting = frozenset(name for name in names if is_or_specialises(name, wanted))
    if fitting == names:
        return base
    if elements.is_resource(wanted) and (fitting or names & _ANY_RESOURCE):
        return of_resource_type(base, wanted)
    views = frozenset(name for name in names if wanted in elements.over(name))
    if views == names:
        return _filtered(base, base.type, lambda item: item.resource.get("resourceType") == wanted)
    if not fitting:
        return _never(node, wanted, base)
    if wanted not in _TOLD_BY_VALUE or sum(kind_of(name) == kind_of(wanted) for name in names) > 1:
        message = f"ofType({wanted}) is not admitted so far from its element; write value.ofType({wanted})"
        raise FhirPathError(message, node.column, "not-admitted")
    return _filtered(base, Type(fitting, base.type.many), _TOLD_BY_VALUE[wanted])


def _never(node: Call, wanted: str, base: Code) -> Code:
    # HL7's suite asks a code whether it is a string and gets {}; of anything richer the question is a slip
    if base.type.names <= PRIMITIVES:
        return nothing().resting_on(base)
    message = f"ofType({wanted}) finds nothing in {in_words(base.type.names)}"
    raise FhirPathError(message, node.column, "type")


def type_keeper(node: Call) -> Callable[[str], bool]:
    """For narrowing a choice element that stands right before ofType(T)."""
    wanted = _type_argument(node)
    return lambda name: is_or_specialises(name, wanted)


def _type_argument(node: Call) -> str:
    argument = node.arguments[0]
    if isinstance(argument, Member):
        namespace = argument.base
        if namespace is None or namespace == Member(None, "FHIR", namespace.column):
            return argument.name
    message = "what is not the name of a FHIR type is not admitted in ofType(); write ofType(Quantity)"
    raise FhirPathError(message, node.column, "not-admitted")


def of_resource_type(base: Code, wanted: str) -> Code:
    """Those items of `base` that are resources of the type `wanted`."""

    def is_wanted(item: Any) -> bool:
        return isinstance(item, dict) and item.get("resourceType") == wanted

    return _filtered(base, Type(frozenset({wanted}), base.type.many), is_wanted)


def _filtered(base: Code, kind: Type, is_wanted: Callable[[Any], bool]) -> Code:
    one_base, items_base = base.one, base.items
    if not base.type.many:

        def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
            item = one_base(env, this, total)
            return item if item is not None and is_wanted(item) else None

        return single(kind, one).resting_on(base)

    def items(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        return [item for item in items_base(env, this, total) if is_wanted(item)]

    return several(kind, items).resting_on(base)
