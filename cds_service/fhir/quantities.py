"""Quantities in UCUM, and the few conversions that policies need. Knows no Observation and no threshold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from cds_service.fhir.codings import UCUM, canonical_system


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its UCUM unit (or calendar word). The unit is empty where none can be trusted."""

    value: Decimal
    unit: str

    def __str__(self) -> str:
        number = f"{self.value:f}"
        if self.unit in _CALENDAR:
            return f"{number} {self.unit}" + ("" if self.value == 1 else "s")
        return f"{number} '{self.unit}'"


_ONE = Decimal(1)
# Unit -> (what it measures, its size in that dimension's first unit). Units of one dimension convert.
_UNITS: Mapping[str, tuple[str, Decimal]] = {
    "%": ("fraction", _ONE),
    "1": ("fraction", Decimal(100)),
    "mm[Hg]": ("pressure", _ONE),
    "kPa": ("pressure", Decimal("7.50062")),
    "L/h": ("flow", _ONE),
    "L/min": ("flow", Decimal(60)),
    "mL/min": ("flow", Decimal("0.06")),
    "s": ("time", _ONE),
    "ms": ("time", Decimal("0.001")),
    "min": ("time", Decimal(60)),
    "h": ("time", Decimal(3600)),
    "d": ("time", Decimal(86400)),
    "wk": ("time", Decimal(604800)),
    # FHIRPath 2.0.0, Time-valued Quantities: calendar months and years have no definite length, so they are a
    # dimension of their own, and UCUM's mean month and year another
    "month": ("calendar", _ONE),
    "year": ("calendar", Decimal(12)),
    "mo": ("mean calendar", _ONE),
    "a": ("mean calendar", Decimal(12)),
    "g": ("mass", _ONE),
    "mg": ("mass", Decimal("0.001")),
    "ug": ("mass", Decimal("0.000001")),
    "kg": ("mass", Decimal(1000)),
    "[lb_av]": ("mass", Decimal("453.59237")),
    "m": ("length", _ONE),
    "cm": ("length", Decimal("0.01")),
    "mm": ("length", Decimal("0.001")),
    "[in_i]": ("length", Decimal("0.0254")),
    "L": ("volume", _ONE),
    "mL": ("volume", Decimal("0.001")),
}
_CALENDAR = frozenset({"year", "month", "week", "day", "hour", "minute", "second", "millisecond"})
# Spellings of one unit. UCUM lets the litre be `l`; a fraction of like units is a pure number.
_SPELLINGS: Mapping[str, str] = {
    "l": "L",
    "ml": "mL",
    "l/min": "L/min",
    "ml/min": "mL/min",
    "l/h": "L/h",
    "L/L": "1",
    "l/l": "1",
    "mL/mL": "1",
    "ml/ml": "1",
    "g/g": "1",
    "kg/kg": "1",
    "mol/mol": "1",
    "{fraction}": "1",
    "{ratio}": "1",
    "week": "wk",
    "weeks": "wk",
    "day": "d",
    "days": "d",
    "hour": "h",
    "hours": "h",
    "minute": "min",
    "minutes": "min",
    "second": "s",
    "seconds": "s",
    "millisecond": "ms",
    "milliseconds": "ms",
    "months": "month",
    "years": "year",
}
# Unit texts that mean one unit beyond doubt (policies, Values); they count only where no code says otherwise.
_TEXTS: Mapping[str, str] = {
    "%": "%",
    "mmHg": "mm[Hg]",
    "mm Hg": "mm[Hg]",
    "mm[Hg]": "mm[Hg]",
    "kPa": "kPa",
    "L/min": "L/min",
    "LPM": "L/min",
    "lpm": "L/min",
    "l/min": "L/min",
    "mL/min": "mL/min",
    "ml/min": "mL/min",
}
_LONGEST = 60
_ANNOTATION = re.compile(r"\{[^}]*\}")


def canonical_unit(code: str) -> str:
    """A UCUM code -> one spelling of that unit; an unknown code comes back as it is, without annotations."""
    # no unit that is known here is longer, and nothing longer may fill the memory of the cache
    return _canonical_unit(code) if len(code) <= _LONGEST else code


