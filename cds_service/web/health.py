"""/healthz and /readyz: does the process answer, and may calls be sent to it. Knows nothing of FHIR."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from flask import Blueprint, Response


def health(policies: int, store_trouble: Callable[[], str | None]) -> Blueprint:
    """Routes that say "alive", and "ready" with the number of policies that answers can come from.

    Without its store the service is still ready, for hooks are answered without it; what does not work then is said.
    """
    blueprint = Blueprint("health", __name__)
    alive = orjson.dumps({"status": "ok"})
    # the plans are read before the first route exists, so a process that answers at all has them
    ready = {"status": "ready", "policies": policies, "store": "ready"}
    impaired = "no memory of earlier answers, feedback is refused"

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return Response(alive, mimetype="application/json")

    @blueprint.get("/readyz")
    def readyz() -> Response:
        trouble = store_trouble()
        said = ready if trouble is None else {**ready, "store": f"{trouble}: {impaired}"}
        return Response(orjson.dumps(said), mimetype="application/json")

    return blueprint
