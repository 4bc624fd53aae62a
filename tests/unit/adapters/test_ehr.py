"""Reading the EHR: against a real server that misbehaves on purpose."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import orjson
import pytest

from cds_service.adapters import ehr as reads
from cds_service.adapters.ehr import Ehr, ehr_of
from cds_service.crd.clients import Client, Clients
from cds_service.crd.queries import FhirAccess, Query, Reading
from tests.misbehaving_ehr import (
    Behaviour,
    MisbehavingEhr,
    Request,
    after,
    drip,
    endless,
    hang,
    misbehaving_ehr,
    once,
    searchset,
    truncated,
)

TOKEN = "s3cret-token"
PATIENT = {"resourceType": "Patient", "id": "p1"}
READ = Query("Patient", ids=("p1",))
SEARCH = Query("Condition", parameters=(("patient", "p1"),))
CONDITION = {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p1"}}


@pytest.fixture
def ehr() -> Iterator[MisbehavingEhr]:
    with misbehaving_ehr() as server:
        yield server


def opened(server: MisbehavingEhr, seconds: float = 5.0, clients: Clients | None = None) -> Ehr:
    access = FhirAccess(server.base, TOKEN)
    found = ehr_of(access, time.monotonic() + seconds, clients or Clients(), loopback_only=True)
    assert found is not None
    return found


def read(server: MisbehavingEhr, *queries: Query, seconds: float = 5.0) -> tuple[Reading, ...]:
    with opened(server, seconds) as one:
        return one.read_all(queries or (READ,))


def fault_of(server: MisbehavingEhr, behaviour: Behaviour, query: Query = READ, seconds: float = 5.0) -> str | None:
    server.otherwise = behaviour
    [reading] = read(server, query, seconds=seconds)
    return reading.fault


# -- what goes out ----------------------------------------------------------------------------------------


def test_a_read_goes_out_with_the_calls_token_and_nothing_of_this_machines_own(
    ehr: MisbehavingEhr, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    ehr.holds(PATIENT)
    [reading] = read(ehr)
    assert reading == Reading(READ, (PATIENT,))
    [(method, path, headers)] = ehr.seen
    assert (method, path) == ("GET", "/fhir/Patient/p1")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Accept"] == "application/fhir+json"
    assert headers["Accept-Encoding"] == "identity"


def test_a_server_without_a_token_is_asked_without_one(ehr: MisbehavingEhr) -> None:
    ehr.holds(PATIENT)
    one = ehr_of(FhirAccess(ehr.base), time.monotonic() + 5, Clients(), loopback_only=True)
    assert one is not None
    with one:
        one.read_all((READ,))
    assert "Authorization" not in ehr.seen[0][2]


def test_cookies_are_not_kept(ehr: MisbehavingEhr) -> None:
    ehr.on("Patient/p1", lambda request: request.say(200, json.dumps(PATIENT).encode(), Set_Cookie="a=b"))
    with opened(ehr) as one:
        one.read_all((READ,))
        one.read_all((READ,))
    assert len(ehr.seen) == 2
    assert all("Cookie" not in headers for _, _, headers in ehr.seen)


def test_reads_of_one_type_by_their_ids_are_one_search(ehr: MisbehavingEhr) -> None:
    organization = {"resourceType": "Organization", "id": "a"}
    ehr.finds("Organization?_id=a,b", organization)
    [reading] = read(ehr, Query("Organization", ids=("a", "b")))
    assert reading.fault is None
    assert reading.pages[0]["entry"][0]["resource"] == organization


def test_reads_go_side_by_side(ehr: MisbehavingEhr) -> None:
    ehr.otherwise = after(0.5, lambda request: request.fhir({"resourceType": "Patient", "id": request.path[14:]}))
    queries = [Query("Patient", ids=(f"p{n}",)) for n in range(20)]
    began = time.monotonic()
    readings = read(ehr, *queries)
    assert all(one.fault is None for one in readings)
    assert [one.query for one in readings] == queries
    assert time.monotonic() - began < 5  # one after the other they take ten seconds


# -- who may be asked -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "server",
    [
        "https://ehr.example.org/fhir",
        "http://127.0.0.1@ehr.example.org/fhir",
        "http://127.0.0.1:80@ehr.example.org/fhir",
        "http://ehr.example.org#@127.0.0.1/fhir",
        "http://ehr.example.org\\@127.0.0.1/fhir",
        "http://127.0.0.1\\.ehr.example.org/fhir",
        "http://127.0.0.1.nip.io/fhir",
        "http://localhost.example.org/fhir",
        "http://localhost./fhir",
        "http://10.0.0.7/fhir",
        "http://169.254.169.254/latest",
        "http://0.0.0.0/fhir",
        "http://[::]/fhir",
        "http://[::ffff:10.0.0.1]/fhir",
        "http://[::ffff:127.0.0.1]/fhir",
        "http://2130706433/fhir",
        "http://127.1/fhir",
        "http://0x7f000001/fhir",
        "http://0177.0.0.1/fhir",
        "http://127.0.0.1:99999/fhir",
        "http://127.0.0.1:0/fhir",
        "http://127.0.0.1/fhir?x=",
        "http://127.0.0.1/fhir/../admin",
        "http://127.0.0.1/fhir/%2e%2e/admin",
        "http://127.0.0.1\t/fhir",
        " http://127.0.0.1/fhir",
        "http://127。0。0。1/fhir",
        "ftp://127.0.0.1/fhir",
        "file:///etc/passwd",
        "//127.0.0.1/fhir",
        "127.0.0.1",
        "",
    ],
)
def test_without_known_callers_no_other_machine_is_asked(server: str) -> None:
    assert ehr_of(FhirAccess(server, TOKEN), 0.0, Clients(), loopback_only=True) is None


@pytest.mark.parametrize(
    "server",
    ["http://127.0.0.1/fhir", "http://127.0.0.1:8443", "http://LOCALHOST:8080/fhir/", "http://[::1]:9/fhir",
     "https://127.8.9.10/a/b", "http://localhost/tenant@a/fhir"],
)  # fmt: skip
def test_every_loopback_origin_counts_as_registered(server: str) -> None:
    assert ehr_of(FhirAccess(server, TOKEN), 0.0, Clients(), loopback_only=True) is not None


@pytest.mark.parametrize(
    ("server", "asked"),
    [
        ("https://ehr.example.org/fhir/r4", True),
        ("https://EHR.example.org:443/fhir", True),
        ("http://ehr.example.org/fhir", False),
        ("https://ehr.example.org:8443/fhir", False),
        ("https://ehr.example.org.evil.example/fhir", False),
        ("https://ehr.example.org@evil.example/fhir", False),
        ("https://other.example.org/fhir", False),
        ("http://127.0.0.1/fhir", False),
    ],
)
def test_with_known_callers_only_registered_origins_are_asked(server: str, asked: bool) -> None:
    clients = Clients((Client("general", frozenset({"https://ehr.example.org"})),))
    assert (ehr_of(FhirAccess(server), 0.0, clients, loopback_only=False) is not None) is asked


def test_a_registered_origin_of_another_machine_is_not_asked_while_callers_are_unknown() -> None:
    clients = Clients((Client("general", frozenset({"https://ehr.example.org"})),))
    assert ehr_of(FhirAccess("https://ehr.example.org/fhir"), 0.0, clients, loopback_only=True) is None


def test_a_name_that_turns_to_another_machine_is_not_connected_to(
    ehr: MisbehavingEhr, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turned(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    ehr.base = ehr.base.replace("127.0.0.1", "localhost")
    monkeypatch.setattr(socket, "getaddrinfo", turned)
    [reading] = read(ehr)
    assert reading.fault == reads.UNREACHED


def test_the_name_localhost_is_asked(ehr: MisbehavingEhr) -> None:
    ehr.base = ehr.base.replace("127.0.0.1", "localhost")
    ehr.holds(PATIENT)
    assert read(ehr)[0].fault is None


# -- answers that are none --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [204, 304, 400, 401, 403, 404, 410, 422, 429, 500, 502, 503])
def test_a_status_other_than_200_is_told(ehr: MisbehavingEhr, status: int) -> None:
    assert fault_of(ehr, lambda request: request.say(status)) == f"it answered {status}"
    assert len(ehr.seen) == 1, "not tried again"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>log in</html>", "text/html"),
        (b'{"resourceType": "Patient", "id": "p1"}', "text/html; charset=utf-8"),
        (b"<Patient/>", "application/fhir+xml"),
        (b'{"resourceType": "Patient", "id": "p', "application/fhir+json"),
        (b"", "application/fhir+json"),
        (b"[]", "application/fhir+json"),
        (b"null", "application/json"),
        (b'{"resourceType": "Patient", "id": NaN}', "application/json"),
        (b"\xff\xfe{}", "application/json"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "application/json"),
        (b"[" * 100_000 + b"]" * 100_000, "application/json"),
    ],
)
def test_what_is_not_fhir_json_is_not_read(ehr: MisbehavingEhr, body: bytes, kind: str) -> None:
    assert fault_of(ehr, lambda request: request.say(200, body, kind)) == reads.NOT_JSON


@pytest.mark.parametrize("kind", ["application/fhir+json; charset=utf-8", "application/json", "Application/FHIR+JSON"])
def test_json_is_read_under_each_of_its_names(ehr: MisbehavingEhr, kind: str) -> None:
    assert fault_of(ehr, lambda request: request.say(200, json.dumps(PATIENT).encode(), kind)) is None


@pytest.mark.parametrize(
    ("query", "resource"),
    [
        (READ, {"resourceType": "Patient", "id": "p2"}),
        (READ, {"resourceType": "Practitioner", "id": "p1"}),
        (READ, {"resourceType": "OperationOutcome", "id": "p1"}),
        (READ, searchset(PATIENT)),
        (SEARCH, CONDITION),
        (SEARCH, {}),
    ],
)
def test_an_answer_to_another_question_is_not_read(ehr: MisbehavingEhr, query: Query, resource: Any) -> None:
    assert fault_of(ehr, lambda request: request.fhir(resource), query) == reads.NOT_ASKED_FOR


def test_an_outcome_in_place_of_a_result_is_handed_on(ehr: MisbehavingEhr) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "not-supported"}]}
    ehr.otherwise = lambda request: request.fhir(outcome)
    assert read(ehr, SEARCH)[0].pages == (outcome,)


def test_a_compressed_answer_that_nobody_asked_for_is_not_unpacked(ehr: MisbehavingEhr) -> None:
    def packed(request: Request) -> None:
        request.say(200, b"\x1f\x8b" + b"0" * 100, Content_Encoding="gzip")

    assert fault_of(ehr, packed) == reads.NOT_JSON


# -- slow, cut off, too large -----------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [hang, drip, after(3, lambda request: request.fhir(PATIENT))])
def test_what_comes_too_late_is_not_waited_for(ehr: MisbehavingEhr, behaviour: Behaviour) -> None:
    began = time.monotonic()
    assert fault_of(ehr, behaviour, seconds=0.4) == reads.LATE
    assert time.monotonic() - began < 2.5


def test_no_thread_outlives_its_call(ehr: MisbehavingEhr) -> None:
    before = set(threading.enumerate())
    fault_of(ehr, drip, seconds=0.3)
    mine = [one for one in set(threading.enumerate()) - before if "work" in one.name]
    for one in mine:
        one.join(timeout=1.0)
    assert not any(one.is_alive() for one in mine)


def test_a_slow_read_does_not_take_the_others_with_it(ehr: MisbehavingEhr) -> None:
    ehr.holds(PATIENT)
    ehr.on("Condition?patient=p1", hang)
    patient, conditions = read(ehr, READ, SEARCH, seconds=0.5)
    assert patient.fault is None
    assert conditions == Reading(SEARCH, (), reads.LATE)


def test_a_truncated_answer_is_not_read_as_the_whole(ehr: MisbehavingEhr) -> None:
    assert fault_of(ehr, truncated) == reads.BROKEN_OFF
    assert len(ehr.seen) == 2, "tried once more, and no more"


def test_a_large_answer_is_told_by_its_header_or_stopped_on_its_way(ehr: MisbehavingEhr) -> None:
    def large(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/fhir+json")
        request.send_header("Content-Length", str(50 << 20))
        request.end_headers()

    assert fault_of(ehr, large) == reads.TOO_LARGE
    assert fault_of(ehr, endless) == reads.TOO_LARGE


def test_all_answers_of_a_call_have_a_limit_together(ehr: MisbehavingEhr) -> None:
    text = "x" * (7 << 20)
    ehr.otherwise = lambda request: request.fhir({"resourceType": "Patient", "id": request.path[14:], "x": text})
    readings = read(ehr, *(Query("Patient", ids=(f"p{n}",)) for n in range(6)), seconds=20)
    faults = [one.fault for one in readings]
    # how many arrive whole depends on how the reads take turns: it may be none
    assert faults.count(None) <= 4
    assert set(faults) <= {None, reads.TOO_MUCH}


def test_a_server_that_is_not_there_could_not_be_reached() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    server = MisbehavingEhr(base=f"http://127.0.0.1:{port}/fhir")
    assert read(server)[0].fault == reads.UNREACHED


# -- again, once ------------------------------------------------------------------------------------------


def test_a_read_that_was_reset_is_tried_once_more(ehr: MisbehavingEhr) -> None:
    ehr.otherwise = once(Request.reset, lambda request: request.fhir(PATIENT))
    assert read(ehr)[0].fault is None
    assert len(ehr.seen) == 2


def test_a_read_that_is_reset_twice_is_given_up(ehr: MisbehavingEhr) -> None:
    assert fault_of(ehr, Request.reset) == reads.BROKEN_OFF
    assert len(ehr.seen) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_says_when_to_come_again_is_asked_again_then(ehr: MisbehavingEhr, status: int) -> None:
    ehr.otherwise = once(lambda request: request.say(status, Retry_After="1"), lambda request: request.fhir(PATIENT))
    began = time.monotonic()
    assert read(ehr)[0].fault is None
    assert time.monotonic() - began >= 1.0


def http_date(seconds_from_now: float) -> str:
    return format_datetime(datetime.fromtimestamp(time.time() + seconds_from_now, UTC), usegmt=True)


def test_a_date_to_come_again_is_waited_for(ehr: MisbehavingEhr) -> None:
    def busy(request: Request) -> None:
        request.say(503, Retry_After=http_date(2))  # whole seconds: between one and two from now

    ehr.otherwise = once(busy, lambda request: request.fhir(PATIENT))
    began = time.monotonic()
    assert read(ehr, seconds=6.0)[0].fault is None
    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize(
    "date", ["Wed, 18 Nov 2026 08:00:00 GMT", "Sun Nov  6 08:49:37 1994", "Sunday, 06-Nov-94 08:49:37 GMT"]
)
def test_a_date_that_has_passed_is_at_once(ehr: MisbehavingEhr, date: str) -> None:
    ehr.otherwise = once(lambda request: request.say(429, Retry_After=date), lambda request: request.fhir(PATIENT))
    assert read(ehr)[0].fault is None
    assert len(ehr.seen) == 2


def test_a_date_is_held_against_the_servers_own_clock(ehr: MisbehavingEhr) -> None:
    def an_hour_ahead(request: Request) -> None:
        request.send_response_only(503)
        for name, value in (("Date", http_date(3600)), ("Retry-After", http_date(3600)), ("Content-Length", "0")):
            request.send_header(name, value)
        request.end_headers()

    ehr.otherwise = once(an_hour_ahead, lambda request: request.fhir(PATIENT))
    assert read(ehr)[0].fault is None


@pytest.mark.parametrize(
    "wait",
    [
        "60",
        "-1",
        "soon",
        "Fri, 01 Jan 2100 00:00:00 GMT",
        "Thu, 31 Feb 2099 00:00:00 GMT",
        "Wed, 21 Oct",
        "99999999999",
        "²",
        ", ,",
    ],
)
def test_a_wait_beyond_the_budget_is_not_waited(ehr: MisbehavingEhr, wait: str) -> None:
    def busy(request: Request) -> None:
        request.say(429, Retry_After=wait.encode("utf-8").decode("latin-1"))

    began = time.monotonic()
    assert fault_of(ehr, busy) == "it answered 429"
    assert len(ehr.seen) == 1
    assert time.monotonic() - began < 5


# -- redirects --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_on_the_same_server_is_followed(ehr: MisbehavingEhr, status: int) -> None:
    ehr.on("Patient/p1", lambda request: request.say(status, Location="/fhir/elsewhere"))
    ehr.on("elsewhere", lambda request: request.fhir(PATIENT))
    assert read(ehr)[0].pages == (PATIENT,)


def test_no_redirect_leads_off_the_server_and_no_token_follows_one(ehr: MisbehavingEhr) -> None:
    with misbehaving_ehr() as other:
        other.otherwise = lambda request: request.fhir(PATIENT)
        host = ehr.base.removeprefix("http://").removesuffix("/fhir")
        for target in (
            f"{other.base}/Patient/p1",
            f"//{other.base.removeprefix('http://')}/Patient/p1",
            f"https://{host}/fhir/Patient/p1",
            f"http://{host}@{other.base.removeprefix('http://')}/Patient/p1",
            "file:///etc/passwd",
            "http://[",
            "",
        ):
            ehr.seen.clear()
            moved: Behaviour = lambda request, target=target: request.say(302, Location=target)  # type: ignore[misc]  # noqa: E731
            assert fault_of(ehr, moved) == reads.ELSEWHERE, target
        assert other.seen == []


def test_the_body_of_a_redirect_is_not_read(ehr: MisbehavingEhr) -> None:
    def moved(request: Request) -> None:
        request.send_response(302)
        request.send_header("Location", "/fhir/elsewhere")
        request.send_header("Content-Length", str(50 << 20))
        request.end_headers()

    ehr.on("Patient/p1", moved)
    ehr.on("elsewhere", lambda request: request.fhir(PATIENT))
    assert read(ehr, seconds=2)[0].pages == (PATIENT,)


def test_a_redirect_in_circles_ends(ehr: MisbehavingEhr) -> None:
    assert fault_of(ehr, lambda request: request.say(302, Location="/fhir/Patient/p1")) == reads.ELSEWHERE
    assert len(ehr.seen) == reads.MOST_REDIRECTS + 1


# -- pages ------------------------------------------------------------------------------------------------


def linked(url: str, *resources: dict[str, Any]) -> dict[str, Any]:
    return searchset(*resources, link=[{"relation": "next", "url": url}])


def test_pages_are_read_to_the_last(ehr: MisbehavingEhr) -> None:
    ehr.on("Condition?patient=p1", lambda request: request.fhir(linked(f"{ehr.base}?_getpages=1", CONDITION)))
    ehr.on("?_getpages=1", lambda request: request.fhir(linked("Condition?page=3", CONDITION)))
    ehr.behaviours["/fhir?_getpages=1"] = ehr.behaviours.pop("/fhir/?_getpages=1")
    ehr.behaviours["/Condition?page=3"] = lambda request: request.fhir(searchset(CONDITION))
    [reading] = read(ehr, SEARCH)
    assert reading.fault is None
    assert len(reading.pages) == 3


@pytest.mark.parametrize("url", ["https://evil.example/fhir?page=2", "//evil.example/x", "http://[", "ldap://x"])
def test_a_page_on_another_server_is_not_asked_for(ehr: MisbehavingEhr, url: str) -> None:
    ehr.otherwise = lambda request: request.fhir(linked(url, CONDITION))
    [reading] = read(ehr, SEARCH)
    assert (len(reading.pages), reading.fault) == (1, reads.ELSEWHERE)


def test_pages_in_circles_and_without_end_are_given_up(ehr: MisbehavingEhr) -> None:
    ehr.otherwise = lambda request: request.fhir(linked(f"{ehr.base}/Condition?patient=p1"))
    assert read(ehr, SEARCH)[0].fault == reads.TOO_MANY_PAGES
    assert len(ehr.seen) == 1
    ehr.seen.clear()
    ehr.otherwise = lambda request: request.fhir(linked(f"{ehr.base}/Condition?page={len(ehr.seen)}"))
    assert read(ehr, SEARCH)[0].fault == reads.TOO_MANY_PAGES
    assert len(ehr.seen) == reads.MOST_PAGES


def test_a_page_that_fails_leaves_the_pages_before_it(ehr: MisbehavingEhr) -> None:
    ehr.on("Condition?patient=p1", lambda request: request.fhir(linked(f"{ehr.base}/Condition?page=2", CONDITION)))
    [reading] = read(ehr, SEARCH)
    assert (len(reading.pages), reading.fault) == (1, "it answered 404")


# -- batch ------------------------------------------------------------------------------------------------


def batched(server: MisbehavingEhr, *queries: Query) -> tuple[Reading, ...]:
    origin = server.base.removesuffix("/fhir")
    clients = Clients((Client("general", frozenset({origin}), batch=True),))
    with opened(server, clients=clients) as one:
        return one.read_all(queries)


def test_a_server_that_takes_batches_is_sent_one(ehr: MisbehavingEhr) -> None:
    sent: list[Any] = []

    def both(request: Request) -> None:
        sent.append(json.loads(request.payload()))
        entries = [
            {"response": {"status": "200 OK"}, "resource": PATIENT},
            {"response": {"status": "403 Forbidden"}, "resource": {"resourceType": "OperationOutcome"}},
        ]
        request.fhir({"resourceType": "Bundle", "type": "batch-response", "entry": entries})

    ehr.on("", both)
    assert batched(ehr, READ, SEARCH) == (Reading(READ, (PATIENT,)), Reading(SEARCH, (), "it answered 403"))
    [bundle] = sent
    assert [one["request"] for one in bundle["entry"]] == [
        {"method": "GET", "url": "Patient/p1"},
        {"method": "GET", "url": "Condition?patient=p1"},
    ]
    assert ehr.seen[0][2]["Content-Type"] == "application/fhir+json"


ORDER = b'{"resourceType": "DeviceRequest", "id": "o1", "parameter": [{"valueQuantity": {"value": 1.10}}]}'
OF_ORDER = Query("DeviceRequest", ids=("o1",))


def digits_of(reading: Reading) -> list[bytes]:
    return [orjson.dumps(one) for one in reading.as_written]


def test_an_order_that_was_read_keeps_the_digits_of_its_decimals(ehr: MisbehavingEhr) -> None:
    ehr.on("DeviceRequest/o1", lambda request: request.say(200, ORDER))
    [reading] = read(ehr, OF_ORDER)
    assert digits_of(reading) == [ORDER.replace(b": ", b":").replace(b", ", b",")]
    assert reading.pages[0] == json.loads(ORDER)


def test_so_does_one_that_came_in_a_batch(ehr: MisbehavingEhr) -> None:
    patient = json.dumps(PATIENT).encode()
    answers = b",".join(b'{"response": {"status": "200"}, "resource": %b}' % one for one in (patient, ORDER))
    ehr.on("", lambda request: request.say(200, b'{"resourceType": "Bundle", "entry": [%b]}' % answers))
    of_patient, of_order = batched(ehr, READ, OF_ORDER)
    assert digits_of(of_order) == [ORDER.replace(b": ", b":").replace(b", ", b",")]
    assert of_patient.fault is None


def test_what_is_no_order_is_not_read_twice(ehr: MisbehavingEhr) -> None:
    ehr.finds("Condition?patient=p1", {**CONDITION, "extension": [{"url": "urn:x", "valueDecimal": 1.5}]})
    assert read(ehr, SEARCH)[0].as_written == ()


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{}] * 3,
        [None, 7],
        [{"response": {"status": 200}}, {"response": {"status": "200"}}],
        [{"response": {"status": "200"}, "resource": CONDITION}, {"response": {"status": "200"}, "resource": PATIENT}],
    ],
)
def test_a_batch_that_does_not_answer_is_told_for_each_read(ehr: MisbehavingEhr, entries: list[Any]) -> None:
    ehr.on("", lambda request: request.fhir({"resourceType": "Bundle", "entry": entries}))
    assert all(one.fault and not one.pages for one in batched(ehr, READ, SEARCH))


@pytest.mark.parametrize("behaviour", [Request.reset, lambda request: request.say(503, Retry_After="0"), truncated])
def test_a_batch_is_not_sent_twice(ehr: MisbehavingEhr, behaviour: Behaviour) -> None:
    ehr.on("", behaviour)
    assert all(one.fault for one in batched(ehr, READ, SEARCH))
    assert len(ehr.seen) == 1


# -- what is told of it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        Request.reset,
        truncated,
        lambda request: request.say(401, b'{"secret": "p1"}'),
        lambda request: request.say(200, b"p1 <html>", "text/html"),
        lambda request: request.say(302, Location="https://evil.example/Patient/p1"),
        lambda request: request.wfile.write(b"p1 is not HTTP\r\n\r\n"),
        lambda request: request.wfile.write(b"HTTP/1.1 200 OK\r\nbroken header p1\r\n\r\n"),
    ],
)
def test_no_log_holds_the_token_or_the_patient(
    ehr: MisbehavingEhr, behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        fault = fault_of(ehr, behaviour, seconds=0.5)
    assert fault is not None
    said = "\n".join(one.getMessage() + str(one.exc_info) for one in caplog.records)
    assert "the EHR was asked for Patient and it " in said
    for secret in (TOKEN, "p1", "evil"):
        assert secret not in said + fault


def test_neither_the_token_nor_the_patient_shows_where_a_query_is_printed() -> None:
    shown = repr((FhirAccess("https://ehr.example.org", TOKEN), READ, SEARCH, Reading(READ, (PATIENT,))))
    assert TOKEN not in shown
    assert "p1" not in shown
