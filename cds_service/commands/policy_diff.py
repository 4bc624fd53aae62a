"""`cds-service policy diff`: what changed between two versions, and which recorded requests it touches.

Ends as `diff` does: 0 where nothing differs, 1 where something does, 2 where it cannot be told.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cds_service.commands.explain import in_zone
from cds_service.commands.policy_show import versions_of
from cds_service.commands.printing import count, for_terminal, policies_of, print_json, printable, report
from cds_service.fhir.problem import Problem
from cds_service.settings import Settings

if TYPE_CHECKING:
    from cds_service.crd.changed_answers import OrderChange
    from cds_service.fhir.working_days import BusinessHours
    from cds_service.pages.changes import Change
    from cds_service.policy.catalogue import Catalogue
    from cds_service.policy.plan import Policy

SAME, DIFFERENT, TROUBLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Recorded:
    """One file: the orders in it that either version speaks of, or why it was passed over."""

    name: str
    orders: tuple[OrderChange, ...] = ()
    passed_over: str | None = None


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.app import clock
    from cds_service.pages.changes import page_changes
    from cds_service.pages.policy_page import policy_page

    policies = policies_of(settings)
    if policies is None:
        return TROUBLE
    catalogue = policies.catalogue
    pair = [_version(catalogue, chosen.policy, version) for version in (chosen.old, chosen.new)]
    problems = [one for one in pair if isinstance(one, Problem)]
    if chosen.against is not None and not chosen.against.is_dir():
        problems.append(Problem("not-found", str(chosen.against), "no such folder", "name a folder of requests"))
    if problems:
        report(problems)
        return TROUBLE
    old, new = (one for one in pair if not isinstance(one, Problem))
    changes = page_changes(policy_page(old, catalogue), policy_page(new, catalogue))
    asked_at = in_zone(chosen.at, settings.time_zone) if chosen.at else clock(settings)()
    recorded = (
        list(_recorded(chosen.against, catalogue, old, new, asked_at, settings.business_hours))
        if chosen.against
        else None
    )
    if chosen.json:
        print_json(_as_json(old, new, changes, recorded))
    else:
        print(for_terminal("\n".join(_as_text(old, new, changes, recorded))))
    if recorded is not None and any(order.fields for one in recorded for order in one.orders):
        return DIFFERENT
    return DIFFERENT if changes else SAME


def _version(catalogue: Catalogue, name: str, version: str) -> Policy | Problem:
    versions = versions_of(catalogue, name)
    if isinstance(versions, Problem):
        return versions
    for one in versions:
        if one.version == version:
            return one
    held = ", ".join(one.version for one in versions)
    return Problem("not-found", f"{name} {version}", "no such version is held", f"one of {held}")


# -- the recorded requests


def _recorded(
    folder: Path, catalogue: Catalogue, old: Policy, new: Policy, asked_at: datetime, business_hours: BusinessHours
) -> Iterator[_Recorded]:
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        found = _orders(path, catalogue, old, new, asked_at, business_hours)
        if isinstance(found, str):
            yield _Recorded(name, passed_over=found)
        else:
            yield _Recorded(name, found)


def _orders(
    path: Path, catalogue: Catalogue, old: Policy, new: Policy, asked_at: datetime, business_hours: BusinessHours
) -> tuple[OrderChange, ...] | str:
    from cds_service.crd.changed_answers import changed_answers
    from cds_service.crd.hook_request import hook_called, parse_hook_request

    try:
        body = path.read_bytes()
    except OSError as fault:
        return f"cannot be read ({fault.strerror})"
    hook = hook_called(body)
    request = parse_hook_request(body, hook)
    # a fault's own words may quote the chart: only the place is told
    if isinstance(request, Problem):
        return f"no {hook} request that can be read ({request.where})"
    found = changed_answers(request, catalogue, old, new, asked_at, business_hours)
    return f"cannot be answered ({found.where}); see `cds-service explain`" if isinstance(found, Problem) else found


# -- words


def _as_text(
    old: Policy, new: Policy, changes: Sequence[Change], recorded: Sequence[_Recorded] | None
) -> Iterator[str]:
    from cds_service.pages.changes import changes_text

    title = f"{new.title} [{new.id}]: from {old.version} to {new.version}"
    yield title
    yield "=" * len(title)
    yield changes_text(changes) if changes else "\nNothing but the dates differs."
    if recorded is None:
        return
    yield "\nRecorded requests"
    yield "-----------------"
    for one in recorded:
        yield from _request_lines(one)
    judged = [order for one in recorded for order in one.orders]
    differing = sum(bool(order.fields) for order in judged)
    told = f"{count(len(recorded), 'file')}; {count(len(judged), 'order')} of this policy"
    yield f"\n  {told}, {differing} answered otherwise"


def _request_lines(one: _Recorded) -> Iterator[str]:
    name = printable(one.name)
    if one.passed_over:
        yield f"  {name}: passed over: {printable(one.passed_over)}"
    elif not one.orders:
        yield f"  {name}: neither version speaks of it"
    for order in one.orders:
        under = f", coverage {order.coverage}" if order.coverage > 1 else ""
        alike = "" if order.fields else ": answered alike"
        yield f"  {name}: {printable(order.order)}{under}{alike}"
        for field in order.fields:
            changed = "worded otherwise" if field.before == field.after else f"{field.before} -> {field.after}"
            yield f"      {field.field}: {changed}"


def _as_json(
    old: Policy, new: Policy, changes: Sequence[Change], recorded: Sequence[_Recorded] | None
) -> dict[str, Any]:
    from cds_service.pages.changes import changes_json

    found: dict[str, Any] = {"policy": new.id, "from": old.version, "to": new.version, "changes": changes_json(changes)}
    if recorded is not None:
        found["requests"] = [_request_json(one) for one in recorded]
    return found


def _request_json(one: _Recorded) -> dict[str, Any]:
    if one.passed_over:
        return {"file": one.name, "passedOver": one.passed_over}
    orders = [
        {
            "order": order.order,
            "coverage": order.coverage,
            "changes": [{"field": field.field, "was": field.before, "now": field.after} for field in order.fields],
        }
        for order in one.orders
    ]
    return {"file": one.name, "orders": orders}
