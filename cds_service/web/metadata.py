"""GET /fhir/metadata: what this server does of FHIR, as a CapabilityStatement. Says nothing of hooks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import orjson
from flask import Blueprint, Response, request

from cds_service.fhir.search import SEARCHED
from cds_service.web.definitions import TYPES
from cds_service.web.problems import FHIR_JSON

_DTR = "http://hl7.org/fhir/us/davinci-dtr"
# type -> operation -> its definition
_OPERATIONS = {
    "Questionnaire": {
        "questionnaire-package": f"{_DTR}/OperationDefinition/questionnaire-package",
        "next-question": "http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-next-question",
        "log-questionnaire-errors": f"{_DTR}/OperationDefinition/log-questionnaire-errors",
    },
    "ValueSet": {"expand": "http://hl7.org/fhir/OperationDefinition/ValueSet-expand"},
}
_DOCUMENTATION = {
    "QuestionnaireResponse": "Completed questionnaires, as evidence for the next determination. Ours, not of DTR."
}


def metadata(started: datetime, version: str, public_url: str | None, routes: Collection[str]) -> Blueprint:
    """The route. `routes` are those of the application: only what it answers is said."""
    blueprint = Blueprint("metadata", __name__)

    @blueprint.get("/fhir/metadata")
    def statement() -> Response:
        base = f"{public_url or request.url_root.rstrip('/')}/fhir"
        return Response(orjson.dumps(_statement(started, version, base, routes)), mimetype=FHIR_JSON)

    return blueprint


def _statement(started: datetime, version: str, base: str, routes: Collection[str]) -> dict[str, Any]:
    resources = [_resource(kind, routes) for kind in TYPES]
    if "/fhir/QuestionnaireResponse" in routes:
        kind = "QuestionnaireResponse"
        resources.append({"type": kind, "documentation": _DOCUMENTATION[kind], "interaction": [{"code": "create"}]})
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": started.isoformat(timespec="seconds"),
        "publisher": "cds-service",
        "kind": "instance",
        "instantiates": [f"{_DTR}/CapabilityStatement/dtr-payer-service"],
        "software": {"name": "cds-service", "version": version},
        "implementation": {"description": "Questionnaires and definitions of a payer's policies", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "resource": resources}],
    }


def _resource(kind: str, routes: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": code} for code in ("read", "vread", "search-type")],
        "versioning": "versioned",
        "searchParam": [{"name": name, "type": of} for name, of in SEARCHED.items()],
    }
    operations = [
        {"name": name, "definition": definition}
        for name, definition in _OPERATIONS.get(kind, {}).items()
        if f"/fhir/{kind}/${name}" in routes
    ]
    return found | {"operation": operations} if operations else found
