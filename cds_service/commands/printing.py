"""What commands share: how faults are told, how things are counted, what a poor terminal is given. Decides nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cds_service.fhir.problem import Problem

FAULT = 1  # 2 is argparse's own, for a command that it cannot read


def report(problems: Sequence[Problem]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    return FAULT


def count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


# for a terminal that has no ✓: met and not met may never look the same
_PLAIN_MARKS = str.maketrans({"✓": "+", "✗": "x", "–": "-"})


def for_terminal(text: str) -> str:
    try:
        "✓✗–".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return text.translate(_PLAIN_MARKS)
    return text
