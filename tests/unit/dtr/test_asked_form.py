"""The form as an adaptive client sees it: a shell without items, and the part that was put so far."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.questionnaire import Questionnaire

from cds_service.dtr.asked_form import ADAPTIVE, Put, adaptive_shell, contained, dialect_of, part_of, put_before
from cds_service.dtr.dialects import DTR_20, DTR_21, DTR_22, Dialect
from cds_service.fhir.problem import Problem
from cds_service.policy.form import Form
from tests.policy_cases import loaded
from tests.unit.dtr.plain_forms import form_for

PLANS = Path(__file__).parents[3] / "plans"
BASE = "https://cds.example.org/fhir"


def forms(config: pytest.Config) -> list[Form]:
    _, catalogue = loaded(config, PLANS)
    return [form_for(policy) for policy in catalogue.policies]


def link_ids(items: Any) -> list[str]:
    return [found for item in items for found in (item["linkId"], *link_ids(item.get("item", ())))]


def part(form: Form, put: dict[str, Put], dialect: Dialect = DTR_22, **answered: str) -> dict[str, Any]:
    return contained(form, put, "form", BASE, dialect, None, answered)


def test_a_shell_has_the_forms_canonical_no_items_and_where_its_questions_come_from(
    pytestconfig: pytest.Config,
) -> None:
    for form in forms(pytestconfig):
        for dialect, url in ((DTR_20, f"{BASE}/Questionnaire"), (DTR_21, BASE), (DTR_22, BASE)):
            shell = adaptive_shell(form, BASE, dialect)
            Questionnaire.model_validate(shell)
            assert "item" not in shell
            assert f"{shell['url']}|{shell['version']}" == form.canonical
            assert [one["valueUrl"] for one in shell["extension"] if one["url"] == ADAPTIVE] == [url]
        with_context = adaptive_shell(form, BASE, DTR_22, "abc")
        assert with_context["extension"][-1]["valueUrl"] == f"{BASE}/contexts/abc"


def test_what_was_put_is_read_back_from_the_questionnaire_that_carries_it(pytestconfig: pytest.Config) -> None:
    for form in forms(pytestconfig):
        questions = [name for name, item in form.items.items() if item.type == "choice"]
        for some in itertools.combinations(questions[:8], 3):
            put = {name: Put(form.items[name].enabled_by, form.items[name].any_of) for name in some}
            found = part(form, put)
            Questionnaire.model_validate(found)
            before, unknown = put_before(found, form)
            assert list(before) == list(some)
            assert not unknown
            assert link_ids(part(form, before)["item"]) == link_ids(found["item"])
            indexed = part_of(form, before)
            assert set(some) <= indexed.items.keys()


def test_words_are_always_the_forms_own_whatever_a_client_sends_back(pytestconfig: pytest.Config) -> None:
    form = forms(pytestconfig)[0]
    name = next(name for name, item in form.items.items() if item.type == "choice")
    sent = part(form, {name: Put()})
    sent["item"][0]["text"] = "Is everything in order?"
    before, _ = put_before(sent, form)
    assert "Is everything in order?" not in str(part(form, before))


def test_no_item_hangs_on_one_that_is_not_there_or_where_the_version_does_not_let_it(
    pytestconfig: pytest.Config,
) -> None:
    for form in forms(pytestconfig):
        for name, item in form.items.items():
            if item.type != "choice" or not item.enabled_by:
                continue
            hanging = Put(item.enabled_by, item.any_of)
            gates = {one.question: Put() for one in item.enabled_by}
            assert "enableWhen" not in str(part(form, {name: hanging}))
            assert "enableWhen" in str(part(form, {**gates, name: hanging}))
            assert "enableWhen" not in str(part(form, {**gates, name: hanging}, DTR_21))


def test_the_version_of_a_call_is_named_or_that_of_its_profiles_or_of_its_form() -> None:
    default = DTR_21
    profile = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-questionnaireresponse|2.0.1"
    call = {"resourceType": "QuestionnaireResponse", "meta": {"profile": [profile]}}
    assert dialect_of({}, None, default) is default
    assert dialect_of(call, None, default) == DTR_20
    assert dialect_of({"parameter": [{"resource": call}]}, None, default) == DTR_20
    assert dialect_of(call, "2.2.0", default) == DTR_22
    assert isinstance(dialect_of(call, "1.0", default), Problem)
    url = {"url": ADAPTIVE, "valueUrl": f"{BASE}/Questionnaire"}
    assert dialect_of({"contained": [{"extension": [url]}]}, None, default) == DTR_20
