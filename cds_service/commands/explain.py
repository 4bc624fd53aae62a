"""`cds-service explain`: one hook request answered in words."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cds_service.commands.printing import for_terminal, report
from cds_service.fhir.problem import Problem
from cds_service.settings import Settings


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.app import StartRefused, clock, load_policies
    from cds_service.crd.answer import answer
    from cds_service.crd.explanation import explain, explain_json
    from cds_service.crd.hook_request import hook_called, parse_hook_request

    if chosen.request == "-" and sys.stdin is None:
        return report([Problem("not-found", "standard input", "is closed", "name a file, or send the call to it")])
    try:
        body = sys.stdin.buffer.read() if chosen.request == "-" else Path(chosen.request).read_bytes()
    except OSError as fault:
        return report([Problem("not-found", chosen.request, str(fault.strerror), "name a file that can be read")])
    try:
        policies = load_policies(settings)
    except StartRefused as refused:
        return report(refused.problems)
    request = parse_hook_request(body, hook_called(body))
    if isinstance(request, Problem):
        return report([request])
    asked_at = in_zone(chosen.at, settings.time_zone) if chosen.at else clock(settings)()
    response = answer(request, policies.catalogue, asked_at, lambda: str(uuid.uuid4()), str, settings.business_hours)
    if isinstance(response, Problem):
        return report([response])
    if chosen.json:
        rows = [row for statement in response.statements for row in explain_json(statement)]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print(for_terminal("\n\n\n".join(map(explain, response.statements))))
    return 0


def in_zone(instant: datetime, zone: ZoneInfo) -> datetime:
    """The instant as the service's calendar sees it; one written without an offset is meant in that zone."""
    return instant.astimezone(zone) if instant.tzinfo else instant.replace(tzinfo=zone)
