"""A second opinion: fhirpathpy on the same expressions and resources, wherever both give an answer."""

from __future__ import annotations

from contextlib import redirect_stdout
from decimal import Decimal
from functools import lru_cache
from io import StringIO
from typing import Any

import fhirpathpy
from fhirpathpy.models import models
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from cds_service.fhir.dates import FhirDate
from cds_service.fhir.fhirpath import EvaluationFault
from tests.unit.fhir.surroundings import Surroundings, compiled

# -- resources

texts = st.sampled_from(["Ann", "ann", "Bea", "B", "x y", "Ambu-Bag"])
dates = st.sampled_from(["1960", "1960-02", "1960-02-29", "2005-02-10", "2005-03-31", "2026-01-31"])
codings = st.fixed_dictionaries(
    {"code": st.sampled_from(["a", "b", "c"])}, optional={"system": st.sampled_from(["s", "t"]), "display": texts}
)
concepts = st.fixed_dictionaries({}, optional={"coding": st.lists(codings, max_size=3), "text": texts})
amounts = st.sampled_from([0, 1, 2.5, 21, 55, 87.5, 88, 93])
patients = st.fixed_dictionaries(
    {"resourceType": st.just("Patient")},
    optional={
        "active": st.booleans(),
        "gender": st.sampled_from(["male", "female"]),
        "birthDate": dates,
        "deceasedBoolean": st.booleans(),
        "multipleBirthInteger": st.integers(1, 3),
        "maritalStatus": concepts,
        "name": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "use": st.sampled_from(["official", "usual"]),
                    "family": texts,
                    "given": st.lists(texts, max_size=2),
                },
            ),
            max_size=3,
        ),
    },
)
observations = st.fixed_dictionaries(
    {"resourceType": st.just("Observation"), "status": st.sampled_from(["final", "amended", "preliminary"])},
    optional={
        "code": concepts,
        "method": concepts,
        "effectiveDateTime": dates,
        "valueQuantity": st.fixed_dictionaries({"value": amounts}, optional={"unit": st.just("%")}),
        "note": st.lists(st.fixed_dictionaries({"text": texts}), max_size=2),
        "component": st.lists(
            st.one_of(
                st.fixed_dictionaries({"code": concepts, "valueQuantity": st.fixed_dictionaries({"value": amounts})}),
                st.fixed_dictionaries({"code": concepts, "valueCodeableConcept": concepts}),
                st.fixed_dictionaries({"code": concepts, "valueString": texts}),
            ),
            max_size=3,
        ),
    },
)

# -- expressions

PATHS: dict[str, dict[str, list[str]]] = {
    "Patient": {
        "strings": [
            "gender",
            "name.family",
            "name.given",
            "name.use",
            "maritalStatus.text",
            "maritalStatus.coding.code",
        ],
        "numbers": ["multipleBirth.ofType(integer)"],
        "dates": ["birthDate"],
        "booleans": ["active", "deceased.ofType(boolean)"],
        "lists": ["name", "name.given", "maritalStatus.coding", "contact"],
    },
    "Observation": {
        "strings": [
            "status",
            "code.text",
            "code.coding.code",
            "note.text",
            "component.value.ofType(string)",
            "method.text",
        ],
        "numbers": ["value.ofType(Quantity).value", "component.value.ofType(Quantity).value"],
        "dates": ["effective.ofType(dateTime)"],
        "booleans": ["code.exists(text = 'Ann')", "component.exists(value.ofType(Quantity).value > 21)"],
        "lists": ["component", "code.coding", "note", "(code | method)", "component.code.coding", "component.value"],
    },
}
COMPARISONS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


def _joined(*parts: Any) -> Any:
    return st.tuples(*(part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts)).map("".join)


