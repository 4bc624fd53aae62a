"""What commands share: how faults are told, how things are counted, what a poor terminal is given. Decides nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cds_service.fhir.problem import Problem
from cds_service.settings import Settings

if TYPE_CHECKING:
    from cds_service.app import Policies

FAULT = 1  # 2 is argparse's own, for a command that it cannot read


def policies_of(settings: Settings) -> Policies | None:
    """The policies of the settings' folders; None, with every fault told, where they cannot be loaded."""
    from cds_service.app import StartRefused, load_policies

    try:
        return load_policies(settings)
    except StartRefused as refused:
        report(refused.problems)
        return None


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def report(problems: Sequence[Problem]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    return FAULT


def count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def printable(text: str) -> str:
    """What a caller sent, fit for a terminal, where a control character is a command."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


# for a terminal that has no ✓: met and not met may never look the same
_PLAIN_MARKS = str.maketrans(
    {"✓": "+", "✗": "x", "–": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "«": "<<", "»": ">>", "…": "..."}
)


def for_terminal(text: str) -> str:
    try:
        "✓✗–".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return text.translate(_PLAIN_MARKS)
    return text
