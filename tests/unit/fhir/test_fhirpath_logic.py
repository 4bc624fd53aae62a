"""Kleene's three values, the conditional, and what a look-up that failed does to a condition."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.fhirpath import Environment, EvaluationFault, FhirPathError, Type
from tests.unit.fhir.surroundings import Surroundings, compiled, truth, values

THREE = (True, False, None)
TEXT = {True: "true", False: "false", None: "{}"}
FACTS = {
    "failed": Type.of("Observation", many=True),
    "other": Type.of("Observation", many=True),
    "flag": Type.of("boolean"),
    "words": Type.of("string"),
}


def _ranked(value: bool | None) -> float:
    return 0.5 if value is None else float(value)


def _unranked(value: float) -> bool | None:
    return None if value == 0.5 else bool(value)


@pytest.mark.parametrize(("left", "right"), list(product(THREE, THREE)))
def test_and_or_and_implies_follow_kleenes_truth_table(left: bool | None, right: bool | None) -> None:
    first, second = _ranked(left), _ranked(right)
    assert truth(f"{TEXT[left]} and {TEXT[right]}") is _unranked(min(first, second))
    assert truth(f"{TEXT[left]} or {TEXT[right]}") is _unranked(max(first, second))
    assert truth(f"{TEXT[left]} implies {TEXT[right]}") is _unranked(max(1 - first, second))


@pytest.mark.parametrize("value", THREE)
def test_not_turns_true_and_false_round_and_leaves_unknown(value: bool | None) -> None:
    assert truth(f"{TEXT[value]}.not()") is _unranked(1 - _ranked(value))


expressions = st.recursive(
    st.sampled_from(["true", "false", "{}"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or", "implies"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda text: f"{text}.not()"),
    ),
    max_leaves=8,
)


@given(expressions, expressions)
def test_de_morgans_laws_hold_for_three_values(left: str, right: str) -> None:
    assert truth(f"({left} and {right}).not()") is truth(f"{left}.not() or {right}.not()")
    assert truth(f"({left} or {right}).not()") is truth(f"{left}.not() and {right}.not()")


@given(expressions)
def test_what_is_decided_with_an_unknown_stays_decided_when_the_unknown_is_learnt(text: str) -> None:
    before = truth(text)
    if before is not None:
        assert truth(text.replace("{}", "true")) is before
        assert truth(text.replace("{}", "false")) is before


def test_iif_takes_the_else_branch_for_false_and_for_unknown_as_hl7_has_it() -> None:
    assert values("iif(true, 'then', 'else')") == ["then"]
    assert values("iif(false, 'then', 'else')") == ["else"]
    assert values("iif({}, 'then', 'else')") == ["else"]
    assert values("iif(false, 'then')") == []


def test_iif_evaluates_only_the_branch_it_takes() -> None:
    # two items where one is needed would be a fault
    assert values("iif(true, 'then', (1 | 2).toString())") == ["then"]
    assert values("iif(false, (1 | 2).toString(), 'else')") == ["else"]


def test_met_if_any_qualifies_not_met_if_some_are_usable_and_unknown_if_none_is() -> None:
    text = "iif(%other.exists(), %other.exists(status = 'final'))"
    expression = compiled(text, FACTS)
    assert expression.truth(Surroundings({"other": [{"status": "final"}]})) is True
    assert expression.truth(Surroundings({"other": [{"status": "preliminary"}]})) is False
    assert expression.truth(Surroundings({"other": []})) is None


@pytest.mark.parametrize(
    "text", ["'a' and true", "1 or false", "'a'.not()", "iif('a', 1, 2)", "%words.exists() and %words"]
)
def test_only_a_boolean_is_a_condition(text: str) -> None:
    with pytest.raises(FhirPathError, match="takes true, false or"):
        compiled(text, FACTS)


# -- a look-up that failed

FAILED = Surroundings({"failed": [], "other": [{"status": "final"}], "flag": [True]}, failed=frozenset({"failed"}))


@pytest.mark.parametrize(
    "text",
    [
        "%failed.exists()",
        "%failed.empty()",
        "%failed.count() = 0",
        "%failed.exists().not()",
        "(%failed | %other).exists()",
        "%other.exists(status in %failed.status)",
        "%other.where(%failed.empty()).empty()",
        "%flag and %failed.empty()",
        "iif(%failed.exists(), true, true)",
        "iif(%failed.exists(), 'x', 'x') = 'x'",
        "(%flag or %failed.exists()) = true",
    ],
)
def test_what_rests_on_a_failed_look_up_is_unknown_even_exists_and_count(text: str) -> None:
    assert compiled(text, FACTS).truth(FAILED) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("true or %failed.exists()", True),
        ("%flag or %failed.exists()", True),
        ("%flag.not() and %failed.exists()", False),
        ("false implies %failed.exists()", True),
        ("iif(%flag, %other.exists(), %failed.exists())", True),
        ("iif(%flag or %failed.exists(), true, false)", True),
        ("iif(%flag.not() and %failed.exists(), false, true)", True),
        ("%other.exists()", True),
    ],
)
def test_what_the_failed_look_up_cannot_change_is_still_decided(text: str, answer: bool) -> None:
    assert compiled(text, FACTS).truth(FAILED) is answer


def test_an_iif_whose_condition_could_not_be_looked_up_does_not_slide_to_its_else_branch() -> None:
    expression = compiled("iif(%failed.exists(), 'asked', 'free')", FACTS)
    assert list(expression.evaluate(FAILED)) == []
    assert list(expression.evaluate(Surroundings({"failed": []}))) == ["free"]


def test_an_iif_condition_that_is_unknown_for_another_reason_still_takes_the_else_branch() -> None:
    expression = compiled("iif(%flag, 'yes', iif(%failed.exists(), 'asked', 'free'))", FACTS)
    with_unknown_flag = Surroundings({"flag": [], "failed": []}, failed=frozenset({"other"}))
    assert list(expression.evaluate(with_unknown_flag)) == ["free"]


def test_a_list_chosen_by_a_condition_that_could_not_be_looked_up_is_empty() -> None:
    expression = compiled("iif(%failed.exists(), %other, %other)", FACTS)
    assert list(expression.evaluate(FAILED)) == []


def test_a_list_that_rests_on_a_failed_look_up_is_empty() -> None:
    expression = compiled("%other | %failed", FACTS)
    assert list(expression.evaluate(FAILED)) == []


conditions = st.recursive(
    st.sampled_from(["%a", "%b", "%c", "%a.exists()", "%b.empty()", "%c.count() = 1", "true", "false", "{}"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or", "implies"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda text: f"({text}).not()"),
        st.tuples(inner, inner, inner).map(lambda p: f"iif({p[0]}, {p[1]}, {p[2]})"),
    ),
    max_leaves=6,
)
flags = st.sampled_from([[], [True], [False]])


@given(conditions, flags, flags, flags, flags)
def test_a_failed_look_up_never_decides_what_its_success_could_decide_otherwise(
    text: str, first: list[bool], second: list[bool], third: list[bool], found: list[bool]
) -> None:
    """Whatever %c would have been: a condition decided without it is decided the same way with it."""
    expression = compiled(text, dict.fromkeys("abc", Type.of("boolean")))
    without = expression.truth(Surroundings({"a": first, "b": second, "c": third}, failed=frozenset({"c"})))
    if without is not None:
        assert expression.truth(Surroundings({"a": first, "b": second, "c": found})) is without


def test_a_bug_behind_an_expression_is_a_fault_that_keeps_its_cause() -> None:
    class Broken(Environment):
        """Surroundings with a bug: what an expression meets when our own code is wrong."""

        def work_out(self, name: str) -> list[object]:
            raise ZeroDivisionError(name)

    for ask in (compiled("%flag", FACTS).truth, compiled("%flag", FACTS).evaluate):
        with pytest.raises(EvaluationFault, match="ZeroDivisionError in: %flag") as fault:
            ask(Broken())
        assert isinstance(fault.value.__cause__, ZeroDivisionError)


def test_what_is_no_boolean_has_no_truth() -> None:
    with pytest.raises(EvaluationFault, match="str where a boolean is needed"):
        compiled("'x'").truth(Surroundings())


def test_a_condition_with_several_items_is_our_fault_and_says_so() -> None:
    with pytest.raises(EvaluationFault, match="2 items"):
        compiled("%flag", FACTS).truth(Surroundings({"flag": [True, False]}))
