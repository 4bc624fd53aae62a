"""`cds-service feedback report`: what became of the cards that were sent, by policy, kind and reason."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from cds_service.commands.printing import count, for_terminal, print_json, printable, report
from cds_service.crd.feedback import Rate, Reason
from cds_service.crd.override_reasons import display_of
from cds_service.fhir.problem import Problem
from cds_service.settings import Settings


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.adapters.store.store import Store, StoreAway

    since = chosen.since
    if since is not None:
        since = datetime(since.year, since.month, since.day, tzinfo=settings.time_zone)
    try:
        rates = Store(settings.database_url).rates(since)
    except StoreAway as away:
        fix = "name the database that the service uses"
        return report([Problem("unavailable", "CDS_DATABASE_URL", f"the store cannot be read: {away}", fix)])
    if chosen.json:
        print_json(
            {"since": chosen.since.isoformat() if chosen.since else None, "rates": [_json(one) for one in rates]}
        )
        return 0
    print(f"Cards sent{f' since {chosen.since}' if chosen.since else ''}, and what became of them")
    for one in rates:
        _print(one)
    if not rates:
        print("  none")
    return 0


def _print(rate: Rate) -> None:
    policy = rate.policy.rpartition("/")[2].replace("|", ", ") if rate.policy else "cards that are not known here"
    print()
    print(for_terminal(printable(f"{policy}: {rate.kind}" if rate.kind else policy)))
    if rate.sent:
        print(f"  {count(rate.sent, 'card')} sent")
    print(f"  {rate.accepted} accepted{_percent(rate, rate.accepted)}")
    print(f"  {rate.overridden} set aside{_percent(rate, rate.overridden)}")
    for one in rate.reasons:
        print(f"    {one.count} {printable(_reason(one))}")


def _percent(rate: Rate, number: int) -> str:
    share = rate.share(number)
    return "" if share is None else f" ({share:.0%})"


def _reason(reason: Reason) -> str:
    if not reason.code:
        return "without a reason"
    display = display_of(reason.system, reason.code)
    if display is not None:
        return display
    return f"{reason.code} ({reason.system})" if reason.system else reason.code


def _json(rate: Rate) -> dict[str, Any]:
    return {
        "policy": rate.policy or None,
        "kind": rate.kind or None,
        "sent": rate.sent,
        "accepted": rate.accepted,
        "acceptedRate": rate.share(rate.accepted),
        "overridden": rate.overridden,
        "overriddenRate": rate.share(rate.overridden),
        "reasons": [
            {
                "system": one.system or None,
                "code": one.code or None,
                "display": display_of(one.system, one.code),
                "count": one.count,
            }
            for one in rate.reasons
        ],
    }
