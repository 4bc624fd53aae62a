"""Charts that nobody would write and somebody will send: each is answered, and none becomes a yes it should not be."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cds_service.crd.answer import HookResponse, answer, render
from cds_service.crd.hook_request import HookRequest, parse_hook_request
from tests.policy_cases import loaded

ROOT = Path(__file__).parents[3]
CALL = json.loads((ROOT / "tests" / "conversations" / "home-oxygen-order-sign" / "request.json").read_text())
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def statuses(pytestconfig: pytest.Config) -> Callable[[Change], dict[str, str]]:
    _, catalogue = loaded(pytestconfig, ROOT / "plans")

    def judged(change: Change) -> dict[str, str]:
        call = json.loads(json.dumps(CALL))
        change(call)
        request = parse_hook_request(json.dumps(call).encode(), "order-sign")
        assert isinstance(request, HookRequest), request
        ids = count()
        at = datetime.fromisoformat("2026-11-21T12:00:00-05:00")
        response = answer(request, catalogue, at, lambda: str(next(ids)), str)
        assert isinstance(response, HookResponse), response
        render(response)
        found = [one for statement in response.statements for one in statement.determinations]
        return {verdict.id: verdict.status.value for one in found for verdict in one.criteria}

    return judged


def order(call: dict[str, Any]) -> dict[str, Any]:
    return call["context"]["draftOrders"]["entry"][0]["resource"]  # type: ignore[no-any-return]


def add(call: dict[str, Any], key: str, resource: dict[str, Any]) -> None:
    call["prefetch"].setdefault(key, None)
    if call["prefetch"][key] is None:
        call["prefetch"][key] = {"resourceType": "Bundle", "entry": []}
    call["prefetch"][key]["entry"].append({"resource": resource})


def first(call: dict[str, Any]) -> dict[str, Any]:
    return call["prefetch"]["observations"]["entry"][0]["resource"]  # type: ignore[no-any-return]


def qualifying(call: dict[str, Any]) -> list[dict[str, Any]]:
    """The two resting values on room air of the golden chart."""
    entries = call["prefetch"]["observations"]["entry"]
    return [
        one["resource"] for one in entries if any(c["code"] == "59417-6" for c in one["resource"]["code"]["coding"])
    ]


def nulled_time(call: dict[str, Any]) -> None:
    observation = first(call)
    observation.pop("effectiveDateTime")
    observation["effectivePeriod"] = None


def contained_member(code: Any) -> Change:
    def change(call: dict[str, Any]) -> None:
        first(call)["contained"] = [{"resourceType": "Observation", "id": "m", "status": {}, "code": code}]
        first(call)["hasMember"] = [{"reference": "#m"}]

    return change


def contained_reason(call: dict[str, Any]) -> None:
    reason = {"resourceType": "Condition", "id": "c", "clinicalStatus": {"coding": [{"code": {}}]}}
    order(call).update(contained=[reason], reasonReference=[{"reference": "#c"}])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda call: first(call)["valueQuantity"].update(value=1e30), id="a value beyond all ranges"),
        pytest.param(nulled_time, id="a period that is null"),
        pytest.param(lambda call: order(call).update(authoredOn="0001-01-01T00:00:00Z"), id="before all zones"),
        pytest.param(lambda call: order(call).update(authoredOn="9999-12-31T23:59:59-12:00"), id="after all zones"),
        pytest.param(contained_member(5), id="a contained member whose code is a number"),
        pytest.param(contained_member([1]), id="a contained member whose code is a list"),
        pytest.param(contained_reason, id="a contained reason of the wrong shape"),
    ],
)
def test_it_is_answered(statuses: Callable[[Change], dict[str, str]], change: Change) -> None:
    statuses(change)


def portable(*more: dict[str, Any] | None) -> Change:
    def change(call: dict[str, Any]) -> None:
        for coding in order(call)["codeCodeableConcept"]["coding"]:
            coding["code"] = coding["code"].replace("E1390", "E0431")
        for resource in more:
            add(call, "deviceRequests", resource)  # type: ignore[arg-type]

    return change


ACTIVE = {
    "resourceType": "DeviceRequest",
    "id": "active",
    "status": "active",
    "intent": "order",
    "subject": {"reference": "Patient/p1"},
    "authoredOn": "2026-01-05",
    "codeCodeableConcept": {
        "coding": [{"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E0434"}]
    },
}


@pytest.mark.parametrize(
    ("active", "status"),
    [
        (ACTIVE, "not-met"),
        ({**ACTIVE, "authoredOn": "2026-13-40"}, "unknown"),
        ({**ACTIVE, "status": 5}, "unknown"),
        ({name: value for name, value in ACTIVE.items() if name != "subject"}, "unknown"),
        ({name: value for name, value in ACTIVE.items() if name != "status"}, "unknown"),
        (None, "unknown"),
        ({}, "unknown"),
    ],
)
def test_an_order_of_the_chart_that_cannot_be_read_is_not_absent(
    statuses: Callable[[Change], dict[str, str]], active: dict[str, Any] | None, status: str
) -> None:
    assert statuses(portable())["ma-oxygen.portable.one-only"] == "met"
    assert statuses(portable(active))["ma-oxygen.portable.one-only"] == status


@pytest.mark.parametrize("given", [{}, {"x": 1}, {"resourceType": "Patient", "id": "p1"}])
def test_a_prefetch_value_that_is_no_answer_to_the_look_up_proves_no_absence(
    statuses: Callable[[Change], dict[str, str]], given: dict[str, Any]
) -> None:
    def change(call: dict[str, Any]) -> None:
        portable()(call)
        call["prefetch"]["deviceRequests"] = given

    assert statuses(change)["ma-oxygen.portable.one-only"] == "unknown"


@pytest.mark.parametrize(
    "flow",
    [
        {"valueQuantity": {"value": 0, "comparator": ">", "system": UCUM, "code": "L/min"}},
        {"valueQuantity": {"value": 0, "unit": "furlong"}},
        {"valueQuantity": {"value": 0, "system": UCUM, "code": "L/min"}, "dataAbsentReason": {"text": "unknown"}},
    ],
)
def test_a_flow_that_cannot_be_used_is_no_room_air(
    statuses: Callable[[Change], dict[str, str]], flow: dict[str, Any]
) -> None:
    def change(call: dict[str, Any]) -> None:
        for observation in qualifying(call):
            observation["component"] = [{"code": {"coding": [{"system": LOINC, "code": "3151-8"}]}, **flow}]

    assert statuses(change)["ma-oxygen.continuous.rest"] == "unknown"


def test_a_contained_flow_of_another_patient_lends_no_room_air(statuses: Callable[[Change], dict[str, str]]) -> None:
    flow = {
        "resourceType": "Observation",
        "id": "f",
        "status": "final",
        "subject": {"reference": "Patient/other"},
        "code": {"coding": [{"system": LOINC, "code": "3151-8"}]},
        "valueQuantity": {"value": 0, "system": UCUM, "code": "L/min"},
    }

    def change(call: dict[str, Any]) -> None:
        for observation in qualifying(call):
            observation.pop("component", None)
            observation.update(contained=[flow], hasMember=[{"reference": "#f"}])

    assert statuses(change)["ma-oxygen.continuous.rest"] == "unknown"


def test_an_encounter_that_cannot_be_read_is_no_outpatient_visit(statuses: Callable[[Change], dict[str, str]]) -> None:
    def change(call: dict[str, Any]) -> None:
        call["prefetch"]["encounter"].update(period={"start": "garbage"})

    assert statuses(change)["ma-oxygen.continuous.rest"] == "unknown"


@pytest.mark.parametrize("status", ["Resolved", "INACTIVE"])
def test_a_status_counts_in_any_letter_case(statuses: Callable[[Change], dict[str, str]], status: str) -> None:
    def change(call: dict[str, Any]) -> None:
        order(call).pop("reasonCode")
        for entry in call["prefetch"]["conditions"]["entry"]:
            entry["resource"]["clinicalStatus"] = {"coding": [{"code": status}]}

    assert statuses(change)["ma-oxygen.dx.severe-lung"] == "unknown"


def of_another(key: str, resource: dict[str, Any]) -> Change:
    def change(call: dict[str, Any]) -> None:
        add(call, key, {**resource, "id": "x", "subject": {"reference": "Patient/other"}})

    return change


def reasons(change: Change, catalogue: Any) -> dict[str, str]:
    """The reason of every criterion and document."""
    call = json.loads(json.dumps(CALL))
    change(call)
    request = parse_hook_request(json.dumps(call).encode(), "order-sign")
    assert isinstance(request, HookRequest), request
    at = datetime.fromisoformat("2026-11-21T12:00:00-05:00")
    response = answer(request, catalogue, at, lambda: "i", str)
    assert isinstance(response, HookResponse), response
    found = [one for statement in response.statements for one in statement.determinations]
    return {one.id: one.reason or "" for each in found for one in (*each.criteria, *each.documents)}


def test_what_is_of_another_patient_is_named_where_it_might_have_counted_and_nowhere_else(
    pytestconfig: pytest.Config,
) -> None:
    _, catalogue = loaded(pytestconfig, ROOT / "plans")
    place = len(CALL["prefetch"]["observations"]["entry"])
    said = f"one Observation is of another patient (prefetch.observations.entry[{place}].resource)"
    found = reasons(of_another("observations", qualifying(CALL)[0]), catalogue)
    assert said in found["ma-oxygen.continuous.rest"]
    assert said not in found["ma-oxygen.borderline.hematocrit"]
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": {"coding": [{}]}}
    assert not any("another patient" in one for one in reasons(of_another("reports", report), catalogue).values())


def test_what_is_of_another_patient_changes_no_status(statuses: Callable[[Change], dict[str, str]]) -> None:
    low = {**qualifying(CALL)[0], "effectiveDateTime": "2026-11-20T10:00:00Z"}
    assert statuses(of_another("observations", low)) == statuses(lambda call: None)
