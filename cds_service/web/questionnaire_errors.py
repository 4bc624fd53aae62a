"""POST /fhir/Questionnaire/$log-questionnaire-errors: which form, how many issues of which code, into the log."""

from __future__ import annotations

import logging
from collections.abc import Collection

from flask import Blueprint, Response

from cds_service.dtr.questionnaire_errors import in_words, read_report
from cds_service.fhir.json_body import read_json
from cds_service.fhir.problem import Problem
from cds_service.web.problems import refusal, refusal_of_all
from cds_service.web.request_body import BodyUnreadable, read_body, refusal_of_unreadable

_LOG = logging.getLogger(__name__)


def questionnaire_errors(held: Collection[str], max_body: int) -> Blueprint:
    """`held` are the canonicals of our forms, with and without version: no other text of a report is logged."""
    blueprint = Blueprint("questionnaire_errors", __name__)

    @blueprint.post("/fhir/Questionnaire/$log-questionnaire-errors")
    def call() -> Response:
        try:
            body = read_body(max_body)
        except BodyUnreadable:
            return refusal_of_unreadable()
        document = read_json(body)
        if isinstance(document, Problem):
            return refusal(document)
        report = read_report(document, held)
        if isinstance(report, list):
            return refusal_of_all(report, 400)
        _LOG.warning("a client reports of %s", in_words(report))
        return Response(status=204)  # the operation has no output

    return blueprint
