"""The log of calls, read back for a dispute. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from cds_service.adapters.store.tables import calls


def logged(connection: Connection, since: datetime | None, assertion: str | None) -> Iterator[dict[str, Any]]:
    """The calls since an instant (UTC, as the tables have it), oldest first; only those in which this id was given."""
    wanted = select(calls).order_by(calls.c.called_at, calls.c.id)
    if since is not None:
        wanted = wanted.where(calls.c.called_at >= since)
    if assertion is not None:
        named = json.dumps({"assertion": assertion}, separators=(",", ":"), ensure_ascii=False)[1:-1]
        wanted = wanted.where(calls.c.said.contains(named, autoescape=True))
    for row in connection.execute(wanted):
        found = dict(row._mapping)
        said = json.loads(found.pop("said"))
        yield {**found, "called_at": row.called_at.replace(tzinfo=UTC).isoformat(), "said": said}
