"""The names that a plan's expressions may read, and the types of what stands behind them. Load time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from cds_service.fhir.fhirpath import Type
from cds_service.policy.facts import CONTEXT

_CONTEXT_TYPES = {
    "line": Type.of("OrderLine"),
    "draftOrders": Type.of("OrderLine", many=True),
    "orderDate": Type.of("date"),
    "onDate": Type.of("date"),
    "patient": Type.of("Patient"),
    "encounter": Type.of("Encounter"),
    "coverage": Type.of("CoverageView"),
    "requester": Type.of("Requester"),
    "performer": Type.of("Performer"),
    "answers": Type.of("AnswerView", many=True),
    "calendar": Type.of("CalendarView"),
}


class Variables(Mapping[str, Type]):
    """Facts, context, and verdicts by their ids. The type of a fact is found when first asked for."""

    def __init__(
        self,
        order_types: frozenset[str],
        facts: Collection[str],
        type_of_fact: Callable[[str], Type],
        verdicts: Callable[[], Collection[str]],
    ) -> None:
        self._order_types, self._facts = order_types, facts
        self._type_of_fact, self._verdicts = type_of_fact, verdicts

    def __getitem__(self, name: str) -> Type:
        if name == "order":
            return Type(self._order_types, many=False)
        if name in _CONTEXT_TYPES:
            return _CONTEXT_TYPES[name]
        if name in self._facts:
            return self._type_of_fact(name)
        if name in self._verdicts():
            return Type.of("CriterionView")
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield from CONTEXT
        yield from self._facts
        yield from self._verdicts()

    def __len__(self) -> int:
        return sum(1 for _ in self)
