"""POST /fhir/Questionnaire/$log-questionnaire-errors: which form, how many issues of which code, into the log."""

from __future__ import annotations

import logging
from collections.abc import Collection

from flask import Blueprint, Response

from cds_service.dtr.questionnaire_errors import in_words, read_report
from cds_service.web.problems import refusal_of_all
from cds_service.web.request_body import read_document

_LOG = logging.getLogger(__name__)


def questionnaire_errors(held: Collection[str], max_body: int) -> Blueprint:
    """`held` are the canonicals of our forms, with and without version: no other text of a report is logged."""
    blueprint = Blueprint("questionnaire_errors", __name__)

    @blueprint.post("/fhir/Questionnaire/$log-questionnaire-errors")
    def call() -> Response:
        document = read_document(max_body)
        if isinstance(document, Response):
            return document
        report = read_report(document, held)
        if isinstance(report, list):
            return refusal_of_all(report, 400)
        _LOG.warning("a client reports of %s", in_words(report))
        return Response(status=204)  # the operation has no output

    return blueprint
