"""What is kept of an answer for the next one, and what an earlier one is good for. Pure; the store only holds.

Kept is what was said, by coverage-assertion-id: no chart, no order, and of the patient a digest. Only where a
questionnaire goes out is more kept, for a while: what it is to be filled from (policy/context.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from cds_service.crd.cards import Card
from cds_service.crd.coverage_information import URL, assertion_id_of
from cds_service.crd.statements import Statement
from cds_service.fhir.addresses import read_base
from cds_service.policy.context import Context
from cds_service.policy.model import Determination

# the shape of the ids that are given here: nobody guesses one
_OURS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
# Longer than any id that is given here; what is longer is a caller's own, and is not kept
LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Authorization:
    """A prior authorization as the payer gave it: its number, where it stands, from when until when it holds."""

    id: str
    reference: str
    start: date
    end: date


@dataclass(frozen=True, slots=True)
class Decision:
    """What one policy said of one order, as far as it is kept."""

    policy: str  # url|version
    code: str
    modifiers: tuple[str, ...]
    order_date: date
    covered: str
    pa_needed: str
    rule: str
    authorization: Authorization | None = None


@dataclass(frozen=True, slots=True)
class Assertion:
    """What was said under one coverage-assertion-id, to whom (a digest), for which payer."""

    id: str
    patient: str
    payer: str
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True)
class SentCard:
    """A card that went out: what it is told from, and what feedback is counted by."""

    uuid: str
    policy: str
    kind: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one answer."""

    assertions: tuple[Assertion, ...]
    cards: tuple[SentCard, ...]
    contexts: tuple[Context, ...] = ()


NOTHING_KEPT = Kept((), ())


def patient_digest(fhir_server: str | None, patient_id: str) -> str:
    """One patient of one EHR, without saying who: enough to tell that an id came back on another patient's order."""
    base = read_base(fhir_server)  # one server, whether its host is in capitals and its port told or not
    server = base.text if base is not None else (fhir_server or "").rstrip("/")
    return hashlib.sha256(f"{server} {patient_id}".encode()).hexdigest()


def assertion_ids(orders: Iterable[Any]) -> frozenset[str]:
    """The coverage-assertion-ids that earlier answers left on these orders; what is none, or no resource, has none."""
    found = (assertion_id_of(one) for order in orders if isinstance(order, dict) for one in _said_before(order))
    return frozenset(one for one in found if one is not None and len(one) <= LONGEST_ID)


def _said_before(order: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    extensions = order.get("extension")
    for one in extensions if isinstance(extensions, list) else ():
        if isinstance(one, dict) and one.get("url") == URL:
            yield one


def to_keep(
    statements: Iterable[Statement],
    cards: Iterable[Card],
    patient: str,
    authorizations: Iterable[Authorization],
    contexts: Iterable[Context] = (),
) -> Kept:
    """What is kept of an answer. `authorizations`: those that satisfied something."""
    by_number = {one.id: one for one in authorizations}
    kept: dict[str, Assertion] = {}
    for one in statements:
        payer = one.coverage.payer
        if payer is None or len(one.assertion_id) > LONGEST_ID:
            continue
        decisions = tuple(
            _decision(one, said, by_number) for said in one.determinations if len(said.code) <= LONGEST_ID
        )
        kept[one.assertion_id] = Assertion(one.assertion_id, patient, payer.id, decisions)
    sent = (SentCard(one["uuid"], " ".join(one.policies), one["source"]["topic"]["code"]) for one in cards)
    # a context stands under the assertion that it is of
    return Kept(tuple(kept.values()), tuple(sent), tuple(one for one in contexts if one.id in kept))


def without_guessable(kept: Kept, borne: frozenset[str], earlier: Mapping[str, Assertion]) -> Kept:
    """What is kept, but for contexts under ids that a caller made: whoever names the id is given the draft of a chart.

    `borne`: the ids that the call's orders came with. Of those ours are the ones that are known and look like it.
    """
    ours = tuple(
        one
        for one in kept.contexts
        if one.id not in borne or (one.id in earlier and _OURS.fullmatch(one.id) is not None)
    )
    return kept if len(ours) == len(kept.contexts) else replace(kept, contexts=ours)


def _decision(
    statement: Statement, determination: Determination, authorizations: Mapping[str, Authorization]
) -> Decision:
    satisfied = determination.satisfied_pa_id
    return Decision(
        policy=determination.policy,
        code=determination.code,
        modifiers=modifiers_of(statement.line.line),
        order_date=determination.on_date,
        covered=determination.covered,
        pa_needed=determination.pa_needed,
        rule=determination.authorization_rule,
        authorization=authorizations.get(satisfied) if satisfied is not None else None,
    )


def modifiers_of(line: Mapping[str, Any]) -> tuple[str, ...]:
    """The modifiers of an order line, in one order whatever order they came in."""
    return tuple(sorted({str(one["code"]) for one in line["modifier"]}))
