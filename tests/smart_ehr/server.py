"""The EHR over HTTP, on a loopback port: FHIR with a token, SMART authorization, and the pages of a small clinic."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from tests.smart_ehr.authorization import AuthorizationServer, Denied, Grant, PatientWanted
from tests.smart_ehr.clinic import Clinic
from tests.smart_ehr.record import Record, Resource, VersionConflict, owner_of

FHIR_JSON = "application/fhir+json"
ORDERS = ("DeviceRequest", "MedicationRequest", "ServiceRequest")
_ANY_PAGE_MAY_CALL = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, If-Match, Prefer",
    "Access-Control-Expose-Headers": "ETag, Location",
}


@dataclass
class SmartEhr:
    """A running EHR. `log` holds method and path of each request; `fails` are answered with that status instead."""

    base: str
    record: Record
    authorization: AuthorizationServer
    clinic: Clinic
    log: list[str] = field(default_factory=list)
    fails: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return self.base.removesuffix("/fhir")

    def responses(self, status: str | None = None) -> list[Resource]:
        held = self.record.of_type("QuestionnaireResponse")
        return [one for one in held if status is None or one.get("status") == status]


@contextmanager
def smart_ehr(service: str, resources: Iterable[Resource], client_id: str = "cds-service-dtr") -> Iterator[SmartEhr]:
    """An EHR that holds these resources, asks the payer at `service`, and knows its app."""
    with _Server(("127.0.0.1", 0), _Request) as server:
        base = f"http://127.0.0.1:{server.server_address[1]}/fhir"
        record = Record(resources)
        authorization = AuthorizationServer(base, {client_id: f"{service}/dtr/"})
        server.ehr = SmartEhr(base, record, authorization, Clinic(record, authorization, service))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.ehr
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    ehr: SmartEhr

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes a connection is no news."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a test that fails says enough."""

    @property
    def ehr(self) -> SmartEhr:
        return self.server.ehr

    def _answer(self) -> None:
        with suppress(OSError):
            parts = urlsplit(self.path)
            self.query = parse_qsl(parts.query, keep_blank_values=True)
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.ehr.log.append(f"{self.command} {self.path}")
            path = parts.path.strip("/").split("/")
            if self.command == "OPTIONS":
                return self._say(204)
            match path:
                case ["fhir", ".well-known", "smart-configuration"]:
                    self._json(200, _smart_configuration(self.ehr))
                case ["fhir", "metadata"]:
                    self._json(200, _capabilities(self.ehr))
                case ["fhir", *rest]:
                    self._fhir(rest)
                case ["auth", "authorize"]:
                    self._authorize()
                case ["auth", "token"]:
                    self._token()
                case _:
                    self._page(path)

    do_GET = do_POST = do_PUT = do_OPTIONS = _answer

    # -- answers

    def _say(self, status: int, body: bytes = b"", kind: str = FHIR_JSON, **headers: str) -> None:
        self.send_response(status)
        told = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store", **headers}
        for name, value in {**told, **_ANY_PAGE_MAY_CALL}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _json(self, status: int, document: Any, **headers: str) -> None:
        self._say(status, json.dumps(document).encode(), **headers)

    def _refuse(self, status: int, text: str) -> None:
        issue = {"severity": "error", "code": "processing", "diagnostics": text}
        self._json(status, {"resourceType": "OperationOutcome", "issue": [issue]})

    def _redirect(self, location: str) -> None:
        self._say(303, Location=location)

    def _html(self, title: str, *parts: str) -> None:
        page = (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><h1>{escape(title)}</h1>"
        )
        self._say(200, (page + "".join(parts)).encode(), "text/html; charset=utf-8")

    # -- FHIR

    def _fhir(self, path: list[str]) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        grant = self.ehr.authorization.grants.get(token)
        if grant is None:
            return self._refuse(401, "no token, or one that was not given here")
        forced = self.ehr.fails.get((self.command, path[0]))
        if forced is not None:
            return self._refuse(forced, "as a test wants it")
        match self.command, path:
            case "GET", [kind, identity]:
                found = self.ehr.record.read(kind, identity)
                if found is None:
                    return self._refuse(404, f"no {kind}/{identity}")
                if not _may_see(grant, found):
                    return self._refuse(403, "of another patient")
                self._saved(200, found)
            case "GET", [kind]:
                self._json(200, self._found(kind, grant))
            case "POST", [kind]:
                self._write(kind, None, grant)
            case "PUT", [kind, identity]:
                self._write(kind, identity, grant)
            case _:
                self._refuse(405, "not done here")

    def _found(self, kind: str, grant: Grant) -> Resource:
        found = [one for one in self.ehr.record.search(kind, self.query) if _may_see(grant, one)]
        entries = [{"fullUrl": f"{self.ehr.base}/{kind}/{one['id']}", "resource": one} for one in found]
        return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}

    def _write(self, kind: str, identity: str | None, grant: Grant) -> None:
        if not grant.scope & {f"patient/{kind}.cu", f"patient/{kind}.write"}:
            return self._refuse(403, f"the scopes do not allow to write a {kind}")
        resource = json.loads(self.body)
        if resource.get("resourceType") != kind or (identity is not None and resource.get("id") != identity):
            return self._refuse(400, "the resource is not what its address says")
        if owner_of(resource) != grant.context.patient:
            return self._refuse(403, "of another patient")
        if identity is None:
            return self._saved(201, self.ehr.record.create(resource))
        expected = self.headers.get("If-Match", "").removeprefix('W/"').removesuffix('"') or None
        try:
            self._saved(200, self.ehr.record.update(resource, expected))
        except VersionConflict:
            self._refuse(412, "changed since it was read")

    def _saved(self, status: int, resource: Resource) -> None:
        self._json(status, resource, ETag=f'W/"{resource["meta"]["versionId"]}"')

    # -- SMART

    def _authorize(self) -> None:
        asked = dict(self.query)
        try:
            self._redirect(self.ehr.authorization.authorize(asked, asked.pop("chosen_patient", None)))
        except PatientWanted:
            links = (
                f'<li><a href="{escape(self.path)}&chosen_patient={quote(one["id"])}">{escape(one["id"])}</a>'
                for one in self.ehr.record.of_type("Patient")
            )
            self._html("Whose record?", "<ul>", *links, "</ul>")
        except Denied as denied:
            if denied.location is None:
                self._say(400, str(denied).encode(), "text/plain")
            else:
                self._redirect(denied.location)

    def _token(self) -> None:
        try:
            self._json(200, self.ehr.authorization.token(dict(parse_qsl(self.body.decode()))))
        except Denied as denied:
            self._json(400, {"error": denied.error, "error_description": denied.description})

    # -- the clinic

    def _page(self, path: list[str]) -> None:
        clinic = self.ehr.clinic
        match self.command, path:
            case "GET", ["favicon.ico"]:
                self._say(204)
            case "GET", [""]:
                orders = [one for kind in ORDERS for one in self.ehr.record.of_type(kind)]
                self._html("Orders to be signed", "<ul>", *map(_order_line, orders), "</ul>")
            case "POST", ["sign", kind, identity]:
                clinic.sign(f"{kind}/{identity}")
                self._redirect(f"/order/{kind}/{identity}")
            case "GET", ["order", kind, identity]:
                self._html("What the payer says", _said(clinic, f"{kind}/{identity}"))
            case "GET", ["launch", kind, identity]:
                self._redirect(clinic.launch_url(f"{kind}/{identity}"))
            case "GET", ["framed", kind, identity]:
                self._html("In the record", f'<iframe src="/launch/{kind}/{identity}" width=390 height=800></iframe>')
            case "GET", ["launch-card", kind, identity]:
                self._redirect(clinic.card_launch_url(f"{kind}/{identity}") or "/")
            case _:
                self._refuse(404, "no such page")


