"""`cds-service serve`: load, then answer hooks over HTTP until a signal ends it."""

from __future__ import annotations

import argparse
import gc
import ipaddress
import logging
import os
import socket
import ssl
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cds_service.commands.printing import report
from cds_service.fhir.problem import Problem
from cds_service.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# A slow client holds a thread, not the process; more of them would only wait for each other.
THREADS = 4


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.app import UPKEEP, StartRefused, create_app

    try:
        app = create_app(settings)
    except StartRefused as refused:
        return report(refused.problems)
    taken = _taken(chosen.host, chosen.port)
    if taken is not None:
        return report([taken])
    tls = tls_of(settings)
    if isinstance(tls, Problem):
        return report([tls])
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    note = "client authentication is off: this machine only"
    serve_wsgi(app, chosen.host, chosen.port, chosen.workers, note, app.extensions[UPKEEP], tls)
    return 0


def refusals(settings: Settings | None, host: str) -> list[Problem]:
    """Why this service may not be exposed yet: nothing tells it who calls, and an answer quotes the chart."""
    problems = []
    if settings is not None and settings.client_auth != "off":
        what = "client authentication does not exist yet, so it cannot be required"
        fix = "set CDS_CLIENT_AUTH=off, which serves this machine only"
        problems.append(Problem("not-supported", "CDS_CLIENT_AUTH", what, fix))
    if not _is_loopback(host):
        what = f"{host!r} can be reached from other machines, and client authentication does not exist yet"
        problems.append(Problem("not-supported", "--host", what, "listen on 127.0.0.1 or ::1"))
    return problems


def tls_of(settings: Settings) -> tuple[Path, ssl.SSLContext] | Problem | None:
    """How connections are made private; None where that is left to a proxy. TLS 1.2 and later (CRD 2.2, sec-3)."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # a key that wants a passphrase is refused, not asked for: nobody sits at a server that starts
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password=lambda: b"")
    except (OSError, ValueError):  # an SSLError is an OSError; its text may quote the file
        fix = "give a PEM certificate and the key that belongs to it, without a passphrase"
        return Problem("invalid", "CDS_TLS_CERTIFICATE, CDS_TLS_KEY", "not a certificate with its key", fix)
    return settings.tls_certificate, context


def _is_loopback(host: str) -> bool:
    """True where every address that the name stands for is a loopback address."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0]).split("%")[0]).is_loopback for *_, address in found)


def _taken(host: str, port: int) -> Problem | None:
    """Why nothing can listen there; gunicorn would try for five seconds and say it ten times."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family):
            return None
    except OSError as fault:
        what = f"{port} on {host}: {os.strerror(fault.errno or 0).lower()}"
        return Problem("unavailable", "--port", what, "choose another --port, or stop what listens there")


class Beside(Protocol):
    """What each worker does beside answering, from its start to its end."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def serve_wsgi(
    app: WSGIApplication,
    host: str,
    port: int,
    workers: int,
    note: str,
    beside: Beside | None = None,
    tls: tuple[Path, ssl.SSLContext] | None = None,
) -> None:
    """Serve `app` by gunicorn until a signal ends it. It is built by now: the workers share it."""
    from gunicorn.app.base import BaseApplication

    def listening(server: Any) -> None:
        where = ", ".join(str(listener) for listener in server.LISTENERS)
        print(f"cds-service {version('cds-service')} listens on {where} ({note})", flush=True)

    chosen: dict[str, Any] = {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "workers": workers,
        "worker_class": "gthread",
        "threads": THREADS,
        "preload_app": True,
        "keepalive": 75,  # longer than the proxies in front keep theirs
        # not warnings: gunicorn quotes a malformed request in them, which may be a piece of a chart
        "loglevel": "error",
        "when_ready": listening,
        "control_socket_disable": True,
        # the workers' heartbeat files: in memory, so that the file system can be read-only
        "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,
    }

    if tls is not None:
        certificate, context = tls
        chosen["certfile"] = str(certificate)  # what makes gunicorn speak TLS; how, the context says
        chosen["ssl_context"] = lambda config, default: context

    if beside is not None:
        chosen["post_worker_init"] = lambda worker: beside.start()
        chosen["worker_exit"] = lambda server, worker: beside.stop()

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in chosen.items():
                self.cfg.set(name, value)

        def load(self) -> WSGIApplication:
            return app

    spare_the_collector()
    Server().run()


def spare_the_collector() -> None:
    """Tell the garbage collector what a serving process is like: what was built so far stays, and an answer leaves no
    circles behind (a test holds it to that), so that looking for them is seldom worth while."""
    gc.collect()
    gc.freeze()  # also: the workers go on sharing the pages of what was built
    gc.set_threshold(50_000, 10, 10)
