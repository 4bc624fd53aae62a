"""Finished questionnaires in a call: they decide the criteria that they name, and what does not count is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
import pytest

from cds_service.crd.answer import HookResponse, answer
from cds_service.crd.hook_request import parse_hook_request
from cds_service.crd.queries import Query, Reading
from cds_service.crd.responses import MOST_STORED, StoredResponse
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.form import form_of
from cds_service.policy.load import load_catalogue
from cds_service.policy.model import Determination, Status, Verdict
from tests.fakes import numbered_ids
from tests.unit.crd.small_call import ASKED_AT, bundle, call, coverage, order
from tests.unit.policy.small_form import (
    CANONICAL,
    DONT_KNOW,
    KINDS,
    NO,
    URL,
    YES,
    about,
    coding,
    definitions_with_form,
    item,
    plan_with_form,
    question,
    questionnaire,
    response,
    with_form,
)
from tests.unit.policy.small_plan import row, window
from tests.unit.policy.test_criteria import saturation

PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-05-01"}
LUNG, STABLE, REST = "acme-oxygen.lung", "acme-oxygen.stable", "acme-oxygen.rest"
ALL = (item(LUNG, YES), item(REST, YES), item(STABLE, YES))


def catalogue() -> Catalogue:
    found, problems = load_catalogue(definitions_with_form())
    assert found is not None, problems
    return found


CATALOGUE = catalogue()
SERVER = "https://ehr.example.org/fhir"
SEARCH = Query("QuestionnaireResponse", parameters=(("patient", "p1"),))


def answered(
    *responses: Any,
    stored: tuple[StoredResponse, ...] | None = (),
    held: Catalogue = CATALOGUE,
    chart: tuple[Any, ...] = (),
    orders: tuple[Any, ...] = (),
    readings: tuple[Reading, ...] = (),
    unsent: bool = False,
    server: str | None = SERVER,
    **prefetch: Any,
) -> HookResponse:
    given = {
        "patient": PATIENT,
        "coverage": bundle(coverage()),
        "observations": bundle(*chart),
        "questionnaireResponses": bundle(*responses),
        **prefetch,
    }
    if unsent:
        del given["questionnaireResponses"]
    named = {"fhirServer": server} if server is not None else {}
    request = parse_hook_request(orjson.dumps(call(*orders, prefetch=given, **named)), "order-sign")
    assert not hasattr(request, "what"), request
    request = request.with_chart(readings)  # type: ignore[union-attr]
    found = answer(request, held, ASKED_AT, numbered_ids(), str, stored=stored)
    assert isinstance(found, HookResponse), found
    return found


def determined(*responses: Any, **more: Any) -> Determination:
    return answered(*responses, **more).statements[0].determinations[0]


def verdict(name: str, *responses: Any, **more: Any) -> Verdict:
    return next(one for one in determined(*responses, **more).criteria if one.id == name)


def authored(on: str, *items: Any, **more: Any) -> dict[str, Any]:
    identity = more.pop("id", f"r-{on[:10]}")
    return response(item(LUNG, YES), *items, id=identity, authored=on, **more)


def test_without_a_response_the_questions_are_open_and_with_one_they_are_met() -> None:
    before, after = determined(), determined(response(*ALL))
    assert before.root is not None and before.root.status is Status.UNKNOWN
    assert before.doc_needed == ("clinical",)
    assert after.root is not None and after.root.status is Status.MET
    assert not [one for one in after.criteria if one.asked]


def test_an_answer_is_evidence_with_its_day_and_its_response() -> None:
    found = verdict(STABLE, response(*ALL))
    assert found.status is Status.MET
    [evidence] = found.evidence
    assert (evidence.reference, evidence.display) == ("QuestionnaireResponse/r1", "answered yes on 2026-11-20")


def test_no_is_not_met_and_dont_know_stays_open_and_is_said() -> None:
    assert verdict(STABLE, response(item(LUNG, YES), item(STABLE, NO))).status is Status.NOT_MET
    unsure = verdict(STABLE, response(item(LUNG, YES), item(STABLE, DONT_KNOW)))
    assert unsure.status is Status.UNKNOWN and unsure.asked
    assert unsure.reason is not None and "answered dont know on 2026-11-20" in unsure.reason


def test_an_answer_decides_the_criterion_that_it_names_and_no_other() -> None:
    found = determined(response(item(LUNG, YES)))
    assert [one.id for one in found.criteria if one.status is Status.MET] == [LUNG]


def test_the_newer_answer_counts_and_the_older_one_is_shown_against_it() -> None:
    old, new = authored("2026-11-10T09:00:00Z", item(STABLE, YES)), authored("2026-11-12T09:00:00Z", item(STABLE, NO))
    for pair in ((old, new), (new, old)):
        found = verdict(STABLE, *pair)
        assert found.status is Status.NOT_MET
        assert found.evidence[0].reference == "QuestionnaireResponse/r-2026-11-12"
        assert [one.reference for one in found.conflicts] == ["QuestionnaireResponse/r-2026-11-10"]


def test_a_question_that_the_newer_response_leaves_out_keeps_its_older_answer() -> None:
    old, new = authored("2026-11-10T09:00:00Z", item(STABLE, YES)), authored("2026-11-12T09:00:00Z")
    assert verdict(STABLE, old, new).evidence[0].reference == "QuestionnaireResponse/r-2026-11-10"


@pytest.mark.parametrize("second", ["2026-11-10T09:00:00Z", "2026-11-10T10:00:00+01:00", "2026-11-10"])
def test_answers_of_the_same_time_that_disagree_leave_it_open(second: str) -> None:
    one = authored("2026-11-10T09:00:00Z", item(STABLE, YES), id="a")
    other = authored(second, item(STABLE, NO), id="b")
    found = verdict(STABLE, one, other)
    assert found.status is Status.UNKNOWN
    assert {each.reference for each in found.conflicts} == {"QuestionnaireResponse/a", "QuestionnaireResponse/b"}
    assert found.reason is not None and "disagree" in found.reason
    # what they agree on is no question
    assert verdict(LUNG, one, other).status is Status.MET


def test_the_newer_of_answer_and_chart_counts_and_their_disagreement_is_said() -> None:
    said_no = response(item(LUNG, YES), item(REST, NO), authored="2026-11-10T09:00:00Z")
    older, newer = saturation(85, "2026-11-01"), saturation(85, "2026-11-15")
    by_answer, by_chart = verdict(REST, said_no, chart=(older,)), verdict(REST, said_no, chart=(newer,))
    assert by_answer.status is Status.NOT_MET
    assert by_answer.reason is not None and "the chart says otherwise" in by_answer.reason
    assert by_chart.status is Status.MET
    assert [one.display for one in by_chart.conflicts] == ["answered no on 2026-11-10"]


# -- what does not count, and says so


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"authored": "2026-08-20T09:00:00Z"}, "more than 90 days before the order date"),
        ({"extension": about("DeviceRequest/other")}, "for another order (DeviceRequest/other)"),
        ({"extension": about("DeviceRequest/o1", "Coverage/c2")}, "under another coverage (Coverage/c2)"),
        ({"status": "in-progress"}, "is in-progress, not completed"),
        ({"questionnaire": f"{URL}|2019-01-01"}, "another version of the questionnaire"),
        ({"questionnaire": URL}, "another version of the questionnaire"),
    ],
)
def test_a_response_that_does_not_count_is_a_candidate_and_says_why(change: dict[str, Any], why: str) -> None:
    found = verdict(STABLE, response(*ALL, **change))
    assert found.status is Status.UNKNOWN
    assert found.reason is not None and why in found.reason
    assert [one.reference for one in found.candidates] == ["QuestionnaireResponse/r1"]


@pytest.mark.parametrize(
    "change",
    [
        {"item": [{"linkId": "acme-oxygen", "item": [item(LUNG, YES), item(STABLE, {"valueBoolean": True})]}]},
        {"authored": None},
        {"authored": "2030-01-01"},
        {"modifierExtension": [{"url": "urn:not"}]},
        {"status": "done"},
    ],
)
def test_a_faulty_response_is_no_evidence_and_what_it_touches_says_so(change: dict[str, Any]) -> None:
    found = determined(response(*ALL, **change))
    touched = {one.id: one for one in found.criteria}
    assert touched[LUNG].status is Status.UNKNOWN
    assert touched[LUNG].reason is not None and "QuestionnaireResponse/r1 cannot be used" in touched[LUNG].reason


def test_an_older_answer_does_not_count_where_a_newer_response_cannot_be_read() -> None:
    good = authored("2026-11-10T09:00:00Z", item(STABLE, YES))
    bad = authored("2026-11-12T09:00:00Z", item(STABLE, {"valueBoolean": False}))
    assert verdict(STABLE, good, bad).status is Status.UNKNOWN
    newer = authored("2026-11-14T09:00:00Z", item(STABLE, YES))
    assert verdict(STABLE, newer, bad).status is Status.MET


def test_another_patients_response_is_no_evidence_and_is_not_pointed_at() -> None:
    foreign = response(*ALL, subject={"reference": "Patient/p2"})
    found = verdict(STABLE, foreign)
    assert found.status is Status.UNKNOWN and not found.candidates
    assert found.reason is not None and "is of another patient (prefetch.questionnaireResponses" in found.reason


def test_a_response_that_does_not_say_whose_it_is_is_no_evidence() -> None:
    assert verdict(STABLE, response(*ALL, subject=None)).status is Status.UNKNOWN


def test_two_responses_of_one_id_that_differ_are_none() -> None:
    other = response(item(LUNG, YES), item(STABLE, NO))
    assert verdict(STABLE, response(*ALL), other).status is Status.UNKNOWN


def test_a_response_to_another_form_changes_nothing() -> None:
    plain = determined()
    assert determined(response(*ALL, questionnaire="https://elsewhere.example.org/Questionnaire/phq-9|1")) == plain
    assert determined(response(*ALL, questionnaire=None)) == plain
    garbage: tuple[Any, ...] = ({"resourceType": "QuestionnaireResponse", "item": 7}, {"resourceType": 7}, None)
    for one in garbage:
        root = determined(one).root
        assert root is not None and root.status is Status.UNKNOWN


def test_a_withdrawn_response_counts_no_more_wherever_it_stands() -> None:
    kept = StoredResponse("r1", response(*ALL))
    assert verdict(STABLE, stored=(kept,)).status is Status.MET
    withdrawn = response(*ALL, status="entered-in-error")
    assert verdict(STABLE, withdrawn, stored=(kept,)).status is Status.UNKNOWN
    assert verdict(STABLE, response(*ALL), stored=(StoredResponse("r1", withdrawn),)).status is Status.UNKNOWN


# -- responses of the store


def test_a_stored_response_counts_for_the_order_of_its_context_and_for_no_other() -> None:
    kept = StoredResponse("r1", response(*ALL), context="a-1", order="DeviceRequest/o1")
    found = answered(stored=(kept,), orders=(order("o1"), order("o2")))
    first, second = (one.determinations[0].root for one in found.statements)
    assert first is not None and first.status is Status.MET
    assert second is not None and second.status is Status.UNKNOWN


def test_of_a_response_that_is_stored_and_in_the_chart_the_newer_counts() -> None:
    old = response(item(LUNG, YES), item(STABLE, YES), authored="2026-11-10T09:00:00Z")
    new = response(item(LUNG, YES), item(STABLE, NO), authored="2026-11-12T09:00:00Z", status="amended")
    assert verdict(STABLE, new, stored=(StoredResponse("r1", old),)).status is Status.NOT_MET
    assert verdict(STABLE, old, stored=(StoredResponse("r1", new),)).status is Status.NOT_MET
    assert verdict(STABLE, old, stored=(StoredResponse("r1", old),)).status is Status.MET


def test_while_the_store_is_away_no_answer_of_the_chart_counts_as_the_newest() -> None:
    old = authored("2026-11-10T09:00:00Z", item(STABLE, YES), id="old")
    new = StoredResponse("new", authored("2026-11-20T09:00:00Z", item(STABLE, NO), id="new"))
    assert verdict(STABLE, old, stored=(new,)).status is Status.NOT_MET
    away = verdict(STABLE, old, stored=None)
    assert away.status is Status.UNKNOWN
    assert [one.reference for one in away.candidates] == ["QuestionnaireResponse/old"]
    assert away.reason is not None and "may not be the newest: what was sent here could not be read" in away.reason


def test_of_more_responses_than_are_read_none_counts_for_the_newest_may_be_among_the_others() -> None:
    def sent(count: int) -> tuple[StoredResponse, ...]:
        return tuple(StoredResponse(f"s{n}", response(*ALL, id=f"s{n}")) for n in range(count))

    assert verdict(STABLE, stored=sent(MOST_STORED)).status is Status.MET
    for chart in ((), (response(*ALL),)):
        found = verdict(STABLE, *chart, stored=sent(MOST_STORED + 1))
        assert found.status is Status.UNKNOWN
        assert "more than 200 were sent here" in str(found)


def test_where_no_server_is_named_a_stored_answer_counts_under_its_assertion_id_alone_and_is_not_shown() -> None:
    assertion = answered(server=None).statements[0].assertion_id
    bound = StoredResponse("r1", response(*ALL), context=assertion, order="DeviceRequest/o1")
    assert verdict(STABLE, stored=(bound,), server=None).status is Status.MET
    for other in (
        replace(bound, context=None, order=None),
        replace(bound, context="another EHR's, of its own DeviceRequest/o1"),
        StoredResponse("r1", response(*ALL, extension=about("DeviceRequest/o1"))),
    ):
        found = verdict(STABLE, stored=(other,), server=None)
        assert found.status is Status.UNKNOWN and not found.candidates
    assert verdict(STABLE, stored=(replace(bound, context=None, order=None),)).status is Status.MET


# -- looking them up


def test_a_call_that_brings_no_responses_is_answered_as_ever() -> None:
    given = {"patient": PATIENT, "coverage": bundle(coverage())}
    request = parse_hook_request(orjson.dumps(call(prefetch=given)), "order-sign")
    found = answer(request, CATALOGUE, ASKED_AT, numbered_ids(), str)  # type: ignore[arg-type]
    assert isinstance(found, HookResponse)
    text = str(found.statements[0].determinations[0])
    assert "QuestionnaireResponse" not in text


def test_responses_that_were_read_from_the_ehr_count() -> None:
    reading = Reading(SEARCH, (bundle(response(*ALL)),))
    assert verdict(STABLE, readings=(reading,)).status is Status.MET


def test_the_template_asks_for_finished_and_withdrawn_ones_where_a_policy_has_a_form() -> None:
    from cds_service.crd.templates import templates

    found = templates(CATALOGUE.types_needed)
    expected = "QuestionnaireResponse?patient={{context.patientId}}&status=completed,amended,entered-in-error"
    assert found["questionnaireResponses"] == expected
    bare, _ = load_catalogue(definitions_with_form()[:-1])
    assert bare is None  # a plan that names a form has it
    assert CANONICAL in {one.questionnaire for one in CATALOGUE.policies}


def test_the_moment_of_an_answer_counts_by_its_instant_whatever_its_offset() -> None:
    assert datetime.fromisoformat("2026-11-10T23:00:00-05:00") > datetime.fromisoformat("2026-11-11T03:00:00+00:00")
    late = authored("2026-11-10T23:00:00-05:00", item(STABLE, NO), id="late")
    early = authored("2026-11-11T03:00:00Z", item(STABLE, YES), id="early")
    assert verdict(STABLE, early, late).status is Status.NOT_MET


def test_of_responses_that_were_cut_off_none_counts_unless_it_was_sent_here_too() -> None:
    page = {**bundle(response(*ALL)), "link": [{"relation": "next", "url": "https://ehr.example.org/fhir?2"}]}
    found = verdict(STABLE, questionnaireResponses=page)
    assert found.status is Status.UNKNOWN
    assert found.reason is not None and "QuestionnaireResponse/r1 may not be the newest" in found.reason
    kept = (StoredResponse("r1", response(*ALL)),)
    assert verdict(STABLE, questionnaireResponses=page, stored=kept).status is Status.MET


# -- conditions that read an answer, where the answers may not all be there


def purchases() -> Catalogue:
    """The small plan, where a rental needs no authorization and a purchase, if the clinician says it is one, does."""
    plan = plan_with_form()
    bought = "%answers.exists(linkId = 'ask.kind' and value = 'purchase')"
    plan["action"][0]["action"] = [
        row("auth.bought", bought, {"covered": "covered", "paNeeded": "conditional", "infoNeeded": "OTH"},
            covered="covered", paNeeded="auth-needed"),
        row("auth.rented", covered="covered", paNeeded="no-auth"),
    ]  # fmt: skip
    found, problems = load_catalogue(with_form(plan, questionnaire()))
    assert found is not None, problems
    return found


BOUGHT = item("ask.kind", coding(KINDS, "purchase"))
FAILED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}


@pytest.mark.parametrize(
    ("given", "pa_needed"),
    [
        ({}, "no-auth"),
        ({"questionnaireResponses": None}, "no-auth"),
        ({"questionnaireResponses": FAILED}, "conditional"),
        ({"questionnaireResponses": bundle(response(item(LUNG, YES), BOUGHT))}, "auth-needed"),
        ({"questionnaireResponses": bundle(response(item(LUNG, {"valueBoolean": True}), BOUGHT))}, "conditional"),
        ({"questionnaireResponses": bundle(response(item(LUNG, YES), BOUGHT, subject=None))}, "conditional"),
        ({"stored": None}, "conditional"),
        ({"readings": (Reading(SEARCH, (), "it answered 500"),), "unsent": True}, "conditional"),
        ({"readings": (Reading(SEARCH, (), "it did not answer in time"),), "unsent": True}, "conditional"),
        ({"readings": (Reading(SEARCH, (), "it answered 403"),), "unsent": True}, "no-auth"),
        ({"readings": (Reading(SEARCH, (), "it answered 404"),), "unsent": True}, "no-auth"),
    ],
)
def test_what_a_condition_reads_of_answers_is_unknown_where_they_could_not_be_read(
    given: dict[str, Any], pa_needed: str
) -> None:
    assert determined(held=purchases(), **given).pa_needed == pa_needed


def test_answers_of_the_same_time_that_disagree_are_no_answer_to_a_condition_either() -> None:
    bought = authored("2026-11-10T09:00:00Z", BOUGHT, id="a")
    rented = authored("2026-11-10T09:00:00Z", item("ask.kind", coding(KINDS, "rental")), id="b")
    assert determined(bought, rented, held=purchases()).pa_needed == "conditional"


def test_an_answer_to_another_order_is_none_to_this_one() -> None:
    other = response(item(LUNG, YES), BOUGHT, extension=about("DeviceRequest/o9"))
    assert determined(other, held=purchases()).pa_needed == "no-auth"


def test_no_authorization_rests_on_an_answer_where_the_chart_could_not_be_read() -> None:
    plan = plan_with_form()
    plan["action"][0]["action"] = [
        row("auth.resting", "%`acme-oxygen.rest`.met", covered="covered", paNeeded="no-auth"),
        row("auth.rest", covered="covered", paNeeded="auth-needed"),
    ]
    held, problems = load_catalogue(with_form(plan, questionnaire()))
    assert held is not None, problems
    assert determined(response(*ALL), held=held).pa_needed == "no-auth"
    said = determined(response(*ALL), held=held, observations=FAILED)
    assert said.pa_needed == "conditional"
    assert "Observation" in " ".join(said.reason)


def test_an_exclusion_that_the_clinician_confirms_is_one() -> None:
    asked = questionnaire()
    asked["item"][0]["item"].append(question("excl.angina"))
    [policy] = CATALOGUE.policies
    held = Catalogue([replace(policy, form=form_of(asked))], CATALOGUE.payers, CATALOGUE.value_sets)
    excluded = determined(response(*ALL, item("excl.angina", YES)), held=held)
    assert [one.id for one in excluded.exclusions] == ["excl.angina"]
    assert excluded.root is not None and excluded.root.status is Status.NOT_MET
    assert determined(response(*ALL, item("excl.angina", NO)), held=held).root != excluded.root


def test_an_answer_that_is_older_than_the_values_that_count_is_asked_again() -> None:
    plan = plan_with_form()
    [resting] = [one for one in plan["action"][1]["input"] if one["id"] == "restingO2"]
    resting["dateFilter"] = window("effective", "%orderDate - 30 days", "%onDate")
    held, problems = load_catalogue(with_form(plan, questionnaire()))
    assert held is not None, problems
    old = authored("2026-10-10T09:00:00Z", item(REST, YES), item(STABLE, YES))
    late = verdict(REST, old, held=held)
    assert late.status is Status.UNKNOWN and late.asked
    assert late.reason is not None and "before 2026-10-22, from when on values count" in late.reason
    assert [one.reference for one in late.candidates] == ["QuestionnaireResponse/r-2026-10-10"]
    # no value bounds the time of this one
    assert verdict(STABLE, old, held=held).status is Status.MET
