"""Dates: partial ones are intervals, and nothing is decided that a missing part leaves open."""

from __future__ import annotations

from calendar import isleap, monthrange
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cds_service.fhir.dates import FhirDate, parse_date, within


def parsed(text: str) -> FhirDate:
    found = parse_date(text)
    assert found is not None, text
    return found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-13-40",
        "2026-02-30",
        "2025-02-29",
        "0000-01-01",
        "2026-3-1",
        "2026-03-01T",
        "2026-03-01T24:00:00Z",
        "2026-03-01T10:60:00Z",
        "2026-03-01T10:00:00+15:00",
        "2026-03-01T10:00:00+10:99",
        "2026-03-01 10:00:00",
        "03/01/2026",
        "2026-03-01T10:00:00Zulu",
        " 2026-03-01",
        "2026-03-01\n",
        "٢٠٢٦-03-01",
    ],
)
def test_nonsense_is_no_date(text: str) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize(
    ("text", "precision", "first", "last"),
    [
        ("2026", "year", date(2026, 1, 1), date(2026, 12, 31)),
        ("2024-02", "month", date(2024, 2, 1), date(2024, 2, 29)),
        ("2026-03-01", "day", date(2026, 3, 1), date(2026, 3, 1)),
        ("2026-03-01T23:30Z", "minute", date(2026, 3, 1), date(2026, 3, 1)),
        ("2026-03-01T23:30:15.250-05:00", "second", date(2026, 3, 1), date(2026, 3, 1)),
    ],
)
def test_a_date_covers_the_days_that_it_could_be_in_its_own_offset(
    text: str, precision: str, first: date, last: date
) -> None:
    found = parsed(text)
    assert (found.precision, found.first_day, found.last_day) == (precision, first, last)
    assert found.is_datetime == ("T" in text)


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("2026-03-01", "2026-03-02", -1),
        ("2026-03-01", "2026-03-01", 0),
        ("2026-03", "2026-03-01", None),
        ("2026-03", "2026-04-01", -1),
        ("2026", "2026", 0),
        ("2026", "2025-12", 1),
        ("2026-03-01", "2026-03-01T10:00:00Z", None),
        ("2026-03-01", "2026-03-02T00:30:00+10:00", -1),  # the day in the time's own offset
        ("2026-03-01T10:30Z", "2026-03-01T10:30:00Z", None),
        ("2026-03-01T10:30:00Z", "2026-03-01T10:30:00.0Z", 0),
        ("2026-03-01T10:00:00+02:00", "2026-03-01T09:00:00+01:00", 0),
        ("2026-03-01T10:00:00+02:00", "2026-03-01T09:00:00Z", -1),
        ("2026-03-01T10:00:00", "2026-03-01T10:00:00", 0),
        ("2026-03-01T10:00:00", "2026-03-01T15:00:00Z", None),  # any offset is possible
        ("2026-03-01T10:00:00", "2026-03-03T15:00:00Z", -1),
        ("2026-03-05T10:00:00", "2026-03-03T15:00:00Z", 1),
    ],
)
def test_comparison_decides_only_what_the_stated_parts_decide(left: str, right: str, order: int | None) -> None:
    assert parsed(left).compare(parsed(right)) == order
    assert parsed(right).compare(parsed(left)) == (None if order is None else -order)


@pytest.mark.parametrize(
    ("start", "amount", "unit", "end"),
    [
        ("2025-11-30", 3, "months", "2026-02-28"),
        ("2004-02-29", 21, "years", "2025-02-28"),
        ("2004-02-29", 20, "years", "2024-02-29"),
        ("2026-01-31", 1, "month", "2026-02-28"),
        ("2026-03-31", -1, "month", "2026-02-28"),
        ("2026-03-01", -90, "days", "2025-12-01"),
        ("2026-03-01", 2, "weeks", "2026-03-15"),
        ("2026-03-01", 30, "d", "2026-03-31"),
        ("2026-03-01", 48, "hours", "2026-03-03"),
        ("2026-03-01T10:00:00-05:00", 1, "month", "2026-04-01T10:00:00-05:00"),
        ("2026-03-01T23:30:00Z", 1, "hour", "2026-03-02T00:30:00Z"),
        ("2026-03-01T10:00:00.5Z", 10, "ms", "2026-03-01T10:00:00.510Z"),
        ("2026-03-01T10:00Z", 120, "seconds", "2026-03-01T10:02Z"),
        ("2026-03", 1, "year", "2027-03"),
        ("2026-03", 11, "months", "2027-02"),
        ("2026", 24, "months", "2028"),
        ("2026", -1, "year", "2025"),
        ("2026", 0, "days", "2026"),
    ],
)
def test_adding_a_duration_is_calendar_arithmetic_in_the_precision_of_the_date(
    start: str, amount: int, unit: str, end: str
) -> None:
    moved = parsed(start).plus(amount, unit)
    assert moved is not None and moved.text == end


@pytest.mark.parametrize(
    ("start", "amount", "unit"),
    [
        ("2026", 3, "months"),
        ("2026", 90, "days"),
        ("2026-03", 30, "days"),
        ("2026-03-01", 47, "hours"),
        ("2026-03-01T10:00Z", 90, "seconds"),
    ],
)
def test_a_partial_date_does_not_move_by_less_than_it_states(start: str, amount: int, unit: str) -> None:
    assert parsed(start).plus(amount, unit) is None


@pytest.mark.parametrize(
    ("start", "amount", "unit"),
    [("9999-12-31", 1, "day"), ("0001-01-01", -1, "month"), ("2026", -3000, "years"), ("2026-01-01", 1, "mo")],
)
def test_a_date_beyond_the_calendar_or_an_unknown_unit_gives_nothing(start: str, amount: int, unit: str) -> None:
    assert parsed(start).plus(amount, unit) is None


