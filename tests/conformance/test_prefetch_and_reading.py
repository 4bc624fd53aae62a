"""What a call brings and what is read for it from the EHR's own FHIR server, which here is a real one."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conformance.calls import (
    CALLS,
    PRIMARY,
    answered,
    application,
    call_of,
    changed,
    draft,
    every_object,
    only_statement,
    without_ids,
    written,
)
from tests.conformance.statements import requirement
from tests.misbehaving_ehr import MisbehavingEhr, after, misbehaving_ehr, searchset

TOKEN = "a-token-that-nobody-else-may-see"


@pytest.fixture
def ehr() -> Iterator[MisbehavingEhr]:
    with misbehaving_ehr() as server:
        yield server


def _chart(call: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for value in call["prefetch"].values():
        if value is not None:
            found += [one["resource"] for one in value["entry"]] if value["resourceType"] == "Bundle" else [value]
    return found


def serve(ehr: MisbehavingEhr, call: dict[str, Any]) -> None:
    """The EHR holds what the call's prefetch holds, by id and by search."""
    chart = _chart(call)
    ehr.holds(*chart)

    def found(request: Any) -> None:
        kind, _, query = request.path.removeprefix("/fhir/").partition("?")
        ids = query.removeprefix("_id=").split(",") if query.startswith("_id=") else None
        kept = [one for one in chart if one["resourceType"] == kind and (ids is None or one["id"] in ids)]
        request.fhir(searchset(*kept)) if query else request.say(404)

    ehr.otherwise = found


def at(ehr: MisbehavingEhr, call: dict[str, Any], *keep: str) -> dict[str, Any]:
    """The call as it comes from this EHR, with these keys of its prefetch only."""
    found = copy.deepcopy(call)
    found["fhirServer"] = ehr.base
    found["fhirAuthorization"] = {**found["fhirAuthorization"], "access_token": TOKEN}
    found["prefetch"] = {name: one for name, one in found["prefetch"].items() if name in keep}
    return found


def criteria(answer: dict[str, Any]) -> dict[str, str]:
    listed = [one for one in every_object(answer["cards"]) if "id" in one and one.get("status", "").islower()]
    return {one["id"]: one["status"] for one in listed if "resourceType" not in one}


