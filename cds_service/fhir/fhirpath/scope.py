"""What an expression may name, at load, and what it asks of its surroundings, while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cds_service.fhir.codings import CodingKey
from cds_service.fhir.elements import ElementTable
from cds_service.fhir.fhirpath.static_types import Type

_NOTHING: Mapping[str, Any] = {}


class ValueSetLike(Protocol):
    """A value set as far as membership needs it."""

    @property
    def keys(self) -> frozenset[CodingKey]: ...


class Environment:
    """The values behind an expression, for one evaluation. The lists it gives are never changed.

    `known` are the items of the variables that were read before, `failed` the variables whose look-up failed, and those
    that rest on them. A subclass works out the others when they are first read. It is no Protocol and no dictionary,
    for most of what an expression costs is asking its environment.
    """

    __slots__ = ("failed", "known", "resources")

    def __init__(
        self,
        known: Mapping[str, Sequence[Any]] = _NOTHING,
        failed: frozenset[str] = frozenset(),
        resources: Mapping[str, Any] = _NOTHING,
    ) -> None:
        self.known: dict[str, Sequence[Any]] = dict(known)
        self.failed = failed
        self.resources = resources

    def __getitem__(self, name: str) -> Sequence[Any]:
        """The items of a variable that stands in the scope."""
        found = self.known.get(name)
        if found is None:
            found = self.known[name] = self.work_out(name)
        return found

    def work_out(self, name: str) -> Sequence[Any]:
        """The items of a variable that is read for the first time."""
        raise KeyError(name)

    def resolve(self, reference: str) -> Any | None:
        """The resource that a reference names, where the call already holds it."""
        return self.resources.get(reference)


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything that expressions of one place may name. Value sets are keyed `url|version`."""

    focus: Type | None = None
    variables: Mapping[str, Type] = field(default_factory=dict)
    value_sets: Mapping[str, ValueSetLike] = field(default_factory=dict)
    elements: ElementTable = field(default_factory=ElementTable)
