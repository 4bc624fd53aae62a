"""What a call lacks, read from its EHR within the call's budget. Says when, not what: the core says what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol

from cds_service.crd.hook_request import HookRequest
from cds_service.crd.missing import HoldsPolicies, missing_queries
from cds_service.crd.queries import FhirAccess, Query, Reading

# Coverage, its payor beside the chart, what the chart points at, and what that points at
_MOST_TURNS = 4
# seconds kept for judging and writing the answer, and the share of a short budget that takes their place
_FOR_THE_ANSWER, _SHARE = 0.25, 0.2


class OpenEhr(Protocol):
    """The EHR of one call, open until the call has what it needs."""

    def read_all(self, queries: Sequence[Query]) -> tuple[Reading, ...]: ...

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trail: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class ReadBack:
    """How a call is completed. `ehr` opens the EHR of a call until an instant of the monotonic clock, or gives None
    where it may not be asked; `budget` is in seconds."""

    ehr: Callable[[FhirAccess, float], OpenEhr | None]
    budget: float

    def deadline(self) -> float:
        """The instant until which a call that begins now may read."""
        return time.monotonic() + self.budget - min(_FOR_THE_ANSWER, self.budget * _SHARE)

    def completed(
        self, asked: HookRequest, catalogue: HoldsPolicies, asked_at: datetime, deadline: float
    ) -> HookRequest:
        """The call with what it lacked, as far as its EHR gave it in time. A call that lacks nothing opens nothing."""
        ehr = self.ehr(asked.access, deadline) if asked.access is not None else None
        queries = missing_queries(asked, catalogue, asked_at) if ehr is not None else ()
        if ehr is None or not queries:
            return asked
        with ehr:
            for _ in range(_MOST_TURNS):
                asked = asked.with_chart(ehr.read_all(queries))
                queries = missing_queries(asked, catalogue, asked_at)
                if not queries:
                    break
        return asked
