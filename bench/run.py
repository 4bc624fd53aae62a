"""What an answer costs: in the core, through HTTP beside a floor, as charts and policies grow. Prints it.

Measured is the cds-service that is installed for the Python that runs this.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from growth import resources_in, with_chart_of, with_policies
from load import Figures, drive
from questions import costs as costs_of_questions
from server import Server, started

from cds_service.adapters.definition_files import read_definition_folders
from cds_service.commands.serve import spare_the_collector
from cds_service.crd.answer import answer, render
from cds_service.crd.hook_request import parse_hook_request
from cds_service.fhir.problem import Problem
from cds_service.policy import criteria
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import Definition, load_catalogue
from cds_service.settings import read_settings

ROOT = Path(__file__).resolve().parents[1]
CALL = ROOT / "tests" / "conversations" / "home-oxygen-order-sign" / "request.json"
POLICY = "masshealth-home-oxygen"
SERVICE, HOOK = "/cds-services/order-sign-crd", "order-sign"
CONNECTIONS = 4
WARM_UP, CALLS = 300, 3000
RUNS = 1000

# the goals: core CPU ms, times the floor, resident MB, seconds to ready
CORE_MS, TIMES_FLOOR, RSS_MB, READY_S = 1.0, 3.0, 120.0, 2.0
FIRST_QUESTION_S, NEXT_QUESTION_S = 5.0, 1.0


def main() -> None:
    body = CALL.read_bytes()
    definitions = shipped()
    catalogue = loaded(definitions)
    call = json.loads(body)
    made = "Python" if str(criteria.__file__).endswith(".py") else "machine code"
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, the core as {made}")
    print(f"{CALL.parent.name}: {len(body)} bytes, {resources_in(call)} resources in prefetch\n")
    core(body, catalogue)
    through_http(body, len(answered(body, catalogue)))
    growing_charts(call, catalogue)
    growing_policies(body, definitions)
    next_questions(catalogue)


# -- in process ------------------------------------------------------------------------------------


def shipped() -> list[Definition]:
    settings, _ = read_settings({})
    assert settings is not None
    return [file.definition for file in read_definition_folders(settings.plans, settings.valuesets).files]


def loaded(definitions: list[Definition]) -> Catalogue:
    catalogue, problems = load_catalogue(definitions)
    assert catalogue is not None, problems[:3]
    return catalogue


def answered(body: bytes, catalogue: Catalogue) -> bytes:
    """The whole core, as web/hooks.py calls it."""
    asked = parse_hook_request(body, HOOK)
    assert not isinstance(asked, Problem), asked
    at = datetime.fromisoformat("2026-11-22T12:00:00-05:00")
    response = answer(asked, catalogue, at, lambda: str(uuid.uuid4()), lambda plan: f"http://x/{plan}")
    assert not isinstance(response, Problem), response
    return render(response)


def cpu_ms(work: Callable[[], object], runs: int = RUNS) -> list[float]:
    """Processor milliseconds of each run, sorted, on a process as the server has it."""
    for _ in range(runs // 10):
        work()
    spare_the_collector()
    costs = []
    for _ in range(runs):
        before = time.process_time_ns()
        work()
        costs.append((time.process_time_ns() - before) / 1e6)
    return sorted(costs)


def core(body: bytes, catalogue: Catalogue) -> None:
    print("Core, in process (CPU ms)            min  median     p99")
    parse = cpu_ms(lambda: parse_hook_request(body, HOOK))
    whole = cpu_ms(lambda: answered(body, catalogue))
    for name, costs in (("parse", parse), ("parse to answer", whole)):
        low, median, high = costs[0], statistics.median(costs), costs[len(costs) * 99 // 100]
        print(f"  {name:<30} {low:7.3f} {median:7.3f} {high:7.3f}")
    print(goal(f"parse to answer at most {CORE_MS} ms", statistics.median(whole), CORE_MS))


def growing_charts(call: dict[str, object], catalogue: Catalogue) -> None:
    print("\nCore by resources in the chart (median CPU ms)")
    for resources in (30, 60, 120, 240):
        if resources < resources_in(call):
            continue
        body = json.dumps(with_chart_of(call, resources)).encode()
        median = statistics.median(cpu_ms(lambda body=body: answered(body, catalogue), RUNS // 4))
        print(f"  {resources:>5} {median:8.3f}   {1000 * median / resources:6.1f} µs each")


def growing_policies(body: bytes, definitions: list[Definition]) -> None:
    print("\nCore by policies loaded (median CPU ms)")
    held = sum(one.resource["resourceType"] == "PlanDefinition" for one in definitions)
    for policies in (1, held, 10, 1000):
        began = time.perf_counter()
        catalogue = loaded(with_policies(definitions, policies, POLICY))
        seconds = time.perf_counter() - began
        median = statistics.median(cpu_ms(lambda catalogue=catalogue: answered(body, catalogue), RUNS // 2))
        print(f"  {len(catalogue.policies):>5} {median:8.3f}   loaded in {seconds:.2f} s")


def next_questions(catalogue: Catalogue) -> None:
    print("\nAdaptive forms (CPU ms, the dearest of all calls)  first   later")
    figures = list(costs_of_questions(catalogue))
    for name, first, later in figures:
        print(f"  {name:<44} {first:8.1f} {later:7.1f}")
    # DTR, spec-38, by the wall clock; here is what of it is ours
    print(goal(f"first question within {FIRST_QUESTION_S} s", max(one[1] for one in figures) / 1000, FIRST_QUESTION_S))
    print(goal(f"later ones within {NEXT_QUESTION_S} s", max(one[2] for one in figures) / 1000, NEXT_QUESTION_S))


# -- through HTTP ----------------------------------------------------------------------------------


def through_http(body: bytes, answer_size: int) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    room = tempfile.TemporaryDirectory()
    env |= {"CDS_CLIENT_AUTH": "off", "CDS_DATABASE_URL": f"sqlite:///{room.name}/cds.sqlite"}
    # -P: what is installed, and not the sources that this is run beside
    service = (sys.executable, "-P", "-m", "cds_service.cli", "serve", "--port", "0", "--workers", "1")
    floor = (sys.executable, str(Path(__file__).with_name("floor.py")), str(answer_size))
    print(f"\nThrough HTTP, one worker, {CONNECTIONS} connections, {CALLS} calls")
    print("           CPU ms/call   calls/s   p50 ms   p99 ms   RSS MB   PSS MB   ready s")
    with started(floor, env) as server:
        beside = measured("floor", server, body)
    with started(service, env) as server:
        ours = measured("service", server, body)
        resident, _ = server.memory()
        ready_after = server.ready_after
    times = ours.cpu_ms / beside.cpu_ms
    print(goal(f"at most {TIMES_FLOOR:g} times the floor's CPU", times, TIMES_FLOOR))
    print(goal(f"resident under {RSS_MB:g} MB", resident, RSS_MB))
    print(goal(f"ready in under {READY_S:g} s", ready_after, READY_S))


def measured(name: str, server: Server, body: bytes) -> Figures:
    drive(server, SERVICE, body, WARM_UP, CONNECTIONS)
    figures = drive(server, SERVICE, body, CALLS, CONNECTIONS)
    resident, share = server.memory()
    print(
        f"  {name:<9} {figures.cpu_ms:10.3f} {figures.per_second:9.0f} {figures.percentile(50):8.2f} "
        f"{figures.percentile(99):8.2f} {resident:8.1f} {share:8.1f} {server.ready_after:9.2f}"
    )
    return figures


def goal(words: str, figure: float, limit: float) -> str:
    return f"  {'reached' if figure <= limit else 'MISSED '}  {words}: {figure:.2f}"


if __name__ == "__main__":
    main()
