"""The words of a determination: verdicts, documents, exclusions, advice. Plain values; no rules live here.

What is made by the dozen for every order (verdicts and their evidence) is a NamedTuple: as immutable as a frozen
dataclass, and made in a third of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from cds_service.fhir.record import Record
from cds_service.fhir.working_days import STANDARD_HOURS, BusinessHours
from cds_service.policy.order_line import OrderLine


class Status(StrEnum):
    """What the record says of a criterion. Missing data is UNKNOWN, never NOT_MET."""

    MET = "met"
    NOT_MET = "not-met"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


DocumentStatus = Literal["on-file", "missing", "expired", "unsigned", "not-applicable"]
ExclusionStatus = Literal["fired", "not-fired"]


class Evidence(NamedTuple):
    """A resource (reference as the caller can resolve it) and what a person reads of it: "SpO2 87 %, 2026-11-02".

    `context` is how a value was taken, and what of that is not recorded: "at rest; oxygen not recorded".
    """

    reference: str
    display: str
    context: str = ""


class Verdict(NamedTuple):
    """One criterion or group, judged.

    `asked` is true where the criterion is still open and can be put as a question: its id is then the question.
    `group` is true for a node with children. `parent` is None for the root and for criteria beside the tree.
    """

    id: str
    title: str
    status: Status
    parent: str | None = None
    reason: str | None = None
    evidence: tuple[Evidence, ...] = ()
    candidates: tuple[Evidence, ...] = ()
    conflicts: tuple[Evidence, ...] = ()
    asked: bool = False
    group: bool = False
    open_demand: bool = False  # a group whose own condition, beside its children, is still unknown
    may_not_apply: bool = False  # open because it is not known whether the question arises at all
    hint: str | None = None  # how to mend it on the order, where that is the cure


class DocumentVerdict(NamedTuple):
    """One document that the payer wants. `kind`: 'clinical', 'admin', or None where a line on the order cures it."""

    id: str
    title: str
    status: DocumentStatus
    kind: Literal["clinical", "admin"] | None = None
    counts: bool = True  # False: docNeeded does not depend on it
    reason: str | None = None
    evidence: tuple[Evidence, ...] = ()


class ExclusionVerdict(NamedTuple):
    id: str
    title: str
    status: ExclusionStatus
    reason: str | None = None
    evidence: tuple[Evidence, ...] = ()


class ReasonCoding(NamedTuple):
    """The code of a reason, for those who read no words."""

    system: str
    code: str


@dataclass(frozen=True, slots=True)
class Change:
    """One field of an order line set to these values, e.g. Change("modifier", ("RR",))."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change to the order at hand ('update') or an order like it to add ('create')."""

    id: str
    label: str
    kind: Literal["update", "create"]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """A note or suggestion that applies to this line."""

    id: str
    title: str
    detail: str | None = None
    suggestions: tuple[Suggestion, ...] = ()


@dataclass(frozen=True, slots=True)
class Determination:
    """What one policy says of one order line under one coverage.

    `covered`, `pa_needed`, `info_needed` and `doc_needed` are CRD codes. A determination with `criteria` empty is a
    short answer: the policy leaves the item to somebody else, or cannot tell which item is meant.
    """

    policy: str  # url|version
    policy_id: str
    policy_title: str
    source: str  # the payer's document, by its title
    source_url: str | None
    payer_name: str
    code: str
    item: str  # the order's item in words, for a card
    on_date: date
    covered: str
    pa_needed: str
    authorization_rule: str  # the row that ended the walk
    rule_title: str
    rules_before: tuple[str, ...] = ()  # rows above it that gave a part of the answer
    info_needed: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()
    reason_codings: Mapping[str, ReasonCoding] = field(default_factory=dict)  # by the reason that each belongs to
    doc_needed: tuple[str, ...] = ()
    doc_purpose: tuple[str, ...] = ()  # CRD's DocReason of the documents that are lacking
    criteria: tuple[Verdict, ...] = ()
    documents: tuple[DocumentVerdict, ...] = ()
    exclusions: tuple[ExclusionVerdict, ...] = ()  # those that fired
    advice: tuple[Advice, ...] = ()
    questionnaire: str | None = None
    satisfied_pa_id: str | None = None  # the authorization on file; only beside pa_needed 'satisfied'
    satisfied_period: tuple[date, date] | None = None  # from when until when it holds
    contact: tuple[Mapping[str, Any], ...] = ()  # ContactDetails: whom to ask about this policy
    urgent: bool = False
    caution: str | None = None  # of the policy as a whole; every card says it
    faults: tuple[str, ...] = ()  # ours, for the log: conditions that could not be worked out

    @property
    def root(self) -> Verdict | None:
        """The root of the criteria tree; None for a short answer."""
        return self.criteria[0] if self.criteria else None


@dataclass(frozen=True, slots=True)
class Answer:
    """A clinician's answer: yes, no or dont-know to a criterion's question, or the code of a choice.

    A choice (which of two kinds of monitoring) meets no criterion by itself: expressions read it. `disputed` is the
    value where answers of the same instant disagree: it decides nothing, whatever an older chart says.
    """

    value: str
    authored: datetime | None = None
    reference: str | None = None  # the QuestionnaireResponse it stands in
    against: tuple[Evidence, ...] = ()  # older answers that said otherwise; of a disputed one, those that disagree


class UnusedAnswer(NamedTuple):
    """An answer that was found and does not count, and why, in words that stand by themselves."""

    said: str
    reference: str | None = None  # None where nobody may be sent there: it is another patient's, say


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a determination may look at, for one order line under one coverage.

    `line` and `draft` are order-line views (see policy/order_line.py); `draft` holds the other lines of the draft.
    `coverage`, `requester` and `performer` are views as plan-format has them. `not_looked_up` names the resource types
    whose look-up failed or was not made: facts that rest on them are empty even where absence would otherwise count.
    """

    record: Record
    line: OrderLine
    order_date: date
    on_date: date
    asked_at: datetime
    draft: tuple[OrderLine, ...] = ()
    encounter: Mapping[str, Any] | None = None
    coverage: Mapping[str, Any] = field(default_factory=dict)
    requester: Mapping[str, Any] | None = None
    performer: Mapping[str, Any] | None = None
    business_hours: BusinessHours = STANDARD_HOURS
    answers: Mapping[str, Answer] = field(default_factory=dict)
    answers_beside: Mapping[str, tuple[UnusedAnswer, ...]] = field(default_factory=dict)  # found, and do not count
    not_looked_up: Mapping[str, str] = field(default_factory=dict)  # resource type -> why, in words
    stubs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # facts given by a policy case
