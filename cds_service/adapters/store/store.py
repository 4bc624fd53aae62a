"""What is remembered, and where feedback is kept. Holds what it is given; decides nothing; logs no content.

Two promises. A hook is never held up or refused because of the store: what cannot be written now waits, goes with what
comes next, and is said in `trouble`. Feedback is on the disk when `keep_feedback` returns; else StoreAway is raised,
and whoever sent it can send it again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, and_, func, or_, select, text
from sqlalchemy.dialects.sqlite import insert

from cds_service.adapters.store import contexts as kept_contexts
from cds_service.adapters.store import responses as kept_responses
from cds_service.adapters.store.call_log import logged
from cds_service.adapters.store.database import FAULTS, engine_for, file_of, in_words, make_file
from cds_service.adapters.store.migrate import NewerSchema, bring_up_to_date, schema_of
from cds_service.adapters.store.pruning import Ageing, Retention, ageing
from cds_service.adapters.store.tables import SCHEMA, assertions, calls, cards, decisions, feedback
from cds_service.adapters.store.waiting import Entry, Waiting
from cds_service.adapters.store.writing import write
from cds_service.crd.call_record import CallRecord
from cds_service.crd.feedback import Feedback, Rate, Reason
from cds_service.crd.memory import Assertion, Authorization, Decision, Kept
from cds_service.crd.received import Fate, ToStore
from cds_service.crd.responses import StoredResponse
from cds_service.fhir.problem import Problem
from cds_service.policy.context import Context

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

# A hook waits for another writer no longer than this; whoever was promised something, longer
_HOOKS_PATIENCE, _PATIENCE = 0.25, 5.0
# After so many failures on end hooks go without memory for a while, lest each of them waits
_FAILURES, _PAUSE = 3, 1.0  # seconds
# Of what waits, so much goes along with the next answer; the rest is not a hook's to write
_ALONG = 20


class StoreAway(Exception):
    """The store cannot be used now. Its text says why, and quotes nothing."""


class Store:
    """The database of one deployment. `open` it once before the workers fork; each then has connections of its own."""

    def __init__(self, address: str, retention: Retention | None = None, program: str = "") -> None:
        self._address = address
        self._retention = retention or Retention()
        self._program = program
        self._waiting = Waiting()
        self._quick = engine_for(address, "NORMAL", _HOOKS_PATIENCE)
        self._sure = engine_for(address, "FULL", _PATIENCE)
        self._quick_writes = self._quick.execution_options(writes=True)
        self._sure_writes = self._sure.execution_options(writes=True)
        # threads of one process take turns here: in SQLite they would sleep and try again, which costs a hook its time
        self._turn = threading.Lock()
        self._usable = False
        self._away_until = 0.0
        self._failures = 0
        self._trouble: str | None = None

    def open(self) -> str | None:
        """Make the file and its tables where they are not there yet; why that failed, or None."""
        try:
            self._open()
        except NewerSchema:
            self._noted("its tables are those of a later version of this program")
        except FAULTS as fault:
            self._noted(in_words(fault))
        else:
            self._noted(None)
        finally:
            # no connection may cross a fork
            self._quick.dispose()
            self._sure.dispose()
        return self._trouble

    def _open(self) -> None:
        make_file(self._address)
        bring_up_to_date(self._sure)
        self._usable = True

    def close(self) -> None:
        self.catch_up()
        self._quick.dispose()
        self._sure.dispose()

    # -- for hooks --------------------------------------------------------------------------------------

    def earlier(self, ids: Collection[str]) -> Mapping[str, Assertion]:
        """What is kept under these assertion ids; nothing where the store cannot be asked."""
        if not ids or not self._at_hand():
            return {}
        try:
            with self._quick.connect() as connection:
                found = _assertions(connection, ids)
        except FAULTS as fault:
            self._failed(fault)
            return {}
        return found

    def remember(self, kept: Kept, call: CallRecord, service: str, moment: datetime) -> None:
        """Keep what was said: one short transaction. What cannot be written now waits for the next."""
        entry = Entry(kept, call, service, _utc(moment))
        if not self._at_hand() or not self._turn.acquire(timeout=_HOOKS_PATIENCE):
            self._waiting.put(entry)
            return
        try:
            self._write([*self._waiting.take(_ALONG), entry])
        finally:
            self._turn.release()

    def catch_up(self) -> None:
        """Write what waits, a piece at a time: between two of them a hook may write."""
        while len(self._waiting) and self._at_hand():
            with self._turn:
                written = self._write(self._waiting.take(_ALONG))
            if not written:
                return

    def _write(self, entries: list[Entry]) -> bool:
        try:
            with self._quick_writes.begin() as connection:
                for one in entries:
                    _keep(connection, one, self._program)
        except FAULTS as fault:
            self._waiting.put_back(entries)
            self._failed(fault)
            return False
        self._failures = 0
        self._noted(None)
        if not len(self._waiting):
            self._waiting.all_written()
        return True

    def answered(self, patient: str) -> tuple[StoredResponse, ...] | None:
        """The questionnaires that were finished for a patient; None where the store cannot be asked."""
        if not self._at_hand():
            return None
        try:
            with self._quick.connect() as connection:
                return kept_responses.of_patient(connection, patient)
        except FAULTS as fault:
            self._failed(fault)
            return None

    def _at_hand(self) -> bool:
        if time.monotonic() < self._away_until:
            return False
        if not self._usable:
            self._away_until = time.monotonic() + _PAUSE
            self.open()
        return self._usable

    def _failed(self, fault: Exception) -> None:
        self._failures += 1
        if self._failures >= _FAILURES:
            self._away_until = time.monotonic() + _PAUSE
            self._noted(in_words(fault))

    def _noted(self, trouble: str | None) -> None:
        """Told once when it begins, and once when it is over."""
        if trouble is not None and trouble != self._trouble:
            _LOG.error("the store cannot be used: %s; hooks are answered without memory, feedback is refused", trouble)
        elif trouble is None and self._trouble is not None:
            _LOG.warning("the store can be used again")
        self._trouble = trouble

    # -- for questionnaires -----------------------------------------------------------------------------

    def contexts(self, identity: str, since: datetime) -> tuple[Context, ...]:
        """What is kept under an assertion id since an instant, policy by policy. Raises StoreAway."""
        if not self._usable and self.open() is not None:
            raise StoreAway(self._trouble)
        try:
            with self._quick.connect() as connection:
                return kept_contexts.read(connection, identity, _utc(since))
        except FAULTS as fault:
            raise StoreAway(in_words(fault)) from None

    def keep_response(
        self, new: ToStore, named: bool, moment: datetime, decide: Callable[[ToStore, ToStore | None], Fate | Problem]
    ) -> tuple[ToStore, Fate] | Problem:
        """Keep a finished questionnaire as `decide` says: it is on the disk then. Raises StoreAway."""
        result: list[tuple[ToStore, Fate] | Problem] = []
        self._write_or_say(
            lambda connection: result.append(kept_responses.keep(connection, new, named, _utc(moment), decide))
        )
        return result[-1]

    def responses(self, patient: str) -> tuple[StoredResponse, ...]:
        """As `answered`, for whom nothing less will do. Raises StoreAway."""
        try:
            with self._quick.connect() as connection:
                return kept_responses.of_patient(connection, patient)
        except FAULTS as fault:
            raise StoreAway(in_words(fault)) from None

    # -- for feedback -----------------------------------------------------------------------------------

    def keep_feedback(self, given: Sequence[Feedback], service: str, moment: datetime) -> None:
        """Keep all of it or nothing. The same card with the same outcome is kept once, as it was last said."""
        self._write_or_say(lambda connection: _keep_feedback(connection, given, service, _utc(moment)))

    def trouble(self) -> str | None:
        """Why nothing can be written now, found out by writing; None where all is well."""
        try:
            self._write_or_say(_probe)
        except StoreAway as away:
            return str(away)
        return None

    def _write_or_say(self, work: Any) -> None:
        if not self._usable and self.open() is not None:
            raise StoreAway(self._trouble)
        try:
            with self._turn, self._sure_writes.begin() as connection:
                work(connection)
        except FAULTS as fault:
            self._noted(in_words(fault))
            raise StoreAway(in_words(fault)) from None
        self._noted(None)

    # -- what is old ------------------------------------------------------------------------------------

    def prune(self, moment: datetime, pause: float = 0.02) -> Mapping[str, int]:
        """Delete what is older than it is kept, in short transactions with a pause between them, so that hooks get
        their turns; how many rows went, by table. Raises StoreAway."""
        gone: dict[str, int] = {}
        for old in ageing(self._retention, _utc(moment)):
            gone[old.table.name] = 0
            while some := self._delete_some(old):
                gone[old.table.name] += some
                time.sleep(pause)
        return gone

    def _delete_some(self, old: Ageing) -> int:
        found: list[int] = []
        self._write_or_say(lambda connection: found.append(old.delete_some(connection)))
        return found[0]

    # -- for the report ---------------------------------------------------------------------------------

    def rates(self, since: datetime | None) -> tuple[Rate, ...]:
        """What became of the cards sent since an instant. Raises StoreAway where there is nothing to be read."""
        return self._read(lambda connection: _rates(connection, None if since is None else _utc(since)))

    def calls(self, since: datetime | None, assertion: str | None) -> tuple[dict[str, Any], ...]:
        """The log of calls since an instant, or of those in which an id was given. Raises StoreAway as `rates` does."""
        moment = None if since is None else _utc(since)
        return self._read(lambda connection: tuple(logged(connection, moment, assertion)))

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            if not file_of(self._address).exists():
                raise StoreAway("there is none yet: the service makes it when it starts")
            with self._quick.connect() as connection:
                if schema_of(connection) != SCHEMA:
                    raise StoreAway("its tables are not those of this version: start the service once")
                return work(connection)
        except FAULTS as fault:
            raise StoreAway(in_words(fault)) from None


def _utc(moment: datetime) -> datetime:
    # what every database has: a moment without a zone, in one zone
    return moment.astimezone(UTC).replace(tzinfo=None)


def _probe(connection: Connection) -> None:
    # a real write, of what stands there already: nothing less tells a full disk
    connection.execute(text("UPDATE alembic_version SET version_num = version_num"))


# -- assertions and decisions -----------------------------------------------------------------------------

_ASSERTION = insert(assertions).on_conflict_do_nothing()
_new_decision = insert(decisions)
_DECISION = _new_decision.on_conflict_do_update(
    index_elements=list(decisions.primary_key.columns),
    set_={one.name: _new_decision.excluded[one.name] for one in decisions.columns if not one.primary_key},
    # what waited is written late, and is not the last word then
    where=_new_decision.excluded.decided_at >= decisions.c.decided_at,
)
_CALL = insert(calls)
_CARD = insert(cards).on_conflict_do_nothing()


def _keep(connection: Connection, entry: Entry, program: str) -> None:
    kept, service, moment = entry.kept, entry.service, entry.moment
    call = entry.call
    write(
        connection,
        _CALL,
        [
            {
                "called_at": moment,
                "service": service,
                "hook_instance": call.hook_instance,
                "crd_version": call.crd_version,
                "status": call.status,
                "patient": call.patient,
                "request_digest": call.request_digest,
                "answer_digest": call.answer_digest,
                "program": program,
                "said": call.said,
            }
        ],
    )
    if kept.assertions:
        rows = [
            {"id": one.id, "patient": one.patient, "payer": one.payer, "made_at": moment} for one in kept.assertions
        ]
        write(connection, _ASSERTION, rows)
    said = [_decision_row(one, decision, moment) for one in kept.assertions for decision in one.decisions]
    if said:
        write(connection, _DECISION, said)
    kept_contexts.keep(connection, kept.contexts, _utc)
    if kept.cards:
        sent = [
            {"uuid": one.uuid, "service": service, "policy": one.policy, "kind": one.kind, "sent_at": moment}
            for one in kept.cards
        ]
        write(connection, _CARD, sent)


def _decision_row(assertion: Assertion, decision: Decision, moment: datetime) -> dict[str, Any]:
    held = decision.authorization
    return {
        "assertion": assertion.id,
        "patient": assertion.patient,
        "policy": decision.policy,
        "code": decision.code,
        "modifiers": " ".join(decision.modifiers),
        "order_date": decision.order_date,
        "covered": decision.covered,
        "pa_needed": decision.pa_needed,
        "rule": decision.rule,
        "pa_id": held.id if held else None,
        "pa_reference": held.reference if held else None,
        "pa_from": held.start if held else None,
        "pa_until": held.end if held else None,
        "decided_at": moment,
    }


def _assertions(connection: Connection, ids: Collection[str]) -> dict[str, Assertion]:
    said: dict[tuple[str, str], list[Decision]] = {}
    for row in connection.execute(select(decisions).where(decisions.c.assertion.in_(ids))):
        said.setdefault((row.assertion, row.patient), []).append(_decision(row))
    held = connection.execute(select(assertions).where(assertions.c.id.in_(ids)))
    return {
        row.id: Assertion(row.id, row.patient, row.payer, tuple(said.get((row.id, row.patient), ()))) for row in held
    }


def _decision(row: Any) -> Decision:
    held = None
    if row.pa_id is not None:
        held = Authorization(row.pa_id, row.pa_reference, row.pa_from, row.pa_until)
    modifiers = tuple(row.modifiers.split())
    said = (row.order_date, row.covered, row.pa_needed, row.rule)
    return Decision(row.policy, row.code, modifiers, *said, held)


# -- feedback ---------------------------------------------------------------------------------------------

_new_feedback = insert(feedback)
_FEEDBACK = _new_feedback.on_conflict_do_update(
    index_elements=[feedback.c.card, feedback.c.outcome],
    set_={
        one.name: _new_feedback.excluded[one.name]
        for one in feedback.columns
        if one.name not in ("id", "card", "outcome")
    },
    # sent again it changes nothing; said again later, the later word counts
    where=_new_feedback.excluded.outcome_at > feedback.c.outcome_at,
)


def _keep_feedback(connection: Connection, given: Iterable[Feedback], service: str, moment: datetime) -> None:
    rows = [
        {
            "card": one.card,
            "outcome": one.outcome,
            "service": service,
            "suggestions": " ".join(one.suggestions),
            "reason_system": one.reason_system,
            "reason_code": one.reason_code,
            "comment": one.comment,
            "outcome_at": _utc(one.outcome_at),
            "received_at": moment,
        }
        for one in given
    ]
    connection.execute(_FEEDBACK, rows)


def _rates(connection: Connection, since: datetime | None) -> tuple[Rate, ...]:
    sent = select(cards.c.policy, cards.c.kind, func.count()).group_by(cards.c.policy, cards.c.kind)
    if since is not None:
        sent = sent.where(cards.c.sent_at >= since)
    counted = {(policy, kind): number for policy, kind, number in connection.execute(sent)}
    accepted: dict[tuple[str, str], int] = {}
    reasons: dict[tuple[str, str], list[Reason]] = {}
    for policy, kind, outcome, system, code, number in connection.execute(_last_words(since)):
        group = (policy or "", kind or "")
        if outcome == "accepted":
            accepted[group] = accepted.get(group, 0) + number
        else:
            reasons.setdefault(group, []).append(Reason(system, code, number))
    return tuple(
        Rate(
            *group,
            sent=counted.get(group, 0),
            accepted=accepted.get(group, 0),
            overridden=sum(one.count for one in reasons.get(group, ())),
            reasons=tuple(sorted(reasons.get(group, ()), key=lambda one: (-one.count, one.system, one.code))),
        )
        for group in sorted({*counted, *accepted, *reasons})
    )


def _last_words(since: datetime | None) -> Any:
    """What was last said of each card, counted by policy, kind, outcome and reason."""
    later = feedback.alias()
    said_later = or_(
        later.c.outcome_at > feedback.c.outcome_at,
        and_(later.c.outcome_at == feedback.c.outcome_at, later.c.id > feedback.c.id),
    )
    is_last = ~select(later.c.id).where(later.c.card == feedback.c.card, said_later).exists()
    reason = (feedback.c.reason_system, feedback.c.reason_code)
    groups = (cards.c.policy, cards.c.kind, feedback.c.outcome, *reason)
    found = (
        select(*groups, func.count())
        .select_from(feedback.outerjoin(cards, cards.c.uuid == feedback.c.card))
        .where(is_last)
        .group_by(*groups)
    )
    # of a card that is not known, what counts is when its feedback came
    return found if since is None else found.where(func.coalesce(cards.c.sent_at, feedback.c.received_at) >= since)
