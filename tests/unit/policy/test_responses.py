"""A response held against its form: what is read of it, and every fault with its place."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.problem import Problem
from cds_service.policy.form import form_of
from cds_service.policy.model import Answer
from cds_service.policy.response_items import MOST_FAULTS
from cds_service.policy.responses import UNTOLD, Response, read_response
from tests.unit.policy.small_form import (
    DONT_KNOW,
    KINDS,
    NO,
    URL,
    YES,
    about,
    coding,
    form,
    item,
    response,
)

LUNG = item("acme-oxygen.lung", YES)
NOW = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)


def read(resource: dict[str, Any], **more: Any) -> Response | list[Problem]:
    return read_response(resource, form(), patient="Patient/p1", latest=NOW, **more)


def sound(resource: dict[str, Any]) -> Response:
    found = read(resource)
    assert isinstance(found, Response), found
    return found


def faults(resource: dict[str, Any]) -> list[Problem]:
    found = read(resource)
    assert isinstance(found, list), found
    assert found
    return found


def only_fault(resource: dict[str, Any]) -> Problem:
    [fault] = faults(resource)
    return fault


def test_yes_no_and_dont_know_are_read_by_link_id() -> None:
    found = sound(response(LUNG, item("acme-oxygen.rest", NO), item("acme-oxygen.stable", DONT_KNOW)))
    authored = datetime.fromisoformat("2026-11-20T09:00:00-05:00")
    assert found.answers == {
        "acme-oxygen.lung": Answer("yes", authored, "QuestionnaireResponse/r1"),
        "acme-oxygen.rest": Answer("no", authored, "QuestionnaireResponse/r1"),
        "acme-oxygen.stable": Answer("dont-know", authored, "QuestionnaireResponse/r1"),
    }


def test_a_choice_gives_its_code_and_texts_papers_and_the_attestation_no_answer() -> None:
    rest = item("acme-oxygen.rest", {**YES, "item": [item("acme-oxygen.rest.found", {"valueString": "SpO2 87 %"})]})
    flow = item("ask.flow", {"valueQuantity": {"value": 2, "unit": "L/min"}})
    report = item("doc.report.file", {"valueAttachment": {"contentType": "application/pdf", "data": "JVBERg=="}})
    whole = response(LUNG, rest, item("ask.kind", coding(KINDS, "rental")), flow, report)
    whole["item"].append(item("form.attestation", YES))
    found = {name: answer.value for name, answer in sound(whole).answers.items()}
    assert found == {"acme-oxygen.lung": "yes", "acme-oxygen.rest": "yes", "ask.kind": "rental"}


def test_a_document_that_is_attached_is_given_with_the_answers() -> None:
    pages = ({"valueAttachment": {"data": "JVBERg=="}}, {"valueAttachment": {"url": "Binary/7"}})
    assert sound(response(LUNG, item("doc.report", *pages))).answers["doc.report"].value == "yes"


def test_it_says_which_order_and_coverage_it_is_about_and_under_which_assertion() -> None:
    said = {
        "url": "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information",
        "extension": [{"url": "coverage-assertion-id", "valueString": "a-1"}],
    }
    found = sound(response(extension=[*about("DeviceRequest/o1", "Coverage/c1", "Encounter/e1"), said]))
    assert found.orders == {"DeviceRequest/o1"}
    assert found.coverages == {"Coverage/c1"}
    assert found.context == "a-1"


def test_an_amended_response_is_read_as_a_completed_one() -> None:
    assert sound(response(status="amended")).answers["acme-oxygen.lung"].value == "yes"


def test_an_item_without_an_answer_is_no_answer() -> None:
    assert set(sound(response(LUNG, {"linkId": "acme-oxygen.rest"}, item("acme-oxygen.stable"))).answers) == {
        "acme-oxygen.lung"
    }


@pytest.mark.parametrize(
    ("change", "where", "code"),
    [
        ({"questionnaire": f"{URL}|2019-01-01"}, "questionnaire", "not-found"),
        ({"questionnaire": URL}, "questionnaire", "not-found"),
        ({"questionnaire": "https://elsewhere.example.org/Questionnaire/phq-9|1"}, "questionnaire", "not-found"),
        ({"questionnaire": None}, "questionnaire", "not-found"),
        ({"questionnaire": 7}, "questionnaire", "not-found"),
        ({"status": "in-progress"}, "status", "business-rule"),
        ({"status": "stopped"}, "status", "business-rule"),
        ({"status": "entered-in-error"}, "status", "business-rule"),
        ({"status": "done"}, "status", "code-invalid"),
        ({"status": None}, "status", "code-invalid"),
        ({"subject": {"reference": "Patient/p2"}}, "subject", "business-rule"),
        ({"subject": None}, "subject", "required"),
        ({"subject": "Patient/p1"}, "subject", "required"),
        ({"authored": None}, "authored", "required"),
        ({"authored": "2026-11"}, "authored", "required"),
        ({"authored": "2026-02-30"}, "authored", "required"),
        ({"authored": 20261120}, "authored", "required"),
        ({"authored": "2027-01-01"}, "authored", "value"),
        ({"modifierExtension": [{"url": "urn:not"}]}, "modifierExtension", "extension"),
        ({"implicitRules": "urn:other"}, "implicitRules", "extension"),
        ({"item": {}}, "item", "structure"),
        ({"item": [7]}, "item[0]", "required"),
    ],
)
def test_what_is_wrong_with_the_head_is_said_with_its_element(change: dict[str, Any], where: str, code: str) -> None:
    found = {(one.where, one.code) for one in faults(response(**change))}
    assert (where, code) in found


@pytest.mark.parametrize(
    ("items", "name", "code"),
    [
        ([LUNG, item("acme-oxygen.rests", YES)], "acme-oxygen.rests", "not-found"),
        ([LUNG, item("acme-oxygen.stable", {"valueBoolean": True})], "acme-oxygen.stable", "value"),
        ([LUNG, item("acme-oxygen.stable", {"valueString": "yes"})], "acme-oxygen.stable", "value"),
        ([LUNG, item("acme-oxygen.stable", {**YES, "valueString": "yes"})], "acme-oxygen.stable", "value"),
        ([LUNG, item("acme-oxygen.stable", {"valueCoding": "Y"})], "acme-oxygen.stable", "value"),
        ([LUNG, item("acme-oxygen.stable", {})], None, None),
        ([LUNG, item("acme-oxygen.stable", coding(KINDS, "rental"))], "acme-oxygen.stable", "code-invalid"),
        ([LUNG, item("acme-oxygen.stable", {"valueCoding": {"code": "Y"}})], "acme-oxygen.stable", "code-invalid"),
        ([LUNG, item("acme-oxygen.stable", YES, NO)], "acme-oxygen.stable", "structure"),
        ([LUNG, item("acme-oxygen.stable", YES), item("acme-oxygen.stable", NO)], "acme-oxygen.stable", "duplicate"),
        ([LUNG, {"linkId": "acme-oxygen.stable", "answer": YES}], "acme-oxygen.stable", "structure"),
        ([LUNG, item("acme-oxygen.stable", "yes")], "acme-oxygen.stable", "structure"),  # type: ignore[arg-type]
        ([LUNG, item("acme-oxygen.rest.found", {"valueString": "87 %"})], "acme-oxygen.rest.found", "structure"),
        ([LUNG, item("ask.flow", {"valueQuantity": {"value": "2"}})], "ask.flow", "value"),
        ([LUNG, item("ask.flow", {"valueDecimal": 2})], "ask.flow", "value"),
        ([LUNG, item("doc.report", {"valueAttachment": {"title": "nothing in it"}})], "doc.report", "value"),
        ([LUNG, item("doc.report", {"valueAttachment": {"data": ""}})], "doc.report", "value"),
        ([LUNG, item("doc.report", {"valueAttachment": {"data": "%%%%"}})], "doc.report", "value"),
        ([LUNG, item("doc.report", {"valueAttachment": {"data": "", "url": "Binary/1"}})], "doc.report", "value"),
        ([LUNG, item("doc.report", {"valueAttachment": {"url": " "}})], "doc.report", "value"),
        ([LUNG, item("acme-oxygen.child", YES)], "acme-oxygen.child", "business-rule"),
        (
            [LUNG, item("ask.kind", coding(KINDS, "purchase")), item("acme-oxygen.child", YES)],
            "acme-oxygen.child",
            "business-rule",
        ),
        ([item("acme-oxygen.stable", YES)], "acme-oxygen.lung", "required"),
        ([LUNG, {**item("acme-oxygen.stable", YES), "modifierExtension": [{}]}], "acme-oxygen.stable", "extension"),
        ([LUNG, item("acme-oxygen.stable", {**YES, "modifierExtension": [{}]})], "acme-oxygen.stable", "extension"),
    ],
)
def test_a_fault_of_an_item_names_its_link_id(items: list[dict[str, Any]], name: str | None, code: str | None) -> None:
    if name is None:
        assert "acme-oxygen.stable" not in sound(response(*items)).answers
        return
    found = only_fault(response(*items))
    assert f"(linkId '{name}')" in found.where
    assert found.code == code
    assert found.fix


def test_an_enabled_question_may_be_answered_and_a_disabled_one_may_stand_there_empty() -> None:
    rental = item("ask.kind", coding(KINDS, "rental"))
    assert "acme-oxygen.child" in sound(response(LUNG, rental, item("acme-oxygen.child", YES))).answers
    assert "acme-oxygen.child" not in sound(response(LUNG, {"linkId": "acme-oxygen.child"})).answers


def test_every_fault_is_told_at_once() -> None:
    items = (item("acme-oxygen.nothing", YES), item("acme-oxygen.stable", {"valueBoolean": True}))
    found = faults(response(*items, status="in-progress", subject={"reference": "Patient/p2"}))
    assert len(found) == 5  # the required one too


def test_no_fault_quotes_an_answer() -> None:
    secret = "Mrs Example of 1 Some Street"
    bad = response(
        item("acme-oxygen.stable", {"valueString": secret}),
        item("ask.flow", {"valueQuantity": {"value": secret}}),
        item("acme-oxygen.rest", {"valueCoding": {"system": secret, "code": secret}}),
        status=secret,
        subject={"reference": f"Patient/{secret}"},
        questionnaire=f"{URL}|{secret}",
        authored=secret,
    )
    assert not any(secret in str(one) for one in faults(bad))


def test_an_adaptive_response_is_held_against_what_it_was_asked() -> None:
    contained = {
        "resourceType": "Questionnaire",
        "id": "asked",
        "derivedFrom": [f"{URL}|2024-06-01"],
        "item": [{"linkId": "acme-oxygen", "type": "group", "item": [{"linkId": "acme-oxygen.child"}]}],
    }
    # neither the required question nor the one that enables this one was put: the chart had decided them
    found = sound(response(item("acme-oxygen.child", YES), questionnaire="#asked", contained=[contained]))
    assert set(found.answers) == {"acme-oxygen.child"}
    lost = response(item("acme-oxygen.child", YES), questionnaire="#nowhere", contained=[contained])
    assert "questionnaire" in {one.where for one in faults(lost)}


def test_a_response_is_read_no_further_than_serves_anybody() -> None:
    wrong = [item(f"acme-oxygen.stables{number}", YES) for number in range(100_000)]
    assert len(faults(response(*wrong))) == MOST_FAULTS
    empty = [{"linkId": "doc.report"}] * 100_000
    assert [one.code for one in faults(response(LUNG, *empty))] == ["too-long"]


JUNK = st.sampled_from(
    [None, True, 0, -1, 1e308, "", "Y", "\x00", [], {}, [[]], [None], {"linkId": 7}, {"valueCoding": 7}]
)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A sound response with something else in a few places."""
    found = response(LUNG, item("acme-oxygen.rest", {**YES, "item": [item("acme-oxygen.rest.found", YES)]}))
    found["extension"] = about("DeviceRequest/o1", "Coverage/c1")
    found = copy.deepcopy(found)
    for _ in range(draw(st.integers(1, 3))):
        node: Any = found
        while isinstance(node, dict | list) and node:
            key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else list(range(len(node)))))
            inner = node[key]
            if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
                node[key] = copy.deepcopy(draw(JUNK))
                break
            node = inner
    return found


