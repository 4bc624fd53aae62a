"""`cds-service policy show`: one version of a policy as a page."""

from __future__ import annotations

import argparse
from datetime import date
from typing import TYPE_CHECKING

from cds_service.commands.printing import FAULT, for_terminal, policies_of, print_json, report
from cds_service.fhir.problem import Problem
from cds_service.settings import Settings

if TYPE_CHECKING:
    from cds_service.policy.catalogue import Catalogue
    from cds_service.policy.plan import Policy


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.app import clock
    from cds_service.pages.page_text import page_json, page_text
    from cds_service.pages.policy_page import policy_page

    policies = policies_of(settings)
    if policies is None:
        return FAULT
    name, _, day = chosen.policy.partition("@")
    on = _day(day) if day else clock(settings)().date()
    if on is None:
        return report([Problem("invalid", chosen.policy, f"{day!r} is no day", "write it as 2026-02-10")])
    found = _version(policies.catalogue, name, on, asked_for_a_day=bool(day))
    if isinstance(found, Problem):
        return report([found])
    page = policy_page(found, policies.catalogue)
    if chosen.json:
        print_json(page_json(page))
    else:
        print(for_terminal(page_text(page, chosen.codes, chosen.expressions)), end="")
    return 0


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _version(catalogue: Catalogue, name: str, on: date, asked_for_a_day: bool) -> Policy | Problem:
    """The version that answers an order of that day; without a day asked for, else the first or the last one."""
    versions = versions_of(catalogue, name)
    if isinstance(versions, Problem):
        return versions
    begun = [one for one in versions if one.start <= on]
    if begun and (not begun[-1].retired or not asked_for_a_day):
        return begun[-1]
    if not asked_for_a_day:
        return versions[0]
    told = ", ".join(f"{one.version}{' (ended)' if one.retired else ''}" for one in versions)
    return Problem("not-found", f"{name}@{on}", "not in force on that day", f"its versions begin on {told}")


def versions_of(catalogue: Catalogue, name: str) -> list[Policy] | Problem:
    """Every version of a policy, the oldest first."""
    from cds_service.policy.faults import did_you_mean

    found = sorted((one for one in catalogue.policies if one.id == name), key=lambda one: one.start)
    if found:
        return found
    held = sorted({one.id for one in catalogue.policies})
    return Problem("not-found", name, "no such policy is held", did_you_mean(name, held, f"one of {', '.join(held)}"))
