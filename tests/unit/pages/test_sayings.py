"""Expressions in words: what is said, what is left as it is written, and that nothing is joined wrongly."""

from __future__ import annotations

import pytest

from cds_service.fhir.fhirpath.parse import parse
from cds_service.pages.page import Saying
from cds_service.pages.sayings import Speaker, Told

ASTHMA, CROUP = "https://x/ValueSet/dx-asthma|1", "https://x/ValueSet/dx-croup|1"
SPEAKER = Speaker(
    Told(
        facts={"asthma": "a Condition of ‘Asthma’ (asthma)", "resting": "any resting"},
        values=frozenset({"low", "under21", "fall", "rentalStart"}),
        dates=frozenset({"rentalStart"}),
        verdicts={"ma.rest": "Low at rest", "ma.long": "A title that is far too long to stand in a sentence " * 2},
        value_sets={ASTHMA: "Asthma", CROUP: "Croup"},
    )
)


def said(text: str) -> str:
    return SPEAKER.condition(parse(text)).line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("value <= 88 '%'", "value is at or below 88 %"),
        ("value > 55 'mm[Hg]'", "value is above 55 mmHg"),
        ("value >= 0.5", "value is at or above 0.5"),
        ("%low", "low holds"),
        ("%low.not()", "low does not hold"),
        ("%asthma.exists()", "there is a Condition of ‘Asthma’ (asthma)"),
        ("%asthma.exists().not()", "there is no Condition of ‘Asthma’ (asthma)"),
        ("%asthma.empty()", "there is no Condition of ‘Asthma’ (asthma)"),
        ("%fall.exists()", "fall is given"),
        ("%line.reason.exists()", "the order’s reason is given"),
        ("%line.code.code = 'E1392'", "the order’s code is ‘E1392’"),
        ("%line.modifier.code contains 'RR'", "the order’s modifier includes ‘RR’"),
        ("(%line.modifier.code contains 'RR').not()", "the order’s modifier does not include ‘RR’"),
        (
            "%coverage.programme.exists($this in ('a' | 'b'))",
            "the coverage’s programme includes ‘a’ or ‘b’",
        ),
        (f"%line.code.memberOf('{ASTHMA}')", "the order’s code is of ‘Asthma’"),
        (f"%line.code.memberOf('{ASTHMA}').not()", "the order’s code is not of ‘Asthma’"),
        (f"code.memberOf('{ASTHMA}') or code.memberOf('{CROUP}')", "code is of ‘Asthma’ or ‘Croup’"),
        ("%patient.birthDate + 21 years > %orderDate", "the patient is under 21 on the order date"),
        ("%patient.birthDate + 21 years <= %orderDate", "the patient is 21 or older on the order date"),
        ("%patient.birthDate + 21 years < %orderDate", "the patient turned 21 before the order date"),
        (
            "%order.reasonReference.exists(resolve().empty())",
            "for one of the order as it came’s reason reference: what it refers to is not given",
        ),
        (
            "%draftOrders.where(code.code = 'E1390').exists()",
            "there is any of the other lines of the draft where (code is ‘E1390’)",
        ),
        ("recordedDate < %orderDate - 90 days", "recorded date is before the day 90 days before the order date"),
        (
            "%line.firstDay + 1 month >= %orderDate",
            "(1 month after the order’s first day) is on or after the order date",
        ),
        ("%`ma.rest`.status = 'not-met'", "‘Low at rest’ (ma.rest) is “not met”"),
        ("%`ma.rest`.status != 'met'", "‘Low at rest’ (ma.rest) is anything but “met”"),
        ("%`ma.rest`.met", "‘Low at rest’ (ma.rest) is met"),
        ("%`ma.rest`.met.not()", "‘Low at rest’ (ma.rest) is not met"),
        ("%`ma.long`.met", "ma.long is met"),
        ("%line.reason.all($this = 'x')", "for every one of the order’s reason, if any: it is ‘x’"),
        ("%line.transaction.exists($this = 'rental')", "the order’s transaction includes ‘rental’"),
        ("%line.transaction.exists($this = 'rental').not()", "the order’s transaction does not include ‘rental’"),
        ("intent.exists($this in ('plan' | 'option')).not()", "intent does not include ‘plan’ or ‘option’"),
        ("doNotPerform.exists($this = true).not()", "do not perform is not yes"),
        (f"%line.concept.exists(memberOf('{ASTHMA}'))", "one of the order’s concept is of ‘Asthma’"),
        (f"%line.concept.exists(memberOf('{ASTHMA}')).not()", "none of the order’s concept is of ‘Asthma’"),
        ("%line.text.exists(matches('(?i)kit'))", "one of the order’s text matches the pattern ‘(?i)kit’"),
        (
            "lower().replace('a', '').replace('b', '').matches('^x$')",
            "(it in any letter case, without ‘a’ and ‘b’) matches the pattern ‘^x$’",
        ),
        ("iif(%low, false, true)", "unless low holds"),
        ("iif(%low or %under21, false, true)", "unless (low holds or under21 holds)"),
        ("iif(%low, true, {})", "low holds (otherwise not known)"),
        ("iif(%low, true)", "low holds (otherwise not known)"),
        ("text.matches('(?i)kit')", "text matches the pattern ‘(?i)kit’"),
        ("{}", "not known, whatever is on record"),
    ],
)
def test_a_condition_is_said_in_words(text: str, words: str) -> None:
    assert said(text) == words


