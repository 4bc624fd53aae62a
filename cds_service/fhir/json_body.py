"""The bytes of a request -> one JSON object, or what is wrong with it. Pure; looks into no resource."""

from __future__ import annotations

import re
from typing import Any

import orjson

from cds_service.fhir.problem import Problem

# Real charts stay far below; what is deeper is broken, or meant to break us
MAX_DEPTH = 60


def read_json(body: bytes) -> dict[str, Any] | Problem:
    """One JSON object, of a depth that a resource can have. Messages quote nothing of it."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if re.search("recursion|depth", error.msg, re.IGNORECASE):
            return _TOO_DEEP  # orjson has a limit of its own, above ours
        at = f"line {error.lineno}, column {error.colno}"
        return Problem("invalid", "body", f"not JSON in UTF-8 ({at})", "send one JSON object", "structure")
    if not isinstance(document, dict):
        return Problem("invalid", "body", "not a JSON object", "send one JSON object", "structure")
    return _TOO_DEEP if too_deep(document) else document


_TOO_DEEP = Problem(
    "invalid",
    "body",
    f"nested more than {MAX_DEPTH} deep",
    "send resources as FHIR writes them",
    "too-costly",
)


def too_deep(document: dict[str, Any]) -> bool:
    """Whether it is nested deeper than any real resource."""
    # level by level, not by recursion: the depth is the caller's
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            # most of what stands in a chart is text: one look is enough to pass it over
            if (kind := type(child)) is not str and (kind is dict or kind is list)
        ]
        if not level:
            return False
    return True
