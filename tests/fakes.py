"""Real classes that stand in for others: a catalogue without policies, and determinations made by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from cds_service.policy.model import Determination
from cds_service.policy.order_line import OrderLine
from cds_service.policy.payers import Payer
from cds_service.policy.plan import Policy

ACME = Payer("acme", "Acme Health", frozenset({"acme health", "acme"}), frozenset(), ())


@dataclass(frozen=True)
class FakeCatalogue:
    """Serves payers and holds no policy; remembers nothing."""

    payers: tuple[Payer, ...] = (ACME,)
    types_needed: frozenset[str] = frozenset({"Condition", "Observation"})

    def in_force(self, payer: str, line: OrderLine, on: date) -> tuple[Policy, ...]:
        return ()

    def by_form(self, url: str, version: str | None = None) -> None:
        return None


def numbered_ids() -> Callable[[], str]:
    """Ids one after the other, in the shape of a UUID."""
    numbers = itertools.count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012d}"


def determination(**changes: Any) -> Determination:
    """What a policy says of an E1390 that is covered and needs authorization; `changes` make it another."""
    plain: dict[str, Any] = {
        "policy": "https://cds-service.example.org/fhir/PlanDefinition/acme-oxygen|2024-06-01",
        "policy_id": "acme-oxygen",
        "policy_title": "Home oxygen",
        "source": "Acme oxygen guideline",
        "source_url": None,
        "payer_name": "Acme Health",
        "code": "E1390",
        "item": "Oxygen concentrator (E1390)",
        "on_date": date(2026, 11, 21),
        "covered": "covered",
        "pa_needed": "auth-needed",
        "authorization_rule": "auth.all",
        "rule_title": "Every code needs authorization",
    }
    return Determination(**{**plain, **changes})
