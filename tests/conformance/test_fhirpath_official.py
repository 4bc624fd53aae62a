"""HL7's FHIRPath suite for R4: what is admitted is right, what is refused says why, and how many of each."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.fhirpath import (
    Environment,
    EvaluationFault,
    Expression,
    FhirPathError,
    Scope,
    Type,
    compile_expression,
)
from cds_service.fhir.fhirpath.values import as_text

FOLDER = os.environ.get("CDS_TEST_FHIR")
pytestmark = pytest.mark.skipif(FOLDER is None, reason="CDS_TEST_FHIR, the folder of HL7's files, is unset")

# What becomes of the suite's tests here. A change of the subset, wanted or not, shows as a number.
ADMITTED_AND_RIGHT = 273
REFUSED_AS_THE_SUITE_WANTS = 35
REFUSED_BY_CONSTRUCT = 623
REFUSED_FOR_TYPES = 4
RIGHT_WITH_TIMES_AS_VARIABLES = 51

# HL7 takes a single item of any type for true, and joins strings with `+`. Both would hide slips in a policy.
STRICTER_TYPES = {
    "testIntegerBooleanNotTrue": "a number is no condition",
    "testIntegerBooleanNotFalse": "a number is no condition",
    "from-zulip-1": "a string is no condition",
    "testPlus4": "strings are joined with &",
}


@dataclass(frozen=True)
class OfficialTest:
    name: str
    expression: str
    input: str | None
    invalid: str | None
    predicate: bool
    outputs: tuple[tuple[str, str], ...]


def _folder() -> Path:
    return Path(str(FOLDER)) / "fhirpath-tests"


@lru_cache(maxsize=1)
def _official_tests() -> tuple[OfficialTest, ...]:
    return tuple(_read_suite())


def _read_suite() -> Iterator[OfficialTest]:
    for test in ElementTree.parse(_folder() / "tests-fhir-r4.xml").getroot().iter("test"):
        expression = test.find("expression")
        assert expression is not None and expression.text
        yield OfficialTest(
            name=test.get("name", ""),
            expression=expression.text,
            input=test.get("inputfile"),
            invalid=expression.get("invalid"),
            predicate=test.get("predicate") == "true",
            outputs=tuple((output.get("type", ""), output.text or "") for output in test.findall("output")),
        )


@lru_cache(maxsize=32)
def _input(name: str) -> dict[str, Any]:
    text = (_folder() / name.replace(".xml", ".json")).read_text(encoding="utf-8")
    resource: dict[str, Any] = json.loads(text)
    return resource


def _compiled(test: OfficialTest, text: str, variables: dict[str, Type] | None = None) -> Expression | FhirPathError:
    focus = Type.of(_input(test.input)["resourceType"]) if test.input else None
    try:
        return compile_expression(text, Scope(focus, variables or {}))
    except FhirPathError as refusal:
        return refusal


def _difference(test: OfficialTest, expression: Expression, variables: dict[str, FhirDate]) -> str | None:
    """What is not as the suite has it; None where nothing is."""
    try:
        found = expression.evaluate(
            Environment({name: [value] for name, value in variables.items()}),
            _input(test.input) if test.input else None,
        )
    except EvaluationFault as fault:
        return None if test.invalid else f"faulted: {fault}"
    if test.invalid:
        return f"gave {found} where the suite wants an error"
    if test.predicate:
        return None if bool(found) == (test.outputs[0][1] == "true") else f"predicate over {found}"
    wanted = [value.removeprefix("@") for _, value in test.outputs]
    if [as_text(value) for value in found] != wanted:
        return f"gave {[as_text(value) for value in found]}, not {wanted}"
    wrong_types = {kind for kind, _ in test.outputs} - expression.type.names
    return f"is {expression.type}, not {wrong_types}" if wrong_types else None


def test_what_is_admitted_gives_the_official_answer_in_value_and_type() -> None:
    wrong, right = [], 0
    for test in _official_tests():
        compiled = _compiled(test, test.expression)
        if isinstance(compiled, FhirPathError):
            continue
        difference = _difference(test, compiled, {})
        if difference:
            wrong.append(f"{test.name}: {test.expression!r} {difference}")
        else:
            right += 1
    assert not wrong, "\n".join(wrong)
    assert right == ADMITTED_AND_RIGHT


def test_what_is_refused_is_wrong_to_the_suite_too_or_names_what_is_not_admitted() -> None:
    as_wanted, by_construct, for_types, unexplained = 0, 0, set(), []
    for test in _official_tests():
        refusal = _compiled(test, test.expression)
        if not isinstance(refusal, FhirPathError):
            continue
        if test.invalid:
            as_wanted += 1
        elif test.name in STRICTER_TYPES and refusal.kind == "type":
            for_types.add(test.name)
        elif refusal.kind == "not-admitted" and "not admitted" in refusal.message:
            by_construct += 1
        else:
            unexplained.append(f"{test.name}: {test.expression!r} {refusal}")
    assert not unexplained, "\n".join(unexplained)
    assert (as_wanted, by_construct, len(for_types)) == (
        REFUSED_AS_THE_SUITE_WANTS,
        REFUSED_BY_CONSTRUCT,
        REFUSED_FOR_TYPES,
    )
    assert for_types == STRICTER_TYPES.keys()


def test_every_test_of_the_suite_is_accounted_for() -> None:
    total = ADMITTED_AND_RIGHT + REFUSED_AS_THE_SUITE_WANTS + REFUSED_BY_CONSTRUCT + REFUSED_FOR_TYPES
    assert total == len(_official_tests())


_TIME = re.compile(r"@(\d{4}(?:-\d\d(?:-\d\d)?)?T[0-9:.]*(?:Z|[+-]\d\d:\d\d)?)")


def test_dates_with_a_time_handed_in_as_variables_compare_as_the_suite_has_it() -> None:
    """Plans have no literal with a time of day, but charts do: the suite's own stand in for them here."""
    wrong, right = [], 0
    for test in _official_tests():
        written = [found[1].rstrip("T") for found in _TIME.finditer(test.expression)]
        values = {f"time{n}": parse_date(text) for n, text in enumerate(written)}
        if not values:
            continue
        known = {name: value for name, value in values.items() if value is not None}
        names = iter(values)
        text = _TIME.sub(lambda _, names=names: f"%{next(names)}", test.expression)  # type: ignore[misc]
        compiled = _compiled(test, text, {name: Type.of("dateTime") for name in known})
        if isinstance(compiled, FhirPathError):
            continue
        difference = _difference(test, compiled, known)
        if difference:
            wrong.append(f"{test.name}: {test.expression!r} {difference}")
        else:
            right += 1
    assert not wrong, "\n".join(wrong)
    assert right == RIGHT_WITH_TIMES_AS_VARIABLES
