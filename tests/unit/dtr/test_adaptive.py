"""Which question comes next, tried on every shipped plan: it ends, it asks nothing in vain, and it forgets nothing."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds_service.dtr.adaptive import DONT_KNOW, Inquiry, Question, value_of
from cds_service.dtr.judged import Judged
from cds_service.policy.case_file import Case, read_cases
from cds_service.policy.cases import run_case, situation_of
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.form import Form, form_of
from cds_service.policy.load import load_catalogue
from cds_service.policy.model import Answer, Situation, Status
from cds_service.policy.plan import Policy
from tests.policy_cases import loaded
from tests.unit.dtr.plain_forms import form_for, plain_form
from tests.unit.policy.small_plan import criterion, definitions, group, small_plan

PLANS = Path(__file__).parents[3] / "plans"
EACH_PLAN = 8  # situations of each plan that are gone through with several ways of answering
NOBODY_ASKED = frozenset[str]()
_CHOSEN = pytest.StashKey[list["Told"]]()


# -- the plans that are shipped ------------------------------------------------------------------------


Told = tuple[str, Policy, Form, Situation]


def situations(config: pytest.Config) -> Iterator[tuple[str, Policy, Form, Situation, random.Random]]:
    """Some of each plan's cases, always the same, without the answers that they bring."""
    chance = random.Random(11)
    if _CHOSEN not in config.stash:
        config.stash[_CHOSEN] = list(_chosen(config))
    for told in config.stash[_CHOSEN]:
        yield *told, chance


def _chosen(config: pytest.Config) -> Iterator[Told]:
    folders, catalogue = loaded(config, PLANS)
    for cases in folders.cases:
        folder = cases.where.rpartition("/")[0]
        policy = next(one for one in catalogue.policies if one.where.startswith(f"{folder}/"))
        file, _ = read_cases(cases.text, cases.where, cases.charts)
        chance = random.Random(cases.where)
        shuffled = chance.sample(file.cases, len(file.cases))
        for case in itertools.islice((one for one in shuffled if _is_open(one, policy)), EACH_PLAN):
            situation = replace(situation_of(case, policy), answers={})
            yield f"{folder}: {case.name}", policy, form_for(policy), situation


def _is_open(case: Case, policy: Policy) -> bool:
    found = run_case(case, policy).determination
    return found is not None and found.root is not None and found.root.status is Status.UNKNOWN


def some_answers(form: Form, chance: random.Random, surely: bool = False) -> dict[str, str]:
    """What a clinician would say to every question of a form."""
    likely = chance.choice((0.1, 0.5, 0.9))
    found = {}
    for name, item in form.items.items():
        values = [value_of(one.code) for one in item.choices]
        if surely:
            values = [one for one in values if one != DONT_KNOW]
        if "yes" in values and "no" in values:
            found[name] = DONT_KNOW if not surely and chance.random() < 0.1 else "no"
            if found[name] == "no" and chance.random() < likely:
                found[name] = "yes"
        elif values:
            found[name] = chance.choice(values)
    return found


def gone_through(inquiry: Inquiry, says: Mapping[str, str]) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for _ in range(len(says) + 1):
        questions = inquiry.next(answers)
        if not questions:
            return answers
        name = questions[0].link_id
        assert name not in answers, f"{name} is asked again"
        answers[name] = Answer(says[name])
    raise AssertionError("it does not end")


def open_questions(form: Form, judged: Judged, answers: Mapping[str, Answer], *also: Status) -> list[str]:
    """What could be asked: questions of which the chart and the answers have not decided."""
    found = []
    for name, item in form.items.items():
        if item.type != "choice" or name in answers or name.startswith(("form.", "doc.")):
            continue
        verdict = judged.verdicts.get(name)
        if verdict is None:
            found += [name] if name.startswith("ask.") else []
        elif verdict.status in also or (
            verdict.status is Status.UNKNOWN and (not verdict.group or verdict.open_demand)
        ):
            found.append(name)
    return found


def answered_in_full(inquiry: Inquiry, form: Form, says: Mapping[str, str]) -> Judged:
    """The same questions on paper: all that is open is answered, and again what that opened."""
    answers: dict[str, Answer] = {}
    while True:
        judged = inquiry.judged(answers)
        assert judged is not None
        more = open_questions(form, judged, answers)
        if not more:
            return judged
        answers |= {name: Answer(says[name]) for name in more}


