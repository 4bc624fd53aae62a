"""The store for routes that promise something: why it is away is a text here, and no exception. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cds_service.adapters.store.store import Store, StoreAway
from cds_service.crd.feedback import Feedback
from cds_service.crd.received import Fate, ToStore
from cds_service.crd.responses import StoredResponse
from cds_service.fhir.problem import Problem
from cds_service.policy.context import Context


@dataclass(frozen=True, slots=True)
class ToldStore:
    """What is kept for questionnaires and of feedback. A call that fails gives the reason."""

    store: Store
    context_days: int  # how long the context of a questionnaire is good for; 0: none is kept

    def contexts(self, identity: str, moment: datetime) -> Sequence[Context] | str:
        try:
            days = timedelta(days=self.context_days)
            return self.store.contexts(identity, moment - days) if self.context_days else ()
        except StoreAway as away:
            return str(away)

    def keep(
        self, new: ToStore, named: bool, moment: datetime, decide: Callable[[ToStore, ToStore | None], Fate | Problem]
    ) -> tuple[ToStore, Fate] | Problem | str:
        try:
            return self.store.keep_response(new, named, moment, decide)
        except StoreAway as away:
            return str(away)

    def of_patient(self, patient: str) -> Sequence[StoredResponse] | str:
        try:
            return self.store.responses(patient)
        except StoreAway as away:
            return str(away)

    def keep_feedback(self, given: Sequence[Feedback], service: str, moment: datetime) -> str | None:
        try:
            self.store.keep_feedback(given, service, moment)
        except StoreAway as away:
            return str(away)
        return None
