"""Verdicts in words: what a person reads of an item, and why a criterion stands as it does. Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

from cds_service.fhir.codings import codings_of
from cds_service.fhir.dates import FhirDate
from cds_service.fhir.references import own_reference
from cds_service.policy.asking import Held
from cds_service.policy.facts import Facts
from cds_service.policy.items import (
    DocumentView,
    OrderLine,
    Reading,
    day_words,
    item_date,
    number_words,
    unit_words,
)
from cds_service.policy.model import Answer, Evidence, Situation, Status, UnusedAnswer, Verdict
from cds_service.policy.plan import Criterion, Document

_MOST_LISTED = 3
_THIS_ORDER = "this order"


def evidence(item: Any, situation: Situation) -> Evidence:
    """An item as evidence: where it stands, and value, unit and date as a person reads them."""
    if isinstance(item, Reading):
        return Evidence(own_reference(item.resource), f"{value_words(item)}{_dated(item)}", _context_words(item))
    if isinstance(item, DocumentView):
        name = concept_words(item.get("type")) or "document"
        return Evidence(item["reference"], f"{name}{_dated(item)}")
    if isinstance(item, OrderLine):
        return Evidence(
            item["reference"],
            f"{_ordered(item)}, {item.get('status', 'status not said')}{_from(item)}",
        )
    if isinstance(item, dict) and item.get("resourceType") == "Encounter":
        return Evidence(own_reference(item), _encounter_words(item))
    if isinstance(item, dict) and "resourceType" in item:
        name = concept_words(item.get("code") or item.get("type")) or item["resourceType"]
        return Evidence(own_reference(item), f"{name}{_dated(item)}")
    # a piece of the order itself: its reason, its words
    own = situation.line["reference"]
    if isinstance(item, dict):
        return Evidence(own, f"{concept_words(item) or 'coded'}, on {_THIS_ORDER}")
    return Evidence(own, f"{item}, on {_THIS_ORDER}")


def _ordered(line: OrderLine) -> str:
    """What an order is for, in words: its billing code, or (a drug, say) what it calls the thing."""
    code = line.get("code", {}).get("code")
    return f"{code} order" if code else line.get("conceptText") or concept_words({"coding": line["concept"]}) or "order"


def _from(line: OrderLine) -> str:
    # an order of the chart that gives no date of any kind is taken to begin last of all
    first = line.get("firstDay")
    return f", from {first.text}" if first is not None and first.first_day != date.max else ""


def context_evidence(names: Iterable[str], situation: Situation) -> tuple[Evidence, ...]:
    """What decided where no item of the chart did: the order at hand, the patient, the encounter, the requester."""
    found: list[Evidence] = []
    for name in names:
        if name in ("line", "order", "draftOrders"):
            found.append(Evidence(situation.line["reference"], _THIS_ORDER))
        elif name == "patient" and situation.record.patient is not None:
            born = situation.record.patient.get("birthDate")
            found.append(Evidence(own_reference(situation.record.patient), f"born {born}" if born else "patient"))
        elif name == "encounter" and situation.encounter is not None:
            found.append(Evidence(own_reference(situation.encounter), _encounter_words(situation.encounter)))
        elif name == "requester" and situation.requester is not None and situation.requester.get("reference"):
            roles = [concept_words(one) for one in situation.requester.get("role", ())]
            principal = "the patient's general practitioner" if situation.requester.get("generalPractitioner") else None
            said = ", ".join(one for one in roles if one) or principal or "no role recorded"
            found.append(Evidence(situation.requester["reference"], said))
        elif name == "performer" and situation.performer is not None:
            for network in situation.performer.get("network", ()):
                found.append(Evidence(network["reference"], network.get("name") or "network"))
    return tuple(dict.fromkeys(found))


def _encounter_words(encounter: Mapping[str, Any]) -> str:
    return f"encounter, class {encounter.get('class', {}).get('code', 'encounter')}"


def decided(criterion: Criterion, met: bool, items: list[Any], shown: tuple[Evidence, ...]) -> str:
    """Why a criterion is met or not: the values as a person reads them, then what was asked."""
    readings = [item for item in items if isinstance(item, Reading)]
    if readings:
        seen = "; ".join(reading_words(item) for item in readings[:_MOST_LISTED])
    else:
        seen = "; ".join(one.display for one in shown[:_MOST_LISTED])
    asked = criterion.met_by or criterion.title
    if met:
        return f"{seen}: {asked}" if seen else asked
    if criterion.hint and not items:
        return f"The order does not say this: {criterion.hint}"
    return f"{seen}: does not meet '{asked}'" if seen else f"Not so: {asked}"


def unknown(criterion: Criterion, facts: Facts, holds: Held, candidates: list[Any]) -> str:
    """What is missing, and what was found that does not settle it."""
    condition = criterion.start
    assert condition is not None
    parts = [_candidate_words(item) for item in candidates[:_MOST_LISTED]]
    gathered = [found for _, found in holds]
    if not parts:
        stale = sorted({id(item): item for one in gathered for item in one.stale}.values(), key=_newest_first)
        parts += [f"{_short(item, facts.situation)} is outside the time that counts" for item in stale[:2]]
    parts += list(dict.fromkeys(text for one in gathered for text in one.unusable))[:_MOST_LISTED]
    if facts.situation.not_looked_up:
        missing = {kind for name in condition.reach.items for kind in facts.policy.rests_on.get(name, ())}
        for kind in sorted(missing.intersection(facts.situation.not_looked_up)):
            parts.append(f"{kind} not looked up: {facts.situation.not_looked_up[kind]}")
    lead = "Not settled" if parts else "Not recorded"
    return f"{lead}: {criterion.title}" + (f" ({'; '.join(parts)})" if parts else "")


def answered_on(answer: Answer, situation: Situation) -> date:
    return answer.authored.date() if answer.authored else situation.asked_at.date()


def with_answer(chart: Verdict, answer: Answer, situation: Situation) -> str:
    """The reason of a criterion whose condition has read the clinician's answer, with the answer."""
    day = answered_on(answer, situation).isoformat()
    return f"{chart.reason} (answered {answer.value.replace('-', ' ')} on {day})"


