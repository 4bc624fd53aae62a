"""The store on real files: its migrations, what it gives back, what it does when it cannot."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, inspect

from cds_service.adapters.store import store as store_module
from cds_service.adapters.store.database import engine_for, make_file
from cds_service.adapters.store.migrate import run_migrations
from cds_service.adapters.store.store import Store, StoreAway
from cds_service.adapters.store.tables import SCHEMA, metadata
from cds_service.crd.call_record import CallRecord
from cds_service.crd.feedback import Feedback, Rate, Reason
from cds_service.crd.memory import Assertion, Authorization, Decision, Kept, SentCard
from cds_service.policy.context import Context
from tests.live_server import ROOT

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SERVICE = "order-sign-crd"
POLICY = "https://cds-service.example.org/fhir/PlanDefinition/acme-oxygen|2024-06-01"
AUTHORIZATION = Authorization("PA-1", "ClaimResponse/r1", date(2026, 11, 1), date(2027, 1, 31))
DECISION = Decision(
    POLICY, "E1390", ("KX", "RR"), date(2026, 11, 21), "covered", "satisfied", "auth.all", AUTHORIZATION
)
ASSERTION = Assertion("id-1", "digest", "acme", (DECISION,))
CALL = CallRecord("instance-1", "2.2", 200, "digest", "a" * 64, "b" * 64, '[{"assertion":"id-1","covered":"covered"}]')
CONTEXT = Context(
    id="id-1",
    policy=POLICY,
    questionnaire="https://cds-service.example.org/fhir/Questionnaire/acme-oxygen|2024-06-01",
    patient="digest",
    subject="Patient/p1",
    coverage={"reference": "Coverage/c1"},
    situation={"line": {"resource": {"resourceType": "DeviceRequest"}}},
    made_at=NOON,
)


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def cards(*numbers: int, kind: str = "guideline") -> Kept:
    return Kept((), tuple(SentCard(uuid(one), POLICY, kind) for one in numbers))


def taken(number: int, at: datetime = NOON) -> Feedback:
    return Feedback(uuid(number), "accepted", at, (uuid(900 + number),))


def set_aside(number: int, code: str = "", at: datetime = NOON) -> Feedback:
    return Feedback(uuid(number), "overridden", at, reason_system="urn:why" if code else "", reason_code=code)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "cds.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{path}")
    assert store.open() is None
    yield store
    store.close()


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(query).fetchall()


# -- the file and its tables ------------------------------------------------------------------------------


def test_the_file_is_made_with_its_folder_and_is_its_owners_alone(opened: Store, path: Path) -> None:
    opened.remember(cards(1), CALL, SERVICE, NOON)
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}


def test_it_is_kept_in_wal_mode(opened: Store, path: Path) -> None:
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_opening_it_again_changes_nothing(opened: Store, path: Path) -> None:
    opened.remember(Kept((ASSERTION,), ()), CALL, SERVICE, NOON)
    before = rows(path, "SELECT sql FROM sqlite_master ORDER BY name")
    again = Store(f"sqlite:///{path}")
    assert again.open() is None
    assert rows(path, "SELECT sql FROM sqlite_master ORDER BY name") == before
    assert again.earlier({"id-1"}) == {"id-1": ASSERTION}
    again.close()


def test_the_migrations_make_the_tables_that_the_program_wants(opened: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with opened._sure.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == SCHEMA
        assert compare_metadata(context, metadata) == []


def test_tables_that_are_made_at_once_are_those_that_the_migrations_make(opened: Store, tmp_path: Path) -> None:
    migrated = engine_for(f"sqlite:///{tmp_path}/migrated.sqlite", "FULL", 5.0)
    with migrated.connect().execution_options(writes=True) as connection, connection.begin():
        run_migrations(connection, None)
        by_migrations = schema(connection)
    migrated.dispose()
    with opened._sure.connect() as connection:
        assert schema(connection) == by_migrations


def schema(connection: Connection) -> dict[str, Any]:
    """The tables as the database knows them: columns with their types, keys, indexes."""
    found = inspect(connection)
    return {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(name)],
            found.get_pk_constraint(name)["constrained_columns"],
            [(key["constrained_columns"], key["referred_table"]) for key in found.get_foreign_keys(name)],
            [(index["name"], index["column_names"], index["unique"]) for index in found.get_indexes(name)],
            [unique["column_names"] for unique in found.get_unique_constraints(name)],
        )
        for name in found.get_table_names()
    }


@pytest.mark.parametrize("there_before", [True, False])
def test_a_start_that_finds_its_tables_or_none_at_all_does_without_alembic(path: Path, there_before: bool) -> None:
    if there_before:
        Store(f"sqlite:///{path}").open()
    script = (
        "import sys; from cds_service.adapters.store.store import Store\n"
        f"assert Store('sqlite:///{path}').open() is None; assert 'alembic' not in sys.modules"
    )
    assert python(script).wait(timeout=60) == 0


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)


def test_many_processes_may_start_at_once_on_an_empty_folder(path: Path) -> None:
    script = f"from cds_service.adapters.store.store import Store; print(Store('sqlite:///{path}').open())"
    starting = [python(script) for _ in range(6)]
    assert [one.communicate(timeout=120)[0].strip() for one in starting] == ["None"] * 6
    assert rows(path, "SELECT version_num FROM alembic_version") == [(SCHEMA,)]


def test_a_migration_that_is_cut_short_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.operations import Operations

    def torn(operations: Operations, name: str, *columns: Any) -> None:
        made.append(name)
        if name == "feedback":
            raise OSError(28, "No space left on device")
        create(operations, name, *columns)

    made: list[str] = []
    create = Operations.create_table
    monkeypatch.setattr(Operations, "create_table", torn)
    make_file(f"sqlite:///{path}")
    engine = engine_for(f"sqlite:///{path}", "FULL", 5.0)
    with (
        pytest.raises(OSError),
        engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        run_migrations(connection, None)
    engine.dispose()
    assert len(made) > 1
    assert rows(path, "SELECT name FROM sqlite_master") == []


def test_tables_that_cannot_all_be_made_are_made_another_time(path: Path) -> None:
    def torn(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    event.listen(metadata.tables["feedback"], "before_create", torn)
    store = Store(f"sqlite:///{path}")
    assert store.open() == "its file cannot be made: no space left on device"
    assert rows(path, "SELECT name FROM sqlite_master") == []
    event.remove(metadata.tables["feedback"], "before_create", torn)
    assert store.open() is None


def test_tables_of_a_later_version_are_left_alone(opened: Store, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    store = Store(f"sqlite:///{path}")
    assert store.open() == "its tables are those of a later version of this program"
    assert store.earlier({"id-1"}) == {}
    with pytest.raises(StoreAway, match="later version"):
        store.keep_feedback([taken(1)], SERVICE, NOON)
    assert rows(path, "SELECT version_num FROM alembic_version") == [("9999",)]


# -- memory -----------------------------------------------------------------------------------------------


def test_what_was_said_is_found_again_by_its_id(opened: Store) -> None:
    plain = replace(DECISION, code="E0431", modifiers=(), pa_needed="auth-needed", authorization=None)
    other = Assertion("id-2", "digest", "acme", (plain,))
    opened.remember(Kept((ASSERTION, other), ()), CALL, SERVICE, NOON)
    assert opened.earlier({"id-1", "id-2", "id-3"}) == {"id-1": ASSERTION, "id-2": other}
    assert opened.earlier(()) == {}


def test_the_last_word_of_a_policy_stands(opened: Store) -> None:
    opened.remember(Kept((ASSERTION,), ()), CALL, SERVICE, NOON)
    now = replace(ASSERTION, decisions=(replace(DECISION, pa_needed="auth-needed", authorization=None),))
    opened.remember(Kept((now,), ()), CALL, SERVICE, NOON)
    assert opened.earlier({"id-1"}) == {"id-1": now}


def test_an_id_is_its_first_patients_and_what_is_said_of_another_is_not_given_back_under_it(opened: Store) -> None:
    opened.remember(Kept((ASSERTION,), ()), CALL, SERVICE, NOON)
    opened.remember(Kept((replace(ASSERTION, patient="other"),), ()), CALL, SERVICE, NOON)
    assert opened.earlier({"id-1"}) == {"id-1": ASSERTION}


def test_but_for_contexts_and_responses_nothing_that_names_a_patient_or_quotes_a_chart_has_a_column() -> None:
    assert {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns} == {
        *("assertions.id", "assertions.patient", "assertions.payer", "assertions.made_at"),
        *(f"decisions.{one}" for one in ("assertion", "patient", "policy", "code", "modifiers", "order_date")),
        *(f"decisions.{one}" for one in ("covered", "pa_needed", "rule", "decided_at")),
        *(f"decisions.{one}" for one in ("pa_id", "pa_reference", "pa_from", "pa_until")),
        *(f"contexts.{one}" for one in ("assertion", "policy", "patient", "questionnaire", "subject")),
        *(f"contexts.{one}" for one in ("coverage", "situation", "made_at")),
        *(f"calls.{one}" for one in ("id", "called_at", "service", "hook_instance", "crd_version", "status")),
        *(f"calls.{one}" for one in ("patient", "request_digest", "answer_digest", "program", "said")),
        *(f"responses.{one}" for one in ("patient", "id", "questionnaire", "status", "authored", "assertion", "order")),
        *(f"responses.{one}" for one in ("digest", "content", "received_at")),
        *(f"cards.{one}" for one in ("uuid", "service", "policy", "kind", "sent_at")),
        *(f"feedback.{one}" for one in ("id", "card", "outcome", "service", "suggestions", "comment")),
        *(f"feedback.{one}" for one in ("reason_system", "reason_code", "outcome_at", "received_at")),
    }


# -- feedback ---------------------------------------------------------------------------------------------


def test_feedback_comes_back_as_rates_by_policy_kind_and_reason(opened: Store) -> None:
    opened.remember(cards(1, 2, 3, 4), CALL, SERVICE, NOON)
    opened.remember(cards(5, kind="claim"), CALL, SERVICE, NOON)
    given = [taken(1), set_aside(2, "no-time"), set_aside(3, "no-time"), set_aside(4)]
    opened.keep_feedback(given, SERVICE, NOON)
    claim, guideline = opened.rates(None)
    assert claim == Rate(POLICY, "claim", 1, 0, 0)
    assert guideline == Rate(POLICY, "guideline", 4, 1, 3, (Reason("urn:why", "no-time", 2), Reason("", "", 1)))
    assert guideline.share(guideline.accepted) == 0.25


def test_the_same_feedback_sent_again_counts_once(opened: Store, path: Path) -> None:
    opened.remember(cards(1), CALL, SERVICE, NOON)
    for _ in range(3):
        opened.keep_feedback([taken(1), taken(1)], SERVICE, NOON)
    assert len(rows(path, "SELECT * FROM feedback")) == 1
    [rate] = opened.rates(None)
    assert (rate.sent, rate.accepted, rate.overridden) == (1, 1, 0)


def test_of_several_outcomes_of_a_card_the_last_one_counts_in_whatever_order_they_come(opened: Store) -> None:
    opened.remember(cards(1, 2), CALL, SERVICE, NOON)
    later = NOON + timedelta(seconds=1)
    opened.keep_feedback([set_aside(1, "early", later), taken(1), taken(2, later)], SERVICE, NOON)
    opened.keep_feedback([set_aside(1, "stale"), set_aside(2, "stale")], SERVICE, NOON)
    [rate] = opened.rates(None)
    assert (rate.accepted, rate.overridden, rate.reasons) == (1, 1, (Reason("urn:why", "early", 1),))


def test_feedback_on_a_card_that_is_not_known_is_kept_and_told_apart(opened: Store) -> None:
    opened.keep_feedback([taken(77)], SERVICE, NOON)
    assert opened.rates(None) == (Rate("", "", 0, 1, 0),)
    assert opened.rates(None)[0].share(1) is None


def test_since_counts_the_cards_that_were_sent_then_or_later(opened: Store) -> None:
    opened.remember(cards(1), CALL, SERVICE, NOON - timedelta(days=2))
    opened.remember(cards(2), CALL, SERVICE, NOON)
    opened.keep_feedback([taken(1), taken(2)], SERVICE, NOON)
    [rate] = opened.rates(NOON - timedelta(days=1))
    assert (rate.sent, rate.accepted) == (1, 1)
    assert opened.rates(NOON + timedelta(days=1)) == ()


def test_a_report_makes_no_database(path: Path) -> None:
    with pytest.raises(StoreAway, match="there is none yet"):
        Store(f"sqlite:///{path}").rates(None)
    assert not path.exists()


# -- when it cannot ---------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/no/such/cds.sqlite")
    assert store.open() == "its file cannot be made: no such file or directory"


def test_a_file_that_is_no_database_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "cds.sqlite"
    path.write_bytes(b"not a database, and somebody's" * 100)
    store = Store(f"sqlite:///{path}")
    assert store.open() == "its file is no database"
    assert store.earlier({"id-1"}) == {}
    assert path.read_bytes() == b"not a database, and somebody's" * 100


def limited(store: Store, *pragmas: str) -> None:
    """From now on the store's connections have these pragmas as well."""
    for engine in (store._quick, store._sure):
        engine.dispose()
        event.listen(engine, "connect", lambda connection, _: [connection.execute(one) for one in pragmas])


