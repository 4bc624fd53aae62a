"""The service as golden files know it: a fixed address, numbered ids, a store of its own, a clock that a test holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from flask.testing import FlaskClient

from cds_service.app import create_app
from cds_service.settings import read_settings
from tests.fakes import numbered_ids

# the instant at which golden calls are made
NOW = datetime(2026, 11, 21, 10, 30, tzinfo=ZoneInfo("America/New_York"))


def golden_service(folder: Path, now: Callable[[], datetime] = lambda: NOW) -> FlaskClient:
    """`folder` holds its store; `now` tells the instant of a call."""
    chosen = {
        "CDS_CLIENT_AUTH": "off",
        "CDS_PUBLIC_URL": "https://cds.example.org",
        "CDS_DATABASE_URL": f"sqlite:///{folder}/cds.sqlite",
    }
    settings, problems = read_settings(chosen)
    assert settings is not None, problems
    return create_app(settings, now=now, new_id=numbered_ids()).test_client()
