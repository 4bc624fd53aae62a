"""GET /cds-services: which hooks are answered, with which prefetch. The core makes the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Response


def discovery(document: Mapping[str, Any]) -> Blueprint:
    """The route of the discovery document (CDS Hooks 2.0, Discovery), fixed while the plans are."""
    blueprint = Blueprint("discovery", __name__)
    body = orjson.dumps(document)

    @blueprint.get("/cds-services")
    def services() -> Response:
        return Response(body, mimetype="application/json")

    return blueprint
