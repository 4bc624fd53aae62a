"""Where values come from: variables, the focus, and the path from item to element. Knows no JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cds_service.fhir.elements import near_names
from cds_service.fhir.fhirpath.code import Code, Place, nothing, several, single
from cds_service.fhir.fhirpath.errors import EvaluationFault, FhirPathError
from cds_service.fhir.fhirpath.scope import Environment
from cds_service.fhir.fhirpath.static_types import Type
from cds_service.fhir.fhirpath.steps import Step, find
from cds_service.fhir.fhirpath.syntax import Member, Node, This, Total, Variable
from cds_service.fhir.fhirpath.type_tests import of_resource_type

# FHIRPath 2.0.0, Environment variables, and R4's additions
_HL7_CONSTANTS = {
    "context": "begin with a %variable",
    "resource": "begin with a %variable",
    "rootResource": "begin with a %variable",
    "sct": "write the URI",
    "loinc": "write the URI",
    "ucum": "write the URI",
}


def variable(node: Variable, place: Place) -> Code:
    """`%name`: straight to the environment. What stands there is asked for more often than anything else: no call."""
    name = node.name
    kind = place.scope.variables.get(name)
    if kind is None:
        raise _unknown_variable(node, place)

    def items(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        found = env.known.get(name)
        if found is None:
            found = env.known[name] = env.work_out(name)
        return found

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        found = env.known.get(name)
        if found is None:
            found = env.known[name] = env.work_out(name)
        if not found:
            return None
        if len(found) > 1:
            raise EvaluationFault(f"%{name} has {len(found)} items where one is needed")
        return found[0]

    return Code(kind, items, one, reads=frozenset({name}), is_list=kind.many)


def _unknown_variable(node: Variable, place: Place) -> FhirPathError:
    names = tuple(place.scope.variables)
    if node.name in _HL7_CONSTANTS or node.name.startswith(("vs-", "ext-")):
        instead = _HL7_CONSTANTS.get(node.name, "write the URI")
        return FhirPathError(f"the constant %{node.name} is not admitted; {instead}", node.column, "not-admitted")
    behind = place.text[node.column :]
    glued = [name for name in names if not name.isidentifier() and behind.startswith(name)]
    near = [_written(name) for name in near_names(node.name, names)]
    hint = "it is none of this policy's facts and criteria"
    if glued:
        hint = f"a name with '-' or '.' stands in backticks: {_written(max(glued, key=len))}"
    elif near:
        hint = f"did you mean {' or '.join(near)}?"
    return FhirPathError(f"unknown variable {_written(node.name)}; {hint}", node.column, "unknown-name")


def _written(name: str) -> str:
    return f"%{name}" if name.isidentifier() else f"%`{name}`"


def this(node: This, place: Place) -> Code:
    """`$this`: the item in focus."""
    if place.focus is None:
        raise FhirPathError("nothing is in focus here; begin with a %variable", node.column, "unknown-name")
    return single(place.focus, lambda env, item, total: item)


def total(node: Total, place: Place) -> Code:
    """`$total`: what aggregate() has so far."""
    if place.total is None:
        raise FhirPathError("$total has a meaning only inside aggregate(...)", node.column, "unknown-name")
    return replace(several(place.total, lambda env, item, so_far: so_far), type=place.total)


def member(node: Member, place: Place, keep: Callable[[str], bool] | None = None) -> Code:
    """`base.name`; of a choice element only the types that `keep` admits are looked at."""
    if node.base is None:
        if place.focus is None:
            message = f"'{node.name}' has nothing to be read from; begin with a %variable"
            raise FhirPathError(message, node.column, "unknown-name")
        root = _root(node, place)
        if root is not None:
            return root
        base = replace(single(place.focus, lambda env, item, so_far: item), is_focus=True)
    else:
        # what is read next narrows a choice: `value.text` looks for a CodeableConcept only
        base = narrowed(node.base, place, lambda kind: _leads_on(kind, node.name, place))
    if not base.type.names:
        return nothing().resting_on(base)
    return _navigate(base, node, place, keep)


def narrowed(node: Node, place: Place, keep: Callable[[str], bool]) -> Code:
    """The code of `node`; where that is a choice element, only with the types that `keep` admits, if any."""
    if isinstance(node, Member):
        code = member(node, place, keep)
        return code if code.type.names else place.code(node)
    return place.code(node)


def _leads_on(kind: str, name: str, place: Place) -> bool:
    elements = place.scope.elements
    return elements.field(kind, name) is not None or elements.element(kind, name) is not None


def _root(node: Member, place: Place) -> Code | None:
    """FHIRPath 2.0.0, Path selection: the first name may be the focus' own type, `Patient.birthDate`."""
    elements, focus = place.scope.elements, place.focus
    if focus is None or any(_leads_on(kind, node.name, place) for kind in focus.names):
        return None
    if node.name in focus.names:
        focused = single(focus, lambda env, item, so_far: item)
        return focused if len(focus.names) == 1 else of_resource_type(focused, node.name)
    if focus.names and elements.is_type(node.name):
        labels = " or ".join(sorted(elements.label(name) for name in focus.names))
        raise FhirPathError(f"'{node.name}' is not in focus here; {labels} is", node.column, "unknown-name")
    return None


def _navigate(base: Code, node: Member, place: Place, keep: Callable[[str], bool] | None) -> Code:
    elements = place.scope.elements
    found = find(base.type.names, node.name, elements, keep)
    if found is None:
        message = "; ".join(elements.explain_missing(name, node.name) for name in sorted(base.type.names)[:2])
        raise FhirPathError(message, node.column, "unknown-name")
    kind = Type(found.types, base.type.many or found.many)
    code = _apply(base, found.step, found.many)
    return replace(code, type=kind, is_list=base.is_list or found.is_list).resting_on(base)


def _apply(base: Code, step: Step, many: bool) -> Code:
    one_base, items_base = base.one, base.items
    if base.is_focus and not many:
        return single(base.type, lambda env, this, total: None if this is None else step(this))
    if not base.type.many and not many:

        def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
            item = one_base(env, this, total)
            return None if item is None else step(item)

        return single(base.type, one)
    if not base.type.many:

        def listed(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
            item = one_base(env, this, total)
            return () if item is None else step(item) or ()

        return several(base.type, listed)
    if not many:

        def each(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
            return [value for item in items_base(env, this, total) if (value := step(item)) is not None]

        return several(base.type, each)

    def flattened(env: Environment, this: Any, total: Sequence[Any]) -> Sequence[Any]:
        found: list[Any] = []
        for item in items_base(env, this, total):
            values = step(item)
            if values:
                found.extend(values)
        return found

    return several(base.type, flattened)
