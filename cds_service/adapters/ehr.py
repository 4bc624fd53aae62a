"""Reads of the EHR: with the call's token, to the call's server, under one deadline. Judges nothing that it reads.

What went wrong is told in words of ours, never in those of an exception or of the server: both could quote the patient
or the token. No redirect and no next page leads off the server's origin.
"""

from __future__ import annotations

import functools
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urljoin

import orjson
import requests
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from cds_service.adapters.ehr_connections import Connections
from cds_service.crd.as_written import as_written, holds_float
from cds_service.crd.clients import Clients
from cds_service.crd.orders import ORDER_TYPES
from cds_service.crd.queries import FhirAccess, Query, Reading, page_after
from cds_service.fhir.addresses import Address, read_address, read_base
from cds_service.fhir.json_body import too_deep

# Bytes of one body, and of all bodies of one call; what is larger is no chart that an order needs
MOST_OF_ONE, MOST_OF_ALL = 8 << 20, 32 << 20
# Side by side for one call: as many as a slow server needs, if all is to be had within one budget
SIDE_BY_SIDE = 24
MOST_PAGES = 20
MOST_REDIRECTS = 3
_PIECE = 1 << 16
_FHIR_JSON = "application/fhir+json"
_JSON = ("application/json", _FHIR_JSON, "text/json")

LATE = "it did not answer in time"
UNREACHED = "it could not be reached"
BROKEN_OFF = "it broke off its answer"
NOT_JSON = "it sent something that is not FHIR JSON"
TOO_LARGE = "it sent more than is read of one answer"
TOO_MUCH = "it sent more than is read for one call"
ELSEWHERE = "it pointed to another server, which is not asked"
NOT_ASKED_FOR = "it sent something else than was asked for"
TOO_MANY_PAGES = "it sent more pages than are read"

_LOG = logging.getLogger(__name__)
# it quotes addresses, and with them patients, in its warnings
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


def ehr_of(access: FhirAccess, deadline: float, clients: Clients, loopback_only: bool) -> Ehr | None:
    """The EHR of a call, if it may be asked: its origin is registered, or, with `loopback_only`, on this machine.

    `deadline` is an instant of `time.monotonic`.
    """
    base = read_base(access.server)
    if base is None:
        return None
    client = clients.of_origin(base.origin)
    if not (base.is_loopback if loopback_only else client is not None):
        return None
    batch = client is not None and client.batch
    return Ehr(base, access.token, deadline, loopback_only=loopback_only, batch=batch)


class _Failed(Exception):
    """A read came to nothing; its text is one of the words above, or a status."""


class _TryAgain(Exception):
    """What may be tried once more, after so many seconds; `fault` where that is no use either."""

    def __init__(self, fault: str, wait: float = 0.0) -> None:
        super().__init__(fault)
        self.fault, self.wait = fault, wait


class _Body(NamedTuple):
    """A JSON object that was answered, and the bytes that it came as."""

    found: dict[str, Any]
    text: bytes


class _Read:
    """One query and the pages that came of it so far."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.pages: list[Any] = []
        self._as_written: list[Any] = []

    def add(self, body: Any, as_written: Any) -> None:
        """A body that answers the query. Whose the resources are is not looked at here: the record lets in none that
        are another patient's, and says where they stood."""
        kind = body.get("resourceType")
        if self.query.is_read:
            answers = kind == self.query.resource_type and body.get("id") == self.query.ids[0]
        else:
            answers = kind in ("Bundle", "OperationOutcome")
        if not answers:
            raise _Failed(NOT_ASKED_FOR)
        self.pages.append(body)
        self._as_written.append(as_written)

    def reading(self, fault: str | None = None) -> Reading:
        kept = () if all(one is None for one in self._as_written) else tuple(self._as_written)
        return Reading(self.query, tuple(self.pages), fault, kept)


