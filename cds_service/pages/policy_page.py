"""Policy -> Page: what an analyst compares with the payer's document, line by line. Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cds_service.fhir.fhirpath import Expression
from cds_service.fhir.fhirpath.syntax import Literal
from cds_service.pages.fact_nodes import FactNodes
from cds_service.pages.page import Detail, Page, PageNode, Saying, Section
from cds_service.pages.requirements import Requirement, code_lines, every_code, requirements, value_set_resources
from cds_service.pages.sayings import Speaker, Told, article
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.plan import AdviceItem, Condition, Criterion, Document, Exclusion, Outcome, Policy, Row

_READING = (
    "Each expression of the plan is given in words and, behind “=”, as it is written (FHIRPath; “…/” stands for the "
    "address of a value set). Words in «» are an expression that has no words here. “Not known” is an answer of its "
    "own: nothing on record shows it either way. What is said after “otherwise” holds also where the condition is not "
    "known, unless a look-up failed: then nothing is known. What may count, but is not known to, is a candidate: it "
    "leaves a criterion open and is shown with its question. A line marked “ours” is a choice of this service, not the "
    "payer's."
)
_TABLE = (
    "Read from the top: the first row whose condition holds answers, and one whose condition is not known ends the "
    "reading. A row that gives one of the two answers leaves the other to a later row."
)
_COVERED = {"covered": "covered", "not-covered": "not covered", "conditional": "covered under conditions"}
_NEEDED = {
    "auth-needed": "prior authorization needed",
    "no-auth": "no prior authorization needed",
    "conditional": "whether prior authorization is needed depends",
}
_KIND = {"clinical": "clinical documentation", "admin": "an administrative paper"}


def policy_page(policy: Policy, catalogue: Catalogue) -> Page:
    """One version of a policy as a page."""
    writer = _Writer.of(policy, catalogue)
    return Page(
        policy=policy.id,
        version=policy.version,
        title=policy.title,
        identity=tuple(_identity(policy, catalogue)),
        sections=tuple(one for one in writer.sections() if one.nodes or one.intro),
    )


def in_force_until(policy: Policy, catalogue: Catalogue) -> date | None:
    """The last day on which this version answers; None where no later version is held."""
    later = [one.start for one in catalogue.policies if one.url == policy.url and one.start > policy.start]
    return min(later) - timedelta(days=1) if later else None


def _identity(policy: Policy, catalogue: Catalogue) -> Iterator[Detail]:
    until = in_force_until(policy, catalogue)
    if policy.retired:
        in_force = f"ended: no longer in force from {policy.start} on"
    else:
        in_force = f"from {policy.start} {f'until {until}' if until else 'on; no later version is held'}"
    caution = next((one.get("textEquivalent") for one in policy.resource["action"] if one.get("trigger")), None)
    said = {
        "payer": policy.payer_name,
        "document": policy.source,
        "address of the document": policy.source_url,
        "policy": policy.id,
        "version": policy.version,
        "in force": in_force,
        "about": policy.resource.get("description"),
        "last reviewed": policy.resource.get("lastReviewDate"),
        "every card says": caution,
        "urgency": "every card is at least a warning" if policy.urgent else None,
        "questionnaire": policy.questionnaire,
        "shared library": ", ".join(policy.resource.get("library", [])),
        "plan": policy.where,
    }
    for label, words in said.items():
        if words:
            yield Detail(label, Saying(str(words)))


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the sections of one policy."""

    policy: Policy
    required: Mapping[str, Requirement]
    value_sets: Mapping[str, Mapping[str, Any]]
    speaker: Speaker
    facts: FactNodes

    @classmethod
    def of(cls, policy: Policy, catalogue: Catalogue) -> _Writer:
        required = requirements(policy, catalogue)
        value_sets = value_set_resources(catalogue)
        titles = {canonical: one.title for canonical, one in catalogue.value_sets.items()}
        verdicts: dict[str, str] = {}
        for part in (policy.criteria, policy.exclusions, policy.documents):
            verdicts |= {name: one.title for name, one in part.items()}
        phrases = {name: _phrase(name, policy, required[name], titles) for name in policy.facts if name in required}
        values = frozenset(name for name, fact in policy.facts.items() if fact.is_value)
        dates = frozenset(name for name in values if policy.facts[name].type in ("date", "dateTime", "instant"))
        speaker = Speaker(Told(phrases, values, dates, verdicts, titles))
        facts = FactNodes(policy, required, titles, speaker)
        return cls(policy, required, value_sets, speaker, facts)

    def sections(self) -> Iterator[Section]:
        policy = self.policy
        tree = self._criterion(policy.criteria[policy.root])
        beside = [one for one in policy.criteria.values() if one.parent is None and one.id != policy.root]
        yield Section("reading", "How we read the document", str(policy.resource.get("purpose", "")), ())
        yield Section("words", "How to read this page", _READING, ())
        yield Section("orders", "Orders it speaks of", "", tuple(self._orders()))
        yield Section(
            "authorization",
            "Authorization",
            _TABLE,
            tuple(self._row(number, row) for number, row in enumerate(policy.rows, 1)),
        )
        yield Section("criteria", "Criteria", "", (tree,))
        about = "In no group: these decide nothing by themselves." if beside else ""
        yield Section("beside", "Asked and shown beside the criteria", about, tuple(map(self._criterion, beside)))
        yield Section("exclusions", "Exclusions", "", tuple(map(self._exclusion, policy.exclusions.values())))
        yield Section("documents", "Documents", "", tuple(map(self._document, policy.documents.values())))
        yield Section("advice", "Notes and suggestions", "", tuple(map(self._advice, policy.advice)))
        yield Section("facts", "Facts", "", tuple(map(self.facts.node, policy.facts)))
        yield Section("value-sets", "Value sets", "", tuple(map(self._value_set, sorted(policy.value_sets))))

    # -- orders and the table

    def _orders(self) -> Iterator[PageNode]:
        data = [
            one
            for part in self.policy.resource["action"]
            for trigger in part.get("trigger", [])
            for one in trigger.get("data", [])
        ]
        kinds = [one["type"] for one in data]
        # one Trigger for each, in this order: see read_table.py
        for one, trigger in zip(data, self.policy.triggers, strict=True):
            kind, details = one["type"], tuple(self._condition("only where", trigger.condition))
            if not one.get("codeFilter"):
                yield PageNode(kind, f"{kind}, whatever its code", "", details)
                continue
            value_set = self.value_sets[one["codeFilter"][0]["valueSet"]]
            name = kind if kinds.count(kind) == 1 else f"{kind} {value_set['id']}"
            title = f"{kind} with a code of ‘{value_set['title']}’"
            yield PageNode(name, title, "", details, codes=code_lines(value_set))

    def _row(self, number: int, row: Row) -> PageNode:
        coded = dict(_coded_reasons(_action(self.policy.resource, row.id)))
        details = [*self._condition("when", row.condition)] if row.condition else [_plain("when", "in all other cases")]
        details += self._outcome("answer", row.gives, coded)
        if not row.criteria:
            details.append(_plain("short answer", "no criteria, documents or questionnaire are gone into"))
        details += self._words("says", row.words)
        if row.condition is not None:
            if row.unknown is not None:
                details += self._outcome("where not known", row.unknown, coded)
            else:
                details.append(_plain("where not known", "the table stops here, with what would settle the condition"))
        return PageNode(row.id, row.title, f"row {number}", tuple(details), row.citations)

    def _outcome(self, label: str, outcome: Outcome, coded: Mapping[str, str]) -> Iterator[Detail]:
        covered = _COVERED[outcome.covered] if outcome.covered else "coverage: left to a later row"
        needed = _NEEDED[outcome.pa_needed] if outcome.pa_needed else "authorization: left to a later row"
        yield _plain(label, f"{covered}; {needed}")
        if outcome.info_needed:
            yield _plain("missing", ", ".join(outcome.info_needed))
        for reason in outcome.reason:
            yield _plain("reason", f"{reason} [{coded[reason]}]" if reason in coded else reason)

    # -- criteria, exclusions, documents, advice

    def _criterion(self, one: Criterion) -> PageNode:
        details = [*self._condition("applies if", one.applicability)]
        if one.group:
            details += self._condition("and itself", one.start)
        elif one.start is not None:
            details += self._condition("met if", one.start)
        else:
            details.append(_plain("met if", "a clinician answers yes; nothing on record decides it"))
        shown = [name for name in one.own_inputs if name in self.policy.facts and not self._read_by(one, name)]
        for name in shown:
            details.append(self.facts.told(name, "shown beside the question"))
        if one.met_by:
            details.append(_plain("a card says", one.met_by))
        details += self._words("to mend on the order", one.hint)
        children = tuple(self._criterion(self.policy.criteria[child]) for child in one.children)
        kind = ("any of" if one.any else "all of") if one.group else ""
        return PageNode(one.id, one.title, kind, tuple(details), one.citations, children)

    @staticmethod
    def _read_by(one: Criterion, name: str) -> bool:
        conditions = [condition for condition in (one.applicability, one.start) if condition is not None]
        return any(name in expression.reads for condition in conditions for expression in condition.expressions)

    def _exclusion(self, one: Exclusion) -> PageNode:
        details = [*self._condition("excluded if", one.condition)]
        details += self._words("a card says", one.words)
        return PageNode(one.id, one.title, "", tuple(details), one.citations)

    def _document(self, one: Document) -> PageNode:
        asked = _KIND[one.kind] if one.kind else "nothing: a line on the order cures it"
        details = [_plain("if missing, asks for", asked)]
        if not one.counts:
            details.append(_plain("needed", "what the answer asks for does not depend on it"))
        details += self._condition("applies if", one.applicability)
        for name in one.inputs:
            details.append(self.facts.told(name, "looked for"))
        details += self._condition("also on file if", one.start)
        return PageNode(one.id, one.title, "", tuple(details), one.citations)

    def _advice(self, one: AdviceItem) -> PageNode:
        details = [*self._condition("given when", one.condition)] or [_plain("given when", "always")]
        details += self._words("says", one.detail)
        for action in one.actions:
            does = "changes the order" if action.kind == "update" else "adds an order"
            details.append(_plain("suggests", f"{action.label} ({does})"))
            for change in action.changes:
                what = "begins as" if change.path == "$this" else f"sets {change.path} to"
                details.append(Detail(what, Saying(self.speaker.value(change.expression.ast)), change.expression.text))
        return PageNode(one.id, one.title, "", tuple(details), one.citations)

    # -- conditions and words

    def _condition(self, label: str, condition: Condition | None) -> Iterator[Detail]:
        if condition is None:
            return
        for n, expression in enumerate(condition.expressions):
            yield Detail(f"and {label}" if n else label, self.speaker.condition(expression.ast), expression.text)
        yield from self.facts.behind(condition)

    def _words(self, label: str, words: str | Expression | None) -> Iterator[Detail]:
        if isinstance(words, Expression) and isinstance(words.ast, Literal):
            yield _plain(label, str(words.ast.value))
        elif isinstance(words, Expression):
            yield Detail(label, Saying(self.speaker.value(words.ast)), words.text)
        elif words:
            yield _plain(label, words)

    # -- value sets

    def _value_set(self, canonical: str) -> PageNode:
        resource = self.value_sets[canonical]
        details = [
            _plain(label, resource[element])
            for label, element in (("holds", "description"), ("source", "purpose"), ("notice", "copyright"))
            if resource.get(element)
        ]
        codes, every = code_lines(resource), every_code(resource)
        details.append(_plain("set version", resource["version"]))
        details.append(Detail("codes", Saying(str(len(every))), repeated=True))
        readers = self.facts.readers_of_set(canonical)
        details.append(Detail("read by", Saying(", ".join(readers)), repeated=True))
        # a plan may read two versions of one set
        twice = sum(one.startswith(f"{resource['url']}|") for one in self.policy.value_sets) > 1
        name = f"{resource['id']}|{resource['version']}" if twice else resource["id"]
        return PageNode(name, resource["title"], "", tuple(details), (), (), codes, every, readers)


def _phrase(name: str, policy: Policy, required: Requirement, titles: Mapping[str, str]) -> str:
    """A fact as a sentence names it: ``a Condition of ‘Asthma’ (asthma)``."""
    fact = policy.facts[name]
    if not fact.retrieved:
        return f"any {name}"
    kind = f"{article(fact.type)} {fact.type}"
    if required.value_set is None:
        return f"{kind} ({name})"
    return f"{kind} of ‘{titles.get(required.value_set, required.value_set)}’ ({name})"


def _action(resource: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The action of this id, wherever it stands."""
    for action in resource.get("action", []):
        found = action if action.get("id") == name else _action(action, name)
        if found:
            return dict(found)
    return {}


def _coded_reasons(element: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Text -> code of each reason of a row that bears a code."""
    for one in element.get("extension", []):
        reason = one.get("valueCodeableConcept", {})
        for coding in reason.get("coding", []):
            yield reason.get("text", ""), coding.get("code", "")
        yield from _coded_reasons(one)


def _plain(label: str, words: str) -> Detail:
    return Detail(label, Saying(words))
