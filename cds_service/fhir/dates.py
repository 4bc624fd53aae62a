"""FHIR dates as intervals, compared with three values. Knows no clock: somebody else says what today is."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal

Precision = Literal["year", "month", "day", "minute", "second"]

# R4 datatypes: date, dateTime and instant in one. Seconds and offset may be missing, as in real charts.
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_OFFSET = re.compile(r"(?:Z|[+-]\d\d:\d\d)$", re.ASCII)

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
# Offsets in use run from -12:00 to +14:00: a time without one is some instant in this range.
_EARLIEST, _LATEST = -14 * _HOUR, 12 * _HOUR


@dataclass(frozen=True, slots=True)
class FhirDate:
    """A date, dateTime or instant as it was written, and all the days and instants that it could be.

    `first_day` and `last_day` are calendar days in the date's own stated offset. `instant_key` sorts by the
    first instant (a missing offset read as UTC), of equal ones the more precise last. `parse_date` makes one.
    """

    text: str
    precision: Precision = field(compare=False)
    is_datetime: bool = field(compare=False)
    first_day: date = field(compare=False)
    last_day: date = field(compare=False)
    has_offset: bool = field(compare=False)
    low: int = field(compare=False)  # microseconds; UTC where the offset is stated, else local
    high: int = field(compare=False)

    @staticmethod
    def of_day(day: date) -> FhirDate:
        """A calendar date -> a FHIR date."""
        return _whole_days(day.isoformat(), "day", day, day)

    @staticmethod
    def of_moment(moment: datetime) -> FhirDate:
        """A datetime -> a FHIR dateTime, with its offset if it has one."""
        parsed = parse_date(moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds"))
        assert parsed is not None, "a datetime always has a valid spelling"
        return parsed

    @property
    def instant_key(self) -> tuple[int, int]:
        return self.low, -self.high

    def compare(self, other: FhirDate) -> int | None:
        """-1, 0 or 1 for earlier, same or later; None where the two overlap without being the same.

        FHIRPath 2.0.0, Equals and Comparison: precision by precision, empty where one side stops. Between a
        date and a time the calendar day in the time's own offset decides (policies, Dates); a missing offset
        is not guessed.
        """
        if self.is_datetime and other.is_datetime:
            return _compare_instants(self, other)
        if self.last_day < other.first_day:
            return -1
        if self.first_day > other.last_day:
            return 1
        return 0 if self.precision == other.precision else None

    def plus(self, value: Decimal | int, unit: str) -> FhirDate | None:
        """This date moved by a calendar duration; None for any other unit, and beyond the years 1 to 9999.

        FHIRPath 2.0.0, Date/Time Arithmetic: a fraction of a unit is dropped, and a month's end clips (30 November
        + 3 months = 28 February). A partial date moves by whole units of its own precision; by anything else the
        result would name days that nobody stated: None, where HL7 drops the remainder.
        """
        word = CALENDAR_UNITS.get(unit)
        return None if word is None else _plus(self, int(value), word)


# FHIRPath 2.0.0, Time-valued Quantities: calendar words, and UCUM's units of definite length (not 'mo', 'a').
_WORDS = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
CALENDAR_WORDS: dict[str, str] = {word: word for word in _WORDS} | {f"{word}s": word for word in _WORDS}
CALENDAR_UNITS: dict[str, str] = CALENDAR_WORDS | {
    "wk": "week",
    "d": "day",
    "h": "hour",
    "min": "minute",
    "s": "second",
    "ms": "millisecond",
}
_DEFINITE = {
    "week": 7 * _DAY,
    "day": _DAY,
    "hour": _HOUR,
    "minute": _MINUTE,
    "second": _SECOND,
    "millisecond": 1000,
}


def parse_date(text: str) -> FhirDate | None:
    """`2026`, `2026-03`, `2026-03-01` or `2026-03-01T10:30:00+01:00` -> FhirDate; None for anything else."""
    # no date is longer, and nothing longer may fill the memory of the cache
    return _parsed(text) if len(text) <= 40 else None


@lru_cache(maxsize=16384)
def _parsed(text: str) -> FhirDate | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        if day is None:
            return _partial(text, int(year), None if month is None else int(month))
        stated = date(int(year), int(month), int(day))
    except ValueError:
        return None
    if hour is None:
        return _whole_days(text, "day", stated, stated)
    return _timed(text, stated, (int(hour), int(minute), None if second is None else int(second)), fraction, offset)


def _partial(text: str, year: int, month: int | None) -> FhirDate:
    if month is None:
        return _whole_days(text, "year", date(year, 1, 1), date(year, 12, 31))
    return _whole_days(text, "month", date(year, month, 1), date(year, month, monthrange(year, month)[1]))


def _whole_days(text: str, precision: Precision, first: date, last: date) -> FhirDate:
    low, high = first.toordinal() * _DAY, (last.toordinal() + 1) * _DAY - 1
    return FhirDate(text, precision, False, first, last, False, low, high)


def _timed(
    text: str, day: date, clock: tuple[int, int, int | None], fraction: str | None, offset: str | None
) -> FhirDate | None:
    hour, minute, second = clock
    # R4 dateTime: hours end at 23 ("24:00" is not allowed), and a leap second may be written
    if hour > 23 or minute > 59 or (second or 0) > 60:
        return None
    low = day.toordinal() * _DAY + hour * _HOUR + minute * _MINUTE + (second or 0) * _SECOND
    if fraction is not None:
        low += int(fraction[:6].ljust(6, "0"))
    if offset is not None and offset != "Z":
        away = int(offset[1:3]) * _HOUR + int(offset[4:6]) * _MINUTE
        if away > 14 * _HOUR or int(offset[4:6]) > 59:
            return None
        low -= away if offset[0] == "+" else -away
    precision: Precision = "minute" if second is None else "second"
    high = low if second is not None else low + _MINUTE - 1
    return FhirDate(text, precision, True, day, day, offset is not None, low, high)


def _compare_instants(left: FhirDate, right: FhirDate) -> int | None:
    low, high = right.low, right.high
    if left.has_offset != right.has_offset:
        # the one without an offset could be any of these instants
        widen = 1 if left.has_offset else -1
        if widen == 1:
            low, high = low + _EARLIEST, high + _LATEST
        else:
            low, high = low - _LATEST, high - _EARLIEST
        if left.high < low:
            return -1
        return 1 if left.low > high else None
    if left.high < low:
        return -1
    if left.low > high:
        return 1
    return 0 if left.precision == right.precision else None


@lru_cache(maxsize=4096)
def _plus(start: FhirDate, amount: int, word: str) -> FhirDate | None:
    try:
        if word in ("year", "month"):
            return _plus_months(start, amount * 12 if word == "year" else amount)
        if start.precision in ("year", "month"):
            return start if amount == 0 else None
        return _plus_clock(start, amount * _DEFINITE[word])
    except (ValueError, OverflowError):
        return None


def _plus_months(start: FhirDate, months: int) -> FhirDate | None:
    day = _clipped(start.first_day, months)
    if start.precision == "year":
        return _partial(f"{day.year:04d}", day.year, None) if months % 12 == 0 else None
    if start.precision == "month":
        return _partial(f"{day.year:04d}-{day.month:02d}", day.year, day.month)
    return parse_date(day.isoformat() + start.text[10:])


def _plus_clock(start: FhirDate, microseconds: int) -> FhirDate | None:
    step = {"day": _DAY, "minute": _MINUTE}.get(start.precision, 1)
    if microseconds % step:
        return None
    if start.precision == "day":
        return FhirDate.of_day(start.first_day + timedelta(microseconds=microseconds))
    stated = datetime.fromisoformat(_OFFSET.sub("", start.text)[:26])
    moved = stated + timedelta(microseconds=microseconds)
    offset = _OFFSET.search(start.text)
    timespec = "minutes" if start.precision == "minute" else "seconds"
    if moved.microsecond or "." in start.text:
        timespec = "microseconds" if moved.microsecond % 1000 else "milliseconds"
    return parse_date(moved.isoformat(timespec=timespec) + (offset[0] if offset else ""))


def _clipped(day: date, months: int) -> date:
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= years <= 9999:
        raise ValueError("outside the calendar")
    return date(years, month + 1, min(day.day, monthrange(years, month + 1)[1]))


def within(day: FhirDate, start: FhirDate | None, end: FhirDate | None) -> bool | None:
    """Whether `day` lies in a window of calendar dates, both ends included (None: that end is open).

    Policies, Dates: each date in its own offset. A partial date lies in the window only if every day that it
    could be does, outside only if none does; else None.
    """
    certain = True
    if start is not None:
        if day.last_day < start.first_day:
            return False
        certain = day.first_day >= start.last_day
    if end is not None:
        if day.first_day > end.last_day:
            return False
        certain = certain and day.last_day <= end.first_day
    return True if certain else None
