"""Connections that tell of themselves, so that a call can cut them, and, if so told, lead to this machine only."""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError


class Connections(HTTPAdapter):
    """Connections that tell of themselves, and, with `loopback_only`, lead to this machine whatever a name says."""

    def __init__(self, watch: Callable[[socket.socket], None], loopback_only: bool, at_once: int) -> None:
        self._kept: dict[str, Any] = {"watch": watch, "loopback_only": loopback_only}
        super().__init__(pool_connections=2, pool_maxsize=at_once, max_retries=0)

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
