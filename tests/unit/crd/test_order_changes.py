"""A suggestion is written in the way that the order itself says things, and nothing else changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.crd.order_changes import CRD_HCPCS, apply_changes, new_order_like
from cds_service.fhir.record import Record
from cds_service.policy.model import Change
from cds_service.policy.order_line import read_order_line
from tests.unit.crd.small_call import ASKED_AT, HCPCS, PATIENT, coded, order

HTTP_HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
ADD_RR = (Change("modifier", ("RR",)),)


def codings(order_: Any) -> list[str]:
    return [one["code"] for one in order_["codeCodeableConcept"]["coding"]]


def line_of(resource: Any) -> tuple[Any, list[Any]]:
    """Code and modifiers, as policies read them back."""
    line = read_order_line(resource, 0, Record.build([], "p1"), ASKED_AT.date())
    return line.get("code", {}).get("code"), [one["code"] for one in line["modifier"]]


CARRIERS = {
    "beside the code": order("o", "E1390", "KX"),
    "glued with a dash": order("o", "E1390-KX"),
    "glued without": order("o", "E1390KX"),
    "in orderDetail": {
        "resourceType": "ServiceRequest",
        "id": "o",
        "status": "draft",
        "intent": "order",
        "subject": PATIENT,
        "code": coded("E1390"),
        "orderDetail": [{"text": "2 L/min"}, coded("KX")],
    },
    "in parameter": order("o", parameter=[{"valueCodeableConcept": coded("KX")}, {"valueBoolean": True}]),
    "nowhere yet": order("o"),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_modifier_is_read_back_with_those_that_were_there(carrier: str) -> None:
    before = CARRIERS[carrier]
    kept = () if carrier == "nowhere yet" else ("KX",)
    after = apply_changes(before, (Change("modifier", (*kept, "RR")),))
    assert line_of(after) == ("E1390", [*kept, "RR"])


def test_each_order_keeps_its_own_way_of_carrying_modifiers() -> None:
    change = (Change("modifier", ("KX", "RR")),)
    after = {name: apply_changes(one, change) for name, one in CARRIERS.items()}
    assert codings(after["beside the code"]) == ["E1390", "KX", "RR"]
    assert codings(after["glued with a dash"]) == ["E1390-KX-RR"]
    assert codings(after["glued without"]) == ["E1390KXRR"]
    assert after["in orderDetail"]["orderDetail"][2] == coded("RR")
    assert after["in parameter"]["parameter"][2] == {"valueCodeableConcept": coded("RR")}
    assert codings(after["nowhere yet"]) == ["E1390", "KX", "RR"]


def test_a_modifier_that_is_not_named_any_more_goes() -> None:
    change = (Change("modifier", ("RR",)),)
    for before in (order("o", "E1390", "NU"), order("o", "E1390-NU"), order("o", "E1390nu")):
        assert line_of(apply_changes(before, change)) == ("E1390", ["RR"])


@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_order_that_says_so_already_stays_as_it_is(carrier: str) -> None:
    before = CARRIERS[carrier]
    modifiers = tuple(line_of(before)[1])
    assert apply_changes(before, (Change("modifier", modifiers),)) == before


@pytest.mark.parametrize("carrier", CARRIERS)
def test_nothing_but_the_modifier_changes_and_the_order_given_stays(carrier: str) -> None:
    before = {**CARRIERS[carrier], "vendorElement": {"a": [1]}, "note": [{"text": "as before"}]}
    untouched = copy.deepcopy(before)
    after = apply_changes(before, (Change("modifier", ("KX", "RR")),))
    assert before == untouched
    written = {"codeCodeableConcept", "code", "orderDetail", "parameter"}
    assert {name: one for name, one in after.items() if name not in written} == {
        name: one for name, one in before.items() if name not in written
    }
    assert list(after)[: len(before)] == list(before)


def test_the_spelling_of_the_system_is_the_orders_own() -> None:
    before = order(codeCodeableConcept=coded("E1390", system=HTTP_HCPCS))
    added = apply_changes(before, ADD_RR)["codeCodeableConcept"]["coding"][1]
    assert added == {"system": HTTP_HCPCS, "code": "RR"}


def test_a_modifier_of_an_order_without_hcpcs_is_written_with_the_system_that_crd_binds() -> None:
    before = order(codeCodeableConcept=coded("426294006", system="http://snomed.info/sct"))
    assert apply_changes(before, ADD_RR)["codeCodeableConcept"]["coding"][1]["system"] == CRD_HCPCS


def test_an_order_by_device_carries_a_modifier_in_parameter() -> None:
    before = {"resourceType": "DeviceRequest", "id": "o", "codeReference": {"reference": "Device/d1"}}
    after = apply_changes(before, ADD_RR)
    assert after["codeReference"] == before["codeReference"]
    assert after["parameter"] == [{"valueCodeableConcept": coded("RR")}]


# -- another code -----------------------------------------------------------------------------------------


def test_another_code_takes_the_old_things_names_away() -> None:
    concept = {
        "coding": [
            {"system": HCPCS, "code": "E0781", "display": "Ambulatory infusion pump"},
            {"system": HCPCS, "code": "RR"},
            {"system": "urn:local", "code": "PUMP-7"},
        ],
        "text": "Ambulatory pump",
    }
    after = apply_changes(order(codeCodeableConcept=concept), (Change("code", ("E0791",)),))
    assert after["codeCodeableConcept"] == coded("E0791", "RR")


def test_another_code_keeps_a_glued_modifier() -> None:
    after = apply_changes(order("o", "E0781-RR"), (Change("code", ("E0791",)),))
    assert codings(after) == ["E0791-RR"]


def test_another_code_takes_the_place_of_a_device() -> None:
    before = {
        "resourceType": "DeviceRequest",
        "id": "o",
        "contained": [{"resourceType": "Device", "id": "d"}, {"resourceType": "Practitioner", "id": "p"}],
        "codeReference": {"reference": "#d"},
        "requester": {"reference": "#p"},
    }
    after = apply_changes(before, (Change("code", ("E0791",)),))
    assert "codeReference" not in after
    assert after["codeCodeableConcept"] == coded("E0791")
    assert [one["id"] for one in after["contained"]] == ["p"]


# -- an order to be added ---------------------------------------------------------------------------------

E1390_RENTED = (Change("$this", ()), Change("code", ("E1390",)), Change("modifier", ("RR",)))


def test_an_order_to_be_added_shares_what_the_two_have_in_common() -> None:
    before = order(
        "old",
        "K0738",
        encounter={"reference": "Encounter/e1"},
        requester={"reference": "Practitioner/dr1"},
        insurance=[{"reference": "Coverage/c1"}],
        occurrencePeriod={"start": "2026-11-23"},
        reasonCode=[coded("J44.9", system="http://hl7.org/fhir/sid/icd-10-cm")],
        status="active",
        identifier=[{"value": "7"}],
        extension=[{"url": "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"}],
        note=[{"text": "portable"}],
        groupIdentifier={"value": "9"},
        meta={"versionId": "3"},
        text={"status": "generated", "div": "<div>K0738</div>"},
    )
    after = new_order_like(before, E1390_RENTED)
    assert after == {
        "resourceType": "DeviceRequest",
        "status": "draft",
        "intent": "original-order",
        "codeCodeableConcept": coded("E1390", "RR"),
        "subject": PATIENT,
        "encounter": {"reference": "Encounter/e1"},
        "authoredOn": "2026-11-21",
        "requester": {"reference": "Practitioner/dr1"},
        "insurance": [{"reference": "Coverage/c1"}],
        "occurrencePeriod": {"start": "2026-11-23"},
        "reasonCode": [coded("J44.9", system="http://hl7.org/fhir/sid/icd-10-cm")],
    }


@pytest.mark.parametrize(
    ("code", "expected"),
    [("K0738-RR", ["E1390-RR"]), ("K0738", ["E1390", "RR"]), ("K0738-KX", ["E1390-RR"])],
)
def test_an_order_to_be_added_has_the_modifiers_of_the_suggestion_only(code: str, expected: list[str]) -> None:
    assert codings(new_order_like(order("old", code), E1390_RENTED)) == expected


def test_an_order_to_be_added_takes_along_only_the_contained_that_it_points_at() -> None:
    before = order(
        contained=[
            {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "#p"}},
            {"resourceType": "Practitioner", "id": "p"},
            {"resourceType": "Device", "id": "d"},
        ],
        requester={"reference": "#r"},
    )
    after = new_order_like(before, E1390_RENTED)
    assert [one["id"] for one in after["contained"]] == ["r", "p"]


@pytest.mark.parametrize("carrier", CARRIERS)
def test_what_is_written_is_fhir(carrier: str) -> None:
    before = CARRIERS[carrier]
    for written in (
        apply_changes(before, ADD_RR),
        apply_changes(before, (Change("code", ("E1391",)),)),
        new_order_like(before, E1390_RENTED),
    ):
        get_fhir_model_class(written["resourceType"]).model_validate(written)


def test_a_medication_that_is_named_by_reference_is_left_as_it_is() -> None:
    # a concept beside the reference would be a second medication[x]
    drug = {
        "resourceType": "MedicationRequest",
        "id": "o",
        "status": "draft",
        "intent": "order",
        "subject": PATIENT,
        "medicationReference": {"reference": "Medication/m"},
    }
    assert apply_changes(drug, (Change("modifier", ("SH",)),)) == drug


def test_a_medication_that_is_named_by_a_concept_takes_a_modifier_beside_it() -> None:
    drug = {"resourceType": "MedicationRequest", "id": "o", "medicationCodeableConcept": coded("J3490")}
    changed = apply_changes(drug, (Change("modifier", ("SH",)),))
    assert [one["code"] for one in changed["medicationCodeableConcept"]["coding"]] == ["J3490", "SH"]
