"""POST /cds-services/<id>: bytes in, bytes out. What they mean is the core's; no resource is read here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from flask import Blueprint, Response, abort, request

from cds_service.crd.answer import HookResponse, answer, render
from cds_service.crd.clients import Client
from cds_service.crd.hook_request import parse_hook_request
from cds_service.crd.versions import CrdVersion
from cds_service.fhir.problem import Problem
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.catalogue import Catalogue
from cds_service.web.problems import refusal
from cds_service.web.read_back import ReadBack

_PIECE = 1 << 16
_LOG = logging.getLogger(__name__)


def hooks(
    services: Mapping[str, str],
    version: CrdVersion,
    catalogue: Catalogue,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    public_url: str | None,
    max_body: int,
    business_hours: BusinessHours,
    read_back: ReadBack,
    client_of: Callable[[str | None], Client | None],
) -> Blueprint:
    """The hook routes. `services` tells the hook of each service id, as discovery announces them.

    `version` is the version of CRD that is answered in where neither the call nor its client says one.
    """
    blueprint = Blueprint("hooks", __name__)

    def policy_page(plan: str) -> str:
        base = public_url or request.url_root.rstrip("/")
        return f"{base}/fhir/PlanDefinition/{plan}"

    @blueprint.post("/cds-services/<service>")
    def call(service: str) -> Response:
        if service not in services:
            fix = f"the services are {', '.join(services)}"
            return refusal(Problem("not-found", f"/cds-services/{service}", "no such service", fix))
        deadline = read_back.deadline()
        try:
            body = _body(max_body)
        except BodyUnreadable:
            fix = "send it whole, with a right Content-Length or well-formed chunks"
            return refusal(Problem("invalid", "body", "could not be read to its end", fix, "structure"))
        asked = parse_hook_request(body, services[service], version, client_of)
        if isinstance(asked, Problem):
            return refusal(asked)
        asked_at = now()
        asked = read_back.completed(asked, catalogue, asked_at, deadline)
        response = answer(asked, catalogue, asked_at, new_id, policy_page, business_hours)
        if isinstance(response, Problem):
            return refusal(response)
        _log_faults(response)
        return Response(render(response), mimetype="application/json")

    @blueprint.after_request
    def unkept(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"  # an answer quotes the chart
        return response

    return blueprint


def _log_faults(response: HookResponse) -> None:
    """Conditions of a plan that could not be worked out are ours to mend; they name the plan, never the chart."""
    for statement in response.statements:
        for determination in statement.determinations:
            for fault in determination.faults:
                _LOG.error("condition not worked out: %s", fault)


class BodyUnreadable(Exception):
    """The caller's body ended early or its chunks are malformed."""


def _piece() -> bytes:
    try:
        return request.stream.read(_PIECE)
    except Exception as fault:
        # whatever the server calls it: reading a body fails by what was sent, or by the line
        raise BodyUnreadable from fault


def _body(max_body: int) -> bytes:
    """The whole body, whatever its Content-Type; the core says whether it is JSON. Too large a one ends in a 413.

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