@given(mutated())
def test_whatever_is_sent_is_a_response_or_a_list_of_faults(resource: dict[str, Any]) -> None:
    before = copy.deepcopy(resource)
    found = read(resource)
    assert isinstance(found, Response) or (found and all(isinstance(one, Problem) for one in found))
    assert resource == before


# -- what a program filled in -----------------------------------------------------------------------------

ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"


def of_origin(answer: dict[str, Any], source: str) -> dict[str, Any]:
    told = {"url": ORIGIN, "extension": [{"url": "source", "valueCode": source}]}
    return {**answer, "extension": [told]}


@pytest.mark.parametrize("source", ["auto", "auto-server", "auto-client"])
def test_what_was_filled_in_from_the_chart_is_no_statement_of_its_own(source: str) -> None:
    """An old value of the chart must not come back under the day of the response."""
    found = sound(response(item("acme-oxygen.lung", of_origin(YES, source)), item("acme-oxygen.rest", NO)))
    assert set(found.answers) == {"acme-oxygen.rest"}


@pytest.mark.parametrize("source", ["manual", "override"])
def test_what_somebody_wrote_or_changed_counts(source: str) -> None:
    assert set(sound(response(item("acme-oxygen.lung", of_origin(YES, source)))).answers) == {"acme-oxygen.lung"}


