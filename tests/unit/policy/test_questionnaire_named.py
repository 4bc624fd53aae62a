"""When a determination names the policy's form: where it asks for what is open, or takes a paper that is lacking."""

from __future__ import annotations

from typing import Any

from cds_service.policy.case_completeness import form_gaps
from cds_service.policy.cases import CaseResult
from cds_service.policy.load import load_catalogue
from cds_service.policy.model import Determination
from cds_service.policy.plan import Policy
from tests.unit.policy.form_pieces import CANONICAL, CRITERIA, both, item, plan_with_form, small_form
from tests.unit.policy.small_plan import row
from tests.unit.policy.test_criteria import judge

YES = ("yes", None)
NO = ("no", None)
ALL_MET = {f"acme-oxygen.{name}": YES for name in ("lung", "rest", "stable", "child")}
PAPERS = "form.papers"


def paper_by_itself() -> dict[str, Any]:
    """The plan, with a document that only a paper puts on file."""
    plan = plan_with_form()
    plan["action"][3]["action"][0].pop("condition")
    return plan


def read(plan: dict[str, Any] | None = None, form: dict[str, Any] | None = None) -> Policy:
    catalogue, problems = load_catalogue(both(plan or paper_by_itself(), form or small_form()))
    assert catalogue is not None, problems
    return catalogue.policies[0]


def said(policy: Policy, **answers: Any) -> Determination:
    found = judge(policy, **answers).determination
    assert found is not None
    return found


def without_papers() -> dict[str, Any]:
    form = small_form()
    form["item"] = [one for one in form["item"] if one["linkId"] != PAPERS]
    return form


def test_an_open_question_names_the_form() -> None:
    found = said(read())
    assert (found.questionnaire, found.doc_needed) == (CANONICAL, ("clinical",))


def test_a_paper_that_is_lacking_names_the_form_that_takes_it() -> None:
    found = said(read(), answers=ALL_MET)
    assert found.root is not None and found.root.status == "met"
    assert (found.questionnaire, found.doc_needed) == (CANONICAL, ("clinical",))


def test_a_form_that_asks_for_nothing_that_is_open_is_not_named() -> None:
    found = said(read(form=without_papers()), answers=ALL_MET)
    assert (found.questionnaire, found.doc_needed) == (None, ("clinical",))


def test_where_all_is_answered_and_the_paper_attached_nothing_is_asked() -> None:
    found = said(read(), answers={**ALL_MET, "doc.report": YES})
    assert (found.questionnaire, found.doc_needed) == (None, ())
    [document] = found.documents
    assert document.status == "on-file" and document.reason is not None
    assert document.reason.startswith("Given with the answers of ")


def test_a_paper_that_is_said_not_to_be_there_is_missing_still() -> None:
    form = small_form()
    form["item"][1]["item"] = [item("doc.report")]
    [document] = said(read(form=form), answers={"doc.report": NO}).documents
    assert document.status == "missing"


def test_what_is_not_met_is_not_asked_about() -> None:
    found = said(read(form=without_papers()), answers={"acme-oxygen.stable": NO})
    assert found.root is not None and found.root.status == "not-met"
    assert found.questionnaire is None


def test_no_authorization_and_a_short_answer_name_no_form() -> None:
    plan = plan_with_form()
    plan["action"][0]["action"][-1] = row("auth.all", covered="covered", paNeeded="no-auth")
    assert said(read(plan)).questionnaire is None
    short = said(read(), coverage={"programme": ["managed"]})
    assert (short.criteria, short.questionnaire) == ((), None)


def test_a_criterion_that_is_open_not_asked_and_not_cured_on_the_order_is_a_gap() -> None:
    plan, form = plan_with_form(), small_form()
    [stable] = [one for one in plan["action"][CRITERIA]["action"][0]["action"] if one["id"] == "acme-oxygen.stable"]
    stable["documentation"] = [*stable["documentation"], {"type": "justification", "label": "no question: why ask"}]
    form["item"][0]["item"] = [one for one in form["item"][0]["item"] if one["linkId"] != "acme-oxygen.stable"]

    def told(result: CaseResult, policy: Policy) -> list[str]:
        return [one for one in form_gaps(policy, [result]) if "not asked" in one]

    policy = read(plan, form)
    assert told(judge(policy), policy)[0].startswith("acme-oxygen.stable: open in some case, not asked")
    stable["description"] = "Say so in the order's note."
    policy = read(plan, form)
    assert told(judge(policy), policy) == []