@pytest.mark.parametrize(
    ("day", "start", "end", "inside"),
    [
        ("2026-03-01", "2026-03-01", "2026-03-01", True),  # inclusive at both ends
        ("2026-02-28", "2026-03-01", None, False),
        ("2026-03-02", None, "2026-03-01", False),
        ("2026-03", "2026-03-01", "2026-03-31", True),
        ("2026-03", "2026-03-02", "2026-03-31", None),
        ("2026-03", "2026-04-01", None, False),
        ("2026", "2026-03-01", "2026-03-31", None),
        ("2026-03-01T23:30:00-05:00", None, "2026-03-01", True),  # its own offset, though it is 2 March in UTC
        ("2026-03-15", "2026-03", None, None),
        ("2026-03-15", None, None, True),
    ],
)
def test_a_partial_date_lies_in_a_window_only_if_every_day_it_could_be_does(
    day: str, start: str | None, end: str | None, inside: bool | None
) -> None:
    first, last = (None if one is None else parsed(one) for one in (start, end))
    assert within(parsed(day), first, last) is inside


def test_the_newest_instant_sorts_last_and_the_more_precise_after_the_less() -> None:
    texts = ["2026-03-01T10:00:00+02:00", "2026", "2026-03-01", "2026-03-01T09:00:00Z", "2026-03"]
    ordered = sorted(texts, key=lambda text: parsed(text).instant_key)
    assert ordered == ["2026", "2026-03", "2026-03-01", "2026-03-01T10:00:00+02:00", "2026-03-01T09:00:00Z"]


def test_a_day_and_a_moment_become_fhir_dates() -> None:
    assert FhirDate.of_day(date(2026, 3, 1)) == parsed("2026-03-01")
    boston = timezone(timedelta(hours=-5))
    assert FhirDate.of_moment(datetime(2026, 3, 1, 17, 0, tzinfo=boston)).text == "2026-03-01T17:00:00-05:00"
    assert FhirDate.of_moment(datetime(2026, 3, 1, 17, 0, 0, 5000, tzinfo=UTC)).text == "2026-03-01T17:00:00.005+00:00"


days = st.dates(date(1900, 1, 1), date(2100, 12, 31))


@st.composite
def partial_dates(draw: Any) -> tuple[FhirDate, date]:
    """A date of any precision up to the day, and one of the days that it could be."""
    day = draw(days)
    length = draw(st.sampled_from([4, 7, 10]))
    return parsed(day.isoformat()[:length]), day


@given(partial_dates(), partial_dates())
def test_a_decided_comparison_holds_for_every_day_that_the_dates_could_be(
    left: tuple[FhirDate, date], right: tuple[FhirDate, date]
) -> None:
    order = left[0].compare(right[0])
    if order == -1:
        assert left[1] < right[1]
    elif order == 1:
        assert left[1] > right[1]
    elif order == 0:
        assert left[0].precision == right[0].precision


@given(partial_dates(), days, days)
def test_a_decided_window_holds_for_every_day_that_the_date_could_be(
    partial: tuple[FhirDate, date], one: date, other: date
) -> None:
    start, end = min(one, other), max(one, other)
    inside = within(partial[0], FhirDate.of_day(start), FhirDate.of_day(end))
    if inside is not None:
        assert inside == (start <= partial[1] <= end)


@given(days, st.integers(-1200, 1200))
def test_months_move_to_the_same_day_or_the_months_end(day: date, months: int) -> None:
    moved = FhirDate.of_day(day).plus(months, "months")
    assert moved is not None
    found = moved.first_day
    assert (found.year * 12 + found.month) - (day.year * 12 + day.month) == months
    assert found.day == min(day.day, monthrange(found.year, found.month)[1])


@given(partial_dates(), st.integers(-400, 400), st.sampled_from(["years", "months", "weeks", "days"]))
def test_a_partial_date_moves_to_where_every_day_that_it_could_be_moves(
    partial: tuple[FhirDate, date], amount: int, unit: str
) -> None:
    moved, day = partial[0].plus(amount, unit), FhirDate.of_day(partial[1]).plus(amount, unit)
    if moved is not None:
        assert day is not None
        assert moved.first_day <= day.first_day <= moved.last_day


@given(st.integers(1904, 2090).filter(isleap), st.integers(1, 60))
def test_a_birthday_on_29_february_falls_on_28_february_in_a_common_year(year: int, age: int) -> None:
    birthday = FhirDate.of_day(date(year, 2, 29)).plus(age, "years")
    assert birthday is not None
    assert birthday.first_day == date(year + age, 2, 29 if isleap(year + age) else 28)


moments = st.datetimes(datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("2050-01-01"))
offsets = st.integers(-12 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))


@given(moments, moments, offsets, offsets)
def test_times_with_offsets_compare_as_instants(
    one: datetime, other: datetime, here: timezone, there: timezone
) -> None:
    left, right = one.replace(tzinfo=here), other.replace(tzinfo=there)
    order = FhirDate.of_moment(left).compare(FhirDate.of_moment(right))
    millisecond = timedelta(milliseconds=1)
    assume(abs(left - right) > millisecond or left == right)
    assert order == (left > right) - (left < right)


@given(moments, moments, offsets)
def test_a_missing_offset_decides_only_what_every_offset_decides(
    one: datetime, other: datetime, there: timezone
) -> None:
    right = other.replace(tzinfo=there)
    order = FhirDate.of_moment(one).compare(FhirDate.of_moment(right))
    if order is not None:
        for quarters in range(-12 * 4, 14 * 4 + 1):
            left = one.replace(tzinfo=timezone(timedelta(minutes=15 * quarters)))
            assert order == (left > right) - (left < right)
