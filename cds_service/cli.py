"""The command line: serve, check, explain. Prints, and ends with 0 only when all is well. Decides nothing."""

from __future__ import annotations

import argparse
import gc
import ipaddress
import json
import logging
import os
import re
import socket
import sys
import uuid
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from cds_service.fhir.problem import Problem
from cds_service.settings import SETTINGS, Settings, settings_from_environment

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from cds_service.app import Policies

FAULT = 1  # 2 is argparse's own, for a command that it cannot read

# A slow client holds a thread, not the process; more of them would only wait for each other.
THREADS = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no ✓ still gets the rest
    chosen = _parser().parse_args(arguments)
    settings, problems = settings_from_environment()
    if chosen.command is _serve:
        problems = problems + _refusals(settings, chosen.host)
    if settings is None or problems:
        return _report(problems)
    status: int = chosen.command(chosen, settings)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cds-service", description="A payer's prior-authorization determination, as CDS Hooks answers."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('cds-service')}")
    commands = parser.add_subparsers(required=True, metavar="serve | check | explain")

    serve = commands.add_parser(
        "serve",
        help="answer hooks over HTTP",
        description="Load the policies, then answer hooks over HTTP.",
        epilog=_settings_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (%(default)s)")
    serve.add_argument("--port", type=_port, default=8080, help="port; 0 takes a free one (%(default)s)")
    serve.add_argument(
        "--workers", type=_workers, default=os.cpu_count() or 1, help="processes (%(default)s: one per core)"
    )
    serve.set_defaults(command=_serve)

    check = commands.add_parser(
        "check",
        help="check plans and value sets, and run the policies' cases",
        description="Load CDS_PLANS and CDS_VALUESETS, list every fault in them, run the policies' cases.",
    )
    check.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="run only the cases below these folders of the plans",
    )
    check.add_argument("--json", action="store_true", help="print JSON")
    check.set_defaults(command=_check)

    explain = commands.add_parser(
        "explain",
        help="answer one hook request in words",
        description="Judge the order-sign request in a file; print the determination as a tree of criteria.",
    )
    explain.add_argument("request", metavar="REQUEST.json", help="a CDS Hooks request; - reads it from the input")
    explain.add_argument("--at", type=_instant, metavar="INSTANT", help="as if asked then: 2026-02-10T12:00:00-05:00")
    explain.add_argument("--json", action="store_true", help="print JSON")
    explain.set_defaults(command=_explain)
    return parser


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


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"{text!r} is no instant; write 2026-02-10T12:00:00-05:00") from fault
    return instant


