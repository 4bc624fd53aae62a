"""POST /cds-services/<id>: bytes in, bytes out. What they mean is the core's; no resource is read here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from flask import Blueprint, Response, request

from cds_service.crd.answer import HookResponse, answer, render
from cds_service.crd.call_record import CallRecord, call_record
from cds_service.crd.clients import Client
from cds_service.crd.hook_request import HookRequest, parse_hook_request
from cds_service.crd.memory import NOTHING_KEPT, Assertion, Kept, assertion_ids, patient_digest, without_guessable
from cds_service.crd.responses import StoredResponse
from cds_service.crd.versions import CrdVersion
from cds_service.fhir.problem import Problem
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.catalogue import Catalogue
from cds_service.web.problems import refusal
from cds_service.web.read_back import ReadBack
from cds_service.web.request_body import BodyUnreadable, read_body, refusal_of_unreadable

_LOG = logging.getLogger(__name__)


class Memory(Protocol):
    """Earlier answers, and finished questionnaires. No call ever fails: without a store nothing is remembered."""

    def earlier(self, ids: Collection[str]) -> Mapping[str, Assertion]: ...

    def answered(self, patient: str) -> Sequence[StoredResponse] | None: ...

    def remember(self, kept: Kept, call: CallRecord, service: str, moment: datetime) -> None: ...


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
    memory: Memory,
    keeps_contexts: bool = False,
    has_dtr_app: bool = False,
) -> Blueprint:
    """The hook routes. `services` tells the hook of each service id, as discovery announces them.

    `version` is the version of CRD that is answered in where neither the call nor its client says one.
    `keeps_contexts`: whether questionnaires that go out can be filled from what was looked at.
    `has_dtr_app`: whether our app for questionnaires is at hand, for cards to lead to.
    """
    blueprint = Blueprint("hooks", __name__)

    def base() -> str:
        return public_url or request.url_root.rstrip("/")

    def policy_page(plan: str) -> str:
        return f"{base()}/fhir/PlanDefinition/{plan}"

    @blueprint.post("/cds-services/<service>")
    def call(service: str) -> Response:
        if service not in services:
            fix = f"the services are {', '.join(services)}"
            return refusal(Problem("not-found", f"/cds-services/{service}", "no such service", fix))
        deadline = read_back.deadline()
        try:
            body = read_body(max_body)
        except BodyUnreadable:
            return refusal_of_unreadable()
        asked_at = now()
        asked = parse_hook_request(body, services[service], version, client_of)
        if isinstance(asked, Problem):
            return refused(asked, body, service, asked_at)
        asked = read_back.completed(asked, catalogue, asked_at, deadline)
        held = [*(one.resource for one in asked.orders), *(one.resource for one in asked.resources)]
        borne = assertion_ids(held)
        earlier = memory.earlier(borne)
        patient = patient_digest(asked.fhir_server, asked.patient_id)
        stored = memory.answered(patient) if catalogue.has_forms else ()
        launch = f"{base()}/dtr/launch" if has_dtr_app else ""
        response = answer(
            asked, catalogue, asked_at, new_id, policy_page, business_hours, earlier, keeps_contexts, stored, launch
        )
        if isinstance(response, Problem):
            return refused(response, body, service, asked_at, asked)
        _log_faults(response)
        sent = render(response)
        kept = without_guessable(response.kept, borne, earlier)
        memory.remember(kept, call_record(body, sent, 200, asked, response.statements), service, asked_at)
        return Response(sent, mimetype="application/json")

    def refused(
        problem: Problem, body: bytes, service: str, asked_at: datetime, asked: HookRequest | None = None
    ) -> Response:
        answered = refusal(problem)
        call = call_record(body, answered.get_data(), answered.status_code, asked)
        memory.remember(NOTHING_KEPT, call, service, asked_at)
        return answered

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
