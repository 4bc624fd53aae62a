"""Operators and functions on values: HL7's meaning, with nothing decided that a missing part leaves open."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.fhirpath import EvaluationFault, Type
from cds_service.fhir.quantities import Quantity
from tests.unit.fhir.surroundings import Line, Surroundings, compiled, truth, values

PATIENT = {
    "resourceType": "Patient",
    "birthDate": "2005-02-28",
    "name": [{"use": "official", "given": ["Ann", "Bea"], "family": "Cole"}, {"use": "usual", "given": ["Ann"]}],
}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1 = 1.0", True),
        ("1 != 2", True),
        ("'a' < 'b'", True),
        ("{} = {}", None),
        ("1 = {}", None),
        ("1 < {}", None),
        ("(1 | 2) = (1 | 2)", True),
        ("(1 | 2) = (2 | 1)", False),
        ("(1 | 2) = 1", False),
        ("88 '%' = 0.88 '1'", True),
        ("88 '%' < 55 'mm[Hg]'", None),
        ("88 '%' = 55 'mm[Hg]'", None),
        ("10 'kPa' > 75 'mm[Hg]'", True),
        ("7 days = 1 week", True),
        ("1 month = 30 days", None),
        ("@2026-03 = @2026-03-01", None),
        ("@2026-03 < @2026-04-01", True),
        ("@2026 >= @2026", True),
        ("1 in (1 | 2)", True),
        ("3 in (1 | 2)", False),
        ("{} in (1 | 2)", None),
        ("1 in {}", False),
        ("'a' in ('a' | 'b')", True),
        ("{} in ('a' | 'b')", None),
        ("@2026-03 in (@2026-04-01 | @2026-03)", True),
        ("@2026-03 in (@2026-04-01 | @2026-03-05)", None),
        ("(1 | 2) contains 2", True),
        ("{} contains 2", False),
        ("(1 | 2) contains {}", None),
        ("1 + 2 = 3", True),
        ("0.1 + 0.2 = 0.3", True),
        ("5 - 7 = -2", True),
        ("1 'h' + 30 'min' = 1.5 'h'", True),
        ("1 'h' - 30 'min' = 0.5 'h'", True),
        ("(1 'h' + 1 'kg').empty()", True),
        ("-(1 'h') < 0 'h'", True),
        ("1 | 1 | 2 = 1 | 2", True),
        ("'a' & {} & 'b' = 'ab'", True),
        ("@2025-11-30 + 3 months = @2026-02-28", True),
        ("@2026-03-01 - 1 day = @2026-02-28", True),
        ("(@2026-03-01 + {}).empty()", True),
    ],
)
def test_an_operator_decides_what_its_operands_decide(text: str, answer: bool | None) -> None:
    assert truth(text) is answer


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name.given", ["Ann", "Bea", "Ann"]),
        ("name.given | name.family", ["Ann", "Bea", "Cole"]),
        ("name.where(use = 'usual').given", ["Ann"]),
        ("name.where(period.start > @2020).given", []),
        ("name.select(given | family)", ["Ann", "Bea", "Cole", "Ann"]),
        ("name.select(given.count())", [2, 1]),
        ("name.first().family", ["Cole"]),
        ("name.given.first()", ["Ann"]),
        ("name.count()", [2]),
        ("contact.count()", [0]),
        ("name.exists()", [True]),
        ("contact.exists()", [False]),
        ("contact.empty()", [True]),
        ("birthDate.exists()", [True]),
        ("birthDate.count()", [1]),
        ("deceased.empty()", [True]),
        ("name.exists(use = 'usual')", [True]),
        ("name.exists(period.start > @2020)", [False]),  # unknown is not true
        ("name.all(given.exists())", [True]),
        ("name.all(family = 'Cole')", [False]),  # unknown is not true
        ("contact.all(gender = 'male')", [True]),
        ("birthDate.where($this < @2006)", [parse_date("2005-02-28")]),
        ("birthDate.select($this + 21 years)", [parse_date("2026-02-28")]),
        ("birthDate.toString()", ["2005-02-28"]),
        ("name.family.lower()", ["cole"]),
        ("name.family.replace('C', 'P')", ["Pole"]),
        ("name.family.matches('^Co')", [True]),
        ("name.family.matches('(?i)^co')", [True]),
        ("name.family.matches('^ole')", [False]),
        ("contact.name.family.matches('x')", []),
        ("(1 | 2 | 3).aggregate($this + $total, 10)", [16]),
        ("(3 | 1 | 2).aggregate(iif($total.empty(), $this, iif($this < $total, $this, $total)))", [1]),
        ("5.toString() & '/' & 2.50.toString() & true.toString()", ["5/2.50true"]),
        ("(88.5 '%').toString()", ["88.5 '%'"]),
        ("{}.lower()", []),
        ("{}.first()", []),
        ("{}.toString()", []),
        ("iif(name.exists(), name.given, birthDate)", ["Ann", "Bea", "Ann"]),
        ("gender.ofType(code)", []),
        ("name.ofType(HumanName).use", ["official", "usual"]),
        ("name.ofType(FHIR.HumanName).use", ["official", "usual"]),
        ("birthDate.ofType(string)", []),
    ],
)
def test_a_function_gives_what_hl7_says(text: str, found: list[Any]) -> None:
    assert values(text, PATIENT) == found


def test_rentals_with_gaps_of_up_to_thirty_days_are_linked_to_their_first_day() -> None:
    text = (
        "%rentals.aggregate(iif($this.lastDay.empty() or $this.lastDay + 30 days >= $total, "
        "iif($this.firstDay < $total, $this.firstDay, $total), $total), %line.firstDay)"
    )
    expression = compiled(text, {"rentals": Type.of("OrderLine", many=True), "line": Type.of("OrderLine")})
    assert expression.type == Type.of("date")

    def line(first: str, last: str | None = None) -> Line:
        days: dict[str, Any] = {"firstDay": parse_date(first)} | ({"lastDay": parse_date(last)} if last else {})
        return Line(**days)

    def start(*rentals: Line) -> FhirDate:
        found = expression.evaluate(Surroundings({"rentals": list(rentals), "line": [line("2026-11-30")]}))
        assert len(found) == 1
        first: FhirDate = found[0]
        return first

    assert start().text == "2026-11-30"
    assert start(line("2026-10-01", "2026-11-05")).text == "2026-10-01"
    assert start(line("2026-10-01", "2026-11-05"), line("2026-08-01", "2026-09-02")).text == "2026-08-01"
    assert start(line("2026-08-01", "2026-10-01")).text == "2026-11-30"
    assert start(line("2026-08-01")).text == "2026-08-01"  # no end: it is still running


def test_a_person_is_under_21_until_the_birthday_and_unknown_when_only_the_year_is_known() -> None:
    expression = compiled(
        "%patient.birthDate + 21 years > %orderDate", {"patient": Type.of("Patient"), "orderDate": Type.of("date")}
    )

    def under_21(birth_date: str | None, on: str) -> bool | None:
        patient = {"resourceType": "Patient"} | ({"birthDate": birth_date} if birth_date else {})
        return expression.truth(Surroundings({"patient": [patient], "orderDate": [parse_date(on)]}))

    assert under_21("2005-02-10", "2026-02-09") is True
    assert under_21("2005-02-10", "2026-02-10") is False
    assert under_21("2004-02-29", "2025-02-27") is True
    assert under_21("2004-02-29", "2025-02-28") is False
    assert under_21("2005", "2026-02-10") is None
    assert under_21("2006", "2026-02-10") is True
    assert under_21(None, "2026-02-10") is None


def test_equal_resources_are_one_in_a_union_and_views_are_one_only_if_they_are_the_same() -> None:
    types = {"a": Type.of("Observation", many=True), "b": Type.of("Observation", many=True)}
    one, same, other = ({"resourceType": "Observation", "id": key} for key in ("1", "1", "2"))
    expression = compiled("(%a | %b).count()", types)
    assert list(expression.evaluate(Surroundings({"a": [one], "b": [same, other]}))) == [2]
    lines = {"a": Type.of("OrderLine", many=True), "b": Type.of("OrderLine", many=True)}
    line = Line(code={"code": "E1390"})
    expression = compiled("(%a | %b).count()", lines)
    assert list(expression.evaluate(Surroundings({"a": [line], "b": [line, Line(code={"code": "E1390"})]}))) == [2]


def test_a_union_leaves_out_doubles_of_every_kind() -> None:
    assert values("(1 | 1.0 | true | 'a' | 'a' | @2026 | @2026 | 1 'h' | 60 'min').count()") == [5]


def test_what_is_asked_of_one_item_is_a_fault_on_several() -> None:
    for text in ("(1 | 2) + 1", "('a' | 'b') & 'c'", "('a' | 'b').lower()", "1 < (1 | 2)", "(1 | 2) in (1 | 2)"):
        with pytest.raises(EvaluationFault, match="2 items"):
            values(text)


def test_a_text_too_long_to_search_is_unknown() -> None:
    expression = compiled("%text.matches('needle')", {"text": Type.of("string")})
    assert expression.truth(Surroundings({"text": ["needle"]})) is True
    assert expression.truth(Surroundings({"text": ["x" * 20_000 + "needle"]})) is None


def test_the_lists_of_the_environment_are_never_changed() -> None:
    found = ["RR", "RR"]
    expression = compiled("%modifier | 'KX'", {"modifier": Type.of("string", many=True)})
    assert list(expression.evaluate(Surroundings({"modifier": found}))) == ["RR", "KX"]
    assert found == ["RR", "RR"]


def test_a_quantity_that_is_read_already_equals_one_still_in_json() -> None:
    read = Quantity(Decimal(2), "L/min")
    raw = {"value": 2, "system": "http://unitsofmeasure.org", "code": "L/min"}
    expression = compiled("%a = %b", {"a": Type.of("Quantity"), "b": Type.of("Quantity")})
    assert expression.truth(Surroundings({"a": [read], "b": [raw]})) is True


def test_where_only_the_run_shows_the_kind_other_kinds_are_unknown() -> None:
    kinds = Type.of("string", "integer", "date", "Quantity", "boolean")
    expression = compiled("%a < %b", {"a": kinds, "b": kinds})
    equal = compiled("%a = %b", {"a": kinds, "b": kinds})

    def asked(first: Any, second: Any) -> tuple[bool | None, bool | None]:
        around = Surroundings({"a": [first], "b": [second]})
        return expression.truth(around), equal.truth(around)

    hour, day = Quantity(Decimal(1), "h"), Quantity(Decimal(1), "d")
    assert asked(1, 2) == (True, False)
    assert asked("a", "b") == (True, False)
    assert asked(hour, day) == (True, False)
    assert asked(parse_date("2026-03"), parse_date("2026-03-05")) == (None, None)
    assert asked(1, "2") == (None, None)
    assert asked(True, 1) == (None, None)
    assert asked(True, False) == (None, False)


def test_a_list_may_come_from_either_branch_of_a_condition() -> None:
    expression = compiled(
        "iif(%flag, %words, 'none')", {"flag": Type.of("boolean"), "words": Type.of("string", many=True)}
    )
    assert list(expression.evaluate(Surroundings({"flag": [True], "words": ["a", "b"]}))) == ["a", "b"]
    assert list(expression.evaluate(Surroundings({"flag": [False], "words": ["a", "b"]}))) == ["none"]


def test_two_concepts_are_equal_if_all_in_them_is() -> None:
    expression = compiled("%a = %b", {"a": Type.of("CodeableConcept"), "b": Type.of("CodeableConcept")})
    assert expression.truth(Surroundings({"a": [{"text": "x"}], "b": [{"text": "x"}]})) is True
    assert expression.truth(Surroundings({"a": [{"text": "x"}], "b": [{"text": "y"}]})) is False
