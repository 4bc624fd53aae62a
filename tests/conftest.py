"""What several tests stand on: the published FHIR packages, and a real server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_server import LiveServer


@pytest.fixture(scope="session")
def fhir_folder() -> Path:
    """The folder of published FHIR packages and examples, which are not ours to ship."""
    folder = os.environ.get("CDS_TEST_FHIR")
    if not folder:
        pytest.skip("CDS_TEST_FHIR is unset: it names the folder of published FHIR packages")
    return Path(folder)


@pytest.fixture(scope="session")
def server() -> Iterator[LiveServer]:
    """`cds-service serve` with the shipped policies, one worker, on a free port."""
    with LiveServer.started() as live:
        yield live
