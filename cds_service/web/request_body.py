"""The body of a request, read to its end and to its limit. What it means is for others to say."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, request

from cds_service.fhir.json_body import read_json
from cds_service.fhir.problem import Problem
from cds_service.web.problems import refusal

_PIECE = 1 << 16


class BodyUnreadable(Exception):
    """The caller's body ended early or its chunks are malformed."""


def refusal_of_unreadable() -> Response:
    fix = "send it whole, with a right Content-Length or well-formed chunks"
    return refusal(Problem("invalid", "body", "could not be read to its end", fix, "structure"))


def read_body(max_body: int) -> bytes:
    """The whole body, whatever its Content-Type. Too large a one ends in a 413. Raises BodyUnreadable.

    What is too much is read off and dropped: a caller who is still sending would not see an answer, but a broken
    connection. `MAX_CONTENT_LENGTH` ends that patience.
    """
    pieces, size = [], 0
    while piece := _piece():
        size += len(piece)
        if size <= max_body:
            pieces.append(piece)
    if size > max_body:
        abort(413)
    return b"".join(pieces)


def read_document(max_body: int) -> dict[str, Any] | Response:
    """The body as one JSON object, or the refusal of what is none."""
    try:
        document = read_json(read_body(max_body))
    except BodyUnreadable:
        return refusal_of_unreadable()
    return refusal(document) if isinstance(document, Problem) else document


def _piece() -> bytes:
    try:
        return request.stream.read(_PIECE)
    except Exception as fault:
        # whatever the server calls it: reading a body fails by what was sent, or by the line
        raise BodyUnreadable from fault
