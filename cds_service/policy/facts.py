"""DataRequirements + chart -> named facts: evidence, candidates, and what was set aside. Pure; judges nothing.

Steps for a fact (docs/plan-format.md): items, window, `where`, sort, limit per kind. What a filter cannot decide
is a candidate; what lies outside the window or cannot be used is kept to say why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from cds_service.fhir.dates import FhirDate, parse_date, within
from cds_service.fhir.fhirpath import Environment, EvaluationFault, Expression
from cds_service.policy.calendar_view import calendar_view
from cds_service.policy.items import item_date, retrieve
from cds_service.policy.model import Situation
from cds_service.policy.plan import Fact, Policy

# asking again is linear in items: more than this many of one fact are not asked about one by one (ADR 0003)
MOST_ASKED = 50
MOST_STALE = 3


class Gathered:
    """One fact. `items` are evidence; `candidates` might be; `older` were cut by the limit; `stale` lie before the
    window, or have no date; `later` lie behind it; `unusable` says in words what could not be used."""

    __slots__ = ("candidates", "items", "later", "older", "stale", "unusable")

    def __init__(self, items: Sequence[Any] = (), unusable: Sequence[str] = (), stale: Sequence[Any] = ()) -> None:
        self.items: list[Any] = list(items)
        self.candidates: list[Any] = []
        self.older: list[Any] = []
        self.stale: list[Any] = list(stale)
        self.later: list[Any] = []
        self.unusable: list[str] = list(unusable)


NOTHING = Gathered()  # shared by every fact of which the chart holds nothing; never written to


class Facts(Environment):
    """The environment in which a policy's expressions are evaluated: the items of each fact, context value and
    verdict's view by its name, worked out when first read."""

    __slots__ = ("_gathered", "_hits", "_verdict_view", "faults", "policy", "situation")

    def __init__(self, policy: Policy, situation: Situation, verdict_view: Callable[[str], Mapping[str, Any]]) -> None:
        missing = situation.not_looked_up.keys()
        failed = (name for name, types in policy.rests_on.items() if not types.isdisjoint(missing)) if missing else ()
        super().__init__(_context(situation), frozenset(name for name in failed if name not in situation.stubs))
        self.policy = policy
        self.situation = situation
        self._verdict_view = verdict_view
        self._gathered: dict[str, Gathered] = {}
        self._hits: dict[tuple[str, str], dict[str, list[Any]]] = {}
        self.faults: list[str] = []

    def work_out(self, name: str) -> Sequence[Any]:
        fact = self.policy.facts.get(name)
        if name == "calendar":
            return [calendar_view(self.situation)]  # a view that few policies read
        if fact is None:
            return [self._verdict_view(name)]
        if not fact.is_value:
            return self.gathered(name).items
        stub = self.situation.stubs.get(name)
        assert fact.expression is not None
        return list(stub) if stub is not None else self.value(fact.expression, self)

    def release(self) -> None:
        """Let go of all that was worked out. Readings know these facts and facts their readings: left alone, what one
        order made would wait for the garbage collector, and the next would start in cold memory."""
        self._gathered.clear()
        self._hits.clear()
        self.known.clear()
        self._verdict_view = _forgotten

    def note(self, text: str, fault: EvaluationFault) -> None:
        """Keep a fault of ours for whoever logs; what rests on it is unknown."""
        self.faults.append(f"{self.policy.id}: {text}: {fault}")

    def value(self, expression: Expression, environment: Environment) -> list[Any]:
        """The item of an expression that yields at most one, in a list; nothing, and a note, where it fails."""
        try:
            found = expression.value(environment)
        except EvaluationFault as fault:
            self.note(expression.text, fault)
            return []
        return [] if found is None else [found]

    def evaluate(self, expression: Expression, environment: Environment | None = None) -> list[Any]:
        """An expression's items; nothing, and a note, where it runs into a fault of ours."""
        try:
            return list(expression.evaluate(self if environment is None else environment))
        except EvaluationFault as fault:
            self.note(expression.text, fault)
            return []

    def resolve(self, reference: str) -> Mapping[str, Any] | None:
        return self.situation.record.resolve(reference, within=self.situation.line.resource)

    def gathered(self, name: str) -> Gathered:
        found = self._gathered.get(name)
        if found is None:
            found = self._gathered[name] = self._gather(self.policy.facts[name])
        return found

    def _gather(self, fact: Fact) -> Gathered:
        stub = self.situation.stubs.get(fact.name)
        if stub is not None:
            return Gathered(items=stub)
        if fact.name in self.failed and fact.retrieved:
            return Gathered()
        if fact.expression is not None:
            items, candidates, unusable, stale = self._derive(fact)
        else:
            raw = retrieve(fact, self._resources(fact), self.situation.record, self, self.situation.line["reference"])
            if raw is None:
                return NOTHING
            items, candidates, unusable, stale = raw.items, raw.candidates, raw.unusable, []
        if not (items or candidates or unusable or stale):
            return NOTHING
        gathered = Gathered(unusable=unusable, stale=self._still_wanted(fact, stale))
        gathered.items = self._select(fact, items, gathered, gathered.candidates)
        if candidates:
            gathered.candidates.extend(self._select(fact, candidates, gathered, gathered.candidates))
        return _newest(fact, gathered)

    def _resources(self, fact: Fact) -> Sequence[Any]:
        """The resources that a fact may read: by its codes, or all of the type where it names none."""
        if fact.keys is None:
            return self.situation.record.of_type(fact.type)
        at = (fact.type, fact.code_path or "code")
        hits = self._hits.get(at)
        if hits is None:
            hits = self._hits[at] = self.situation.record.coded(*at, self.policy.coded[at])
        return hits.get(fact.name, ())

    def _derive(self, fact: Fact) -> tuple[list[Any], list[Any], list[str], list[Any]]:
        """A derived fact's items, and as candidates whatever it would hold if its sources' candidates were evidence."""
        assert fact.expression is not None
        items = self.evaluate(fact.expression)
        sources = fact.sources
        gathered = [found for name in sources if (found := self.gathered(name)) is not NOTHING]
        if not gathered:
            return items, [], [], []
        unusable = [text for one in gathered for text in one.unusable]
        stale = [item for one in gathered for item in one.stale]
        more = {name: one.items + one.candidates for name in sources if (one := self.gathered(name)).candidates}
        if not more:
            return items, [], unusable, stale
        with_more = self.evaluate(fact.expression, Asked(self, more))
        known = {id(item) for item in items}
        return items, [item for item in with_more if id(item) not in known], unusable, stale

    def _select(self, fact: Fact, items: list[Any], gathered: Gathered, unsure: list[Any]) -> list[Any]:
        doubtful: list[Any] = []
        if fact.window is not None and items:
            items, doubtful = self._in_window(fact, items, gathered)
        unsure.extend(one for one in doubtful if fact.where is None or self._passes(fact.where, one) is not False)
        if fact.where is None:
            return items
        kept = []
        for item in items:
            answer = self._passes(fact.where, item)
            if answer is True:
                kept.append(item)
            elif answer is None:
                unsure.append(item)
        return kept

    def _still_wanted(self, fact: Fact, stale: list[Any]) -> list[Any]:
        """Of the items outside the window, those that the filter would not turn away."""
        if fact.where is None or not stale:
            return stale
        return [item for item in stale if self._passes(fact.where, item) is not False]

    def _passes(self, where: Expression, item: Any) -> bool | None:
        try:
            return where.truth(self, item)
        except EvaluationFault as fault:
            self.note(where.text, fault)
            return None

    def _in_window(self, fact: Fact, items: list[Any], gathered: Gathered) -> tuple[list[Any], list[Any]]:
        """The items in time, and those of which it cannot be said; the others are kept aside in `gathered`."""
        start, end, known = self.window_of(fact)
        if not known:
            return [], items
        kept, doubtful = [], []
        for item in items:
            when = item_date(item)
            inside = within(when, start, end) if when is not None else None
            if inside is True:
                kept.append(item)
            elif inside is None and when is not None:
                doubtful.append(item)  # a partial date, some of whose days are in time
            elif when is None or (start is not None and when.last_day < start.first_day):
                gathered.stale.append(item)
            else:
                gathered.later.append(item)
        # only the newest are ever spoken of
        gathered.stale = sorted(gathered.stale, key=_age, reverse=True)[:MOST_STALE]
        gathered.later = sorted(self._still_wanted(fact, gathered.later), key=_age, reverse=True)[:MOST_STALE]
        return kept, doubtful

    def window_of(self, fact: Fact) -> tuple[FhirDate | None, FhirDate | None, bool]:
        """The first and last day that count, and whether both could be worked out.

        `%onDate` as the end means the order date once the order is no draft.
        """
        assert fact.window is not None
        ends: list[FhirDate | None] = []
        known = True
        for expression in (fact.window.start, fact.window.end):
            if expression is None:
                ends.append(None)
                continue
            if expression is fact.window.end and expression.text.strip() == "%onDate":
                draft = self.situation.line.get("status", "draft") == "draft"
                ends.append(FhirDate.of_day(self.situation.on_date if draft else self.situation.order_date))
                continue
            found = self.evaluate(expression)
            known = known and len(found) == 1
            ends.append(found[0] if found else None)
        return ends[0], ends[1], known


