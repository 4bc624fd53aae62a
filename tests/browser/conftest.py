"""The app in a real browser: Debian's Chromium, driven by Playwright, against the real server and the EHR of the tests.

Each test leaves a picture of each of its steps in tests/browser/shots/.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live_server import LiveServer
from tests.smart_ehr.server import SmartEhr, smart_ehr

ROOT = Path(__file__).parents[2]
SHOTS = Path(__file__).parent / "shots"
LIBRARIES = ROOT / "dtr_app" / "site" / "vendor"
PHONE = {"width": 390, "height": 844}
FORGIVEN = ("FHIR resources might not be loaded",)  # LHC-Forms, of a form that needs none


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)


def _missing() -> str | None:
    if not LIBRARIES.is_dir():
        return "the app's libraries are not here: make dtr-app"
    if _chromium() is None:
        return "no Chromium: apt-get install chromium"
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "Playwright is not installed: make browser"
    return None


def _chromium() -> str | None:
    return os.environ.get("CDS_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    missing = _missing()
    if missing is not None:
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # what Chromium needs where it runs as root, and in a container with little shared memory
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        running = playwright.chromium.launch(executable_path=_chromium(), args=arguments)
        yield running
        running.close()


@pytest.fixture(scope="session")
def payer(browser: Any) -> Iterator[str]:
    """The address of the real server. Behind `browser`, so that nothing starts where the tests are skipped."""
    with LiveServer.started() as server:
        yield f"http://{server.host}:{server.port}"


@pytest.fixture
def ehr_with(payer: str) -> Iterator[Callable[[list[dict[str, Any]]], SmartEhr]]:
    """An EHR that holds a chart, for the length of a test."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda resources: stack.enter_context(smart_ehr(payer, resources))


@pytest.fixture(scope="session")
def profile(browser: Any) -> Iterator[Any]:
    """One browser profile for all tests: what the pages load is loaded once. A page's session is its own."""
    context = browser.new_context(viewport=PHONE)
    context.set_default_timeout(45_000)  # a busy machine is no fault of the page
    yield context
    context.close()


@pytest.fixture
def page(profile: Any) -> Iterator[Any]:
    """A page as wide as a phone. Whatever the page complains of in its console fails the test."""
    opened = profile.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda fault: complaints.append(str(fault)))
    opened.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    opened.complaints = complaints
    yield opened
    opened.close()
    assert [one for one in complaints if not one.startswith(FORGIVEN)] == []


@pytest.fixture
def shot(page: Any, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keeps a picture of the page, numbered, under the name of the test."""
    folder = SHOTS / re.sub(r"[^a-z0-9-]+", "-", request.node.name.lower()).strip("-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    taken: list[str] = []

    def take(step: str) -> None:
        taken.append(step)
        page.screenshot(path=folder / f"{len(taken)}-{step}.png", full_page=True)

    return take
