"""What could not be written yet, in the order in which it was said, up to a limit. What is lost is counted and told."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from cds_service.crd.call_record import CallRecord
from cds_service.crd.memory import Kept

_LOG = logging.getLogger(__name__)

# Some megabytes: an answer leaves about two kilobytes
MOST_WAITING = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one call."""

    kept: Kept
    call: CallRecord
    service: str
    moment: datetime  # UTC, without saying so


class Waiting:
    """The entries of one process that wait for the database. Several threads may use it."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._entries: deque[Entry] = deque()
        self._lock = threading.Lock()
        self._lost = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, *entries: Entry) -> None:
        """Behind all others; where there is no room, the oldest are lost."""
        with self._lock:
            self._entries.extend(entries)
            self._drop()

    def put_back(self, entries: list[Entry]) -> None:
        """Before all others: they were said first."""
        with self._lock:
            self._entries.extendleft(reversed(entries))
            self._drop()

    def take(self, most: int) -> list[Entry]:
        with self._lock:
            return [self._entries.popleft() for _ in range(min(most, len(self._entries)))]

    def all_written(self) -> None:
        """Tells once, when it is over, how many were lost."""
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            _LOG.error("%d answers could not be recorded: feedback on their cards counts as of unknown cards", lost)

    def _drop(self) -> None:
        while len(self._entries) > self._most:
            self._entries.popleft()
            if not self._lost:
                _LOG.error("more answers wait for the store than can be kept waiting: the oldest are lost")
            self._lost += 1
