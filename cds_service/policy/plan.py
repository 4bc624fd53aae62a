"""A policy as it is judged: one PlanDefinition version, compiled at load. Frozen; holds no patient and no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from cds_service.fhir.fhirpath import Expression
from cds_service.policy.form import Form
from cds_service.terminology.value_sets import Key


@dataclass(frozen=True, slots=True)
class Measurement:
    """How a value is read from an Observation: its unit, what is plausible, and how its contexts are recorded."""

    display: str
    unit: str
    low: Decimal
    high: Decimal
    qualifiers: tuple[tuple[str, Expression], ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Calendar days, inclusive at both ends. An end without an expression is open."""

    path: str
    start: Expression | None
    end: Expression | None


@dataclass(frozen=True, slots=True)
class Fact:
    """A named input: retrieved from the record (`keys`) or derived (`expression`).

    `is_value` facts hold one value (a date, a boolean); the others hold items, which become evidence or candidates.
    """

    name: str
    type: str
    is_value: bool
    code_path: str | None = None
    keys: frozenset[Key] | None = None
    value_set: str | None = None  # the set of these codes, url|version
    expression: Expression | None = None
    measurement: Measurement | None = None
    window: Window | None = None
    where: Expression | None = None
    per: tuple[str, ...] = ()
    sort_path: str | None = None
    descending: bool = True
    limit: int | None = None
    sources: tuple[str, ...] = ()  # the item facts that a derived fact reads
    behind: frozenset[str] = frozenset()  # of a value fact: the item facts it rests on, through other value facts

    @property
    def retrieved(self) -> bool:
        return self.expression is None


@dataclass(frozen=True, slots=True)
class Reach:
    """What a condition rests on: the value facts between it and its items, the items, other verdicts, the context."""

    values: frozenset[str] = frozenset()
    booleans: tuple[str, ...] = ()  # those of `values` that are booleans: what a candidate may turn
    items: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    context: tuple[str, ...] = ()  # %line, %patient, ...


@dataclass(frozen=True, slots=True)
class Condition:
    """Expressions joined by *and*, with all that they rest on.

    `settled` where they rest on facts alone: then `on_nothing` is the answer to a chart that holds none of them.
    """

    expressions: tuple[Expression, ...]
    reach: Reach
    settled: bool = False
    on_nothing: bool | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """Where in the payer's document it stands, or that it is ours."""

    label: str
    words: str | None
    ours: bool


@dataclass(frozen=True, slots=True)
class Criterion:
    """A node of the criteria tree. `start` None on a leaf: only a clinician's answer can decide it."""

    id: str
    title: str
    parent: str | None
    met_by: str | None  # what stands in the reason after the value
    hint: str | None
    applicability: Condition | None
    start: Condition | None
    always: bool  # neither it nor a group that it stands in has an applicability
    children: tuple[str, ...]
    any: bool
    own_inputs: tuple[str, ...]
    citations: tuple[Citation, ...]
    reads_own_answer: bool = False  # its conditions say what the clinician's answer to it means

    @property
    def group(self) -> bool:
        return bool(self.children)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a row of the authorization table gives; None where it leaves the field to a later row."""

    covered: str | None = None
    pa_needed: str | None = None
    info_needed: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()
    codings: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # reason -> (system, code), where it has one


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    title: str
    condition: Condition | None
    gives: Outcome
    unknown: Outcome | None
    criteria: bool
    words: str | Expression | None
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Exclusion:
    id: str
    title: str
    words: str | None
    condition: Condition
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Document:
    id: str
    title: str
    kind: Literal["clinical", "admin"] | None
    purposes: tuple[str, ...]  # CRD's DocReason
    counts: bool
    inputs: tuple[str, ...]
    applicability: Condition | None
    start: Condition | None
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class SuggestedChange:
    path: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class SuggestedAction:
    id: str
    label: str
    kind: Literal["update", "create"]
    changes: tuple[SuggestedChange, ...]


@dataclass(frozen=True, slots=True)
class AdviceItem:
    id: str
    title: str
    detail: str | Expression | None
    condition: Condition | None
    actions: tuple[SuggestedAction, ...]
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Trigger:
    """Which orders the policy speaks of: a resource type, codes, and a three-valued condition on the line."""

    resource_type: str
    keys: frozenset[Key] | None  # None: whatever its code, the condition alone says
    condition: Condition | None


_RESPONSES = frozenset({"QuestionnaireResponse"})


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of one payer's policy."""

    id: str
    url: str
    version: str
    title: str
    payer: str
    payer_name: str
    source: str
    source_url: str | None
    start: date
    retired: bool
    urgent: bool
    caution: str | None  # what every card of the policy says of it
    triggers: tuple[Trigger, ...]
    rows: tuple[Row, ...]
    criteria: Mapping[str, Criterion]  # in plan order; the first is the root
    exclusions: Mapping[str, Exclusion]
    documents: Mapping[str, Document]
    advice: tuple[AdviceItem, ...]
    facts: Mapping[str, Fact]
    questionnaire: str | None
    contact: tuple[Mapping[str, Any], ...]  # ContactDetails
    where: str
    resource: Mapping[str, Any] = field(repr=False, compare=False)
    # fact name -> resource types whose failed look-up leaves it empty (closed over derived facts)
    rests_on: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # (resource type, coded element) -> code -> the facts it counts for: one look per code of a chart, not per fact
    coded: Mapping[tuple[str, str], Mapping[Key, tuple[str, ...]]] = field(default_factory=dict, repr=False)
    # criterion, exclusion or document -> the same, through all that it reads
    verdicts_rest_on: Mapping[str, frozenset[str]] = field(default_factory=dict)
    value_sets: frozenset[str] = frozenset()  # canonicals, with version, of every set that it reads
    form: Form | None = None  # the questionnaire, as it is read
    elements: frozenset[str] = frozenset()  # every element that an expression names: nothing else is ever read

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}"

    @property
    def types_read(self) -> frozenset[str]:
        """The resource types that it reads of a chart: those behind its facts, and responses to its form."""
        kinds = frozenset(kind for kinds in self.rests_on.values() for kind in kinds) - _RESPONSES
        return kinds | _RESPONSES if self.form is not None else kinds

    @property
    def root(self) -> str:
        return next(iter(self.criteria))

    def expressions(self) -> Iterator[Expression]:
        """Every expression by which the policy judges: of its conditions, and of its facts and their filters."""
        conditions: list[Condition | None] = [row.condition for row in self.rows]
        for criterion in self.criteria.values():
            conditions += [criterion.applicability, criterion.start]
        conditions += [one.condition for one in self.exclusions.values()]
        for document in self.documents.values():
            conditions += [document.applicability, document.start]
        conditions += [one.condition for one in self.advice]
        yield from (expression for one in conditions if one is not None for expression in one.expressions)
        for fact in self.facts.values():
            yield from (one for one in (fact.expression, fact.where) if one is not None)
