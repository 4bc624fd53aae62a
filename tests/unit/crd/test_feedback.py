"""The body of a feedback call: what it says, and how it is told that it says nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from cds_service.crd.feedback import LONGEST_COMMENT, MOST, Feedback, parse_feedback
from cds_service.fhir.problem import Problem

CARD = "5a0f4b1e-7a0f-4f3e-9d38-0d1f2b6f8a03"
SUGGESTION = "5a0f4b1e-7a0f-4f3e-9d38-0d1f2b6f8a13"
AT = "2026-11-21T10:05:31Z"
REASON = {"system": "https://ehr.example.org/override", "code": "patient-preference"}


def accepted(**more: Any) -> dict[str, Any]:
    chosen = [{"id": SUGGESTION}]
    return {"card": CARD, "outcome": "accepted", "acceptedSuggestions": chosen, "outcomeTimestamp": AT, **more}


def overridden(**more: Any) -> dict[str, Any]:
    return {"card": CARD, "outcome": "overridden", "outcomeTimestamp": AT, **more}


def parsed(*entries: Any) -> tuple[Feedback, ...]:
    found = parse_feedback(orjson.dumps({"feedback": list(entries)}))
    assert not isinstance(found, Problem), found
    return found


def refused(body: bytes | list[Any] | dict[str, Any]) -> Problem:
    document = body if isinstance(body, bytes) else orjson.dumps(body)
    found = parse_feedback(document)
    assert isinstance(found, Problem)
    return found


def test_an_accepted_card_says_which_suggestions_were_taken() -> None:
    [one] = parsed(accepted())
    assert one == Feedback(CARD, "accepted", datetime(2026, 11, 21, 10, 5, 31, tzinfo=UTC), (SUGGESTION,))


def test_an_overridden_card_says_why() -> None:
    [one] = parsed(overridden(overrideReason={"reason": REASON, "userComment": "Done last week"}))
    assert (one.outcome, one.reason_system, one.reason_code) == ("overridden", *REASON.values())
    assert one.comment == "Done last week"


@pytest.mark.parametrize("more", [{}, {"overrideReason": {}}, {"overrideReason": {"userComment": "No"}}])
def test_a_card_can_be_set_aside_without_a_coded_reason(more: dict[str, Any]) -> None:
    [one] = parsed(overridden(**more))
    assert (one.reason_system, one.reason_code) == ("", "")


def test_several_cards_come_in_one_call_and_unknown_members_are_passed_over() -> None:
    assert [one.outcome for one in parsed(accepted(vendor={"x": 1}), overridden())] == ["accepted", "overridden"]


def test_an_instant_is_kept_in_utc_whatever_its_zone() -> None:
    [one] = parsed(overridden(outcomeTimestamp="2026-11-21T10:05:31.250-05:00"))
    assert one.outcome_at.isoformat() == "2026-11-21T15:05:31.250000+00:00"


def test_control_characters_of_a_comment_do_not_get_through() -> None:
    [one] = parsed(overridden(overrideReason={"userComment": "a\x00b\x1b[2J\nc"}))
    assert one.comment == "a b [2J\nc"


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        (7, "feedback[0]"),
        ({}, "feedback[0].card"),
        (accepted(card="card-1"), "feedback[0].card"),
        (accepted(card=f"{CARD}\n"), "feedback[0].card"),
        (accepted(card=None), "feedback[0].card"),
        (accepted(outcome="ignored"), "feedback[0].outcome"),
        (accepted(outcome=["accepted"]), "feedback[0].outcome"),
        (accepted(acceptedSuggestions=[]), "feedback[0].acceptedSuggestions"),
        (accepted(acceptedSuggestions=None), "feedback[0].acceptedSuggestions"),
        (accepted(acceptedSuggestions=[{}]), "feedback[0].acceptedSuggestions[0].id"),
        (accepted(acceptedSuggestions=["x"]), "feedback[0].acceptedSuggestions[0].id"),
        (accepted(outcomeTimestamp=None), "feedback[0].outcomeTimestamp"),
        (accepted(outcomeTimestamp="2026-11-21"), "feedback[0].outcomeTimestamp"),
        (accepted(outcomeTimestamp="2026-11-21T10:05:31"), "feedback[0].outcomeTimestamp"),
        (accepted(outcomeTimestamp="2026-11-21T10:05:60Z"), "feedback[0].outcomeTimestamp"),
        (accepted(outcomeTimestamp="0001-01-01T00:00:00+14:00"), "feedback[0].outcomeTimestamp"),
        (overridden(overrideReason="no"), "feedback[0].overrideReason"),
        (overridden(overrideReason={"reason": "no"}), "feedback[0].overrideReason"),
        (overridden(overrideReason={"reason": {"code": 7}}), "feedback[0].overrideReason.reason.code"),
        (overridden(overrideReason={"reason": {"code": "x" * 201}}), "feedback[0].overrideReason.reason.code"),
        (
            overridden(overrideReason={"userComment": "x" * (LONGEST_COMMENT + 1)}),
            "feedback[0].overrideReason.userComment",
        ),
    ],
)
def test_an_entry_that_cannot_be_read_is_named(entry: Any, where: str) -> None:
    fault = refused({"feedback": [entry]})
    assert (fault.kind, fault.where) == ("invalid", where)
    assert CARD not in str(fault)


def test_one_bad_entry_refuses_the_whole_call() -> None:
    assert refused({"feedback": [accepted(), {}]}).where == "feedback[1].card"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b'{"feedback": []}', b'{"feedback": {}}', b"\xff"])
def test_what_is_no_feedback_is_refused(body: bytes) -> None:
    assert refused(body).kind == "invalid"


def test_more_entries_than_any_clinic_has_are_too_long() -> None:
    assert refused({"feedback": [accepted()] * (MOST + 1)}).code == "too-long"
    assert len(parsed(*[accepted()] * MOST)) == MOST