def test_absence_that_proves_nothing_is_said_to_be_not_known() -> None:
    assert said("%asthma.exists() or {}") == "there is a Condition of ‘Asthma’ (asthma) (otherwise not known)"


def test_what_is_open_as_a_whole_is_not_said_of_its_last_part() -> None:
    assert said("%resting.exists(value = 1) or {}") == "(for one of resting: value is 1) (otherwise not known)"
    assert said("%resting.exists(value = 1 or {})") == "for one of resting: value is 1 (otherwise not known)"
    assert said("(%low and %under21) or {}") == "(low holds and under21 holds) (otherwise not known)"
    assert said("iif(%low, %under21, false) or {}") == (
        "(if low holds: under21 holds; otherwise: no) (otherwise not known)"
    )


def test_any_of_some_values_says_that_none_at_all_is_not_known() -> None:
    words = said("iif(%resting.exists(), %resting.exists(value <= 88 '%'))")
    assert words == "for one of resting (not known where there is none): value is at or below 88 %"


def test_only_the_idiom_is_said_as_the_idiom() -> None:
    assert said("iif(%asthma.exists(), %resting.exists(value <= 88 '%'))") == (
        "if there is a Condition of ‘Asthma’ (asthma): (for one of resting: value is at or below 88 %); "
        "otherwise: not known"
    )


def test_what_is_asked_of_each_item_never_runs_into_its_neighbours() -> None:
    words = said("%resting.exists(value = 1 and value = 2) and %low")
    assert words == "(for one of resting: value is 1 and value is 2) and low holds"


def test_and_within_or_is_bracketed_and_so_is_what_is_open() -> None:
    assert said("%low or (%under21 and %fall.exists())") == "low holds or (under21 holds and fall is given)"
    assert said("(%low or %under21 or {}) and %fall.exists()") == (
        "(low holds or under21 holds (otherwise not known)) and fall is given"
    )


def test_not_of_a_group_keeps_its_meaning() -> None:
    assert SPEAKER.condition(parse("(%low or %under21).not()")).joined == "none"
    assert SPEAKER.condition(parse("(%low and %under21).not()")).joined == "not-all"
    assert said("(%low or {}).not()") == "not so: low holds (otherwise not known)"


def test_implies_is_said_as_not_the_one_or_the_other() -> None:
    assert said("%low implies %under21") == "low does not hold or under21 holds"


def test_what_has_no_words_stands_as_it_is_written() -> None:
    folded = "component.aggregate(iif($total = 'a', $this, 'b'), 'a').exists()"
    assert said(folded) == f"«{folded.removesuffix('.exists()')}» is given"
    assert "«" in said("value.replace('a', 'b') = 'c'")


def test_parts_stay_parts_so_that_a_page_can_show_them_as_a_list() -> None:
    saying = SPEAKER.condition(parse("%low and (%under21 or %fall.exists())"))
    assert saying == Saying(
        joined="all",
        parts=(
            Saying("low holds"),
            Saying(joined="any", parts=(Saying("under21 holds"), Saying("fall is given"))),
        ),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(%a | %b).where(c = 1)", "(a and b) where (c is 1)"),
        ("%a.where(c = 1) | %b.where(d = 2)", "a where (c is 1) and b where (d is 2)"),
        ("(%a | %b).reference", "the reference of (a and b)"),
        ("%a.where(c = 1).first()", "the first of (a where (c is 1))"),
        ("%a.where(c = 1).value.first()", "the first of the value of (a where (c is 1))"),
        ("%rentalStart + 3 months - 1 day", "1 day before (3 months after rentalStart)"),
        ("%fall - (%a.value - 2)", "fall minus (a’s value minus 2)"),
    ],
)
def test_a_value_made_of_parts_keeps_them_apart(text: str, words: str) -> None:
    assert SPEAKER.value(parse(text)) == words


def test_what_is_asked_of_a_union_is_asked_of_all_of_it() -> None:
    assert said("(%a | %b).exists(c = 1)") == "for one of (a and b): c is 1"
    assert said("(%a | %b).exists()") == "there is any of (a and b)"
    assert said("(%a | %b).empty()") == "there is none of (a and b)"
    assert said("(%a | %b).reference contains 'x'") == "the reference of (a and b) includes ‘x’"
    assert said("%line.lastDay <= %rentalStart + 3 months - 1 day") == (
        "the order’s last day is on or before the day 1 day before (3 months after rentalStart)"
    )


def test_a_choice_between_values_keeps_its_parts() -> None:
    saying = SPEAKER.yielded(parse("iif(%low, 'in', iif(%under21, 'out'))"))
    assert saying.joined == "if"
    assert saying.line == "if low holds: ‘in’; otherwise: (if under21 holds: ‘out’; otherwise: nothing)"


def test_words_that_are_put_together_show_where_a_value_stands() -> None:
    words = SPEAKER.value(parse("'ask ' & %coverage.programmeName & ' first'"))
    assert words == "“ask [the coverage’s programme name] first”"