@pytest.mark.parametrize(
    ("pragmas", "words"),
    [
        (("PRAGMA max_page_count=1",), "the disk is full"),
        (("PRAGMA query_only=ON",), "it can be read and not written"),
    ],
)
def test_a_full_disk_and_one_that_is_read_only_refuse_feedback_and_pass_over_memory(
    opened: Store, pragmas: tuple[str, ...], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    limited(opened, *pragmas)
    many = [replace(taken(n), comment="x" * 4000) for n in range(200)]
    with caplog.at_level(logging.WARNING), pytest.raises(StoreAway, match=words) as away:
        opened.keep_feedback(many, SERVICE, NOON)
    assert away.value.__cause__ is None and away.value.__suppress_context__
    assert opened.rates(None) == ()
    for _ in range(3):
        opened.remember(Kept((ASSERTION,), tuple(cards(*range(2000)).cards)), CALL, SERVICE, NOON)
    assert opened.earlier({"id-1"}) == {}
    assert words in caplog.text
    assert "xxx" not in caplog.text and "digest" not in caplog.text


def test_a_locked_database_holds_no_hook_up(opened: Store, path: Path) -> None:
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        for number in range(20):
            opened.remember(cards(number), CALL, SERVICE, NOON)
        assert time.monotonic() - began < 8
        assert opened.earlier({"id-1"}) == {}
        other.execute("ROLLBACK")
    assert rows(path, "SELECT * FROM cards") == []
    opened.catch_up()
    time.sleep(1.1)  # the pause after several failures
    opened.catch_up()
    assert len(rows(path, "SELECT * FROM cards")) == 20, "what could not be written waited"


def test_feedback_waits_for_a_lock_and_is_refused_if_it_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_PATIENCE", 0.2)
    store = Store(f"sqlite:///{path}")
    store.open()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreAway, match="locked by another process"):
            store.keep_feedback([taken(1)], SERVICE, NOON)
        assert store.trouble() == "it is locked by another process"
        other.execute("ROLLBACK")
    assert store.trouble() is None
    store.keep_feedback([taken(1)], SERVICE, NOON)
    store.close()


