"""Authorization rules, exclusions and documents -> one determination. Pure; knows nothing of hooks, cards or HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cds_service.fhir.codings import keys_of
from cds_service.fhir.fhirpath import Expression
from cds_service.policy.criteria import Verdicts, asked_about
from cds_service.policy.model import (
    Advice,
    Change,
    Determination,
    ExclusionVerdict,
    ReasonCoding,
    Situation,
    Status,
    Suggestion,
    Verdict,
)
from cds_service.policy.order_line import OrderLine
from cds_service.policy.plan import AdviceItem, Outcome, Policy, Row
from cds_service.policy.words import concept_words

_NO_ANSWER = Outcome(covered="conditional", pa_needed="conditional", info_needed=("OTH",))


def determine(policy: Policy, situation: Situation) -> Determination | None:
    """What `policy` says of the order line; None where it does not speak of it (no statement).

    The authorization table is read from the top until both `covered` and `paNeeded` are given; a condition that is
    unknown stops the walk (docs/how-it-decides.md). `no-auth` needs every fact it rests on to have been looked up.
    """
    verdicts = Verdicts(policy, situation)
    try:
        return _determine(policy, situation, verdicts) if _speaks(policy, situation, verdicts) else None
    finally:
        verdicts.release()


def _determine(policy: Policy, situation: Situation, verdicts: Verdicts) -> Determination:
    row, outcome, before = _walk(policy, situation, verdicts)
    judged = {name: verdicts.criterion(name) for name in policy.criteria} if row.criteria else {}
    asked = asked_about(policy, judged) if judged else frozenset()
    line = situation.line
    doc_needed = _doc_needed(outcome, bool(asked), verdicts, policy) if row.criteria else ()
    return Determination(
        policy=policy.canonical,
        policy_id=policy.id,
        policy_title=policy.title,
        source=policy.source,
        source_url=policy.source_url,
        payer_name=policy.payer_name,
        code=_code(line),
        item=_item_words(line),
        on_date=situation.order_date,
        covered=outcome.covered or "conditional",
        pa_needed=outcome.pa_needed or "conditional",
        authorization_rule=row.id,
        rule_title=row.title,
        rules_before=before,
        info_needed=outcome.info_needed,
        reason=outcome.reason,
        reason_codings={text: ReasonCoding(*coding) for text, coding in outcome.codings.items()},
        doc_needed=doc_needed,
        doc_purpose=_doc_purpose(verdicts, policy) if doc_needed else (),
        criteria=tuple(_marked(judged, asked, policy)),
        documents=tuple(verdicts.document(name) for name in policy.documents) if row.criteria else (),
        exclusions=tuple(_fired(policy, verdicts)) if row.criteria else (),
        advice=_advice(policy, verdicts, short=not row.criteria),
        questionnaire=_questionnaire(policy, asked, verdicts) if doc_needed else None,
        contact=policy.contact,
        urgent=policy.urgent,
        caution=policy.caution,
        faults=tuple(verdicts.facts.faults),
    )


def _marked(judged: dict[str, Verdict], asked: frozenset[str], policy: Policy) -> Iterator[Verdict]:
    """The verdicts in plan order, with those that are still asked about marked."""
    if not judged:
        return
    # what stands beside the tree is asked for as long as the root is open
    open_root = judged[policy.root].status is Status.UNKNOWN
    for name, one in judged.items():
        beside = open_root and one.parent is None and name != policy.root and not one.group
        if name in asked or (beside and one.status is Status.UNKNOWN):
            yield one._replace(asked=True)
        else:
            yield one


def _fired(policy: Policy, verdicts: Verdicts) -> Iterator[ExclusionVerdict]:
    return (one for name in policy.exclusions if (one := verdicts.exclusion(name)).status == "fired")


def _speaks(policy: Policy, situation: Situation, verdicts: Verdicts) -> bool:
    kind = situation.line.resource.get("resourceType")
    codes = frozenset(line_keys(situation.line))
    # three-valued: only *true* speaks
    return any(
        verdicts.truth(trigger.condition) is True
        for trigger in policy.triggers
        if trigger.resource_type == kind and (trigger.keys is None or not codes.isdisjoint(trigger.keys))
    )


def _code(line: OrderLine) -> str:
    if "code" in line:
        return str(line["code"]["code"])
    return next((str(one["code"]) for one in line["concept"] if one.get("code")), "")


def line_keys(line: Any) -> list[tuple[str, str]]:
    """The coding keys of an order line: its HCPCS code and every other coding of the same concept."""
    keys = [key for coding in line["concept"] for key in keys_of(coding)]
    if "code" in line:
        keys += keys_of(line["code"])
    return keys


def _walk(policy: Policy, situation: Situation, verdicts: Verdicts) -> tuple[Row, Outcome, tuple[str, ...]]:
    """The row that ends the walk, what the rows together give, and the rows above that gave a part of it."""
    before: list[str] = []
    covered: str | None = None
    pa_needed: str | None = None
    info: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    codings: dict[str, tuple[str, str]] = {}
    row = policy.rows[-1]
    for row in policy.rows:
        answer = verdicts.truth(row.condition)
        if answer is False:
            continue
        if (
            answer is True
            and row.gives.pa_needed == "no-auth"
            and situation.answers
            and _unread(row, policy, situation)
        ):
            answer = None  # what a clinician answers does not stand in for a chart that could not be read
        if answer is True:
            gives = row.gives
            said = _row_words(row, gives, verdicts)
        else:
            gives = row.unknown or _NO_ANSWER
            unread = _unread(row, policy, situation)
            if unread:
                # a failed look-up is not the payer's question: say what could not be read
                gives = replace(gives, info_needed=("OTH",), reason=())
            said = unread or gives.reason or (f"Not known: {row.title}",)
        covered = covered or gives.covered
        pa_needed = pa_needed or gives.pa_needed
        info += tuple(one for one in gives.info_needed if one not in info)
        reasons += tuple(one for one in said if one not in reasons)
        codings |= {text: coding for text, coding in gives.codings.items() if text in said}
        if answer is None or (covered is not None and pa_needed is not None):
            break
        before.append(row.id)
    return row, Outcome(covered, pa_needed, info, reasons, codings), tuple(before)


def _row_words(row: Row, gives: Outcome, verdicts: Verdicts) -> tuple[str, ...]:
    if gives.reason:
        return gives.reason
    if isinstance(row.words, Expression):
        return tuple(str(one) for one in verdicts.facts.evaluate(row.words))
    open_ended = "conditional" in (gives.covered, gives.pa_needed) or gives.covered == "not-covered"
    return (row.words or row.title,) if open_ended else ()


def _unread(row: Row, policy: Policy, situation: Situation) -> tuple[str, ...]:
    if row.condition is None or not situation.not_looked_up:
        return ()
    reach = row.condition.reach
    kinds = {kind for name in (*reach.items, *reach.values) for kind in policy.rests_on.get(name, ())}
    kinds |= {kind for name in reach.verdicts for kind in policy.verdicts_rest_on.get(name, ())}
    kinds.intersection_update(situation.not_looked_up)
    return tuple(f"{kind} could not be read: {situation.not_looked_up[kind]}" for kind in sorted(kinds))


def _doc_needed(outcome: Outcome, asked: bool, verdicts: Verdicts, policy: Policy) -> tuple[str, ...]:
    if outcome.pa_needed == "no-auth" or outcome.covered == "not-covered":
        return ()
    documents = [verdicts.document(name) for name in policy.documents]
    lacking = {one.kind for one in documents if one.counts and one.status not in ("on-file", "not-applicable")}
    clinical = asked or "clinical" in lacking
    return tuple(kind for kind, needed in (("clinical", clinical), ("admin", "admin" in lacking)) if needed)


def _questionnaire(policy: Policy, asked: frozenset[str], verdicts: Verdicts) -> str | None:
    """The policy's form, where it asks for something that is still open or takes a document that is lacking."""
    if policy.form is None:
        return None
    items = policy.form.items
    documents = (verdicts.document(name) for name in policy.documents if name in items)
    lacking = any(
        one.counts and one.kind is not None and one.status not in ("on-file", "not-applicable") for one in documents
    )
    return policy.questionnaire if lacking or not asked.isdisjoint(items.keys()) else None


