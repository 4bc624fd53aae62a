"""The patient's resources of one call: whose they are, and two of one id."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.fhir.record import Record

ORDER = {"resourceType": "DeviceRequest", "id": "r1", "status": "active", "subject": {"reference": "Patient/p1"}}


def record(*orders: dict[str, Any]) -> Record:
    return Record.build([(f"chart[{n}]", one) for n, one in enumerate(orders)], "p1")


@pytest.mark.parametrize("reference", ["urn:uuid:0c3151bd", "Group/g1"])
def test_an_owner_who_cannot_be_told_is_not_another_patient(reference: str) -> None:
    found = record({**ORDER, "subject": {"reference": reference}})
    assert [(one.resource_type, one.where, one.what) for one in found.faults] == [
        ("DeviceRequest", "chart[0]", "does not say whose it is")
    ]
    assert not found.holds_foreign
    assert found.of_type("DeviceRequest") == ()


@pytest.mark.parametrize("reference", ["Patient/p2", "https://elsewhere.example/fhir/Patient/p2"])
def test_another_patient_is_told_from_nobody(reference: str) -> None:
    found = record({**ORDER, "subject": {"reference": reference}})
    assert found.faults == ()
    assert found.holds_foreign


def test_the_same_resource_twice_counts_once() -> None:
    found = record(ORDER, {**ORDER, "meta": {"versionId": "2"}, "text": {"status": "generated"}})
    assert found.faults == ()
    assert len(found.of_type("DeviceRequest")) == 1


def test_two_resources_of_one_id_that_say_different_things_are_told() -> None:
    found = record(ORDER, {**ORDER, "status": "completed"})
    assert [(one.resource_type, one.where, one.what) for one in found.faults] == [
        ("DeviceRequest", "chart[1]", "differs from another one of the same id")
    ]
    assert [one["status"] for one in found.of_type("DeviceRequest")] == ["active"]


def test_resources_without_an_id_are_each_their_own() -> None:
    nameless = {name: value for name, value in ORDER.items() if name != "id"}
    assert len(record(nameless, {**nameless, "status": "completed"}).of_type("DeviceRequest")) == 2
