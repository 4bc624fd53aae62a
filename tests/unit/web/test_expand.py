"""`$expand`: the codes of a set that is held, filtered and page by page, as DTR and plain R4 ask for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from fhir.resources.R4B.valueset import ValueSet
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds_service.terminology.expand import MOST
from cds_service.web.expand import expand

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
URL = "https://cds-service.example.org/fhir/ValueSet/dx-lung"
ID = "6f1c2f0e-5a55-4b0c-9b34-0d6a2f3a7a11"
CODES = [
    {"system": ICD, "code": "J44.9", "display": "Chronic obstructive pulmonary disease, unspecified"},
    {"system": ICD, "code": "J84.10", "display": "Pulmonary fibrosis, unspecified"},
    {"system": ICD, "code": "J45.909", "display": "Unspecified asthma, uncomplicated"},
    {"system": ICD, "code": "J45", "display": "Asthma", "inactive": True},
]


def value_set(version: str, codes: list[dict[str, Any]], name: str = "dx-lung") -> dict[str, Any]:
    return {
        "resourceType": "ValueSet",
        "id": name,
        "url": URL.replace("dx-lung", name),
        "version": version,
        "name": "DxLung",
        "title": "Lung disease",
        "status": "active",
        "compose": {"include": [{"system": ICD, "concept": [{"code": one["code"]} for one in codes]}]},
        "expansion": {"timestamp": "2026-01-01", "contains": codes},
    }


MANY = [{"system": ICD, "code": f"C{n}", "display": f"Neoplasm {n}"} for n in range(MOST + 1)]
HELD = [value_set("9", CODES[:1]), value_set("10", CODES), value_set("1", MANY, "dx-many")]


@pytest.fixture
def service() -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    moment = datetime.fromisoformat("2026-11-22T12:00:00-05:00")
    app.register_blueprint(expand(HELD, lambda: moment, lambda: ID, 1 << 16))
    return app.test_client()


def codes(response: TestResponse) -> list[str]:
    assert response.status_code == 200, response.get_data(as_text=True)
    found = response.get_json()
    ValueSet.model_validate(found)
    return [one["code"] for one in found["expansion"].get("contains", [])]


def refused(response: TestResponse, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.get_json()["resourceType"] == "OperationOutcome"
    issue: dict[str, Any] = response.get_json()["issue"][0]
    return issue


def test_the_newest_version_comes_with_its_active_codes(service: FlaskClient) -> None:
    response = service.get("/fhir/ValueSet/$expand", query_string={"url": URL})
    assert codes(response) == ["J44.9", "J84.10", "J45.909"], "an inactive code stays out; 10 is newer than 9"
    found = response.get_json()
    assert found["version"] == "10"
    assert found["expansion"]["identifier"] == f"urn:uuid:{ID}"
    assert found["expansion"]["total"] == 3
    assert "compose" not in found


def test_a_version_is_named_beside_the_url_or_in_it(service: FlaskClient) -> None:
    for query in ({"url": f"{URL}|9"}, {"url": URL, "valueSetVersion": "9"}):
        assert codes(service.get("/fhir/ValueSet/$expand", query_string=query)) == ["J44.9"]
    both = {"url": f"{URL}|9", "valueSetVersion": "10"}
    refused(service.get("/fhir/ValueSet/$expand", query_string=both), 400)
    issue = refused(service.get("/fhir/ValueSet/$expand", query_string={"url": f"{URL}|8"}), 404)
    assert "10, 9" in issue["details"]["text"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("asthma", ["J45.909"]),
        ("PULM fib", ["J84.10"]),
        ("j44", ["J44.9"]),
        ("J449", ["J44.9"]),
        ("obstructive asthma", []),
        ("sthma", []),
    ],
)
def test_a_filter_matches_the_beginnings_of_words_and_of_codes(
    service: FlaskClient, text: str, wanted: list[str]
) -> None:
    assert codes(service.get("/fhir/ValueSet/$expand", query_string={"url": URL, "filter": text})) == wanted


def test_pages_are_cut_after_the_filter_and_the_total_is_of_all(service: FlaskClient) -> None:
    page = service.get("/fhir/ValueSet/$expand", query_string={"url": URL, "count": 2, "offset": 2})
    assert codes(page) == ["J45.909"]
    assert page.get_json()["expansion"]["total"] == 3
    none = service.get("/fhir/ValueSet/$expand", query_string={"url": URL, "count": 0})
    assert codes(none) == []
    assert none.get_json()["expansion"]["total"] == 3


def test_too_many_codes_at_once_are_refused_as_too_costly_and_come_in_pages(service: FlaskClient) -> None:
    url = URL.replace("dx-lung", "dx-many")
    issue = refused(service.get("/fhir/ValueSet/$expand", query_string={"url": url}), 422)
    assert issue["code"] == "too-costly"
    assert len(codes(service.get("/fhir/ValueSet/$expand", query_string={"url": url, "count": MOST + 1}))) == MOST
    assert codes(service.get("/fhir/ValueSet/$expand", query_string={"url": url, "filter": "c1000"})) == ["C1000"]


def test_parameters_may_be_posted(service: FlaskClient) -> None:
    parameters = [
        {"name": "url", "valueUri": URL},
        {"name": "filter", "valueString": "asthma"},
        {"name": "count", "valueInteger": 5},
        {"name": "includeDefinition", "valueBoolean": True},
    ]
    response = service.post("/fhir/ValueSet/$expand", json={"resourceType": "Parameters", "parameter": parameters})
    assert codes(response) == ["J45.909"]
    assert "compose" in response.get_json()


def test_one_value_set_may_be_named_by_its_id(service: FlaskClient) -> None:
    assert codes(service.get("/fhir/ValueSet/dx-lung/$expand?filter=fibrosis")) == ["J84.10"]
    refused(service.get("/fhir/ValueSet/dx-heart/$expand"), 404)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"url": "http://example.org/other"}, 404),
        ({"url": URL, "count": "-1"}, 400),
        ({"url": URL, "offset": "x"}, 400),
        ({"url": URL, "filter": "a " * 251}, 400),
        ({"url": URL, "context": "http://x"}, 422),
        ({"url": URL, "exclude-system": ICD}, 422),
    ],
)
def test_what_cannot_be_expanded_is_refused_and_says_what_to_send(
    service: FlaskClient, query: dict[str, str], status: int
) -> None:
    text = refused(service.get("/fhir/ValueSet/$expand", query_string=query), status)["details"]["text"]
    assert "; " in text


def test_a_body_that_is_no_parameters_resource_is_refused(service: FlaskClient) -> None:
    refused(service.post("/fhir/ValueSet/$expand", data=b"{"), 400)
    refused(service.post("/fhir/ValueSet/$expand", json={"resourceType": "ValueSet"}), 400)
    given = {"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": HELD[0]}]}
    refused(service.post("/fhir/ValueSet/$expand", json=given), 422)
    twice = [{"name": "url", "valueUri": URL}] * 2
    refused(service.post("/fhir/ValueSet/$expand", json={"resourceType": "Parameters", "parameter": twice}), 400)
