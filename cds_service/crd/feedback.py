"""The body of a feedback call -> what became of which cards, or what is wrong with it. Pure; stores nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from cds_service.fhir.dates import parse_date
from cds_service.fhir.problem import Problem

Outcome = Literal["accepted", "overridden"]

# Far above what an EHR collects in a day; a body with more is refused whole
MOST = 1000
LONGEST_TEXT = 200
LONGEST_COMMENT = 4000

# every card and suggestion that goes out has such an id
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a clinician did with one card. `comment` is the clinician's own text: it is told to nobody unasked."""

    card: str
    outcome: Outcome
    outcome_at: datetime  # UTC
    suggestions: tuple[str, ...] = ()
    reason_system: str = ""
    reason_code: str = ""
    comment: str = ""


class _Wrong(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


def parse_feedback(body: bytes) -> tuple[Feedback, ...] | Problem:
    """All entries, or the first fault: a body is taken whole or not at all.

    Source: CDS Hooks 2.0, Feedback; its logical model's cds-fb-1 to cds-fb-3. Unknown members are passed over.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        return Problem("invalid", "body", f"not JSON in UTF-8 ({at})", "send one JSON object", "structure")
    entries = document.get("feedback") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        what = "missing, empty or no list"
        return Problem("invalid", "feedback", what, "send a list of at least one entry", "required")
    if len(entries) > MOST:
        return Problem("invalid", "feedback", f"more than {MOST} entries", "send them in several calls", "too-long")
    try:
        return tuple(_entry(one, f"feedback[{n}]") for n, one in enumerate(entries))
    except _Wrong as wrong:
        return wrong.problem


def _entry(entry: Any, where: str) -> Feedback:
    if not isinstance(entry, dict):
        raise _wrong(where, "not a JSON object", "send card, outcome and outcomeTimestamp", "structure")
    card = _uuid(entry.get("card"), f"{where}.card", "the uuid of a card")
    moment = _moment(entry.get("outcomeTimestamp"), f"{where}.outcomeTimestamp")
    match entry.get("outcome"):
        case "accepted":
            return Feedback(card, "accepted", moment, _accepted(entry, where))
        case "overridden":
            return _overridden(entry, where, card, moment)
        case _:
            raise _wrong(f"{where}.outcome", "missing or unknown", "send accepted or overridden", "code-invalid")


def _accepted(entry: Mapping[str, Any], where: str) -> tuple[str, ...]:
    at = f"{where}.acceptedSuggestions"
    chosen = entry.get("acceptedSuggestions")
    if not isinstance(chosen, list) or not chosen or len(chosen) > MOST:
        raise _wrong(at, "missing, empty or no list", "name the suggestions that were accepted, by id", "required")
    ids = (one.get("id") if isinstance(one, dict) else None for one in chosen)
    found = [_uuid(one, f"{at}[{n}].id", "the uuid of a suggestion") for n, one in enumerate(ids)]
    return tuple(dict.fromkeys(found))


def _overridden(entry: Mapping[str, Any], where: str, card: str, moment: datetime) -> Feedback:
    at = f"{where}.overrideReason"
    given = entry.get("overrideReason")
    if given is None:
        return Feedback(card, "overridden", moment)
    reason = given.get("reason") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(reason, dict | None):
        raise _wrong(at, "not what belongs here", "send reason (a Coding), userComment, or both", "structure")
    coding = reason or {}
    return Feedback(
        card,
        "overridden",
        moment,
        reason_system=_text(coding.get("system"), f"{at}.reason.system", LONGEST_TEXT),
        reason_code=_text(coding.get("code"), f"{at}.reason.code", LONGEST_TEXT),
        comment=_text(given.get("userComment"), f"{at}.userComment", LONGEST_COMMENT),
    )


def _uuid(value: Any, where: str, wanted: str) -> str:
    if not isinstance(value, str) or _UUID.fullmatch(value) is None:
        raise _wrong(where, "missing, or not a uuid that was sent from here", f"send {wanted}", "value")
    return value.lower()


def _moment(value: Any, where: str) -> datetime:
    stated = parse_date(value) if isinstance(value, str) else None
    if stated is None or not stated.has_offset:
        raise _wrong(where, "missing, or not an instant", "send it as 2026-11-21T10:05:31Z", "value")
    try:
        return datetime.fromisoformat(stated.text).astimezone(UTC)
    except (ValueError, OverflowError) as fault:
        raise _wrong(where, "not an instant", "send it as 2026-11-21T10:05:31Z", "value") from fault


def _text(value: Any, where: str, longest: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest:
        raise _wrong(where, f"not text of at most {longest} characters", "shorten it, or leave it out", "value")
    # a terminal takes a control character for a command, and some databases take no NUL
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in value).strip()


def _wrong(where: str, what: str, fix: str, code: str) -> _Wrong:
    return _Wrong(Problem("invalid", where, what, fix, code))


# -- what it comes to -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reason:
    """How often one reason was given for setting cards aside; without a code: none was given."""

    system: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class Rate:
    """What became of the cards of one kind that speak for one policy. A card counts once, by what was last said."""

    policy: str  # "": cards that went out while the store was away
    kind: str
    sent: int
    accepted: int
    overridden: int
    reasons: tuple[Reason, ...] = ()

    def share(self, count: int) -> float | None:
        """`count` of the cards that were sent; None where none was."""
        return count / self.sent if self.sent else None
