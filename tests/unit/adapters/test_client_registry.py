"""The client registry: read strictly, all faults at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cds_service.adapters.client_registry import read_clients
from cds_service.crd.clients import Client, Clients
from cds_service.fhir.problem import Problem

GENERAL = {"id": "general", "fhir": ["https://ehr.example.org"]}


def written(folder: Path, document: Any) -> Path:
    path = folder / "clients.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def faults(folder: Path, document: Any) -> list[Problem]:
    clients, problems = read_clients(written(folder, document))
    assert clients is None
    return problems


def test_a_registry_says_whose_servers_may_be_read_and_what_they_prefer(tmp_path: Path) -> None:
    entry = {
        "id": "general",
        "fhir": ["https://EHR.example.org:443", "https://ehr.example.org:8443", "http://127.0.0.1:9"],
        "crdVersion": "2.0",
        "cards": {"guideline": False, "max-cards": 3},
        "batch": True,
    }
    clients, problems = read_clients(written(tmp_path, {"clients": [entry]}))
    assert problems == []
    origins = frozenset({"https://ehr.example.org", "https://ehr.example.org:8443", "http://127.0.0.1:9"})
    general = Client("general", origins, "2.0.1", {"guideline": False, "max-cards": 3}, True)
    assert clients == Clients((general,))
    assert clients.of_origin("https://ehr.example.org") == general
    assert clients.of_origin("https://ehr.example.com") is None


def test_a_registry_says_how_an_ehr_knows_our_app_and_where_its_users_sign_in(tmp_path: Path) -> None:
    entry = {**GENERAL, "dtr": {"clientId": "app-7", "signIn": ["https://AUTH.example.org:443"]}}
    clients, problems = read_clients(
        written(tmp_path, {"clients": [entry, {**GENERAL, "id": "b", "fhir": ["https://b.example"]}]})
    )
    assert problems == [] and clients is not None
    first, second = clients.registered
    assert (first.dtr_client_id, first.sign_in_origins) == ("app-7", frozenset({"https://auth.example.org"}))
    assert (second.dtr_client_id, second.sign_in_origins) == (None, frozenset())


@pytest.mark.parametrize(
    ("dtr", "where"),
    [
        ("app-7", "dtr"),
        ({"clientId": "two words"}, "dtr.clientId"),
        ({"clientId": 7}, "dtr.clientId"),
        ({"client": "app"}, "dtr.client"),
        ({"signIn": "https://auth.example.org"}, "dtr.signIn"),
        ({"signIn": ["https://auth.example.org/path"]}, "dtr.signIn[0]"),
        ({"signIn": ["http://auth.example.org"]}, "dtr.signIn[0]"),
    ],
)
def test_a_wrong_word_about_our_app_is_told_with_its_place(tmp_path: Path, dtr: object, where: str) -> None:
    [problem] = faults(tmp_path, {"clients": [{**GENERAL, "dtr": dtr}]})
    assert problem.where == f"clients.json: clients[0].{where}"


def test_a_registry_may_be_empty(tmp_path: Path) -> None:
    assert read_clients(written(tmp_path, {"clients": []})) == (Clients(), [])


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"id": None}, "id"),
        ({"id": "a b"}, "id"),
        ({"fhir": None}, "fhir"),
        ({"fhir": []}, "fhir"),
        ({"fhir": "https://ehr.example.org"}, "fhir"),
        ({"fhir": ["https://ehr.example.org/fhir"]}, "fhir[0]"),
        ({"fhir": ["http://ehr.example.org"]}, "fhir[0]"),
        ({"fhir": ["https://user@ehr.example.org"]}, "fhir[0]"),
        ({"fhir": ["https://*.example.org"]}, "fhir[0]"),
        ({"fhir": ["https://ehr.example.org", "https://ehr.example.org:443"]}, "fhir[1]"),
        ({"fhir": [7]}, "fhir[0]"),
        ({"crdVersion": "1.0"}, "crdVersion"),
        ({"crdVersion": 2.2}, "crdVersion"),
        ({"cards": []}, "cards"),
        ({"cards": {"guideline": "no"}}, "cards.guideline"),
        ({"cards": {"max-cards": True}}, "cards.max-cards"),
        ({"cards": {"max-cards": -1}}, "cards.max-cards"),
        ({"batch": "yes"}, "batch"),
        ({"fhirr": []}, "fhirr"),
    ],
)
def test_a_fault_is_told_by_its_place(tmp_path: Path, changes: dict[str, Any], where: str) -> None:
    [problem] = faults(tmp_path, {"clients": [{**GENERAL, **changes}]})
    assert problem.where == f"clients.json: clients[0].{where}"
    assert problem.what and problem.fix


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    document = {"clients": [{"id": "", "fhir": ["ftp://x"], "cards": 1}, 7, {**GENERAL, "fihr": 1}], "more": 1}
    assert len(faults(tmp_path, document)) == 6


def test_one_id_or_one_server_for_two_clients_is_refused(tmp_path: Path) -> None:
    assert len(faults(tmp_path, {"clients": [GENERAL, GENERAL]})) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"clients": {}}', '"clients"'])
def test_a_file_that_is_no_registry_is_refused(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)[0].where.startswith("clients.json")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in read_clients(tmp_path / "none.json")[1][0].what
