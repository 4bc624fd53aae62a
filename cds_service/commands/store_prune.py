"""`cds-service store prune`: delete now what is older than it is kept, as a running service does once a day."""

from __future__ import annotations

import argparse

from cds_service.commands.printing import count, print_json, report
from cds_service.fhir.problem import Problem
from cds_service.settings import Settings


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.adapters.store.database import file_of
    from cds_service.adapters.store.pruning import Retention
    from cds_service.adapters.store.store import Store, StoreAway
    from cds_service.app import clock

    if not file_of(settings.database_url).exists():
        fix = "name the database that the service uses; the service makes it when it starts"
        return report([Problem("unavailable", "CDS_DATABASE_URL", "no such database", fix)])
    store = Store(settings.database_url, Retention(settings.dtr_context_days, settings.record_days))
    try:
        gone = store.prune(clock(settings)())
    except StoreAway as away:
        fix = "run it again once the database can be written"
        return report([Problem("unavailable", "CDS_DATABASE_URL", f"the store cannot be written: {away}", fix)])
    finally:
        store.close()
    if chosen.json:
        print_json({"deleted": dict(gone)})
        return 0
    for table, number in gone.items():
        print(f"{table}: {count(number, 'row')} deleted")
    if settings.record_days is None:
        print("calls, cards and feedback are kept for good (CDS_RECORD_DAYS is not set)")
    return 0
