"""Prior authorizations on file: is this order authorized already? Pure. Where anything is not plain, it is not.

Read are answers of the payer to a request for authorization: ClaimResponse and ExplanationOfBenefit, as FHIR R4, Da
Vinci PAS and PDex write them. One counts only if it is the payer's, for this item with its modifiers, in time,
complete, certified in total, under a number, and no later answer says otherwise. Of any other that is about this item
the reason is said why it does not count: a doubt never becomes `satisfied`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from cds_service.crd.authorization_terms import Terms, difference, is_bound, terms_of, unsaid
from cds_service.crd.coverage import OrderCoverage, is_payer_of
from cds_service.crd.memory import LONGEST_ID, Assertion, Authorization, modifiers_of
from cds_service.crd.orders import DraftLine
from cds_service.crd.pas import guides_value, is_of_guides, value_of
from cds_service.fhir.codings import CodingKey, codings_of, hcpcs_code, keys_of, split_hcpcs
from cds_service.fhir.dates import FhirDate, parse_date, within
from cds_service.fhir.record import Record
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference, reference_key
from cds_service.policy.determination import line_keys

Resource = Mapping[str, Any]

ANSWERS = ("ClaimResponse", "ExplanationOfBenefit")
# X12 005010, element 306, as the examples of PAS use it: certified in total
_REVIEW_ACTIONS, _CERTIFIED = "https://codesystem.x12.org/005010/306", "A1"
_CODE = re.compile(r"[a-z-]{1,20}")


@dataclass(frozen=True, slots=True)
class OnFile:
    """The authorization that satisfies, or why what is on file does not, in words."""

    authorization: Authorization | None = None
    doubts: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()  # what could not be held against the order, for one of the two does not say it
    bound: bool = False  # to a provider or quantity: it is looked at anew each time, and not remembered


@dataclass(frozen=True, slots=True)
class Asked:
    """An order under a coverage, for which an authorization is looked for, on the day of the call.

    `alone`: no other coverage of the same payer is answered for this order. `looked_up`: the resource types that the
    call holds as far as the chart does; `cut_off` are those of which a part is missing, and why. `sent` is the order
    with the performer to whom it goes, if the call says one.
    """

    line: DraftLine
    coverage: OrderCoverage
    on_date: date
    alone: bool = True
    looked_up: frozenset[str] = frozenset()
    cut_off: Mapping[str, str] = field(default_factory=dict)
    sent: Resource | None = None

    @property
    def order(self) -> Resource:
        return self.sent if self.sent is not None else self.line.order.resource


def on_file(asked: Asked, record: Record, earlier: Assertion | None) -> OnFile:
    """What the chart holds; where it was not asked about authorizations, what an earlier answer found there."""
    answers = [
        one
        for kind in ANSWERS
        for one in record.of_type(kind)
        # what was entered in error never was; a draft is not the payer's yet
        if one.get("use") == "preauthorization" and one.get("status") not in ("entered-in-error", "draft")
    ]
    items = [item for one in answers for item in _items(one, record)]
    doubts: list[str] = []
    counting: list[OnFile] = []
    for item in items:
        if item.is_about(asked.line) is False or _is_of_others(item, asked, record):
            continue
        found = _judged(item, asked, record)
        doubt = found if isinstance(found, str) else _without_the_rest(item, asked)
        if doubt is None and isinstance(found, Authorization):
            doubt = _contradicted(item, found, items, asked, record)
        if doubt is None and isinstance(found, Authorization):
            terms = _terms(item)
            open_still = unsaid(terms, asked.order, record)
            counting.append(OnFile(found, unsaid=open_still, bound=is_bound(terms, asked.order)))
        elif doubt:
            doubts.append(f"{item.reference} on record is not taken as an authorization: {doubt}.")
    if counting:
        return max(counting, key=_end)
    if not answers and earlier is not None:
        return OnFile(_remembered(asked, earlier))
    return OnFile(doubts=tuple(dict.fromkeys(doubts)))


def _end(found: OnFile) -> date:
    return found.authorization.end if found.authorization is not None else date.min


def _remembered(asked: Asked, earlier: Assertion) -> Authorization | None:
    """The authorization of an earlier answer about this order. Who asks has seen to patient and payer."""
    line = asked.line.line
    for decision in earlier.decisions:
        found = decision.authorization
        if found is not None and found.reference.split("/")[0] in asked.looked_up:
            continue  # what the chart held then it does not hold any more
        same = ("code" in line and decision.code == line["code"]["code"]) and decision.modifiers == modifiers_of(line)
        if found is not None and same and _out_of_time(found.start, found.end, asked) is None:
            return found
    return None


# -- one item of an answer --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Detail:
    """A product or service with its modifiers."""

    keys: frozenset[CodingKey]
    modifiers: frozenset[str]
    is_range: bool = False


@dataclass(frozen=True, slots=True)
class _Item:
    """One item of a payer's answer: `detail` is what was authorized, as far as the answer or its request say."""

    answer: Resource
    item: Resource
    claim: Resource | None
    detail: _Detail | None

    @property
    def reference(self) -> str:
        return own_reference(self.answer)

    def is_about(self, line: DraftLine) -> bool | None:
        """Whether it is the item of the order; None where it does not say what it is about."""
        if self.detail is None or not self.detail.keys:
            return None
        return not self.detail.keys.isdisjoint(line_keys(line.line))

    def number(self) -> str | None:
        action = self._review_action()
        number = value_of(action, "number", "valueString") if action is not None else None
        given = number if number is not None else self.answer.get("preAuthRef")
        if isinstance(given, list):
            given = given[0] if len(given) == 1 else None
        number = given.strip() if isinstance(given, str) else ""
        return number if 0 < len(number) <= LONGEST_ID and number.isprintable() else None

    def action(self) -> str | None:
        action = self._review_action()
        concept = guides_value(action, "extension-reviewActionCode", "valueCodeableConcept") if action else None
        codes = {one.get("code") for one in codings_of(concept) if one.get("system") == _REVIEW_ACTIONS}
        return str(codes.pop()) if len(codes) == 1 else None

    def _review_action(self) -> Mapping[str, Any] | None:
        """The item's own, else that of the whole answer; None where there is none, or more than one."""
        for holder in (self.item, self.answer):
            held = [one for part in objects_in(holder.get("adjudication")) for one in _review_actions(part)]
            if held:
                return held[0] if len(held) == 1 else None
        return None

    def period(self) -> tuple[FhirDate | None, FhirDate | None]:
        held = guides_value(self.item, "extension-itemPreAuthPeriod", "valuePeriod")
        if held is None:
            held = self.answer.get("preAuthPeriod")
        if held is None:
            periods = self.answer.get("preAuthRefPeriod")
            held = periods[0] if isinstance(periods, list) and len(periods) == 1 else None
        period = held if isinstance(held, dict) else {}
        start, end = (parse_date(one) if isinstance(one, str) else None for one in map(period.get, ("start", "end")))
        return start, end

    def coverages(self) -> set[str]:
        """The coverages that the answer, or its request, was made under."""
        for holder in (self.answer, self.claim or {}):
            insurance = objects_in(holder.get("insurance"))
            focal = [one for one in insurance if one.get("focal") is True] or insurance
            texts = (literal_reference(one.get("coverage")) for one in focal)
            found = {reference_key(one) or one for one in texts if one is not None}
            if found:
                return found
        return set()

    def not_understood(self) -> bool:
        """FHIR R4, modifierExtension: what is not understood there may turn everything round."""
        claim_items = objects_in(self.claim.get("item")) if self.claim is not None else []
        return any("modifierExtension" in one for one in (self.answer, self.item, self.claim or {}, *claim_items))


