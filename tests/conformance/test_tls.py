"""HTTPS by the service itself, for whoever has no proxy in front: TLS 1.2 and later, nothing older."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.statements import requirement
from tests.live_server import LiveServer, run

HERE = Path(__file__).parents[1] / "tls"
CERTIFICATE, KEY = HERE / "certificate.pem", HERE / "key.pem"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with LiveServer.started(CDS_TLS_CERTIFICATE=str(CERTIFICATE), CDS_TLS_KEY=str(KEY)) as started:
        yield started


def trusting(lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    context.minimum_version, context.maximum_version = lowest, highest
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # so that it is the server that refuses what is old
    return context


@requirement("cds-hooks/https", "sec-2", "crd_server_tls_version_stu2", "crd_v221_server_tls_version_stu2")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_hooks_are_served_over_https(server: LiveServer, version: ssl.TLSVersion) -> None:
    connection = http.client.HTTPSConnection(server.host, server.port, context=trusting(version, version), timeout=30)
    connection.request("GET", "/cds-services")
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["services"]
    connection.close()


@requirement("sec-3", "crd_server_tls_version_stu2", "crd_v221_server_tls_version_stu2")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_no_older_version_of_tls_is_spoken(server: LiveServer, version: ssl.TLSVersion) -> None:
    with socket.create_connection((server.host, server.port), timeout=30) as plain, pytest.raises(OSError) as refused:
        trusting(version, version).wrap_socket(plain, server_hostname="localhost")
    assert isinstance(refused.value, ssl.SSLError | ConnectionResetError)


@requirement("cds-hooks/https", "sec-2")
def test_plain_http_is_not_answered_there(server: LiveServer) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    connection.request("GET", "/cds-services")
    with contextlib.suppress(http.client.HTTPException, OSError):  # it may also hang up
        assert connection.getresponse().status == 400
    connection.close()


def test_a_certificate_without_its_key_stops_the_start(tmp_path: Path) -> None:
    half = run("serve", CDS_CLIENT_AUTH="off", CDS_TLS_CERTIFICATE=str(CERTIFICATE))
    assert half.returncode != 0
    assert "CDS_TLS_KEY" in half.stderr and "set both or none" in half.stderr
    other = tmp_path / "key.pem"
    other.write_text("no key")
    wrong = run(
        "serve", "--port", "0", CDS_CLIENT_AUTH="off", CDS_TLS_CERTIFICATE=str(CERTIFICATE), CDS_TLS_KEY=str(other)
    )
    assert wrong.returncode != 0
    assert "not a certificate with its key" in wrong.stderr
    assert "Traceback" not in wrong.stderr
