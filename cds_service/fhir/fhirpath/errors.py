"""What can go wrong with an expression: a fault in its text at load, or a fault of ours while it runs."""

from __future__ import annotations

from typing import Literal

FaultKind = Literal["syntax", "not-admitted", "unknown-name", "type", "value-set"]


class FhirPathError(Exception):
    """A fault in the text of an expression, found at load. `message` says what and how to mend it.

    `column` counts from 1. `kind`: not FHIRPath at all; FHIRPath outside our subset; a variable, element or
    type that does not exist; kinds of values that do not go together; a value set that cannot be used.
    """

    def __init__(self, message: str, column: int, kind: FaultKind) -> None:
        super().__init__(f"column {column}: {message}")
        self.message = message
        self.column = column
        self.kind: FaultKind = kind


class EvaluationFault(Exception):
    """An expression ran into what load should have excluded, such as a list where one item is needed."""
