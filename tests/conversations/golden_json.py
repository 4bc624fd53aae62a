"""JSON as the golden files write it: digits of numbers kept, small things on one line. Knows no conversation."""

from __future__ import annotations

import json
from typing import Any

_WIDTH = 118


class Digits(str):
    """A number as it was written: 1.10 is not 1.1."""


def read(text: str | bytes) -> Any:
    """JSON -> Python, numbers with a fraction as `Digits`."""
    return json.loads(text, parse_float=Digits)


def written(value: Any, indent: int = 0) -> str:
    """Python -> JSON, whatever fits on a line on one line."""
    line = _line(value)
    if not isinstance(value, dict | list) or not value or indent + len(line) <= _WIDTH:
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        rows = [f"{inner}{_line(name)}: {written(one, indent + 2)}" for name, one in value.items()]
        opened, closed = "{", "}"
    else:
        rows = [f"{inner}{written(one, indent + 2)}" for one in value]
        opened, closed = "[", "]"
    return opened + "\n" + ",\n".join(rows) + "\n" + " " * indent + closed


def _line(value: Any) -> str:
    if isinstance(value, Digits):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_line(name)}: {_line(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_line, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
