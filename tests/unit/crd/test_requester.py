"""Who ordered, and in which role."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.crd.requester import requester_of
from cds_service.fhir.record import Record

NUCC = "http://nucc.org/provider-taxonomy"
PULMONOLOGIST = {"coding": [{"system": NUCC, "code": "207RP1001X"}]}
NURSE = {"coding": [{"system": "http://snomed.info/sct", "code": "106292003"}]}
DOCTOR = {"resourceType": "Practitioner", "id": "dr1", "qualification": [{"code": PULMONOLOGIST}]}
ROLE = {"resourceType": "PractitionerRole", "id": "r1", "practitioner": {"reference": "Practitioner/dr1"}}


def roles(order: dict[str, Any], *resources: Any) -> Any:
    record = Record.build([(f"[{n}]", one) for n, one in enumerate(resources)], "p1")
    found = requester_of({"resourceType": "DeviceRequest", "id": "o", **order}, record)
    return None if found is None else found["role"]


def named(reference: str) -> dict[str, Any]:
    return {"requester": {"reference": reference}}


def test_an_order_without_requester_has_none() -> None:
    assert roles({}, DOCTOR) is None


def test_a_requester_that_the_call_does_not_hold_has_no_role() -> None:
    assert roles(named("Practitioner/dr1")) == []


def test_a_practitioner_has_the_roles_of_qualification_and_practitioner_role() -> None:
    role = {**ROLE, "code": [NURSE]}
    assert roles(named("Practitioner/dr1"), DOCTOR, role) == [PULMONOLOGIST, NURSE]


def test_a_practitioner_role_has_its_own_roles_and_the_practitioners_qualification() -> None:
    role = {**ROLE, "code": [NURSE]}
    assert roles(named("PractitionerRole/r1"), DOCTOR, role) == [NURSE, PULMONOLOGIST]


def test_a_role_that_was_given_up_does_not_count() -> None:
    role = {**ROLE, "code": [NURSE], "active": False}
    assert roles(named("Practitioner/dr1"), DOCTOR, role) == [PULMONOLOGIST]


def test_a_specialty_counts_only_as_provider_taxonomy() -> None:
    specialty = {"coding": [{"system": "http://snomed.info/sct", "code": "418112009"}, *PULMONOLOGIST["coding"]]}
    assert roles(named("PractitionerRole/r1"), {**ROLE, "specialty": [specialty]}) == [PULMONOLOGIST]
    no_taxonomy = {"coding": specialty["coding"][:1]}
    assert roles(named("PractitionerRole/r1"), {**ROLE, "specialty": [no_taxonomy]}) == []


@pytest.mark.parametrize("element", ["requester", "orderer", "prescriber"])
def test_each_type_of_order_names_the_person_in_its_own_element(element: str) -> None:
    assert roles({element: {"reference": "Practitioner/dr1"}}, DOCTOR) == [PULMONOLOGIST]


def test_a_contained_requester_is_read() -> None:
    order = {
        **named("#me"),
        "contained": [{"resourceType": "Practitioner", "id": "me", "qualification": [{"code": NURSE}]}],
    }
    assert roles(order) == [NURSE]


@pytest.mark.parametrize(
    "broken",
    [{**ROLE, "practitioner": {"reference": 7}}, {**ROLE, "code": [{"text": "nurse"}], "specialty": [{}]}],
)
def test_what_is_missing_in_a_role_is_not_made_up(broken: dict[str, Any]) -> None:
    assert roles(named("PractitionerRole/r1"), broken) in ([], [{"text": "nurse"}])


by = named


def general(order: dict[str, Any], named: Any, *resources: Any) -> bool:
    patient = {"resourceType": "Patient", "id": "p1", "generalPractitioner": named}
    record = Record.build([(f"[{n}]", one) for n, one in enumerate((patient, *resources))], "p1")
    found = requester_of({"resourceType": "DeviceRequest", "id": "o", **order}, record)
    assert found is not None
    return found.get("generalPractitioner", False)  # type: ignore[no-any-return]


NPI = {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}


@pytest.mark.parametrize(
    ("requester", "named"),
    [
        ("Practitioner/dr1", [{"reference": "Practitioner/dr1"}]),
        ("Practitioner/dr1", [{"reference": "Practitioner/other"}, {"reference": "PractitionerRole/r1"}]),
        ("PractitionerRole/r1", [{"reference": "Practitioner/dr1"}]),
        ("PractitionerRole/r1", [{"reference": "PractitionerRole/r1"}]),
        ("PractitionerRole/r1", [{"reference": "https://ehr.example.org/fhir/Practitioner/dr1"}]),
    ],
)
def test_a_requester_whom_the_patient_names_is_the_general_practitioner(requester: str, named: Any) -> None:
    assert general(by(requester), named, DOCTOR, ROLE)


def test_who_is_named_by_the_same_reference_need_not_be_held() -> None:
    assert general(by("Practitioner/dr1"), [{"reference": "Practitioner/dr1"}])


def test_an_npi_on_both_sides_names_the_same_person() -> None:
    doctor = {**DOCTOR, "identifier": [NPI]}
    assert general(by("Practitioner/dr1"), [{"identifier": NPI}], doctor)
    local = {"system": "urn:oid:1.2.3", "value": "7"}
    assert not general(by("Practitioner/dr1"), [{"identifier": local}], {**DOCTOR, "identifier": [local]})


@pytest.mark.parametrize("named", [[], None, [{"reference": "Practitioner/other"}], [{"display": "Dr One"}], 7, [None]])
def test_somebody_else_or_nobody_is_not_shown_to_be_the_general_practitioner(named: Any) -> None:
    assert not general(by("Practitioner/dr1"), named, DOCTOR, ROLE)


def test_a_clinic_named_as_general_practitioner_makes_nobody_in_it_one() -> None:
    clinic = {"resourceType": "Organization", "id": "c", "identifier": [NPI]}
    role = {**ROLE, "organization": {"reference": "Organization/c"}, "identifier": []}
    assert not general(by("PractitionerRole/r1"), [{"reference": "Organization/c"}], DOCTOR, role, clinic)
    assert not general({"requester": {"reference": "Organization/c"}}, [{"reference": "Organization/c"}], clinic)


def test_a_contained_person_is_nobody_else_of_the_same_id() -> None:
    doctor = {"resourceType": "Practitioner", "id": "gp"}
    order = {**by("#gp"), "contained": [doctor]}
    patient = {"resourceType": "Patient", "id": "p1", "contained": [dict(doctor)]}
    named = {"generalPractitioner": [{"reference": "#gp"}]}
    record = Record.build([("[0]", {**patient, **named})], "p1")
    found = requester_of({"resourceType": "DeviceRequest", "id": "o", **order}, record)
    assert found is not None and "generalPractitioner" not in found
    assert not general(order, [{"reference": "Practitioner/gp"}])
    known = [{**doctor, "identifier": [NPI]}]
    assert general({**by("#gp"), "contained": known}, [{"identifier": NPI}])