class Ehr:
    """The reads of one call. A context: at its end every connection is cut, so that no thread outlives the call.

    `loopback_only` is for a service whose callers nobody vouches for: no other machine is ever connected to. `batch`
    sends the reads of one turn as one Bundle.
    """

    def __init__(
        self, base: Address, token: str | None, deadline: float, *, loopback_only: bool = False, batch: bool = False
    ) -> None:
        self._base = base
        self._deadline = deadline
        self._batch = batch
        self._left = MOST_OF_ALL
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] | None = []
        self._loopback_only = loopback_only
        # identity: what a compressed body grows to is known only when it has grown
        self._headers = {"Accept": _FHIR_JSON, "Accept-Encoding": "identity", "User-Agent": "cds-service"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Ehr:
        # Not a Session: it would keep cookies, look for proxies and passwords in the environment, and read the body of
        # a redirect to its end, however long.
        self._connections = Connections(self._watch, self._loopback_only, SIDE_BY_SIDE)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            open_still, self._sockets = self._sockets or [], None
        for one in open_still:
            # a thread that still waits for a byte ends here, however slowly the server drips
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._connections.close()

    def read_all(self, queries: Sequence[Query]) -> tuple[Reading, ...]:
        """All of these, side by side; what has not come by the deadline is told as late."""
        if self._batch and len(queries) > 1:
            jobs: list[Callable[[], dict[Query, Reading]]] = [lambda: self._batched(queries)]
        else:
            jobs = [functools.partial(lambda query: {query: self._read(query)}, one) for one in queries]
        found = self._done(jobs)
        readings = tuple(found.get(one) or Reading(one, (), LATE) for one in queries)
        for reading in readings:
            if reading.fault is not None:
                _LOG.warning("the EHR was asked for %s and %s", reading.query.resource_type, reading.fault)
        return readings

    # -- side by side ----------------------------------------------------------------------------------

    def _done(self, jobs: Sequence[Callable[[], dict[Query, Reading]]]) -> dict[Query, Reading]:
        waiting: queue.SimpleQueue[Callable[[], dict[Query, Reading]]] = queue.SimpleQueue()
        done: queue.SimpleQueue[dict[Query, Reading]] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)

        def work() -> None:
            while True:
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                done.put(job())

        for _ in range(min(len(jobs), SIDE_BY_SIDE)):
            # daemons: one that hangs in a name look-up must not keep the process from ending
            threading.Thread(target=work, daemon=True).start()
        found: dict[Query, Reading] = {}
        with suppress(queue.Empty):
            for _ in jobs:
                found |= done.get(timeout=max(0.0, self._deadline - time.monotonic()))
        return found

    # -- one query, all at once ------------------------------------------------------------------------

    def _read(self, query: Query) -> Reading:
        read = _Read(query)
        try:
            self._pages(read, self._address(query.address, None))
        except _Failed as fault:
            return read.reading(str(fault))
        except Exception as bug:
            # by its class only: its text may quote what was read
            _LOG.error("%s while reading %s from the EHR", type(bug).__name__, query.resource_type)
            return read.reading(UNREACHED)
        return read.reading()

    def _pages(self, read: _Read, address: Address) -> None:
        seen: set[str] = set()
        while True:
            seen.add(address.text)
            body = self._body("GET", address)
            read.add(body.found, _in_digits(body, (read.query,)))
            after = page_after(body.found)
            if after is None:
                return
            address = self._address(after, address)
            if address.text in seen or len(read.pages) >= MOST_PAGES:
                raise _Failed(TOO_MANY_PAGES)

    def _batched(self, queries: Sequence[Query]) -> dict[Query, Reading]:
        """One Bundle of reads (FHIR R4, batch). Pages come from the prefetch of others, and go by themselves."""
        entries = [{"request": {"method": "GET", "url": one.address}} for one in queries if one.page is None]
        bundle = orjson.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries})
        alone = {one: self._read(one) for one in queries if one.page is not None}
        together = [one for one in queries if one.page is None]
        try:
            body = self._body("POST", self._base, bundle)
            answers = body.found.get("entry")
            is_bundle = body.found.get("resourceType") == "Bundle"
            if not is_bundle or not isinstance(answers, list) or len(answers) != len(together):
                raise _Failed(NOT_ASKED_FOR)
        except _Failed as fault:
            return alone | {one: Reading(one, (), str(fault)) for one in together}
        in_digits = _in_digits(body, together)
        same = in_digits["entry"] if in_digits is not None else [None] * len(together)
        return alone | {
            one: self._of_batch(one, answer, echo) for one, answer, echo in zip(together, answers, same, strict=True)
        }

    def _of_batch(self, query: Query, answer: Any, echo: Any) -> Reading:
        answer = answer if isinstance(answer, dict) else {}
        response, resource = answer.get("response"), answer.get("resource")
        status = response.get("status") if isinstance(response, dict) else None
        number = status[:3] if isinstance(status, str) and status[:3].isdigit() else "nothing"
        read = _Read(query)
        try:
            if number != "200":
                raise _Failed(f"it answered {number}")
            if not isinstance(resource, dict):
                raise _Failed(NOT_ASKED_FOR)
            read.add(resource, echo["resource"] if isinstance(echo, dict) else None)
            after = page_after(resource)
            if after is not None:
                self._pages(read, self._address(after, None))
        except _Failed as fault:
            return read.reading(str(fault))
        return read.reading()

    # -- one request -----------------------------------------------------------------------------------

    def _address(self, text: str, beside: Address | None) -> Address:
        """Where a query, a page or a redirect leads: always the call's own server, or nowhere."""
        try:
            found = read_address(urljoin(beside.text if beside is not None else f"{self._base.text}/", text))
        except ValueError:
            found = None
        if found is None or found.origin != self._base.origin:
            raise _Failed(ELSEWHERE)
        return found

    def _body(self, method: str, address: Address, payload: bytes | None = None) -> _Body:
        """The JSON object that is answered. A read that broke, or that is to come again, is sent once more."""
        try:
            return self._answer(method, address, payload)
        except _TryAgain as first:
            if method != "GET" or first.wait >= self._remaining():
                raise _Failed(first.fault) from None
            time.sleep(first.wait)
        try:
            return self._answer(method, address, payload)
        except _TryAgain as second:
            raise _Failed(second.fault) from None

    def _answer(self, method: str, address: Address, payload: bytes | None) -> _Body:
        for _ in range(MOST_REDIRECTS + 1):
            with self._sent(method, address, payload) as response:
                status = response.status_code
                if method == "GET" and status in (301, 302, 303, 307, 308):
                    address = self._address(response.headers.get("Location", ""), address)
                    continue
                if status in (429, 503):
                    wait = _wait(response.headers)
                    if wait is not None:
                        raise _TryAgain(f"it answered {status}", wait)
                if status != 200:
                    raise _Failed(f"it answered {status}")
                return _json(self._read_off(response), response.headers.get("Content-Type", ""))
        raise _Failed(ELSEWHERE)

    def _sent(self, method: str, address: Address, payload: bytes | None) -> requests.Response:
        headers = self._headers if payload is None else {**self._headers, "Content-Type": _FHIR_JSON}
        try:
            prepared = requests.Request(method, address.text, headers=headers, data=payload).prepare()
            return self._connections.send(prepared, stream=True, timeout=self._remaining(), proxies={})
        except requests.Timeout:
            raise _Failed(LATE) from None
        except requests.ConnectionError as fault:
            self._remaining()
            if fault.args and isinstance(fault.args[0], ProtocolError):
                raise _TryAgain(BROKEN_OFF) from None
            raise _Failed(UNREACHED) from None
        except (requests.RequestException, HTTPError, OSError, ValueError):
            raise _Failed(UNREACHED) from None

    def _read_off(self, response: requests.Response) -> bytes:
        """The body, to its end or to the limits. What comes compressed, though nobody asked for it, is not read."""
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise _Failed(NOT_JSON)
        stated = response.headers.get("Content-Length", "")
        if stated.isascii() and stated.isdigit() and int(stated[:20]) > MOST_OF_ONE:
            raise _Failed(TOO_LARGE)
        pieces, size = [], 0
        try:
            for piece in response.raw.stream(_PIECE, decode_content=False):
                self._remaining()
                size += len(piece)
                self._take(len(piece))
                if size > MOST_OF_ONE:
                    raise _Failed(TOO_LARGE)
                pieces.append(piece)
        except ReadTimeoutError:
            raise _Failed(LATE) from None
        except (HTTPError, OSError):
            self._remaining()
            raise _TryAgain(BROKEN_OFF) from None
        return b"".join(pieces)

    def _take(self, size: int) -> None:
        with self._lock:
            self._left -= size
            if self._left < 0:
                raise _Failed(TOO_MUCH)

    def _remaining(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0 or self._sockets is None:
            raise _Failed(LATE)
        return left

    def _watch(self, connected: socket.socket) -> None:
        with self._lock:
            if self._sockets is not None:
                self._sockets.append(connected)
                return
        connected.close()
        raise OSError("the call is over")


def _wait(headers: Mapping[str, str]) -> float | None:
    """The seconds after which a server wants to be asked again; None where it does not say so, or not readably.

    RFC 9110, 10.2.3: seconds, or a date. A date is held against the server's own clock where it gives it (`Date`).
    """
    said = headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit() and len(said) < 6:
        return float(said)
    then, now = _instant(said), _instant(headers.get("Date", ""))
    if then is None:
        return None
    return max(0.0, then - (now if now is not None else time.time()))


def _instant(http_date: str) -> float | None:
    try:
        stated = parsedate_to_datetime(http_date)
        return (stated if stated.tzinfo else stated.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _in_digits(body: _Body, queries: Sequence[Query]) -> Any:
    """The same with the digits of its decimals, where orders were asked for: they may be written back. Else None."""
    asked = any(one.resource_type in ORDER_TYPES for one in queries)
    return as_written(body.text.decode("utf-8")) if asked and holds_float(body.found) else None


def _json(body: bytes, content_type: str) -> _Body:
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind not in _JSON:
        raise _Failed(NOT_JSON)  # a page to log in at, say
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _Failed(NOT_JSON) from None
    if not isinstance(found, dict) or too_deep(found):
        raise _Failed(NOT_JSON)
    return _Body(found, body)