def test_it_ends_and_comes_to_what_the_whole_form_comes_to(pytestconfig: pytest.Config) -> None:
    asked = on_paper = 0
    for name, policy, form, situation, chance in situations(pytestconfig):
        for _ in range(3):
            says = some_answers(form, chance)
            inquiry = Inquiry(policy, form, situation)
            answers = gone_through(inquiry, says)
            end, whole = inquiry.judged(answers), answered_in_full(inquiry, form, says)
            assert end is not None and end.root is whole.root, f"{name}: {says}"
            asked += len(answers)
            on_paper += len([one for one in says if one in policy.criteria or one.startswith("ask.")])
    assert asked * 2 < on_paper, "not half of what a paper form asks"


def test_nothing_that_is_left_open_could_change_the_determination(pytestconfig: pytest.Config) -> None:
    for name, policy, form, situation, chance in situations(pytestconfig):
        says = some_answers(form, chance)
        inquiry = Inquiry(policy, form, situation)
        answers = gone_through(inquiry, says)
        end = inquiry.judged(answers)
        assert end is not None
        if end.root is Status.NOT_MET:
            continue  # docs/how-it-decides.md: then nothing is asked any more
        left = open_questions(form, end, answers, Status.NOT_APPLICABLE)  # which an answer to another may turn
        for _ in range(10):
            more = some_answers(form, chance)
            some = {one: Answer(more[one]) for one in left if chance.random() < 0.8}
            outcome = inquiry.judged({**answers, **some})
            assert outcome is not None and outcome.said == end.said, f"{name}: {sorted(left)}"


def test_each_question_could_change_the_determination_when_it_is_put(pytestconfig: pytest.Config) -> None:
    seen = 0
    for name, policy, form, situation, chance in situations(pytestconfig):
        inquiry = Inquiry(policy, form, situation)
        answers: dict[str, Answer] = {}
        says = some_answers(form, chance)
        while questions := inquiry.next(answers):
            asked = questions[0].link_id
            before = inquiry.judged(answers)
            assert before is not None
            others = open_questions(form, before, answers, Status.NOT_APPLICABLE)
            others = [one for one in others if one != asked]
            assert _makes_a_difference(inquiry, form, answers, asked, others, chance), f"{name}: {asked}"
            answers[asked] = Answer(says[asked])
            seen += 1
    assert seen > 50


def _makes_a_difference(
    inquiry: Inquiry,
    form: Form,
    answers: Mapping[str, Answer],
    asked: str,
    others: list[str],
    chance: random.Random,
) -> bool:
    """Whether ways of answering the others can be found, without looking at the plan, in which this answer counts."""
    opens = {one.link_id for one in form.items.values() if any(by.question == asked for by in one.enabled_by)}
    for n in range(3000):
        some = {one: Answer(value) for one, value in some_answers(form, chance, surely=True).items() if one in others}
        if n % 2:
            some = {one: value for one, value in some.items() if chance.random() < 0.5}
        said = {_said(inquiry, {**answers, **some})}
        for choice in form.items[asked].choices:
            said.add(_said(inquiry, {**answers, **some, asked: Answer(value_of(choice.code))}))
        if len(said) > 1:
            return True
    return bool(opens)


def _said(inquiry: Inquiry, answers: Mapping[str, Answer]) -> tuple[object, ...] | None:
    judged = inquiry.judged(answers)
    return judged.said if judged is not None else None


def test_without_a_context_answers_alone_lead_to_an_end(pytestconfig: pytest.Config) -> None:
    _, catalogue = loaded(pytestconfig, PLANS)
    chance = random.Random(7)
    some = next(iter(situations(pytestconfig)))[3]
    for policy in catalogue.policies:
        form = form_for(policy)
        inquiry = Inquiry(policy, form, some, bare=True)
        assert inquiry.next({}), f"{policy.id}: nothing is asked"
        for _ in range(5):
            gone_through(inquiry, some_answers(form, chance))


# -- a small plan, to see why ----------------------------------------------------------------------------


ROOT = "acme-oxygen"


def leaf(name: str) -> dict[str, Any]:
    return criterion(f"{ROOT}.{name}")


def branch(name: str, behavior: str, *members: dict[str, Any], **more: str) -> dict[str, Any]:
    return group(f"{ROOT}.{name}", behavior, *members, **more)


def inquiry_of(*criteria: dict[str, Any], behavior: str = "all") -> Inquiry:
    plan = small_plan()
    tree = next(one for one in plan["action"] if one["id"] == "criteria")
    tree["action"] = [group(ROOT, behavior, *criteria)]
    for part in ("documents", "exclusions"):
        plan["action"] = [one for one in plan["action"] if one["id"] != part]
    tree["input"] = []
    catalogue, problems = load_catalogue(definitions(plan))
    assert catalogue is not None, problems
    policy = catalogue.policies[0]
    return Inquiry(policy, form_of(plain_form(policy)), a_situation(catalogue))


