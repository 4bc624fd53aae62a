"""Business days: weekends, federal holidays as they are observed, and the hours of an office."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from cds_service.fhir.working_days import (
    STANDARD_HOURS,
    BusinessHours,
    Moment,
    business_day_before,
    day_kind,
    holiday,
    next_business_day,
)


@pytest.mark.parametrize(
    ("day", "name"),
    [
        ("2026-01-01", "New Year's Day"),
        ("2026-01-19", "Martin Luther King Jr. Day"),
        ("2026-02-16", "Washington's Birthday"),
        ("2026-05-25", "Memorial Day"),
        ("2026-06-19", "Juneteenth National Independence Day"),
        ("2026-07-03", "Independence Day (observed)"),
        ("2026-09-07", "Labor Day"),
        ("2026-10-12", "Columbus Day"),
        ("2026-11-11", "Veterans Day"),
        ("2026-11-26", "Thanksgiving Day"),
        ("2026-12-25", "Christmas Day"),
    ],
)
def test_each_federal_holiday_of_a_year_is_known(day: str, name: str) -> None:
    assert holiday(date.fromisoformat(day)) == name
    assert day_kind(date.fromisoformat(day)) == "holiday"


def test_no_other_weekday_of_the_year_is_a_holiday() -> None:
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    assert sum(day_kind(day) == "holiday" for day in days) == 11


def test_a_holiday_on_a_weekend_is_observed_on_the_weekday_beside_it() -> None:
    assert day_kind(date(2026, 7, 4)) == "weekend"
    assert day_kind(date(2027, 7, 5)) == "holiday"  # the 4th is a Sunday
    assert day_kind(date(2027, 12, 31)) == "holiday"  # New Year's Day of 2028 is a Saturday


@pytest.mark.parametrize(
    ("day", "following", "before"),
    [
        ("2026-11-24", "2026-11-25", "2026-11-23"),
        ("2026-11-20", "2026-11-23", "2026-11-19"),  # a Friday
        ("2026-11-22", "2026-11-23", "2026-11-20"),  # a Sunday
        ("2026-09-04", "2026-09-08", "2026-09-03"),  # the Friday before Labor Day
        ("2026-09-08", "2026-09-09", "2026-09-04"),  # the Tuesday after it
        ("2026-07-02", "2026-07-06", "2026-07-01"),  # Friday the 3rd is a holiday
        ("2027-12-30", "2028-01-03", "2027-12-29"),
    ],
)
def test_the_business_days_around_a_day(day: str, following: str, before: str) -> None:
    assert next_business_day(date.fromisoformat(day)) == date.fromisoformat(following)
    assert business_day_before(date.fromisoformat(day)) == date.fromisoformat(before)


@pytest.mark.parametrize("day", [date.min, date.max, date(1900, 5, 1), date(2400, 1, 1)])
def test_of_years_that_nobody_knows_the_holidays_of_nothing_is_said(day: date) -> None:
    assert next_business_day(day) is None
    assert business_day_before(day) is None
    assert holiday(day) is None


@pytest.mark.parametrize(
    ("moment", "where"),
    [
        (time(0), "before"),
        (time(7, 59, 59), "before"),
        (time(8), "normal"),
        (time(16, 59, 59, 999999), "normal"),
        (time(17), "after"),
        (time(23, 59), "after"),
    ],
)
def test_an_office_opens_on_the_minute_and_is_closed_on_the_minute(moment: time, where: str) -> None:
    assert STANDARD_HOURS.at(moment) == where


def test_a_moment_is_seen_by_the_wall_clock_of_its_own_zone() -> None:
    friday = datetime(2026, 11, 20, 23, 30, tzinfo=ZoneInfo("UTC"))
    eastern = friday.astimezone(ZoneInfo("America/New_York"))
    assert Moment.of(friday, STANDARD_HOURS) == Moment(date(2026, 11, 20), "business", "after")
    assert Moment.of(eastern, BusinessHours(time(8), time(19))) == Moment(date(2026, 11, 20), "business", "normal")
