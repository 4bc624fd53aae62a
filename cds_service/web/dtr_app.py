"""GET /dtr/...: the app for questionnaires, as files, and which EHRs it may talk to. Knows no forms and no patients."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import orjson
from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from cds_service.fhir.problem import Problem
from cds_service.web.problems import refusal

# a file that is smaller travels in one packet anyway
_WORTH_COMPRESSING = 1400
_TYPES = {".js": "text/javascript", ".md": "text/plain"}


class Files(Protocol):
    """What the app consists of."""

    @property
    def has_libraries(self) -> bool: ...

    def read(self, name: str) -> bytes | None: ...


class _Asset(NamedTuple):
    body: bytes
    compressed: bytes | None
    mimetype: str
    tag: str


def dtr_app(
    files: Files,
    client_id_at: Callable[[str], str | None],
    ehr_sources: Sequence[str],
    payers: Sequence[tuple[str, str]],
) -> Blueprint:
    """The routes of the app. `client_id_at` gives how an EHR knows the app, None where it may not be talked to;
    `ehr_sources` are all that it may talk to, as a content security policy writes them; `payers` are ids and names."""
    blueprint = Blueprint("dtr_app", __name__)
    policy = content_security_policy(ehr_sources)

    # read and compressed when first asked for: a process that shows no form holds none of it
    @lru_cache(maxsize=64)
    def asset(name: str) -> _Asset | None:
        body = files.read(name)
        if body is None:
            return None
        suffix = name[name.rfind(".") :]
        mimetype = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        compressed = gzip.compress(body, 6, mtime=0) if len(body) > _WORTH_COMPRESSING and suffix != ".png" else None
        return _Asset(body, compressed, mimetype, hashlib.sha256(body).hexdigest()[:32])

    def sent(name: str, status: int = 200) -> Response:
        one = asset(name)
        if one is None:
            fix = "open /dtr/, or launch the app from an order"
            return refusal(Problem("not-found", request.path, "the app has no such file", fix))
        packed = one.compressed is not None and request.accept_encodings.quality("gzip") > 0
        response = Response(one.compressed if packed else one.body, status, mimetype=one.mimetype)
        if packed:
            response.headers["Content-Encoding"] = "gzip"
        if one.compressed is not None:
            response.vary.add("Accept-Encoding")
        response.set_etag(f"{one.tag}-gzip" if packed else one.tag)
        if status == 200:
            response.make_conditional(request)
        return response

    @blueprint.get("/dtr/")
    def start() -> AnyResponse:
        if not request.path.endswith("/"):
            # the page names its files from here; its query is what an authorization server sends back
            query = request.query_string.decode("latin-1")
            return redirect("dtr/" + (f"?{query}" if query else ""), 308)
        return page("index.html")

    @blueprint.get("/dtr/launch")
    def launch() -> Response:
        return page("launch.html")

    def page(name: str) -> Response:
        return sent(name) if files.has_libraries else sent("absent.html", 503)

    @blueprint.get("/dtr/ehr")
    def ehr() -> Response:
        iss = request.args.get("iss", "")
        client_id = client_id_at(iss)
        if client_id is None:
            fix = "register the FHIR server in the client registry (CDS_CLIENTS), and open the page again"
            refused = Problem("not-supported", "iss", "this FHIR server is not registered here", fix, "forbidden")
            return refusal(refused, 403)
        return Response(orjson.dumps({"clientId": client_id}), mimetype="application/json")

    # DTR spec-101: for which payers the app is of use, for whoever chooses among apps
    listed = orjson.dumps({"payers": [{"id": identity, "name": name} for identity, name in payers]})

    @blueprint.get("/dtr/payers")
    def supported_payers() -> Response:
        response = Response(listed, mimetype="application/json")
        response.headers["Access-Control-Allow-Origin"] = "*"  # public, and read by the pages of EHRs
        return response

    @blueprint.get("/dtr/<path:name>")
    def file(name: str) -> Response:
        return sent(name)

    @blueprint.after_request
    def guarded(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        # the address of the page holds the authorization code
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-cache"
        return response

    return blueprint


def content_security_policy(ehr_sources: Sequence[str]) -> str:
    """What the pages may load, call and be framed by. No script but ours, none inline; inline styles, for LHC-Forms
    writes them. The record is called at the EHRs, and an EHR may show the app in a frame."""
    ehrs = " ".join(ehr_sources)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            f"connect-src 'self' {ehrs}".rstrip(),
            f"frame-ancestors 'self' {ehrs}".rstrip(),
            "form-action 'self'",
            "base-uri 'none'",
        )
    )
