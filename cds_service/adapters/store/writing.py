"""Rows for a statement of SQLAlchemy's, given to the driver: what every call writes is made into SQL once.

Half of what a short transaction costs is SQLAlchemy finding out anew what its statement means. Only for inserts whose
rows bring the same columns; in the transaction of whoever calls, and with the faults of the driver itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Insert


def write(connection: Connection, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run an insert for each of these rows."""
    text, columns = _prepared(statement, connection.dialect, tuple(rows[0]))
    connection.connection.cursor().executemany(
        text, [[row[name] if spelt is None else spelt(row[name]) for name, spelt in columns] for row in rows]
    )


@lru_cache(maxsize=32)
def _prepared(
    statement: Insert, dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, tuple[tuple[str, Callable[[Any], Any] | None], ...]]:
    """Its SQL, and the columns in the order of the placeholders, each with what spells its values for the driver."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    types = {column.name: column.type for column in statement.table.columns}
    order = compiled.positiontup or []
    return str(compiled), tuple((name, types[name].dialect_impl(dialect).bind_processor(dialect)) for name in order)