def _forgotten(name: str) -> Mapping[str, Any]:
    raise EvaluationFault(f"%{name} was read after the determination was made")


class Asked(Environment):
    """The same facts with some of them replaced, to ask a condition again. Verdicts stay as they are."""

    __slots__ = ("_base", "_replaced", "_values")

    def __init__(self, base: Facts, given: Mapping[str, list[Any]], values: frozenset[str] = frozenset()) -> None:
        super().__init__(given, base.failed)
        self._base = base
        self._replaced = given.keys()
        self._values = values  # the value facts to work out anew

    def work_out(self, name: str) -> Sequence[Any]:
        if name in self._values:
            fact = self._base.policy.facts[name]
            # a value that rests on nothing that was replaced is what it was
            if not fact.behind.isdisjoint(self._replaced) and name not in self._base.situation.stubs:
                assert fact.expression is not None
                return self._base.value(fact.expression, self)
        return self._base[name]

    def resolve(self, reference: str) -> Mapping[str, Any] | None:
        return self._base.resolve(reference)


def _newest(fact: Fact, gathered: Gathered) -> Gathered:
    """Sort newest first, keep `limit` of each kind, and drop candidates that newer evidence of their kind overtook."""
    if fact.sort_path is None:
        return gathered
    gathered.items.sort(key=_age, reverse=fact.descending)
    gathered.candidates.sort(key=_age, reverse=fact.descending)
    if fact.limit is None:
        return gathered
    kept: list[Any] = []
    counts: dict[tuple[Any, ...], int] = {}
    newest: dict[tuple[Any, ...], Any] = {}
    for item in gathered.items:
        kind = _kind(fact, item)
        counts[kind] = counts.get(kind, 0) + 1
        newest.setdefault(kind, item)
        (kept if counts[kind] <= fact.limit else gathered.older).append(item)
    gathered.items = kept
    if fact.descending and newest:
        gathered.candidates = [
            one
            for one in gathered.candidates
            if (best := newest.get(_kind(fact, one))) is None or _age(one) > _age(best)
        ]
    return gathered


