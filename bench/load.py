"""Drives one loopback server: a bounded number of calls over a few kept-alive connections, in one process."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass

from server import Server


@dataclass(frozen=True)
class Figures:
    calls: int
    seconds: float
    cpu_seconds: float
    latencies: tuple[float, ...]  # seconds, sorted

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu_seconds / self.calls

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds

    def percentile(self, percent: int) -> float:
        """Milliseconds."""
        return 1000 * self.latencies[min(self.calls - 1, self.calls * percent // 100)]


class _Connection:
    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.received = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def finished(self) -> bool:
        """Take what has arrived; true once the whole answer is here."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.received += piece
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(head.partition(b"\r\n")[0].decode())
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return len(body) >= length


def drive(server: Server, path: str, body: bytes, calls: int, connections: int) -> Figures:
    """`calls` times the same POST, each connection sending its next one when it has its answer."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    poller = selectors.DefaultSelector()
    open_connections = [_Connection(server) for _ in range(connections)]
    latencies: list[float] = []
    cpu_before, began = server.cpu_seconds(), time.perf_counter()
    to_send = calls
    for connection in open_connections:
        poller.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(request)
        to_send -= 1
    while len(latencies) < calls:
        for key, _ in poller.select(timeout=10):
            connection = key.data
            if not connection.finished():
                continue
            latencies.append(time.perf_counter() - connection.sent_at)
            if to_send > 0:
                to_send -= 1
                connection.send(request)
    seconds, cpu = time.perf_counter() - began, server.cpu_seconds() - cpu_before
    poller.close()
    for connection in open_connections:
        connection.socket.close()
    return Figures(calls, seconds, cpu, tuple(sorted(latencies)))