@requirement("found-5", "found-24", "resp-39", "cds-hooks/bearer", "cds-hooks/prefetch-some-or-none")
@pytest.mark.parametrize("keep", [(), ("coverage",), ("patient", "coverage", "observations")], ids=str)
def test_what_prefetch_does_not_bring_is_read_with_the_calls_token(
    keep: tuple[str, ...], ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    whole = call_of("order-sign")
    serve(ehr, whole)
    answer = answered(service, at(ehr, whole, *keep))
    assert criteria(answer) == criteria(answered(service, whole))
    assert ehr.seen
    assert {headers.get("Authorization") for _, _, headers in ehr.seen} == {f"Bearer {TOKEN}"}


@requirement("found-5", "cds-hooks/prefetch-some-or-none")
@pytest.mark.parametrize("hook", PRIMARY)
def test_each_primary_hook_reads_what_it_lacks(hook: str, ehr: MisbehavingEhr, service: FlaskClient) -> None:
    whole = call_of(hook)
    serve(ehr, whole)
    answer = answered(service, at(ehr, whole))
    assert set(written(answer)) == set(written(answered(service, whole)))


@requirement("cds-hooks/prefetch-null", "found-28")
def test_what_was_looked_up_or_is_not_needed_is_not_asked_for_again(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    whole = call_of("order-sign")
    serve(ehr, whole)
    call = at(ehr, whole, *whole["prefetch"]) | {"prefetch": {**whole["prefetch"], "observations": None}}
    answered(service, call)
    assert [one for one in ehr.asked if one.startswith(("Observation", "Coverage", "Condition"))] == []
    # nothing of this policy rests on them
    assert [one for one in ehr.asked if one.startswith(("Immunization", "AllergyIntolerance"))] == []


@requirement("cds-hooks/prefetch-pages", "cds-hooks/prefetch-bare-bundle")
def test_the_pages_of_a_prefetched_bundle_are_followed(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    whole = call_of("order-sign")
    serve(ehr, whole)
    call = at(ehr, whole, *whole["prefetch"])
    first, *rest = call["prefetch"]["observations"]["entry"]
    link = [{"relation": "next", "url": f"{ehr.base}/Observation?page=2"}]
    call["prefetch"]["observations"] = {"resourceType": "Bundle", "link": link, "entry": [first]}
    ehr.on("Observation?page=2", lambda request: request.fhir({"resourceType": "Bundle", "entry": rest}))
    assert criteria(answered(service, call)) == criteria(answered(service, whole))
    assert "Observation?page=2" in ehr.asked


@requirement("cds-hooks/prefetch-bare-bundle")
@pytest.mark.parametrize("hook", CALLS)
def test_a_bundle_needs_neither_type_nor_total(hook: str, service: FlaskClient) -> None:
    def bare(call: dict[str, Any]) -> None:
        for value in call["prefetch"].values():
            if value is not None and value["resourceType"] == "Bundle":
                for name in ("type", "total", "link"):
                    value.pop(name, None)

    call = call_of(hook)
    assert without_ids(answered(service, changed(call, bare))) == without_ids(answered(service, call))


@requirement("resp-43", "crd_v221_technical_issues", "impl-2", "found-34")
@pytest.mark.parametrize("hook", PRIMARY)
def test_a_fhir_server_that_answers_500_leaves_a_coverage_that_is_named_indeterminate(
    hook: str, ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    ehr.otherwise = lambda request: request.say(500)
    whole = call_of(hook)
    call = at(ehr, whole, "deviceRequests")
    for one in every_object(call["context"]):
        if one.get("resourceType") in ("DeviceRequest", "ServiceRequest"):
            one["insurance"] = [{"reference": "Coverage/c1"}]
    said = [each for listed in written(answered(service, call)).values() for each in listed]
    assert said
    for one in said:
        assert one["covered"] == ["indeterminate"]
        assert one["reason"][0]["coding"][0]["code"] == "technical"
        assert one["reason"][0]["text"].strip()


@requirement("impl-2", "found-34")
def test_a_chart_that_cannot_be_read_leaves_unknown_what_rests_on_it(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    ehr.otherwise = lambda request: request.say(500)
    whole = call_of("order-sign")
    answer = answered(service, at(ehr, whole, "patient", "encounter", "coverage"))
    assert only_statement(answer)["pa-needed"] == ["auth-needed"]
    assert "not-met" not in criteria(answer).values()


@requirement("found-2")
def test_an_answer_comes_in_time_where_each_of_twenty_reads_takes_two_seconds(
    ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    whole = call_of("order-sign")
    serve(ehr, whole)
    quick = ehr.otherwise
    ehr.otherwise = after(2.0, quick)
    ehr.behaviours = {path: after(2.0, one) for path, one in ehr.behaviours.items()}
    begun = time.monotonic()
    answer = answered(service, at(ehr, whole))
    assert time.monotonic() - begun < 5.0
    assert only_statement(answer)["pa-needed"] == ["auth-needed"]


@requirement("found-2")
def test_nine_answers_of_ten_to_whole_calls_come_at_once(service: FlaskClient) -> None:
    took = []
    for hook in list(CALLS) * 5:
        begun = time.monotonic()
        answered(service, call_of(hook))
        took.append(time.monotonic() - begun)
    assert sorted(took)[len(took) * 9 // 10 - 1] < 0.5


@requirement("cds-hooks/token-not-kept", "sec-6", "sec-9", "cds-hooks/jwt-apart-from-token")
def test_the_token_goes_to_the_fhir_server_and_nowhere_else(
    ehr: MisbehavingEhr, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = call_of("order-sign")
    serve(ehr, whole)
    with caplog.at_level(logging.DEBUG), misbehaving_ehr() as other:
        client = application(tmp_path)
        call = at(ehr, whole)
        # a page elsewhere is not followed with the token, nor is a reference
        elsewhere = [{"relation": "next", "url": f"{other.base}/Observation?page=2"}]
        ehr.on("Observation?patient=p1", lambda request: request.fhir(searchset(link=elsewhere)))
        draft(call)[0]["supportingInfo"] = [{"reference": f"{other.base}/Observation/x"}]
        response = client.post(
            "/cds-services/order-sign-crd", json=call, headers={"Authorization": "Bearer a-jwt-of-the-caller"}
        )
    assert response.status_code == 200
    assert ehr.seen
    assert "a-jwt-of-the-caller" not in json.dumps([headers for _, _, headers in ehr.seen])
    assert [headers for _, _, headers in other.seen if TOKEN in str(headers)] == []
    for text in (response.get_data(as_text=True), caplog.text):
        assert TOKEN not in text
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert TOKEN.encode() not in kept
    # of the chart only what an assertion needs is kept, never a person
    assert b"Alvarez" not in kept


@requirement("found-27")
def test_prefetch_asks_only_for_types_that_policies_read(service: FlaskClient) -> None:
    announced = service.get("/cds-services").get_json()["services"]
    searched = {
        template.split("?")[0]
        for one in announced
        for template in one["prefetch"].values()
        if template.endswith("?patient={{context.patientId}}")
    }
    plans = "".join(
        path.read_text(encoding="utf-8") for path in (Path(__file__).parents[2] / "plans").rglob("PlanDefinition.json")
    )
    # ClaimResponse and ExplanationOfBenefit: where an authorization may be on file already
    read = searched - {"ClaimResponse", "ExplanationOfBenefit"}
    assert read and [one for one in read if one not in plans] == []
