"""The command line: what may be written there. Each command is a module of commands/."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import date, datetime
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path

from cds_service.commands import (
    check,
    explain,
    feedback_report,
    new_policy,
    policy_diff,
    policy_list,
    policy_show,
    serve,
    store_calls,
    store_prune,
)
from cds_service.commands.printing import FAULT, report
from cds_service.settings import SETTINGS, settings_from_environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no ✓ still gets the rest
    chosen = _parser().parse_args(arguments)
    settings, problems = settings_from_environment()
    if chosen.command is serve.run:
        problems = problems + serve.refusals(settings, chosen.host)
    if settings is None or problems:
        report(problems)
        return policy_diff.TROUBLE if chosen.command is policy_diff.run else FAULT
    try:
        status: int = chosen.command(chosen, settings)
        sys.stdout.flush()
    except BrokenPipeError:  # `policy show ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cds-service", description="A payer's prior-authorization determination, as CDS Hooks answers."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('cds-service')}")
    commands = parser.add_subparsers(
        required=True, metavar="serve | check | explain | policy | new-policy | feedback | store"
    )

    serving = commands.add_parser(
        "serve",
        help="answer hooks over HTTP",
        description="Load the policies, then answer hooks over HTTP.",
        epilog=_settings_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serving.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (%(default)s)")
    serving.add_argument("--port", type=_port, default=8080, help="port; 0 takes a free one (%(default)s)")
    serving.add_argument(
        "--workers", type=_workers, default=os.cpu_count() or 1, help="processes (%(default)s: one per core)"
    )
    serving.set_defaults(command=serve.run)

    checking = commands.add_parser(
        "check",
        help="check plans and value sets, and run the policies' cases",
        description="Load CDS_PLANS and CDS_VALUESETS, list every fault in them, run the policies' cases.",
    )
    checking.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="run only the cases below these folders of the plans",
    )
    checking.add_argument("--json", action="store_true", help="print JSON")
    checking.set_defaults(command=check.run)

    explaining = commands.add_parser(
        "explain",
        help="answer one hook request in words",
        description="Judge the order-sign request in a file; print the determination as a tree of criteria.",
    )
    explaining.add_argument("request", metavar="REQUEST.json", help="a CDS Hooks request; - reads it from the input")
    explaining.add_argument(
        "--at", type=_instant, metavar="INSTANT", help="as if asked then: 2026-02-10T12:00:00-05:00"
    )
    explaining.add_argument("--json", action="store_true", help="print JSON")
    explaining.set_defaults(command=explain.run)

    making = commands.add_parser(
        "new-policy",
        help="write the files of a new policy, to be filled in",
        description="Write plan, cases, value sets and README of a new policy below CDS_PLANS and CDS_VALUESETS, "
        "and the payer's file where it is new. `cds-service check` then lists what is to do.",
    )
    making.add_argument("payer", metavar="PAYER", help="the payer's id, such as acme-health")
    making.add_argument("policy", metavar="POLICY", help="what it is about, such as home-oxygen")
    making.add_argument("date", type=_day, metavar="DATE", help="its first day in force: 2026-01-01")
    making.set_defaults(command=new_policy.run)

    about = "What the policies say, in words: for those who hold the payer's document beside it."
    policy = commands.add_parser("policy", help="list, show and compare policies", description=about)
    _add_policy_commands(policy.add_subparsers(required=True, metavar="list | show | diff"))

    about = "What clinicians did with the cards that were sent: taken, or set aside, and why."
    feedback = commands.add_parser("feedback", help="say what became of the cards that were sent", description=about)
    _add_feedback_commands(feedback.add_subparsers(required=True, metavar="report"))

    about = "What is kept of calls and answers: read it for a dispute, delete what is old."
    store = commands.add_parser("store", help="read the log of calls, delete what is old", description=about)
    _add_store_commands(store.add_subparsers(required=True, metavar="calls | prune"))
    return parser


def _add_store_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = (
        "Print the calls of hooks that were logged, as JSON: when, what was said (codes), and digests of both bodies."
    )
    reading = commands.add_parser("calls", help="the calls that were logged, and what was said", description=about)
    reading.add_argument("--since", type=_day, metavar="DATE", help="only calls on this day or later")
    reading.add_argument("--assertion", metavar="ID", help="only calls in which this coverage-assertion-id was given")
    reading.add_argument("--request", metavar="FILE", help="only the calls whose body was this file, byte for byte")
    reading.set_defaults(command=store_calls.run)

    about = "Delete what is older than CDS_DTR_CONTEXT_DAYS and CDS_RECORD_DAYS say; a running service does it daily."
    pruning = commands.add_parser("prune", help="delete what is older than it is kept", description=about)
    pruning.add_argument("--json", action="store_true", help="print JSON")
    pruning.set_defaults(command=store_prune.run)


def _add_feedback_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "Count the cards sent, accepted and set aside, by policy, kind of card and reason."
    reporting = commands.add_parser("report", help="rates by policy, kind of card and reason", description=about)
    reporting.add_argument("--since", type=_day, metavar="DATE", help="only of cards sent on this day or later")
    reporting.add_argument("--json", action="store_true", help="print JSON")
    reporting.set_defaults(command=feedback_report.run)


def _add_policy_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listing = commands.add_parser(
        "list", help="the policies that are held", description="List every policy with its versions."
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(command=policy_list.run)

    showing = commands.add_parser(
        "show",
        help="print a policy as a page",
        description="Print one version of a policy as a page: orders, authorization, criteria, documents, citations.",
    )
    showing.add_argument("policy", metavar="ID[@DATE]", help="a policy; as in force on the date (today)")
    showing.add_argument("--codes", action="store_true", help="print every code of every value set")
    showing.add_argument("--expressions", action="store_true", help="print each expression (FHIRPath) below its words")
    showing.add_argument("--json", action="store_true", help="print JSON")
    showing.set_defaults(command=policy_show.run)

    comparing = commands.add_parser(
        "diff",
        help="say what changed between two versions",
        description="Say in words what changed between two versions of a policy, and whom it touches.",
        epilog="Ends with 0 where nothing differs, with 1 where something does, with 2 where it cannot be told.",
    )
    comparing.add_argument("policy", metavar="ID", help="a policy")
    comparing.add_argument("old", metavar="VERSION1", help="its older version: a date, as the folder is named")
    comparing.add_argument("new", metavar="VERSION2", help="its newer version")
    comparing.add_argument(
        "--against",
        type=Path,
        metavar="FOLDER",
        help="recorded hook requests (*.json, at any depth): say which of them would be answered differently",
    )
    comparing.add_argument("--at", type=_instant, metavar="INSTANT", help="the requests as if asked then")
    comparing.add_argument("--json", action="store_true", help="print JSON")
    comparing.set_defaults(command=policy_diff.run)


def _settings_table() -> str:
    rows = [f"  {one.name:<24} {one.meaning} (default: {one.default})" for one in SETTINGS]
    return "settings, from the environment:\n" + "\n".join(rows)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write a number up to 65535")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r}; write a number from 1 to 64")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write 2026-01-01") from fault


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"{text!r} is no instant; write 2026-02-10T12:00:00-05:00") from fault
    return instant


if __name__ == "__main__":
    sys.exit(main())
