"""Facts in words: what each holds, how it is read, and what stands behind a condition. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cds_service.fhir.fhirpath import Expression
from cds_service.fhir.fhirpath.syntax import Call, Empty, Member, Node, Variable, walk
from cds_service.pages.page import NO_READER, Detail, PageNode, Saying
from cds_service.pages.requirements import Requirement
from cds_service.pages.sayings import Speaker
from cds_service.policy.items import unit_words
from cds_service.policy.plan import Condition, Fact, Measurement, Policy, Window

ORDERS = "orders"  # the node that says of which orders the policy speaks
_OPEN_END = "without end"


@dataclass(frozen=True, slots=True)
class FactNodes:
    """Tells the facts of one policy."""

    policy: Policy
    required: Mapping[str, Requirement]
    titles: Mapping[str, str]
    speaker: Speaker

    def node(self, name: str) -> PageNode:
        """A fact with all that is said of it."""
        fact, required = self.policy.facts[name], self.required[name]
        details = []
        if required.described:
            details.append(_plain("holds", required.described))
        details.append(self._is(fact, required, "is"))
        details += self._narrowed(fact, required)
        if fact.measurement is not None:
            details += self._measured(fact.measurement)
        if required.from_library:
            details.append(_plain("shared", f"from {required.from_library}"))
        readers = self._readers(name)
        by = Saying(", ".join(readers) or "nothing; it is shown")
        details.append(Detail("read by", by, repeated=True))
        kind = fact.type if fact.is_value else f"{fact.type}, items"
        return PageNode(name, name, kind, tuple(details), readers=readers)

    def told(self, name: str, label: str) -> Detail:
        """A fact on one line: its description where its author gave one, and what narrows it."""
        fact, required = self.policy.facts[name], self.required[name]
        base = self._is(fact, required, label)
        narrowed = [one for one in self._narrowed(fact, required) if one.label != "note"]
        words = "; ".join([base.saying.line, *(f"{one.label}: {one.saying.line}" for one in narrowed)])
        named = "" if base.saying.line.endswith(f"({name})") else f"{name}: "
        described = f"“{required.described}” That is: " if required.described else ""
        written = [base.expression, *(f"{one.label}: {one.expression}" for one in narrowed if one.expression)]
        shown = "\n".join(one for one in written if one) or None
        return Detail(label, Saying(f"{named}{described}{words}"), shown, fact=name)

    def behind(self, condition: Condition) -> Iterator[Detail]:
        """The facts that a condition reads, with those that its booleans compare and what these are taken from.

        Last the windows of all else that it rests on, and the days that they are counted from.
        """
        told: set[str] = set()
        for expression in condition.expressions:
            for name in self._in_order(expression.ast):
                yield from self._behind(name, told, depth=2)
        for name in sorted(self._closure(condition), key=list(self.policy.facts).index):
            window = self.policy.facts[name].window
            if window is not None and name not in told:
                words = Saying(f"{name}: {self._window_words(window)}")
                yield Detail("window", words, _window_text(window), repeated=True)
                yield from self._behind_window(window, told)

    def _behind(self, name: str, told: set[str], depth: int) -> Iterator[Detail]:
        """A fact and what it is taken from."""
        fact = self.policy.facts[name]
        if name in told or self._is_plain(fact):
            return
        told.add(name)
        yield replace(self.told(name, "where"), repeated=True)
        if fact.is_value and depth == 1:
            return
        for other in self._in_order(fact.expression.ast) if fact.expression is not None else ():
            yield from self._behind(other, told, depth - 1 if fact.is_value else depth)
        for other in self._in_order(fact.where.ast) if fact.where is not None else ():
            yield from self._behind(other, told, depth)
        if fact.window is not None:
            yield from self._behind_window(fact.window, told)

    def _behind_window(self, window: Window, told: set[str]) -> Iterator[Detail]:
        for end in _ends(window):
            for name in self._in_order(end.ast) if end is not None else ():
                yield from self._behind(name, told, depth=1)

    @staticmethod
    def _is_plain(fact: Fact) -> bool:
        """A plain look-up by code: the sentence that names it has said it all."""
        narrowed = fact.where or fact.window or fact.limit or fact.measurement
        return fact.retrieved and not narrowed

    def _in_order(self, node: Node) -> list[str]:
        found = [one.name for one in walk(node) if isinstance(one, Variable) and one.name in self.policy.facts]
        return list(dict.fromkeys(found))

    def _closure(self, condition: Condition) -> set[str]:
        found: set[str] = set()
        waiting = [name for one in condition.expressions for name in one.reads]
        while waiting:
            name = waiting.pop()
            if name in self.policy.facts and name not in found:
                found.add(name)
                fact = self.policy.facts[name]
                waiting += fact.expression.reads if fact.expression is not None else ()
        return found

    def _readers(self, name: str) -> tuple[str, ...]:
        asked = [one.id for one in self.policy.criteria.values() if name in one.own_inputs]
        looked = [one.id for one in self.policy.documents.values() if name in one.inputs]
        read = [other for other, one in self._expressions() if name in one.reads]
        return tuple(dict.fromkeys((*read, *asked, *looked)))

    def readers_of_set(self, canonical: str) -> tuple[str, ...]:
        """What reads a value set: facts, the orders that are spoken of, whatever has a condition that names it."""
        ordered = [ORDERS] if canonical in self._ordered() else []
        filtered = [name for name, one in self.required.items() if one.value_set == canonical]
        named = [name for name, one in self._expressions() if canonical in one.value_sets]
        return tuple(dict.fromkeys((*ordered, *filtered, *named)))

    def _ordered(self) -> set[str]:
        return {
            one["valueSet"]
            for part in self.policy.resource["action"]
            for trigger in part.get("trigger", [])
            for data in trigger.get("data", [])
            for one in data.get("codeFilter", [])
        }

    def _expressions(self) -> Iterator[tuple[str, Expression]]:
        """Every expression of facts and conditions that decides something, with the id of what it belongs to."""
        fields = self._fields()
        for name, fact in self.policy.facts.items():
            qualifiers = [one for which, one in _qualifiers(fact) if which in fields]
            for one in (fact.expression, fact.where, *_ends(fact.window), *qualifiers):
                if one is not None:
                    yield name, one
        for name, conditions in self._conditioned():
            for condition in conditions:
                for expression in condition.expressions if condition is not None else ():
                    yield name, expression
        yield from self._wording()

    def _wording(self) -> Iterator[tuple[str, Expression]]:
        """Expressions that decide nothing but what is said or suggested."""
        policy = self.policy
        said = [(row.id, row.words) for row in policy.rows]
        said += [(exclusion.id, exclusion.words) for exclusion in policy.exclusions.values()]
        said += [(advice.id, advice.detail) for advice in policy.advice]
        for name, words in said:
            if isinstance(words, Expression):
                yield name, words
        for advice in policy.advice:
            for change in (change for action in advice.actions for change in action.changes):
                yield advice.id, change.expression

    def _fields(self) -> set[str]:
        """What is read of items: a qualifier of a shared fact may be none of it."""
        found = {name for fact in self.policy.facts.values() for name in fact.per}
        expressions = [one for fact in self.policy.facts.values() for one in (fact.expression, fact.where) if one]
        expressions += [one for _, one in self._wording()]
        for _, conditions in self._conditioned():
            expressions += [one for condition in conditions if condition for one in condition.expressions]
        for expression in expressions:
            found |= {one.name for one in walk(expression.ast) if isinstance(one, Member)}
        return found

    def _conditioned(self) -> Iterator[tuple[str, tuple[Condition | None, ...]]]:
        yield ORDERS, tuple(one.condition for one in self.policy.triggers)
        for criterion in self.policy.criteria.values():
            yield criterion.id, (criterion.applicability, criterion.start)
        for row in self.policy.rows:
            yield row.id, (row.condition,)
        for exclusion in self.policy.exclusions.values():
            yield exclusion.id, (exclusion.condition,)
        for document in self.policy.documents.values():
            yield document.id, (document.applicability, document.start)
        for advice in self.policy.advice:
            yield advice.id, (advice.condition,)

    # -- what a fact is, and what narrows it

    def _is(self, fact: Fact, required: Requirement, label: str) -> Detail:
        if fact.expression is None:
            if required.value_set is None:
                return _plain(label, f"every {fact.type} on record ({fact.name})")
            title = self.titles.get(required.value_set, required.value_set)
            where = f"with a {fact.code_path} of" if fact.code_path != "code" else "of"
            return _plain(label, f"every {fact.type} on record {where} ‘{title}’ ({fact.name})")
        if fact.type == "boolean":
            return Detail(label, self.speaker.condition(fact.expression.ast), fact.expression.text)
        return Detail(label, self.speaker.yielded(fact.expression.ast), fact.expression.text)

    def _narrowed(self, fact: Fact, required: Requirement) -> Iterator[Detail]:
        if fact.window is not None:
            yield Detail("window", Saying(self._window_words(fact.window)), _window_text(fact.window))
        if fact.where is not None:
            if required.selection_described:
                yield _plain("note", required.selection_described)
            yield Detail("counts", self._counted(fact.where.ast), fact.where.text)
        if fact.limit is not None:
            which = ("newest" if fact.descending else "oldest") if fact.sort_path else "first"
            number = f"the {which} one" if fact.limit == 1 else f"the {fact.limit} {which}"
            per = f" for each {' and '.join(fact.per)}" if fact.per else ""
            yield _plain("of these", f"{number}{per}")

    def _counted(self, where: Node) -> Saying:
        """True is evidence, not known is a candidate, false is nothing."""
        match where:
            case Empty():
                return Saying("not at all: every one is a candidate, to be asked about")
            case Call(name="iif", arguments=(asked, Empty(), otherwise)):
                candidate, evidence = self.speaker.condition(asked), self.speaker.condition(otherwise)
                plain = {"always": "else it counts", "never": "else it counts for nothing"}
                rest = plain.get(evidence.line, f"else it counts if {evidence.line}")
                return Saying(f"a candidate, to be asked about, if {candidate.line}; {rest}")
        saying = self.speaker.condition(where)
        return saying if saying.parts else Saying(f"if {saying.line}")

    def _window_words(self, window: Window) -> str:
        start, end = (None if one is None else self.speaker.value(one.ast) for one in (window.start, window.end))
        days = f"from {start or 'ever'} to {end or _OPEN_END}"
        return f"{days}, both days counted (by {window.path})"

    def _measured(self, measured: Measurement) -> Iterator[Detail]:
        unit = unit_words(measured.unit)
        plausible = f"plausible from {measured.low:f} to {measured.high:f} {unit}"
        yield _plain("read as", f"{measured.display} in {unit}; {plausible}, else it cannot be used")
        fields = self._fields()
        for name, expression in measured.qualifiers:
            if name not in fields:
                yield Detail(f"its {name}", Saying(NO_READER), expression.text)
                continue
            saying = self.speaker.value(expression.ast)
            # half of it in words would be harder to read than none
            yield Detail(f"its {name}", Saying(f"«{expression.text}»" if "«" in saying else saying), expression.text)


def _qualifiers(fact: Fact) -> tuple[tuple[str, Expression], ...]:
    return fact.measurement.qualifiers if fact.measurement is not None else ()


def _ends(window: Window | None) -> tuple[Expression | None, ...]:
    return () if window is None else (window.start, window.end)


def _window_text(window: Window) -> str:
    return " .. ".join("" if one is None else one.text for one in (window.start, window.end))


def _plain(label: str, words: str) -> Detail:
    return Detail(label, Saying(words))
