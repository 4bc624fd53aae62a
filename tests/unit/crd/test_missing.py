"""What is still asked of the EHR, and what its answers do to a call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import orjson
import pytest

from cds_service.crd.hook_request import HookRequest, parse_hook_request
from cds_service.crd.missing import missing_queries
from cds_service.crd.performer import NETWORK_REFERENCE
from cds_service.crd.queries import Query, Reading
from cds_service.policy.order_line import OrderLine
from cds_service.policy.plan import Outcome, Row
from tests.fakes import ACME, FakeCatalogue
from tests.unit.crd.small_call import ASKED_AT, bundle, call, coverage, order, parsed

PATIENT = {"resourceType": "Patient", "id": "p1"}
CONDITION = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p1"}}
ORGANIZATION = {"resourceType": "Organization", "id": "org1", "name": "Acme Health"}
OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
SEARCH = Query("Condition", parameters=(("patient", "p1"),))


@dataclass(frozen=True)
class OnlyRests:
    """As much of a policy as says what it reads."""

    types_read: frozenset[str]
    rows: tuple[Row, ...] = ()
    form: None = None


@dataclass(frozen=True)
class OnePolicy(FakeCatalogue):
    """A catalogue whose one policy, of Acme, speaks of E1390 and reads these types."""

    types_needed: frozenset[str] = frozenset({"Condition", "Encounter", "Observation", "Patient"})
    rows: tuple[Row, ...] = ()

    def in_force(self, payer: str, line: OrderLine, on: date) -> tuple[Any, ...]:
        speaks = payer == "acme" and line.get("code", {}).get("code") == "E1390"
        return (OnlyRests(self.types_needed, self.rows),) if speaks else ()


CATALOGUE = OnePolicy()
CHART = ["Condition?patient=p1", "Observation?patient=p1"]


def asked(request: HookRequest | dict[str, Any], catalogue: Any = CATALOGUE) -> list[str]:
    request = parsed(request) if isinstance(request, dict) else request
    return sorted(one.address for one in missing_queries(request, catalogue, ASKED_AT))


def sent(*orders: Any, context: dict[str, Any] | None = None, **prefetch: Any) -> dict[str, Any]:
    document = call(*orders, prefetch=prefetch)
    document["context"].update(context or {})
    return document


def chart(request: HookRequest | dict[str, Any], *answers: tuple[Query, Any]) -> HookRequest:
    request = parsed(request) if isinstance(request, dict) else request
    return request.with_chart(
        Reading(query, (), body) if isinstance(body, str) else Reading(query, (body,)) for query, body in answers
    )


def why(request: HookRequest, resource_type: str = "Condition") -> str | None:
    return request.not_looked_up((resource_type,)).get(resource_type)


def row(pa_needed: str) -> Row:
    return Row("auth.all", "all", None, Outcome("covered", pa_needed), None, False, None, ())


# -- what is asked, and when ------------------------------------------------------------------------------


def test_with_nothing_sent_the_coverage_comes_first_and_what_the_call_names() -> None:
    document = sent(order(requester={"reference": "PractitionerRole/r1"}), context={"encounterId": "e1"})
    assert asked(document) == [
        "Coverage?patient=p1&status=active",
        "Encounter/e1",
        "Patient/p1",
        "PractitionerRole/r1",
    ]


def test_the_chart_is_asked_for_once_the_payer_is_known() -> None:
    document = sent(patient=PATIENT, coverage=bundle(coverage()))
    assert asked(document) == CHART


def test_the_chart_of_another_payers_member_is_not_read() -> None:
    document = sent(patient=PATIENT, coverage=bundle(coverage(payor={"display": "Somebody Else"})))
    assert asked(document) == []


def test_the_chart_is_not_read_under_a_coverage_that_has_ended() -> None:
    assert asked(sent(patient=PATIENT, coverage=bundle(coverage(status="cancelled")))) == []


def test_no_chart_is_read_for_an_order_that_no_policy_knows() -> None:
    assert asked(sent(order("o1", "A0001"), coverage=bundle(coverage()))) == []


def test_a_payor_that_is_only_pointed_at_is_read_beside_the_chart() -> None:
    document = sent(patient=PATIENT, coverage=bundle(coverage(payor={"reference": "Organization/org1"})))
    assert asked(document) == [*CHART, "Organization/org1"]


def test_after_a_payor_that_could_not_be_read_no_chart_is() -> None:
    document = sent(patient=PATIENT, coverage=bundle(coverage(payor={"reference": "Organization/org1"})))
    read = chart(document, (Query("Organization", ids=("org1",)), "it answered 403"))
    assert asked(read) == []


def test_a_coverage_that_the_order_names_is_read_and_no_other_is_looked_for() -> None:
    named = order(insurance=[{"reference": "Coverage/c9"}, {"reference": "ClaimResponse/x"}])
    assert asked(sent(named, patient=PATIENT)) == ["Coverage/c9"]


def test_several_of_a_type_are_one_read() -> None:
    orders = [order(f"o{n}", insurance=[{"reference": f"Coverage/c{n}"}]) for n in range(3)]
    assert asked(sent(*orders, patient=PATIENT)) == ["Coverage?_id=c0,c1,c2"]


def test_what_prefetch_brought_is_not_asked_for() -> None:
    full = sent(
        order(requester={"reference": "Practitioner/dr1"}),
        patient=PATIENT,
        coverage=bundle(coverage(payor={"reference": "Organization/org1"})),
        payors=bundle(ORGANIZATION),
        conditions=bundle(CONDITION),
        observations=None,
        practitioner={"resourceType": "Practitioner", "id": "dr1"},
        userRoles=None,
    )
    assert asked(full) == []


@pytest.mark.parametrize(
    ("value", "again"),
    [(None, False), (bundle(), False), (bundle(CONDITION), False), (OUTCOME, False), (bundle(OUTCOME), False)],
)
def test_a_look_up_that_was_made_is_not_repeated_whatever_came_of_it(value: Any, again: bool) -> None:
    document = sent(patient=PATIENT, coverage=bundle(coverage()), conditions=value)
    assert ("Condition?patient=p1" in asked(document)) is again


def test_one_missing_key_is_one_read() -> None:
    document = sent(patient=PATIENT, coverage=bundle(coverage()), conditions=bundle(CONDITION))
    assert asked(document) == ["Observation?patient=p1"]


def test_certain_devices_under_the_guides_key_are_not_all_that_the_patient_has() -> None:
    catalogue = OnePolicy(types_needed=frozenset({"Device"}))
    document = sent(patient=PATIENT, coverage=bundle(coverage()), devices=bundle({"resourceType": "Device", "id": "d"}))
    assert asked(document, catalogue) == ["Device?patient=p1"]
    assert why(parsed(document), "Device") == "the EHR sent no Device with the call"


def test_of_an_order_by_reference_the_item_is_read_before_any_policy_is_known() -> None:
    by_reference = order(codeReference={"reference": "Device/d1"})
    del by_reference["codeCodeableConcept"]
    assert asked(sent(by_reference, coverage=bundle(coverage()))) == ["Device/d1"]


def test_the_place_of_the_encounter_is_read_after_it() -> None:
    encounter = {
        "resourceType": "Encounter",
        "id": "e1",
        "subject": {"reference": "Patient/p1"},
        "location": [{"location": {"reference": "Location/l1"}}, {"location": {"reference": "Location/l2"}}],
        "serviceProvider": {"reference": "Organization/h1"},
    }
    document = sent(context={"encounterId": "e1"}, patient=PATIENT, coverage=None, encounter=encounter)
    assert asked(document) == ["Location?_id=l1,l2", "Organization/h1"]


def test_a_practitioner_who_orders_is_read_with_the_role() -> None:
    document = sent(order(requester={"reference": "Practitioner/dr1"}), patient=PATIENT, coverage=None)
    assert asked(document) == ["Practitioner/dr1", "PractitionerRole?practitioner=dr1"]


def test_the_practitioner_behind_a_role_is_read_after_it() -> None:
    role = {"resourceType": "PractitionerRole", "id": "r1", "practitioner": {"reference": "Practitioner/dr1"}}
    document = sent(order(requester={"reference": "PractitionerRole/r1"}), patient=PATIENT, coverage=None)
    assert asked(chart(document, (Query("PractitionerRole", ids=("r1",)), role))) == ["Practitioner/dr1"]


def test_a_performers_organization_and_networks_are_read_link_by_link() -> None:
    network = {"url": NETWORK_REFERENCE, "valueReference": {"reference": "Organization/network"}}
    role = {
        "resourceType": "PractitionerRole",
        "id": "r1",
        "organization": {"reference": "Organization/home"},
        "extension": [network],
    }
    mine = order(performer={"reference": "PractitionerRole/r1"})
    document = sent(mine, patient=PATIENT, coverage=None)
    assert asked(document) == ["PractitionerRole/r1"]
    request = chart(document, (Query("PractitionerRole", ids=("r1",)), role))
    assert asked(request) == ["Organization?_id=home,network"]
    owned = {"resourceType": "Organization", "id": "network", "partOf": {"reference": "Organization/owner"}}
    read = chart(request, (Query("Organization", ids=("home", "network")), bundle(owned)))
    assert asked(read) == ["Organization/owner"]


def test_a_dispenser_is_read() -> None:
    mine = {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "medicationCodeableConcept": order()["codeCodeableConcept"],
        "dispenseRequest": {"performer": {"reference": "Organization/pharmacy"}},
    }
    assert asked(sent(mine, patient=PATIENT, coverage=None)) == ["Organization/pharmacy"]


def test_what_was_asked_is_not_asked_again() -> None:
    document = sent(patient=PATIENT, coverage=bundle(coverage()))
    queries = missing_queries(parsed(document), CATALOGUE, ASKED_AT)
    assert asked(parsed(document).with_chart(Reading(one, (), "it answered 500") for one in queries)) == []


@pytest.mark.parametrize("reference", ["https://elsewhere.example/fhir/Coverage/c9", "urn:uuid:1", "#c", "Coverage/..",
                                       "Coverage", "Coverage/a?b", ""])  # fmt: skip
def test_only_the_calls_own_server_is_asked_and_only_for_plain_ids(reference: str) -> None:
    document = sent(order(insurance=[{"reference": reference}]), patient=PATIENT)
    document["fhirServer"] = "https://ehr.example.org/fhir"
    assert asked(document) == []


@pytest.mark.parametrize("patient", ["..", "p1?x", "p1&y=z", "p 1", "x" * 65])
def test_an_id_that_is_none_is_not_put_into_an_address(patient: str) -> None:
    document = sent(
        {"resourceType": "DeviceRequest", "id": "o1", "codeCodeableConcept": order()["codeCodeableConcept"]}
    )
    document["context"]["patientId"] = patient
    assert asked(document) == []


# -- authorizations on file -------------------------------------------------------------------------------

WANTS = OnePolicy(rows=(row("no-auth"), row("auth-needed")))
WANTS_NONE = OnePolicy(rows=(row("no-auth"),))
AUTHORIZATIONS = "ClaimResponse?patient=p1&use=preauthorization"
ANSWERS = Query("ClaimResponse", parameters=(("patient", "p1"), ("use", "preauthorization")))


def whole(**prefetch: Any) -> dict[str, Any]:
    """A call that lacks nothing of what policies read."""
    return sent(patient=PATIENT, coverage=bundle(coverage()), conditions=None, observations=None, **prefetch)


def answer_to(request: str, **more: Any) -> dict[str, Any]:
    reference = {"reference": request}
    return {
        "resourceType": "ClaimResponse",
        "id": "r1",
        "use": "preauthorization",
        "patient": {"reference": "Patient/p1"},
        "request": reference,
        **more,
    }


def test_authorizations_are_looked_for_where_the_policy_may_want_one() -> None:
    assert asked(whole(), WANTS) == [AUTHORIZATIONS]
    assert asked(whole(), WANTS_NONE) == []
    assert asked(sent(order("o1", "A4615"), patient=PATIENT, coverage=bundle(coverage())), WANTS) == []


def test_who_asks_what_if_has_no_authorization_looked_for() -> None:
    document = whole()
    document["extension"] = {"davinci-crd.configuration": {"unsolicited-determ": False}}
    assert asked(document, WANTS) == []


@pytest.mark.parametrize("value", [None, bundle(), OUTCOME, bundle(answer_to("#here"))])
def test_a_look_up_of_authorizations_that_was_made_is_not_repeated(value: Any) -> None:
    assert asked(whole(claimResponses=value), WANTS) == []


def test_authorizations_are_asked_for_after_the_chart() -> None:
    request = parsed(sent(patient=PATIENT, coverage=bundle(coverage())))
    assert missing_queries(request, WANTS, ASKED_AT)[-1] == ANSWERS


def test_the_request_behind_an_answer_is_read_and_no_others() -> None:
    answers = bundle(answer_to("Claim/k1"), answer_to("Claim/k2", id="r2", use="claim"))
    assert asked(chart(whole(), (ANSWERS, answers)), WANTS) == ["Claim/k1"]
    assert asked(whole(claimResponses=answers), WANTS) == ["Claim/k1"]
    assert asked(whole(claimResponses=answers, claims=None), WANTS) == []


# -- the other hooks --------------------------------------------------------------------------------------


def on_hook(hook: str, context: dict[str, Any], **prefetch: Any) -> HookRequest:
    document = {
        "hook": hook,
        "hookInstance": "1",
        "context": {"userId": "Practitioner/dr1", "patientId": "p1", **context},
        "prefetch": {"patient": PATIENT, "coverage": bundle(coverage()), **prefetch},
    }
    request = parse_hook_request(orjson.dumps(document), hook)
    assert isinstance(request, HookRequest), request
    return request


def test_dispatched_orders_and_their_performer_are_read() -> None:
    context = {"dispatchedOrders": ["DeviceRequest/o1", "DeviceRequest/o2"], "performer": "Organization/home"}
    request = on_hook("order-dispatch", context)
    assert asked(request) == ["DeviceRequest?_id=o1,o2", "Organization/home"]
    orders = bundle({**order("o1"), "status": "active"}, {**order("o2"), "status": "active"})
    read = chart(request, (Query("DeviceRequest", ids=("o1", "o2")), orders))
    assert asked(read) == [*CHART, "Organization/home"]


def test_the_coverage_is_asked_for_beside_orders_that_are_only_named() -> None:
    context = {"dispatchedOrders": ["DeviceRequest/o1"], "performer": "Organization/home"}
    named = on_hook("order-dispatch", context, coverage=OUTCOME)
    assert asked(named) == ["DeviceRequest/o1", "Organization/home"]
    named = replace(named, prefetch_state={}, closed=frozenset())
    assert asked(named) == ["Coverage?patient=p1&status=active", "DeviceRequest/o1", "Organization/home"]


def test_the_orders_behind_an_appointment_are_read() -> None:
    appointment = {
        "resourceType": "Appointment",
        "id": "a1",
        "status": "proposed",
        "basedOn": [{"reference": "ServiceRequest/s1"}],
        "participant": [{"actor": {"reference": "Patient/p1"}, "status": "tentative"}],
    }
    assert "ServiceRequest/s1" in asked(on_hook("appointment-book", {"appointments": bundle(appointment)}))


def test_at_an_encounter_the_active_orders_are_looked_for() -> None:
    catalogue = OnePolicy(types_needed=frozenset({"Condition", "DeviceRequest"}))
    request = on_hook("encounter-start", {"encounterId": "e1"})
    assert asked(request, catalogue) == ["DeviceRequest?patient=p1"]
    active = bundle({**order("o1"), "status": "active", "intent": "order"})
    read = chart(request, (Query("DeviceRequest", parameters=(("patient", "p1"),)), active))
    assert asked(read, catalogue) == ["Condition?patient=p1", "Encounter/e1"]


# -- pages of prefetch ------------------------------------------------------------------------------------

FIRST = bundle(CONDITION, link=[{"relation": "next", "url": "https://ehr.example.org/fhir?page=2"}])
PAGE = Query("Condition", page="https://ehr.example.org/fhir?page=2")


def paged(**prefetch: Any) -> HookRequest:
    return parsed(sent(patient=PATIENT, coverage=bundle(coverage()), observations=None, **prefetch))


def test_the_next_page_of_prefetch_is_asked_for() -> None:
    assert missing_queries(paged(conditions=FIRST), CATALOGUE, ASKED_AT) == (PAGE,)


def test_with_its_last_page_a_look_up_is_whole() -> None:
    whole = chart(paged(conditions=FIRST), (PAGE, bundle({**CONDITION, "id": "c2"})))
    assert why(whole) is None
    assert [one.resource["id"] for one in whole.resources if one.resource["resourceType"] == "Condition"] == ["c", "c2"]
    assert asked(whole) == []


def test_without_its_last_page_a_look_up_says_what_came_of_it() -> None:
    cut = chart(paged(conditions=FIRST), (PAGE, "it pointed to another server, which is not asked"))
    assert why(cut) == "the EHR was asked for Condition and it pointed to another server, which is not asked"
    assert asked(cut) == []


def test_resources_under_a_key_of_the_callers_own_are_cut_off_too() -> None:
    mine = paged(problems=FIRST)
    assert why(mine) == "the EHR sent only a part of what it found of Condition"
    [page] = missing_queries(mine, CATALOGUE, ASKED_AT)
    assert why(chart(mine, (page, bundle()))) is None


def test_a_page_without_an_address_is_never_whole() -> None:
    first = bundle(CONDITION, link=[{"relation": "next"}])
    both = {"resourceType": "Bundle", "entry": [{"resource": first}, {"resource": FIRST}]}
    request = paged(conditions=both)
    assert missing_queries(request, CATALOGUE, ASKED_AT) == (PAGE,)
    assert why(chart(request, (PAGE, bundle()))) is not None


def test_what_a_bundle_counts_and_does_not_hold_is_missing_unless_a_page_brings_it() -> None:
    assert why(paged(conditions=bundle(CONDITION, total=2))) is not None
    search = parsed(BARE).with_chart([Reading(SEARCH, (bundle(CONDITION, total=2),))])
    assert why(search) is not None
    both = (bundle(CONDITION, total=2, link=FIRST["link"]), bundle({**CONDITION, "id": "c2"}, total=2))
    assert why(parsed(BARE).with_chart([Reading(SEARCH, both)])) is None
    first = paged(conditions={**FIRST, "total": 2})
    assert why(chart(first, (PAGE, bundle({**CONDITION, "id": "c2"}, total=2)))) is None


# -- what an answer of the EHR does -----------------------------------------------------------------------

BARE = sent(patient=PATIENT, coverage=bundle(coverage()))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (bundle(CONDITION), None),
        (bundle(), None),
        ({"resourceType": "Bundle"}, None),
        (OUTCOME, "the EHR could not look up Condition"),
        (bundle(CONDITION, OUTCOME), "the EHR could not look up Condition"),
        (bundle(link=[{"relation": "next", "url": "x"}]), "the EHR sent only a part of what it found of Condition"),
        ("it did not answer in time", "the EHR was asked for Condition and it did not answer in time"),
        ("it answered 403", "the EHR was asked for Condition and it answered 403"),
    ],
)
def test_a_search_is_told_by_what_came_of_it(body: Any, said: str | None) -> None:
    assert why(chart(BARE, (SEARCH, body))) == said


def test_a_page_that_failed_leaves_the_others_and_says_so() -> None:
    request = parsed(BARE).with_chart([Reading(SEARCH, (FIRST,), "it answered 500")])
    assert why(request) == "the EHR was asked for Condition and it answered 500"
    assert any(one.resource == CONDITION for one in request.resources)


def test_what_was_read_says_where_it_stands() -> None:
    request = chart(BARE, (SEARCH, bundle(CONDITION)))
    assert request.resources[-1].where == "fhirServer.Condition.entry[0].resource"


def test_orders_of_the_chart_are_looked_up_by_a_search_only() -> None:
    reads = Query("DeviceRequest", ids=("d1",))
    other = {"resourceType": "DeviceRequest", "id": "d1", "subject": {"reference": "Patient/p1"}}
    assert why(chart(BARE, (reads, other)), "DeviceRequest") == "the EHR sent no DeviceRequest with the call"
    search = Query("DeviceRequest", parameters=(("patient", "p1"),))
    assert why(chart(BARE, (search, bundle(other))), "DeviceRequest") is None


def test_a_patient_that_could_not_be_read_says_why() -> None:
    request = chart(sent(coverage=None), (Query("Patient", ids=("p1",)), "it answered 404"))
    assert why(request, "Patient") == "the EHR was asked for Patient and it answered 404"


# -- the token --------------------------------------------------------------------------------------------


def access(**authorization: Any) -> Any:
    document = call(fhirServer="https://ehr.example.org/fhir", fhirAuthorization=authorization)
    return parsed(document).access


def test_the_token_is_kept_for_reading_and_shown_nowhere() -> None:
    found = access(access_token="abc.DEF-1~+/==", token_type="Bearer")
    assert (found.server, found.token) == ("https://ehr.example.org/fhir", "abc.DEF-1~+/==")
    request = parsed(call(fhirServer="https://x", fhirAuthorization={"access_token": "s3cret"}))
    assert "s3cret" not in repr(request)


@pytest.mark.parametrize(
    "authorization",
    [
        {},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "a b"},
        {"access_token": "a\r\nHost: evil"},
        {"access_token": "schlüssel"},
        {"access_token": 7},
        {"access_token": "abc", "token_type": "mac"},
        {"access_token": "abc", "token_type": 7},
    ],
)
def test_with_a_token_that_is_none_nothing_is_read(authorization: dict[str, Any]) -> None:
    assert access(**authorization) is None


def test_without_a_server_nothing_is_read_and_without_a_token_it_is_read_without() -> None:
    assert parsed(call()).access is None
    found = parsed(call(fhirServer="http://127.0.0.1/fhir")).access
    assert found is not None and found.token is None


def test_a_call_is_not_changed_by_what_is_read() -> None:
    body = orjson.dumps(BARE)
    request = parse_hook_request(body, "order-sign")
    assert isinstance(request, HookRequest)
    before = replace(request)
    chart(request, (SEARCH, bundle(CONDITION)))
    assert request == before
    assert ACME.id == "acme"
