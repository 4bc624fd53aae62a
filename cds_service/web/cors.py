"""CORS for discovery, hooks and feedback: which web pages may read what they are answered. Looks into no body.

CDS Hooks 2.0, Cross-Origin Resource Sharing, leaves it to OWASP: origins by name, never `*`, never `null`, and none
mirrored unseen. A page of any other origin gets the answer of a server without CORS, and its browser keeps it from it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from flask import Flask, Response, request

from cds_service.fhir.addresses import read_address

_BELOW = "/cds-services"
_METHODS = "GET, POST, OPTIONS"
# the token and the type of what is sent; whatever else a page wants to send, a browser may send unasked or not at all
_HEADERS = "Authorization, Content-Type"
_SECONDS = "600"


def allow_origins(app: Flask, origins: Collection[str], loopback: bool) -> None:
    """Let pages of these origins call below /cds-services; with `loopback`, also any page that this machine serves."""
    named = _named(frozenset(origins), loopback)

    @app.after_request
    def allow(response: Response) -> Response:
        if request.path != _BELOW and not request.path.startswith(f"{_BELOW}/"):
            return response
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is not None and named(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            if request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = _METHODS
                response.headers["Access-Control-Allow-Headers"] = _HEADERS
                response.headers["Access-Control-Max-Age"] = _SECONDS
        return response


def _named(origins: frozenset[str], loopback: bool) -> Callable[[str], bool]:
    def named(text: str) -> bool:
        address = read_address(text)
        if address is None or address.path or address.query:
            return False
        return address.origin in origins or (loopback and address.is_loopback)

    return named
