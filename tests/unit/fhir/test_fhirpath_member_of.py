"""memberOf: true, false, or unknown where a concept has no code to look at."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.fhir.codings import ICD10CM, LOINC, keys_of
from cds_service.fhir.fhirpath import FhirPathError, Type
from tests.unit.fhir.surroundings import Codes, Line, Surroundings, compiled

LUNG = "http://x/ValueSet/dx-severe-lung|1"
HELD = {
    LUNG: Codes(frozenset(keys_of({"system": ICD10CM, "code": "J44.9"}))),
    "http://x/ValueSet/dx-angina|1": Codes(frozenset()),
}


def of_condition(code: Any) -> bool | None:
    expression = compiled(f"code.memberOf('{LUNG}')", focus="Condition", value_sets=HELD)
    return expression.truth(Surroundings(), {"resourceType": "Condition", "code": code})


@pytest.mark.parametrize(
    ("coding", "member"),
    [
        ({"system": ICD10CM, "code": "J44.9"}, True),
        ({"system": "http://hl7.org/fhir/sid/icd-10", "code": "j449"}, True),  # system, letter case, dot
        ({"system": ICD10CM, "code": "J45.909"}, False),
        ({"system": LOINC, "code": "J44.9"}, False),
        ({"code": "J44.9"}, None),
        ({"system": ICD10CM}, None),
        ({"system": ICD10CM, "code": ["J44.9"]}, None),
    ],
)
def test_a_coding_is_in_the_set_or_not_or_unknown_without_system_and_code(
    coding: dict[str, Any], member: bool | None
) -> None:
    assert of_condition({"coding": [coding]}) is member


@pytest.mark.parametrize(
    ("concept", "member"),
    [
        ({"coding": [{"system": LOINC, "code": "1"}, {"system": ICD10CM, "code": "J44.9"}]}, True),
        ({"coding": [{"code": "?"}, {"system": LOINC, "code": "1"}]}, False),
        ({"text": "COPD"}, None),
        ({"coding": []}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_concept_is_in_the_set_if_any_coding_is_and_unknown_if_none_can_be_read(
    concept: Any, member: bool | None
) -> None:
    assert of_condition(concept) is member


def test_a_drug_given_as_a_reference_is_unknown() -> None:
    expression = compiled(f"medication.memberOf('{LUNG}')", focus="MedicationRequest", value_sets=HELD)
    assert expression.truth(Surroundings(), {"medicationReference": {"reference": "Medication/1"}}) is None
    coded = {"medicationCodeableConcept": {"coding": [{"system": ICD10CM, "code": "J44.9"}]}}
    assert expression.truth(Surroundings(), coded) is True


def test_all_codings_of_a_line_are_read_as_one_concept() -> None:
    expression = compiled(f"%line.concept.memberOf('{LUNG}')", {"line": Type.of("OrderLine")}, value_sets=HELD)
    both = [{"system": LOINC, "code": "1"}, {"system": ICD10CM, "code": "J44.9"}]
    assert expression.truth(Surroundings({"line": [Line(concept=both)]})) is True
    assert expression.truth(Surroundings({"line": [Line(concept=both[:1])]})) is False
    assert expression.truth(Surroundings({"line": [Line(concept=[])]})) is None


def test_a_quantity_among_the_values_of_a_choice_is_no_concept() -> None:
    expression = compiled(f"component.value.exists(memberOf('{LUNG}').not())", focus="Observation", value_sets=HELD)
    percent = {"value": 87, "system": "http://unitsofmeasure.org", "code": "%"}
    assert expression.truth(Surroundings(), {"component": [{"valueQuantity": percent}]}) is False


@pytest.mark.parametrize(
    ("coding", "member"),
    [({"system": ICD10CM, "code": "J44.9"}, True), ({"system": LOINC, "code": "1"}, False), ({"code": "J44.9"}, None)],
)
def test_a_single_coding_is_asked_by_itself(coding: dict[str, Any], member: bool | None) -> None:
    expression = compiled(f"%line.code.memberOf('{LUNG}')", {"line": Type.of("OrderLine")}, value_sets=HELD)
    assert expression.truth(Surroundings({"line": [Line(code=coding)]})) is member
    assert expression.truth(Surroundings({"line": [Line()]})) is None


@pytest.mark.parametrize(
    ("canonical", "message"),
    [
        ("http://x/ValueSet/dx-severe-lung|2", "value set 'dx-severe-lung|2' is not held; held are 'dx-severe-lung|1'"),
        (
            "http://x/ValueSet/dx-severe-lung",
            "value set 'http://x/ValueSet/dx-severe-lung' is not pinned; "
            "write 'url|version' (held are 'dx-severe-lung|1')",
        ),
        ("http://x/ValueSet/zzz|1", "value set 'zzz|1' is not held; 2 value sets are held, none of a name like it"),
    ],
)
def test_a_value_set_that_is_not_held_or_not_pinned_is_refused_at_load(canonical: str, message: str) -> None:
    with pytest.raises(FhirPathError) as refusal:
        compiled(f"code.memberOf('{canonical}')", focus="Condition", value_sets=HELD)
    assert refusal.value.message == message
    assert (refusal.value.kind, refusal.value.column) == ("value-set", 15)


@pytest.mark.parametrize("text", [f"recordedDate.memberOf('{LUNG}')", f"note.text.memberOf('{LUNG}')"])
def test_only_a_concept_can_be_a_member(text: str) -> None:
    with pytest.raises(FhirPathError, match="takes a Coding or a CodeableConcept"):
        compiled(text, focus="Condition", value_sets=HELD)


def test_a_value_set_that_is_not_written_out_is_refused() -> None:
    with pytest.raises(FhirPathError, match="literal"):
        compiled("code.memberOf('http://x/' & 'y|1')", focus="Condition", value_sets=HELD)


def test_a_list_of_concepts_by_design_is_refused_for_each_may_answer_differently() -> None:
    with pytest.raises(FhirPathError, match=r"exists\(\.\.\.\)"):
        compiled(f"%line.reason.memberOf('{LUNG}')", {"line": Type.of("OrderLine")}, value_sets=HELD)
