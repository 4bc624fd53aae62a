"""`/fhir/metadata`: what the server says it does of FHIR is what its routes answer, and is R4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from flask import Flask

from cds_service.app import create_app
from cds_service.settings import read_settings


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    room: Path = tmp_path_factory.mktemp("store")
    chosen = {"CDS_CLIENT_AUTH": "off", "CDS_DATABASE_URL": f"sqlite:///{room}/cds.sqlite"}
    settings, problems = read_settings({**chosen, "CDS_PUBLIC_URL": "https://cds.example.org"})
    assert settings is not None, problems
    return create_app(settings)


@pytest.fixture(scope="module")
def statement(app: Flask) -> dict[str, Any]:
    response = app.test_client().get("/fhir/metadata")
    assert response.status_code == 200
    assert response.mimetype == "application/fhir+json"
    return dict(response.get_json())


def test_it_is_the_statement_of_an_instance_of_dtrs_payer_service(statement: dict[str, Any]) -> None:
    CapabilityStatement.model_validate(statement)
    assert statement["kind"] == "instance"
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["implementation"]["url"] == "https://cds.example.org/fhir"
    assert statement["instantiates"] == ["http://hl7.org/fhir/us/davinci-dtr/CapabilityStatement/dtr-payer-service"]


def test_each_operation_that_it_names_is_answered_under_its_type(app: Flask, statement: dict[str, Any]) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    named = {
        f"/fhir/{resource['type']}/${one['name']}"
        for resource in statement["rest"][0]["resource"]
        for one in resource.get("operation", ())
    }
    assert named <= rules
    assert named == {rule for rule in rules if "/$" in rule and "<" not in rule and rule.count("/") == 3}


def test_each_search_parameter_that_it_names_is_understood(app: Flask, statement: dict[str, Any]) -> None:
    for resource in statement["rest"][0]["resource"]:
        for parameter in resource.get("searchParam", ()):
            address = f"/fhir/{resource['type']}?{parameter['name']}=x"
            response = app.test_client().get(address, headers={"Prefer": "handling=strict"})
            assert response.status_code == 200, address


def test_each_definition_of_the_shipped_plans_is_found_and_read_in_its_version(app: Flask) -> None:
    client = app.test_client()
    for kind in ("PlanDefinition", "Questionnaire", "ValueSet", "InsurancePlan"):
        bundle = client.get(f"/fhir/{kind}?_count=200").get_json()
        assert bundle["total"] == len(bundle["entry"]) > 0
        for entry in bundle["entry"]:
            resource = entry["resource"]
            path = entry["fullUrl"].removeprefix("https://cds.example.org")
            version = resource.get("meta", {}).get("versionId")
            read = client.get(f"{path}/_history/{version}" if version else path).get_json()
            assert read["id"] == resource["id"]
            assert read.get("version") == resource.get("version")
