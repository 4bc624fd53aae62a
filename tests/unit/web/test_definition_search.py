"""Search of definitions by what FHIR finds canonical resources by, page by page; each version by its own address."""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from fhir.resources.R4B.bundle import Bundle
from flask import Flask
from flask.testing import FlaskClient

from cds_service.web.definitions import definitions
from cds_service.web.problems import refuse_in_one_shape

BASE = "https://cds-service.example.org/fhir"


def plan(name: str, version: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "PlanDefinition",
        "id": name,
        "url": f"{BASE}/PlanDefinition/{name}",
        "version": version,
        "name": "".join(word.title() for word in name.split("-")),
        "title": f"Policy for {name}",
        "status": "active",
        "effectivePeriod": {"start": version},
        **more,
    }


HELD = (
    plan("acme-cpap", "2025-01-01"),
    plan("acme-cpap", "2026-01-01"),
    plan("acme-oxygen", "2026-01-01", status="retired"),
)


def client() -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    refuse_in_one_shape(app, 1 << 20)
    held = [(one, json.dumps(one).encode()) for one in HELD]
    app.register_blueprint(definitions(held, lambda: date(2026, 6, 1), "https://cds.example.org"))
    return app.test_client()


def found(query: str, **headers: str) -> dict[str, Any]:
    response = client().get(f"/fhir/PlanDefinition{query}", headers=headers)
    assert response.status_code == 200, response.get_data(as_text=True)
    assert response.mimetype == "application/fhir+json"
    bundle: dict[str, Any] = response.get_json()
    Bundle.model_validate(bundle)
    assert bundle["type"] == "searchset"
    return bundle


def matches(bundle: dict[str, Any]) -> list[tuple[str, str]]:
    entries = [one for one in bundle.get("entry", []) if one["search"]["mode"] == "match"]
    return [(one["resource"]["id"], one["resource"]["version"]) for one in entries]


CPAP_25, CPAP_26, OXYGEN = ("acme-cpap", "2025-01-01"), ("acme-cpap", "2026-01-01"), ("acme-oxygen", "2026-01-01")


def test_without_parameters_every_version_of_the_type_comes() -> None:
    bundle = found("")
    assert bundle["total"] == 3
    assert matches(bundle) == [CPAP_25, CPAP_26, OXYGEN]
    assert bundle["entry"][0]["fullUrl"] == "https://cds.example.org/fhir/PlanDefinition/acme-cpap"


def test_several_versions_of_one_id_are_told_apart_by_the_version_under_which_each_is_read() -> None:
    bundle = found("?_id=acme-cpap")
    versions = [one["resource"]["meta"]["versionId"] for one in bundle["entry"]]
    assert versions == ["2025-01-01", "2026-01-01"]
    for one in versions:
        read = client().get(f"/fhir/PlanDefinition/acme-cpap/_history/{one}")
        assert read.get_json()["version"] == one
        assert read.headers["ETag"] == f'W/"{one}"'


def test_a_version_that_is_not_held_is_told_with_those_that_are() -> None:
    response = client().get("/fhir/PlanDefinition/acme-cpap/_history/1999-01-01")
    assert response.status_code == 404
    assert "2025-01-01, 2026-01-01" in response.get_json()["issue"][0]["details"]["text"]


def test_url_finds_with_and_without_a_pinned_version_and_never_by_its_beginning() -> None:
    url = f"{BASE}/PlanDefinition/acme-cpap"
    assert matches(found(f"?url={url}")) == [CPAP_25, CPAP_26]
    assert matches(found(f"?url={url}|2026-01-01")) == [CPAP_26]
    assert matches(found(f"?url={url}&version=2025-01-01")) == [CPAP_25]
    assert matches(found(f"?url={url[:-1]}")) == []


def test_names_are_found_by_their_beginning_in_any_case_and_titles_by_a_word_inside() -> None:
    assert matches(found("?name=acmeOX")) == [OXYGEN]
    assert matches(found("?name:exact=acmeoxygen")) == []
    assert matches(found("?title:contains=OXYGEN")) == [OXYGEN]


def test_a_comma_is_an_or_and_a_repeated_parameter_an_and() -> None:
    assert matches(found("?_id=acme-cpap,acme-oxygen")) == [CPAP_25, CPAP_26, OXYGEN]
    assert matches(found("?status=retired&status=active")) == []
    assert matches(found("?status=retired,active&version=2026-01-01")) == [CPAP_26, OXYGEN]


def test_pages_follow_one_another_by_their_links_and_nothing_is_lost() -> None:
    asked, seen = "?status=active,retired&_count=2", []
    for _ in range(3):
        bundle = found(asked)
        assert bundle["total"] == 3
        seen += matches(bundle)
        links = {one["relation"]: one["url"] for one in bundle["link"]}
        if "next" not in links:
            break
        asked = f"?{urlsplit(links['next']).query}"
    assert seen == [CPAP_25, CPAP_26, OXYGEN]
    assert "previous" in links


def test_a_count_of_zero_tells_only_how_many_there_are() -> None:
    bundle = found("?_count=0")
    assert bundle["total"] == 3
    assert "entry" not in bundle


def test_a_count_that_is_no_number_is_refused() -> None:
    for query in ("?_count=many", "?_count=-1", "?_offset=1.5"):
        response = client().get(f"/fhir/PlanDefinition{query}")
        assert response.status_code == 400, query
        assert response.get_json()["resourceType"] == "OperationOutcome"


def test_an_unknown_parameter_is_passed_over_and_said_or_refused_where_strict_handling_is_preferred() -> None:
    bundle = found("?colour=blue&version=2025-01-01")
    assert matches(bundle) == [CPAP_25]
    [outcome] = [one["resource"] for one in bundle["entry"] if one["search"]["mode"] == "outcome"]
    assert outcome["issue"][0]["severity"] == "warning"
    assert "colour" not in bundle["link"][0]["url"], "the self link says what was understood"
    response = client().get("/fhir/PlanDefinition?colour=blue", headers={"Prefer": "handling=strict"})
    assert response.status_code == 400
    assert "colour" in response.get_json()["issue"][0]["details"]["text"]


def test_what_a_parameter_is_called_is_not_sent_back_where_it_could_be_anything() -> None:
    bundle = found("?%3Cscript%3E=1")
    assert "script" not in json.dumps(bundle)


def test_a_search_may_be_posted_as_a_form() -> None:
    response = client().post("/fhir/PlanDefinition/_search", data={"_id": "acme-oxygen"})
    assert matches(response.get_json()) == [OXYGEN]


def test_types_of_which_nothing_is_served_are_not_found() -> None:
    response = client().get("/fhir/Patient?name=x")
    assert response.status_code == 404
    assert response.get_json()["issue"][0]["details"]["text"].startswith("/fhir/Patient")