def _report(problems: Sequence[Problem]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    return FAULT


# -- serve -----------------------------------------------------------------------------------------


def _serve(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.app import StartRefused, create_app

    try:
        app = create_app(settings)
    except StartRefused as refused:
        return _report(refused.problems)
    taken = _taken(chosen.host, chosen.port)
    if taken is not None:
        return _report([taken])
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    serve_wsgi(app, chosen.host, chosen.port, chosen.workers, "client authentication is off: this machine only")
    return 0


def _refusals(settings: Settings | None, host: str) -> list[Problem]:
    """Why this service may not be exposed yet: nothing tells it who calls, and an answer quotes the chart."""
    problems = []
    if settings is not None and settings.client_auth != "off":
        what = "client authentication does not exist yet, so it cannot be required"
        fix = "set CDS_CLIENT_AUTH=off, which serves this machine only"
        problems.append(Problem("not-supported", "CDS_CLIENT_AUTH", what, fix))
    if not _is_loopback(host):
        what = f"{host!r} can be reached from other machines, and client authentication does not exist yet"
        problems.append(Problem("not-supported", "--host", what, "listen on 127.0.0.1 or ::1"))
    return problems


def _is_loopback(host: str) -> bool:
    """True where every address that the name stands for is a loopback address."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0]).split("%")[0]).is_loopback for *_, address in found)


def _taken(host: str, port: int) -> Problem | None:
    """Why nothing can listen there; gunicorn would try for five seconds and say it ten times."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family):
            return None
    except OSError as fault:
        what = f"{port} on {host}: {os.strerror(fault.errno or 0).lower()}"
        return Problem("unavailable", "--port", what, "choose another --port, or stop what listens there")


def serve_wsgi(app: WSGIApplication, host: str, port: int, workers: int, note: str) -> None:
    """Serve `app` by gunicorn until a signal ends it. It is built by now: the workers share it."""
    from gunicorn.app.base import BaseApplication

    def listening(server: Any) -> None:
        where = ", ".join(str(listener) for listener in server.LISTENERS)
        print(f"cds-service {version('cds-service')} listens on {where} ({note})", flush=True)

    chosen = {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "workers": workers,
        "worker_class": "gthread",
        "threads": THREADS,
        "preload_app": True,
        "keepalive": 75,  # longer than the proxies in front keep theirs
        # not warnings: gunicorn quotes a malformed request in them, which may be a piece of a chart
        "loglevel": "error",
        "when_ready": listening,
        "control_socket_disable": True,
        # the workers' heartbeat files: in memory, so that the file system can be read-only
        "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,
    }

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in chosen.items():
                self.cfg.set(name, value)

        def load(self) -> WSGIApplication:
            return app

    spare_the_collector()
    Server().run()


def spare_the_collector() -> None:
    """Tell the garbage collector what a serving process is like: what was built so far stays, and an answer leaves no
    circles behind (a test holds it to that), so that looking for them is seldom worth while."""
    gc.collect()
    gc.freeze()  # also: the workers go on sharing the pages of what was built
    gc.set_threshold(50_000, 10, 10)


# -- check -----------------------------------------------------------------------------------------


def _check(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.app import StartRefused, load_policies

    try:
        policies = load_policies(settings)
    except StartRefused as refused:
        told = f"{_count(len(refused.problems), 'fault')}; no case was run"
        return _print_checked(chosen.json, refused.problems, told)
    problems, codes = _check_codes(policies)
    failed, cases = _run_cases(policies, [path.resolve() for path in chosen.paths])
    problems += failed
    told = f"{_count(len(policies.catalogue.policies), 'policy', 'policies')}, {_count(cases, 'case')}"
    return _print_checked(chosen.json, problems, f"{told}, {_count(len(problems), 'fault')}; {codes}")


def _check_codes(policies: Policies) -> tuple[list[Problem], str]:
    """Faults of the codes in the value sets, and in words whether ICD-10-CM could be held against a list of it."""
    from cds_service.adapters.icd10cm_package import PACKAGE, packaged_codes
    from cds_service.terminology.icd10cm import has_codes
    from cds_service.terminology.lints import lint_value_sets

    definitions = [file.definition for file in policies.files]
    sets = [(one.where, one.resource) for one in definitions if one.resource["resourceType"] == "ValueSet"]
    read = {canonical for policy in policies.catalogue.policies for canonical in policy.value_sets}
    codes = packaged_codes() if any(has_codes(one) for _, one in sets) else None
    told = f"ICD-10-CM codes as of {codes.release}" if codes else f"ICD-10-CM codes NOT verified: {PACKAGE} is missing"
    return lint_value_sets(sets, read, codes), told


def _run_cases(policies: Policies, below: Sequence[Path]) -> tuple[list[Problem], int]:
    """Every fault of the policies' own cases (of those below the paths, if any), and how many were run."""
    from cds_service.policy.case_file import read_cases
    from cds_service.policy.cases import run_case

    chosen = [one for one in policies.cases if not below or any(map(one.path.is_relative_to, below))]
    problems = [
        Problem("not-found", str(path), "no cases.yaml below this path", "name a folder of CDS_PLANS")
        for path in below
        if not any(one.path.is_relative_to(path) for one in chosen)
    ]
    run = 0
    for unread in chosen:
        policy = policies.beside(unread)
        if policy is None:
            problems.append(
                Problem("invalid", unread.where, "no PlanDefinition.json beside it", "put it beside its plan")
            )
            continue
        read, faults = read_cases(unread.text, unread.where, unread.charts)
        problems.extend(faults)
        for case in read.cases:
            run += 1
            result = run_case(case, policy)
            if result.differences:
                wanted = "; ".join(result.differences)
                named = set(re.findall(r"[\w.-]+", wanted))
                because = [reason for reason in result.reasons if reason.split(": ")[0] in named]
                what = f"{wanted} (because: {'; '.join(because)})" if because else wanted
                problems.append(Problem("conflict", case.where, what, "mend the plan or the case"))
    return problems, run


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _print_checked(as_json: bool, problems: Sequence[Problem], summary: str) -> int:
    if as_json:
        rows = [{"where": one.where, "what": one.what, "fix": one.fix} for one in problems]
        print(json.dumps({"problems": rows, "summary": summary}, indent=2, ensure_ascii=False))
    else:
        _report(problems)
        print(summary)
    return FAULT if problems else 0


# -- explain ---------------------------------------------------------------------------------------


def _explain(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.app import StartRefused, clock, load_policies
    from cds_service.crd.answer import answer
    from cds_service.crd.explanation import explain, explain_json
    from cds_service.crd.hook_request import parse_hook_request
    from cds_service.crd.prefetch import HOOK

    if chosen.request == "-" and sys.stdin is None:
        return _report([Problem("not-found", "standard input", "is closed", "name a file, or send the call to it")])
    try:
        body = sys.stdin.buffer.read() if chosen.request == "-" else Path(chosen.request).read_bytes()
    except OSError as fault:
        return _report([Problem("not-found", chosen.request, str(fault.strerror), "name a file that can be read")])
    try:
        policies = load_policies(settings)
    except StartRefused as refused:
        return _report(refused.problems)
    request = parse_hook_request(body, HOOK)
    if isinstance(request, Problem):
        return _report([request])
    asked_at = _in_zone(chosen.at, settings.time_zone) if chosen.at else clock(settings)()
    response = answer(request, policies.catalogue, asked_at, lambda: str(uuid.uuid4()), str)
    if isinstance(response, Problem):
        return _report([response])
    if chosen.json:
        rows = [row for statement in response.statements for row in explain_json(statement)]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print(_for_terminal("\n\n\n".join(map(explain, response.statements))))
    return 0


# for a terminal that has no ✓: met and not met may never look the same
_PLAIN_MARKS = str.maketrans({"✓": "+", "✗": "x", "–": "-"})


def _for_terminal(text: str) -> str:
    try:
        "✓✗–".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return text.translate(_PLAIN_MARKS)
    return text


def _in_zone(instant: datetime, zone: ZoneInfo) -> datetime:
    """The instant as the service's calendar sees it; one written without an offset is meant in that zone."""
    return instant.astimezone(zone) if instant.tzinfo else instant.replace(tzinfo=zone)


if __name__ == "__main__":
    sys.exit(main())
