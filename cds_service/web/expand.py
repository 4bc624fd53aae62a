"""/fhir/ValueSet/$expand: the codes of a value set that is held. What matches is for the core to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from flask import Blueprint, Response, request

from cds_service.fhir.problem import Problem
from cds_service.fhir.record_shapes import objects_in
from cds_service.terminology.expand import expanded, read_wanted
from cds_service.web.problems import FHIR_JSON, refusal
from cds_service.web.request_body import read_document


def expand(
    value_sets: Sequence[Mapping[str, Any]],
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    max_body: int,
) -> Blueprint:
    """The operation at the type (DTR 2.2) and, as plain R4 has it, at one value set."""
    blueprint = Blueprint("expand", __name__)
    urls = {one["id"]: one["url"] for one in value_sets}

    @blueprint.get("/fhir/ValueSet/$expand")
    @blueprint.get("/fhir/ValueSet/<value_set>/$expand")
    def by_query(value_set: str | None = None) -> Response:
        return _answered(list(request.args.items(multi=True)), value_set)

    @blueprint.post("/fhir/ValueSet/$expand")
    @blueprint.post("/fhir/ValueSet/<value_set>/$expand")
    def by_parameters(value_set: str | None = None) -> Response:
        document = read_document(max_body)
        if isinstance(document, Response):
            return document
        if document.get("resourceType") != "Parameters":
            fix = "send a Parameters resource, or GET with a query"
            return refusal(Problem("invalid", "resourceType", "is not Parameters", fix, "structure"))
        held = objects_in(document.get("parameter"))
        return _answered([(str(one.get("name")), _value(one)) for one in held], value_set)

    def _answered(parameters: Sequence[tuple[str, Any]], value_set: str | None) -> Response:
        if value_set is not None and value_set not in urls:
            fix = "GET /fhir/ValueSet lists those that are held"
            return refusal(Problem("not-found", f"/fhir/ValueSet/{value_set}", "no value set with this id", fix))
        wanted = read_wanted(parameters, urls.get(value_set or ""))
        found = wanted if isinstance(wanted, Problem) else expanded(value_sets, wanted, now(), new_id())
        if isinstance(found, Problem):
            return refusal(found)
        return Response(orjson.dumps(found), mimetype=FHIR_JSON)

    return blueprint


def _value(parameter: Mapping[str, Any]) -> Any:
    return next((value for name, value in parameter.items() if name.startswith("value")), parameter.get("resource"))
