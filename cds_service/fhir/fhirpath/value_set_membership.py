"""`memberOf`: is a concept in a value set that is held here? Three-valued; knows no terminology server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cds_service.fhir.codings import CodingKey, KeyedConcept, coding_key
from cds_service.fhir.elements import near_names, quoted
from cds_service.fhir.fhirpath.code import Code, Place, condition, demand_one
from cds_service.fhir.fhirpath.errors import FhirPathError
from cds_service.fhir.fhirpath.scope import Environment
from cds_service.fhir.fhirpath.static_types import in_words
from cds_service.fhir.fhirpath.syntax import Call, Literal

_CONCEPTS = frozenset({"Coding", "CodeableConcept"})


def member_of(node: Call, base: Code, place: Place) -> Code:
    """`memberOf('url|version')` on a Coding or a CodeableConcept; several Codings are read as one concept's.

    R4 FHIRPath, memberOf; with three values: `{}` where no coding has both system and code.
    """
    canonical, keys = _value_set(node, place)
    # A concept or a reference to one, as in medication[x]: the reference says nothing here.
    if base.type.names and not base.type.names & _CONCEPTS:
        message = f"memberOf() takes a Coding or a CodeableConcept, not {in_words(base.type.names)}"
        raise FhirPathError(message, node.column, "type")
    if base.type.names != {"Coding"}:
        demand_one(base, "memberOf()", node.column)
    code = condition(_concept_test(base, keys) if base.type.names != {"Coding"} else _codings_test(base, keys))
    code = code.resting_on(base)
    return Code(code.type, code.items, code.one, code.reads, code.value_sets | {canonical})


def _value_set(node: Call, place: Place) -> tuple[str, frozenset[CodingKey]]:
    argument = node.arguments[0]
    if not isinstance(argument, Literal) or not isinstance(argument.value, str):
        raise FhirPathError("memberOf() takes a literal 'url|version'", argument.column, "value-set")
    canonical = argument.value
    held = place.scope.value_sets
    if canonical in held:
        return canonical, held[canonical].keys
    near = near_names(_short(canonical), tuple(_short(one) for one in held))
    hint = f"held are {quoted(near)}" if near else f"{len(held)} value sets are held, none of a name like it"
    if "|" not in canonical:
        message = f"value set '{canonical}' is not pinned; write 'url|version' ({hint})"
    else:
        message = f"value set '{_short(canonical)}' is not held; {hint}"
    raise FhirPathError(message, argument.column, "value-set")


def _short(canonical: str) -> str:
    return canonical.rpartition("/")[2]


def _coding_test(coding: Any, keys: frozenset[CodingKey]) -> bool | None:
    key = coding_key(coding.get("system"), coding.get("code"))
    return None if key is None else key in keys


def _concept_test(base: Code, keys: frozenset[CodingKey]) -> Any:
    concept_of = base.one
    only_concepts = base.type.names <= _CONCEPTS

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        concept = concept_of(env, this, total)
        if type(concept) is KeyedConcept:
            found = concept.coding_keys
            return not keys.isdisjoint(found) if found else None
        if concept is None or not (only_concepts or _may_be_concept(concept)):
            return None
        codings = concept.get("coding")
        if codings is None:
            # a Coding, or a Reference: that has no code
            return _coding_test(concept, keys) if concept.get("code") is not None else None
        return _any_of(codings, keys) if type(codings) is list else None

    return one


def _may_be_concept(value: Any) -> bool:
    # among the values of a choice element; a Quantity too has a system and a code
    return isinstance(value, dict) and "value" not in value


def _any_of(codings: Sequence[Any], keys: frozenset[CodingKey]) -> bool | None:
    found: bool | None = None
    for coding in codings:
        if isinstance(coding, dict):
            key = coding_key(coding.get("system"), coding.get("code"))
            if key is not None:
                if key in keys:
                    return True
                found = False
    return found


def _codings_test(base: Code, keys: frozenset[CodingKey]) -> Any:
    codings_of, coding_of = base.items, base.one
    if base.type.many:
        return lambda env, this, total: _any_of(codings_of(env, this, total), keys)

    def one(env: Environment, this: Any, total: Sequence[Any]) -> Any:
        coding = coding_of(env, this, total)
        return None if coding is None else _coding_test(coding, keys)

    return one