def _doc_purpose(verdicts: Verdicts, policy: Policy) -> tuple[str, ...]:
    """What the documents that are lacking are for, as far as the plan says so of them."""
    found: dict[str, None] = {}
    for name, document in policy.documents.items():
        asked_for = document.counts and verdicts.document(name).status not in ("on-file", "not-applicable")
        found |= dict.fromkeys(document.purposes if asked_for else ())
    return tuple(found)


def _advice(policy: Policy, verdicts: Verdicts, short: bool) -> tuple[Advice, ...]:
    found = []
    for item in policy.advice:
        if short and item.condition is not None and item.condition.reach.verdicts:
            continue  # a short answer judges no criteria
        if short and not item.actions:
            continue
        if verdicts.truth(item.condition) is True:
            found.append(_advise(item, verdicts))
    return tuple(found)


def _advise(item: AdviceItem, verdicts: Verdicts) -> Advice:
    detail = item.detail
    if isinstance(detail, Expression):
        detail = " ".join(str(one) for one in verdicts.facts.evaluate(detail)) or None
    suggestions = []
    for action in item.actions:
        changes = []
        for change in action.changes:
            # `$this` says which order to begin with: the one at hand, which the caller holds
            values = [] if change.path == "$this" else verdicts.facts.evaluate(change.expression)
            changes.append(Change(change.path, tuple(dict.fromkeys(str(one) for one in values))))
        suggestions.append(Suggestion(action.id, action.label, action.kind, tuple(changes)))
    return Advice(item.id, item.title, detail, tuple(suggestions))


def _item_words(line: Any) -> str:
    stated = (line.resource.get(name) for name in ("codeCodeableConcept", "code", "medicationCodeableConcept"))
    text = concept_words(next((one for one in stated if one), None)) or line.get("conceptText")
    return text or line.get("code", {}).get("code", "order")
