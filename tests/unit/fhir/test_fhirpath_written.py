"""Syntax written out again reads back as the same syntax: a page may show a piece of an expression."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds_service.fhir.fhirpath.parse import parse
from cds_service.fhir.fhirpath.syntax import Node
from cds_service.fhir.fhirpath.written import written

ROOT = Path(__file__).parents[3]


def shape(node: Node) -> str:
    """Everything of a node but its columns."""
    return re.sub(r"column=\d+", "", repr(node))


@pytest.mark.parametrize(
    "text",
    [
        "a and b or c",
        "a and (b or c)",
        "a - (b - c)",
        "(a | b).exists()",
        "(a = b) = c",
        "-(a + b)",
        "a implies (b implies c)",
        "{}",
        "$this > 0 'L/min'",
        "%`ma-oxygen.findings`.status = 'not-met'",
        "%patient.birthDate + 21 years > %orderDate",
        "1 month",
        "@2026-02-10 <= @2026-03",
        "'it''s'".replace("''", "\\'"),
        "'back\\\\slash'",
        "5.50",
        "iif(a.exists(), true, {})",
        "a.where($this in ('x' | 'y')).select(lower()).first() & 'z'",
        "x.aggregate(iif($total = 'a', $this, 'b'), 'a')",
        "`div`.contains",
    ],
)
def test_an_expression_that_is_written_out_reads_back_as_it_was(text: str) -> None:
    assert shape(parse(written(parse(text)))) == shape(parse(text))


def expressions(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("language") == "text/fhirpath":
            yield value["expression"]
        for one in value.values():
            yield from expressions(one)
    elif isinstance(value, list):
        for one in value:
            yield from expressions(one)


def test_every_expression_of_the_shipped_plans_reads_back_as_it_was() -> None:
    import json

    found = 0
    for path in (ROOT / "plans").rglob("*.json"):
        for text in expressions(json.loads(path.read_text(encoding="utf-8"))):
            assert shape(parse(written(parse(text)))) == shape(parse(text)), text
            found += 1
    assert found > 100
