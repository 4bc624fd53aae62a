"""Several responses to one form -> what counts as the clinician's answer to each question. Pure; judges no criterion.

Per question the newest answer counts, and those of the same instant have to agree. An answer counts for the order and
the coverage that its response names, and for 90 days; whatever does not count is said beside the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from cds_service.fhir.dates import FhirDate
from cds_service.policy.form import Form
from cds_service.policy.model import Answer, Evidence, UnusedAnswer
from cds_service.policy.response_items import is_document
from cds_service.policy.responses import Response

# An answer says how things were when it was given: before the order date by more days than this, it is asked again
ANSWER_DAYS = 90


@dataclass(frozen=True, slots=True)
class Unread:
    """A response that is no evidence: the questions that it speaks to, and why it does not count.

    `doubts`: it was finished, and might say the opposite of an older one.
    """

    said: str
    touches: frozenset[str]
    reference: str | None = None
    authored: FhirDate | None = None
    doubts: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """The order line that is judged: its reference, its coverage, the assertion id that both go by, the order date."""

    order: str
    coverage: str
    context: str | None
    order_date: date


@dataclass(frozen=True, slots=True)
class Weighed:
    """What counts of all responses, what was found beside it, and why it may not be all, where that is so."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    beside: Mapping[str, tuple[UnusedAnswer, ...]] = field(default_factory=dict)
    unsure: str | None = None


NOTHING_ANSWERED = Weighed()


def weigh(responses: Sequence[Response], unread: Sequence[Unread], about: About) -> Weighed:
    """What the responses to one form come to for one order line."""
    if not responses and not unread:
        return NOTHING_ANSWERED
    refused = {id(one): why for one in responses if (why := _why_not(one, about)) is not None}
    questions = dict.fromkeys(name for one in responses for name in one.answers)
    questions |= dict.fromkeys(name for one in unread for name in sorted(one.touches))
    answers: dict[str, Answer] = {}
    beside: dict[str, tuple[UnusedAnswer, ...]] = {}
    unsure: str | None = None
    for name in questions:
        given = [one for one in responses if name in one.answers]
        counting = [one for one in given if id(one) not in refused]
        newest = [one for one in counting if not any(_later(other.authored, one.authored) for other in counting)]
        said = [_unused(one, name, refused[id(one)]) for one in given if id(one) in refused]
        doubts = [one for one in unread if name in one.touches and one.doubts and not _overtaken(one, newest)]
        said += [UnusedAnswer(one.said, one.reference) for one in unread if name in one.touches]
        if doubts:
            unsure = unsure or doubts[0].said
            said += [_unused(one, name, "a response that cannot be used may be newer") for one in newest]
        elif newest:
            answers[name] = _agreed(newest, counting, name)
            if answers[name].value == "disputed":
                unsure = unsure or "answers of the same time disagree"
        if said:
            beside[name] = tuple(dict.fromkeys(said))
    return Weighed(answers, beside, unsure)


def questions_of(form: Form) -> frozenset[str]:
    """The items of a form whose answers are read: its choices, and the documents that it takes."""
    return frozenset(
        name
        for name, item in form.items.items()
        if (item.type in ("boolean", "choice", "open-choice") and not name.startswith("form.")) or is_document(item)
    )


def answered_words(answer: Answer) -> str:
    """`answered yes on 2026-11-22`."""
    day = f" on {answer.authored.date().isoformat()}" if answer.authored is not None else ""
    return f"answered {answer.value.replace('-', ' ') if answer.value == 'dont-know' else answer.value}{day}"


def _why_not(response: Response, about: About) -> str | None:
    if response.orders or response.context is not None:
        same = about.order in response.orders or (about.context is not None and response.context == about.context)
        if not same:
            named = ", ".join(sorted(response.orders)) or "under another assertion id"
            return f"for another order ({named})"
    if response.coverages and about.coverage.startswith("Coverage/") and about.coverage not in response.coverages:
        return f"under another coverage ({', '.join(sorted(response.coverages))})"
    if response.authored.last_day < about.order_date - timedelta(days=ANSWER_DAYS):
        return f"more than {ANSWER_DAYS} days before the order date, so it is asked again"
    return None


def _later(one: FhirDate, other: FhirDate) -> bool:
    """Whether `one` is plainly later: of a day and an instant in it nobody can say."""
    return one.compare(other) == 1


def _overtaken(unread: Unread, newest: Iterable[Response]) -> bool:
    return unread.authored is not None and any(_later(one.authored, unread.authored) for one in newest)


def _unused(response: Response, name: str, why: str) -> UnusedAnswer:
    return UnusedAnswer(f"{answered_words(response.answers[name])}, {why}", response.reference)


def _agreed(newest: Sequence[Response], counting: Sequence[Response], name: str) -> Answer:
    """The answer that the newest responses agree on; else that they dispute it."""
    found = newest[0].answers[name]
    values = {one.answers[name].value for one in newest}
    if len(values) > 1:
        against = tuple(_evidence(one.answers[name]) for one in newest)
        return Answer("disputed", found.authored, found.reference, against)
    others = [one.answers[name] for one in counting if one not in newest]
    against = tuple(_evidence(one) for one in others if one.value not in (found.value, "dont-know"))
    # who does not know speaks against nothing
    return Answer(found.value, found.authored, found.reference, against if found.value != "dont-know" else ())


def _evidence(answer: Answer) -> Evidence:
    return Evidence(answer.reference or "QuestionnaireResponse", answered_words(answer))
