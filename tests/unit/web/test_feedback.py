"""Feedback through a real server: acknowledged once it is kept, refused where it is not, counted by the report."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit
from typing import Any

import pytest

from tests.live_server import ROOT, LiveServer, Reply, only_issue, run

pytestmark = pytest.mark.server

HOOK = "/cds-services/order-sign-crd"
FEEDBACK = f"{HOOK}/feedback"
GOLDEN = Path(ROOT) / "tests" / "conversations" / "home-oxygen-order-sign" / "request.json"
AT = "2026-11-21T10:05:31Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cds.sqlite"


@pytest.fixture
def serving(path: Path) -> Iterator[LiveServer]:
    with LiveServer.started(CDS_DATABASE_URL=f"sqlite:///{path}") as live:
        yield live


def sent(server: LiveServer) -> list[dict[str, Any]]:
    reply = server.post(HOOK, GOLDEN.read_bytes())
    assert reply.status == 200
    cards: list[dict[str, Any]] = reply.json()["cards"]
    return cards


def give(server: LiveServer, *entries: dict[str, Any]) -> Reply:
    return server.post(FEEDBACK, json.dumps({"feedback": entries}).encode())


def overridden(card: dict[str, Any], code: str) -> dict[str, Any]:
    reason = {"reason": {"system": "urn:why", "code": code}, "userComment": "Mrs Example has one"}
    return {"card": card["uuid"], "outcome": "overridden", "overrideReason": reason, "outcomeTimestamp": AT}


def accepted(card: dict[str, Any]) -> dict[str, Any]:
    chosen = [{"id": one["uuid"]} for one in card["suggestions"][:1]]
    return {"card": card["uuid"], "outcome": "accepted", "acceptedSuggestions": chosen, "outcomeTimestamp": AT}


def report(path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run("feedback", "report", *more, CDS_DATABASE_URL=f"sqlite:///{path}")


def test_what_became_of_cards_is_counted_by_policy_kind_and_reason(serving: LiveServer, path: Path) -> None:
    cards = sent(serving)
    kinds = {card["source"]["topic"]["code"]: card for card in cards}
    given = (overridden(kinds["guideline"], "no-time"), accepted(kinds["claim"]))
    for _ in range(2):
        reply = give(serving, *given)
        assert (reply.status, reply.body) == (200, b"")
    told = json.loads(report(path, "--json").stdout)["rates"]
    by_kind = {one["kind"]: one for one in told}
    assert set(by_kind) == set(kinds)
    assert all("masshealth-home-oxygen|" in one["policy"] for one in told)
    assert by_kind["guideline"]["reasons"] == [{"system": "urn:why", "code": "no-time", "display": None, "count": 1}]
    claims = sum(card["source"]["topic"]["code"] == "claim" for card in cards)
    assert (by_kind["claim"]["sent"], by_kind["claim"]["accepted"]) == (claims, 1)
    assert by_kind["claim"]["acceptedRate"] == 1 / claims


def test_the_report_is_told_in_words_and_quotes_nobody(serving: LiveServer, path: Path) -> None:
    [guideline] = [card for card in sent(serving) if card["source"]["topic"]["code"] == "guideline"]
    give(serving, overridden(guideline, "no-time"))
    told = report(path)
    assert told.returncode == 0, told.stderr
    assert "1 set aside (100%)" in told.stdout
    assert "1 no-time (urn:why)" in told.stdout
    assert "Mrs Example" not in told.stdout
    assert "none" in report(path, "--since", "2999-01-01").stdout


def test_a_reason_that_the_card_offered_is_told_by_its_display(serving: LiveServer, path: Path) -> None:
    card = next(card for card in sent(serving) if "overrideReasons" in card)
    [reason] = [one for one in card["overrideReasons"] if one["code"] == "already-done"]
    given = overridden(card, "")
    given["overrideReason"]["reason"] = reason
    assert give(serving, given).status == 200
    assert f"1 {reason['display']}\n" in report(path).stdout
    rates = json.loads(report(path, "--json").stdout)["rates"]
    assert [one["reasons"] for one in rates if one["overridden"]] == [[{**reason, "count": 1}]]
    system = serving.get(reason["system"].removeprefix("https://cds-service.example.org"))
    assert system.status == 200
    assert {"code": reason["code"], "display": reason["display"]} in system.json()["concept"]


def test_a_report_without_a_database_says_so(path: Path) -> None:
    told = report(path)
    assert told.returncode == 1
    assert told.stderr.startswith("CDS_DATABASE_URL: the store cannot be read: there is none yet")
    assert not path.exists()


def test_a_card_that_was_never_sent_from_here_is_acknowledged_and_told_apart(serving: LiveServer, path: Path) -> None:
    unknown = {"uuid": "00000000-0000-4000-8000-000000000001"}
    assert give(serving, overridden(unknown, "no-time")).status == 200
    [rate] = json.loads(report(path, "--json").stdout)["rates"]
    assert (rate["policy"], rate["kind"], rate["sent"], rate["overridden"]) == (None, None, 0, 1)
    assert "cards that are not known here" in report(path).stdout


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"feedback": []}', b'{"feedback": [{}]}', b"\xff"])
def test_what_cannot_be_read_is_refused(server: LiveServer, body: bytes) -> None:
    reply = server.post(FEEDBACK, body)
    assert reply.status == 400
    only_issue(reply)


def test_feedback_to_no_service_is_not_found_and_there_is_nothing_to_get(server: LiveServer) -> None:
    assert server.post("/cds-services/order-sing-crd/feedback", b"{}").status == 404
    assert server.get(FEEDBACK).status == 405


def test_too_many_entries_and_too_many_bytes_are_too_large(server: LiveServer) -> None:
    many = json.dumps({"feedback": [{}] * 1001}).encode()
    assert server.post(FEEDBACK, many).status == 413
    assert server.post(FEEDBACK, b" " * (8 * 1024 * 1024 + 1)).status == 413


# -- without a store --------------------------------------------------------------------------------------


def refused(server: LiveServer) -> dict[str, Any]:
    reply = give(server, overridden({"uuid": "00000000-0000-4000-8000-000000000002"}, "no-time"))
    assert reply.status == 503
    assert int(reply.headers["Retry-After"]) > 0
    return only_issue(reply)


def test_without_a_store_hooks_are_answered_feedback_is_refused_and_readiness_says_so(tmp_path: Path) -> None:
    (tmp_path / "cds.sqlite").write_bytes(b"somebody's notes, and no database" * 100)
    with LiveServer.started(CDS_DATABASE_URL=f"sqlite:///{tmp_path}/cds.sqlite") as server:
        assert sent(server)
        assert refused(server)["code"] == "transient"
        ready = server.get("/readyz")
        assert ready.status == 200
        assert ready.json()["store"] == "its file is no database: no memory of earlier answers, feedback is refused"


def workers(server: LiveServer) -> list[int]:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text(encoding="ascii")
    return [int(one) for one in children.split()]


def test_a_disk_without_room_refuses_feedback_until_there_is_room_again(serving: LiveServer, path: Path) -> None:
    [guideline, *_] = sent(serving)
    assert serving.get("/readyz").json()["store"] == "ready"
    for worker in workers(serving):
        # as a full disk does: no file grows any more
        prlimit(worker, RLIMIT_FSIZE, (os.stat(f"{path}-wal").st_size, RLIM_INFINITY))
    assert sent(serving)
    assert "not kept: the disk" in refused(serving)["details"]["text"]
    assert serving.get("/readyz").json()["store"].startswith("the disk")
    for worker in workers(serving):
        prlimit(worker, RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))
    assert give(serving, overridden(guideline, "no-time")).status == 200
    assert serving.get("/readyz").json()["store"] == "ready"
    with sqlite3.connect(path) as held:
        assert held.execute("SELECT count(*) FROM feedback").fetchone() == (1,)


def test_a_database_that_another_program_holds_refuses_feedback_and_holds_no_hook_up(
    serving: LiveServer, path: Path
) -> None:
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert sent(serving)
        assert "locked by another process" in refused(serving)["details"]["text"]
        other.execute("ROLLBACK")
    assert give(serving, overridden(sent(serving)[0], "no-time")).status == 200


def test_two_services_and_their_workers_share_one_database(path: Path) -> None:
    address = f"sqlite:///{path}"
    with (
        LiveServer.started("--workers", "2", CDS_DATABASE_URL=address) as one,
        LiveServer.started("--workers", "2", CDS_DATABASE_URL=address) as other,
    ):
        for _ in range(5):
            card = sent(one)[0]
            assert give(other, overridden(card, "no-time")).status == 200
    [rate] = [one for one in json.loads(report(path, "--json").stdout)["rates"] if one["overridden"]]
    assert (rate["sent"], rate["overridden"]) == (5, 5)
