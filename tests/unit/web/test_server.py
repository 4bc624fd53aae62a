"""The real server on a loopback socket: routes, bad input, and the shape of every refusal."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_server import ROOT, LiveServer, only_issue

pytestmark = pytest.mark.server

HOOK = "/cds-services/order-sign-crd"
GOLDEN = Path(ROOT) / "tests" / "conversations" / "home-oxygen-order-sign" / "request.json"


@pytest.fixture(scope="module")
def order_sign() -> bytes:
    return GOLDEN.read_bytes()


def test_it_is_alive_and_ready_with_its_policies(server: LiveServer) -> None:
    assert server.get("/healthz").json() == {"status": "ok"}
    ready = server.get("/readyz")
    assert ready.status == 200
    assert ready.json()["policies"] >= 1


def test_discovery_announces_order_sign(server: LiveServer) -> None:
    reply = server.get("/cds-services")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    services = {service["id"]: service["hook"] for service in reply.json()["services"]}
    assert services["order-sign-crd"] == "order-sign"


def test_an_order_is_answered_and_the_answer_is_not_to_be_kept(server: LiveServer, order_sign: bytes) -> None:
    reply = server.post(HOOK, order_sign, **{"Content-Type": "application/json"})
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.json()["cards"]


def test_the_link_of_a_card_leads_to_the_policy(server: LiveServer, order_sign: bytes) -> None:
    cards = server.post(HOOK, order_sign).json()["cards"]
    [url] = {link["url"] for card in cards for link in card.get("links", ()) if "/fhir/" in link["url"]}
    assert url.startswith(f"http://{server.host}:{server.port}/fhir/PlanDefinition/")
    page = server.get(url.removeprefix(f"http://{server.host}:{server.port}"))
    assert page.status == 200
    assert page.json()["resourceType"] == "PlanDefinition"


@pytest.mark.parametrize("content_type", ["application/fhir+json; charset=utf-8", "text/plain", ""])
def test_the_content_type_does_not_matter(server: LiveServer, order_sign: bytes, content_type: str) -> None:
    assert server.post(HOOK, order_sign, **{"Content-Type": content_type}).status == 200


def test_a_chunked_body_is_read_like_any_other(server: LiveServer, order_sign: bytes) -> None:
    pieces = (order_sign[n : n + 1000] for n in range(0, len(order_sign), 1000))
    assert server.post(HOOK, pieces).json().keys() == server.post(HOOK, order_sign).json().keys()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"hook": "order-sign"', b"{}"])
def test_what_is_no_hook_request_is_refused(server: LiveServer, body: bytes) -> None:
    reply = server.post(HOOK, body)
    assert reply.status == 400
    only_issue(reply)


def test_an_unknown_service_is_told_which_there_are(server: LiveServer) -> None:
    reply = server.post("/cds-services/order-sing-crd", b"{}")
    assert reply.status == 404
    assert "order-sign-crd" in only_issue(reply)["details"]["text"]


@pytest.mark.parametrize("path", ["/", "/cds-service", "/fhir/PlanDefinition/none", "/fhir/Patient/1", "//x", "/%ff"])
def test_an_unknown_address_is_not_found(server: LiveServer, path: str) -> None:
    reply = server.get(path)
    assert reply.status == 404
    assert only_issue(reply)["code"] == "not-found"


@pytest.mark.parametrize(("method", "path"), [("GET", HOOK), ("PUT", HOOK), ("DELETE", "/cds-services")])
def test_a_wrong_method_is_refused_with_the_right_ones(server: LiveServer, method: str, path: str) -> None:
    reply = server.send(method, path)
    assert reply.status == 405
    assert reply.headers["Allow"]
    assert only_issue(reply)["code"] == "not-supported"


def ten_megabytes() -> Iterator[bytes]:
    yield from [b" " * 100_000] * 100


@pytest.mark.parametrize(
    "chunks", [b"ZZ\r\nabc\r\n0\r\n\r\n", b"2\r\nabcdef\r\n0\r\n\r\n"], ids=["no size", "too long"]
)
def test_malformed_chunks_are_the_callers_fault(server: LiveServer, chunks: bytes) -> None:
    head = b"POST /cds-services/order-sign-crd HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((server.host, server.port), timeout=5) as line:
        line.sendall(head + chunks)
        assert line.recv(4096).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length told", "chunked"])
def test_a_body_of_10_mb_is_refused_and_the_next_call_answered(server: LiveServer, chunked: bool) -> None:
    body = ten_megabytes() if chunked else b"".join(ten_megabytes())
    reply = server.post(HOOK, body)
    assert reply.status == 413
    assert only_issue(reply)["code"] == "too-long"
    assert server.get("/healthz").status == 200


def test_half_a_request_leaves_the_others_answered(server: LiveServer) -> None:
    head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode()
    with socket.create_connection((server.host, server.port)) as slow:
        slow.sendall(head)
        time.sleep(0.2)
        assert server.get("/healthz").status == 200


def test_the_public_url_is_the_base_of_links(order_sign: bytes) -> None:
    with LiveServer.started(CDS_PUBLIC_URL="https://cds.example.org/payer/") as server:
        assert b"https://cds.example.org/payer/fhir/PlanDefinition/" in server.post(HOOK, order_sign).body


def test_a_disabled_policy_makes_no_statement(order_sign: bytes) -> None:
    with LiveServer.started(CDS_DISABLED_POLICIES="masshealth-home-oxygen") as server:
        answer = server.post(HOOK, order_sign)
        assert answer.status == 200
        assert b"cds-service.determinations" not in answer.body


def test_a_smaller_body_limit_holds_to_the_byte() -> None:
    with LiveServer.started(CDS_MAX_BODY="1024") as server:
        assert server.post(HOOK, b" " * 1024).status == 400
        assert server.post(HOOK, b" " * 1025).status == 413
        assert server.post(HOOK, iter([b" " * 1024])).status == 400
        assert server.post(HOOK, iter([b" " * 1025])).status == 413


def test_it_also_listens_on_the_ipv6_loopback_address() -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    with LiveServer.started("--host", "::1") as server:
        assert server.get("/healthz").status == 200


def test_a_request_under_way_is_finished_when_the_server_is_told_to_stop(order_sign: bytes) -> None:
    with LiveServer.started() as server, socket.create_connection((server.host, server.port)) as calling:
        head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(order_sign)}\r\n\r\n".encode()
        calling.sendall(head + order_sign[:-1])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        calling.sendall(order_sign[-1:])
        calling.settimeout(10)
        reply = b""
        while piece := calling.recv(65536):
            reply += piece
    assert reply.startswith(b"HTTP/1.1 200")
    assert json.loads(reply.split(b"\r\n\r\n", 1)[1])["cards"]
    assert server.process.returncode == 0