# -- what a clumsy or hostile sender does


DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"


def put_by(*links: str, **more: Any) -> dict[str, Any]:
    items = [{"linkId": one} for one in links]
    return {
        "resourceType": "Questionnaire",
        "id": "asked",
        "derivedFrom": [f"{URL}|2024-06-01"],
        "item": items,
        **more,
    }


def test_an_adaptive_response_answers_only_what_its_own_questionnaire_put() -> None:
    # else a question that is not put would be open to whoever leaves out what disables it
    answered = (item("acme-oxygen.lung", NO), item("acme-oxygen.child", YES))
    smuggled = response(*answered, questionnaire="#asked", contained=[put_by("acme-oxygen.child")])
    assert any("acme-oxygen.lung" in one.where and "does not put it" in one.what for one in faults(smuggled))
    assert faults(response(item("acme-oxygen.child", YES), questionnaire="#asked", contained=[put_by()]))


def test_only_a_contained_questionnaire_is_one() -> None:
    other = put_by("acme-oxygen.child", resourceType="Basic")
    bad = response(item("acme-oxygen.child", YES), questionnaire="#asked", contained=[other])
    assert "questionnaire" in {one.where for one in faults(bad)}


@pytest.mark.parametrize("url", [[], {}, 7, None, ["x"]])
def test_an_extension_without_an_address_says_nothing(url: Any) -> None:
    found = sound(response(LUNG, extension=[{"url": url, "valueReference": {"reference": "DeviceRequest/o9"}}]))
    assert found.orders == frozenset()


