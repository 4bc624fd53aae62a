"""Authorizations that prefetch lacks, read from a real server: found, cut off, failing, late."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.misbehaving_ehr import Behaviour, MisbehavingEhr, Request, hang, misbehaving_ehr, searchset, truncated
from tests.read_back_calls import AUTHORIZATIONS, CALL, call, client, determination, holds_everything, posted

GOLDEN = Path(__file__).parents[2] / "conversations" / "authorization-on-file" / "request.json"
ON_FILE: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))["prefetch"]
REST = [key for key in CALL["prefetch"] if key != "claimResponses"]


def held(kind: str) -> dict[str, Any]:
    [found] = [
        entry["resource"]
        for one in ON_FILE.values()
        if one is not None and one["resourceType"] == "Bundle"
        for entry in one.get("entry", ())
        if entry["resource"]["resourceType"] == kind
    ]
    return found  # type: ignore[no-any-return]


ANSWER, CLAIM = held("ClaimResponse"), held("Claim")


@pytest.fixture(scope="module")
def service() -> FlaskClient:
    return client()


@pytest.fixture
def ehr() -> Iterator[MisbehavingEhr]:
    with misbehaving_ehr() as server:
        holds_everything(server)
        server.finds(AUTHORIZATIONS, ANSWER)
        server.holds(CLAIM)
        yield server


def said(service: FlaskClient, ehr: MisbehavingEhr, *keep: str) -> tuple[str, str]:
    answer = posted(service, call(ehr, *(keep or REST)))
    found = determination(answer)
    return found["paNeeded"], json.dumps(found.get("reason", []))


def test_an_authorization_that_prefetch_lacks_is_found_with_its_request(
    ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    assert said(service, ehr)[0] == "satisfied"
    assert ehr.asked == [f"Claim/{CLAIM['id']}", AUTHORIZATIONS]


def test_with_nothing_sent_it_is_found_beside_the_chart(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    assert said(service, ehr, "practitioner")[0] == "satisfied"


def test_a_call_that_asks_what_if_looks_for_none(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    document = call(ehr, *REST)
    document["extension"] = {"davinci-crd.configuration": {"unsolicited-determ": False}}
    assert determination(posted(service, document))["paNeeded"] == "auth-needed"
    assert ehr.seen == []


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda request: request.say(400),
        lambda request: request.say(403),
        lambda request: request.say(404),
        lambda request: request.say(500),
        lambda request: request.say(200, b"<html>", "text/html"),
        truncated,
        Request.reset,
        hang,
    ],
)
def test_a_look_up_that_fails_leaves_the_answer_as_it_is_without_an_authorization(
    ehr: MisbehavingEhr, behaviour: Behaviour
) -> None:
    service = client(CDS_HOOK_BUDGET="1")
    ehr.finds(AUTHORIZATIONS)
    without = posted(service, call(ehr, *REST))
    ehr.on(AUTHORIZATIONS, behaviour)
    began = time.monotonic()
    answer = posted(service, call(ehr, *REST))
    assert time.monotonic() - began < 3
    assert determination(answer) == determination(without)
    assert determination(answer)["paNeeded"] == "auth-needed"


@pytest.mark.parametrize("behaviour", [lambda request: request.say(404), truncated])
def test_without_its_request_an_answer_is_told_of_and_does_not_count(
    ehr: MisbehavingEhr, service: FlaskClient, behaviour: Behaviour
) -> None:
    ehr.on(f"Claim/{CLAIM['id']}", behaviour)
    needed, why = said(service, ehr)
    assert needed == "auth-needed"
    assert "does not say plainly for which item" in why


def test_an_authorization_beside_a_page_that_is_missing_does_not_count(
    ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    cut = searchset(ANSWER, link=[{"relation": "next", "url": f"{ehr.base}?page=2"}])
    ehr.on(AUTHORIZATIONS, lambda request: request.fhir(cut))
    needed, why = said(service, ehr)
    assert needed == "auth-needed"
    assert "a later answer could be missing" in why
    ehr.behaviours["/fhir?page=2"] = lambda request: request.fhir(searchset())
    assert said(service, ehr)[0] == "satisfied"


def test_another_patients_authorization_is_refused(ehr: MisbehavingEhr, service: FlaskClient) -> None:
    other = {**copy.deepcopy(ANSWER), "patient": {"reference": "Patient/p2"}}
    ehr.finds(AUTHORIZATIONS, other)
    assert said(service, ehr)[0] == "auth-needed"


def test_a_server_that_passes_over_the_use_and_sends_all_claims_is_read_right(
    ehr: MisbehavingEhr, service: FlaskClient
) -> None:
    paid = {**copy.deepcopy(ANSWER), "id": "paid", "use": "claim", "request": {"reference": "Claim/paid"}}
    ehr.finds(AUTHORIZATIONS, paid, ANSWER)
    assert said(service, ehr)[0] == "satisfied"
    assert "Claim/paid" not in ehr.asked
