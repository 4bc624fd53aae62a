"""The floor: the same gunicorn and Flask, the same body parsed, a constant of the same size as answer."""

from __future__ import annotations

import sys

import orjson
from flask import Flask, Response, request

from cds_service.commands.serve import serve_wsgi


def floor(size: int) -> Flask:
    """A server that answers every hook with `size` bytes of JSON."""
    app = Flask(__name__, static_folder=None)
    answer = orjson.dumps({"cards": [], "padding": ""})
    answer = answer[:-2] + b"x" * (size - len(answer)) + answer[-2:]

    @app.post("/cds-services/<service>")
    def call(service: str) -> Response:
        orjson.loads(request.get_data(cache=False))
        return Response(answer, mimetype="application/json")

    @app.get("/readyz")
    def ready() -> Response:
        return Response(b"{}", mimetype="application/json")

    return app


if __name__ == "__main__":
    serve_wsgi(floor(int(sys.argv[1])), "127.0.0.1", 0, 1, "the floor")
