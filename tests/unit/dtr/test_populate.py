"""What is answered in a draft, and what is left to the clinician."""

from __future__ import annotations

from typing import Any

from cds_service.dtr.dialects import DTR_22
from cds_service.dtr.populate import populate
from cds_service.policy.form import form_of
from cds_service.policy.model import DocumentVerdict, Evidence, ExclusionVerdict, Status, Verdict
from tests.fakes import determination
from tests.unit.dtr.small_form import found, yes_or_no
from tests.unit.dtr.small_package import answers

VALUE = Evidence("Observation/o", "SpO2 86 %, 2026-11-01")
KINDS = "https://cds-service.example.org/fhir/CodeSystem/kind"


def kind(link_id: str, *items: Any) -> dict[str, Any]:
    options = [{"valueCoding": {"system": KINDS, "code": one, "display": one}} for one in ("bought", "rented")]
    return {"linkId": link_id, "text": "Which?", "type": "choice", "answerOption": options, "item": list(items)}


def when(question: str, system: str, code: str) -> dict[str, Any]:
    return {"question": question, "operator": "=", "answerCoding": {"system": system, "code": code}}


def filled(items: list[dict[str, Any]], *verdicts: Verdict, **more: Any) -> dict[str, Any]:
    form = form_of({"url": "u", "version": "1", "title": "t", "item": items})
    return answers({"item": populate(form, determination(criteria=verdicts, **more), DTR_22)})


def verdict(status: Status, name: str = "a", **more: Any) -> Verdict:
    return Verdict(name, "A", status, **more)


def test_only_what_is_decided_is_answered() -> None:
    form = [yes_or_no("a", "A?")]
    said = {status: filled(form, verdict(status)) for status in Status}
    assert said == {
        Status.MET: {"a": "Y"},
        Status.NOT_MET: {"a": "N"},
        Status.UNKNOWN: {},
        Status.NOT_APPLICABLE: {},
    }


def test_without_a_determination_nothing_is_answered() -> None:
    form = form_of({"url": "u", "version": "1", "title": "t", "item": [yes_or_no("a", "A?", found("a"))]})
    assert populate(form, None, DTR_22) == []


def test_what_might_count_is_told_and_not_answered() -> None:
    form = [yes_or_no("a", "A?"), found("a")]
    assert filled(form, verdict(Status.UNKNOWN, candidates=(VALUE, VALUE))) == {"a.found": VALUE.display}


def test_a_value_is_told_with_how_it_was_taken() -> None:
    taken = Evidence("Observation/o", "SpO2 86 %, 2026-11-01", "at rest; oxygen not recorded")
    form = [yes_or_no("a", "Asleep, at or below 88 %?"), found("a")]
    said = filled(form, verdict(Status.UNKNOWN, candidates=(taken,)))
    assert said == {"a.found": "SpO2 86 %, 2026-11-01 (at rest; oxygen not recorded)"}


def test_what_speaks_against_is_told_too() -> None:
    older = Evidence("Observation/p", "SpO2 95 %, 2026-10-01")
    said = filled([found("a")], verdict(Status.MET, evidence=(VALUE,), conflicts=(older,)))
    assert said == {"a.found": "SpO2 86 %, 2026-11-01; SpO2 95 %, 2026-10-01"}


def test_what_does_not_apply_is_not_told() -> None:
    assert filled([found("a")], verdict(Status.NOT_APPLICABLE, evidence=(VALUE,))) == {}


def test_that_it_stands_on_the_order_itself_is_no_news() -> None:
    assert filled([found("a")], verdict(Status.MET, evidence=(Evidence("DeviceRequest/o1", "this order"),))) == {}


def test_a_group_is_not_answered_for_its_members() -> None:
    assert filled([yes_or_no("a", "A?")], verdict(Status.MET, group=True)) == {}


def test_a_choice_of_kinds_is_the_clinicians() -> None:
    assert filled([kind("a")], verdict(Status.MET)) == {}


def test_nothing_stands_under_a_question_that_is_not_asked() -> None:
    under = yes_or_no(
        "b", "B?", found("b"), enableWhen=[when("a", "http://terminology.hl7.org/CodeSystem/v2-0136", "N")]
    )
    met = verdict(Status.MET, "b", evidence=(VALUE,))
    assert filled([yes_or_no("a", "A?"), under], verdict(Status.MET), met) == {"a": "Y"}
    assert filled([yes_or_no("a", "A?"), under], verdict(Status.NOT_MET), met) == {
        "a": "N",
        "b": "Y",
        "b.found": VALUE.display,
    }


def test_any_or_all_of_several_conditions_ask_a_question() -> None:
    v2 = "http://terminology.hl7.org/CodeSystem/v2-0136"
    conditions = [when("a", v2, "Y"), when("b", v2, "Y")]
    verdicts = (verdict(Status.MET), verdict(Status.NOT_MET, "b"), verdict(Status.MET, "c"))
    asked = [yes_or_no("a", "A?"), yes_or_no("b", "B?")]
    both = [*asked, yes_or_no("c", "C?", enableWhen=conditions, enableBehavior="all")]
    either = [*asked, yes_or_no("c", "C?", enableWhen=conditions, enableBehavior="any")]
    assert "c" not in filled(both, *verdicts) and filled(either, *verdicts)["c"] == "Y"


def test_what_was_found_stands_under_its_question_though_nobody_answered_that() -> None:
    form = form_of({"url": "u", "version": "1", "title": "t", "item": [yes_or_no("a", "A?", found("a"))]})
    [item] = populate(form, determination(criteria=(verdict(Status.UNKNOWN, candidates=(VALUE,)),)), DTR_22)
    [answer] = item["answer"]
    assert answers({"item": [item]}) == {"a.found": VALUE.display}
    assert "valueCoding" not in answer and answer["extension"]


def test_papers_and_exclusions_are_told_and_left_to_be_answered() -> None:
    paper = DocumentVerdict("doc.report", "Report", "on-file", evidence=(Evidence("DocumentReference/d", "Report"),))
    excluded = ExclusionVerdict("excl.x", "X", "fired", evidence=(VALUE,))
    form = [yes_or_no("doc.report", "Report?"), found("doc.report"), yes_or_no("excl.x", "X?"), found("excl.x")]
    said = filled(form, documents=(paper,), exclusions=(excluded,))
    assert said == {"doc.report.found": "Report", "excl.x.found": VALUE.display}
