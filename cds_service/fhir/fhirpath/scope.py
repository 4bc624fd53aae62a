"""What an expression may name, at load, and what it asks of its surroundings, while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cds_service.fhir.codings import CodingKey
from cds_service.fhir.elements import ElementTable
from cds_service.fhir.fhirpath.static_types import Type


class ValueSetLike(Protocol):
    """A value set as far as membership needs it."""

    @property
    def keys(self) -> frozenset[CodingKey]: ...


class Environment(Protocol):
    """The values behind an expression, for one evaluation. The lists it gives are never changed."""

    @property
    def failed(self) -> frozenset[str]:
        """Variables whose look-up failed, and those that rest on them."""
        ...

    def __getitem__(self, name: str) -> Sequence[Any]:
        """The items of a variable that stands in the scope."""
        ...

    def resolve(self, reference: str) -> Any | None:
        """The resource that a reference names, where the call already holds it."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything that expressions of one place may name. Value sets are keyed `url|version`."""

    focus: Type | None = None
    variables: Mapping[str, Type] = field(default_factory=dict)
    value_sets: Mapping[str, ValueSetLike] = field(default_factory=dict)
    elements: ElementTable = field(default_factory=ElementTable)
