"""POST /cds-services/<id>: bytes in, bytes out. What they mean is the core's; no resource is read here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from flask import Blueprint, Response, abort, request

from cds_service.crd.answer import answer, render
from cds_service.crd.hook_request import parse_hook_request
from cds_service.fhir.problem import Problem
from cds_service.policy.catalogue import Catalogue
from cds_service.web.problems import refusal

_PIECE = 1 << 16


def hooks(
    services: Mapping[str, str],
    catalogue: Catalogue,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    public_url: str | None,
    max_body: int,
) -> Blueprint:
    """The hook route. `services` tells the hook of each service id, as discovery announces them."""
    blueprint = Blueprint("hooks", __name__)

    def policy_page(plan: str) -> str:
        base = public_url or request.url_root.rstrip("/")
        return f"{base}/fhir/PlanDefinition/{plan}"

    @blueprint.post("/cds-services/<service>")
    def call(service: str) -> Response:
        if service not in services:
            fix = f"the services are {', '.join(services)}"
            return refusal(Problem("not-found", f"/cds-services/{service}", "no such service", fix))
        asked = parse_hook_request(_body(max_body), services[service])
        if isinstance(asked, Problem):
            return refusal(asked)
        response = answer(asked, catalogue, now(), new_id, policy_page)
        if isinstance(response, Problem):
            return refusal(response)
        return Response(render(response), mimetype="application/json")

    @blueprint.after_request
    def unkept(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"  # an answer quotes the chart
        return response

    return blueprint


def _body(max_body: int) -> bytes:
    """The whole body, whatever its Content-Type; the core says whether it is JSON. Too large a one ends in a 413.

    What is too much is read off and dropped: a caller who is still sending would not see an answer, but a broken
    connection. `MAX_CONTENT_LENGTH` ends that patience.
    """
    pieces, size = [], 0
    while piece := request.stream.read(_PIECE):
        size += len(piece)
        if size <= max_body:
            pieces.append(piece)
    if size > max_body:
        abort(413)
    return b"".join(pieces)
