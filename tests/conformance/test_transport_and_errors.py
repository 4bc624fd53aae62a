"""JSON as CDS Hooks wants it, what is passed over, and how a call is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conformance.answers import REQUESTED
from tests.conformance.calls import (
    CALLS,
    CONFIGURATION,
    answered,
    call_of,
    changed,
    coverage_in,
    draft,
    every_object,
    posted,
    refused,
    without_ids,
    written,
)
from tests.conformance.statements import requirement

each_hook = pytest.mark.parametrize("hook", CALLS)


@requirement("found-40")
@each_hook
def test_an_answer_has_no_whitespace_between_its_tokens(hook: str, service: FlaskClient) -> None:
    body = posted(service, call_of(hook)).get_data(as_text=True)
    assert len(body) <= len(json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False))
    announced = service.get("/cds-services").get_data(as_text=True)
    assert announced == json.dumps(json.loads(announced), separators=(",", ":"), ensure_ascii=False)


# -- what nobody expects ----------------------------------------------------------------------------------


def _beside(call: dict[str, Any]) -> None:
    call["x-of-a-vendor"] = {"deep": [1, {"er": None}]}
    call["fhirAuthorization"]["x-of-a-vendor"] = ""


def _in_context(call: dict[str, Any]) -> None:
    call["context"] |= {"encounterNumber": 12, "x-of-a-vendor": {"a": []}}


def _in_extension(call: dict[str, Any]) -> None:
    call["extension"] = {"com.example.timestamp": "2017-11-27T22:13:25Z", "davinci-crd.unheard-of": [1]}


def _in_configuration(call: dict[str, Any]) -> None:
    call["extension"] = {CONFIGURATION: {"dtr-clin": False, "coverage": False, "alt-drug": True, "x": {"y": None}}}


def _in_prefetch(call: dict[str, Any]) -> None:
    call["prefetch"] |= {"x-of-a-vendor": None, "basics": {"resourceType": "Basic", "id": "b", "subject": {}}}


def _in_resources(call: dict[str, Any]) -> None:
    call["prefetch"]["patient"] |= {"x-of-a-vendor": 1, "extension": [{"url": "urn:x", "valueCode": "y"}]}


UNEXPECTED = [_beside, _in_context, _in_extension, _in_configuration, _in_prefetch, _in_resources]


@requirement("found-33", "hook-23", "dev-17")
@each_hook
@pytest.mark.parametrize("add", UNEXPECTED, ids=[one.__name__[1:] for one in UNEXPECTED])
def test_what_nobody_expects_changes_nothing_in_the_answer(add: Any, hook: str, service: FlaskClient) -> None:
    call = call_of(hook)
    assert without_ids(answered(service, changed(call, add))) == without_ids(answered(service, call))


@requirement("cds-hooks/optional-request-fields", "dev-15")
@each_hook
def test_neither_configuration_nor_authorization_is_needed_for_an_answer(hook: str, service: FlaskClient) -> None:
    call = call_of(hook)
    bare = {name: one for name, one in call.items() if name in ("hook", "hookInstance", "context", "prefetch")}
    assert without_ids(answered(service, bare)) == without_ids(answered(service, call))


@requirement("cds-hooks/request-fields")
@each_hook
@pytest.mark.parametrize("member", ["hook", "hookInstance", "context", "fhirServer"])
def test_a_call_without_what_every_call_must_have_is_refused(member: str, hook: str, service: FlaskClient) -> None:
    call = {name: one for name, one in call_of(hook).items() if name != member}
    assert member in refused(service, call, 400, hook)["details"]["text"]


# -- refusals ---------------------------------------------------------------------------------------------


def _of_another_payer(call: dict[str, Any]) -> None:
    coverage_in(call)["payor"] = [{"display": "Nobody's Health Plan"}]


def _without_coverage(call: dict[str, Any]) -> None:
    call["prefetch"]["coverage"] = None
    draft(call)[0].pop("insurance")


def _without_the_order(call: dict[str, Any]) -> None:
    call["context"]["draftOrders"]["entry"] = []


def _on_an_impossible_day(call: dict[str, Any]) -> None:
    draft(call)[0]["authoredOn"] = "2026-02-30"


def _with_another_hook(call: dict[str, Any]) -> None:
    call["hook"] = "patient-view"


AMISS = [_of_another_payer, _without_coverage, _without_the_order, _on_an_impossible_day, _with_another_hook]


@requirement("hook-9", "hook-10", "hook-13", "crd-2.0.1/400-422")
@pytest.mark.parametrize("amiss", AMISS, ids=[one.__name__[1:] for one in AMISS])
def test_a_call_that_is_not_valid_or_names_no_payer_here_is_a_400_with_an_outcome(
    amiss: Any, service: FlaskClient
) -> None:
    assert refused(service, changed(call_of("order-sign"), amiss), 400)["severity"] == "error"


@requirement("hook-9", "hook-13", "crd-2.0.1/400-422")
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"hook":"order-sign"', b"\xff\xfe", b"hook=order-sign"])
def test_what_is_not_a_json_object_is_a_400(body: bytes, service: FlaskClient) -> None:
    assert refused(service, body, 400)["severity"] == "error"


@requirement("hook-13", "crd-2.2/requested-version")
@pytest.mark.parametrize("version", ["1.0", "3.0", "2.3", "2.2.1.1", "", "new", 2.2, ["2.2"]])
def test_a_version_that_is_not_served_is_a_422_that_names_those_that_are(version: Any, service: FlaskClient) -> None:
    call = call_of("order-sign") | {"extension": {REQUESTED: version}}
    issue = refused(service, call, 422)
    assert all(one in issue["details"]["text"] for one in ("2.0", "2.1", "2.2"))


@requirement("cds-hooks/404", "hook-9")
def test_a_service_that_is_not_there_is_a_404(service: FlaskClient) -> None:
    response = service.post("/cds-services/patient-view-crd", json=call_of("order-sign"))
    assert response.status_code == 404
    assert response.get_json()["resourceType"] == "OperationOutcome"


@requirement("cds-hooks/412", "cds-hooks/prefetch-failed")
@pytest.mark.parametrize("failed", ["alone", "in a Bundle", "not given"])
def test_a_coverage_that_can_be_had_nowhere_is_a_412(failed: str, service: FlaskClient) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    found = {"alone": outcome, "in a Bundle": {"resourceType": "Bundle", "entry": [{"resource": outcome}]}}

    def without(call: dict[str, Any]) -> None:
        draft(call)[0].pop("insurance")
        call["prefetch"]["coverage"] = found.get(failed)
        if failed == "not given":
            del call["prefetch"]["coverage"]

    assert "overage" in refused(service, changed(call_of("order-sign"), without), 412)["details"]["text"]


@requirement("found-32", "found-34", "cds-hooks/prefetch-null")
@pytest.mark.parametrize("nothing", [None, {"resourceType": "Bundle"}, {"resourceType": "Bundle", "entry": []}])
def test_a_chart_that_lacks_what_a_policy_asks_for_is_still_answered(nothing: Any, service: FlaskClient) -> None:
    def emptied(call: dict[str, Any]) -> None:
        call["prefetch"] |= {"observations": nothing, "conditions": nothing, "documentReferences": nothing}

    answer = answered(service, changed(call_of("order-sign"), emptied))
    ((said,),) = written(answer).values()
    assert said["pa-needed"] == ["auth-needed"]


@requirement("found-34", "cds-hooks/prefetch-some-or-none")
def test_a_call_with_nothing_but_its_coverage_says_what_does_not_hang_on_the_chart(service: FlaskClient) -> None:
    def bare(call: dict[str, Any]) -> None:
        call["prefetch"] = {"coverage": call["prefetch"]["coverage"]}
        for name in ("fhirServer", "fhirAuthorization"):
            del call[name]

    answer = answered(service, changed(call_of("order-sign"), bare))
    ((said,),) = written(answer).values()
    assert (said["covered"], said["pa-needed"], said["doc-needed"]) == (["covered"], ["auth-needed"], ["clinical"])
    (card,) = [one for one in answer["cards"] if one["source"]["topic"]["code"] == "guideline"]
    determinations = [one for one in every_object(card) if "authorizationRule" in one]
    statuses = {one["status"] for each in determinations for one in each["criteria"]}
    assert "not-met" not in statuses and "unknown" in statuses
