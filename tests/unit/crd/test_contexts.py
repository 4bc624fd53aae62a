"""What a questionnaire is to be filled from is kept where one goes out, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from cds_service.crd.answer import HookResponse, answer
from cds_service.crd.hook_request import HookRequest, parse_hook_request
from cds_service.crd.memory import Assertion, patient_digest
from cds_service.fhir.working_days import STANDARD_HOURS
from cds_service.policy.determination import determine
from cds_service.policy.situation_json import situation_from
from tests.fakes import numbered_ids
from tests.unit.crd.small_call import ASKED_AT, HCPCS, bundle, call, coverage, coverage_information, order
from tests.unit.crd.test_system_actions import earlier
from tests.unit.dtr.small_form import CANONICAL, asking_catalogue
from tests.unit.policy.test_criteria import saturation

CATALOGUE = asking_catalogue()
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-05-01", "name": [{"family": "Secret"}]}


def answered(
    *orders: Any, keeps: bool = True, before: Mapping[str, Assertion] | None = None, **more: Any
) -> HookResponse:
    chart = bundle(saturation(88, "2026-11-01"), saturation(80, identity="w", code={"coding": [{"code": "w"}]}))
    given = {"patient": PATIENT, "coverage": bundle(coverage()), "observations": chart}
    sent = call(*orders, prefetch=given, **more)
    request = parse_hook_request(orjson.dumps(sent), sent["hook"])
    assert isinstance(request, HookRequest), request
    found = answer(request, CATALOGUE, ASKED_AT, numbered_ids(), str, earlier=before or {}, keeps_contexts=keeps)
    assert isinstance(found, HookResponse), found
    return found


def test_where_a_questionnaire_goes_out_what_was_looked_at_is_kept_under_its_assertion_id() -> None:
    response = answered()
    [said] = coverage_information(response)
    [context] = response.kept.contexts
    assert said["questionnaire"] == [CANONICAL]
    assert (context.id, context.questionnaire) == (said["coverage-assertion-id"], CANONICAL)
    assert (context.subject, context.coverage) == ("Patient/p1", {"reference": "Coverage/c1"})
    assert context.patient == patient_digest(None, "p1") and context.made_at == ASKED_AT
    kept = [one["resource"]["id"] for one in context.situation["resources"]]
    assert kept == ["o", "p1"] and "Secret" not in orjson.dumps(context.situation).decode()


def test_the_determination_can_be_made_again_from_what_is_kept() -> None:
    response = answered()
    [context] = response.kept.contexts
    policy = CATALOGUE.policies[0]
    held = orjson.loads(orjson.dumps(context.situation))
    given: Any = {"asked_at": context.made_at, "business_hours": STANDARD_HOURS, "answers": {}}
    assert determine(policy, situation_from(held, policy, **given)) == response.statements[0].determinations[0]


def test_a_deployment_can_keep_none() -> None:
    response = answered(keeps=False)
    assert response.kept.contexts == () and response.kept.assertions


def test_an_order_that_no_policy_speaks_of_has_no_context() -> None:
    assert answered(order("o1", "A9999")).kept.contexts == ()


def test_who_asks_what_if_leaves_nothing_behind() -> None:
    asked = {"davinci-crd.configuration": {"unsolicited-determ": False}}
    assert answered(extension=asked).kept.contexts == ()


def test_each_order_has_a_context_of_its_own() -> None:
    contexts = answered(order("o1"), order("o2", "E1392")).kept.contexts
    assert [one.situation["line"]["resource"]["id"] for one in contexts] == ["o1", "o2"]
    assert len({one.id for one in contexts}) == 2


def test_an_order_that_is_judged_again_renews_its_context() -> None:
    before = {"id-9": Assertion("id-9", patient_digest(None, "p1"), "acme")}
    signed = order("o1", "E1390", extension=[earlier("id-9", "Coverage/c1")])
    [context] = answered(signed, before=before).kept.contexts
    assert context.id == "id-9"


def test_the_order_is_kept_as_it_was_sent() -> None:
    [context] = answered().kept.contexts
    codings = context.situation["line"]["resource"]["codeCodeableConcept"]["coding"]
    assert codings == [{"system": HCPCS, "code": "E1390"}]
