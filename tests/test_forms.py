"""What the cases of each shipped policy answer can be sent as a response to its form, and is read back the same.
Nothing here names a policy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cds_service.policy.case_file import Case, read_cases
from cds_service.policy.choices import answer_of
from cds_service.policy.form import Form, FormItem
from cds_service.policy.responses import Response, read_response
from tests.policy_cases import loaded

PLANS = Path(__file__).parent.parent / "plans"
PAPER = {"contentType": "text/plain", "data": "QQ=="}


def response(form: Form, answers: Mapping[str, str]) -> dict[str, Any]:
    """A completed response that gives these answers, each in its place, and is attested."""
    top = (item for item in form.items.values() if item.parent is None)
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "r1",
        "questionnaire": form.canonical,
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "authored": "2026-11-20T09:00:00-05:00",
        "item": [one for item in top if (one := answered(item, form, answers))],
    }


def answered(item: FormItem, form: Form, answers: Mapping[str, str]) -> dict[str, Any] | None:
    below = [one for name in item.children if (one := answered(form.items[name], form, answers))]
    nested = {"item": below} if below else {}
    value = value_of(item, answers)
    if value is not None:
        return {"linkId": item.link_id, "answer": [{**value, **nested}]}
    return {"linkId": item.link_id, **nested} if below else None


def value_of(item: FormItem, answers: Mapping[str, str]) -> dict[str, Any] | None:
    wanted = "yes" if item.link_id == "form.attestation" else answers.get(item.link_id)
    if wanted is None:
        return None
    if item.type == "attachment":
        return {"valueAttachment": PAPER}
    choice = next(one for one in item.choices if answer_of(one.code) == wanted)
    return {"valueCoding": {"system": choice.system, "code": choice.code}}


def of_one_moment(case: Case) -> dict[str, str]:
    """The answers of the latest moment: one response."""
    moments: list[datetime | None] = [moment for _, moment in case.answers.values()]
    last = None if None in moments else max(one for one in moments if one is not None)
    return {name: value for name, (value, moment) in case.answers.items() if moment == last}


def is_whole(form: Form, answers: Mapping[str, str]) -> bool:
    """Whether every question that switches another on is answered too: an adaptive form leaves some out."""
    for name in answers:
        above: FormItem | None = form.items[name]
        while above is not None:
            if any(one.question not in answers for one in above.enabled_by):
                return False
            above = form.items.get(above.parent or "")
    return True


def test_what_the_cases_answer_can_be_sent_and_is_read_back_the_same(pytestconfig: pytest.Config) -> None:
    folders, catalogue = loaded(pytestconfig, PLANS)
    cases = {one.where.rsplit("/", 1)[0]: one for one in folders.cases}
    sent: dict[str, int] = {}
    for policy in catalogue.policies:
        if policy.form is None or policy.retired:
            continue
        unread = cases[policy.where.rsplit("/", 1)[0]]
        file, _ = read_cases(unread.text, unread.where, unread.charts)
        for case in file.cases:
            answers = of_one_moment(case) if case.answers else {}
            if not answers or not is_whole(policy.form, answers):
                continue
            read = read_response(response(policy.form, answers), policy.form, patient="Patient/p1")
            assert isinstance(read, Response), f"{case.where}: {read}"
            assert {name: one.value for name, one in read.answers.items()} == answers, case.where
            sent[policy.canonical] = sent.get(policy.canonical, 0) + 1
    assert sent.keys() == {policy.canonical for policy in catalogue.policies if policy.form is not None}


def test_a_form_that_is_left_empty_lacks_only_what_it_requires(pytestconfig: pytest.Config) -> None:
    _, catalogue = loaded(pytestconfig, PLANS)
    for policy in catalogue.policies:
        if policy.form is None:
            continue
        read = read_response(response(policy.form, {}), policy.form, patient="Patient/p1")
        assert isinstance(read, Response) and not read.answers, f"{policy.where}: {read}"
        unsigned = {**response(policy.form, {}), "item": []}
        faults = read_response(unsigned, policy.form, patient="Patient/p1")
        assert isinstance(faults, list) and ["form.attestation" in one.where for one in faults] == [True]
