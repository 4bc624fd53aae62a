"""/healthz and /readyz: does the process answer, and may calls be sent to it. Knows nothing of FHIR."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response


def health(policies: int) -> Blueprint:
    """Routes that say "alive", and "ready" with the number of policies that answers can come from."""
    blueprint = Blueprint("health", __name__)
    alive = orjson.dumps({"status": "ok"})
    # the plans are read before the first route exists, so a process that answers at all has them
    ready = orjson.dumps({"status": "ready", "policies": policies})

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return Response(alive, mimetype="application/json")

    @blueprint.get("/readyz")
    def readyz() -> Response:
        return Response(ready, mimetype="application/json")

    return blueprint
