"""What load refuses, and in which words: where, what, and how to mend it."""

from __future__ import annotations

import pytest

from cds_service.fhir.fhirpath import FhirPathError, Type
from cds_service.fhir.fhirpath.functions import ADMITTED_FUNCTIONS, INSTEAD
from tests.unit.fhir.surroundings import compiled

FACTS = {
    "restingO2": Type.of("Reading", many=True),
    "newestO2": Type.of("Reading"),
    "line": Type.of("OrderLine"),
    "patient": Type.of("Patient"),
    "encounter": Type.of("Encounter"),
    "orderDate": Type.of("date"),
    "flag": Type.of("boolean"),
    "words": Type.of("string", many=True),
    "ma-oxygen.findings": Type.of("CriterionView"),
}


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        # not FHIRPath
        ("", 1, "expected a value, found the end"),
        ("%flag ==", 8, "expected a value, found '='"),
        ("(%flag", 7, "expected ')' to close the bracket, found the end"),
        ("%flag = true garbage", 14, "the expression is complete before 'garbage'; an operator is missing"),
        ("%flag and", 10, "expected a value, found the end"),
        ("and %flag", 1, "expected a value before 'and'"),
        ("%words.exists(", 15, "expected a value, found the end"),
        ("%words.exists($this = 'a'", 26, "expected ')' to close exists(, found the end"),
        ("'open", 1, "the ' that opens here is never closed"),
        ('%words contains "a"', 17, "a string stands in single quotes: 'text'"),
        ("'a\\qb' = 'x'", 3, "unknown escape '\\q'; a backslash itself is written '\\\\'"),
        ("%orderDate > @2026-13-40", 14, "'@2026-13-40' is no date of the calendar; write @YYYY-MM-DD"),
        ("%orderDate > @2026-02-30", 14, "'@2026-02-30' is no date of the calendar; write @YYYY-MM-DD"),
        ("%", 2, "expected the name of a variable behind %, found the end"),
        ("%'flag'", 2, "write a variable's name in backticks: %`name`"),
        ("%flag.$this", 7, "$this cannot stand behind a dot"),
        ("%flag # %flag", 7, "'#' has no meaning here"),
        ("%flag.5", 7, "expected a name, found '5'"),
        ("%flag.and", 7, "'and' is a keyword; an element of that name is written `and`"),
        ("%words.count(1)", 8, "count() takes 0 arguments, not 1"),
        ("iif(%flag)", 1, "iif() takes 2 to 3 arguments, not 1"),
        ("%words.exists(matches('('))", 23, None),
        ("(" * 70 + "1" + ")" * 70, 61, "nested more than 60 deep; name a part as a fact"),
        # outside the subset
        ("today() > %orderDate", 1, "function 'today' is not admitted; use %onDate or %orderDate"),
        ("%words.last() = 'a'", 8, "function 'last' is not admitted; use first(), or narrow with where(...)"),
        ("%words.exsts()", 8, "function 'exsts' is not admitted; did you mean exists?"),
        ("%words.substring(1) = 'a'", 8, "function 'substring' is not admitted"),
        ("%words[0] = 'a'", 7, "the indexer [n] is not admitted; use first(), or narrow with where(...)"),
        ("%flag xor %flag", 7, "operator 'xor' is not admitted; write (a and b.not()) or (a.not() and b)"),
        ("%words.first() ~ 'a'", 16, "operator '~' is not admitted; write ="),
        ("%newestO2.value.value * 2 > 3", 23, "operator '*' is not admitted; state the number that is wanted"),
        ("%flag is boolean", 7, "operator 'is' is not admitted; write ofType(...).exists()"),
        ("%resource.exists()", 1, "the constant %resource is not admitted; begin with a %variable"),
        ("%ucum = 'x'", 1, "the constant %ucum is not admitted; write the URI"),
        (
            "%orderDate > @2026-01-01T10:00",
            14,
            "a literal with a time of day is not admitted; write a date, or use a variable",
        ),
        ("%words.select($index)", 15, "'$index' is not admitted; use $this"),
        (
            "%words.first().matches(%words.first())",
            31,
            "a pattern that is no literal is not admitted in matches(); write it as a string",
        ),
        ("%flag.iif(true, false)", 7, "iif() behind a dot is not admitted; write iif(condition, then, else) by itself"),
        (
            "%patient.where(ofType('Patient').exists()).exists()",
            16,
            "what is not the name of a FHIR type is not admitted in ofType(); write ofType(Quantity)",
        ),
        # names
        ("%restingSat.exists()", 1, "unknown variable %restingSat; did you mean %restingO2?"),
        ("%zzz.exists()", 1, "unknown variable %zzz; it is none of this policy's facts and criteria"),
        (
            "%ma-oxygen.findings.met",
            1,
            "unknown variable %ma; a name with '-' or '.' stands in backticks: %`ma-oxygen.findings`",
        ),
        (
            "%`ma-oxygen.finding`.met",
            1,
            "unknown variable %`ma-oxygen.finding`; did you mean %`ma-oxygen.findings`?",
        ),
        ("%line.reasons.exists()", 7, "an order line has no 'reasons'; it has 'reason', 'reasonCode'"),
        ("%patient.age > 3", 10, None),
        ("%newestO2.valueQuantity > 3", 11, "a reading has no 'valueQuantity'; it has 'value'"),
        ("%patient.birthDate.year = 5", 20, "a date has no 'year'; it has no elements"),
        ("status = 'final'", 1, "'status' has nothing to be read from; begin with a %variable"),
        ("$this = 'final'", 1, "nothing is in focus here; begin with a %variable"),
        ("exists()", 1, "exists() has nothing to work on; begin with a %variable"),
        ("$total = 1", 1, "$total has a meaning only inside aggregate(...)"),
        ("%newestO2.value.ofType(Quantitty)", 17, "'Quantitty' is no type of R4; this is 'Quantity'"),
        # kinds
        (
            "%newestO2.value <= 88",
            17,
            "'<=' compares a Quantity with a number, which can never compare; "
            "write the number with its unit, as in 88 '%', or compare the quantity's value",
        ),
        (
            "%newestO2.activity = 88 '%'",
            20,
            "'=' compares a string with a Quantity, which can never compare",
        ),
        (
            "%orderDate > '2026-01-01'",
            12,
            "'>' compares a date with a string, which can never compare; a date is written @YYYY-MM-DD, without quotes",
        ),
        (
            "%line.code = 'E1390'",
            12,
            "'=' compares a Coding with a string, which can never compare; use memberOf(...), or compare its code",
        ),
        ("%line.code < %line.code", 12, "'<' has no meaning for a Coding"),
        ("%flag < true", 7, "'<' has no meaning for a boolean"),
        ("%words.first() and %flag", 16, "'and' takes true, false or {}, not a string; compare it, or write exists()"),
        (
            "%words.where(lower()).exists()",
            14,
            "where() takes true, false or {}, not a string; compare it, or write exists()",
        ),
        ("%restingO2.value <= 88 '%'", 18, None),
        (
            "%words = 'a'",
            8,
            "'=' takes one item, not a list of string; narrow it with first(), where(...) or exists(...)",
        ),
        (
            "%words.lower() = 'a'",
            8,
            "lower() takes one item, not a list of string; narrow it with first(), where(...) or exists(...)",
        ),
        (
            "%words & 'a' = 'b'",
            8,
            "'&' takes one item, not a list of string; narrow it with first(), where(...) or exists(...)",
        ),
        ("'a' & 1", 5, "'&' joins strings, and this is a number; write toString()"),
        ("'a' + 'b'", 5, "'+' does not join strings; write &"),
        ("%orderDate + 3", 12, "'+' moves a date by a duration; write a number with its unit, as in 7 days"),
        ("%orderDate - @2026", 12, "'-' does not take two dates; move one by a duration and compare"),
        ("%orderDate + 3 'mo'", 14, "a date moves by years, months, weeks or days, not by 'mo'; write 3 months"),
        ("%orderDate + 3 'cm'", 14, "a date moves by years, months, weeks or days, not by 'cm'; write 3 months"),
        ("-%words.first() = 'a'", 1, "'-' takes a number or a quantity, not a string"),
        ("%line.code.toString()", 12, "toString() has no text for a Coding"),
        ("%orderDate.matches('2026')", 12, "matches() works on a string, not a date"),
        (
            "%encounter.length.where(value = @T10:00).exists()",
            33,
            "a time literal is not admitted; compare dates",
        ),
        ("%words.exists(not())", 15, "not() with nothing before it is not admitted; write x.not()"),
        ("%line.code.resolve()", 12, "resolve() takes a Reference or its text, not a Coding"),
    ],
)
def test_a_fault_is_found_at_load_with_its_place_and_its_cure(text: str, column: int, message: str | None) -> None:
    with pytest.raises(FhirPathError) as refusal:
        compiled(text, FACTS)
    assert refusal.value.column == column
    if message is not None:
        assert refusal.value.message == message
    assert str(refusal.value) == f"column {column}: {refusal.value.message}"


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_a_function_outside_the_subset_is_refused_by_name_with_an_alternative(name: str) -> None:
    assert name not in ADMITTED_FUNCTIONS
    with pytest.raises(FhirPathError) as refusal:
        compiled(f"%words.{name}()", FACTS)
    assert refusal.value.kind == "not-admitted"
    assert refusal.value.message == f"function '{name}' is not admitted; {INSTEAD[name]}"


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|b)*c", "(ab){2,}", "(?=a)b", "(?<!a)b", "(a)\\\\1", "(?P<x>a)(?P=x)", "[a-z]+(-[a-z]+)*"]
)
def test_a_pattern_that_could_run_away_is_refused(pattern: str) -> None:
    with pytest.raises(FhirPathError) as refusal:
        compiled(f"%words.exists(matches('{pattern}'))", FACTS)
    assert refusal.value.kind == "not-admitted"


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)\\\\b(deferoxamine|desferal)\\\\b",
        "(?i)^(e1399\\\\W*)?durable medical equipment,? misc",
        "a\\\\)+",
        "[()*]+x",
        "\\\\d{2,}",
    ],
)
def test_a_pattern_without_repetition_inside_repetition_is_admitted(pattern: str) -> None:
    compiled(f"%words.exists(matches('{pattern}'))", FACTS)


def test_times_of_day_are_not_compared() -> None:
    with pytest.raises(FhirPathError, match="times of day is not admitted"):
        compiled("value.ofType(time) = component.value.ofType(time).first()", focus="Observation")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Type.of("string"), "string"),
        (Type.of("DeviceRequest", "ServiceRequest", many=True), "a list of DeviceRequest or ServiceRequest"),
        (Type.of(), "{}"),
    ],
)
def test_a_type_is_said_in_words(kind: Type, words: str) -> None:
    assert str(kind) == words


def test_an_error_in_a_nested_part_is_placed_where_it_stands() -> None:
    text = "%restingO2.exists(value <= 88 '%' or vale <= 55 'mm[Hg]')"
    with pytest.raises(FhirPathError) as refusal:
        compiled(text, FACTS)
    assert text[refusal.value.column - 1 :].startswith("vale")


def test_comments_and_line_breaks_are_part_of_the_language() -> None:
    assert compiled("%flag // why\n and /* not */ %flag", FACTS).reads == {"flag"}


def test_keywords_may_name_elements_behind_a_dot() -> None:
    assert compiled("expansion.contains.code", focus="ValueSet").type == Type.of("code", many=True)
