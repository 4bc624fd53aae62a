"""Reading a registered EHR on another machine: with `responses` in place of a network."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses
from urllib3.exceptions import ProtocolError

from cds_service.adapters import ehr as reads
from cds_service.adapters.ehr import ehr_of
from cds_service.crd.clients import Client, Clients
from cds_service.crd.queries import FhirAccess, Query, Reading

BASE = "https://ehr.example.org/fhir"
CLIENTS = Clients((Client("general", frozenset({"https://ehr.example.org"})),))
PATIENT = {"resourceType": "Patient", "id": "p1"}
READ = Query("Patient", ids=("p1",))
SEARCH = Query("Condition", parameters=(("patient", "p1"),))
ADDRESS = f"{BASE}/Patient/p1"
FOUND = f"{BASE}/Condition?patient=p1"
FHIR_JSON = "application/fhir+json"


@pytest.fixture(autouse=True)
def network() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def read(query: Query = READ, seconds: float = 5.0) -> Reading:
    one = ehr_of(FhirAccess(BASE, "s3cret"), time.monotonic() + seconds, CLIENTS, loopback_only=False)
    assert one is not None
    with one:
        [reading] = one.read_all((query,))
    return reading


def told(network: responses.RequestsMock, query: Query = READ, **answer: Any) -> str | None:
    network.get(ADDRESS if query is READ else FOUND, **{"content_type": FHIR_JSON, **answer})
    return read(query).fault


def test_the_token_goes_to_the_registered_server(network: responses.RequestsMock) -> None:
    network.get(ADDRESS, json=PATIENT, content_type=FHIR_JSON)
    assert read() == Reading(READ, (PATIENT,))
    assert network.calls[0].request.headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503])
def test_a_status_other_than_200_is_told_and_not_tried_again(network: responses.RequestsMock, status: int) -> None:
    assert told(network, status=status, json={"resourceType": "OperationOutcome"}) == f"it answered {status}"
    assert len(network.calls) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_says_when_to_come_again_is_asked_again_once(
    network: responses.RequestsMock, status: int
) -> None:
    assert told(network, status=status, headers={"Retry-After": "0"}) == f"it answered {status}"
    assert len(network.calls) == 2


@pytest.mark.parametrize(
    ("raised", "said", "calls"),
    [
        (requests.ConnectionError(ProtocolError("reset s3cret p1", ConnectionResetError())), reads.BROKEN_OFF, 2),
        (requests.ConnectionError("no such host s3cret p1"), reads.UNREACHED, 1),
        (requests.exceptions.SSLError("certificate s3cret p1"), reads.UNREACHED, 1),
        (requests.ConnectTimeout("s3cret p1"), reads.LATE, 1),
        (requests.ReadTimeout("s3cret p1"), reads.LATE, 1),
        (requests.exceptions.InvalidHeader("s3cret p1"), reads.UNREACHED, 1),
        (ValueError("s3cret p1"), reads.UNREACHED, 1),
        (RuntimeError("s3cret p1"), reads.UNREACHED, 1),
    ],
)
def test_no_words_of_an_exception_are_passed_on(
    network: responses.RequestsMock, caplog: pytest.LogCaptureFixture, raised: Exception, said: str, calls: int
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert told(network, body=raised) == said
    assert len(network.calls) == calls
    for record in caplog.records:
        assert "s3cret" not in record.getMessage() and "p1" not in record.getMessage()
        assert record.exc_info is None


@pytest.mark.parametrize(
    "answer",
    [
        {"body": "<html>", "content_type": "text/html"},
        {"body": "{"},
        {"body": "[]"},
        {"body": '{"a":' * 70 + "1" + "}" * 70},
        {"body": b"\x1f\x8b", "headers": {"Content-Encoding": "gzip"}},
    ],
)
def test_what_is_not_fhir_json_is_not_read(network: responses.RequestsMock, answer: dict[str, Any]) -> None:
    assert told(network, **answer) == reads.NOT_JSON


def test_an_answer_of_fifty_megabytes_is_not_read_to_its_end(network: responses.RequestsMock) -> None:
    assert told(network, body=b" " * (50 << 20)) == reads.TOO_LARGE


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/Patient/p1",
        "http://ehr.example.org/fhir/Patient/p1",
        "https://ehr.example.org:8443/fhir/Patient/p1",
        "https://ehr.example.org@evil.example/Patient/p1",
        "https://ehr.example.org\\@evil.example/Patient/p1",
        "//evil.example/Patient/p1",
    ],
)
def test_no_redirect_leads_to_another_origin(network: responses.RequestsMock, target: str) -> None:
    assert told(network, status=307, headers={"Location": target}) == reads.ELSEWHERE
    assert [one.request.url for one in network.calls] == [ADDRESS]


def test_a_redirect_on_the_same_origin_is_followed_with_the_token(network: responses.RequestsMock) -> None:
    network.get(f"{BASE}/x", json=PATIENT, content_type=FHIR_JSON)
    assert told(network, status=302, headers={"Location": f"{BASE}/x"}) is None
    assert network.calls[1].request.headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("url", ["https://evil.example/fhir?page=2", "http://ehr.example.org/fhir?page=2"])
def test_no_page_leads_to_another_origin(network: responses.RequestsMock, url: str) -> None:
    page = {"resourceType": "Bundle", "link": [{"relation": "next", "url": url}]}
    assert told(network, SEARCH, json=page) == reads.ELSEWHERE
    assert len(network.calls) == 1
