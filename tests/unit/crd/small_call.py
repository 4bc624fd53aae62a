"""A small sound order-sign call, built from pieces, for tests that change one piece at a time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import orjson

from cds_service.crd.answer import HookResponse, answer
from cds_service.crd.hook_request import HookRequest, parse_hook_request
from cds_service.fhir.problem import Problem
from tests.fakes import FakeCatalogue, numbered_ids

HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
PATIENT = {"reference": "Patient/p1"}
ASKED_AT = datetime(2026, 11, 21, 10, 30, tzinfo=timezone(timedelta(hours=-5)))


def coded(*codes: str, system: str = HCPCS) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": one} for one in codes]}


def order(identity: str = "o1", *codes: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DeviceRequest",
        "id": identity,
        "status": "draft",
        "intent": "original-order",
        "codeCodeableConcept": coded(*codes or ("E1390",)),
        "subject": PATIENT,
        "authoredOn": "2026-11-21",
        **more,
    }


def coverage(identity: str = "c1", payor: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Coverage",
        "id": identity,
        "status": "active",
        "beneficiary": PATIENT,
        "payor": [payor or {"display": "Acme Health"}],
        **more,
    }


def bundle(*resources: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "entry": [{"resource": one} for one in resources], **more}


def call(*orders: Any, prefetch: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    given = {"patient": {"resourceType": "Patient", "id": "p1"}, "coverage": bundle(coverage())}
    return {
        "hook": "order-sign",
        "hookInstance": "1",
        "context": {
            "userId": "Practitioner/dr1",
            "patientId": "p1",
            "draftOrders": bundle(*orders or (order(),)),
        },
        "prefetch": given if prefetch is None else prefetch,
        **more,
    }


def parsed(document: dict[str, Any]) -> HookRequest:
    found = parse_hook_request(orjson.dumps(document), "order-sign")
    assert isinstance(found, HookRequest), found
    return found


def refused(document: dict[str, Any] | bytes) -> Problem:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    found = parse_hook_request(body, "order-sign")
    assert isinstance(found, Problem), found
    return found


def asked(document: dict[str, Any] | bytes, catalogue: Any = None) -> HookResponse | Problem:
    """The answer of a catalogue (by default one that serves Acme Health and holds no policy)."""
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    request = parse_hook_request(body, "order-sign")
    assert isinstance(request, HookRequest), request
    return answer(request, catalogue or FakeCatalogue(), ASKED_AT, numbered_ids(), _page)


def answered(document: dict[str, Any] | bytes, catalogue: Any = None) -> HookResponse:
    found = asked(document, catalogue)
    assert isinstance(found, HookResponse), found
    return found


def _page(policy: str) -> str:
    return f"https://cds.example.org/fhir/PlanDefinition/{policy}"


def coverage_information(response: HookResponse, place: int = 0) -> list[dict[str, Any]]:
    """The coverage-information extensions on an updated order: each as {sub-extension: its value or values}."""
    extensions = response.system_actions[place]["resource"]["extension"]
    return [flat(one) for one in extensions if one["url"].endswith("ext-coverage-information")]


_SEVERAL = ("doc-needed", "doc-purpose", "info-needed", "reason", "detail", "dependency", "questionnaire", "contact")


def flat(extension: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in extension["extension"]:
        value = next((part[name] for name in part if name.startswith("value")), None)
        if value is None:
            value = flat(part)
        if part["url"] in _SEVERAL:
            found.setdefault(part["url"], []).append(value)
        else:
            assert part["url"] not in found, f"{part['url']} twice"
            found[part["url"]] = value
    return found
