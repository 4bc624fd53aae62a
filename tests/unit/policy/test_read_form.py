"""What the loader refuses of a questionnaire: one fault in a sound one, and the message: where, what, how to mend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cds_service.policy.form_rules import unasked
from cds_service.policy.load import load_catalogue
from tests.unit.policy.form_pieces import (
    ABSENT,
    CANONICAL,
    CRITERIA,
    KIND,
    V2,
    WHERE,
    YES_NO,
    both,
    item,
    option,
    plan_with_form,
    small_form,
    when,
)
from tests.unit.policy.small_plan import criterion, derived, fhirpath, group

Break = Callable[[dict[str, Any]], Any]


def faults(form: dict[str, Any], plan: dict[str, Any] | None = None) -> list[str]:
    catalogue, problems = load_catalogue(both(plan or plan_with_form(), form))
    assert (catalogue is None) == bool(problems)
    return [str(problem) for problem in problems]


def root(form: dict[str, Any]) -> list[dict[str, Any]]:
    return form["item"][0]["item"]  # type: ignore[no-any-return]


def at(form: dict[str, Any], name: str) -> dict[str, Any]:
    waiting = list(form["item"])
    while waiting:
        one: dict[str, Any] = waiting.pop()
        if one["linkId"] == name:
            return one
        waiting.extend(one.get("item", ()))
    raise KeyError(name)


def broken(name: str, change: Break, *words: str) -> Any:
    return pytest.param(change, words, id=name)


STABLE = "acme-oxygen.stable"
ITSELF = [
    broken("unknown element", lambda form: form.update(titel="x"), "unknown element; did you mean 'title'?"),
    broken("nothing reads it", lambda form: form.update(code=[{"code": "x"}]), "code: not used on a questionnaire"),
    broken("no narrative", lambda form: form.pop("text"), "text: no narrative; say in a div what the form asks"),
    broken("of whom", lambda form: form.pop("subjectType"), 'subjectType: None; write ["Patient"]'),
    broken("no title", lambda form: form.pop("title"), "title: missing"),
    broken("name", lambda form: form.update(name="oxygen form"), "a capital, then letters"),
    broken("period", lambda form: form.update(effectivePeriod={"start": "2024-07-01"}), "they are one string"),
    broken(
        "ended",
        lambda form: form["effectivePeriod"].update(end="2025-01-01"),
        "effectivePeriod.end: not used; the plan's successor ends it",
    ),
    broken("no items", lambda form: form.pop("item"), "item: no items"),
    broken(
        "read-only",
        lambda form: at(form, STABLE).update(readOnly=True),
        f"item[0].item[3] ({STABLE}).readOnly: not used on an item",
        "never read-only",
    ),
    broken(
        "hidden",
        lambda form: at(form, STABLE).update(
            extension=[{"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-hidden", "valueBoolean": True}]
        ),
        f"({STABLE}).extension: a hidden item; show it",
    ),
    broken(
        "limits that clients need not hold to",
        lambda form: at(form, STABLE).update(
            extension=[{"url": "http://hl7.org/fhir/StructureDefinition/minValue", "valueInteger": 1}]
        ),
        "unknown extension 'http://hl7.org/fhir/StructureDefinition/minValue'",
    ),
    broken(
        "length", lambda form: at(form, "acme-oxygen.rest.found").update(maxLength=9), "clients need not hold to it"
    ),
    broken("no words", lambda form: at(form, STABLE).pop("text"), f"({STABLE}).text: missing; every item is worded"),
    broken("a group without words", lambda form: form["item"][0].pop("text"), "(acme-oxygen).text: missing"),
    broken("twice", lambda form: root(form).append(item(STABLE)), f"'{STABLE}' is used twice"),
    broken("linkId", lambda form: at(form, STABLE).update(linkId="Stable?"), "lower-case letters, digits"),
    broken(
        "a number", lambda form: root(form).append(item("form.flow", "decimal")), "'decimal'; one of group, display"
    ),
    broken("empty group", lambda form: form["item"].append(item("form.more", "group")), "a group without items"),
    broken(
        "a display that asks", lambda form: root(form).append(item("form.x", "display", required=True)), "that asks"
    ),
    broken("repeats", lambda form: at(form, STABLE).update(repeats=True), "one answer decides one criterion"),
    broken("no options", lambda form: at(form, STABLE).pop("answerOption"), "a choice without options"),
    broken("no display", lambda form: at(form, STABLE)["answerOption"][0]["valueCoding"].pop("display"), "no display"),
    broken(
        "offered twice", lambda form: at(form, STABLE)["answerOption"].append(option(V2, "Y")), "'Y' is offered twice"
    ),
    broken(
        "options elsewhere",
        lambda form: at(form, STABLE).update(answerOption=None, answerValueSet="http://x.org/ValueSet/x|1"),
        "answerValueSet: not used on an item; write the options out",
    ),
    broken(
        "asks forward",
        lambda form: at(form, "acme-oxygen.lung").update(enableWhen=[when(STABLE)]),
        f"enableWhen[0]: '{STABLE}' is no choice that stands before",
    ),
    broken(
        "asks itself",
        lambda form: at(form, STABLE).update(enableWhen=[when(STABLE)]),
        f"'{STABLE}' is no choice that stands before",
    ),
    broken(
        "an answer that is not offered",
        lambda form: at(form, STABLE).update(enableWhen=[when("acme-oxygen.lung", "maybe")]),
        "acme-oxygen.lung does not offer 'maybe'; it offers N, Y, asked-unknown",
    ),
    broken(
        "greater than",
        lambda form: at(form, STABLE).update(enableWhen=[{**when("acme-oxygen.lung"), "operator": "!="}]),
        "operator '!='; only equality",
    ),
    broken(
        "several, and no word how",
        lambda form: at(form, STABLE).update(enableWhen=[when("acme-oxygen.lung"), when("acme-oxygen.rest")]),
        "enableBehavior: missing",
    ),
    broken(
        "never asked",
        lambda form: at(form, STABLE).update(
            enableWhen=[when("acme-oxygen.lung"), when("acme-oxygen.lung", "N")], enableBehavior="all"
        ),
        f"({STABLE}).enableWhen: never asked; no answers enable it",
    ),
    broken(
        "never asked, because what it hangs on is asked under the opposite",
        lambda form: (
            at(form, STABLE).update(enableWhen=[when("acme-oxygen.lung")]),
            at(form, "acme-oxygen.child").update(
                enableWhen=[when("acme-oxygen.lung", "N"), when(STABLE)], enableBehavior="all"
            ),
        ),
        "(acme-oxygen.child).enableWhen: never asked",
    ),
]
BESIDE_ITS_PLAN = [
    broken("address", lambda form: form.update(id="x", url="http://x.org/Questionnaire/x"), "no plan names this"),
    broken("ended plan", lambda form: form.update(status="retired"), "'retired' but the plan is active"),
    broken(
        "a criterion left out",
        lambda form: root(form).remove(at(form, STABLE)),
        f"item: no question for '{STABLE}' (Title of {STABLE}); ask it, or say why not",
    ),
    broken(
        "misspelt",
        lambda form: at(form, STABLE).update(linkId="acme-oxygen.stabel"),
        f"'acme-oxygen.stabel' is nothing of the plan; did you mean '{STABLE}'?",
    ),
    broken(
        "a criterion in words", lambda form: at(form, STABLE).update(type="text", answerOption=None), "write 'choice'"
    ),
    broken(
        "no don't know",
        lambda form: at(form, STABLE)["answerOption"].pop(),
        f"({STABLE}): does not offer asked-unknown; add the option {ABSENT}#asked-unknown",
    ),
    broken(
        "an option that nothing reads",
        lambda form: at(form, STABLE)["answerOption"].append(option(KIND, "often")),
        f"offers {KIND}#often, which nothing reads",
    ),
    broken(
        "another nesting",
        lambda form: (root(form).remove(one := at(form, STABLE)), form["item"].append(one)),
        f"item[3] ({STABLE}): stands at the top; put it into 'acme-oxygen'",
    ),
    broken(
        "below a question",
        lambda form: (
            root(form).remove(one := at(form, "acme-oxygen.rest.found")),
            at(form, "acme-oxygen.rest")["item"].append(one),
        ),
        "not beside 'acme-oxygen.rest'; put it next to",
    ),
    broken(
        "help that stands elsewhere",
        lambda form: root(form).append(item(f"{STABLE}.help", "display")),
        f"help for '{STABLE}' stands elsewhere",
    ),
    broken(
        "found as a date",
        lambda form: at(form, "acme-oxygen.rest.found").update(type="date"),
        "type 'date'; write 'text'",
    ),
    broken("an exclusion in words", lambda form: root(form).append(item("excl.angina", "text")), "whether it applies"),
    broken("a question nothing reads", lambda form: root(form).append(item("ask.smoker")), "no expression reads this"),
    broken("a document in words", lambda form: at(form, "doc.report").update(type="text", repeats=None), "is attached"),
    broken("nobody stands for it", lambda form: form["item"].pop(), "nobody stands for the answers"),
]


def tidy(node: Any) -> Any:
    """Without the members that a change set to None."""
    if isinstance(node, dict):
        return {name: tidy(one) for name, one in node.items() if one is not None}
    return [tidy(one) for one in node] if isinstance(node, list) else node


def test_a_sound_form_loads_and_is_found_by_its_canonical() -> None:
    catalogue, problems = load_catalogue(both(plan_with_form(), small_form()))
    assert problems == [] and catalogue is not None
    policy = catalogue.by_form(*CANONICAL.split("|"))
    assert policy is not None and policy.form is not None
    assert policy.form.items["acme-oxygen.rest.help"].parent == "acme-oxygen.rest"


@pytest.mark.parametrize(("change", "words"), [*ITSELF, *BESIDE_ITS_PLAN])
def test_a_fault_of_a_form_is_refused_with_where_what_and_how_to_mend_it(change: Break, words: tuple[str, ...]) -> None:
    form = small_form()
    change(form)
    found = faults(tidy(form))
    assert all(any(said in one for one in found) for said in words), "\n".join(found)
    assert all(WHERE in one or "definitionCanonical" in one or "the questionnaire" in one for one in found)


def test_all_faults_of_a_form_are_told_at_once() -> None:
    form = small_form()
    form.pop("text")
    at(form, STABLE).pop("text")
    at(form, "acme-oxygen.child").update(readOnly=True)
    assert len(faults(form)) == 3


def test_a_form_that_the_plan_names_and_nobody_wrote_is_missed() -> None:
    _, problems = load_catalogue(both(plan_with_form()))
    assert [str(one) for one in problems] == [
        "plans/acme/oxygen/2024-06-01/PlanDefinition.json: "
        f"the questionnaire {CANONICAL}; put a Questionnaire.json beside the plan"
    ]


def test_a_plan_that_pins_another_version_or_another_form_is_told_its_own() -> None:
    for other in (CANONICAL.replace("2024-06-01", "2023-01-01"), CANONICAL.replace("acme-oxygen", "acme-air")):
        plan = plan_with_form()
        plan["action"][CRITERIA]["definitionCanonical"] = other
        _, problems = load_catalogue(both(plan, small_form()))
        found = [str(one) for one in problems]
        assert any(f"definitionCanonical: '{other}'; write '{CANONICAL}'" in one for one in found), found


def test_two_forms_of_one_name_and_version_are_a_conflict() -> None:
    _, problems = load_catalogue(both(plan_with_form(), small_form(), small_form()))
    assert "is held twice" in str(problems[0])


def test_a_criterion_of_which_the_plan_says_why_it_is_not_asked_needs_no_item() -> None:
    plan, form = plan_with_form(), small_form()
    root(form).remove(at(form, STABLE))
    said = {"type": "justification", "label": "no question: the order itself says it"}
    children = plan["action"][CRITERIA]["action"][0]["action"]
    stable = next(one for one in children if one["id"] == STABLE)
    stable["documentation"] = [*stable["documentation"], said]
    catalogue, problems = load_catalogue(both(plan, form))
    assert problems == [] and catalogue is not None
    assert unasked(catalogue.policies[0]) == {STABLE}
    assert "the plan says of 'acme-oxygen.stable' that no question is put" in faults(small_form(), plan)[0]


# -- groups, choices and questions beside the criteria


def plan_with_a_choice() -> dict[str, Any]:
    """Which monitoring: a group whose own demand is that a choice was made, and a branch for one of the kinds."""
    plan = plan_with_form()
    chosen = "%answers.exists(linkId = 'acme-oxygen.kind' and value = '{}') "
    start = f"({chosen.format('night')}or {chosen.format('day')}) or {{}}"
    night = criterion("acme-oxygen.night", applies=chosen.format("night").strip())
    kind = group("acme-oxygen.kind", "all", night, start=start)
    plan["action"][CRITERIA]["action"][0]["action"].append(kind)
    return plan


def kind_item(*codes: str, **more: Any) -> dict[str, Any]:
    options = [*(option(KIND, code) for code in codes), option(ABSENT, "asked-unknown")]
    night = item("acme-oxygen.night", enableWhen=[when("acme-oxygen.kind", "night", KIND)])
    return item("acme-oxygen.kind", "choice", night, answerOption=options, **more)


def test_a_choice_offers_the_codes_that_expressions_read_and_no_other() -> None:
    form = small_form()
    root(form).append(kind_item("night", "day"))
    assert faults(form, plan_with_a_choice()) == []
    form = small_form()
    root(form).append(kind_item("night", "noon"))
    found = faults(form, plan_with_a_choice())
    assert any("does not offer 'day', which an expression reads" in one for one in found)
    assert any(f"offers {KIND}#noon, which nothing reads" in one for one in found)


def test_a_group_with_a_demand_of_its_own_is_a_question_and_one_without_is_none() -> None:
    plan, form = plan_with_form(), small_form()
    children = plan["action"][CRITERIA]["action"][0]["action"]
    children.append(group("acme-oxygen.borderline", "all", criterion("acme-oxygen.edema"), start="%restingLow"))
    root(form).append(item("acme-oxygen.borderline", "group", item("acme-oxygen.edema")))
    assert "write 'choice': it is a question" in faults(form, plan)[0]
    at(form, "acme-oxygen.borderline").update(type="choice", answerOption=YES_NO)
    assert faults(form, plan) == []
    form["item"][0].update(type="choice", answerOption=YES_NO)
    assert "write 'group': it only gathers its members" in faults(form, plan)[0]


def test_a_group_that_is_left_out_while_its_members_are_asked_is_missed() -> None:
    plan, form = plan_with_form(), small_form()
    children = plan["action"][CRITERIA]["action"][0]["action"]
    children.append(group("acme-oxygen.more", "all", criterion("acme-oxygen.edema")))
    root(form).append(item("acme-oxygen.edema"))
    assert "the group 'acme-oxygen.more' is left out, some of its members are not" in faults(form, plan)[0]


def test_a_question_that_an_expression_reads_has_to_be_asked() -> None:
    plan = plan_with_form()
    read = "%answers.exists(linkId = 'ask.facility' and value = 'yes')"
    plan["action"][CRITERIA]["input"].append(derived("inFacility", "boolean", read))
    plan["action"][2]["action"][0]["condition"] = [{"kind": "applicability", "expression": fhirpath("%inFacility")}]
    assert "an expression of the plan reads 'ask.facility', which is not asked" in faults(small_form(), plan)[0]
    form = small_form()
    form["item"].append(item("ask.facility"))
    assert faults(form, plan) == []
