"""/dtr/: the app's files under a strict policy, and which EHRs it may talk to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask

from cds_service.adapters.dtr_app_files import dtr_app_files
from cds_service.web.dtr_app import dtr_app

SITE = Path(__file__).parents[3] / "dtr_app" / "site"
SOURCES = ("https://auth.example.org", "https://ehr.example.org")


@dataclass(frozen=True)
class FakeFiles:
    held: Mapping[str, bytes]
    has_libraries: bool = True

    def read(self, name: str) -> bytes | None:
        return self.held.get(name)


HELD = {
    "index.html": b"<h1>start</h1>",
    "launch.html": b"<h1>launch</h1>",
    "absent.html": b"make dtr-app",
    "js/app.js": b"x" * 5000,
}


def app_of(files: FakeFiles) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = False
    app.register_blueprint(
        dtr_app(files, {"https://ehr.example.org/fhir": "our-app"}.get, SOURCES, [("acme", "Acme Health")])
    )
    return app


@pytest.mark.parametrize(("path", "text"), [("/dtr/", b"start"), ("/dtr/launch?iss=x", b"launch")])
def test_pages_are_served_under_a_policy_that_allows_no_script_but_ours(path: str, text: bytes) -> None:
    reply = app_of(FakeFiles(HELD)).test_client().get(path)
    assert reply.status_code == 200 and text in reply.data
    policy = dict(part.split(" ", 1) for part in reply.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self' https://auth.example.org https://ehr.example.org"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_the_address_with_the_authorization_code_is_told_to_nobody() -> None:
    reply = app_of(FakeFiles(HELD)).test_client().get("/dtr/?code=abc&state=1")
    assert reply.headers["Referrer-Policy"] == "no-referrer"


def test_the_start_page_without_its_slash_leads_there_with_the_code() -> None:
    reply = app_of(FakeFiles(HELD)).test_client().get("/dtr?code=abc&state=1")
    assert (reply.status_code, reply.headers["Location"]) == (308, "dtr/?code=abc&state=1")


@pytest.mark.parametrize("path", ["/dtr/", "/dtr/launch"])
def test_without_its_libraries_the_page_says_what_to_run(path: str) -> None:
    reply = app_of(FakeFiles(HELD, has_libraries=False)).test_client().get(path)
    assert reply.status_code == 503
    assert b"make dtr-app" in reply.data


def test_a_file_travels_compressed_to_who_can_read_that_and_once() -> None:
    client = app_of(FakeFiles(HELD)).test_client()
    packed = client.get("/dtr/js/app.js", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == HELD["js/app.js"]
    assert packed.mimetype == "text/javascript" and packed.headers["Vary"] == "Accept-Encoding"
    assert client.get("/dtr/js/app.js").data == HELD["js/app.js"]
    again = client.get("/dtr/js/app.js", headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/dtr/nothing.js", "/dtr/../pyproject.toml", "/dtr/js/%2e%2e/%2e%2e/fetch.mjs"])
def test_what_is_no_file_of_the_app_is_not_found(path: str) -> None:
    reply = app_of(FakeFiles(HELD)).test_client().get(path)
    assert reply.status_code == 404


def test_an_ehr_that_is_known_is_told_how_it_knows_the_app() -> None:
    reply = app_of(FakeFiles(HELD)).test_client().get("/dtr/ehr?iss=https%3A%2F%2Fehr.example.org%2Ffhir")
    assert reply.get_json() == {"clientId": "our-app"}


@pytest.mark.parametrize("query", ["", "?iss=", "?iss=https://other.example.org/fhir", "?iss=javascript:alert(1)"])
def test_an_ehr_that_nobody_registered_is_refused_with_what_to_do(query: str) -> None:
    reply = app_of(FakeFiles(HELD)).test_client().get(f"/dtr/ehr{query}")
    assert reply.status_code == 403
    [issue] = json.loads(reply.data)["issue"]
    assert "CDS_CLIENTS" in issue["details"]["text"] and issue["code"] == "forbidden"


def test_the_payers_that_it_is_for_are_listed_for_anybody() -> None:
    reply = app_of(FakeFiles(HELD)).test_client().get("/dtr/payers")
    assert reply.get_json() == {"payers": [{"id": "acme", "name": "Acme Health"}]}
    assert reply.headers["Access-Control-Allow-Origin"] == "*"


def test_only_files_below_the_folder_are_listed_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "site" / "js").mkdir(parents=True)
    (tmp_path / "site" / "js" / "app.js").write_text("x")
    (tmp_path / "secret").write_text("y")
    files = dtr_app_files(tmp_path / "site")
    assert files.read("js/app.js") == b"x"
    assert files.read("../secret") is None
    assert not files.has_libraries
    assert dtr_app_files(tmp_path / "nowhere").files == {}


def test_the_pages_hold_no_inline_script_and_load_nothing_from_elsewhere() -> None:
    for page in SITE.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert text.count("<script") == text.count("<script src=") + text.count('<script type="module" src=')
        assert "http://" not in text and 'src="https' not in text and " onclick" not in text