def test_it_is_used_again_once_it_is_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "later"
    store = Store(f"sqlite:///{folder}/var/cds.sqlite")
    assert store.open() is not None
    assert store.trouble() is not None
    folder.mkdir()
    with caplog.at_level(logging.WARNING):
        assert store.trouble() is None
    assert "can be used again" in caplog.text
    store.keep_feedback([taken(1)], SERVICE, NOON)
    store.close()


# -- several processes ------------------------------------------------------------------------------------

WRITER = """
import sys
from tests.unit.adapters.test_store import CALL, NOON, SERVICE, Store, cards, taken
store, first = Store(f"sqlite:///{sys.argv[1]}"), int(sys.argv[2])
store.open()
for number in range(first, first + int(sys.argv[3])):
    store.remember(cards(number), CALL, SERVICE, NOON)
    store.keep_feedback([taken(number)], SERVICE, NOON)
    print(number, flush=True)
"""


def test_processes_that_write_side_by_side_lose_no_feedback(path: Path) -> None:
    writing = [python(WRITER, str(path), str(1000 * n), "60") for n in range(4)]
    said = [one.communicate(timeout=300)[0].split() for one in writing]
    assert [len(one) for one in said] == [60] * 4
    assert rows(path, "SELECT count(*) FROM feedback") == [(240,)]
    # a hook does not wait for its turn for ever: of what it is not bound to keep, most is kept
    [(number,)] = rows(path, "SELECT count(*) FROM cards")
    assert 24 < number <= 240
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_what_was_acknowledged_outlives_a_process_that_is_killed_while_it_writes(path: Path) -> None:
    for round_ in range(3):
        writing = python(WRITER, str(path), str(10_000 * (round_ + 1)), "100000")
        assert writing.stdout is not None
        acknowledged = [int(writing.stdout.readline()) for _ in range(5 + 7 * round_)]
        os.kill(writing.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writing.communicate()[0].split("\n")[:-1]]
        held = {card for (card,) in rows(path, "SELECT card FROM feedback")}
        assert {uuid(number) for number in acknowledged} <= held
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_store_that_was_opened_before_a_fork_is_used_on_both_sides(opened: Store, path: Path) -> None:
    def in_a_child(work: Callable[[], None]) -> int:
        child = os.fork()
        if child == 0:
            try:
                work()
            except BaseException:
                os._exit(1)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert in_a_child(lambda: opened.keep_feedback([taken(1)], SERVICE, NOON)) == 0
    opened.keep_feedback([taken(2)], SERVICE, NOON)
    assert rows(path, "SELECT count(*) FROM feedback") == [(2,)]


