"""What discovery and the reading of a call both stand on. The templates themselves are in `templates.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

# How many cards are sent where a call does not say
DEFAULT_MAX_CARDS = 10
# Card types that are sent only where a call, or the registry for its client, says so
ONLY_IF_ASKED_FOR = frozenset({"dtr-card"})


class NeedsTypes(Protocol):
    """What discovery reads of a catalogue."""

    @property
    def types_needed(self) -> Iterable[str]: ...
