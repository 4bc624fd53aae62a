"""Policy -> Page: what an analyst compares with the payer's document, line by line. Pure; decides nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cds_service.fhir.fhirpath import Expression
from cds_service.fhir.fhirpath.syntax import Literal
from cds_service.pages import questions
from cds_service.pages.fact_nodes import ORDERS, FactNodes
from cds_service.pages.page import NOTICE, Detail, Page, PageNode, Saying, Section
from cds_service.pages.requirements import Requirement, code_lines, every_code, requirements, value_set_resources
from cds_service.pages.sayings import Speaker, Told, article, listed
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.plan import AdviceItem, Condition, Criterion, Document, Exclusion, Outcome, Policy, Row

_READING = (
    "Each expression of the plan is given in words; --expressions shows below them, behind “=”, how it is written. "
    "What has no words stands in «» as it is written (FHIRPath; “…/” stands for the address of a value set). A fact (a "
    "name like lastVisit) is told in full where it is first read, and by its name afterwards.\n"
    "“Not known” is an answer of its own: nothing on record shows it either way. What is said after “otherwise” or "
    "“unless” holds also where the condition is not known, except where a look-up failed: then nothing is known. What "
    "may count, but is not known to, is a candidate: it leaves a criterion open and is shown with its question.\n"
    "A line marked “ours” is a choice of this service, not the payer's."
)
_TABLE = (
    "Read from the top: the first row whose condition holds answers, and one whose condition is not known ends the "
    "reading. A row that gives one of the two answers leaves the other to a later row."
)
_SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z])")
_COVERED = {"covered": "covered", "not-covered": "not covered", "conditional": "covered under conditions"}
_NEEDED = {
    "auth-needed": "prior authorization needed",
    "no-auth": "no prior authorization needed",
    "conditional": "whether prior authorization is needed depends",
}
# information that an answer lacks, by its code in CRD
_MISSING = {
    "performer": "who carries the order out (performer)",
    "location": "where it is carried out (location)",
    "timeframe": "when, or for how long (timeframe)",
    "contract-window": "the time for which a contract holds (contract-window)",
    "detail-code": "what exactly is ordered (detail-code)",
    "OTH": "what the words say (OTH)",
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
        yield Section("headings", "Where the document is used", "\n".join(self._headings()), ())
        yield Section("orders", "Orders it speaks of", "", tuple(self._orders()))
        yield Section(
            "authorization",
            "Authorization",
            self._about("authorization", _TABLE),
            tuple(self._row(number, row) for number, row in enumerate(policy.rows, 1)),
        )
        yield Section("criteria", "Criteria", self._about("criteria"), (tree,))
        about = "In no group: these decide nothing by themselves." if beside else ""
        yield Section("beside", "Asked and shown beside the criteria", about, tuple(map(self._criterion, beside)))
        about = self._about("exclusions")
        yield Section("exclusions", "Exclusions", about, tuple(map(self._exclusion, policy.exclusions.values())))
        about = self._about("documents")
        yield Section("documents", "Documents", about, tuple(map(self._document, policy.documents.values())))
        about = self._about("advice")
        yield Section("advice", "Notes and suggestions", about, tuple(map(self._advice, policy.advice)))
        if policy.form is not None:
            yield Section("questions", "Questionnaire", questions.ABOUT, tuple(questions.question_nodes(policy.form)))
        yield Section("facts", "Facts", "", tuple(map(self.facts.node, policy.facts)))
        sets = tuple(map(self._value_set, sorted(policy.value_sets)))
        yield Section("value-sets", "Value sets", "\n".join(_notices(sets)), sets)

    def _about(self, part: str, words: str = "") -> str:
        """What opens a part of the page: how it is read, and what the plan cites for the whole of it."""
        cited = [
            one["label"] + (f": {one['citation']}" if one.get("citation") else "")
            for action in self.policy.resource["action"]
            if part in (coding["code"] for concept in action["code"] for coding in concept["coding"])
            for one in action.get("documentation", [])
        ]
        sources = [one if one.startswith("ours:") else f"source: {one}" for one in cited]
        return "\n".join((*sources, *([words] if words else [])))

    def _headings(self) -> Iterator[str]:
        """Each heading of the document with what cites it, so that one that nothing cites is seen to be missing."""
        policy = self.policy
        cited: dict[str, dict[str, None]] = {}
        for action in policy.resource["action"]:
            for one in action.get("documentation", []):
                if not one["label"].startswith("ours:"):
                    cited.setdefault(one["label"], {})[action["id"]] = None
        parts = (policy.criteria, policy.exclusions, policy.documents)
        for told in (*policy.rows, *(node for part in parts for node in part.values()), *policy.advice):
            for citation in told.citations:
                if not citation.ours:
                    cited.setdefault(citation.label, {})[told.id] = None
        for label in sorted(cited, key=_by_number):
            yield f"- {label}: {', '.join(cited[label])}"

    # -- orders and the table

    def _orders(self) -> Iterator[PageNode]:
        """Of several resource types the same is told once."""
        triggers = [one for part in self.policy.resource["action"] for one in part.get("trigger", [])]
        data = [(trigger, one) for trigger in triggers for one in trigger.get("data", [])]
        types: dict[tuple[str | None, tuple[Detail, ...]], list[str]] = {}
        # one Trigger for each, in this order: see read_table.py
        for (trigger, one), read in zip(data, self.policy.triggers, strict=True):
            meant = trigger.get("condition", {}).get("description")
            details = (*self._words("in words", meant), *self._condition("only where", read.condition))
            filtered = one["codeFilter"][0]["valueSet"] if one.get("codeFilter") else None
            types.setdefault((filtered, details), []).append(one["type"])
        kinds = [listed(list(dict.fromkeys(each)), "or") for each in types.values()]
        for kind, (filtered, details) in zip(kinds, types, strict=True):
            value_set = self.value_sets[filtered] if filtered else None
            which = f"with a code of ‘{value_set['title']}’" if value_set else "whatever its code"
            # a name that outlives another value set, so that versions can be compared
            name = ORDERS if len(kinds) == 1 else kind
            if kinds.count(kind) > 1:
                name = f"{kind}, {value_set['id'] if value_set else 'any code'}"
            yield PageNode(name, f"{kind}, {which}", "", details, codes=code_lines(value_set) if value_set else ())

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
            yield _plain("missing", ", ".join(_MISSING[one] for one in outcome.info_needed))
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
            yield Detail(label, self.speaker.yielded(words.ast), words.text)
        elif words:
            yield _plain(label, words)

    # -- value sets

    def _value_set(self, canonical: str) -> PageNode:
        resource = self.value_sets[canonical]
        details = [
            _plain(label, resource[element])
            for label, element in (("holds", "description"), ("source", "purpose"), (NOTICE, "copyright"))
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


def _by_number(label: str) -> list[tuple[int, int, str]]:
    """Headings in the order of their numbers, 2 before 10."""
    return [(0, int(one), "") if one.isdigit() else (1, 0, one) for one in re.findall(r"\d+|\D+", label)]


def _notices(sets: Iterable[PageNode]) -> list[str]:
    """Each sentence of the notices once."""
    told = [one.saying.line for node in sets for one in node.details if one.label == NOTICE]
    return list(dict.fromkeys(sentence for words in told for sentence in _SENTENCE_END.split(words)))


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
