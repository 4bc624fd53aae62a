"""A database address -> connections, set up as the store needs them; what went wrong with it, in words.

Nothing of what was to be stored appears in those words: an exception of the database may quote it, and stays here.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

PREFIX = "sqlite:///"

# All that can go wrong with the database
FAULTS = (SQLAlchemyError, sqlite3.Error, OSError)

Durability = Literal["FULL", "NORMAL"]


def file_of(address: str) -> Path:
    """The file of an address such as `sqlite:///var/cds.sqlite` (settings.py has checked it)."""
    return Path(address.removeprefix(PREFIX))


def engine_for(address: str, durability: Durability, patience: float) -> Engine:
    """Connections to the database. `patience`: seconds to wait for another writer.

    FULL: what is committed outlives a power failure. NORMAL: it outlives the end of the process, however it ends.
    """
    engine = create_engine(URL.create("sqlite", database=str(file_of(address))), hide_parameters=True)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin below, and not where the driver thinks fit
        for pragma in (f"busy_timeout={int(patience * 1000)}", f"synchronous={durability}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # who writes says so at once: a lock that is asked for halfway can be refused for good
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def make_file(address: str) -> None:
    """The database's file, readable by its owner alone, and the folder it stands in."""
    path = file_of(address)
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


_WORDS = {
    "SQLITE_BUSY": "it is locked by another process",
    "SQLITE_CANTOPEN": "its file cannot be opened",
    "SQLITE_CORRUPT": "its file is damaged",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk cannot be read or written",
    "SQLITE_LOCKED": "it is locked",
    "SQLITE_NOTADB": "its file is no database",
    "SQLITE_PERM": "its file may not be used",
    "SQLITE_READONLY": "it can be read and not written",
}


def in_words(fault: Exception) -> str:
    """What a fault of the database is, without anything that it may quote."""
    if isinstance(fault, OSError) and fault.strerror:
        return f"its file cannot be made: {fault.strerror.lower()}"
    name = str(getattr(getattr(fault, "orig", fault), "sqlite_errorname", ""))
    words = next((words for known, words in _WORDS.items() if name.startswith(known)), None)
    return words or f"{type(fault).__name__} {name}".strip()


def is_busy(fault: Exception) -> bool:
    return str(getattr(getattr(fault, "orig", fault), "sqlite_errorname", "")).startswith("SQLITE_BUSY")