def beside_answers(verdict: Verdict, beside: tuple[UnusedAnswer, ...]) -> Verdict:
    """A verdict with the answers that were found and do not count: candidates, as long as it is open."""
    said = "; ".join(one.said for one in beside[:_MOST_LISTED])
    reason = f"{verdict.reason} (not used: {said})" if verdict.reason else f"Not used: {said}"
    if verdict.status is not Status.UNKNOWN:
        return verdict._replace(reason=reason)
    more = tuple(Evidence(one.reference, one.said) for one in beside[:_MOST_LISTED] if one.reference is not None)
    return verdict._replace(reason=reason, candidates=tuple(dict.fromkeys((*verdict.candidates, *more))))


def of_verdicts(read: list[Verdict]) -> str | None:
    """Why a criterion that rests on others stands as it does: each of those that are decided, with its status."""
    said = [f"{one.title}: {_STATUS_WORDS[one.status]}" for one in read if one.status in _STATUS_WORDS]
    return "; ".join(said) or None


_STATUS_WORDS = {Status.MET: "met", Status.NOT_MET: "not met"}


def of_group(own: Verdict, below: Status, children: list[Verdict]) -> str | None:
    """The reason of a group that has a demand of its own: that of the demand, and which members go with it or lack."""
    if own.status is not Status.MET:
        return own.reason
    named = "; ".join(one.title for one in children if one.status is below)
    return f"{own.reason}; {_MEMBERS[below]}: {named}" if named else own.reason


_MEMBERS = {Status.MET: "with", Status.UNKNOWN: "still open", Status.NOT_MET: "lacking"}


def not_recorded(criterion: Criterion, candidates: tuple[Evidence, ...]) -> str:
    seen = "; ".join(one.display for one in candidates[:_MOST_LISTED])
    return f"Not recorded: {criterion.title}" + (f" (to judge: {seen})" if seen else "")


def does_not_apply(criterion: Criterion) -> str:
    return f"Does not apply: {criterion.title}"


def once_signed(shown: tuple[Evidence, ...], situation: Situation) -> tuple[Evidence, ...]:
    """A complete draft is its own prescription once it is signed."""
    own = situation.line["reference"]
    draft = situation.line.get("status", "draft") == "draft"
    words = "this order, once signed" if draft else _THIS_ORDER
    return tuple(dict.fromkeys(Evidence(own, words) if one.reference == own else one for one in shown))


class Beside(NamedTuple):
    """A document that was found and is not on file, and why."""

    reason: str
    evidence: Evidence


