"""The shipped questionnaires against R4 (schema, model, invariants) and DTR's profile of a standard questionnaire.

Of DTR, 2.0.1 is the version that is published as a package; what 2.2 adds is written out below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhirpathpy import compile as compile_fhirpath

from tests.conformance.packages import DTR, package, profile_faults, r4_faults
from tests.conformance.statements import requirement

PLANS = Path(__file__).parent.parent.parent / "plans"
PROFILE = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-std-questionnaire"
FORMS = sorted(PLANS.rglob("Questionnaire.json"))
each_form = pytest.mark.parametrize("path", FORMS, ids=[str(one.parent.relative_to(PLANS)) for one in FORMS])


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes()))


def items_of(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in item.get("item", ()):
        yield one
        yield from items_of(one)


@requirement("dtr/spec-12", "dtr/no-conditional-forms")
def test_every_plan_names_the_questionnaire_beside_it() -> None:
    named = {
        (path.parent, part.get("definitionCanonical"))
        for path in PLANS.rglob("PlanDefinition.json")
        for part in read(path)["action"]
        if part["id"] == "criteria"
    }
    held = {(path.parent, f"{form['url']}|{form['version']}") for path in FORMS for form in [read(path)]}
    assert held == named and held


@each_form
def test_a_questionnaire_is_a_sound_r4_resource(path: Path, fhir_folder: Path) -> None:
    form = read(path)
    assert r4_faults(fhir_folder, form) == []
    get_fhir_model_class("Questionnaire").model_validate(form)


@requirement("dtr/profile-std", "dtr/narrative")
@each_form
def test_a_questionnaire_meets_the_profile_of_dtr(path: Path, fhir_folder: Path) -> None:
    assert profile_faults(package(fhir_folder, DTR), PROFILE, read(path)) == []


@each_form
def test_the_invariants_of_the_profile_hold(path: Path, fhir_folder: Path) -> None:
    form = read(path)
    elements = package(fhir_folder, DTR).by_url[PROFILE]["snapshot"]["element"]
    looked_at = 0
    for element in elements:
        where = {"Questionnaire": [form], "Questionnaire.item": list(items_of(form))}.get(element["id"], [])
        for one in element.get("constraint", ()) if where else ():
            # linkIds of a whole form: distinct is what the loader holds, and descendants() is slow here
            if one["key"].startswith(("que-", "sdc-")) and one["key"] != "que-2":
                looked_at += 1
                holds = compile_fhirpath(one["expression"].replace(".trace('type')", "").replace(".trace('item')", ""))
                assert all(holds(each) in ([True], []) for each in where), one["key"]
    assert looked_at > 10


@requirement("dtr/spec-83")
@each_form
def test_what_dtr_2_2_adds_holds_too(path: Path) -> None:
    form = read(path)
    assert form["subjectType"] == ["Patient"]
    # 2.2: item.text 1..1, groups too; 2.0.1 and 2.1: the narrative, which the profile above holds
    assert [one["linkId"] for one in items_of(form) if not one.get("text")] == []
    # sec-4: what is filled from the record is neither hidden nor read-only
    assert [one["linkId"] for one in items_of(form) if "readOnly" in one or "hidden" in json.dumps(one)] == []
    # spec-163: fewer than 40 options, used once, stand in the form itself
    assert [one["linkId"] for one in items_of(form) if "answerValueSet" in one] == []
