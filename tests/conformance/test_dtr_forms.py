"""What every packaged form keeps to, in each version of DTR: what it is made of, what it names, what of it is kept."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_service.dtr.dialects import DIALECTS, DTR_20, DTR_21, DTR_22_FHIRPATH, INFERNO_20, Dialect
from tests.conformance.packages import DTR as DTR_PACKAGE
from tests.conformance.packages import package, profile_faults
from tests.conformance.statements import requirement
from tests.conformance.test_dtr_packages import DTR, FORMS, OF_TYPE, answer
from tests.conformance.test_dtr_population import FILLED, initials, named_libraries
from tests.unit.crd.small_call import coverage
from tests.unit.dtr.small_package import bundles, packaged
from tests.unit.web.test_questionnaire_package import COVERAGE, PATH, Service, assertion

each_form = pytest.mark.parametrize(
    ("canonical", "catalogue", "filled"), FORMS, ids=[one[0].rsplit("/", 1)[-1] for one in FORMS]
)
each_filled = pytest.mark.parametrize(
    ("canonical", "catalogue", "filled"), FILLED, ids=[one[0].rsplit("/", 1)[-1] for one in FILLED]
)
# without the small form of the tests, which asks clinicians alone
HELD = [one for one in FORMS if not one[2]]
each_held = pytest.mark.parametrize(
    ("canonical", "catalogue", "filled"), HELD, ids=[one[0].rsplit("/", 1)[-1] for one in HELD]
)
each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
# what a client of DTR must understand on a form, of all that SDC knows
UNDERSTOOD = {
    "questionnaire-itemControl",
    "sdc-questionnaire-initialExpression",
    "sdc-questionnaire-launchContext",
    "sdc-questionnaire-itemPopulationContext",
    "variable",
    "cqf-library",
    "us-ph-alternative-expression-extension",
    "alternativeExpression",
}
NOT_FOR_CLIENTS = {"minValue", "maxValue", "regex", "endpoint", "assemble-expectation", "optionalDisplay"}
OURS = "https://cds.example.org"


def resources(canonical: str, catalogue: Any, filled: bool, dialect: Dialect) -> list[dict[str, Any]]:
    [bundle] = bundles(answer(canonical, catalogue, filled, dialect), dialect.package_parameter)
    return [one["resource"] for one in bundle["entry"]]


def items_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in node.get("item", ()):
        yield one
        yield from items_of(one)


def members(node: Any, name: str) -> Iterator[Any]:
    """The values of a member, wherever it stands."""
    if isinstance(node, list):
        for one in node:
            yield from members(one, name)
    elif isinstance(node, dict):
        if name in node:
            yield node[name]
        for one in node.values():
            yield from members(one, name)


@requirement("dtr/closed-entries", "dtr/dtrb-1", "dtr/one-draft")
@each_form
@each_dialect
def test_a_package_has_its_form_first_one_response_and_nothing_but_libraries_and_value_sets(
    canonical: str, catalogue: Any, filled: bool, dialect: Dialect
) -> None:
    kinds = [one["resourceType"] for one in resources(canonical, catalogue, filled, dialect)]
    assert kinds[0] == "Questionnaire"
    assert kinds.count("QuestionnaireResponse") == kinds.count("Questionnaire") == 1
    assert set(kinds) <= {"Questionnaire", "QuestionnaireResponse", "Library", "ValueSet"}


@requirement("dtr/spec-21", "dtr/spec-18", "dtr/not-modular", "dtr/x-fhir-query")
@each_form
@each_dialect
def test_a_form_needs_nothing_that_a_client_may_lack(
    canonical: str, catalogue: Any, filled: bool, dialect: Dialect
) -> None:
    form = resources(canonical, catalogue, filled, dialect)[0]
    named = {str(one["url"]).rsplit("/", 1)[-1] for listed in members(form, "extension") for one in listed}
    assert {one for one in named if one not in ("name", "type", "description")} <= UNDERSTOOD
    assert not any(list(members(form, name)) for name in NOT_FOR_CLIENTS)
    languages = {one["language"] for one in members(form, "valueExpression")}
    # who asks for FHIRPath asks for queries with it: FHIRPath retrieves nothing
    assert "application/x-fhir-query" not in languages or dialect is DTR_22_FHIRPATH
    assert not [one for one in items_of(form) if "maxLength" in one]


@requirement("dtr/spec-53", "dtr/dtrq-2", "dtr/subject-type", "dtr/item-text")
@each_form
@each_dialect
def test_a_form_says_since_when_it_is_in_force_and_each_choice_has_its_options(
    canonical: str, catalogue: Any, filled: bool, dialect: Dialect
) -> None:
    form = resources(canonical, catalogue, filled, dialect)[0]
    assert form["subjectType"] == ["Patient"] and form["version"]
    assert filled or form["effectivePeriod"]["start"]  # the small form of the tests says no day
    for one in items_of(form):
        assert one["text"] and one["type"] not in ("reference", "quantity")
        assert one["type"] != "choice" or one["answerOption"]


@requirement("dtr/spec-22")
@each_held
def test_what_the_office_answers_comes_after_a_display_that_ends_the_clinical_questions(
    canonical: str, catalogue: Any, filled: bool
) -> None:
    names = [one["linkId"] for one in resources(canonical, catalogue, filled, DTR_21)[0]["item"]]
    assert names.index("form.clinical-end") < names.index("form.attestation")
    assert names.index("form.clinical-end") < names.index("form.documents")


@requirement("dtr/spec-139", "dtr/spec-140", "dtr/spec-141")
@each_form
@each_dialect
def test_a_draft_contains_nothing_and_no_reference_of_it_leads_to_the_payer(
    canonical: str, catalogue: Any, filled: bool, dialect: Dialect
) -> None:
    [response] = [
        one
        for one in resources(canonical, catalogue, filled, dialect)
        if one["resourceType"] == "QuestionnaireResponse"
    ]
    assert "contained" not in response
    references = [one for one in members(response, "reference") if isinstance(one, str)]
    assert references and not [one for one in references if one.startswith(OURS)]


@requirement("dtr/spec-164")
@each_form
@each_dialect
def test_a_package_is_small_enough_for_a_browser(
    canonical: str, catalogue: Any, filled: bool, dialect: Dialect
) -> None:
    # that of the guide's own reference implementation has some 800 kB
    assert len(json.dumps(answer(canonical, catalogue, filled, dialect))) < 800_000


@requirement("dtr/oper-15")
@each_filled
@each_dialect
def test_a_value_set_of_fewer_than_forty_codes_comes_expanded(
    canonical: str, catalogue: Any, filled: bool, dialect: Dialect
) -> None:
    held = {(one["url"], one["version"]): one for one in catalogue.resources if one["resourceType"] == "ValueSet"}
    for one in resources(canonical, catalogue, filled, dialect):
        if one["resourceType"] == "ValueSet":
            codes = held[one["url"], one["version"]]["expansion"]["contains"]
            assert ("expansion" in one) is (len(codes) < 40)


@requirement("dtr/spec-93", "dtr/spec-94")
@each_filled
def test_the_cql_of_a_form_is_of_the_patient_and_hangs_on_no_variable(
    canonical: str, catalogue: Any, filled: bool
) -> None:
    form, *found = resources(canonical, catalogue, filled, DTR_20)
    [library] = [one for one in found if one["resourceType"] == "Library" and one["name"] != "FHIRHelpers"]
    text = base64.b64decode(library["content"][0]["data"]).decode()
    assert text.count("\ncontext ") == text.count("\ncontext Patient") == 1
    assert not [one for one in form["extension"] if one["url"].endswith("/variable")]


@requirement("dtr/spec-97")
@each_filled
@pytest.mark.parametrize("dialect", [DTR_20, DTR_21, INFERNO_20], ids=lambda one: one.name)
def test_inline_cql_names_the_library_of_its_definition(
    canonical: str, catalogue: Any, filled: bool, dialect: Dialect
) -> None:
    form, *found = resources(canonical, catalogue, filled, dialect)
    names = {one["name"] for one in found if one["resourceType"] == "Library"}
    for one in initials(form["item"]):
        assert one["expression"].split(".")[0].strip('"') in names


@requirement("dtr/spec-55")
@each_filled
def test_what_a_library_fetches_are_types_of_us_core_and_orders_of_devices(
    canonical: str, catalogue: Any, filled: bool
) -> None:
    found = resources(canonical, catalogue, filled, DTR_21)
    fetched = {one["type"] for listed in members(found, "dataRequirement") for one in listed}
    of_us_core = {"Condition", "Observation", "DiagnosticReport", "DocumentReference", "ServiceRequest"}
    assert fetched and fetched <= {*of_us_core, "DeviceRequest"}


# -- as the Inferno payer suite looks at it ---------------------------------------------------------------


@requirement("inferno-dtr/1.03", "inferno-dtr/2.03", "inferno-dtr/2.07", "inferno-dtr/2.08")
@each_filled
@pytest.mark.parametrize("adaptive", [False, True])
def test_the_package_that_inferno_asks_for_meets_the_profiles_of_2_0_1(
    canonical: str, catalogue: Any, filled: bool, adaptive: bool, fhir_folder: Path
) -> None:
    given = [("coverage", coverage()), ("questionnaire", canonical)]
    answered = packaged(*given, catalogue=catalogue, dialect=INFERNO_20, adaptive=adaptive)
    assert isinstance(answered, dict)
    guide = package(fhir_folder, DTR_PACKAGE)
    [bundle] = bundles(answered, "PackageBundle")
    assert profile_faults(guide, OF_TYPE["Parameters"], answered) == []
    assert profile_faults(guide, OF_TYPE["Bundle"], bundle) == []
    form = bundle["entry"][0]["resource"]
    profile = f"{DTR}/dtr-questionnaire-adapt-search" if adaptive else OF_TYPE["Questionnaire"]
    assert profile_faults(guide, profile, form) == []
    assert named_libraries(form)


# -- what is kept -----------------------------------------------------------------------------------------


def kept(database: Path) -> dict[str, list[Any]]:
    """Everything that the store holds, table by table."""
    with sqlite3.connect(database) as connection:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        return {name: sorted(map(repr, connection.execute(f'select * from "{name}"'))) for name in names}


@requirement("dtr/sec-9", "dtr/sec-10")
def test_what_a_call_for_a_form_or_its_next_question_brings_is_not_kept(tmp_path: Path) -> None:
    service = Service(tmp_path)
    [signed] = service.sign()
    before = kept(service.database)
    assert any(before.values()), "what the order left behind"
    given = (COVERAGE, ("order", signed), ("context", assertion(signed)))
    [bundle] = bundles(service.ask(*given, path=f"{PATH}?form=adaptive"))
    form, response = (one["resource"] for one in bundle["entry"])
    [where] = [one["valueUrl"] for one in form["extension"] if one["url"].endswith("questionnaireAdaptive")]
    asked = service.client.post(f"{where.removeprefix(OURS)}/Questionnaire/$next-question", json=response)
    assert asked.status_code == 200
    assert kept(service.database) == before


@requirement("dtr/spec-1")
def test_a_form_says_nothing_of_the_app_in_which_it_is_filled(tmp_path: Path) -> None:
    service = Service(tmp_path)
    [signed] = service.sign()
    told = json.dumps([signed, service.ask(COVERAGE, ("context", assertion(signed)))])
    assert "/dtr/" not in told