def not_in_time(document: Document, facts: Facts) -> Beside | None:
    """What was found of a document and is neither in time nor too old: undecided, dated too late, or not dated."""
    for name in document.inputs:
        gathered = facts.gathered(name)
        for item in gathered.candidates:
            when = item_date(item)
            vague = when is not None and when.first_day != when.last_day
            why = "the date does not say whether it is in time" if vague else "it is not settled whether it counts"
            return _beside(item, why, facts)
        for item in gathered.later:
            _, end, _ = facts.window_of(facts.policy.facts[name])
            last = f"{day_words(end)}, " if end is not None else ""
            return _beside(item, f"dated after {last}the last day that counts", facts)
    undated = [item for name in document.inputs for item in facts.gathered(name).stale]
    if undated and all(item_date(item) is None for item in undated):
        return _beside(undated[0], "not dated, so it is not known whether it is in time", facts)
    return None


def _beside(item: Any, why: str, facts: Facts) -> Beside:
    found = evidence(item, facts.situation)
    return Beside(f"{found.display}: {why}", found)


def no_document(document: Document, unread: frozenset[str], unusable: list[str], situation: Situation) -> str:
    if unread:
        return f"Not looked up: {'; '.join(dict.fromkeys(situation.not_looked_up[kind] for kind in sorted(unread)))}"
    return f"Not found: {document.title}{_not_used(unusable)}"


def not_used(holds: Held) -> str:
    """What a decided criterion could not use, behind its reason; empty where there is nothing."""
    return _not_used(text for _, found in holds for text in found.unusable)


def _not_used(unusable: Iterable[str]) -> str:
    texts = list(dict.fromkeys(unusable))[:_MOST_LISTED]
    return f" (not used: {'; '.join(texts)})" if texts else ""


def value_words(reading: Reading) -> str:
    value = reading["value"]
    text = f"{reading.display_name} {number_words(value.value)} {unit_words(value.unit)}"
    return f"{text} (sent as {reading.sent})" if reading.sent else text


def reading_words(reading: Reading) -> str:
    """`SpO2 87 % on 2026-11-02, at rest, on room air`."""
    when = reading.get("date")
    return ", ".join([value_words(reading) + (f" on {day_words(when)}" if when else ""), *_contexts(reading)])


def _contexts(reading: Reading) -> list[str]:
    return [value.replace("-", " ") for _, value in reading.qualifiers() if value]


def _silent(reading: Reading) -> str:
    silent = [name for name, value in reading.qualifiers() if value is None]
    return f"{' and '.join(silent)} not recorded" if silent else ""


def _context_words(reading: Reading) -> str:
    """`at rest, on room air`, `at rest; oxygen not recorded`: without it a value says more than the record does."""
    return "; ".join(one for one in (", ".join(_contexts(reading)), _silent(reading)) if one)


def _candidate_words(item: Any) -> str:
    if isinstance(item, Reading):
        return f"{reading_words(item)}; {_silent(item) or 'to be confirmed'}"
    if isinstance(item, dict):
        name = concept_words(item.get("code") or item.get("type") or item) or "an entry"
        return f"{name} is on record, which does not settle it by itself"
    return f"{item}"


def _short(item: Any, situation: Situation) -> str:
    return reading_words(item) if isinstance(item, Reading) else evidence(item, situation).display


def concept_words(concept: Any) -> str | None:
    """A concept as a person reads it: its text or display, with the code. Displays are shown, never matched."""
    if not isinstance(concept, dict):
        return None
    codings = codings_of(concept)
    text = concept.get("text") or next((one["display"] for one in codings if one.get("display")), None)
    code = next((one["code"] for one in codings if isinstance(one.get("code"), str)), None)
    if text and code and code not in str(text):
        return f"{text} ({code})"
    return str(text) if text else code


def _dated(item: Any) -> str:
    when = item_date(item)
    return f", {day_words(when)}" if when is not None else ""


def _newest_first(item: Any) -> tuple[int, str]:
    when = item_date(item)
    return (0, _reversed(when)) if isinstance(when, FhirDate) else (1, "")


def _reversed(when: FhirDate) -> str:
    # newest first by text: each digit mirrored, so that an ordinary sort puts later days in front
    return "".join(chr(ord("0") + 9 - int(one)) if one.isdigit() else one for one in day_words(when))
