"""What an order line says of its time: the length of a period by the clock, and the month it begins in."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds_service.fhir.record import Record
from cds_service.policy.order_line import OrderLine, read_order_line

UCUM = "http://unitsofmeasure.org"
YEAR, MONTH = ({"value": 1, "unit": one, "system": UCUM, "code": one} for one in ("a", "mo"))


def line(period: dict[str, str], bounds: bool = False) -> OrderLine:
    when = {"occurrenceTiming": {"repeat": {"boundsPeriod": period}}} if bounds else {"occurrencePeriod": period}
    order: dict[str, Any] = {
        "resourceType": "DeviceRequest",
        "id": "o1",
        "subject": {"reference": "Patient/p1"},
        **when,
    }
    return read_order_line(order, 0, Record.build([("order", order)], "p1", {}), date(2026, 2, 10))


@pytest.mark.parametrize("bounds", [False, True], ids=["of the order", "of its timing"])
@pytest.mark.parametrize(
    ("start", "end", "length"),
    [
        ("2026-02-10T20:00:00-05:00", "2026-02-11T06:30:00-05:00", "10.5 'h'"),
        ("2026-02-10T20:00:00-05:00", "2026-02-11T20:00:00-05:00", "24 'h'"),
        ("2026-02-10T20:00:00-05:00", "2026-02-12T01:00:00Z", "24 'h'"),
        ("2026-02-10T20:00", "2026-02-11T06:00", "10 'h'"),
        ("2026-02-10", "2026-02-11", None),
        ("2026-02-10T20:00:00-05:00", "2026-02-11", None),
        ("2026-02-10T20:00:00-05:00", "2026-02-11T06:00:00", None),
        ("2026-02-11T06:00:00-05:00", "2026-02-10T20:00:00-05:00", None),
    ],
)
def test_a_period_with_times_of_day_has_a_length(bounds: bool, start: str, end: str, length: str | None) -> None:
    found = line({"start": start, "end": end}, bounds).get("duration")
    assert (str(found) if found is not None else None) == length


@pytest.mark.parametrize(
    ("start", "month"),
    [
        ("2026-03-31", "2026-03"),
        ("2026-03", "2026-03"),
        ("2026-03-31T23:30:00-05:00", "2026-03"),
        ("2026", None),
        (None, "2026-02"),
    ],
)
def test_a_line_knows_the_month_it_begins_in(start: str | None, month: str | None) -> None:
    found = line({"start": start} if start is not None else {}).get("month")
    assert (found.text if found is not None else None) == month


BY_APRIL = {"start": "2026-03-01", "end": "2026-03-31"}


@pytest.mark.parametrize(
    ("when", "last"),
    [
        ({"occurrencePeriod": BY_APRIL}, "2026-03-31"),
        ({"occurrencePeriod": BY_APRIL, "occurrenceTiming": {"repeat": {"boundsPeriod": BY_APRIL}}}, "2026-03-31"),
        ({"occurrencePeriod": BY_APRIL, "occurrenceTiming": {"repeat": {"boundsPeriod": {"end": "2027-03-31"}}}}, None),
        ({"occurrencePeriod": BY_APRIL, "occurrenceTiming": {"repeat": {"boundsDuration": YEAR}}}, None),
        ({"occurrencePeriod": BY_APRIL, "occurrenceTiming": {"repeat": {"boundsDuration": MONTH}}}, "2026-03-31"),
        ({"occurrenceTiming": {"repeat": {"boundsPeriod": BY_APRIL, "boundsDuration": YEAR}}}, None),
        (
            {"occurrencePeriod": {"start": "2026-03-01"}, "occurrenceTiming": {"repeat": {"boundsDuration": MONTH}}},
            "2026-03-31",
        ),
    ],
)
def test_an_order_that_says_two_ends_says_none(when: dict[str, Any], last: str | None) -> None:
    order = {"resourceType": "DeviceRequest", "id": "o1", "subject": {"reference": "Patient/p1"}, **when}
    found = read_order_line(order, 0, Record.build([("order", order)], "p1", {}), date(2026, 2, 10)).get("lastDay")
    assert (found.text if found is not None else None) == last