def conditions_on(paths: dict[str, list[str]]) -> Any:
    """Conditions of our subset over one type of resource, as text."""
    lists = st.sampled_from(paths["lists"])
    literals = st.sampled_from(["'Ann'", "'b'", "'final'"])
    strings = st.one_of(
        _joined(st.sampled_from(paths["strings"]), ".first()"),
        st.sampled_from(["'Ann'", "'b'", "'final'", "{}"]),
        _joined(st.sampled_from(paths["strings"]), ".first().lower()"),
        _joined(st.sampled_from(paths["strings"]), ".first().replace('-', ' ')"),
        _joined("(", st.sampled_from(paths["strings"]), ".first() & 'b')"),
        _joined(lists, ".count().toString()"),
    )
    numbers = st.one_of(
        _joined(st.sampled_from(paths["numbers"]), ".first()"),
        _joined(lists, ".count()"),
        st.sampled_from(["0", "1", "2", "55", "87.5", "-1", "(1 + 1)", "(3 - 2)"]),
        _joined("(", lists, ".count() + 1)"),
        _joined("iif(", st.sampled_from(paths["booleans"]), ", 1, 2)"),
        _joined(lists, ".select(1).aggregate($this + $total, 0)"),
    )
    days = st.one_of(
        st.sampled_from(paths["dates"]),
        st.sampled_from(["@1960", "@1960-02", "@1960-02-29", "@2026-01-31"]),
        # partial dates move by whole units only: theirs lets a year move by a day
        _joined("(", st.sampled_from(paths["dates"]), st.sampled_from([" + 21 years)", " - 36 months)"])),
        _joined("(@2025-11-30", st.sampled_from([" + 3 months)", " - 1 day)", " + 13 weeks)"])),
    )
    atoms = st.one_of(
        st.sampled_from(["true", "false", "{}", *paths["booleans"]]),
        _joined(strings, " ", COMPARISONS, " ", strings),
        _joined(numbers, " ", COMPARISONS, " ", numbers),
        _joined(days, " ", COMPARISONS, " ", days),
        _joined(strings, " in (", st.sampled_from(paths["strings"]), " | 'b')"),
        _joined("(", st.sampled_from(paths["strings"]), ") contains ", strings),
        _joined(lists, st.sampled_from([".exists()", ".empty()", ".first().exists()"])),
        _joined(st.sampled_from(paths["strings"]), ".exists($this.matches('(?i)^a'))"),
        _joined(st.sampled_from(paths["strings"]), ".all($this = ", literals, ")"),
        _joined(st.sampled_from(paths["strings"]), ".where($this != ", literals, ").exists()"),
        _joined("(", st.sampled_from(paths["strings"]), " | ", st.sampled_from(paths["strings"]), ").count() > 1"),
    )
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            _joined("(", inner, st.sampled_from([" and ", " or ", " implies "]), inner, ")"),
            _joined("(", inner, ").not()"),
            _joined("iif(", inner, ", ", inner, ", ", inner, ")"),
        ),
        max_leaves=4,
    )


# The same examples in every run: a difference is a finding to look into, not an accident of the day.
THOROUGH = settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@lru_cache(maxsize=4096)
def _second_opinion(text: str) -> Any:
    with redirect_stdout(StringIO()):  # its parser greets every expression with a word about versions
        return fhirpathpy.compile(text, models["r4"])


def _plain(value: Any) -> Any:
    return value.text if isinstance(value, FhirDate) else float(value) if isinstance(value, Decimal) else value


def _compare(text: str, resource: dict[str, Any]) -> None:
    note(text)
    try:
        ours = [
            _plain(value) for value in compiled(text, focus=resource["resourceType"]).evaluate(Surroundings(), resource)
        ]
    except EvaluationFault:
        return
    try:
        theirs = _second_opinion(text)(resource)
    except Exception:  # theirs answers some legal expressions with an exception of no particular kind
        return
    assert ours == theirs


@settings(parent=THOROUGH)
@given(conditions_on(PATHS["Patient"]), patients)
def test_a_second_implementation_agrees_on_conditions_over_a_patient(text: str, patient: dict[str, Any]) -> None:
    _compare(text, patient)


@settings(parent=THOROUGH)
@given(conditions_on(PATHS["Observation"]), observations)
def test_a_second_implementation_agrees_on_conditions_over_an_observation(
    text: str, observation: dict[str, Any]
) -> None:
    _compare(text, observation)
