"""Expressions that were compiled before, for plans that say the same: libraries pinned twice, versions, mutants.

An expression is what its text, its place and the types of what it reads make it; where all of them are as they were, so
is what was compiled. Load time only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cds_service.fhir.fhirpath import Expression, Scope, Type, compile_expression
from cds_service.terminology.value_sets import Key, ValueSets

Place = tuple[str, Type | None, frozenset[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Known:
    expression: Expression
    reads: Mapping[str, Type]
    keys: Mapping[str, frozenset[Key]]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was compiled, by text, focus, the order types of the plan and the qualifiers of its measurements."""

    _known: dict[Place, _Known] = field(default_factory=dict)

    def compile(
        self, text: str, scope: Scope, value_sets: ValueSets, order_types: frozenset[str], qualifiers: tuple[str, ...]
    ) -> Expression:
        """As compile_expression; `order_types` and `qualifiers` are what else the scope was made of."""
        place = (text, scope.focus, order_types, qualifiers)
        known = self._known.get(place)
        if known is not None and _holds(known, scope, value_sets):
            return known.expression
        compiled = compile_expression(text, scope)
        self._known[place] = _Known(
            compiled,
            {name: scope.variables[name] for name in compiled.reads},
            {canonical: value_sets[canonical].keys for canonical in compiled.value_sets},
        )
        return compiled


def _holds(known: _Known, scope: Scope, value_sets: ValueSets) -> bool:
    # every name is looked up, also where the first differs: a fact is compiled when its type is first asked for
    types = {name: scope.variables.get(name) for name in known.reads}
    return types == known.reads and all(
        canonical in value_sets and value_sets[canonical].keys is keys for canonical, keys in known.keys.items()
    )
