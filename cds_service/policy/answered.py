"""A criterion that the chart was asked about, and the clinician's answer to it -> its verdict. Pure.

The newer of chart and answer counts, and a disagreement is said. An answer decides the criterion that it names and no
other; what does not count as one is shown beside it (docs/how-it-decides.md, Answers).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from cds_service.policy import asking, words
from cds_service.policy.answers import answered_words
from cds_service.policy.facts import Facts
from cds_service.policy.items import item_date
from cds_service.policy.model import Answer, Evidence, ExclusionVerdict, Status, UnusedAnswer, Verdict
from cds_service.policy.plan import Criterion

_DECIDED = (Status.MET, Status.NOT_MET)


def with_answer(facts: Facts, criterion: Criterion, chart: Verdict) -> Verdict:
    """The verdict of the chart, with what the clinician answered."""
    situation = facts.situation
    answer = situation.answers.get(criterion.id)
    beside = situation.answers_beside.get(criterion.id, ())
    if answer is not None and not criterion.reads_own_answer:
        why = _too_old(facts, criterion, answer)
        if why is None:
            chart = _weighed(facts, criterion, chart, answer)
        else:
            beside = (UnusedAnswer(f"{_said(answer, facts)}, {why}", answer.reference), *beside)
    elif answer is not None:
        chart = chart._replace(reason=words.with_answer(chart, answer, situation))
    return words.beside_answers(chart, beside) if beside else chart


def fired_by(answer: Answer, name: str, title: str) -> ExclusionVerdict:
    """An exclusion that a clinician says applies. One that says it does not takes back nothing that the chart shows."""
    said = answered_words(answer)
    evidence = (Evidence(answer.reference, said),) if answer.reference is not None else ()
    return ExclusionVerdict(name, title, "fired", f"{title} (the clinician {said})", evidence)


def _weighed(facts: Facts, criterion: Criterion, chart: Verdict, answer: Answer) -> Verdict:
    match answer.value:
        case "yes":
            status = Status.MET
        case "no":
            status = Status.NOT_MET
        case "disputed":
            status = Status.UNKNOWN
        case "dont-know":
            # it leaves open what is open, and takes nothing back
            open_still = chart.status is Status.UNKNOWN
            return chart._replace(reason=words.with_answer(chart, answer, facts.situation)) if open_still else chart
        case _:  # the code of a choice, which expressions read and which is no verdict by itself
            return chart
    said, day = _said(answer, facts), _day(answer, facts)
    source = Evidence(answer.reference, said) if answer.reference else None
    charted = _newest_evidence(facts, criterion) if chart.status in _DECIDED else None
    if charted is not None and charted > day:
        if chart.status is status:
            return chart
        return chart._replace(reason=f"{chart.reason} ({said} before)", conflicts=_with(chart.conflicts, source))
    if status is Status.UNKNOWN:
        return _disputed(criterion, chart, answer)
    verdict = _stated(chart, status, f"The clinician {said}: {criterion.title}", _with((), source), answer.against)
    if chart.status in _DECIDED and chart.status is not status:
        reason = f"{verdict.reason} (the chart says otherwise: {chart.reason})"
        return verdict._replace(reason=reason, conflicts=(*chart.evidence, *answer.against))
    return verdict


def _disputed(criterion: Criterion, chart: Verdict, answer: Answer) -> Verdict:
    named = "; ".join(f"{one.display} ({one.reference})" for one in answer.against)
    return _stated(chart, Status.UNKNOWN, f"Answers disagree: {criterion.title} ({named})", (), answer.against)


def _stated(
    chart: Verdict,
    status: Status,
    reason: str,
    evidence: tuple[Evidence, ...],
    conflicts: tuple[Evidence, ...],
) -> Verdict:
    return chart._replace(status=status, reason=reason, evidence=evidence, candidates=(), conflicts=conflicts)


def _too_old(facts: Facts, criterion: Criterion, answer: Answer) -> str | None:
    """Why an answer does not count: the criterion rests on values of a time that begins after it was given."""
    starts: list[date] = []
    for name in _facts_behind(facts, criterion):
        fact = facts.policy.facts[name]
        if fact.window is not None:
            start, _, known = facts.window_of(fact)
            if known and start is not None:
                starts.append(start.first_day)
    if starts and _day(answer, facts) < max(starts):
        return f"before {max(starts).isoformat()}, from when on values count"
    return None


def _facts_behind(facts: Facts, criterion: Criterion) -> Iterable[str]:
    """The item facts that a criterion rests on or is shown, and those that they are made from."""
    known = facts.policy.facts
    waiting = [*criterion.own_inputs, *(criterion.start.reach.items if criterion.start is not None else ())]
    found: dict[str, None] = {}
    while waiting:
        name = waiting.pop()
        if name in known and name not in found:
            found[name] = None
            waiting.extend(known[name].sources)
    return found


def _newest_evidence(facts: Facts, criterion: Criterion) -> date | None:
    condition = criterion.start
    plain = asking.truth(facts, condition)
    if condition is None or plain is None:
        return None
    items = asking.deciding(facts, condition, asking.held(facts, condition), plain)
    today = facts.situation.asked_at.date()
    # an order without a date is newer than nothing; what begins later was written by the day of the call
    days = [
        min(when.last_day, today)
        for item in items
        if (when := item_date(item)) is not None and when.first_day != date.max
    ]
    # what the order itself says is as new as the call
    return max(days) if days else (today if not items else None)


def _day(answer: Answer, facts: Facts) -> date:
    return answer.authored.date() if answer.authored else facts.situation.asked_at.date()


def _said(answer: Answer, facts: Facts) -> str:
    return f"answered {answer.value} on {_day(answer, facts).isoformat()}"


def _with(evidence: tuple[Evidence, ...], more: Evidence | None) -> tuple[Evidence, ...]:
    return evidence if more is None else (*evidence, more)
