"""JSON with its numbers as they were written: a float does not know its zeros. Pure.

FHIR R4, decimal: the precision of what was sent is to be kept. What is read so is for writing back, never for judging.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


def holds_float(value: Any) -> bool:
    """Whether something in it is a float, which may have lost digits."""
    if value.__class__ is dict:
        return any(holds_float(one) for one in value.values())
    if value.__class__ is list:
        return any(holds_float(one) for one in value)
    return value.__class__ is float


def as_written(text: str) -> Any:
    """The JSON value of a text, each decimal a fragment of it."""
    return DIGITS.decode(text)


def _whole(digits: str) -> Any:
    # beyond 64 bits a number is not orjson's to write
    return orjson.Fragment(digits) if len(digits) >= 19 or digits == "-0" else int(digits)


DIGITS = json.JSONDecoder(parse_float=orjson.Fragment, parse_int=_whole)
