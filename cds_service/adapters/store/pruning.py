"""What is old goes, a few rows at a time, so that no hook waits for it. Decides nothing: ages are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, Table, delete, select, tuple_

from cds_service.adapters.store.tables import assertions, calls, cards, contexts, decisions, feedback, responses

# Rows of one transaction: a few milliseconds of the one writer that SQLite allows
BATCH = 200


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept, in days.

    `contexts`: what questionnaires are filled from. `records`: what was said under an assertion id, calls, cards,
    feedback and finished questionnaires; None: they are never deleted.
    """

    contexts: int = 90
    records: int | None = None


@dataclass(frozen=True, slots=True)
class Ageing:
    """A table, and what of it is older than an instant."""

    table: Table
    age: Column[datetime]
    before: datetime

    def delete_some(self, connection: Connection) -> int:
        """Delete at most a batch; how many went."""
        key = list(self.table.primary_key.columns)
        old = select(*key).where(self.age < self.before)
        if self.table is assertions:
            # what stands under an id needs its id
            for held in (decisions, contexts):
                old = old.where(~select(held.c.assertion).where(held.c.assertion == assertions.c.id).exists())
        chosen = connection.execute(old.limit(BATCH)).all()
        if chosen:
            which = tuple_(*key).in_([tuple(row) for row in chosen])
            connection.execute(delete(self.table).where(which))
        return len(chosen)


def ageing(retention: Retention, now: datetime) -> Iterator[Ageing]:
    """What is too old at an instant (UTC, as the tables have it), table by table."""
    yield Ageing(contexts, contexts.c.made_at, now - timedelta(days=retention.contexts))
    if retention.records is not None:
        before = now - timedelta(days=retention.records)
        yield Ageing(decisions, decisions.c.decided_at, before)
        yield Ageing(calls, calls.c.called_at, before)
        yield Ageing(responses, responses.c.received_at, before)
        yield Ageing(feedback, feedback.c.received_at, before)
        yield Ageing(cards, cards.c.sent_at, before)
        yield Ageing(assertions, assertions.c.made_at, before)
