"""Regular expressions of `matches`: literal, compiled at load, and refused where they could run away."""

from __future__ import annotations

import re

from cds_service.fhir.fhirpath.errors import FhirPathError
from cds_service.fhir.fhirpath.syntax import Call, Literal

_SINGLE_CHARACTER = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_LOOK_AROUND = re.compile(r"\(\?(?:<?[=!]|P=|\()")
_BACK_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")


def compiled_pattern(node: Call) -> re.Pattern[str]:
    """The pattern of `matches`. FHIRPath 2.0.0, matches: found anywhere; `.` also matches a line's end."""
    argument = node.arguments[0]
    if not isinstance(argument, Literal) or not isinstance(argument.value, str):
        message = f"a pattern that is no literal is not admitted in {node.name}(); write it as a string"
        raise FhirPathError(message, argument.column, "not-admitted")
    try:
        pattern = re.compile(argument.value, re.DOTALL)
    except re.error as fault:
        message = f"'{argument.value}' is no regular expression: {fault}"
        raise FhirPathError(message, argument.column, "syntax") from fault
    if _may_run_away(argument.value):
        message = "a repeated group, a look-around or a back-reference is not admitted; it can take for ever"
        raise FhirPathError(message, argument.column, "not-admitted")
    return pattern


def _may_run_away(pattern: str) -> bool:
    """Whether the pattern has what lets a search take exponential time: a repetition within another."""
    groups = _SINGLE_CHARACTER.sub("x", pattern)
    looks = _REPEATED_GROUP.search(groups) or _LOOK_AROUND.search(groups)
    return looks is not None or _BACK_REFERENCE.search(pattern) is not None
