"""Beside the straight way: drafts, other launches, keys instead of a mouse, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser.charts import KIT, OXIMETER, OXYGEN
from tests.browser.drive import (
    answer_all,
    choose,
    chosen,
    completed,
    item,
    open_questions,
    opened,
    origins,
    signed,
    verdicts,
)
from tests.smart_ehr.authorization import LaunchContext
from tests.smart_ehr.record import Resource
from tests.smart_ehr.server import SmartEhr

EhrWith = Callable[[list[Resource]], SmartEhr]
Shot = Callable[[str], None]
ATTESTATION = "form.attestation"


@pytest.fixture
def kit(page: Any, ehr_with: EhrWith) -> SmartEhr:
    """A record in which an order for a resuscitation kit was signed."""
    ehr = ehr_with(KIT.all)
    signed(page, ehr, KIT.reference)
    return ehr


def ignores(page: Any, *texts: str) -> None:
    """Complaints of the console that a test brings about itself."""
    page.complaints[:] = [one for one in page.complaints if not any(text in one for text in texts)]


# -- drafts -----------------------------------------------------------------------------------------------


def test_a_draft_is_saved_in_the_record_and_gone_on_with_later(page: Any, shot: Shot, kit: SmartEhr) -> None:
    opened(page)
    first, *rest = [one for one in open_questions(page) if one != ATTESTATION]
    choose(page, first, "N")
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("The draft is saved").wait_for()
    shot("saved")
    [draft] = kit.responses()
    assert draft["status"] == "in-progress"
    assert origins(draft)[first] == "manual"

    page.goto(f"{kit.origin}/order/{KIT.reference}")
    opened(page)
    page.get_by_text("Your saved draft was opened again.").wait_for()
    shot("resumed")
    assert chosen(page, first) == "N"
    choose(page, rest[0], "Y")
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("The draft is saved").wait_for()
    [again] = kit.responses()
    assert (again["id"], again["meta"]["versionId"]) == (draft["id"], "2")
    assert origins(again)[first] == origins(again)[rest[0]] == "manual"


def test_a_draft_that_was_changed_elsewhere_is_not_overwritten(page: Any, kit: SmartEhr) -> None:
    opened(page)
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("The draft is saved").wait_for()
    [draft] = kit.responses()
    kit.record.update(draft)
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("changed elsewhere").wait_for()
    [kept] = kit.responses()
    assert kept["meta"]["versionId"] == "2"
    ignores(page, "412")


def test_a_draft_of_a_form_that_is_no_longer_asked_is_ended(page: Any, kit: SmartEhr) -> None:
    [form] = kit.clinic.questionnaires(KIT.reference)
    old = {
        "resourceType": "QuestionnaireResponse",
        "status": "in-progress",
        "questionnaire": f"{form.split('|')[0]}|1999-01-01",
        "subject": {"reference": "Patient/p1"},
        "extension": [
            {
                "url": "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/qr-context",
                "valueReference": {"reference": KIT.reference},
            }
        ],
    }
    kit.record.create(old)
    opened(page)
    page.get_by_text("newer version of this form").wait_for()
    assert [one["status"] for one in kit.responses()] == ["stopped"]


# -- what was filled in -----------------------------------------------------------------------------------


def test_what_the_record_tells_is_filled_in_and_a_change_of_it_is_an_override(
    page: Any, shot: Shot, ehr_with: EhrWith
) -> None:
    ehr = ehr_with(OXYGEN.all)
    signed(page, ehr, OXYGEN.reference)
    opened(page)
    assert chosen(page, "ma-oxygen.dx.severe-lung") == "Y"
    assert "filled in from the record" in item(page, "ma-oxygen.dx.severe-lung").inner_text()
    assert "J44.9" in item(page, "ma-oxygen.dx.severe-lung.found").locator("textarea").input_value()
    choose(page, "ma-oxygen.dx.severe-lung", "N")
    choose(page, "ma-oxygen.stable", "Y")
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("The draft is saved").wait_for()
    shot("overridden")
    [draft] = ehr.responses()
    found = origins(draft)
    assert found["ma-oxygen.dx.severe-lung"] == "override"
    assert found["ma-oxygen.rx.prescriber"] == found["ma-oxygen.dx.severe-lung.found"] == "auto-server"
    assert found["ma-oxygen.stable"] == "manual"


def test_a_question_appears_once_an_earlier_answer_calls_for_it(page: Any, ehr_with: EhrWith) -> None:
    ehr = ehr_with(OXIMETER.all)
    signed(page, ehr, OXIMETER.reference)
    opened(page)
    assert "oh-oximeter.diagnostic.weaning" not in open_questions(page)
    choose(page, "oh-oximeter.monitoring", "diagnostic")
    item(page, "oh-oximeter.diagnostic.weaning").wait_for()
    choose(page, "oh-oximeter.diagnostic.weaning", "Y")
    choose(page, "oh-oximeter.monitoring", "continuous")
    item(page, "oh-oximeter.continuous.unstable").wait_for()
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("The draft is saved").wait_for()
    [draft] = ehr.responses()
    assert "oh-oximeter.diagnostic.weaning" not in json.dumps(draft)


def test_who_signs_in_with_a_role_answers_in_it(page: Any, kit: SmartEhr) -> None:
    kit.authorization.user = "PractitionerRole/dr1-role"
    page.goto(f"{kit.origin}/order/{KIT.reference}")
    opened(page)
    answer_all(page, KIT.answers)
    completed(page)
    [response] = kit.responses()
    assert response["author"] == {"reference": "PractitionerRole/dr1-role"}
    told = json.dumps(response)
    assert '"valueReference": {"reference": "Practitioner/dr1"}' in told and "207RP1001X" in told


# -- other launches ---------------------------------------------------------------------------------------


def test_a_card_opens_the_app_and_says_what_it_is_about(page: Any, shot: Shot, ehr_with: EhrWith) -> None:
    ehr = ehr_with(KIT.all)
    ehr.clinic.configuration = {"dtr-card": True}
    signed(page, ehr, KIT.reference)
    shot("card")
    opened(page, "#open-card")
    assert KIT.form in ehr.clinic.questionnaires(KIT.reference)[0]
    answer_all(page, KIT.answers)
    completed(page)
    assert verdicts(page)["husky-kit"] == "met"


def test_opened_by_itself_the_app_finds_the_order_that_waits(page: Any, shot: Shot, kit: SmartEhr, payer: str) -> None:
    page.goto(f"{payer}/dtr/")
    page.get_by_label("Address of the FHIR server").fill(kit.base)
    shot("start")
    page.get_by_role("button", name="Sign in there").click()
    page.get_by_role("link", name="p1").click()
    page.locator("#asking").wait_for()
    shot("form")
    assert open_questions(page)


def test_an_ehr_may_show_the_app_in_a_frame(page: Any, kit: SmartEhr) -> None:
    page.goto(f"{kit.origin}/framed/{KIT.reference}")
    page.frame_locator("iframe").locator("#asking").wait_for()


def test_a_draft_that_the_ehr_opens_leads_to_its_order(page: Any, kit: SmartEhr, payer: str) -> None:
    opened(page)
    choose(page, "husky-kit.contents", "N")
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("The draft is saved").wait_for()
    [draft] = kit.responses()
    about = ({"reference": f"QuestionnaireResponse/{draft['id']}"},)
    handle = kit.authorization.launch(LaunchContext("p1", "Practitioner/dr1", about))
    page.goto(f"{payer}/dtr/launch?iss={quote(kit.base)}&launch={handle}")
    page.locator("#asking").wait_for()
    assert chosen(page, "husky-kit.contents") == "N"


def test_of_several_orders_that_wait_one_is_chosen(page: Any, ehr_with: EhrWith, payer: str) -> None:
    second = {**KIT.order, "id": "o2"}
    ehr = ehr_with([*KIT.all, second])
    signed(page, ehr, KIT.reference)
    signed(page, ehr, "DeviceRequest/o2")
    page.goto(f"{payer}/dtr/launch?iss={quote(ehr.base)}")
    page.get_by_role("link", name="p1").click()
    page.get_by_role("heading", name="Which order is it about?").wait_for()
    page.locator("#choices button").last.click()
    page.locator("#asking").wait_for()


def test_an_ehr_that_is_not_registered_is_not_signed_in_to(page: Any, payer: str) -> None:
    page.goto(f"{payer}/dtr/launch?iss=https://ehr.example.org/fhir&launch=x")
    page.get_by_text("not registered here").wait_for()
    assert page.url.startswith(payer)
    ignores(page, "403")


def test_a_sign_in_that_the_ehr_refuses_is_told(page: Any, kit: SmartEhr, payer: str) -> None:
    page.goto(f"{payer}/dtr/launch?iss={quote(kit.base)}&launch=made-up")
    page.get_by_text("no such launch").wait_for()
    assert kit.authorization.refused == ["invalid_request: no such launch"]


def test_an_order_that_nobody_asked_the_payer_about_can_be_asked_about(page: Any, ehr_with: EhrWith) -> None:
    ehr = ehr_with(KIT.all)
    page.goto(ehr.clinic.launch_url(KIT.reference))
    page.locator("#asking").wait_for()
    assert open_questions(page)


# -- an adaptive form -------------------------------------------------------------------------------------


def settled(page: Any) -> None:
    """Wait for what the service asks next, or for the end."""
    page.locator("#next:visible:not([disabled]), #complete:visible:not([disabled])").first.wait_for()


def test_step_by_step_only_what_is_needed_is_asked_until_it_is_settled(page: Any, shot: Shot, kit: SmartEhr) -> None:
    opened(page)
    everything = len(open_questions(page))
    page.get_by_role("button", name="step by step").click()
    page.get_by_role("button", name="Next question").wait_for()
    asked: set[str] = set()
    for step in range(20):
        settled(page)
        shot(f"step-{step}")
        asked |= set(answer_all(page, KIT.answers))
        if not page.get_by_role("button", name="Next question").is_visible():
            break
        page.get_by_role("button", name="Next question").click()
    completed(page)
    shot("result")
    assert 1 < len(asked) < everything
    assert verdicts(page)["husky-kit"] == "met"
    [response] = kit.responses()
    assert response["status"] == "completed"
    assert set(origins(response).values()) >= {"manual"}


def test_a_draft_of_an_adaptive_form_goes_on_where_it_was(page: Any, kit: SmartEhr) -> None:
    opened(page)
    page.get_by_role("button", name="step by step").click()
    page.get_by_role("button", name="Next question").wait_for()
    settled(page)
    [first, *_] = answer_all(page, KIT.answers)
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("The draft is saved").wait_for()
    page.goto(f"{kit.origin}/order/{KIT.reference}")
    opened(page)
    assert chosen(page, first) == "Y"
    assert len(kit.responses("in-progress")) == 1


# -- several forms ----------------------------------------------------------------------------------------


def package_changed(page: Any, change: Callable[[Resource], None]) -> None:
    """What the service answers to $questionnaire-package, as a test wants it."""

    def changed(route: Any) -> None:
        answer = route.fetch()
        parameters = answer.json()
        change(parameters)
        route.fulfill(response=answer, json=parameters)

    page.route("**/Questionnaire/$questionnaire-package*", changed)


def bundle_of(parameters: Resource) -> Resource:
    [bundle] = [one["resource"] for one in parameters["parameter"] if one["resource"]["resourceType"] == "Bundle"]
    found: Resource = bundle
    return found


def test_of_several_forms_one_follows_the_other(page: Any, kit: SmartEhr) -> None:
    def twice(parameters: Resource) -> None:
        again = json.loads(json.dumps(bundle_of(parameters)))
        again["entry"][0]["resource"]["title"] = "Another form"
        parameters["parameter"].append({"name": "packagebundle", "resource": again})

    package_changed(page, twice)
    page.click("#open")
    page.get_by_role("heading", name="Which form first?").wait_for()
    page.locator("#choices button").first.click()
    page.locator("#asking").wait_for()
    answer_all(page, KIT.answers)
    completed(page)
    page.get_by_role("button", name="The next form").click()
    page.locator("#asking").wait_for()
    assert page.locator("h1").inner_text() == "Another form"


# -- what goes wrong --------------------------------------------------------------------------------------


def test_what_has_to_be_answered_is_told_and_led_to(page: Any, shot: Shot, kit: SmartEhr) -> None:
    opened(page)
    page.get_by_role("button", name="Complete and send").click()
    page.get_by_text("One question has to be answered").wait_for()
    shot("told")
    assert page.evaluate("document.activeElement.id") == "trouble"
    page.locator("#trouble a").click()
    assert ATTESTATION in page.evaluate("document.activeElement.name")
    assert kit.responses() == []


def test_what_the_payer_refuses_stays_a_draft_and_leads_to_its_question(page: Any, shot: Shot, kit: SmartEhr) -> None:
    text = "item husky-kit.contents: not an answer that is offered; send one of the options"
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "details": {"text": text}}]}
    page.route(
        lambda url: url.split("?")[0].endswith("/fhir/QuestionnaireResponse") and kit.origin not in url,
        lambda route: route.fulfill(status=422, json=outcome),
    )
    opened(page)
    answer_all(page, KIT.answers)
    page.get_by_role("button", name="Complete and send").click()
    page.get_by_text("cannot take these answers yet").wait_for()
    shot("refused")
    page.locator("#trouble a").click()
    assert "husky-kit.contents" in page.evaluate("document.activeElement.name")
    assert [one["status"] for one in kit.responses()] == ["in-progress"]
    ignores(page, "422")


def test_a_form_that_cannot_be_shown_is_told_to_the_payer_without_answers(page: Any, kit: SmartEhr) -> None:
    def broken(parameters: Resource) -> None:
        form = bundle_of(parameters)["entry"][0]["resource"]
        form["item"].append({"linkId": "broken", "type": "choice", "text": "?", "answerValueSet": "#nowhere"})

    package_changed(page, broken)
    with page.expect_request("**/Questionnaire/$log-questionnaire-errors") as told:
        page.click("#open")
    page.get_by_text("This form cannot be shown here").wait_for()
    names = [one["name"] for one in json.loads(told.value.post_data)["parameter"]]
    assert names == ["questionnaire", "operationOutcome"]
    assert "Lee" not in told.value.post_data and "p1" not in told.value.post_data


def test_a_payer_that_is_away_costs_no_answer(page: Any, kit: SmartEhr) -> None:
    page.route(
        lambda url: url.split("?")[0].endswith("/fhir/QuestionnaireResponse") and kit.origin not in url,
        lambda route: route.abort(),
    )
    opened(page)
    answer_all(page, KIT.answers)
    completed(page)
    page.get_by_text("The payer could not be reached").wait_for()
    assert [one["status"] for one in kit.responses()] == ["completed"]
    signed(page, kit, KIT.reference)
    assert kit.clinic.determination(KIT.reference)["criteria"][0]["status"] == "met"
    ignores(page, "ERR_FAILED")


def test_a_record_that_cannot_be_written_is_told_and_the_answers_stay(page: Any, kit: SmartEhr) -> None:
    kit.fails[("POST", "QuestionnaireResponse")] = 500
    opened(page)
    answer_all(page, KIT.answers)
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("nothing is lost on this page").wait_for()
    kit.fails.clear()
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("The draft is saved").wait_for()
    assert len(kit.responses("in-progress")) == 1
    ignores(page, "500")


# -- for everybody ----------------------------------------------------------------------------------------


def test_a_form_is_filled_in_and_sent_with_keys_alone(page: Any, kit: SmartEhr) -> None:
    opened(page)
    page.locator("#main").focus()
    reached = set()
    for _ in range(200):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.name ?? ''")
        if name.startswith("radiogroup_") and name not in reached:
            page.keyboard.press("Space")
            reached.add(name)
        if page.evaluate("document.activeElement.id") == "complete":
            break
    page.keyboard.press("Enter")
    page.locator("#result").wait_for()
    assert len(reached) > 3
    assert page.evaluate("document.activeElement.id") == "result-title"
    assert verdicts(page)["husky-kit"] == "met"


@pytest.mark.parametrize("chart", [OXYGEN, OXIMETER, KIT], ids=lambda chart: chart.form)
def test_every_control_has_a_name_and_nothing_is_wider_than_a_phone(chart: Any, page: Any, ehr_with: EhrWith) -> None:
    ehr = ehr_with(chart.all)
    signed(page, ehr, chart.reference)
    opened(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.documentElement.lang") == "en"
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, textarea, select, [role=radiogroup], main button")]
            .filter((one) => one.offsetParent !== null)
            .filter((one) => !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim()
                || document.getElementById((one.getAttribute("aria-labelledby") ?? "").split(" ")[0])))
            .map((one) => one.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


def test_nothing_is_loaded_from_anywhere_else(page: Any, kit: SmartEhr, payer: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page)
    answer_all(page, KIT.answers)
    completed(page)
    elsewhere = [url for url in asked if not url.startswith((payer, kit.origin, "data:", "blob:"))]
    assert elsewhere == []
