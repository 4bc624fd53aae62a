"""What is kept of calls and answers, for disputes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cds_service.adapters.store.store import Store
from tests.conformance.calls import CALLS, application, call_of, posted
from tests.conformance.statements import requirement


def logged(folder: Path) -> list[dict[str, Any]]:
    return list(Store(f"sqlite:///{folder}/cds.sqlite").calls(None, None))


@requirement("found-37", "found-11")
@pytest.mark.parametrize("hook", CALLS)
def test_every_call_of_a_hook_and_what_was_said_is_in_the_log(hook: str, tmp_path: Path) -> None:
    body = json.dumps(call_of(hook)).encode()
    answer = application(tmp_path).post(f"/cds-services/{hook}-crd", data=body)
    [call] = logged(tmp_path)
    assert (call["service"], call["status"], call["crd_version"]) == (f"{hook}-crd", 200, "2.2")
    assert call["hook_instance"] == call_of(hook)["hookInstance"]
    assert call["request_digest"] == hashlib.sha256(body).hexdigest()
    assert call["answer_digest"] == hashlib.sha256(answer.data).hexdigest()
    assert call["program"]
    determined = [
        one for card in answer.get_json()["cards"] for one in card["extension"].get("cds-service.determinations", ())
    ]
    said = {(one.get("policy"), one.get("code"), one["covered"], one.get("paNeeded")) for one in call["said"]}
    assert {(one["policy"], one["code"], one["covered"], one["paNeeded"]) for one in determined} <= said


@requirement("found-37")
def test_a_call_that_was_refused_is_in_the_log_too(tmp_path: Path) -> None:
    client = application(tmp_path)
    assert client.post("/cds-services/order-sign-crd", data=b"{").status_code == 400
    assert posted(client, {**call_of("order-sign"), "prefetch": {}}).status_code == 200
    document = call_of("order-sign")
    document["context"]["draftOrders"]["entry"][0]["resource"].pop("insurance")
    assert posted(client, {**document, "prefetch": {}}).status_code == 412
    assert [one["status"] for one in logged(tmp_path)] == [400, 200, 412]
    assert all(one["said"] == [] for one in logged(tmp_path) if one["status"] != 200)


@requirement("found-37", "sec-6")
def test_the_log_holds_nothing_of_the_chart(tmp_path: Path) -> None:
    document = call_of("order-sign")
    document["hookInstance"] = "Ruth Alvarez, born 1957"
    posted(application(tmp_path), document)
    text = json.dumps(logged(tmp_path))
    for one in ("Alvarez", "1957", "Patient/", "Observation/", "100012345678", "SpO2"):
        assert one not in text
