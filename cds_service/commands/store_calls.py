"""`cds-service store calls`: the log of calls and what was said in them, for a dispute. Prints JSON only."""

from __future__ import annotations

import argparse
import hashlib
from datetime import datetime
from pathlib import Path

from cds_service.commands.printing import print_json, report
from cds_service.fhir.problem import Problem
from cds_service.settings import Settings


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.adapters.store.store import Store, StoreAway

    since = chosen.since
    if since is not None:
        since = datetime(since.year, since.month, since.day, tzinfo=settings.time_zone)
    digest = None
    if chosen.request is not None:
        try:
            digest = hashlib.sha256(Path(chosen.request).read_bytes()).hexdigest()
        except OSError as fault:
            return report([Problem("not-found", chosen.request, str(fault.strerror), "name a file that can be read")])
    try:
        found = Store(settings.database_url).calls(since, chosen.assertion)
    except StoreAway as away:
        fix = "name the database that the service uses"
        return report([Problem("unavailable", "CDS_DATABASE_URL", f"the store cannot be read: {away}", fix)])
    print_json({"calls": [one for one in found if digest in (None, one["request_digest"])]})
    return 0