def _kind(fact: Fact, item: Any) -> tuple[Any, ...]:
    kind = []
    for name in fact.per:
        try:
            kind.append(item[name])
        except (KeyError, TypeError):
            kind.append(None)
    return tuple(kind)


def _age(item: Any) -> Any:
    when = item_date(item)
    # an undated item is older than any dated one
    return when.instant_key if when is not None else _UNDATED


_OLDEST = parse_date("0001-01-01")
_UNDATED = _OLDEST.instant_key if _OLDEST is not None else None


def _context(situation: Situation) -> dict[str, list[Any]]:
    patient = situation.record.patient
    context: dict[str, list[Any]] = {
        "line": [situation.line],
        "order": [situation.line.resource],
        "draftOrders": list(situation.draft),
        "orderDate": [FhirDate.of_day(situation.order_date)],
        "onDate": [FhirDate.of_day(situation.on_date)],
        "patient": [_born(patient, situation.on_date)] if patient is not None else [],
        "encounter": [situation.encounter] if situation.encounter is not None else [],
        "coverage": [situation.coverage],
        "requester": [situation.requester] if situation.requester is not None else [],
    }
    context["performer"] = [situation.performer] if situation.performer is not None else []
    context["answers"] = [{"linkId": name, "value": answer.value} for name, answer in situation.answers.items()]
    return context


def _born(patient: Mapping[str, Any], on_date: date) -> Mapping[str, Any]:
    """The patient; without a birth date that is still to come, for nobody is of an age before being born."""
    stated = patient.get("birthDate")
    born = parse_date(stated) if isinstance(stated, str) else None
    if born is None or born.first_day <= on_date:
        return patient
    return {name: value for name, value in patient.items() if name != "birthDate"}


CONTEXT = (
    "line",
    "order",
    "draftOrders",
    "orderDate",
    "onDate",
    "patient",
    "encounter",
    "coverage",
    "requester",
    "performer",
    "answers",
    "calendar",
)