def _may_see(grant: Grant, resource: Resource) -> bool:
    return owner_of(resource) in (None, grant.context.patient)


def _smart_configuration(ehr: SmartEhr) -> dict[str, Any]:
    return {
        "issuer": ehr.base,
        "authorization_endpoint": f"{ehr.origin}/auth/authorize",
        "token_endpoint": f"{ehr.origin}/auth/token",
        "grant_types_supported": ["authorization_code"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["launch-ehr", "launch-standalone", "client-public", "context-ehr-patient", "permission-v2"],
    }


def _capabilities(ehr: SmartEhr) -> dict[str, Any]:
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server"}],
    }


def _order_line(order: Resource) -> str:
    name = f"{order['resourceType']}/{order['id']}"
    return f'<li>{name} <form method=post action="/sign/{name}"><button>Sign {name}</button></form>'


def _said(clinic: Clinic, order: str) -> str:
    cards = clinic.heard.get(order, {}).get("cards", [])
    shown = "".join(f"<h2>{escape(one['summary'])}</h2><pre>{escape(one.get('detail', ''))}</pre>" for one in cards)
    opened = (
        f'<p><a id=open href="/launch/{order}">Answer the payer\'s questions</a>'
        if clinic.questionnaires(order)
        else ""
    )
    by_card = (
        f'<p><a id=open-card href="/launch-card/{order}">From the card</a>' if clinic.card_launch_url(order) else ""
    )
    again = f'<form method=post action="/sign/{order}"><button>Sign again</button></form>'
    return shown + opened + by_card + again