@lru_cache(maxsize=4096)
def _canonical_unit(code: str) -> str:
    code = code.strip()
    known = _SPELLINGS.get(code)
    if known is not None:
        return known
    bare = _ANNOTATION.sub("", code)
    # A bare annotation ({score}) is a pure number to UCUM, but not a share of a hundred: it stays itself.
    return _SPELLINGS.get(bare, bare) if bare else code


def decimal_of(value: object) -> Decimal | None:
    """A JSON number -> the decimal that was written; None for what is no finite number.

    A float goes through its shortest spelling, so that 0.56 stays 0.56.
    """
    kind = type(value)
    if kind is float:
        number = Decimal(repr(value))
        return number if number.is_finite() else None
    if kind is int:
        return Decimal(value)  # type: ignore[arg-type]  # tested by class: no bool
    if kind is Decimal:
        return value if value.is_finite() else None  # type: ignore[attr-defined,return-value]
    return None


def parse_quantity(raw: Mapping[str, Any]) -> Quantity | None:
    """A FHIR Quantity -> Quantity; None without a finite value or with a comparator ("below 60" is none).

    The UCUM code gives the unit. Text counts only where no code contradicts it; without both it is empty.
    """
    if "comparator" in raw:
        return None
    value = decimal_of(raw.get("value"))
    return None if value is None else Quantity(value, _unit_of(raw))


def _unit_of(raw: Mapping[str, Any]) -> str:
    code, system, text = raw.get("code"), raw.get("system"), raw.get("unit")
    worded = _TEXTS.get(text.strip(), "") if isinstance(text, str) else ""
    if not isinstance(code, str) or not code.strip():
        return worded
    if isinstance(system, str) and canonical_system(system) == UCUM:
        return canonical_unit(code)
    coded = _TEXTS.get(code.strip(), "")
    if not coded and system is None:
        coded = canonical_unit(code)
    # a code of another system, or of none, is believed only as far as it agrees with the text
    return coded if not worded or coded == worded else ""


def convert(quantity: Quantity, unit: str) -> Quantity | None:
    """`quantity` in `unit`; None where the two cannot be compared.

    Policies, Values: a pure number is a percentage only up to 1.0 (0.88 is 88 %, 88 without a unit is not).
    """
    if quantity.unit == unit:
        return quantity if unit else None
    target = canonical_unit(unit)
    sizes = _sizes(quantity.unit, target)
    if sizes is None or _wrongly_a_percentage(quantity, target):
        return None
    return Quantity(quantity.value * sizes[0] / sizes[1], target)


def _wrongly_a_percentage(quantity: Quantity, unit: str) -> bool:
    return quantity.value > _ONE and canonical_unit(unit) == "%" and canonical_unit(quantity.unit) == "1"


def _sizes(unit: str, other: str) -> tuple[Decimal, Decimal] | None:
    """What one of each unit is worth in a measure common to both; None where they cannot be compared."""
    return None if len(unit) > _LONGEST or len(other) > _LONGEST else _known_sizes(unit, other)


@lru_cache(maxsize=4096)
def _known_sizes(unit: str, other: str) -> tuple[Decimal, Decimal] | None:
    first, second = canonical_unit(unit), canonical_unit(other)
    if not first:
        return None
    if first == second:
        return _ONE, _ONE
    one, two = _UNITS.get(first), _UNITS.get(second)
    return None if one is None or two is None or one[0] != two[0] else (one[1], two[1])


def compare(left: Quantity, right: Quantity) -> int | None:
    """-1, 0 or 1 for less, equal or more; None where the units cannot be compared. Exact: nothing is divided."""
    first, second = left.value, right.value
    if left.unit != right.unit or not left.unit:
        sizes = _sizes(left.unit, right.unit)
        if sizes is None or _wrongly_a_percentage(left, right.unit) or _wrongly_a_percentage(right, left.unit):
            return None
        first, second = first * sizes[0], second * sizes[1]
    if first == second:
        return 0
    return -1 if first < second else 1


def plus(left: Quantity, right: Quantity) -> Quantity | None:
    """The sum in the left side's unit; None where the units cannot be compared."""
    addend = convert(right, left.unit)
    return None if addend is None else Quantity(left.value + addend.value, left.unit)
