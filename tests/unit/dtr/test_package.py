"""What comes back from `$questionnaire-package`: which questionnaires, what is in a package, what is said beside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cds_service.dtr.dialects import DIALECTS, DTR_20, DTR_21, DTR_22, INFERNO_20, QR_CONTEXT, QR_COVERAGE, Dialect
from cds_service.fhir.problem import Problem
from cds_service.policy.form import form_of
from tests.unit.crd.small_call import coverage, order
from tests.unit.dtr.small_form import CANONICAL, URL, asking_catalogue, small_form
from tests.unit.dtr.small_package import answers, bundles, context, draft, issues, packaged
from tests.unit.policy.small_plan import BASE, HCPCS
from tests.unit.policy.test_criteria import saturation

KEPT = context()
COVERAGE = ("coverage", coverage())
BY_CONTEXT = (COVERAGE, ("context", KEPT.id))


def other_patients(resource: dict[str, Any]) -> dict[str, Any]:
    element = "beneficiary" if resource["resourceType"] == "Coverage" else "subject"
    return {**resource, element: {"reference": "Patient/p2"}}


def oxygen(**more: Any) -> dict[str, Any]:
    coding = {"system": HCPCS, "code": "E1390"}
    return {**order(), "codeCodeableConcept": {"coding": [coding]}, **more}


# -- by context -------------------------------------------------------------------------------------------


def test_a_context_gives_its_questionnaire_first_and_one_draft_in_one_bundle() -> None:
    answered = packaged(*BY_CONTEXT, contexts=[KEPT])
    [bundle] = bundles(answered)
    kinds = [one["resource"]["resourceType"] for one in bundle["entry"]]
    assert (bundle["type"], kinds) == ("collection", ["Questionnaire", "QuestionnaireResponse"])
    assert issues(answered) == []
    response = draft(bundle)
    assert (response["status"], response["questionnaire"]) == ("in-progress", CANONICAL)
    assert (response["subject"], response["authored"]) == ({"reference": "Patient/p1"}, "2026-11-21T12:30:00-05:00")
    assert len({one["fullUrl"] for one in bundle["entry"]}) == 2


def test_what_is_decided_is_answered_and_what_was_found_is_told() -> None:
    [bundle] = bundles(packaged(*BY_CONTEXT, contexts=[KEPT]))
    told = {"acme-oxygen.rest": "Y", "acme-oxygen.rest.found": "SpO2 86 %, 2026-11-01 (at rest, on room air)"}
    assert answers(draft(bundle)) == told


def test_what_is_not_decided_is_left_to_the_clinician_and_what_was_found_is_told() -> None:
    half = context(saturation(86, "2026-11-01", room_air=False))
    [bundle] = bundles(packaged(("context", half.id), contexts=[half]))
    assert answers(draft(bundle)) == {"acme-oxygen.rest.found": "SpO2 86 %, 2026-11-01 (at rest; oxygen not recorded)"}


def test_nothing_is_answered_for_the_clinician_to_stand_for() -> None:
    [bundle] = bundles(packaged(*BY_CONTEXT, contexts=[KEPT]))
    assert "form.attestation" not in str(draft(bundle)["item"])


def test_every_answer_says_that_it_is_ours() -> None:
    for dialect, origin in ((DTR_20, "auto"), (DTR_21, "auto"), (DTR_22, "auto-server")):
        [bundle] = bundles(packaged(*BY_CONTEXT, contexts=[KEPT], dialect=dialect), dialect.package_parameter)
        origins = [one["extension"][0]["extension"] for one in each_answer(draft(bundle)["item"])]
        assert origins and all(one == [{"url": "source", "valueCode": origin}] for one in origins)


def each_answer(items: Any) -> Any:
    for item in items:
        yield from item.get("answer", ())
        for one in (item, *item.get("answer", ())):
            yield from each_answer(one.get("item", ()))


def test_a_policy_that_is_gone_says_how_to_learn_what_is_needed() -> None:
    gone = replace(KEPT, policy=f"{BASE}/PlanDefinition/acme-oxygen|1999-01-01")
    answered = packaged(*BY_CONTEXT, contexts=[gone])
    assert bundles(answered) == []
    [(severity, code, text)] = issues(answered)
    assert (severity, code) == ("warning", "not-found") and "Sign the order again" in text


# -- whose, and of which order ----------------------------------------------------------------------------


@pytest.mark.parametrize("given", [("coverage", other_patients(coverage())), ("order", other_patients(oxygen()))])
def test_a_coverage_or_order_of_another_patient_opens_no_context(given: tuple[str, Any]) -> None:
    found = packaged(("context", KEPT.id), given, contexts=[KEPT])
    assert isinstance(found, Problem) and found.kind == "invalid"
    assert "not of the patient of the context" in found.what and "p2" not in str(found)


def test_the_same_id_on_another_server_is_another_patient() -> None:
    ours = replace(KEPT, situation={**KEPT.situation, "base": "https://ehr.example.org/fhir"})
    for server, refused in (("https://ehr.example.org/fhir", False), ("https://elsewhere.example.org/fhir", True)):
        given = coverage(beneficiary={"reference": f"{server}/Patient/p1"})
        found = packaged(("context", KEPT.id), ("coverage", given), contexts=[ours])
        assert isinstance(found, Problem) is refused


def test_two_patients_in_one_call_are_refused() -> None:
    found = packaged(COVERAGE, ("coverage", other_patients(coverage("c2"))), ("questionnaire", URL))
    assert isinstance(found, Problem) and found.where == "parameter[1].resource.beneficiary"


def test_an_order_that_has_nothing_to_do_with_the_context_is_refused() -> None:
    found = packaged(*BY_CONTEXT, ("order", order("o2", "A9999")), contexts=[KEPT])
    assert isinstance(found, Problem)
    assert (found.where, found.what) == ("parameter[2].resource", "none of the orders has to do with the context")


def test_an_order_that_has_moved_on_a_little_is_the_same_order() -> None:
    moved = oxygen(status="active", note=[{"text": "signed"}])
    [bundle] = bundles(packaged(*BY_CONTEXT, ("order", moved), contexts=[KEPT]))
    assert answers(draft(bundle))["acme-oxygen.rest"] == "Y"


def test_an_order_under_a_new_id_is_known_by_what_is_ordered() -> None:
    [bundle] = bundles(packaged(*BY_CONTEXT, ("order", oxygen(id="signed-1")), contexts=[KEPT]))
    assert references(draft(bundle), QR_CONTEXT) == ["DeviceRequest/signed-1"]


def test_the_order_that_was_sent_is_judged_and_where_nothing_is_needed_any_more_that_is_said() -> None:
    angina = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I20.9"}]}
    answered = packaged(*BY_CONTEXT, ("order", oxygen(reasonCode=[angina])), contexts=[KEPT])
    assert bundles(answered) == []
    [(severity, code, text)] = issues(answered)
    assert (severity, code) == ("information", "informational") and "nothing more has to be documented" in text


def test_an_order_that_became_another_is_told_to_be_signed_again() -> None:
    other = order("o1", "A9999")
    answered = packaged(*BY_CONTEXT, ("order", other), contexts=[KEPT])
    assert bundles(answered) == []
    [(_, code, text)] = issues(answered)
    assert code == "business-rule" and "Sign it again" in text


# -- by questionnaire -------------------------------------------------------------------------------------


@pytest.mark.parametrize("canonical", [URL, CANONICAL])
def test_a_questionnaire_that_is_named_comes_with_a_draft_that_is_empty(canonical: str) -> None:
    [bundle] = bundles(packaged(COVERAGE, ("questionnaire", canonical)))
    response = draft(bundle)
    assert (response["questionnaire"], response["subject"]) == (CANONICAL, {"reference": "Patient/p1"})
    assert answers(response) == {} and "item" not in response


def test_a_questionnaire_that_is_named_beside_its_context_is_filled() -> None:
    [bundle] = bundles(packaged(*BY_CONTEXT, ("questionnaire", CANONICAL), contexts=[KEPT]))
    assert answers(draft(bundle))["acme-oxygen.rest"] == "Y"


def test_where_questionnaires_are_named_only_those_come_back() -> None:
    answered = packaged(*BY_CONTEXT, ("questionnaire", "https://other.org/Questionnaire/x"), contexts=[KEPT])
    assert bundles(answered) == []
    [(severity, code, text)] = issues(answered)
    assert (severity, code) == ("warning", "not-found") and "https://other.org/Questionnaire/x" in text


def test_a_version_that_is_not_held_is_told_which_are() -> None:
    [(_, code, text)] = issues(packaged(COVERAGE, ("questionnaire", f"{URL}|2020-01-01")))
    assert code == "not-found" and text.endswith("Held are its versions 2024-06-01.")


def test_a_canonical_that_is_misspelt_is_told_the_nearest() -> None:
    [(_, _, text)] = issues(packaged(COVERAGE, ("questionnaire", URL.replace("oxygen", "oxigen"))))
    assert text.endswith(f"Did you mean {URL}?")


def test_a_questionnaire_beside_one_that_is_not_held_comes_all_the_same() -> None:
    answered = packaged(COVERAGE, ("questionnaire", "https://other.org/q"), ("questionnaire", URL))
    assert len(bundles(answered)) == 1 and len(issues(answered)) == 1


def test_a_questionnaire_of_a_policy_that_was_withdrawn_is_not_handed_out() -> None:
    [policy] = asking_catalogue().policies
    catalogue = asking_catalogue()
    catalogue.policies = (replace(policy, retired=True),)
    answered = packaged(COVERAGE, ("questionnaire", URL), catalogue=catalogue)
    assert bundles(answered) == []
    assert "not in use any more" in issues(answered)[0][2]


# -- since ------------------------------------------------------------------------------------------------


def test_nothing_that_changed_since_is_said_and_not_sent_again() -> None:
    answered = packaged(*BY_CONTEXT, ("changedsince", "2026-11-21T11:00:00-05:00"), contexts=[KEPT])
    assert bundles(answered) == []
    [(severity, _, text)] = issues(answered)
    assert severity == "information" and text.startswith("Nothing has changed")


@pytest.mark.parametrize("since", ["2026-11-21T10:00:00-05:00", "2024-05-01"])
def test_an_order_or_a_form_that_is_newer_is_sent_again(since: str) -> None:
    assert bundles(packaged(*BY_CONTEXT, ("changedsince", since), contexts=[KEPT]))


# -- what a version writes --------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
def test_a_package_is_called_as_its_version_calls_it(dialect: Dialect) -> None:
    answered = packaged(*BY_CONTEXT, ("questionnaire", URL), ("questionnaire", "x"), contexts=[KEPT], dialect=dialect)
    assert isinstance(answered, dict)
    of_22 = dialect.name.startswith("2.2")
    names = ["packagebundle", "outcome"] if of_22 else ["PackageBundle", "operationOutcome"]
    assert [one["name"] for one in answered["parameter"]] == names


def references(response: dict[str, Any], url: str) -> list[str]:
    return [one["valueReference"]["reference"] for one in response["extension"] if one["url"] == url]


def test_order_and_coverage_stand_where_the_version_has_them() -> None:
    for dialect in DIALECTS:
        [bundle] = bundles(packaged(*BY_CONTEXT, contexts=[KEPT], dialect=dialect), dialect.package_parameter)
        response = draft(bundle)
        if dialect.name.startswith("2.2"):
            assert references(response, QR_CONTEXT) == ["DeviceRequest/o1"]
            assert references(response, QR_COVERAGE) == ["Coverage/c1"]
        else:
            assert references(response, QR_CONTEXT) == ["DeviceRequest/o1", "Coverage/c1"]


@pytest.mark.parametrize("dialect", [DTR_20, DTR_21], ids=lambda one: one.name)
def test_a_draft_has_an_item_where_the_version_wants_one(dialect: Dialect) -> None:
    [bundle] = bundles(packaged(COVERAGE, ("questionnaire", URL), dialect=dialect), dialect.package_parameter)
    assert draft(bundle)["item"] == [{"linkId": "acme-oxygen", "text": "Oxygen at home"}]


# -- what a form names ------------------------------------------------------------------------------------


def library(name: str, *depends_on: str, version: str = "1.0.0") -> dict[str, Any]:
    url = f"{BASE}/Library/{name}"
    artifacts = [{"type": "depends-on", "resource": one} for one in depends_on]
    found = {"resourceType": "Library", "id": name, "url": url, "version": version, "name": name, "status": "active"}
    return {**found, "relatedArtifact": artifacts}


def with_libraries(*held: dict[str, Any], library_url: str = f"{BASE}/Library/population") -> Any:
    form = small_form()
    form["extension"] = [{"url": "http://hl7.org/fhir/StructureDefinition/cqf-library", "valueCanonical": library_url}]
    asked = {"linkId": "ask.which", "text": "Which?", "type": "open-choice"}
    form["item"].append({**asked, "answerValueSet": f"{BASE}/ValueSet/dx-lung"})
    catalogue = asking_catalogue()
    catalogue.policies = tuple(replace(one, form=form_of(form)) for one in catalogue.policies)
    catalogue.resources = (*catalogue.resources, *held)
    return catalogue


def sent(bundle: dict[str, Any]) -> list[str]:
    return [f"{one['resource']['resourceType']}/{one['resource'].get('id')}" for one in bundle["entry"][2:]]


def test_libraries_come_with_all_they_depend_on_and_value_sets_each_once() -> None:
    population = library("population", f"{BASE}/Library/shared|1.0.0", f"{BASE}/ValueSet/dx-lung|1")
    shared = library("shared", f"{BASE}/Library/population|1.0.0")  # a circle ends
    catalogue = with_libraries(population, shared)
    [bundle] = bundles(packaged(COVERAGE, ("questionnaire", URL), catalogue=catalogue))
    assert sent(bundle) == ["Library/population", "Library/shared", "ValueSet/dx-lung"]
    form = bundle["entry"][0]["resource"]
    assert form["extension"][0]["valueCanonical"] == f"{BASE}/Library/population|1.0.0"
    assert form["item"][-1]["answerValueSet"] == f"{BASE}/ValueSet/dx-lung|1"


def test_the_inferno_suite_reads_a_library_by_its_bare_url() -> None:
    catalogue = with_libraries(library("population"))
    answered = packaged(COVERAGE, ("questionnaire", URL), catalogue=catalogue, dialect=INFERNO_20)
    [bundle] = bundles(answered, "PackageBundle")
    assert bundle["entry"][0]["resource"]["extension"][0]["valueCanonical"] == f"{BASE}/Library/population"


def test_what_a_form_names_and_nobody_holds_is_told() -> None:
    answered = packaged(COVERAGE, ("questionnaire", URL), catalogue=with_libraries())
    assert len(bundles(answered)) == 1
    [(severity, code, text)] = issues(answered)
    assert (severity, code) == ("warning", "not-found") and f"{BASE}/Library/population" in text


def test_of_two_versions_of_a_library_the_newest_is_meant_where_none_is_named() -> None:
    catalogue = with_libraries(library("population"), library("population", version="1.1.0"))
    [bundle] = bundles(packaged(COVERAGE, ("questionnaire", URL), catalogue=catalogue))
    assert bundle["entry"][0]["resource"]["extension"][0]["valueCanonical"].endswith("|1.1.0")


def test_a_long_value_set_is_left_to_be_expanded() -> None:
    catalogue = with_libraries(library("population"))
    codes = [{"system": "urn:x", "code": str(n)} for n in range(40)]
    held = [one for one in catalogue.resources if one.get("id") != "dx-lung"]
    long = next(one for one in catalogue.resources if one.get("id") == "dx-lung")
    catalogue.resources = (*held, {**long, "expansion": {"timestamp": "2026-11-22", "contains": codes}})
    [bundle] = bundles(packaged(COVERAGE, ("questionnaire", URL), catalogue=catalogue))
    [value_set] = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "ValueSet"]
    assert "expansion" not in value_set and value_set["compose"]


def test_two_orders_have_a_package_each_and_each_draft_names_its_own() -> None:
    second = replace(
        KEPT, situation={**KEPT.situation, "line": {**KEPT.situation["line"], "resource": oxygen(id="o9")}}
    )
    found = bundles(packaged(("context", KEPT.id), contexts=[KEPT, second]))
    assert [references(draft(one), QR_CONTEXT) for one in found] == [["DeviceRequest/o1"], ["DeviceRequest/o9"]]


def test_what_is_known_already_is_told_beside_the_packages() -> None:
    answered = packaged(*BY_CONTEXT, contexts=[KEPT], said=["DeviceRequest/o2: nothing has to be documented."])
    assert len(bundles(answered)) == 1 and "DeviceRequest/o2" in issues(answered)[0][2]


def test_a_call_that_is_about_nothing_is_answered_in_words() -> None:
    answered = packaged(COVERAGE, ("order", oxygen()))
    assert bundles(answered) == [] and issues(answered)[0][0] == "information"
