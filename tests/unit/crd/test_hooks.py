"""Each hook of CRD: which orders it is answered for, and with what."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from cds_service.crd.answer import HookResponse, answer, render
from cds_service.crd.hook_request import HookRequest, parse_hook_request
from cds_service.crd.hooks import HOOKS
from cds_service.fhir.problem import Problem
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import load_catalogue
from tests.fakes import FakeCatalogue, numbered_ids
from tests.unit.crd.small_call import ASKED_AT, PATIENT, bundle, coverage, flat, order
from tests.unit.policy.small_plan import criterion, definitions, part, retrieved, small_plan

OTHER = {"reference": "Patient/p2"}
ALTERNATE = "http://hl7.org/fhir/StructureDefinition/alternate-reference"


def called(hook: str, context: dict[str, Any], *chart: Any, catalogue: Any = None, **more: Any) -> Any:
    """The answer to a call of a hook whose chart holds these resources beside patient and coverage."""
    document = {
        "hook": hook,
        "hookInstance": "1",
        "context": {"userId": "Practitioner/dr1", "patientId": "p1", **context},
        "prefetch": {
            "patient": {"resourceType": "Patient", "id": "p1"},
            "coverage": bundle(coverage()),
            # on the hooks that name their orders `deviceRequests` asks for those alone
            "deviceRequests": bundle(*chart),
            "patientDeviceRequests": bundle(*chart),
            "observations": None,
            "documentReferences": None,
            "conditions": None,
        },
        **more,
    }
    request = parse_hook_request(orjson.dumps(document), hook)
    if isinstance(request, Problem):
        return request
    assert isinstance(request, HookRequest)
    held = catalogue or FakeCatalogue()
    return answer(request, held, ASKED_AT, numbered_ids(), lambda plan: f"https://cds.example.org/{plan}")


def catalogue_of(plan: dict[str, Any] | None = None) -> Catalogue:
    catalogue, problems = load_catalogue(definitions(plan))
    assert catalogue is not None, problems
    return catalogue


def updated(response: Any) -> list[str]:
    assert isinstance(response, HookResponse), response
    return [f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in response.system_actions]


def active(identity: str = "o1", *codes: str, **more: Any) -> dict[str, Any]:
    return order(identity, *codes, **{"status": "active", **more})


# -- order-select -----------------------------------------------------------------------------------------


def select(*selections: Any, orders: tuple[Any, ...] = (), **more: Any) -> Any:
    draft = bundle(*orders or (order("o1"), order("o2")))
    return called("order-select", {"selections": list(selections), "draftOrders": draft}, **more)


@pytest.mark.parametrize("named", ["DeviceRequest/o2", "https://ehr.example.org/fhir/DeviceRequest/o2", "o2"])
def test_only_what_was_selected_is_answered(named: str) -> None:
    assert updated(select(named)) == ["DeviceRequest/o2"]


def test_a_draft_that_was_not_selected_is_still_considered() -> None:
    # the companion is in the draft, so it is not suggested
    concentrator, portable = order("o1", "E1390"), order("o2", "E1392")
    beside = select("DeviceRequest/o2", orders=(concentrator, portable), catalogue=catalogue_of(_companion_plan()))
    alone = select("DeviceRequest/o2", orders=(portable,), catalogue=catalogue_of(_companion_plan()))
    notes = [
        [card["summary"] for card in one.cards if card["source"]["topic"]["code"] == "clinical-reminder"]
        for one in (beside, alone)
    ]
    assert notes == [[], ["Order a concentrator too"]]


def _companion_plan() -> dict[str, Any]:
    plan = small_plan()
    advice = next(one for one in plan["action"] if one["id"] == "advice")
    advice["action"] = [
        criterion(
            "advice.companion",
            applies="(%draftOrders.code.code contains 'E1390').not()",
            code=part("card"),
            title="Order a concentrator too",
        )
    ]
    return plan


def test_a_selection_that_no_order_answers_to_is_refused() -> None:
    problem = select("DeviceRequest/o9")
    assert isinstance(problem, Problem)
    assert (problem.kind, problem.where) == ("invalid", "context.selections")


def test_where_nothing_is_selected_nothing_is_said() -> None:
    response = select()
    assert json.loads(render(response)) == {"cards": []}


def test_a_hook_that_supports_asks_for_no_documents_yet() -> None:
    response = select("DeviceRequest/o1", catalogue=catalogue_of())
    (extension,) = response.system_actions[0]["resource"]["extension"]
    assert flat(extension)["pa-needed"] == "auth-needed"
    assert {"doc-needed", "questionnaire"}.isdisjoint(flat(extension))


# -- order-dispatch ---------------------------------------------------------------------------------------


def dispatch(*orders: Any, **context: Any) -> Any:
    return called("order-dispatch", {"performer": "Organization/x", **context}, *orders)


def test_the_orders_that_go_out_are_answered_and_no_others() -> None:
    response = dispatch(active("o1"), active("o2"), dispatchedOrders=["DeviceRequest/o2"])
    assert updated(response) == ["DeviceRequest/o2"]


def test_the_older_shape_names_one_order() -> None:
    assert updated(dispatch(active("o1"), order="DeviceRequest/o1", task=None)) == ["DeviceRequest/o1"]


def test_of_both_shapes_the_newer_one_counts() -> None:
    both = {"order": "DeviceRequest/o1", "dispatchedOrders": ["DeviceRequest/o2"]}
    assert updated(dispatch(active("o1"), active("o2"), **both)) == ["DeviceRequest/o2"]


def test_orders_of_which_none_is_at_hand_cannot_be_answered() -> None:
    problem = dispatch(dispatchedOrders=["DeviceRequest/o1"])
    assert isinstance(problem, Problem)
    assert problem.kind == "unavailable"


def test_of_orders_some_of_which_are_at_hand_the_others_are_named() -> None:
    response = dispatch(active("o1"), dispatchedOrders=["DeviceRequest/o1", "DeviceRequest/o9"])
    assert updated(response) == ["DeviceRequest/o1"]
    assert "DeviceRequest/o9" in response.cards[0]["detail"]


def test_an_order_of_another_patient_is_not_answered() -> None:
    problem = dispatch(active("o1", subject=OTHER), dispatchedOrders=["DeviceRequest/o1"])
    assert isinstance(problem, Problem)
    assert problem.code == "business-rule"


def test_an_order_with_a_date_that_does_not_exist_is_refused_where_it_stands() -> None:
    problem = dispatch(active("o1", authoredOn="2026-02-30"), dispatchedOrders=["DeviceRequest/o1"])
    assert isinstance(problem, Problem)
    assert problem.where == "prefetch.deviceRequests.entry[0].resource.authoredOn"


def test_an_order_of_the_chart_goes_back_with_its_digits() -> None:
    sent = active("o1", quantityQuantity={"value": 2.5})
    context = {"patientId": "p1", "performer": "Organization/x", "dispatchedOrders": ["DeviceRequest/o1"]}
    document = {
        "hook": "order-dispatch",
        "hookInstance": "1",
        "context": context,
        "prefetch": {"a.entry[0].resource": bundle(sent), "coverage": coverage()},
    }
    body = orjson.dumps(document).replace(b'"value":2.5', b'"value":2.50')
    request = parse_hook_request(body, "order-dispatch")
    assert isinstance(request, HookRequest)
    response = answer(request, FakeCatalogue(), ASKED_AT, numbered_ids(), str)
    assert isinstance(response, HookResponse)
    assert b'"value":2.50' in render(response)


def test_an_order_of_the_chart_is_no_evidence_for_itself() -> None:
    # the plan asks for an earlier order of the same item: the one that goes out is not that
    plan = small_plan()
    plan["action"][1]["input"].append(retrieved("earlier", "DeviceRequest", "order-oxygen"))
    asked = criterion("acme-oxygen.earlier", "%earlier.exists() or {}")
    plan["action"][1]["action"][0]["action"].append(asked)
    statuses = []
    for chart in ([active("o1")], [active("o1"), active("o2")]):
        context = {"performer": "Organization/x", "dispatchedOrders": ["DeviceRequest/o1"]}
        response = called("order-dispatch", context, *chart, catalogue=catalogue_of(plan))
        (determination,) = response.statements[0].determinations
        (verdict,) = [one for one in determination.criteria if one.id == "acme-oxygen.earlier"]
        statuses.append((verdict.status.value, [one.reference for one in verdict.evidence]))
    assert statuses == [("unknown", []), ("met", ["DeviceRequest/o2"])]


def test_the_performer_that_the_call_names_is_the_one_that_counts() -> None:
    plan = small_plan()
    by_x = criterion("acme-oxygen.sent", "iif(%performer.exists(), %performer.reference contains 'Organization/x')")
    plan["action"][1]["action"][0]["action"].append(by_x)
    sent = active("o1", performer={"reference": "Organization/y"})
    statuses = []
    for hook, context in (
        ("order-sign", {"draftOrders": bundle(sent)}),
        ("order-dispatch", {"performer": "Organization/x", "dispatchedOrders": ["DeviceRequest/o1"]}),
    ):
        response = called(hook, context, sent, catalogue=catalogue_of(plan))
        (determination,) = response.statements[0].determinations
        statuses += [one.status.value for one in determination.criteria if one.id == "acme-oxygen.sent"]
    assert statuses == ["not-met", "met"]


# -- appointment-book -------------------------------------------------------------------------------------


def appointment(identity: str = "a1", *based_on: Any, patient: Any = PATIENT) -> dict[str, Any]:
    actors = [{"actor": {"reference": "PractitionerRole/r"}, "status": "tentative"}]
    actors += [{"actor": patient, "status": "accepted"}] if patient else []
    found = {"resourceType": "Appointment", "id": identity, "status": "proposed", "participant": actors}
    return {**found, "basedOn": list(based_on)} if based_on else found


def book(*appointments: Any, chart: tuple[Any, ...] = ()) -> Any:
    return called("appointment-book", {"appointments": bundle(*appointments)}, *chart)


def test_an_appointment_without_an_order_is_answered_itself() -> None:
    response = book(appointment())
    assert updated(response) == ["Appointment/a1"]
    said = flat(response.system_actions[0]["resource"]["extension"][0])
    assert said["covered"] == "indeterminate"
    assert "basedOn" in said["reason"][0]["text"]


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "ServiceRequest/s1"},
        {"extension": [{"url": ALTERNATE, "valueReference": {"reference": "DeviceRequest/o1"}}]},
    ],
)
def test_the_order_behind_an_appointment_is_answered_and_not_the_appointment(reference: dict[str, Any]) -> None:
    service = {"resourceType": "ServiceRequest", "id": "s1", "status": "active", "intent": "order", "subject": PATIENT}
    named = {"ServiceRequest/s1"} if "reference" in reference else {"DeviceRequest/o1"}
    assert set(updated(book(appointment("a1", reference), chart=(active("o1"), service)))) == named


def test_two_appointments_for_one_order_are_one_answer() -> None:
    behind = {"extension": [{"url": ALTERNATE, "valueReference": {"reference": "DeviceRequest/o1"}}]}
    response = book(appointment("a1", behind), appointment("a2", behind), chart=(active("o1"),))
    assert updated(response) == ["DeviceRequest/o1"]


def test_an_order_that_is_not_at_hand_leaves_the_appointment_to_be_answered() -> None:
    assert updated(book(appointment("a1", {"reference": "ServiceRequest/s9"}))) == ["Appointment/a1"]


def test_an_appointment_of_another_patient_is_refused() -> None:
    problem = book(appointment(patient=OTHER))
    assert isinstance(problem, Problem)
    assert problem.code == "business-rule"


def test_an_appointment_that_names_no_patient_is_of_the_call() -> None:
    assert updated(book(appointment(patient=None))) == ["Appointment/a1"]


def test_a_call_without_an_appointment_is_refused() -> None:
    problem = book(order())
    assert isinstance(problem, Problem)
    assert problem.where == "context.appointments.entry"
    assert "Appointment" in problem.fix


# -- encounter-start, encounter-discharge -----------------------------------------------------------------

ENCOUNTERS = pytest.mark.parametrize("hook", ["encounter-start", "encounter-discharge"])


@ENCOUNTERS
def test_an_active_order_that_lacks_something_has_a_card(hook: str) -> None:
    response = called(hook, {"encounterId": "e1"}, active("o1"), catalogue=catalogue_of())
    (card,) = json.loads(render(response))["cards"]
    assert (card["source"]["topic"]["code"], card["indicator"]) == ("guideline", "warning")
    assert "systemActions" not in json.loads(render(response))


@ENCOUNTERS
@pytest.mark.parametrize(
    "sent",
    [
        order("o1"),
        active("o1", status="completed"),
        active("o1", intent="plan"),
        active("o1", doNotPerform=True),
        active("o1", subject=OTHER),
        active("o1", authoredOn="2026-02-30"),
        active("o1", occurrencePeriod={"start": "2026-01-01", "end": "2026-11-20"}),
        active("o1", "E9999"),
    ],
)
def test_of_other_orders_nothing_is_said(hook: str, sent: dict[str, Any]) -> None:
    response = called(hook, {"encounterId": "e1"}, sent, catalogue=catalogue_of())
    assert json.loads(render(response)) == {"cards": []}


@ENCOUNTERS
def test_without_active_orders_the_coverage_is_nobodys_business(hook: str) -> None:
    found = called(hook, {"encounterId": "e1"}, prefetch={"patient": {"resourceType": "Patient", "id": "p1"}})
    assert json.loads(render(found)) == {"cards": []}


# -- what a caller can switch off -------------------------------------------------------------------------


def test_a_caller_who_wants_nothing_gets_two_empty_lists_on_a_primary_hook() -> None:
    off = {"coverage-info": False, "guideline": False, "claim": False, "clinical-reminder": False, "cost": False}
    extension = {"davinci-crd.configuration": {**off, "unsolicited-determ": False, "max-cards": 3}}
    response = called("order-sign", {"draftOrders": bundle(order())}, catalogue=catalogue_of(), extension=extension)
    assert json.loads(render(response)) == {"cards": [], "systemActions": []}


def test_a_card_type_that_a_hook_does_not_have_stays_away_whatever_the_caller_wants() -> None:
    extension = {"davinci-crd.configuration": {"claim": True}}
    response = called(
        "order-dispatch",
        {"performer": "Organization/x", "dispatchedOrders": ["DeviceRequest/o1"]},
        active("o1"),
        catalogue=catalogue_of(),
        extension=extension,
    )
    assert "claim" not in HOOKS["order-dispatch"].cards
    assert not any("suggestions" in card for card in response.cards)
