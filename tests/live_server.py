"""A real `cds-service serve` on a free loopback port, for tests that go through a socket."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

COMMAND = (sys.executable, "-m", "cds_service.cli")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with no setting of its own but those given."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    return {**rest, **settings}


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """One command to its end. A store that it opens stands in no checkout."""
    with tempfile.TemporaryDirectory() as room:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=environment(**{"CDS_DATABASE_URL": f"sqlite:///{room}/cds.sqlite", **settings}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class LiveServer:
    host: str
    port: int
    process: subprocess.Popen[str]

    @classmethod
    @contextmanager
    def started(cls, *arguments: str, **settings: str) -> Iterator[LiveServer]:
        command = [*COMMAND, "serve", "--port", "0", "--workers", "1", *arguments]
        room = tempfile.TemporaryDirectory()
        own = {"CDS_CLIENT_AUTH": "off", "CDS_DATABASE_URL": f"sqlite:///{room.name}/cds.sqlite"}
        env = environment(**{**own, **settings})
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], 30)
            line = process.stdout.readline() if ready else ""
            found = re.search(r"https?://\[?([^\]\s]+?)\]?:(\d+) ", line)
            assert found, f"the server did not say where it listens: {line!r}"
            yield cls(found[1], int(found[2]), process)
        finally:
            process.terminate()
            process.wait(timeout=30)
            room.cleanup()

    def get(self, path: str) -> Reply:
        return self.send("GET", path)

    def post(self, path: str, body: bytes | Iterable[bytes], **headers: str) -> Reply:
        return self.send("POST", path, body, headers)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request on a connection of its own. An iterable body goes out chunked."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


def only_issue(reply: Reply) -> dict[str, Any]:
    """The one issue of an OperationOutcome, once its shape is found to be the one shape of all errors."""
    assert reply.headers["Content-Type"] == "application/fhir+json"
    outcome = reply.json()
    assert set(outcome) == {"resourceType", "issue"}
    assert outcome["resourceType"] == "OperationOutcome"
    [issue] = outcome["issue"]
    assert set(issue) == {"severity", "code", "details"}
    assert issue["severity"] == "error"
    where, what = issue["details"]["text"].split(": ", 1)
    assert where and "; " in what, "an error says where, what and how to mend it"
    return issue
