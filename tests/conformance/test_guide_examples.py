"""The calls that the guide itself prints, and for CRD 2.0.1 one made of its example resources, answered sensibly."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service.app import create_app
from cds_service.settings import read_settings
from tests.conformance.answers import EXTENSION
from tests.conformance.packages import package, profile_faults
from tests.fakes import numbered_ids
from tests.golden_service import NOW

PROFILE = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/profile-"
PRINTED = [
    *(f"crd-2.1.0-CRDServiceRequest{n}" for n in ("", "2")),
    *(f"crd-2.2.1-CRDServiceRequest{n}" for n in ("", "2", "3", "4")),
]
ORDERS_OF_201 = (
    "CommunicationRequest-example",
    "DeviceRequest-example",
    "MedicationRequest-example",
    "NutritionOrder-example",
    "ServiceRequest-example",
    "VisionPrescription-visionprescription-example",
)


@pytest.fixture
def client() -> FlaskClient:
    settings, problems = read_settings({"CDS_CLIENT_AUTH": "off", "CDS_PUBLIC_URL": "https://cds.example.org"})
    assert settings is not None, problems
    return create_app(settings, now=lambda: NOW, new_id=numbered_ids()).test_client()


def _served(patient: str) -> dict[str, Any]:
    """A coverage of a payer that is served, for the patient of an example."""
    return {
        "resourceType": "Coverage",
        "id": "ours",
        "status": "active",
        "beneficiary": {"reference": f"Patient/{patient}"},
        "payor": [{"display": "MassHealth"}],
    }


def _post(client: FlaskClient, document: dict[str, Any]) -> Any:
    return client.post(f"/cds-services/{document['hook']}-crd", json=document)


def _with_our_coverage(document: dict[str, Any]) -> dict[str, Any]:
    """The call with a coverage that is served, and with the orders that it sends on."""
    changed = copy.deepcopy(document)
    patient = changed["context"]["patientId"]
    prefetch = {**changed.get("prefetch", {}), "coverage": _served(patient)}
    for n, reference in enumerate(changed["context"].get("dispatchedOrders", ())):
        kind, identity = reference.split("/")
        subject = {"reference": f"Patient/{patient}"}
        prefetch[f"order{n}"] = {"resourceType": kind, "id": identity, "status": "active", "subject": subject}
    changed["prefetch"] = prefetch
    return changed


def _spoken_of(answer: dict[str, Any]) -> set[str]:
    for action in answer["systemActions"]:
        assert any(one["url"] == EXTENSION for one in action["resource"]["extension"])
    return {f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in answer["systemActions"]}


def _asked_about(document: dict[str, Any]) -> set[str]:
    context = document["context"]
    if "dispatchedOrders" in context:
        return set(context["dispatchedOrders"])
    bundle = context.get("draftOrders") or context["appointments"]
    return {f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in bundle["entry"]}


@pytest.mark.parametrize("name", PRINTED)
def test_a_call_as_the_guide_prints_it_is_refused_for_its_payer_or_for_what_it_lacks(
    name: str, client: FlaskClient, fhir_folder: Path
) -> None:
    # whoever prints them has other payers, or sends no coverage at all: neither is a fault of the envelope
    document = json.loads((fhir_folder / "examples" / "crd-ig" / f"{name}.json").read_bytes())
    response = _post(client, document)
    assert response.status_code in (200, 400, 412), response.data
    if response.status_code != 200:
        (issue,) = response.get_json()["issue"]
        assert issue["code"] in ("business-rule", "incomplete", "required"), issue
        assert "overage" in issue["details"]["text"] or "none of the orders" in issue["details"]["text"]


@pytest.mark.parametrize("name", PRINTED)
def test_with_a_coverage_that_is_served_each_order_of_a_printed_call_is_answered(
    name: str, client: FlaskClient, fhir_folder: Path
) -> None:
    document = json.loads((fhir_folder / "examples" / "crd-ig" / f"{name}.json").read_bytes())
    document = _with_our_coverage(document)
    response = _post(client, document)
    assert response.status_code == 200, response.data
    wanted = document.get("extension", {}).get("davinci-crd.configuration", {}).get("coverage-info", True)
    assert _spoken_of(response.get_json()) == (_asked_about(document) if wanted else set())
    # with coverage-information wanted, the same call speaks of all of them
    document.get("extension", {}).get("davinci-crd.configuration", {}).pop("coverage-info", None)
    assert _spoken_of(_post(client, document).get_json()) == _asked_about(document)


def _call_of_201(fhir_folder: Path) -> dict[str, Any]:
    examples = package(fhir_folder, "2.0").examples
    patient = examples["Patient-example"]
    orders = [copy.deepcopy(examples[name]) for name in ORDERS_OF_201]
    for order in orders:
        # the examples name the patient under several addresses and ids
        order["patient" if "patient" in order else "subject"] = {"reference": f"Patient/{patient['id']}"}
    coverage = {**examples["Coverage-example"], "beneficiary": {"reference": f"Patient/{patient['id']}"}}
    coverage |= {"payor": [{"display": "MassHealth"}], "period": {"start": "2026-01-01"}}
    return {
        "hook": "order-sign",
        "hookInstance": "1",
        "context": {
            "userId": "Practitioner/full",
            "patientId": patient["id"],
            "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": one} for one in orders]},
        },
        "prefetch": {"patient": patient, "coverage": coverage},
        "extension": {"davinci-crd.requestedVersion": "2.0.1"},
    }


def test_the_example_orders_of_2_0_1_are_answered_and_stay_as_their_profiles_want_them(
    client: FlaskClient, fhir_folder: Path
) -> None:
    document = _call_of_201(fhir_folder)
    response = _post(client, document)
    assert response.status_code == 200, response.data
    answer = response.get_json()
    assert _spoken_of(answer) == _asked_about(document)
    found = package(fhir_folder, "2.0")
    for action in answer["systemActions"]:
        resource = action["resource"]
        assert profile_faults(found, f"{PROFILE}{resource['resourceType'].lower()}", resource) == []
        parts = {one["url"] for one in resource["extension"][-1]["extension"]}
        assert {"coverage", "covered", "pa-needed", "date", "coverage-assertion-id"} <= parts


def test_the_example_appointment_of_2_0_1_is_answered(client: FlaskClient, fhir_folder: Path) -> None:
    document = _call_of_201(fhir_folder)
    appointment = copy.deepcopy(package(fhir_folder, "2.0").examples["Appointment-example"])
    patient = document["context"]["patientId"]
    for one in appointment["participant"]:
        if "Patient/" in one["actor"]["reference"]:
            one["actor"] = {"reference": f"Patient/{patient}"}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": appointment}]}
    document |= {"hook": "appointment-book"}
    document["context"] = {"userId": "Practitioner/full", "patientId": patient, "appointments": bundle}
    response = _post(client, document)
    assert response.status_code == 200, response.data
    assert _spoken_of(response.get_json()) == {f"Appointment/{appointment['id']}"}
    resource = response.get_json()["systemActions"][0]["resource"]
    assert profile_faults(package(fhir_folder, "2.0"), f"{PROFILE}appointment", resource) == []
