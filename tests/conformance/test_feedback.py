"""Feedback on cards, as CDS Hooks has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conformance.calls import CALLS, answered, application, call_of
from tests.conformance.statements import requirement

AT = "2026-11-21T15:05:31Z"


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return application(tmp_path)


def given(client: FlaskClient, *entries: dict[str, Any], hook: str = "order-sign") -> int:
    return client.post(f"/cds-services/{hook}-crd/feedback", json={"feedback": list(entries)}).status_code


def accepted(card: dict[str, Any]) -> dict[str, Any]:
    chosen = [{"id": one["uuid"]} for one in card["suggestions"]]
    return {"card": card["uuid"], "outcome": "accepted", "acceptedSuggestions": chosen, "outcomeTimestamp": AT}


def overridden(card: dict[str, Any], **reason: Any) -> dict[str, Any]:
    return {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": AT, **reason}


WHY = {"overrideReason": {"reason": {"system": "urn:why", "code": "no-time"}, "userComment": "done last week"}}


@requirement("cds-hooks/feedback")
def test_feedback_on_the_cards_of_an_answer_is_taken_also_twice_and_of_several_cards(client: FlaskClient) -> None:
    cards = answered(client, call_of("order-sign"))["cards"]
    suggesting = next(card for card in cards if "suggestions" in card)
    others = [card for card in cards if "suggestions" not in card]
    entries = [accepted(suggesting), overridden(others[0], **WHY), overridden(others[1])]
    assert given(client, *entries) == 200
    assert given(client, *entries) == 200
    assert given(client, overridden(suggesting, **WHY)) == 200


@requirement("cds-hooks/feedback")
@pytest.mark.parametrize("hook", CALLS)
def test_every_service_takes_feedback(hook: str, client: FlaskClient) -> None:
    cards = answered(client, call_of(hook))["cards"] or [{"uuid": "5a0f4b1e-7a0f-4f3e-9d38-0d1f2b6f8a03"}]
    assert given(client, overridden(cards[0], **WHY), hook=hook) == 200


@requirement("cds-hooks/feedback")
def test_feedback_as_the_standard_prints_it_is_taken(client: FlaskClient, fhir_folder: Path) -> None:
    printed = sorted((fhir_folder / "examples" / "cds-hooks").glob("spec3-feedback-*.json"))
    assert printed
    for path in printed:
        assert given(client, *json.loads(path.read_bytes())["feedback"]) == 200, path.name


@requirement("cds-hooks/feedback")
@pytest.mark.parametrize(
    "entry",
    [
        {"card": "c", "outcome": "ignored", "outcomeTimestamp": AT},
        {"card": "c", "outcome": "accepted", "outcomeTimestamp": AT},
        {"card": "c", "outcome": "accepted", "acceptedSuggestions": [], "outcomeTimestamp": AT},
        {"card": "c", "outcome": "overridden"},
        {"outcome": "overridden", "outcomeTimestamp": AT},
    ],
)
def test_feedback_that_breaks_an_invariant_is_refused(entry: dict[str, Any], client: FlaskClient) -> None:
    assert given(client, entry) == 400
    assert given(client) == 400, "the list is never empty"