def _terms(item: _Item) -> Terms:
    return terms_of(item.answer, item.item, _request_of(item.item, item.claim))


def _items(answer: Resource, record: Record) -> Iterator[_Item]:
    request = record.resolve(answer.get("request") or answer.get("claim"), within=answer)
    claim = request if request is not None and request.get("resourceType") == "Claim" else None
    for item in objects_in(answer.get("item")):
        yield _Item(answer, item, claim, _authorized(item) or _product(item) or _requested(item, claim))
    for item in objects_in(answer.get("addItem")):
        yield _Item(answer, item, claim, _authorized(item) or _product(item))
    if not answer.get("item") and not answer.get("addItem"):
        yield _Item(answer, {}, claim, None)  # it may still take the force of another answer


def _authorized(item: Resource) -> _Detail | None:
    """PAS: what was authorized, where that is told apart from what was asked for."""
    held = [one for one in objects_in(item.get("extension")) if is_of_guides(one, "extension-itemAuthorizedDetail")]
    if len(held) != 1:
        return None
    concept = value_of(held[0], "productOrServiceCode", "valueCodeableConcept")
    parts = objects_in(held[0].get("extension"))
    modifiers = [one.get("valueCodeableConcept") for one in parts if one.get("url") == "modifier"]
    is_range = any(str(one.get("url")).endswith("productOrServiceCodeEnd") for one in parts)
    return _detail(concept, modifiers, is_range)


def _product(item: Resource) -> _Detail | None:
    is_range = any(str(one.get("url")).endswith("productOrServiceCodeEnd") for one in objects_in(item.get("extension")))
    return _detail(item.get("productOrService"), item.get("modifier"), is_range)


def _requested(item: Resource, claim: Resource | None) -> _Detail | None:
    """What the item of the request is for that this one answers."""
    asked = _request_of(item, claim)
    return _product(asked) if asked is not None else None


