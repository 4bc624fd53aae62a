"""What an order line says of itself, however the request resource says it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cds_service.fhir.codings import HCPCS, ICD10CM, UCUM
from cds_service.fhir.quantities import Quantity
from cds_service.fhir.record import Record
from cds_service.policy.order_line import OrderLine, read_order_line

ORDERED = date(2026, 2, 10)


def line_of(code: str = "E0781", modifiers: tuple[str, ...] = (), **elements: Any) -> OrderLine:
    codings = [{"system": HCPCS, "code": one} for one in (code, *modifiers)]
    order = {
        "resourceType": "DeviceRequest",
        "id": "o1",
        "status": "draft",
        "codeCodeableConcept": {"coding": codings},
        **elements,
    }
    return read_order_line(order, 0, Record.build([], "p1"), ORDERED)


@pytest.mark.parametrize("modifier", ["RR", "LL", "KR", "KH", "KI", "KJ", "rr"])
def test_each_rental_modifier_makes_a_rental(modifier: str) -> None:
    assert line_of(modifiers=(modifier,))["transaction"] == "rental"


@pytest.mark.parametrize("modifier", ["NU", "UE"])
def test_each_purchase_modifier_makes_a_purchase(modifier: str) -> None:
    assert line_of(modifiers=(modifier,))["transaction"] == "purchase"


@pytest.mark.parametrize("modifiers", [(), ("RR", "NU"), ("UE", "KR"), ("MS",), ("RA", "KX")])
def test_an_order_that_says_neither_or_both_states_no_transaction(modifiers: tuple[str, ...]) -> None:
    assert "transaction" not in line_of(modifiers=modifiers)


def test_modifiers_glued_to_the_code_say_the_same() -> None:
    assert line_of("E0781-RR")["transaction"] == "rental"
    assert line_of("e0781nu")["transaction"] == "purchase"
    assert "transaction" not in line_of("E0781-RR-NU")


def lasting(value: object, unit: str, start: str = "2026-03-01") -> OrderLine:
    duration = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    return line_of(
        occurrenceTiming={"event": [start], "repeat": {"boundsDuration": duration}},
    )


@pytest.mark.parametrize(
    ("value", "unit", "start", "last"),
    [
        (3, "mo", "2026-03-01", "2026-05-31"),
        (3, "mo", "2026-11-30", "2027-02-27"),
        (3, "mo", "2027-11-30", "2028-02-28"),
        (3, "mo", "2027-11-29", "2028-02-28"),
        (1, "mo", "2026-01-31", "2026-02-27"),
        (1, "a", "2024-02-29", "2025-02-27"),
        (0.5, "a", "2026-03-01", "2026-08-31"),
        (12, "wk", "2026-03-01", "2026-05-23"),
        (90, "d", "2026-03-01", "2026-05-29"),
        (1, "d", "2026-03-01", "2026-03-01"),
        (2.5, "d", "2026-03-01", "2026-03-03"),
        (36, "h", "2026-03-01", "2026-03-02"),
    ],
)
def test_a_stated_length_ends_by_the_calendar(value: object, unit: str, start: str, last: str) -> None:
    assert lasting(value, unit, start)["lastDay"].text == last


@pytest.mark.parametrize(
    ("value", "unit", "start"),
    [
        (1.5, "mo", "2026-03-01"),
        (0, "mo", "2026-03-01"),
        (-1, "d", "2026-03-01"),
        (3, "mo", "2026-03"),
        (3, "furlong", "2026-03-01"),
    ],
)
def test_a_length_that_names_no_last_day_gives_none(value: object, unit: str, start: str) -> None:
    assert "lastDay" not in lasting(value, unit, start)


def test_a_stated_end_goes_before_a_stated_length() -> None:
    bounds = {"start": "2026-03-01", "end": "2026-04-15"}
    line = line_of(occurrenceTiming={"repeat": {"boundsPeriod": bounds}})
    assert (line["firstDay"].text, line["lastDay"].text) == ("2026-03-01", "2026-04-15")


def test_an_order_without_a_start_begins_on_its_order_date() -> None:
    assert line_of()["firstDay"].text == ORDERED.isoformat()


@pytest.mark.parametrize("start", ["2026-02-30", "soon", 7, ""])
def test_a_start_that_cannot_be_read_is_no_first_day(start: object) -> None:
    line = line_of(occurrenceTiming={"repeat": {"boundsPeriod": {"start": start, "end": "2026-04-15"}}})
    assert "firstDay" not in line
    assert line["lastDay"].text == "2026-04-15"


def test_a_length_counts_from_no_start_that_cannot_be_read() -> None:
    assert "lastDay" not in lasting(3, "mo", "2026-02-30")


def dosed(*timings: dict[str, Any]) -> OrderLine:
    return line_of(dosageInstruction=[{"timing": one} for one in timings])


def test_a_dosage_says_how_long_each_dose_runs() -> None:
    for duration, unit, hours in ((46, "h", 46), (90, "min", Decimal("1.5")), (2, "d", 48)):
        line = dosed({"repeat": {"duration": duration, "durationUnit": unit}})
        assert line["doseDuration"] == Quantity(Decimal(hours), "h")
    assert dosed({"code": {"text": "continuous"}})["doseDuration"] == Quantity(Decimal(24), "h")


def test_doses_of_different_or_unstated_lengths_say_nothing_of_each() -> None:
    eight = {"repeat": {"duration": 8, "durationUnit": "h"}}
    for more in ({"repeat": {"duration": 2, "durationUnit": "h"}}, {"repeat": {"frequency": 1}}):
        assert "doseDuration" not in dosed(eight, more)
    assert "doseDuration" in dosed(eight, eight)
    assert "doseDuration" not in dosed({"repeat": {"duration": 6, "durationMax": 10, "durationUnit": "h"}})
    assert "doseDuration" not in dosed({"repeat": {"duration": 0, "durationUnit": "h"}})
    assert "doseDuration" not in line_of()


def test_the_words_of_the_thing_itself_are_told_from_notes_about_it() -> None:
    ordered = {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "medicationReference": {"reference": "#m"},
        "contained": [{"resourceType": "Medication", "id": "m", "code": {"text": "Desferal 500 mg vial"}}],
        "note": [{"text": "not morphine"}],
    }
    line = read_order_line(ordered, 0, Record.build([], "p1"), ORDERED)
    assert line["conceptText"] == "Desferal 500 mg vial"
    assert line["text"] == ["Desferal 500 mg vial", "not morphine"]


def test_what_an_order_points_at_is_called_as_it_calls_itself() -> None:
    urn = "urn:uuid:6b0a1a3e-5a1f-4c0e-9a0e-0a4a1f0a0001"
    drug = {"resourceType": "MedicationRequest", "id": "m1", "subject": {"reference": "Patient/p1"}}
    record = Record.build([("entry", drug, urn)], "p1")
    order = {
        "resourceType": "DeviceRequest",
        "id": "o1",
        "supportingInfo": [{"reference": urn}, {"reference": "MedicationRequest/m2"}, {"reference": "#here"}],
    }
    line = read_order_line(order, 0, record, ORDERED)
    assert line["references"] == ["MedicationRequest/m1", "MedicationRequest/m2", "#here"]


@pytest.mark.parametrize(
    ("elements", "stands"),
    [
        pytest.param({}, True, id="no status"),
        pytest.param({"clinicalStatus": {"coding": [{"code": "active"}]}}, True, id="active"),
        pytest.param({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, False, id="resolved"),
        pytest.param({"clinicalStatus": {"text": "resolved"}}, False, id="a status in words"),
        pytest.param({"verificationStatus": {"text": "ruled out"}}, False, id="a verification in words"),
        pytest.param({"abatementDateTime": "2025-06-01"}, False, id="an end without a status"),
        pytest.param({"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, False, id="an unknown modifier"),
    ],
)
def test_a_reason_by_reference_is_stated_where_its_condition_leaves_no_doubt(
    elements: dict[str, Any], stands: bool
) -> None:
    code = {"coding": [{"system": ICD10CM, "code": "J44.9"}]}
    condition = {"resourceType": "Condition", "id": "c", "code": code, **elements}
    line = line_of(contained=[condition], reasonReference=[{"reference": "#c"}])
    assert bool(line["reason"]) is stands
