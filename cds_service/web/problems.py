"""Problem -> HTTP status and OperationOutcome. The only such place. Shows no stack trace, no patient data."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from cds_service.fhir.problem import Kind, Problem

FHIR_JSON = "application/fhir+json"

# CRD 2.2: 400 for what is not valid (hook-9), 422 for what is valid and not served here (hook-13);
# CDS Hooks: 412 for data that could be had neither from prefetch nor by asking
_STATUS: dict[Kind, int] = {
    "invalid": 400,
    "not-found": 404,
    "not-supported": 422,
    "unavailable": 412,
    "conflict": 409,
}
# FHIR R4 IssueType
_ISSUE: dict[Kind, str] = {
    "invalid": "invalid",
    "not-found": "not-found",
    "not-supported": "not-supported",
    "unavailable": "incomplete",
    "conflict": "conflict",
}

_log = logging.getLogger("cds_service")


def refusal(problem: Problem, status: int | None = None) -> Response:
    """A Problem as the answer of a route. `status` where HTTP itself has a closer one than the kind's."""
    return refusal_of_all([problem], status or _STATUS[problem.kind])


# A caller mends the first of many faults in one go, and is not sent megabytes of them
_MOST_ISSUES = 100


def refusal_of_all(problems: Sequence[Problem], status: int) -> Response:
    """Several Problems of one call as one answer: an issue each."""
    issues = [
        {"severity": "error", "code": one.code or _ISSUE[one.kind], "details": {"text": str(one)}}
        for one in problems[:_MOST_ISSUES]
    ]
    body = orjson.dumps({"resourceType": "OperationOutcome", "issue": issues})
    return Response(body, status, mimetype=FHIR_JSON)


def refuse_in_one_shape(app: Flask, max_body: int) -> None:
    """Give every error of `app` the same body: what Flask refuses by itself, and what we did not foresee."""

    def of_http(error: HTTPException) -> Response:
        status = error.code or 500
        response = refusal(_of_status(status, max_body, error), status)
        for name, value in error.get_headers():
            if name.lower() not in ("content-type", "content-length"):  # Allow, Retry-After
                response.headers[name] = value
        return response

    def of_bug(error: Exception) -> Response:
        # The message of an exception may quote the record; the class and the lines of code cannot.
        frames = traceback.extract_tb(error.__traceback__)[-8:]
        trail = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames))
        _log.error("%s while answering %s: %s", type(error).__name__, request.endpoint, trail)
        fix = "try again; if it stays, report it with the time of the call: the log says where it happened"
        return refusal(Problem("invalid", "server", "a fault of this server", fix, "exception"), 500)

    app.register_error_handler(HTTPException, of_http)
    app.register_error_handler(Exception, of_bug)


def _of_status(status: int, max_body: int, error: HTTPException) -> Problem:
    path = request.path
    match status:
        case 404:
            fix = "the services are listed at /cds-services"
            return Problem("not-found", path, "nothing is served under this address", fix)
        case 405:
            allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
            return Problem("not-supported", path, f"{request.method} is not answered here", f"use {allowed}")
        case 413:
            fix = "send a smaller prefetch; a deployment can raise CDS_MAX_BODY"
            return Problem("invalid", "body", f"larger than {max_body} bytes", fix, "too-long")
        case _:
            return Problem("invalid", path, error.name.lower(), "correct the HTTP request")
