"""A questionnaire on a policy's page: what a reader is told of each question, and what `diff` says of a changed one."""

from __future__ import annotations

from typing import Any

from cds_service.pages.changes import changes_text, page_changes
from cds_service.pages.page import Page, PageNode
from cds_service.pages.policy_page import policy_page
from cds_service.policy.load import load_catalogue
from tests.unit.policy.form_pieces import KIND, both, item, option, plan_with_form, small_form, when


def page(form: dict[str, Any]) -> Page:
    catalogue, problems = load_catalogue(both(plan_with_form(), form))
    assert catalogue is not None, problems
    return policy_page(catalogue.policies[0], catalogue)


def asked(form: dict[str, Any]) -> dict[str, PageNode]:
    [section] = [one for one in page(form).sections if one.id == "questions"]
    return {node.id: node for node, _ in section.walk()}


def told(node: PageNode) -> dict[str, str]:
    return {one.label: one.saying.line for one in node.details}


def test_help_and_what_is_prefilled_are_told_with_their_question() -> None:
    nodes = asked(small_form())
    assert "acme-oxygen.rest.help" not in nodes and "acme-oxygen.rest.found" not in nodes
    assert told(nodes["acme-oxygen.rest"]) == {
        "help": "Text of acme-oxygen.rest.help",
        "prefilled beside it": "Text of acme-oxygen.rest.found",
    }
    assert nodes["doc.report"].kind == "paper"


def test_options_other_than_yes_and_no_and_the_answers_that_a_question_hangs_on_are_told() -> None:
    form = small_form()
    kinds = item("form.kind", answerOption=[option(KIND, "night"), option(KIND, "day")])
    form["item"][1:1] = [kinds, item("form.why", "text", enableWhen=[when("form.kind", "night", KIND)])]
    nodes = asked(form)
    assert told(nodes["form.kind"]) == {"options": "Night / Day"}
    assert told(nodes["form.why"]) == {"asked if": "‘Text of form.kind’ is answered Night"}


def test_a_policy_without_a_form_has_no_such_section() -> None:
    plan = plan_with_form()
    plan["action"][1].pop("definitionCanonical")
    catalogue, _ = load_catalogue(both(plan))
    assert catalogue is not None
    assert "questions" not in {one.id for one in policy_page(catalogue.policies[0], catalogue).sections}


def test_a_question_that_is_worded_otherwise_is_a_change() -> None:
    other = small_form()
    other["item"][0]["item"][0]["text"] = "Has the patient a lung disease?"
    said = changes_text(page_changes(page(small_form()), page(other)))
    assert "Has the patient a lung disease?" in said and "Text of acme-oxygen.lung" in said
