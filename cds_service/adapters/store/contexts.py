"""Contexts of questionnaires as rows. Holds what it is given for as long as it is told to; logs nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, and_, select
from sqlalchemy.dialects.sqlite import insert

from cds_service.adapters.store.tables import LONGEST, assertions, contexts
from cds_service.adapters.store.writing import write
from cds_service.policy.context import Context

_new = insert(contexts)
_KEEP = _new.on_conflict_do_update(
    index_elements=list(contexts.primary_key.columns),
    set_={one.name: _new.excluded[one.name] for one in contexts.columns if not one.primary_key},
    # what waited for the store is written late, and is not the last look then
    where=_new.excluded.made_at >= contexts.c.made_at,
)


def keep(connection: Connection, given: Sequence[Context], utc: Callable[[datetime], datetime]) -> None:
    """The last look counts: an order that is signed again is filled from what was known then."""
    rows = [row for one in given if len(one.subject) <= LONGEST and (row := _row(one, utc(one.made_at))) is not None]
    if rows:
        write(connection, _KEEP, rows)


def _row(context: Context, made_at: datetime) -> dict[str, Any] | None:
    try:
        coverage, situation = orjson.dumps(context.coverage), orjson.dumps(context.situation)
    except orjson.JSONEncodeError:
        return None  # a number that only Python can write: a hook is not refused for what it could have kept
    return {
        "assertion": context.id,
        "policy": context.policy,
        "patient": context.patient,
        "questionnaire": context.questionnaire,
        "subject": context.subject,
        "coverage": coverage,
        "situation": situation,
        "made_at": made_at,
    }


def read(connection: Connection, identity: str, since: datetime) -> tuple[Context, ...]:
    """Those of the patient whom the assertion was made for: an id that came back on another's order opens nothing."""
    whose = and_(assertions.c.id == contexts.c.assertion, assertions.c.patient == contexts.c.patient)
    found = (
        select(contexts)
        .join(assertions, whose)
        .where(contexts.c.assertion == identity, contexts.c.made_at >= since)
        .order_by(contexts.c.policy)
    )
    return tuple(
        Context(
            id=row.assertion,
            policy=row.policy,
            questionnaire=row.questionnaire,
            patient=row.patient,
            subject=row.subject,
            coverage=orjson.loads(row.coverage),
            situation=orjson.loads(row.situation),
            made_at=row.made_at.replace(tzinfo=UTC),
        )
        for row in connection.execute(found)
    )
