"""POST /fhir/Questionnaire/$next-question: an adaptive response goes on by one step. Judges nothing; keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from flask import Blueprint, Response, request

from cds_service.crd.context_information import information_of
from cds_service.crd.kept_context import determined_with
from cds_service.crd.responses import SKEW, StoredResponse
from cds_service.crd.versions import NEWEST, version_named
from cds_service.dtr.asked_form import dialect_of
from cds_service.dtr.dialects import VERSION_PARAMETER, Dialect
from cds_service.dtr.next_question import (
    Asked,
    Reply,
    go_on,
    out_parameter,
    read_asked,
    response_in,
    time_fault,
    whose_fault,
    with_information,
)
from cds_service.fhir.problem import Problem
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.context import Context
from cds_service.policy.situation_json import situation_from
from cds_service.web.problems import FHIR_JSON, refusal, refusal_of_all
from cds_service.web.request_body import read_document

# What is kept under an assertion id at an instant, or why it cannot be known now
Contexts = Callable[[str, datetime], Sequence[Context] | str]
# The finished questionnaires of a patient (a digest) that were sent here, or why they cannot be known now
OfPatient = Callable[[str], Sequence[StoredResponse] | str]
_PATHS = ("/fhir/Questionnaire/$next-question", "/fhir/contexts/<context>/Questionnaire/$next-question")


def next_question(
    catalogue: Catalogue,
    contexts: Contexts,
    of_patient: OfPatient,
    now: Callable[[], datetime],
    business_hours: BusinessHours,
    public_url: str | None,
    max_body: int,
    default: Dialect,
    keeps_contexts: bool = True,
) -> Blueprint:
    """The operation, at the type and, for one context, below `/fhir/contexts/<assertion id>`: the address that the
    forms of a package give. `default` is the version of DTR where neither the call nor its form says one;
    `keeps_contexts`: whether any context can be found again here."""
    blueprint = Blueprint("next_question", __name__)

    def call(context: str | None = None) -> Response:
        document = read_document(max_body)
        if isinstance(document, Response):
            return document
        chosen = dialect_of(document, request.args.get(VERSION_PARAMETER), default)
        if isinstance(chosen, Problem):
            return refusal(chosen)
        sent = response_in(document)
        if isinstance(sent, Problem):
            return refusal(sent)
        asked = read_asked(sent, catalogue)
        if isinstance(asked, list):
            return refusal_of_all(asked, 422 if asked[0].kind == "not-supported" else 400)
        if context is not None:
            if asked.context not in (None, context):
                fix = "call the address that the form gives, or leave the extension out"
                return refusal(Problem("invalid", "extension", "names another context than the address", fix))
            asked = replace(asked, context=context)
        moment = now()
        early = time_fault(asked, moment + SKEW)
        if early is not None:
            return refusal(early)
        reply = answered(asked, moment, chosen)
        return reply if isinstance(reply, Response) else _sent(reply, document)

    def answered(asked: Asked, moment: datetime, chosen: Dialect) -> Reply | Response:
        base = f"{public_url or request.url_root.rstrip('/')}/fhir"
        if asked.context is None or not keeps_contexts:  # an id under which nothing can be kept helps nobody
            return go_on(asked, None, moment, chosen, base)
        held = contexts(asked.context, moment)
        if isinstance(held, str):
            return _away(held)
        kept = next((one for one in held if one.questionnaire == asked.form.canonical), None)
        fault = whose_fault(asked, kept)
        if fault is not None or kept is None:
            return refusal(fault or Problem("not-found", "context", "not known", "ask for the form again"))
        situation = situation_from(
            kept.situation, asked.policy, asked_at=moment, business_hours=business_hours, answers={}
        )
        reply = go_on(asked, situation, moment, chosen, base)
        # DTR, spec-43: where CRD was asked before, and could not tell without the answers. Another policy under the
        # same assertion id would be overwritten by what this one alone says.
        if not (reply.done and asked.answers and len(held) == 1 and chosen.information):
            return reply
        # as order-sign will: the chart, or what was sent here, may hold a newer answer that says otherwise
        sent_before = of_patient(kept.patient)
        if isinstance(sent_before, str):
            return _away(sent_before)
        determination = determined_with(reply.response, kept, asked.policy, sent_before, moment, business_hours)
        if determination is not None:
            version = version_named(chosen.name) or NEWEST
            return with_information(reply, information_of(kept, situation, determination, moment.date(), version))
        return reply

    for n, path in enumerate(_PATHS):
        blueprint.add_url_rule(path, f"next_question_{n}", call, methods=["POST"])

    @blueprint.after_request
    def unkept(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"  # answers are a chart
        return response

    return blueprint


def _sent(reply: Reply, document: Mapping[str, Any]) -> Response:
    """The bare response, as FHIR has it for one parameter named `return`; Parameters for those who ask for them."""
    said: Mapping[str, Any] = reply.response
    if request.args.get("output") == "parameters":
        name = out_parameter(document)
        said = {"resourceType": "Parameters", "parameter": [{"name": name, "resource": said}]}
    return Response(orjson.dumps(said), mimetype=FHIR_JSON)


def _away(why: str) -> Response:
    refused = refusal(Problem("unavailable", "context", f"not read: {why}", "call again later", "transient"), 503)
    refused.headers["Retry-After"] = "60"
    return refused
