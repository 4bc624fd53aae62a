"""Quantities: which units are believed, and which conversions are made."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.quantities import Quantity, compare, convert, decimal_of, parse_quantity, plus

UCUM = "http://unitsofmeasure.org"


def quantity(value: str, unit: str) -> Quantity:
    return Quantity(Decimal(value), unit)


@pytest.mark.parametrize(
    ("raw", "unit"),
    [
        ({"value": 87, "system": UCUM, "code": "%"}, "%"),
        ({"value": 87, "system": f"{UCUM}/", "code": "%"}, "%"),
        ({"value": 87, "system": "urn:oid:2.16.840.1.113883.6.8", "code": "%"}, "%"),
        ({"value": 87, "system": UCUM, "code": "%{oxygen}"}, "%"),
        ({"value": 55, "unit": "mmHg"}, "mm[Hg]"),
        ({"value": 55, "unit": "mm Hg"}, "mm[Hg]"),
        ({"value": 55, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}, "mm[Hg]"),
        ({"value": 7, "unit": "mmHg", "system": UCUM, "code": "kPa"}, "kPa"),
        ({"value": 87, "unit": "%", "code": "%"}, "%"),
        ({"value": 0.5, "system": UCUM, "code": "l/l"}, "1"),
        ({"value": 2, "system": UCUM, "code": "l/min"}, "L/min"),
    ],
)
def test_the_ucum_code_gives_the_unit_and_text_stands_in_where_there_is_none(raw: dict[str, Any], unit: str) -> None:
    parsed = parse_quantity(raw)
    assert parsed is not None and parsed.unit == unit


@pytest.mark.parametrize(
    "raw",
    [
        {"value": 87},
        {"value": 87, "unit": "percent saturation"},
        {"value": 87, "unit": "%", "code": "mm[Hg]"},
        {"value": 87, "unit": "%", "code": "271649006", "system": "http://snomed.info/sct"},
        {"value": 87, "unit": 5},
    ],
)
def test_a_unit_that_is_missing_strange_or_contradicted_is_no_unit_and_compares_with_nothing(
    raw: dict[str, Any],
) -> None:
    parsed = parse_quantity(raw)
    assert parsed == quantity("87", "")
    assert compare(quantity("87", ""), quantity("87", "")) is None
    assert compare(quantity("87", ""), quantity("87", "%")) is None


@pytest.mark.parametrize("value", [None, "87", True, float("nan"), float("inf"), Decimal("NaN"), [87], {"value": 87}])
def test_what_is_no_finite_number_is_no_quantity(value: Any) -> None:
    assert parse_quantity({"value": value, "system": UCUM, "code": "%"}) is None


def test_less_than_sixty_is_no_value_of_sixty() -> None:
    assert parse_quantity({"value": 60, "comparator": "<", "system": UCUM, "code": "mm[Hg]"}) is None


def test_a_json_number_stays_the_decimal_that_was_written() -> None:
    assert decimal_of(0.56) == Decimal("0.56")
    assert decimal_of(7.50062) == Decimal("7.50062")


@pytest.mark.parametrize(
    ("before", "unit", "after"),
    [
        (quantity("0.88", "1"), "%", "88"),
        (quantity("1.0", "1"), "%", "100"),
        (quantity("0.56", "L/L"), "%", "56"),
        (quantity("56", "%"), "1", "0.56"),
        (quantity("10", "kPa"), "mm[Hg]", "75.0062"),
        (quantity("2000", "mL/min"), "L/min", "2"),
        (quantity("48", "h"), "d", "2"),
        (quantity("2", "wk"), "d", "14"),
        (quantity("3", "week"), "d", "21"),
        (quantity("2", "year"), "month", "24"),
    ],
)
def test_units_of_one_dimension_convert(before: Quantity, unit: str, after: str) -> None:
    converted = convert(before, unit)
    assert converted is not None and converted.value == Decimal(after)


@pytest.mark.parametrize(
    ("before", "unit"),
    [
        (quantity("88", "1"), "%"),  # not a fraction: perhaps a percentage, perhaps not
        (quantity("1.01", "1"), "%"),
        (quantity("55", "mm[Hg]"), "%"),
        (quantity("1", "month"), "d"),  # a month has no fixed number of days
        (quantity("1", "mo"), "month"),
        (quantity("0.9", "{score}"), "%"),
        (quantity("5", "[unknown]"), "%"),
    ],
)
def test_what_cannot_be_compared_does_not_convert(before: Quantity, unit: str) -> None:
    assert convert(before, unit) is None
    assert compare(before, quantity("1", unit)) is None


def test_a_pure_number_above_one_is_no_percentage_whichever_side_it_stands_on() -> None:
    assert compare(quantity("88", "1"), quantity("88", "%")) is None
    assert compare(quantity("88", "%"), quantity("88", "1")) is None
    assert compare(quantity("0.88", "1"), quantity("88", "%")) == 0
    assert compare(quantity("88", "%"), quantity("0.88", "1")) == 0


def test_a_unit_of_a_million_letters_compares_with_nothing_else() -> None:
    endless = parse_quantity({"value": 1, "system": UCUM, "code": "x" * 1_000_000})
    assert endless is not None and compare(endless, quantity("1", "%")) is None


def test_the_same_unknown_unit_compares_with_itself() -> None:
    assert compare(quantity("1", "[iU]"), quantity("2", "[iU]")) == -1


decimals = st.decimals(min_value="-1000", max_value="1000", places=3, allow_nan=False)
pairs = st.sampled_from([("kPa", "mm[Hg]"), ("L/min", "mL/min"), ("h", "min"), ("wk", "d"), ("kg", "g"), ("cm", "m")])


@given(decimals, decimals, pairs)
def test_comparing_in_either_unit_gives_the_same_order(first: Decimal, second: Decimal, units: tuple[str, str]) -> None:
    left, right = Quantity(first, units[0]), Quantity(second, units[1])
    forwards, backwards = compare(left, right), compare(right, left)
    assert forwards is not None and backwards is not None
    assert forwards == -backwards


@given(decimals, decimals, pairs)
def test_a_sum_stands_in_the_first_unit(first: Decimal, second: Decimal, units: tuple[str, str]) -> None:
    total = plus(Quantity(first, units[0]), Quantity(second, units[1]))
    assert total is not None and total.unit == units[0]


def test_quantities_of_different_dimensions_have_no_sum() -> None:
    assert plus(quantity("1", "h"), quantity("1", "kg")) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(quantity("88.5", "%"), "88.5 '%'"), (quantity("3", "month"), "3 months"), (quantity("1", "day"), "1 day")],
)
def test_a_quantity_reads_as_fhirpath_writes_it(value: Quantity, text: str) -> None:
    assert str(value) == text
