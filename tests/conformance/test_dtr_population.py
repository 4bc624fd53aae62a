"""How packages say that a client fills a form itself: DTR's rules, and what the Inferno payer suite looks at."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from cds_service.dtr.dialects import DTR_20, DTR_21, DTR_22, DTR_22_FHIRPATH, INFERNO_20, Dialect
from tests.conformance.test_dtr_packages import FORMS, answer
from tests.unit.crd.small_call import coverage
from tests.unit.dtr.small_package import bundles, packaged

requirement = pytest.mark.requirement
# one of the policies has nothing in its form that a chart can fill
FILLED = [one for one in FORMS if "/Questionnaire/small" not in one[0] and "carepartners" not in one[0] and not one[2]]
each_form = pytest.mark.parametrize(
    ("canonical", "catalogue", "filled"), FILLED, ids=[one[0].rsplit("/", 1)[-1] for one in FILLED]
)
CQL = [DTR_20, DTR_21, DTR_22, INFERNO_20]


def resources(canonical: str, catalogue: Any, filled: bool, dialect: Dialect) -> list[dict[str, Any]]:
    [bundle] = bundles(answer(canonical, catalogue, filled, dialect), dialect.package_parameter)
    return [one["resource"] for one in bundle["entry"]]


def of_type(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in found if one["resourceType"] == kind]


def initials(items: Any) -> Iterator[dict[str, Any]]:
    for item in items:
        for one in item.get("extension", ()):
            if one["url"].endswith("sdc-questionnaire-initialExpression"):
                yield one["valueExpression"]
        yield from initials(item.get("item", ()))


def named_libraries(form: dict[str, Any]) -> list[str]:
    return [one["valueCanonical"] for one in form["extension"] if one["url"].endswith("/cqf-library")]


@requirement("dtr/oper-12", "dtr/oper-13", "dtr/spec-95", "dtr/spec-98", "dtr/spec-99", "inferno-dtr/1.04")
@each_form
@pytest.mark.parametrize("dialect", CQL, ids=lambda one: one.name)
def test_a_package_brings_each_library_once_with_cql_and_elm_and_what_it_depends_on(
    canonical: str, catalogue: Any, filled: bool, dialect: Dialect
) -> None:
    found = resources(canonical, catalogue, filled, dialect)
    libraries = of_type(found, "Library")
    assert len({one["name"] for one in libraries}) == len(libraries) == 2
    for library in libraries:
        cql, elm = library["content"]
        assert (cql["contentType"], elm["contentType"]) == ("text/cql", "application/elm+json")
        assert base64.b64decode(cql["data"]) and "library" in json.loads(base64.b64decode(elm["data"]))
    here = {f"{one['url']}|{one['version']}" for one in found if one["resourceType"] in ("Library", "ValueSet")}
    assert {one["resource"] for library in libraries for one in library.get("relatedArtifact", ())} <= here


@requirement("dtr/oper-16", "dtr/spec-87")
@each_form
@pytest.mark.parametrize("dialect", [DTR_20, DTR_21, DTR_22], ids=lambda one: one.name)
def test_a_form_names_its_library_with_the_version(
    canonical: str, catalogue: Any, filled: bool, dialect: Dialect
) -> None:
    form, *found = resources(canonical, catalogue, filled, dialect)
    held = {f"{one['url']}|{one['version']}" for one in of_type(found, "Library")}
    assert set(named_libraries(form)) <= held and len(named_libraries(form)) == 1


@requirement("inferno-dtr/1.05", "inferno-dtr/1.06")
@each_form
def test_inferno_finds_a_library_by_its_bare_address_and_cql_on_items(
    canonical: str, catalogue: Any, filled: bool
) -> None:
    form, *found = resources(canonical, catalogue, filled, INFERNO_20)
    assert set(named_libraries(form)) <= {one["url"] for one in of_type(found, "Library")}
    assert not [one for one in form["extension"] if one["url"].endswith("/variable")]
    expressions = list(initials(form["item"]))
    assert expressions and {one["language"] for one in expressions} == {"text/cql"}


@requirement("dtr/spec-86", "dtr/spec-54")
@each_form
def test_2_2_names_a_definition_of_the_library(canonical: str, catalogue: Any, filled: bool) -> None:
    form, *found = resources(canonical, catalogue, filled, DTR_22)
    [library] = [one for one in of_type(found, "Library") if one["name"] != "FHIRHelpers"]
    defined = {
        one["name"]
        for one in json.loads(base64.b64decode(library["content"][1]["data"]))["library"]["statements"]["def"]
    }
    for one in initials(form["item"]):
        assert one["language"] == "text/cql-identifier" and one["expression"] in defined


@requirement("dtr/spec-96")
@each_form
@pytest.mark.parametrize("dialect", [DTR_20, DTR_21], ids=lambda one: one.name)
def test_inline_cql_is_accompanied_by_elm(canonical: str, catalogue: Any, filled: bool, dialect: Dialect) -> None:
    form, *_ = resources(canonical, catalogue, filled, dialect)
    for one in initials(form["item"]):
        [alternative] = one["extension"]
        assert alternative["valueExpression"]["language"] == "application/elm+json"
        assert json.loads(alternative["valueExpression"]["expression"])["type"] == "ExpressionRef"


@requirement("dtr/spec-68", "dtr/sec-3")
@each_form
def test_a_library_says_what_it_fetches_and_fetches_nothing_without_a_code(
    canonical: str, catalogue: Any, filled: bool
) -> None:
    found = resources(canonical, catalogue, filled, DTR_22)
    [library] = [one for one in of_type(found, "Library") if one["name"] != "FHIRHelpers"]
    assert library["dataRequirement"]
    for one in library["dataRequirement"]:
        assert one["codeFilter"][0]["valueSet"]


@requirement("dtr/spec-61")
@each_form
def test_who_asks_for_fhirpath_gets_fhirpath_and_no_library(canonical: str, catalogue: Any, filled: bool) -> None:
    form, *found = resources(canonical, catalogue, filled, DTR_22_FHIRPATH)
    assert of_type(found, "Library") == []
    assert {one["language"] for one in initials(form["item"])} == {"text/fhirpath"}
    [patient] = [one for one in form["extension"] if one["url"].endswith("launchContext")]
    assert patient["extension"][0]["valueCoding"]["code"] == "patient"


@requirement("dtr/sec-4")
@each_form
def test_what_is_filled_from_the_record_is_neither_hidden_nor_read_only(
    canonical: str, catalogue: Any, filled: bool
) -> None:
    form, *_ = resources(canonical, catalogue, filled, DTR_22)
    assert "readOnly" not in json.dumps(form) and "questionnaire-hidden" not in json.dumps(form)


@requirement("inferno-dtr/2.04", "inferno-dtr/2.05")
@each_form
def test_an_adaptive_form_brings_its_library_too(canonical: str, catalogue: Any, filled: bool) -> None:
    given = [("coverage", coverage()), ("questionnaire", canonical)]
    answered = packaged(*given, catalogue=catalogue, dialect=INFERNO_20, adaptive=True)
    [bundle] = bundles(answered, INFERNO_20.package_parameter)
    form, *found = (one["resource"] for one in bundle["entry"])
    assert "item" not in form
    assert named_libraries(form) and set(named_libraries(form)) <= {one["url"] for one in of_type(found, "Library")}
