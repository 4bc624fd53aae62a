"""A server in a process of its own, and what the kernel says of it: processor time, memory, time to ready."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    host: str
    port: int
    worker: int  # process id
    ready_after: float  # seconds from the start of the process to the first 200 of /readyz

    def cpu_seconds(self) -> float:
        """Processor time of the worker, user and system. Its resolution is one tick, mostly 10 ms."""
        stat = Path(f"/proc/{self.worker}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> tuple[float, float]:
        """Resident MB of the worker: all of it, and its share when pages had with the parent are divided."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        rollup = Path(f"/proc/{self.worker}/smaps_rollup").read_text()
        return _kilobytes("VmRSS", status) / 1024, _kilobytes("Pss", rollup) / 1024


def _kilobytes(name: str, text: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    assert found, f"{name} is not told here"
    return int(found[1])


@contextmanager
def started(command: Sequence[str], env: Mapping[str, str]) -> Iterator[Server]:
    """The server that `command` starts: it prints one line with its address, and has one worker."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=dict(env), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://(\S+):(\d+) ", process.stdout.readline())
        assert found, "the server did not start"
        host, port = found[1], int(found[2])
        with urllib.request.urlopen(f"http://{host}:{port}/readyz", timeout=30) as ready:
            assert ready.status == 200
        ready_after = time.perf_counter() - began
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        [worker] = map(int, children)
        yield Server(host, port, worker, ready_after)
    finally:
        process.terminate()
        process.wait(timeout=60)