# -- contexts of questionnaires ---------------------------------------------------------------------------

MONTH = timedelta(days=30)


def with_context(**changes: Any) -> Kept:
    return Kept((ASSERTION,), (), (replace(CONTEXT, **changes),))


def test_a_context_comes_back_as_it_was_kept(opened: Store) -> None:
    opened.remember(with_context(), CALL, SERVICE, NOON)
    assert opened.contexts("id-1", NOON - MONTH) == (CONTEXT,)
    assert opened.contexts("id-2", NOON - MONTH) == ()


def test_the_last_look_at_an_order_is_the_one_that_counts(opened: Store) -> None:
    opened.remember(with_context(), CALL, SERVICE, NOON)
    later = {"situation": {"line": {}}, "made_at": NOON + timedelta(hours=1)}
    opened.remember(with_context(**later), CALL, SERVICE, NOON + timedelta(hours=1))
    assert opened.contexts("id-1", NOON - MONTH) == (replace(CONTEXT, **later),)
    # what waited is written late, and is not the last look then
    opened.remember(with_context(), CALL, SERVICE, NOON)
    assert opened.contexts("id-1", NOON - MONTH) == (replace(CONTEXT, **later),)


def test_a_context_is_not_given_after_its_days(opened: Store) -> None:
    opened.remember(with_context(), CALL, SERVICE, NOON)
    assert opened.contexts("id-1", NOON + timedelta(seconds=1)) == ()
    assert opened.earlier({"id-1"}) == {"id-1": ASSERTION}


def test_an_id_that_came_back_on_another_patients_order_opens_no_context(opened: Store) -> None:
    opened.remember(Kept((ASSERTION,), ()), CALL, SERVICE, NOON)
    opened.remember(with_context(patient="another digest"), CALL, SERVICE, NOON)
    assert opened.contexts("id-1", NOON - MONTH) == ()


def test_a_situation_that_cannot_be_written_is_passed_over_and_the_rest_is_kept(opened: Store) -> None:
    opened.remember(with_context(situation={"n": 1 << 70}), CALL, SERVICE, NOON)
    assert opened.contexts("id-1", NOON - MONTH) == ()
    assert opened.earlier({"id-1"}) == {"id-1": ASSERTION}


def test_where_the_store_is_away_asking_for_a_context_says_so(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file, not a folder")
    with pytest.raises(StoreAway):
        Store(f"sqlite:///{tmp_path}/var/cds.sqlite").contexts("id-1", NOON)
