"""One call under two versions of a policy: what would be answered otherwise, and nothing of the chart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_service.adapters.definition_files import read_definition_folders
from cds_service.crd.changed_answers import FieldChange, OrderChange, changed_answers
from cds_service.crd.hook_request import HookRequest, parse_hook_request
from cds_service.fhir.problem import Problem
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import load_catalogue
from cds_service.policy.plan import Policy

ROOT = Path(__file__).parents[3]
CONVERSATIONS = ROOT / "tests" / "conversations"
NOW = datetime(2026, 11, 21, 10, 30, tzinfo=ZoneInfo("America/New_York"))


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    folders = read_definition_folders(ROOT / "plans", ROOT / "valuesets")
    found, problems = load_catalogue([file.definition for file in folders.files])
    assert found is not None, problems
    return found


@pytest.fixture
def policy(catalogue: Catalogue) -> Policy:
    return next(one for one in catalogue.policies if one.id == "masshealth-home-oxygen")


def request(name: str, **changes: Any) -> HookRequest:
    call = json.loads((CONVERSATIONS / name / "request.json").read_text(encoding="utf-8"))
    parsed = parse_hook_request(json.dumps({**call, **changes}).encode(), "order-sign")
    assert not isinstance(parsed, Problem), parsed
    return parsed


def test_orders_that_are_answered_alike_are_listed_without_fields(catalogue: Catalogue, policy: Policy) -> None:
    found = changed_answers(request("two-lines-of-one-policy"), catalogue, policy, policy, NOW)
    assert found == (OrderChange("DeviceRequest/o1", 1, ()), OrderChange("DeviceRequest/o2", 1, ()))


def test_a_version_judges_orders_from_before_its_first_day(catalogue: Catalogue, policy: Policy) -> None:
    later = replace(policy, start=NOW.date().replace(year=2030))
    assert changed_answers(request("home-oxygen-order-sign"), catalogue, policy, later, NOW) == (
        OrderChange("DeviceRequest/o1", 1, ()),
    )


def test_a_policy_that_was_ended_says_nothing_any_more(catalogue: Catalogue, policy: Policy) -> None:
    [order] = changed_answers(request("home-oxygen-order-sign"), catalogue, policy, replace(policy, retired=True), NOW)  # type: ignore[misc]
    assert order.fields == (FieldChange("answer", "covered, auth-needed", "no statement"),)


def test_each_field_that_differs_is_named_with_its_status(catalogue: Catalogue, policy: Policy) -> None:
    documents = {name: one for name, one in policy.documents.items() if name != "doc.test-report"}
    fewer = replace(policy, documents=documents, advice=(), urgent=True)
    [order] = changed_answers(request("home-oxygen-order-sign"), catalogue, policy, fewer, NOW)  # type: ignore[misc]
    changed = {one.field: (one.before, one.after) for one in order.fields}
    assert changed["urgent"] == ("no", "yes")
    assert changed["advice"][1] == "none"
    assert changed["documents doc.test-report"][1] == "none"
    assert not any("SpO2" in text or "Observation/" in text for pair in changed.values() for text in pair)


def test_a_call_that_cannot_be_answered_is_a_problem(catalogue: Catalogue, policy: Policy) -> None:
    assert isinstance(changed_answers(request("payer-not-served"), catalogue, policy, policy, NOW), Problem)


def test_the_hours_of_the_office_count_as_they_are_set() -> None:
    folders = read_definition_folders(ROOT / "plans", ROOT / "valuesets")
    plain, _ = load_catalogue([file.definition for file in folders.files])
    policy_id = "carepartners-home-infusion"
    only_in_hours = []
    for file in folders.files:
        resource = json.loads(json.dumps(file.definition.resource))
        if (resource["resourceType"], resource["id"]) == ("PlanDefinition", policy_id):
            card = next(one for one in resource["action"][-1]["action"] if one["id"] == "advice.when")
            words = {"language": "text/fhirpath", "expression": "%calendar.hours = 'normal'"}
            card["condition"] = [{"kind": "applicability", "expression": words}]
        only_in_hours.append(replace(file.definition, resource=resource))
    changed, problems = load_catalogue(only_in_hours)
    assert plain is not None and changed is not None, problems
    old, new = (next(one for one in held.policies if one.id == policy_id) for held in (plain, changed))
    call, at = request("home-infusion-two-more-therapies"), datetime(2026, 11, 23, 16, 30, tzinfo=NOW.tzinfo)

    in_hours = changed_answers(call, plain, old, new, at)
    after_hours = changed_answers(call, plain, old, new, at, BusinessHours(time(8), time(16)))

    assert not isinstance(in_hours, Problem) and not any(order.fields for order in in_hours)
    assert not isinstance(after_hours, Problem) and all(order.fields for order in after_hours)
