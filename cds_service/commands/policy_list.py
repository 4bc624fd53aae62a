"""`cds-service policy list`: every policy with its versions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cds_service.commands.printing import FAULT, policies_of, print_json
from cds_service.settings import Settings

if TYPE_CHECKING:
    from cds_service.policy.catalogue import Catalogue


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    policies = policies_of(settings)
    if policies is None:
        return FAULT
    rows = list(_rows(policies.catalogue))
    if chosen.json:
        print_json(rows)
        return 0
    wide = [max([len(row[name]) for row in rows] or [0]) for name in ("policy", "inForce", "payer")]
    for row in rows:
        print(f"{row['policy']:<{wide[0]}}  {row['inForce']:<{wide[1]}}  {row['payer']:<{wide[2]}}  {row['title']}")
    return 0


def _rows(catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    from cds_service.pages.policy_page import in_force_until

    for policy in sorted(catalogue.policies, key=lambda one: (one.id, one.start)):
        until = in_force_until(policy, catalogue)
        if policy.retired:
            in_force = f"ended {policy.start}"
        elif policy.id in catalogue.disabled:
            in_force = f"switched off ({policy.start})"
        else:
            in_force = f"{policy.start} {f'to {until}' if until else 'on'}"
        yield {
            "policy": policy.id,
            "version": policy.version,
            "inForce": in_force,
            "payer": policy.payer_name,
            "title": policy.title,
        }
