"""The tester tested: the EHR of the tests refuses what a good EHR refuses."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.smart_ehr.authorization import AuthorizationServer, Denied, Grant, LaunchContext, PatientWanted, challenge_of
from tests.smart_ehr.record import Record, VersionConflict
from tests.smart_ehr.server import SmartEhr, smart_ehr

BASE = "http://127.0.0.1:9/fhir"
VERIFIER = "v" * 43
ASKED = {
    "response_type": "code",
    "client_id": "app",
    "redirect_uri": "http://app/dtr/",
    "scope": "launch openid fhirUser patient/*.rs",
    "state": "s",
    "aud": BASE,
    "launch": "handle",
    "code_challenge": challenge_of(VERIFIER),
    "code_challenge_method": "S256",
}
TOKEN = {
    "grant_type": "authorization_code",
    "client_id": "app",
    "redirect_uri": "http://app/dtr/",
    "code_verifier": VERIFIER,
}


def server() -> AuthorizationServer:
    context = LaunchContext("p1", "Practitioner/dr1", ({"reference": "DeviceRequest/o1"},), "order=1")
    return AuthorizationServer(BASE, {"app": "http://app/dtr/"}, launches={"handle": context})


def code_of(location: str) -> str:
    return location.split("code=")[1].split("&")[0]


def test_a_launch_ends_in_a_token_with_its_context() -> None:
    one = server()
    reply = one.token({**TOKEN, "code": code_of(one.authorize(ASKED))})
    assert (reply["patient"], reply["appContext"]) == ("p1", "order=1")
    assert reply["fhirContext"] == [{"reference": "DeviceRequest/o1"}]
    assert one.grants[reply["access_token"]].context.patient == "p1"


def test_a_verifier_that_does_not_fit_gets_no_token_and_uses_the_code_up() -> None:
    one = server()
    code = code_of(one.authorize(ASKED))
    with pytest.raises(Denied, match="PKCE"):
        one.token({**TOKEN, "code": code, "code_verifier": "w" * 43})
    with pytest.raises(Denied, match="was used"):
        one.token({**TOKEN, "code": code})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": ""}, "PKCE"),
        ({"code_challenge_method": "plain"}, "PKCE"),
        ({"aud": "http://other/fhir"}, "aud"),
        ({"state": ""}, "state"),
        ({"launch": "unknown"}, "launch"),
        ({"response_type": "token"}, "response_type"),
        ({"scope": "openid"}, "scope"),
    ],
)
def test_a_wrong_request_goes_back_to_the_app_as_an_error(changes: dict[str, str], error: str) -> None:
    with pytest.raises(Denied, match=error) as denied:
        server().authorize({**ASKED, **changes})
    assert denied.value.location is not None and denied.value.location.startswith("http://app/dtr/?error=")


@pytest.mark.parametrize("changes", [{"client_id": "nobody"}, {"redirect_uri": "http://evil/"}])
def test_nobody_is_sent_to_an_address_that_is_not_registered(changes: dict[str, str]) -> None:
    with pytest.raises(Denied) as denied:
        server().authorize({**ASKED, **changes})
    assert denied.value.location is None


def test_a_standalone_launch_asks_for_the_patient() -> None:
    asked = {**ASKED, "scope": "launch/patient patient/*.rs"}
    with pytest.raises(PatientWanted):
        server().authorize(asked)
    assert "code=" in server().authorize(asked, "p1")


def test_an_update_of_an_older_version_is_a_conflict() -> None:
    record = Record([{"resourceType": "Patient", "id": "p1"}])
    record.update({"resourceType": "Patient", "id": "p1"}, "1")
    with pytest.raises(VersionConflict):
        record.update({"resourceType": "Patient", "id": "p1"}, "1")


CHART = [
    {"resourceType": "Patient", "id": "p1"},
    {"resourceType": "Patient", "id": "p2"},
    {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p1"}},
    {"resourceType": "Condition", "id": "c2", "subject": {"reference": "Patient/p2"}},
]


@pytest.fixture
def ehr() -> Iterator[SmartEhr]:
    with smart_ehr("http://127.0.0.1:1", CHART) as running:
        yield running


def asked(ehr: SmartEhr, path: str, scope: str = "patient/*.rs", body: Any = None, **headers: str) -> tuple[int, Any]:
    token = ehr.authorization.granted(Grant(LaunchContext("p1", "Practitioner/dr1"), frozenset(scope.split())))
    payload = json.dumps(body).encode() if body is not None else None
    told = {"Authorization": f"Bearer {token}", **headers}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{ehr.base}/{path}", payload, told), timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as fault:
        return fault.code, json.load(fault)


def test_a_token_shows_one_patient_s_record(ehr: SmartEhr) -> None:
    status, found = asked(ehr, "Condition")
    assert status == 200 and [one["resource"]["id"] for one in found["entry"]] == ["c1"]
    assert asked(ehr, "Condition/c2")[0] == 403


def test_without_a_token_there_is_no_record(ehr: SmartEhr) -> None:
    assert asked(ehr, "Condition", Authorization="Bearer guessed")[0] == 401


def test_only_a_token_for_it_may_write_a_response(ehr: SmartEhr) -> None:
    response = {"resourceType": "QuestionnaireResponse", "subject": {"reference": "Patient/p1"}}
    assert asked(ehr, "QuestionnaireResponse", body=response)[0] == 403
    status, kept = asked(ehr, "QuestionnaireResponse", "patient/QuestionnaireResponse.cu", response)
    assert status == 201 and kept["meta"]["versionId"] == "1"
    foreign = {**response, "subject": {"reference": "Patient/p2"}}
    assert asked(ehr, "QuestionnaireResponse", "patient/QuestionnaireResponse.cu", foreign)[0] == 403
