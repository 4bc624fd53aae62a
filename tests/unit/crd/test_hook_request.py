"""What is read of a call, and what is said of one that cannot be read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from cds_service.crd.clients import Client
from cds_service.crd.hook_request import HookRequest, hook_called, parse_hook_request
from cds_service.crd.orders import ORDER_TYPES
from cds_service.crd.versions import CRD_20, CRD_21, CRD_22, CrdVersion
from cds_service.fhir.json_body import MAX_DEPTH
from tests.unit.crd.small_call import bundle, call, coverage, order, parsed, refused

# -- what is no call --------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"order-sign", b"{", b'{"hook": "order-sign",}', b'{"hook": "\xff"}'])
def test_what_is_not_json_is_refused_and_says_where(body: bytes) -> None:
    problem = refused(body)
    assert problem.kind == "invalid"
    assert problem.where == "body"
    assert "not JSON" in problem.what
    assert "line 1" in problem.what


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"order-sign"'])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    assert refused(body).what == "not a JSON object"


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100, 900, 200_000])
def test_a_call_nested_too_deep_is_refused_without_a_crash(depth: int) -> None:
    body = b'{"hook": "order-sign", "prefetch": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    problem = refused(body)
    assert (problem.where, problem.what) == ("body", f"nested more than {MAX_DEPTH} deep")


def test_bundles_within_bundles_are_read_as_deep_as_a_call_may_be() -> None:
    inner: dict[str, Any] = {"resourceType": "Observation", "id": "deep"}
    for _ in range(15):
        inner = bundle(inner)
    request = parsed(call(prefetch={"observations": inner}))
    assert [one.resource.get("id") for one in request.resources] == ["deep"]


def test_a_hundred_bundles_within_each_other_are_refused() -> None:
    inner: dict[str, Any] = {"resourceType": "Observation", "id": "deep"}
    for _ in range(80):
        inner = bundle(inner)
    assert "nested" in refused(call(prefetch={"observations": inner})).what


def test_brackets_within_text_are_no_nesting() -> None:
    parsed(call(order(note=[{"text": "[" * 500}])))


# -- the envelope -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["hook", "hookInstance", "context", "context.userId", "context.patientId",
                                  "context.draftOrders", "context.draftOrders.resourceType"])  # fmt: skip
def test_a_missing_member_is_named(path: str) -> None:
    document = call()
    *above, last = path.split(".")
    holder: Any = document
    for name in above:
        holder = holder[name]
    del holder[last]
    problem = refused(document)
    assert (problem.kind, problem.where, problem.what) == ("invalid", path, "missing")
    assert problem.fix.startswith("send ")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hookInstance", 7),
        ("hook", ""),
        ("fhirServer", []),
        ("context", []),
        ("prefetch", "none"),
        ("context.patientId", ""),
        ("context.patientId", 12),
        ("context.patientId", "Patient/"),
        ("context.encounterId", 12),
        ("context.draftOrders", []),
        ("context.draftOrders.resourceType", "List"),
        ("context.draftOrders.entry", {}),
        ("prefetch.coverage", [1]),
        ("prefetch.patient", "Patient/p1"),
    ],
)
def test_a_member_of_the_wrong_shape_is_named_and_not_quoted(path: str, value: Any) -> None:
    document = call()
    *above, last = path.split(".")
    holder: Any = document
    for name in above:
        holder = holder[name]
    holder[last] = value
    problem = refused(document)
    assert problem.where == path
    assert "12" not in str(problem)
    assert "Patient/p1" not in str(problem)


def test_an_access_token_without_a_server_is_refused() -> None:
    problem = refused(call(fhirAuthorization={"access_token": "x"}))
    assert problem.where == "fhirServer"


def test_a_call_of_another_hook_is_told_which_hook_is_answered() -> None:
    problem = refused({**call(), "hook": "order-select"})
    assert problem.where == "hook"
    assert "order-sign" in problem.what
    assert "order-select" not in str(problem)


def test_unknown_members_are_passed_over_everywhere() -> None:
    document = call(order(), tomorrow=[1], extension={"vendor": None, "davinci-crd.configuration": {"x": {}}})
    document["context"]["weather"] = {"rain": True}
    document["context"]["draftOrders"]["entry"][0]["colour"] = "red"
    document["prefetch"]["vendorKey"] = {"resourceType": "Basic", "id": "b"}
    assert len(parsed(document).orders) == 1


@pytest.mark.parametrize("absent", [None, {}])
def test_a_call_without_prefetch_is_read(absent: Any) -> None:
    request = parsed({**call(), "prefetch": absent})
    assert request.resources == ()
    assert "Observation" in request.not_looked_up(("Observation",))


@pytest.mark.parametrize("name", ["fhirServer", "fhirAuthorization", "extension", "prefetch"])
def test_null_for_what_may_be_absent_is_taken_as_absent(name: str) -> None:
    assert len(parsed({**call(), name: None}).orders) == 1


@pytest.mark.parametrize("name", ["hook", "hookInstance", "context"])
def test_null_for_what_must_be_there_is_a_missing_member(name: str) -> None:
    problem = refused({**call(), name: None})
    assert (problem.where, problem.what) == (name, "missing")


def test_ids_may_come_with_their_type() -> None:
    document = call()
    document["context"]["patientId"] = "Patient/p1"
    document["context"]["encounterId"] = "Encounter/e1"
    request = parsed(document)
    assert (request.patient_id, request.encounter_id) == ("p1", "e1")


# -- the draft --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entries", [[], [{"resource": coverage()}]])
def test_a_draft_without_an_order_is_refused(entries: list[Any]) -> None:
    document = call()
    document["context"]["draftOrders"]["entry"] = entries
    problem = refused(document)
    assert problem.where == "context.draftOrders.entry"
    assert problem.what == "nothing to answer for among the entries"
    assert all(one in problem.fix for one in ORDER_TYPES)


def test_a_draft_without_entries_is_refused() -> None:
    document = call()
    del document["context"]["draftOrders"]["entry"]
    assert refused(document).where == "context.draftOrders.entry"


@pytest.mark.parametrize("entry", [{}, {"resource": None}, {"resource": {"id": "x"}}, {"resource": []}, 7])
def test_an_entry_that_might_have_been_an_order_is_not_passed_over(entry: Any) -> None:
    document = call()
    document["context"]["draftOrders"]["entry"].append(entry)
    problem = refused(document)
    assert problem.where.startswith("context.draftOrders.entry[1]")
    assert problem.what == "no resource with a resourceType"


@pytest.mark.parametrize("resource_type", sorted(ORDER_TYPES))
def test_each_type_of_order_is_read(resource_type: str) -> None:
    request = parsed(call({"resourceType": resource_type, "id": "o1"}))
    assert request.orders[0].resource["resourceType"] == resource_type


def test_what_lies_beside_the_orders_joins_the_chart() -> None:
    device = {"resourceType": "Device", "id": "d1"}
    request = parsed(call(order(), device))
    assert [one.where for one in request.orders] == ["context.draftOrders.entry[0].resource"]
    assert ("context.draftOrders.entry[1].resource", device, None) in request.resources


@pytest.mark.parametrize(
    ("changes", "element"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"authoredOn": "2026-13-40"}, "authoredOn"),
        ({"authoredOn": "2026-02-30T10:00:00Z"}, "authoredOn"),
        ({"authoredOn": 20261121}, "authoredOn"),
        ({"occurrenceDateTime": "tomorrow"}, "occurrenceDateTime"),
        ({"occurrencePeriod": {"start": "2026-11-31"}}, "occurrencePeriod"),
        ({"occurrenceTiming": {"repeat": {"boundsPeriod": {"end": "2026-11-31"}}}},
         "occurrenceTiming.repeat.boundsPeriod.end"),
        ({"codeCodeableConcept": "E1390"}, "codeCodeableConcept"),
        ({"extension": {"url": "x"}}, "extension"),
        ({"insurance": {"reference": "Coverage/c1"}}, "insurance"),
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_read_is_refused_by_the_element(changes: dict[str, Any], element: str) -> None:
    problem = refused(call(order(), order("o2", **changes)))
    assert problem.where == f"context.draftOrders.entry[1].resource.{element}"
    assert problem.kind == "invalid"


@pytest.mark.parametrize(
    "other",
    [
        {"resourceType": "NutritionOrder", "id": "n1", "dateTime": "2026-13-40"},
        {"resourceType": "VisionPrescription", "id": "v1", "dateWritten": "2026-13-40"},
    ],
)
def test_dates_of_the_rarer_orders_are_checked_too(other: dict[str, Any]) -> None:
    assert "is not a date" in refused(call(other)).what


def test_two_orders_with_one_id_are_refused() -> None:
    problem = refused(call(order("same"), order("same")))
    assert problem.where == "context.draftOrders.entry[1].resource.id"


def test_two_orders_of_different_types_may_share_an_id() -> None:
    parsed(call(order("same"), {"resourceType": "NutritionOrder", "id": "same"}))


@pytest.mark.parametrize("element", ["subject", "patient"])
def test_an_order_for_another_patient_is_refused(element: str) -> None:
    other = {"resourceType": "NutritionOrder", "id": "n1", element: {"reference": "Patient/p2"}}
    problem = refused(call(order(), other))
    assert problem.where == "context.draftOrders.entry[1].resource"
    assert "p2" not in str(problem)


def test_an_order_may_name_the_patient_by_the_servers_own_address() -> None:
    mine = order(subject={"reference": "https://ehr.example.org/fhir/Patient/p1"})
    parsed(call(mine, fhirServer="https://ehr.example.org/fhir"))


# -- decimals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["1.10", "1e5", "2.0", "-0.0", "0.1000", "123456789012345678901234567890"])
def test_a_decimal_of_an_order_keeps_the_digits_it_came_with(number: str) -> None:
    body = orjson.dumps(call(order(quantityQuantity={"value": 77777}))).replace(b"77777", number.encode())
    request = parse_hook_request(body, "order-sign")
    assert isinstance(request, HookRequest)
    assert f'"value":{number}'.encode() in orjson.dumps(request.orders[0].echo)


def test_an_order_without_decimals_is_echoed_as_it_is() -> None:
    request = parsed(call(order(quantityQuantity={"value": 2})))
    assert request.orders[0].echo is request.orders[0].resource


# -- the extensions of CRD --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        (None, CRD_22),
        ("2.2", CRD_22),
        ("2.2.0", CRD_22),
        ("2.2.1", CRD_22),
        ("2.2.17", CRD_22),
        ("2.1", CRD_21),
        ("2.1.0", CRD_21),
        ("2.0", CRD_20),
        ("2.0.1", CRD_20),
    ],
)
def test_the_version_that_is_asked_for_is_answered_in(asked: str | None, version: CrdVersion) -> None:
    assert parsed(call(extension={"davinci-crd.requestedVersion": asked})).crd_version is version


def test_a_call_that_asks_for_no_version_gets_the_one_it_is_known_to_want() -> None:
    body = orjson.dumps(call())
    found = parse_hook_request(body, "order-sign", CRD_20)
    assert isinstance(found, HookRequest)
    assert found.crd_version is CRD_20
    body = orjson.dumps(call(extension={"davinci-crd.requestedVersion": "2.1"}))
    found = parse_hook_request(body, "order-sign", CRD_20)
    assert isinstance(found, HookRequest)
    assert found.crd_version is CRD_21


@pytest.mark.parametrize("version", ["1.0", "2.2beta", "2.0.2", "2.1.1", "2.2.", "3.0", "", 2.2, [], {"a": 1}, True])
def test_an_unknown_version_is_refused(version: Any) -> None:
    problem = refused(call(extension={"davinci-crd.requestedVersion": version}))
    assert problem.kind == "not-supported"


def test_configuration_is_obeyed() -> None:
    sent = {"davinci-crd.configuration": {"guideline": False, "claim": True, "max-cards": 2}}
    configuration = parsed(call(extension=sent)).configuration
    assert not configuration.wants("guideline")
    assert configuration.wants("claim")
    assert configuration.max_cards == 2


@pytest.mark.parametrize(
    "sent",
    [None, [], "off", {"guideline": "no"}, {"guideline": None}, {"max-cards": -1}, {"max-cards": True},
     {"max-cards": "3"}, {"unheard-of": 1}],
)  # fmt: skip
def test_configuration_that_makes_no_sense_changes_nothing(sent: Any) -> None:
    configuration = parsed(call(extension={"davinci-crd.configuration": sent})).configuration
    assert configuration.wants("guideline")
    assert configuration.max_cards == 10


def test_what_a_registered_client_prefers_holds_where_its_call_is_silent() -> None:
    general = Client("general", frozenset(), cards={"guideline": False, "claim": False, "max-cards": 2})
    sent = {"davinci-crd.configuration": {"claim": True, "max-cards": "many"}}
    request = parse_hook_request(orjson.dumps(call(extension=sent)), "order-sign", client_of=lambda server: general)
    assert isinstance(request, HookRequest)
    assert not request.configuration.wants("guideline")
    assert request.configuration.wants("claim")
    assert request.configuration.max_cards == 2


# -- prefetch ---------------------------------------------------------------------------------------------

OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}


def looked_up(resource_type: str, **prefetch: Any) -> str | None:
    """Why nothing is known of a type; None where it was looked up."""
    return parsed(call(prefetch=prefetch)).not_looked_up((resource_type,)).get(resource_type)


def test_a_key_that_brings_resources_was_looked_up() -> None:
    assert looked_up("Condition", conditions=bundle({"resourceType": "Condition", "id": "c"})) is None


@pytest.mark.parametrize("nothing", [None, {"resourceType": "Bundle"}, {"resourceType": "Bundle", "entry": []}])
def test_a_look_up_that_found_nothing_was_made(nothing: Any) -> None:
    assert looked_up("Condition", conditions=nothing) is None


def test_a_key_that_is_not_there_was_not_looked_up() -> None:
    assert looked_up("Condition", observations=None) == "the EHR sent no Condition with the call"


@pytest.mark.parametrize(
    "failed",
    [
        OUTCOME,
        bundle(OUTCOME),
        bundle({"resourceType": "Condition", "id": "c"}, OUTCOME),
        {"resourceType": "OperationOutcome"},
        {"resourceType": "Bundle", "entry": {}},
    ],
)
def test_a_look_up_that_failed_is_not_an_empty_one(failed: Any) -> None:
    assert looked_up("Condition", conditions=failed) == "the EHR could not look up Condition"


def test_an_outcome_that_only_informs_is_no_failure() -> None:
    hint = {"resourceType": "OperationOutcome", "issue": [{"severity": "information", "code": "informational"}]}
    assert looked_up("Condition", conditions=bundle(hint)) is None


@pytest.mark.parametrize(
    "more",
    [
        {"link": [{"relation": "next", "url": "https://x"}]},
        {"link": [{"relation": "self"}, {"relation": " Next "}]},
        {"link": {"relation": "next"}},
        {"total": 2},
    ],
)
def test_the_first_page_of_several_is_not_the_whole(more: dict[str, Any]) -> None:
    page = bundle({"resourceType": "Condition", "id": "c"}, **more)
    assert looked_up("Condition", conditions=page) == "the EHR sent only a part of what it found of Condition"


@pytest.mark.parametrize(
    "whole",
    [
        {"link": [{"relation": "self", "url": "https://x"}]},
        {"total": 1},
        {"total": 0},
        {"total": "2"},
        {"link": "next"},
    ],
)
def test_an_only_page_is_the_whole(whole: dict[str, Any]) -> None:
    page = bundle({"resourceType": "Condition", "id": "c"}, **whole)
    assert looked_up("Condition", conditions=page) is None


def test_what_a_search_only_included_is_not_among_what_it_counts() -> None:
    page = bundle({"resourceType": "DeviceRequest", "id": "d"}, {"resourceType": "Device", "id": "v"}, total=2)
    page["entry"][1]["search"] = {"mode": "include"}
    assert (
        looked_up("DeviceRequest", deviceRequests=page) == "the EHR sent only a part of what it found of DeviceRequest"
    )


@pytest.mark.parametrize(
    "other", [{"resourceType": "DeviceRequest", "id": "d"}, bundle({"resourceType": "Condition", "id": "c"})]
)
def test_a_single_order_or_a_bundle_of_other_things_is_no_search_for_orders(other: Any) -> None:
    assert looked_up("DeviceRequest", deviceRequests=other) == "the EHR could not look up DeviceRequest"


@pytest.mark.parametrize("nothing", [None, bundle(), bundle({"resourceType": "DeviceRequest", "id": "d"})])
def test_a_search_for_orders_was_made_whatever_it_found(nothing: Any) -> None:
    assert looked_up("DeviceRequest", deviceRequests=nothing) is None


def test_resources_under_a_key_of_the_callers_own_show_that_their_type_was_looked_up() -> None:
    assert looked_up("Condition", problems=bundle({"resourceType": "Condition", "id": "c"})) is None


def test_a_failure_under_a_key_of_the_callers_own_says_nothing_of_other_types() -> None:
    assert looked_up("Condition", conditions=None, labs=OUTCOME) is None


def test_the_patient_was_looked_up_only_if_it_is_there() -> None:
    assert looked_up("Patient", patient={"resourceType": "Patient", "id": "p1"}) is None
    assert looked_up("Patient", patient={"resourceType": "Patient", "id": "p2"}) is not None
    assert looked_up("Patient", patient=None) is not None


def test_without_an_encounter_in_the_call_there_is_none_to_look_up() -> None:
    assert looked_up("Encounter") is None


def test_an_encounter_that_the_call_names_has_to_be_there() -> None:
    document = call(prefetch={"encounter": {"resourceType": "Encounter", "id": "e1"}})
    document["context"]["encounterId"] = "e1"
    assert not parsed(document).not_looked_up(("Encounter",))
    document["context"]["encounterId"] = "e2"
    assert parsed(document).not_looked_up(("Encounter",))


def test_each_resource_of_prefetch_says_where_it_stands() -> None:
    condition = {"resourceType": "Condition", "id": "c"}
    sent = {"entry": [{"resource": condition, "fullUrl": "urn:uuid:1"}, "broken"], "resourceType": "Bundle"}
    request = parsed(call(prefetch={"patient": {"resourceType": "Patient", "id": "p1"}, "conditions": sent}))
    assert [(one.where, one.full_url) for one in request.resources] == [
        ("prefetch.patient", None),
        ("prefetch.conditions.entry[0].resource", "urn:uuid:1"),
        ("prefetch.conditions.entry[1]", None),
    ]


@pytest.mark.parametrize(
    ("body", "hook"),
    [
        (b'{"hook": "encounter-start"}', "encounter-start"),
        (b'{"hook": "patient-view"}', "order-sign"),
        (b'{"hook": ["order-select"]}', "order-sign"),
        (b"[]", "order-sign"),
        (b"no", "order-sign"),
    ],
)
def test_the_hook_of_a_call_on_file_is_read_from_it(body: bytes, hook: str) -> None:
    assert hook_called(body) == hook
