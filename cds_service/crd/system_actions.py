"""Statements -> one update for each order: the order as it came, and coverage-information. Judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date
from typing import Any

from cds_service.crd.coverage import OrderCoverage
from cds_service.crd.coverage_information import (
    Manner,
    assertion_id_of,
    coverage_information,
    is_of_coverage,
)
from cds_service.crd.news import same_news
from cds_service.crd.orders import DraftLine, DraftOrder
from cds_service.crd.statements import Statement


def assertion_id(
    order: DraftOrder, coverage: OrderCoverage, new_id: Callable[[], str], of_others: Collection[str] = ()
) -> str:
    """The id of what is said of an order under a coverage: the one of an earlier answer, or a new one.

    `of_others`: ids that were given for another patient or payer. Copied from order to order they are kept on none.
    """
    earlier = (one for one in (order.resource.get("extension") or ()) if is_of_coverage(one, coverage.reference))
    ids = (found for one in earlier if (found := assertion_id_of(one)))
    return next((one for one in ids if one not in of_others), None) or new_id()


def system_actions(statements: Sequence[Statement], on_date: date, manner: Manner) -> tuple[dict[str, Any], ...]:
    """One update for each order that something new is said of (CRD 2.2, resp-29, resp-35, resp-37)."""
    lines = {one.line.reference: one.line for one in statements}
    actions = []
    for reference, line in lines.items():
        said = [one for one in statements if one.line.reference == reference]
        resource = _annotated(line, said, on_date, manner)
        if resource is not None:
            actions.append({"type": "update", "description": _description(line, said), "resource": resource})
    return tuple(actions)


def _annotated(line: DraftLine, said: Sequence[Statement], on_date: date, manner: Manner) -> dict[str, Any] | None:
    """The order with what is said now in place of what was said before; None if that is the same."""
    before: list[Any] = []
    kept: list[Any] = []
    came = line.order.resource.get("extension") or ()
    for extension, echo in zip(came, line.order.echo.get("extension") or (), strict=True):
        spoken_of = any(is_of_coverage(extension, one.coverage.reference) for one in said)
        if spoken_of:
            before.append(extension)
        else:
            kept.append(echo)
    now = [extension for one in said for extension in coverage_information(one, on_date, manner)]
    return None if same_news(before, now) else {**line.order.echo, "extension": [*kept, *now]}


def _description(line: DraftLine, said: Iterable[Statement]) -> str:
    payers = list(dict.fromkeys(one.coverage.payer.name for one in said if one.coverage.payer is not None))
    code = line.line.get("code", {}).get("code", line.reference)
    return f"Record what {' and '.join(payers) or 'the payer'} says of this order ({code})"