@pytest.mark.parametrize(
    "reference",
    [{"reference": "#o"}, {"identifier": {"value": "7"}}, {"reference": "o9"}, {"reference": ""}, {}, None, 7],
)
def test_an_order_that_cannot_be_told_is_no_order_at_hand(reference: Any) -> None:
    about_it = {"url": f"{DTR}qr-context", "valueReference": reference}
    assert sound(response(LUNG, extension=[about_it])).orders == {UNTOLD}


@pytest.mark.parametrize(
    ("url", "reference"),
    [
        ("qr-coverage", {"identifier": {"value": "7"}}),
        ("qr-context", {"type": "Coverage", "identifier": {"value": "7"}}),
        ("qr-context", {"type": "Encounter"}),
    ],
)
def test_a_coverage_may_be_known_by_its_number_alone(url: str, reference: Any) -> None:
    found = sound(response(LUNG, extension=[{"url": f"{DTR}{url}", "valueReference": reference}]))
    assert (found.orders, found.coverages) == (frozenset(), frozenset())


def test_a_program_attests_nothing() -> None:
    required = copy.deepcopy(dict(form().resource))
    [attestation] = [one for one in required["item"] if one["linkId"] == "form.attestation"]
    attestation["required"] = True
    by_itself = response(LUNG)
    by_itself["item"].append(item("form.attestation", of_origin(YES, "auto-client")))
    found = read_response(by_itself, form_of(required), patient="Patient/p1", latest=NOW)
    assert isinstance(found, list)
    assert len(found) == 1 and found[0].where.endswith("(linkId 'form.attestation')")
    assert "a person's to attest" in found[0].what
