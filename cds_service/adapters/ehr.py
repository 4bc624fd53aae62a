"""Reads of the EHR: with the call's token, to the call's server, under one deadline. Judges nothing that it reads.

What went wrong is told in words of ours, never in those of an exception or of the server: both could quote the patient
or the token. No redirect and no next page leads off the server's origin.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

import orjson
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, ReadTimeoutError

from cds_service.crd.clients import Clients
from cds_service.crd.envelope import too_deep
from cds_service.crd.queries import FhirAccess, Query, Reading, page_after
from cds_service.fhir.addresses import Address, read_address, read_base

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
        self._connections = _Adapter(self._watch, self._loopback_only)
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
        pages: list[Any] = []
        try:
            self._pages(query, self._address(query.address, None), pages)
        except _Failed as fault:
            return Reading(query, tuple(pages), str(fault))
        except Exception as bug:
            # by its class only: its text may quote what was read
            _LOG.error("%s while reading %s from the EHR", type(bug).__name__, query.resource_type)
            return Reading(query, tuple(pages), UNREACHED)
        return Reading(query, tuple(pages))

    def _pages(self, query: Query, address: Address, pages: list[Any]) -> None:
        seen: set[str] = set()
        while True:
            seen.add(address.text)
            body = self._body("GET", address)
            self._add(query, body, pages)
            after = page_after(body)
            if after is None:
                return
            address = self._address(after, address)
            if address.text in seen or len(pages) >= MOST_PAGES:
                raise _Failed(TOO_MANY_PAGES)

    @staticmethod
    def _add(query: Query, body: Any, pages: list[Any]) -> None:
        """A body that answers the query. Whose the resources are is not looked at here: the record lets in none that
        are another patient's, and says where they stood."""
        kind = body.get("resourceType")
        if query.is_read:
            answers = kind == query.resource_type and body.get("id") == query.ids[0]
        else:
            answers = kind in ("Bundle", "OperationOutcome")
        if not answers:
            raise _Failed(NOT_ASKED_FOR)
        pages.append(body)

    def _batched(self, queries: Sequence[Query]) -> dict[Query, Reading]:
        """One Bundle of reads (FHIR R4, batch). Pages come from the prefetch of others, and go by themselves."""
        entries = [{"request": {"method": "GET", "url": one.address}} for one in queries if one.page is None]
        bundle = orjson.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries})
        alone = {one: self._read(one) for one in queries if one.page is not None}
        together = [one for one in queries if one.page is None]
        try:
            body = self._body("POST", self._base, bundle)
            answers = body.get("entry")
            if body.get("resourceType") != "Bundle" or not isinstance(answers, list) or len(answers) != len(together):
                raise _Failed(NOT_ASKED_FOR)
        except _Failed as fault:
            return alone | {one: Reading(one, (), str(fault)) for one in together}
        return alone | {one: self._of_batch(one, answer) for one, answer in zip(together, answers, strict=True)}

    def _of_batch(self, query: Query, answer: Any) -> Reading:
        answer = answer if isinstance(answer, dict) else {}
        response, resource = answer.get("response"), answer.get("resource")
        status = response.get("status") if isinstance(response, dict) else None
        number = status[:3] if isinstance(status, str) and status[:3].isdigit() else "nothing"
        pages: list[Any] = []
        try:
            if number != "200":
                raise _Failed(f"it answered {number}")
            if not isinstance(resource, dict):
                raise _Failed(NOT_ASKED_FOR)
            self._add(query, resource, pages)
            after = page_after(resource)
            if after is not None:
                self._pages(query, self._address(after, None), pages)
        except _Failed as fault:
            return Reading(query, tuple(pages), str(fault))
        return Reading(query, tuple(pages))

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

    def _body(self, method: str, address: Address, payload: bytes | None = None) -> dict[str, Any]:
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

    def _answer(self, method: str, address: Address, payload: bytes | None) -> dict[str, Any]:
        for _ in range(MOST_REDIRECTS + 1):
            with self._sent(method, address, payload) as response:
                status = response.status_code
                if method == "GET" and status in (301, 302, 303, 307, 308):
                    address = self._address(response.headers.get("Location", ""), address)
                    continue
                if status in (429, 503):
                    wait = response.headers.get("Retry-After", "").strip()
                    if wait.isascii() and wait.isdigit() and len(wait) < 4:
                        raise _TryAgain(f"it answered {status}", float(wait))
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


def _json(body: bytes, content_type: str) -> dict[str, Any]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind not in _JSON:
        raise _Failed(NOT_JSON)  # a page to log in at, say
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _Failed(NOT_JSON) from None
    if not isinstance(found, dict) or too_deep(found):
        raise _Failed(NOT_JSON)
    return found


# -- connections that are known to the call ------------------------------------------------------------


class _Adapter(HTTPAdapter):
    """Connections that tell of themselves, and, with `loopback_only`, lead to this machine whatever a name says."""

    def __init__(self, watch: Callable[[socket.socket], None], loopback_only: bool) -> None:
        self._kept: dict[str, Any] = {"watch": watch, "loopback_only": loopback_only}
        super().__init__(pool_connections=2, pool_maxsize=SIDE_BY_SIDE, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        self.poolmanager.pool_classes_by_scheme = {
            "http": functools.partial(_pool, HTTPConnectionPool, functools.partial(_Plain, **self._kept)),
            "https": functools.partial(_pool, HTTPSConnectionPool, functools.partial(_Secure, **self._kept)),
        }


def _pool(kind: type[HTTPConnectionPool], connection: Any, *arguments: Any, **more: Any) -> HTTPConnectionPool:
    pool = kind(*arguments, **more)
    pool.ConnectionCls = connection
    return pool


class _Plain(HTTPConnection):
    def __init__(
        self, *arguments: Any, watch: Callable[[socket.socket], None], loopback_only: bool, **more: Any
    ) -> None:
        super().__init__(*arguments, **more)
        self._watch, self._loopback_only = watch, loopback_only

    def _new_conn(self) -> socket.socket:
        return _to_this_machine(self) if self._loopback_only else super()._new_conn()

    def connect(self) -> None:
        super().connect()
        assert self.sock is not None
        self._watch(self.sock)


class _Secure(_Plain, HTTPSConnection):
    """The same over TLS: what `_Plain` calls its own kind's is then HTTPSConnection's."""


def _to_this_machine(connection: HTTPConnection) -> socket.socket:
    """A connection to the first loopback address of its host that takes one. Looked up once: the address that was
    looked at is the one that is connected to."""
    for address in _loopback_addresses(connection.host.strip("[]"), connection.port or 0):
        with suppress(OSError):
            return socket.create_connection(address, timeout=connection.timeout)
    raise NewConnectionError(connection, "no address of this machine takes a connection")


def _loopback_addresses(host: str, port: int) -> Iterator[tuple[str, int]]:
    for *_, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = str(found[0])
        if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            yield address, port
