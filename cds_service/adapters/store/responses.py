"""Finished questionnaires as rows. What becomes of a new one is asked of the core; nothing of it is logged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from cds_service.adapters.store.tables import responses
from cds_service.crd.received import Fate, ToStore, in_place_of
from cds_service.crd.responses import MOST_STORED, StoredResponse
from cds_service.fhir.problem import Problem

# One more than count: that there are more is told by it
_OF_PATIENT = 'SELECT id, content, assertion, "order" FROM responses WHERE patient = ? LIMIT ?'

_new = insert(responses)
_KEEP = _new.on_conflict_do_update(
    index_elements=list(responses.primary_key.columns),
    set_={one.name: _new.excluded[one.name] for one in responses.columns if not one.primary_key},
)


def keep(
    connection: Connection,
    new: ToStore,
    named: bool,
    received_at: datetime,
    decide: Callable[[ToStore, ToStore | None], Fate | Problem],
) -> tuple[ToStore, Fate] | Problem:
    """Keep a response as `decide` says, given what is held under its id, or (where it was not `named` by its sender)
    with its content. What is held in the end."""
    held = _held(connection, new, named)
    fate = decide(new, held)
    if isinstance(fate, Problem):
        return fate
    if fate == "same" and held is not None:
        if held.context is not None or new.context is None:
            return held, fate
        # the same response, now with its context
        new = _as_held(new, held)
    if held is not None:
        new = in_place_of(new, held)
    if fate == "withdrawn" and held is not None:
        # what was withdrawn is known again when it is sent anew without its id
        new = replace(new, digest=held.digest)
    connection.execute(_KEEP, _row(new, received_at))
    return new, fate


def of_patient(connection: Connection, patient: str) -> tuple[StoredResponse, ...]:
    """All of a patient, the withdrawn ones too: they say what does not count any more. Of more than count, some."""
    # by the driver: every call asks, and nearly every time there is nothing
    cursor = connection.connection.cursor()
    cursor.execute(_OF_PATIENT, (patient, MOST_STORED + 1))
    return tuple(StoredResponse(row[0], orjson.loads(row[1]), row[2], row[3]) for row in cursor.fetchall())


def _held(connection: Connection, new: ToStore, named: bool) -> ToStore | None:
    one = responses.c.id == new.id if named else responses.c.digest == new.digest
    row = connection.execute(select(responses).where(responses.c.patient == new.patient, one).limit(1)).first()
    if row is None:
        return None
    return ToStore(
        id=row.id,
        patient=row.patient,
        questionnaire=row.questionnaire,
        status=row.status,
        authored=row.authored,
        context=row.assertion,
        order=row.order,
        digest=row.digest,
        text=row.content,
    )


def _as_held(new: ToStore, held: ToStore) -> ToStore:
    fields = (held.id, held.patient, held.questionnaire, held.status, held.authored)
    return ToStore(*fields, context=new.context, order=new.order, digest=held.digest, text=held.text)


def _row(one: ToStore, received_at: datetime) -> dict[str, Any]:
    return {
        "patient": one.patient,
        "id": one.id,
        "questionnaire": one.questionnaire,
        "status": one.status,
        "authored": one.authored,
        "assertion": one.context,
        "order": one.order,
        "digest": one.digest,
        "content": one.text,
        "received_at": received_at,
    }
