"""The element table: R4 as published, without what R4B added; views beside it; and what to say of a wrong name."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_service.fhir.elements import ElementTable, Field, View

TABLE = ElementTable(
    {
        "Reading": {"value": Field("Quantity"), "component": Field("Observation.component", many=True)},
        "OrderLine": View({"reason": Field("CodeableConcept", many=True)}, over=("DeviceRequest", "ServiceRequest")),
        "CoverageView": {"programme": Field("string", many=True)},
    }
)


def test_a_plain_element_has_its_type_and_repeats_or_not() -> None:
    birth_date, given = TABLE.element("Patient", "birthDate"), TABLE.element("HumanName", "given")
    assert birth_date is not None and given is not None
    assert birth_date.types == {"date"} and not birth_date.many
    assert given.types == {"string"} and given.many


def test_a_choice_element_is_named_by_its_stem_and_has_a_key_for_each_type() -> None:
    medication = TABLE.element("MedicationRequest", "medication")
    assert medication is not None and medication.choice
    assert set(medication.keys) == {
        ("medicationCodeableConcept", "CodeableConcept"),
        ("medicationReference", "Reference"),
    }
    assert TABLE.element("MedicationRequest", "medicationCodeableConcept") is None


def test_a_backbone_element_is_a_type_named_by_its_path() -> None:
    component = TABLE.element("Observation", "component")
    assert component is not None and component.types == {"Observation.component"}
    assert TABLE.element("Observation.component", "code") is not None
    assert not TABLE.is_type("ObservationComponent")


def test_an_element_that_refers_back_to_its_parent_has_the_parents_type() -> None:
    item = TABLE.element("Questionnaire.item", "item")
    assert item is not None and item.types == {"Questionnaire.item"}


def test_what_came_only_with_r4b_is_unknown() -> None:
    subject = TABLE.element("PlanDefinition", "subject")
    assert subject is not None and subject.types == {"CodeableConcept", "Reference"}
    assert not TABLE.is_type("CodeableReference")


def test_a_view_has_its_own_fields_and_behind_them_the_elements_of_the_order() -> None:
    assert TABLE.field("OrderLine", "reason") == Field("CodeableConcept", many=True)
    assert TABLE.over("OrderLine") == ("DeviceRequest", "ServiceRequest")
    assert {"reason", "priority", "orderDetail", "parameter"} <= set(TABLE.names("OrderLine"))
    assert TABLE.names("Reading") == ("component", "value")


@pytest.mark.parametrize(
    ("type_name", "is_type", "is_resource"),
    [
        ("Patient", True, True),
        ("Resource", True, True),
        ("Quantity", True, False),
        ("string", True, False),
        ("Reading", True, False),
        ("Observation.component", True, False),
        ("Patience", False, False),
        ("string1", False, False),
        ("Patient.nme", False, False),
        ("os.path", False, False),
    ],
)
def test_type_names_are_known_or_not(type_name: str, is_type: bool, is_resource: bool) -> None:
    assert (TABLE.is_type(type_name), TABLE.is_resource(type_name)) == (is_type, is_resource)


@pytest.mark.parametrize(
    ("type_name", "name", "message"),
    [
        ("Patient", "brithDate", "a Patient has no 'brithDate'; it has 'birthDate'"),
        (
            "Observation",
            "valueQuantity",
            "an Observation has no 'valueQuantity'; write 'value', or 'value.ofType(Quantity)'",
        ),
        ("Reading", "unit", "a reading has no 'unit'; it has 'component', 'value'"),
        ("CoverageView", "programmes", "a coverage has no 'programmes'; it has 'programme'"),
        ("OrderLine", "reasons", "an order line has no 'reasons'; it has 'reason', 'reasonCode'"),
        ("date", "year", "a date has no 'year'; it has no elements"),
    ],
)
def test_a_wrong_name_is_answered_with_the_names_near_it(type_name: str, name: str, message: str) -> None:
    assert TABLE.explain_missing(type_name, name) == message


# What plans read or are written in. Types that R4B reworked (Evidence, medicinal products) are read by none.
_TYPES = frozenset(
    """
    Patient Practitioner PractitionerRole Organization Location Coverage InsurancePlan Encounter Condition Observation
    Procedure DiagnosticReport DocumentReference Device DeviceRequest ServiceRequest MedicationRequest Medication
    MedicationStatement NutritionOrder CommunicationRequest VisionPrescription Claim ClaimResponse PlanDefinition
    Questionnaire QuestionnaireResponse ValueSet Appointment Extension Quantity Coding CodeableConcept Period
    Range Ratio Reference Identifier HumanName Address Timing Dosage Annotation Attachment DataRequirement Expression
""".split()  # noqa: SIM905 - a paragraph is easier to read than fifty quoted lines
)


def _published() -> Iterator[dict[str, Any]]:
    folder = Path(os.environ["CDS_TEST_FHIR"]) / "hl7.fhir.r4.core-4.0.1-via-medplum"
    for name in ("profiles-types", "profiles-resources"):
        bundle = json.loads(gzip.decompress((folder / f"{name}.json.gz").read_bytes()))
        for entry in bundle["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] == "StructureDefinition" and resource["name"] in _TYPES:
                yield resource


def _type_codes(element: dict[str, Any]) -> set[str]:
    codes = set()
    for kind in element["type"]:
        exact = [one for one in kind.get("extension", []) if one["url"].endswith("structuredefinition-fhir-type")]
        code = exact[0].get("valueUrl", exact[0].get("valueUri")) if exact else kind["code"]
        codes.add(element["path"] if code in ("BackboneElement", "Element") else code)
    return codes


@pytest.mark.skipif("CDS_TEST_FHIR" not in os.environ, reason="CDS_TEST_FHIR, the folder of HL7's files, is unset")
def test_the_table_is_r4_as_hl7_published_it() -> None:
    differences, types, elements = [], 0, 0
    for definition in _published():
        types += 1
        named: dict[str, set[str]] = {}
        for element in definition["snapshot"]["element"]:
            parent, _, last = element["path"].rpartition(".")
            if not parent:
                continue
            elements += 1
            name = last.removesuffix("[x]")
            named.setdefault(parent, set()).add(name)
            found = TABLE.element(parent, name)
            if found is None:
                differences.append(f"{element['path']} is missing")
            elif found.many != (element["max"] == "*"):
                differences.append(f"{element['path']} has max {element['max']}")
            elif "contentReference" not in element and name != "id" and found.types != _type_codes(element):
                differences.append(f"{element['path']}: {sorted(found.types ^ _type_codes(element))}")
        for parent, names in named.items():
            differences += [f"{parent}.{extra} is not in R4" for extra in set(TABLE.names(parent)) - names]
    # fhir.resources leaves Meta out of the types of an open choice; an extension holding a Meta is read by no plan
    differences = [one for one in differences if not one.endswith("['Meta']")]
    assert not differences
    assert types == len(_TYPES) and elements > 1700
