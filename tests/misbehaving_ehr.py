"""A FHIR server on a loopback port that does, for each path, what a test tells it to: also what no server should."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FHIR_JSON = "application/fhir+json"


class Request(BaseHTTPRequestHandler):
    """One request, and the ways to answer it."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        with suppress(OSError):
            self.server.ehr.answer(self)

    do_POST = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a test that fails says enough."""

    def payload(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def say(self, status: int, body: bytes = b"", kind: str = FHIR_JSON, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def fhir(self, resource: Any) -> None:
        self.say(200, json.dumps(resource).encode())

    def reset(self) -> None:
        """End the connection as a crash does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.close_connection = True
        self.connection.close()


Behaviour = Callable[[Request], None]


@dataclass
class MisbehavingEhr:
    """`behaviours` by path with query, below the base; what is not there is answered with 404."""

    base: str = ""
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    otherwise: Behaviour = field(default=lambda request: request.say(404))
    seen: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    def holds(self, *resources: dict[str, Any]) -> None:
        """Each under its own address."""
        for one in resources:
            self.on(f"{one['resourceType']}/{one['id']}", lambda request, one=one: request.fhir(one))

    def finds(self, query: str, *resources: dict[str, Any], **more: Any) -> None:
        """A search and its result."""
        found = searchset(*resources, **more)
        self.on(query, lambda request: request.fhir(found))

    def on(self, path: str, behaviour: Behaviour) -> None:
        self.behaviours[f"/fhir/{path}" if path else "/fhir"] = behaviour

    def answer(self, request: Request) -> None:
        self.seen.append((request.command, request.path, dict(request.headers)))
        self.behaviours.get(request.path, self.otherwise)(request)

    @property
    def asked(self) -> list[str]:
        """What was asked for, below the base, in the order of the alphabet: reads come side by side."""
        return sorted(path.removeprefix("/fhir/") for _, path, _ in self.seen)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    ehr: MisbehavingEhr

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests want."""


@contextmanager
def misbehaving_ehr() -> Iterator[MisbehavingEhr]:
    with _Server(("127.0.0.1", 0), Request) as server:
        server.ehr = MisbehavingEhr(base=f"http://127.0.0.1:{server.server_address[1]}/fhir")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.ehr
        finally:
            server.shutdown()


def searchset(*resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    entries = [{"resource": one, "search": {"mode": "match"}} for one in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries, **more}


def after(seconds: float, behaviour: Behaviour) -> Behaviour:
    def slow(request: Request) -> None:
        time.sleep(seconds)
        behaviour(request)

    return slow


def hang(request: Request) -> None:
    time.sleep(30)


def drip(request: Request) -> None:
    """A header, one letter at a time: no wait between two bytes is ever long."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(600):
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.05)


def truncated(request: Request) -> None:
    request.send_response(200)
    request.send_header("Content-Type", FHIR_JSON)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"resourceType": "Pat')
    request.close_connection = True


def endless(request: Request) -> None:
    """Chunks of a string that never ends, without saying how long it is."""
    request.send_response(200)
    request.send_header("Content-Type", FHIR_JSON)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    request.wfile.write(b'12\r\n{"resourceType": "\r\n')
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    for _ in range(800):
        request.wfile.write(piece)


def once(first: Behaviour, then: Behaviour) -> Behaviour:
    waiting = [first]

    def behave(request: Request) -> None:
        (waiting.pop() if waiting else then)(request)

    return behave