def _request_of(item: Resource, claim: Resource | None) -> Resource | None:
    sequence = item.get("itemSequence")
    asked = [one for one in objects_in((claim or {}).get("item")) if one.get("sequence") == sequence]
    return asked[0] if sequence is not None and len(asked) == 1 else None


def _detail(concept: object, modifiers: object, is_range: bool) -> _Detail | None:
    codings = codings_of(concept)
    if not codings:
        return None
    keys: set[CodingKey] = set()
    found = {str(one["code"]).strip().upper() for one in map(dict, _codings(modifiers)) if one.get("code")}
    for coding in codings:
        code = hcpcs_code(coding)
        if code is not None:
            plain, glued = split_hcpcs(code)
            keys.update(keys_of({**coding, "code": plain}))
            found.update(glued)
        else:
            keys.update(keys_of(coding))
    return _Detail(frozenset(keys), frozenset(found), is_range)


def _codings(concepts: object) -> list[Mapping[str, Any]]:
    return [coding for one in (concepts if isinstance(concepts, list) else ()) for coding in codings_of(one)]


def _review_actions(adjudication: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    held = objects_in(adjudication.get("extension"))
    return [one for one in held if is_of_guides(one, "extension-reviewAction")]


# -- does it count? ---------------------------------------------------------------------------------------


def _is_of_others(item: _Item, asked: Asked, record: Record) -> bool:
    """Another payer's authorization says nothing of this one's."""
    return is_payer_of(asked.coverage, item.answer.get("insurer"), item.answer, record) is False


def _judged(item: _Item, asked: Asked, record: Record) -> Authorization | str:
    """The authorization that an item is, or why it is none that counts: the first thing that is not plain."""
    answer, detail = item.answer, item.detail
    number, action = item.number(), item.action()
    if is_payer_of(asked.coverage, answer.get("insurer"), answer, record) is None:
        return "its insurer could not be read"
    if answer.get("status") != "active":
        return f"it is not active ({_shown(answer.get('status'))})"
    if answer.get("outcome") != "complete":
        return f"its outcome is not complete ({_shown(answer.get('outcome'))})"
    if detail is None or not detail.keys or detail.is_range:
        return "it does not say plainly for which item it is"
    if action != _CERTIFIED:
        return "it does not say that the item was certified in total"
    if item.not_understood():
        return "it carries an extension that could turn its meaning round"
    if detail.modifiers != frozenset(modifiers_of(asked.line.line)):
        return f"its modifiers are not those of the order ({' '.join(sorted(detail.modifiers)) or 'none'})"
    under = item.coverages()
    if (under or not asked.alone) and (reference_key(asked.coverage.key) or asked.coverage.key) not in under:
        return "it was not given under this coverage"
    if number is None:
        return "it has no number"
    start, end = item.period()
    if start is None or end is None:
        return "it does not say from when until when it holds"
    late = _out_of_time(start.last_day, end.first_day, asked)
    late = late or difference(_terms(item), asked.order, record)
    return late or Authorization(number, item.reference, start.last_day, end.first_day)


def _out_of_time(start: date, end: date, asked: Asked) -> str | None:
    """Why the order does not lie within the days of an authorization; None where all of it certainly does."""
    line = asked.line.line
    first, last = line["firstDay"], line.get("lastDay") or line["firstDay"]
    span = FhirDate.of_day(start), FhirDate.of_day(end)
    if end < asked.on_date or within(first, *span) is not True or within(last, *span) is not True:
        return f"it holds from {start} to {end}, and not for all days of the order"
    return None


def _without_the_rest(item: _Item, asked: Asked) -> str | None:
    """Why an answer does not count where some were not had: a later one among them could take its force."""
    why = asked.cut_off.get(item.answer["resourceType"])
    return f"a later answer could be missing, for {why}" if why is not None else None


def _contradicted(
    item: _Item, found: Authorization, items: Sequence[_Item], asked: Asked, record: Record
) -> str | None:
    """Why another answer of the payer, to the same request or under the same number, takes this one's force."""
    request = literal_reference(item.answer.get("request") or item.answer.get("claim"))
    for other in items:
        if other.answer is item.answer and other.item is item.item:
            continue
        asked_by = literal_reference(other.answer.get("request") or other.answer.get("claim"))
        related = other.number() == found.id or (request is not None and asked_by == request)
        if not related or other.is_about(asked.line) is False or _is_earlier(other.answer, item.answer):
            continue
        if not isinstance(_judged(other, asked, record), Authorization):
            return f"another answer of the payer ({other.reference}) says otherwise"
    return None


def _is_earlier(one: Resource, other: Resource) -> bool:
    """Whether an answer was certainly made before another."""
    made = [parse_date(at) if isinstance(at := answer.get("created"), str) else None for answer in (one, other)]
    return made[0] is not None and made[1] is not None and made[0].compare(made[1]) == -1


def _shown(code: object) -> str:
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "not said"
