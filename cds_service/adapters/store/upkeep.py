"""What a worker does for the store beside answering: writes what waits, and once a day deletes what is old."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from cds_service.adapters.store.store import Store, StoreAway

_LOG = logging.getLogger(__name__)

_BETWEEN = 5.0  # seconds
_DAY = 86_400.0


class Upkeep:
    """A thread of its own in each worker. Start it after the fork: no thread outlives one."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self._ends = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="upkeep of the store", daemon=True).start()

    def stop(self) -> None:
        """The worker ends: what waits is written now, or lost."""
        self._ends.set()
        self._store.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ends.is_set():
            self._store.catch_up()
            if time.monotonic() >= due:
                due = time.monotonic() + _DAY
                self._prune()
            self._ends.wait(_BETWEEN)

    def _prune(self) -> None:
        try:
            gone = {name: number for name, number in self._store.prune(self._now()).items() if number}
        except StoreAway as away:
            _LOG.warning("what is old in the store could not be deleted: %s", away)
            return
        if gone:
            told = ", ".join(f"{number} {name}" for name, number in gone.items())
            _LOG.info("deleted from the store, for it was older than it is kept: %s", told)
