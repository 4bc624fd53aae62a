"""How long the store keeps what, what waits for it, and its log of calls: on real files."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_service.adapters.store.pruning import BATCH, Retention
from cds_service.adapters.store.store import Store
from cds_service.adapters.store.upkeep import Upkeep
from cds_service.adapters.store.waiting import Entry, Waiting
from cds_service.crd.call_record import CallRecord
from cds_service.crd.feedback import Feedback
from cds_service.crd.memory import Assertion, Decision, Kept, SentCard
from cds_service.policy.context import Context
from tests.live_server import LiveServer, run

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
POLICY = "https://cds-service.example.org/fhir/PlanDefinition/acme-oxygen|2024-06-01"
DECISION = Decision(POLICY, "E1390", (), date(2026, 11, 21), "covered", "auth-needed", "auth.all")
TABLES = ("assertions", "contexts", "decisions", "cards", "feedback", "calls")


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def kept(number: int, at: datetime = NOW) -> Kept:
    said = Assertion(f"id-{number}", "digest", "acme", (DECISION,))
    context = Context(f"id-{number}", POLICY, "q", "digest", "Patient/p1", {}, {}, at)
    return Kept((said,), (SentCard(uuid(number), POLICY, "guideline"),), (context,))


def call(number: int) -> CallRecord:
    return CallRecord(
        f"call-{number}", "2.2", 200, "digest", f"{number:064d}", "b" * 64, f'[{{"assertion":"id-{number}"}}]'
    )


def remember(store: Store, number: int, days_ago: float = 0) -> None:
    at = NOW - timedelta(days=days_ago)
    store.remember(kept(number, at), call(number), "order-sign-crd", at)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "cds.sqlite"


def opened(path: Path, **retention: Any) -> Store:
    store = Store(f"sqlite:///{path}", Retention(**retention), "1.0")
    assert store.open() is None
    return store


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    one = opened(path)
    yield one
    one.close()


def counts(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as connection:
        return {one: connection.execute(f"SELECT count(*) FROM {one}").fetchone()[0] for one in TABLES}


# -- what is old ------------------------------------------------------------------------------------------


def test_what_a_questionnaire_is_filled_from_goes_after_its_days_and_the_record_does_not(
    store: Store, path: Path
) -> None:
    for number, days in ((1, 91), (2, 90), (3, 0)):
        remember(store, number, days)
    store.keep_feedback([Feedback(uuid(1), "accepted", NOW, (uuid(9),))], "order-sign-crd", NOW - timedelta(days=91))
    assert store.prune(NOW) == {"contexts": 1}
    assert counts(path) == {"assertions": 3, "contexts": 2, "decisions": 3, "cards": 3, "feedback": 1, "calls": 3}
    assert store.earlier({"id-1"})["id-1"].decisions == (DECISION,)


def test_what_is_said_again_begins_anew(store: Store) -> None:
    remember(store, 1, 91)
    remember(store, 1, 1)
    assert store.prune(NOW) == {"contexts": 0}


def test_records_go_after_their_days_where_a_deployment_says_so(path: Path) -> None:
    store = opened(path, contexts=30, records=365)
    for number, days in ((1, 366), (2, 364)):
        remember(store, number, days)
        received = NOW - timedelta(days=days)
        store.keep_feedback([Feedback(uuid(number), "accepted", NOW, (uuid(9),))], "order-sign-crd", received)
    records = ("decisions", "calls", "feedback", "cards", "assertions")
    assert store.prune(NOW) == {"contexts": 2, "responses": 0, **dict.fromkeys(records, 1)}
    assert counts(path) == {"contexts": 0, **dict.fromkeys(records, 1)}
    assert store.prune(NOW) == {"contexts": 0, "responses": 0, **dict.fromkeys(records, 0)}
    store.close()


def test_while_much_is_deleted_hooks_and_feedback_are_kept(store: Store, path: Path) -> None:
    many = 5 * BATCH + 1
    for number in range(many):
        remember(store, number, 200)
    gone: list[Any] = []
    pruning = threading.Thread(target=lambda: gone.append(store.prune(NOW)))
    pruning.start()
    for number in range(many, many + 20):
        remember(store, number)
    store.keep_feedback([Feedback(uuid(1), "accepted", NOW, (uuid(9),))], "order-sign-crd", NOW)
    pruning.join(timeout=60)
    store.catch_up()
    assert gone == [{"contexts": many}]
    everything = dict.fromkeys(("assertions", "decisions", "cards", "calls"), many + 20)
    assert counts(path) == {**everything, "contexts": 20, "feedback": 1}


def test_the_command_prunes_and_says_what_went(path: Path) -> None:
    address = f"sqlite:///{path}"
    missing = run("store", "prune", CDS_DATABASE_URL=address)
    assert missing.returncode == 1 and "no such database" in missing.stderr
    store = opened(path)
    store.remember(kept(1, LONG_AGO), call(1), "order-sign-crd", LONG_AGO)
    store.close()
    told = run("store", "prune", "--json", CDS_DATABASE_URL=address)
    assert json.loads(told.stdout) == {"deleted": {"contexts": 1}}
    told = run("store", "prune", CDS_DATABASE_URL=address, CDS_RECORD_DAYS="3650")
    assert "calls: 0 rows deleted" in told.stdout


def test_a_worker_prunes_at_its_start_and_writes_what_waits(path: Path) -> None:
    store = opened(path)
    remember(store, 1, 91)
    upkeep = Upkeep(store, lambda: NOW)
    upkeep.start()
    waited = time.monotonic() + 30
    while counts(path)["contexts"] and time.monotonic() < waited:
        time.sleep(0.05)
    assert counts(path)["contexts"] == 0
    upkeep.stop()


def test_a_running_service_prunes_at_its_start(path: Path) -> None:
    store = opened(path)
    store.remember(kept(1, LONG_AGO), call(1), "order-sign-crd", LONG_AGO)
    store.close()
    with LiveServer.started(CDS_DATABASE_URL=f"sqlite:///{path}") as server:
        waited = time.monotonic() + 30
        while counts(path)["contexts"] and time.monotonic() < waited:
            time.sleep(0.05)
    assert server.process.returncode == 0
    assert counts(path) == {"assertions": 1, "contexts": 0, "decisions": 1, "cards": 1, "feedback": 0, "calls": 1}


# -- what waits -------------------------------------------------------------------------------------------


def test_what_a_locked_store_could_not_take_is_written_with_the_next_answer_in_its_order(
    store: Store, path: Path
) -> None:
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        remember(store, 1)
        remember(store, 2)
        other.execute("ROLLBACK")
    assert counts(path)["cards"] == 0
    remember(store, 3)
    assert counts(path)["cards"] == 3
    with sqlite3.connect(path) as connection:
        assert [one for (one,) in connection.execute("SELECT hook_instance FROM calls ORDER BY id")] == [
            "call-1",
            "call-2",
            "call-3",
        ]


def test_what_waits_at_the_end_of_a_worker_is_written_then(path: Path) -> None:
    store = opened(path)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        remember(store, 1)
        other.execute("ROLLBACK")
    Upkeep(store, lambda: NOW).stop()
    assert counts(path)["calls"] == 1


def test_an_answer_that_waited_does_not_go_over_a_later_one(store: Store, path: Path) -> None:
    remember(store, 1, 0)
    late = replace(kept(1).assertions[0], decisions=(replace(DECISION, pa_needed="no-auth"),))
    store.remember(Kept((late,), ()), call(2), "order-sign-crd", NOW - timedelta(minutes=1))
    assert store.earlier({"id-1"})["id-1"].decisions == (DECISION,)


def entry(number: int) -> Entry:
    return Entry(kept(number), call(number), "order-sign-crd", NOW)


def test_what_finds_no_room_to_wait_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    waiting = Waiting(most=2)
    with caplog.at_level(logging.ERROR):
        waiting.put(entry(1), entry(2), entry(3))
        waiting.put(entry(4))
    assert [one.call.hook_instance for one in waiting.take(5)] == ["call-3", "call-4"]
    assert len(caplog.records) == 1, "told once, not for each"
    with caplog.at_level(logging.ERROR):
        waiting.all_written()
        waiting.all_written()
    assert [one.getMessage() for one in caplog.records][1:] == [
        "2 answers could not be recorded: feedback on their cards counts as of unknown cards"
    ]


def test_what_could_not_be_written_goes_back_before_what_came_since() -> None:
    waiting = Waiting()
    waiting.put(entry(1), entry(2))
    taken = waiting.take(2)
    waiting.put(entry(3))
    waiting.put_back(taken)
    assert [one.call.hook_instance for one in waiting.take(9)] == ["call-1", "call-2", "call-3"]


# -- the log of calls -------------------------------------------------------------------------------------


def test_a_call_is_found_by_its_day_by_an_id_and_by_its_body(store: Store) -> None:
    remember(store, 1, 2)
    remember(store, 2)
    assert [one["hook_instance"] for one in store.calls(NOW - timedelta(days=1), None)] == ["call-2"]
    [found] = store.calls(None, "id-1")
    assert found["said"] == [{"assertion": "id-1"}]
    assert (found["program"], found["called_at"]) == ("1.0", "2026-11-19T12:00:00+00:00")
    assert store.calls(None, "id-") == ()
    assert store.calls(None, "%") == ()


def test_a_store_of_the_first_tables_is_brought_up_to_date_with_what_it_holds(path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    import cds_service.adapters.store.migrate as migrate

    store = opened(path)
    remember(store, 1)
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with store._sure_writes.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    store.close()
    again = opened(path)
    assert set(again.earlier({"id-1"})) == {"id-1"}
    remember(again, 2)
    assert counts(path)["calls"] == 1
    again.close()
