"""Business days and hours; US federal holidays as they are observed. Pure: the instant is an argument.

A year's holidays are worked out once, by a library that is loaded with the first year that is asked for: `prepare`
does it at start, so that no call waits for it (ADR 0006).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal

DayKind = Literal["business", "weekend", "holiday"]
Hours = Literal["before", "normal", "after"]

# The Uniform Monday Holiday Act is in force from 1971; beyond 2100 nobody knows what will be a holiday.
_FIRST_YEAR, _LAST_YEAR = 1971, 2100
_DAY = timedelta(days=1)
# no run of weekends and holidays is longer
_LONGEST_PAUSE = 7


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """Normal working hours on a business day: from `opens` until just before `closes`."""

    opens: time = time(8)
    closes: time = time(17)

    def at(self, moment: time) -> Hours:
        """Where a time of day lies. At the minute of closing the day is over."""
        if moment < self.opens:
            return "before"
        return "normal" if moment < self.closes else "after"


STANDARD_HOURS = BusinessHours()


def prepare(years: Iterable[int]) -> None:
    """Work out the holidays of these years now, so that no call has to."""
    for year in years:
        _holidays(year)


def holiday(day: date) -> str | None:
    """The federal holiday that is observed on a day, by its name; None on any other day."""
    return _holidays(day.year).get(day)


def day_kind(day: date) -> DayKind:
    """A holiday that falls on a weekend is a weekend; where it is observed instead is a holiday."""
    if day.weekday() >= 5:
        return "weekend"
    return "holiday" if holiday(day) is not None else "business"


def next_business_day(day: date) -> date | None:
    """The first business day after a day; None beyond the years that holidays are known of."""
    return _business_day_from(day, _DAY)


def business_day_before(day: date) -> date | None:
    """The last business day before a day; None beyond the years that holidays are known of."""
    return _business_day_from(day, -_DAY)


def _business_day_from(day: date, step: timedelta) -> date | None:
    if not _FIRST_YEAR < day.year < _LAST_YEAR:
        return None
    steps = (day + step * n for n in range(1, _LONGEST_PAUSE + 1))
    return next((one for one in steps if day_kind(one) == "business"), None)


@lru_cache(maxsize=512)
def _holidays(year: int) -> Mapping[date, str]:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return {}
    # imported here: a tenth of a second that only those pay who ask for a working day
    from holidays import country_holidays

    return {day: name for day, name in country_holidays("US", years=year).items() if day.year == year}


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as an office sees it: the day, what kind of day, and where in its hours."""

    day: date
    kind: DayKind
    hours: Hours

    @staticmethod
    def of(instant: datetime, hours: BusinessHours) -> Moment:
        """By the wall clock of the instant's own zone."""
        return Moment(instant.date(), day_kind(instant.date()), hours.at(instant.time()))
