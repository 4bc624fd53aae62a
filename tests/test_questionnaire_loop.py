"""Every policy from open to met by its questionnaire, over HTTP: order-sign, the answers, order-sign again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.live_server import ROOT, LiveServer
from tests.questionnaire_answers import completed

pytestmark = pytest.mark.server

CONVERSATIONS = Path(ROOT) / "tests" / "conversations"
HOOK = "/cds-services/order-sign-crd"
INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"


@dataclass(frozen=True)
class Walk:
    """A call that leaves a policy's criteria open: one order of a conversation, changed so, and less of its chart.

    `said` are the answers that are no plain yes.
    """

    conversation: str
    policy: str
    said: Mapping[str, str] = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()  # keys of prefetch, sent empty


NO_SNF = {"ask.skilled-nursing-facility": "N"}
LONG = {"occurrencePeriod": {"start": "2026-11-23", "end": "2027-06-30"}, "reasonCode": []}
EARLIER = {
    "authoredOn": "2024-06-03",
    "occurrencePeriod": {"start": "2024-06-05", "end": "2024-12-20"},
    "reasonCode": [],
}
CHART = ("conditions", "deviceRequests", "serviceRequests", "medicationRequests", "observations", "documentReferences")
WALKS = [
    Walk("home-oxygen-order-sign", "masshealth-home-oxygen|2024-06-01", NO_SNF),
    Walk("oximeter-for-an-infant-on-oxygen", "ohio-pulse-oximeter|2007-04-16", {"ask.earlier-monitoring": "N"}),
    Walk("resuscitation-kit-without-its-modifier", "husky-resuscitation-kit|2024-05-01"),
    Walk("infusion-pump-joined-to-an-earlier-rental", "husky-infusion-pump|2024-12-27", {}, LONG, CHART),
    Walk("infusion-pump-joined-to-an-earlier-rental", "husky-infusion-pump|2024-02-01", {}, EARLIER, CHART),
    Walk(
        "home-infusion-two-more-therapies",
        "carepartners-home-infusion|2018-01-01",
        {"ask.new-to-market": "N"},
        {"performer": []},
        CHART,
    ),
]


def call(walk: Walk) -> dict[str, Any]:
    document = json.loads((CONVERSATIONS / walk.conversation / "request.json").read_text(encoding="utf-8"))
    first = {**document["context"]["draftOrders"]["entry"][0]["resource"], **walk.order}
    order = {name: value for name, value in first.items() if value != []}
    document["context"]["draftOrders"]["entry"] = [{"resource": order}]
    empty = {"resourceType": "Bundle", "type": "searchset"}
    document["prefetch"] |= dict.fromkeys(walk.without, empty)
    return dict(document)


def determinations(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    extensions = (card.get("extension", {}) for card in answer["cards"])
    return [one for extension in extensions for one in extension.get("cds-service.determinations", ())]


def coverage_information(answer: Mapping[str, Any]) -> dict[str, Any]:
    [action] = answer["systemActions"]
    [said] = [one for one in action["resource"]["extension"] if one["url"] == INFORMATION]
    return {part["url"]: next(value for name, value in part.items() if name != "url") for part in said["extension"]}


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.policy)
def test_a_policys_questionnaire_takes_its_criteria_from_open_to_met(walk: Walk, server: LiveServer) -> None:
    sent = call(walk)
    signed = server.post(HOOK, json.dumps(sent).encode())
    first = signed.json()
    [before] = determinations(first)
    assert before["policy"].endswith(walk.policy)
    assert before["criteria"][0]["status"] == "unknown", before["criteria"]
    said = coverage_information(first)
    assert said["questionnaire"] == before["questionnaire"]

    url = before["questionnaire"].partition("|")[0]
    found = (Path(ROOT) / "plans").glob(f"*/*/{before['questionnaire'].partition('|')[2]}/Questionnaire.json")
    [form] = [one for path in found if (one := json.loads(path.read_text(encoding="utf-8")))["url"] == url]
    authored = parsedate_to_datetime(signed.headers["Date"]).isoformat()  # by the server's own clock
    response = completed(form, f"Patient/{sent['context']['patientId']}", authored, walk.said)
    body = json.dumps(response).encode()
    reply = server.post(f"/fhir/QuestionnaireResponse?context={said['coverage-assertion-id']}", body)
    assert reply.status == 201, reply.body.decode()
    parts = {one["name"]: one for one in reply.json()["parameter"]}
    after = json.loads(parts["determination"]["valueString"])
    assert after["criteria"][0]["status"] == "met", [one for one in after["criteria"] if one["status"] != "met"]

    # the order as the EHR holds it now: with what was said of it
    sent["context"]["draftOrders"]["entry"][0]["resource"] = first["systemActions"][0]["resource"]
    [again] = determinations(server.post(HOOK, json.dumps(sent).encode()).json())
    assert again["criteria"] == after["criteria"]
