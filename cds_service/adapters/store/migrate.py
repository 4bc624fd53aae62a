"""Brings the tables of a database up to date. Safe however many processes start at once: one does it, others wait.

An empty database gets the tables as this version wants them; one that is older gets the migrations that it lacks. A
test holds the two ways against each other.
"""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from cds_service.adapters.store.database import FAULTS, is_busy
from cds_service.adapters.store.tables import SCHEMA, metadata

_TRIES = 100
_BETWEEN = 0.05  # seconds


class NewerSchema(Exception):
    """The tables are those of a later version of this program."""


def schema_of(connection: Connection) -> str | None:
    """The last migration that was run; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(found) if found is not None else None


def bring_up_to_date(engine: Engine) -> None:
    """Run the migrations that are due, all in one transaction. Raises NewerSchema, or the database's fault."""
    _keep_a_journal_for_readers(engine)
    with engine.connect() as connection:
        if schema_of(connection) == SCHEMA:
            return  # as after every start but the first: Alembic need not even be imported
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        # asked again, behind the lock: another process may have been faster
        held = schema_of(connection)
        if held is None and not inspect(connection).get_table_names():
            _make(connection)
        elif held != SCHEMA:
            run_migrations(connection, held)


def _keep_a_journal_for_readers(engine: Engine) -> None:
    """WAL: readers and the one writer do not wait for each other. The file remembers it."""
    for tried in range(_TRIES):
        try:
            with engine.connect() as connection:
                # not in a transaction; SQLite waits for nobody here, so this does
                connection.connection.cursor().execute("PRAGMA journal_mode=WAL")
            return
        except FAULTS as fault:
            if not is_busy(fault) or tried == _TRIES - 1:
                raise
            time.sleep(_BETWEEN)


def _make(connection: Connection) -> None:
    """All tables at once, and the mark of the last migration: for that Alembic need not be imported (12 MB)."""
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:schema)"), {"schema": SCHEMA})


def run_migrations(connection: Connection, held: str | None) -> None:
    """The migrations after `held`, in the transaction of whoever calls."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}
    if held is not None and held not in known:
        raise NewerSchema
    command.upgrade(config, SCHEMA)
