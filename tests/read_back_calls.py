"""A real service over a real EHR that misbehaves: the golden call of home oxygen, and what may be left out of it."""

from __future__ import annotations

import copy
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from cds_service.app import create_app
from cds_service.settings import read_settings
from tests.misbehaving_ehr import MisbehavingEhr

GOLDEN = Path(__file__).parent / "conversations" / "home-oxygen-order-sign" / "request.json"
CALL: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
# whoever sends everything has looked for the payer's answers too, and for those of clinicians
CALL["prefetch"]["claimResponses"] = {"resourceType": "Bundle", "type": "searchset"}
CALL["prefetch"]["questionnaireResponses"] = {"resourceType": "Bundle", "type": "searchset"}
NOON = datetime.fromisoformat("2026-11-21T10:30:00-05:00")
AUTHORIZATIONS = "ClaimResponse?patient=p1&use=preauthorization"
ANSWERS = "QuestionnaireResponse?patient=p1&status=completed,amended,entered-in-error"
SEARCHED = ("Condition", "DeviceRequest", "DiagnosticReport", "DocumentReference", "Observation", "ServiceRequest")


def client(**environ: str) -> FlaskClient:
    settings, problems = read_settings({"CDS_CLIENT_AUTH": "off", **environ})
    assert settings is not None, problems
    return create_app(settings, lambda: NOON).test_client()


def resources() -> list[dict[str, Any]]:
    """Every resource of the golden call's prefetch."""
    values = [one for one in CALL["prefetch"].values() if one is not None]
    nested = [
        [e["resource"] for e in one.get("entry", [])] if one["resourceType"] == "Bundle" else [one] for one in values
    ]
    return [one for some in nested for one in some]


def holds_everything(ehr: MisbehavingEhr) -> None:
    """The EHR answers reads and searches from the golden chart."""
    chart = resources()
    ehr.holds(*chart)
    for kind in SEARCHED:
        ehr.finds(f"{kind}?patient=p1", *(one for one in chart if one["resourceType"] == kind))
    ehr.finds(AUTHORIZATIONS)
    ehr.finds(ANSWERS)
    ehr.finds("Coverage?patient=p1&status=active", *(one for one in chart if one["resourceType"] == "Coverage"))


def call(ehr: MisbehavingEhr, *keep: str) -> dict[str, Any]:
    """The golden call with these keys of prefetch only."""
    document = copy.deepcopy(CALL)
    document["fhirServer"] = ehr.base
    document["prefetch"] = {key: value for key, value in document["prefetch"].items() if key in keep}
    return document


def posted(service: FlaskClient, document: dict[str, Any], status: int = 200) -> dict[str, Any]:
    response = service.post(f"/cds-services/{document['hook']}-crd", data=json.dumps(document))
    assert response.status_code == status, response.data
    return json.loads(response.data)  # type: ignore[no-any-return]


def statuses(answer: dict[str, Any]) -> dict[str, str]:
    return {one["id"]: one["status"] for one in determination(answer)["criteria"]}


def determination(answer: dict[str, Any]) -> dict[str, Any]:
    found = [one for card in answer["cards"] for one in card.get("extension", {}).get("cds-service.determinations", [])]
    return found[0]  # type: ignore[no-any-return]


def covered(answer: dict[str, Any]) -> tuple[str, str | None]:
    """`covered` and the code of the first reason."""
    extension = answer["systemActions"][0]["resource"]["extension"][0]["extension"]
    said = next(one["valueCode"] for one in extension if one["url"] == "covered")
    reason = next((one["valueCodeableConcept"] for one in extension if one["url"] == "reason"), {})
    return said, next((one["code"] for one in reason.get("coding", [])), None)
