"""POST /cds-services/<id>/feedback: what clinicians did with cards, on the disk before it is acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from flask import Blueprint, Response

from cds_service.crd.feedback import Feedback, parse_feedback
from cds_service.fhir.problem import Problem
from cds_service.web.problems import refusal
from cds_service.web.request_body import BodyUnreadable, read_body, refusal_of_unreadable

# Gives why it could not be kept, or None once it is on the disk
KeepFeedback = Callable[[Sequence[Feedback], str, datetime], str | None]


def feedback(services: Mapping[str, str], keep: KeepFeedback, now: Callable[[], datetime], max_body: int) -> Blueprint:
    """The feedback route of each service (CDS Hooks 2.0, Feedback). A body is kept whole or refused whole."""
    blueprint = Blueprint("feedback", __name__)

    @blueprint.post("/cds-services/<service>/feedback")
    def call(service: str) -> Response:
        if service not in services:
            fix = f"the services are {', '.join(services)}"
            return refusal(Problem("not-found", f"/cds-services/{service}", "no such service", fix))
        try:
            body = read_body(max_body)
        except BodyUnreadable:
            return refusal_of_unreadable()
        given = parse_feedback(body)
        if isinstance(given, Problem):
            return refusal(given, 413 if given.code == "too-long" else None)
        away = keep(given, service, now())
        if away is not None:
            fix = "keep the feedback, and send it again later"
            refused = refusal(Problem("unavailable", "feedback", f"not kept: {away}", fix, "transient"), 503)
            refused.headers["Retry-After"] = "60"
            return refused
        return Response(status=200)

    return blueprint