def a_situation(catalogue: Catalogue) -> Situation:
    text = "cases: [{name: one, on: 2026-02-10, order: {hcpcs: E1390}, expect: {covered: covered}}]"
    file, problems = read_cases(text, "cases.yaml", {})
    assert not problems
    return situation_of(file.cases[0], catalogue.policies[0])


def asked_first(inquiry: Inquiry, **answers: str) -> str | None:
    questions = inquiry.next({f"{ROOT}.{name}": Answer(value) for name, value in answers.items()})
    return names(questions)[0] if questions else None


def names(questions: Sequence[Question]) -> list[str]:
    return [one.link_id.removeprefix(f"{ROOT}.") for one in questions]


def hanging(questions: Sequence[Question]) -> list[tuple[str, str] | None]:
    after = (one.after for one in questions)
    return [(one[0].removeprefix(f"{ROOT}."), one[1].code) if one else None for one in after]


def test_of_alternatives_the_one_with_fewest_questions_is_tried_first() -> None:
    inquiry = inquiry_of(
        branch("long", "all", leaf("long.a"), leaf("long.b"), leaf("long.c")),
        leaf("short"),
        behavior="one-or-more",
    )
    assert asked_first(inquiry) == "short"
    assert asked_first(inquiry, short="yes") is None
    assert asked_first(inquiry, short="no") == "long.a"


def test_of_demands_that_must_all_hold_the_one_that_fails_soonest_is_tried_first() -> None:
    inquiry = inquiry_of(
        branch("either", "one-or-more", leaf("either.a"), leaf("either.b")),
        leaf("plain"),
    )
    assert asked_first(inquiry) == "plain"
    assert asked_first(inquiry, plain="no") is None


def test_dont_know_moves_on_and_a_question_left_empty_is_not_put_again() -> None:
    inquiry = inquiry_of(leaf("a"), leaf("b"))
    assert asked_first(inquiry, a="dont-know") == "b"
    assert names(inquiry.next({}, frozenset({f"{ROOT}.a"}))) == ["b"]
    assert asked_first(inquiry, a="dont-know", b="dont-know") is None


def test_what_could_only_make_up_for_an_answer_that_nobody_knows_is_not_asked() -> None:
    # not known in an *any* beside a member that is not known either: only yes helps, and it still does
    inquiry = inquiry_of(branch("either", "one-or-more", leaf("x"), leaf("y")), leaf("z"))
    assert asked_first(inquiry, z="dont-know", x="dont-know") is None, "neither yes nor no to y decides"
    assert asked_first(inquiry, z="dont-know", x="no") == "y", "a no decides"


def test_questions_of_one_group_come_together_each_hanging_on_the_answer_that_leaves_the_group_open() -> None:
    inquiry = inquiry_of(leaf("a"), leaf("b"), leaf("c"))
    together = inquiry.next({}, NOBODY_ASKED, together=True)
    assert names(together) == ["a", "b", "c"]
    assert hanging(together) == [None, ("a", "Y"), ("b", "Y")]
    either = inquiry_of(leaf("a"), leaf("b"), behavior="one-or-more").next({}, NOBODY_ASKED, together=True)
    assert hanging(either) == [None, ("a", "N")]


def test_a_question_whose_group_may_not_apply_waits_for_what_settles_that() -> None:
    inquiry = inquiry_of(
        leaf("kind"),
        branch(
            "branch",
            "all",
            leaf("branch.a"),
            applies="iif(%`acme-oxygen.kind`.status = 'unknown', {}, %`acme-oxygen.kind`.met)",
        ),
        behavior="one-or-more",
    )
    assert asked_first(inquiry) == "kind"
    assert asked_first(inquiry, kind="dont-know") is None


def test_every_way_of_answering_a_small_tree_ends_as_the_whole_tree_does() -> None:
    inquiry = inquiry_of(
        branch("either", "one-or-more", leaf("a"), branch("both", "all", leaf("b"), leaf("c"))),
        leaf("d"),
    )
    for values in itertools.product(("yes", "no", DONT_KNOW), repeat=4):
        says = dict(zip((f"{ROOT}.{one}" for one in "abcd"), values, strict=True))
        end = inquiry.judged(gone_through(inquiry, says))
        whole = inquiry.judged({name: Answer(value) for name, value in says.items()})
        assert end is not None and whole is not None and end.root is whole.root, says
