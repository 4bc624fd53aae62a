"""POST /fhir/QuestionnaireResponse: a finished questionnaire, on the disk before it is acknowledged. Not of DTR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from flask import Blueprint, Response, request

from cds_service.crd.received import Fate, Sent, ToStore, answer_of, checked, fate_of, parse_sent, policy_of
from cds_service.crd.responses import StoredResponse
from cds_service.fhir.problem import Problem
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.context import Context
from cds_service.web.problems import FHIR_JSON, refusal, refusal_of_all
from cds_service.web.request_body import BodyUnreadable, read_body, refusal_of_unreadable

_STATUS: dict[Fate, int] = {"created": 201, "replaced": 201, "same": 200, "withdrawn": 200}


class KeepsResponses(Protocol):
    """Where responses stand, and what they were asked for with. A call that fails gives the reason as text."""

    @property
    def context_days(self) -> int: ...  # 0: no context is kept

    def contexts(self, identity: str, moment: datetime) -> Sequence[Context] | str: ...

    def keep(
        self, new: ToStore, named: bool, moment: datetime, decide: Callable[[ToStore, ToStore | None], Fate | Problem]
    ) -> tuple[ToStore, Fate] | Problem | str: ...

    def of_patient(self, patient: str) -> Sequence[StoredResponse] | str: ...


def responses(
    catalogue: Catalogue,
    keeps: KeepsResponses,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    business_hours: BusinessHours,
    max_body: int,
) -> Blueprint:
    """The route. A response is stored whole once it is valid, or not at all."""
    blueprint = Blueprint("responses", __name__)

    @blueprint.post("/fhir/QuestionnaireResponse")
    def receive() -> Response:
        try:
            body = read_body(max_body)
        except BodyUnreadable:
            return refusal_of_unreadable()
        sent = parse_sent(body, request.args.get("context") or None)
        if isinstance(sent, Problem):
            return refusal(sent)
        policy = policy_of(sent, catalogue)
        if isinstance(policy, Problem):
            return refusal(policy)
        moment = now()
        contexts = keeps.contexts(sent.context, moment) if sent.context is not None else ()
        if isinstance(contexts, str):
            return _away(contexts)
        new = checked(sent, policy, contexts, catalogue, moment, new_id, keeps.context_days > 0)
        if isinstance(new, list):
            return refusal_of_all(new, 422)
        return stored(sent, new, contexts, moment)

    def stored(sent: Sent, new: ToStore, contexts: Sequence[Context], moment: datetime) -> Response:
        kept = keeps.keep(new, sent.resource.get("id") is not None, moment, fate_of)
        if isinstance(kept, Problem):
            return refusal(kept)
        if isinstance(kept, str):
            return _away(kept)
        held, fate = kept
        context = next((one for one in contexts if one.questionnaire == held.questionnaire), None)
        url, _, version = (context.policy if context is not None else "").partition("|")
        policy = catalogue.by_canonical(url, version) if context is not None else None
        if policy is not None and policy.id in catalogue.disabled:
            policy = None
        held_of_patient = keeps.of_patient(held.patient) if policy is not None else ()
        if isinstance(held_of_patient, str):
            return _away(held_of_patient)
        said = answer_of(sent, held, context, policy, held_of_patient, moment, business_hours, keeps.context_days > 0)
        return Response(said, _STATUS[fate], mimetype=FHIR_JSON)

    @blueprint.after_request
    def unkept(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"  # an answer quotes the chart
        return response

    return blueprint


def _away(why: str) -> Response:
    fix = "keep the response, and send it again later"
    refused = refusal(Problem("unavailable", "QuestionnaireResponse", f"not stored: {why}", fix, "transient"), 503)
    refused.headers["Retry-After"] = "60"
    return refused
