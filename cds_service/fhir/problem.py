"""A fault as a value: where it is, what is wrong, how to mend it. Knows nothing of HTTP or policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["invalid", "not-found", "not-supported", "unavailable", "conflict"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault.

    `where` is a file and path, or a JSON path into a request. `what` says what is wrong, `fix` how to mend it.
    `code` is the FHIR IssueType that an OperationOutcome carries, where `kind` alone does not tell it.
    """

    kind: Kind
    where: str
    what: str
    fix: str
    code: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.fix}"
