"""Every answer that conformance is held against: each golden call in each version of CRD, and calls made for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cds_service.app import create_app
from cds_service.crd.answer import render
from cds_service.crd.coverage_information import Manner
from cds_service.crd.system_actions import system_actions
from cds_service.crd.versions import VERSIONS, version_named
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import load_catalogue
from cds_service.policy.model import Evidence, Status, Verdict
from cds_service.settings import read_settings
from tests.fakes import determination, numbered_ids
from tests.golden_service import NOW
from tests.unit.crd.small_call import PATIENT, answered, bundle, call, coverage, order
from tests.unit.crd.small_statements import statement
from tests.unit.policy.small_plan import definitions, row, small_plan

CONVERSATIONS = Path(__file__).parents[1] / "conversations"
EXTENSION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
REQUESTED = "davinci-crd.requestedVersion"


class Answer(NamedTuple):
    """A call, the version it was answered in, and the answer."""

    name: str
    version: str
    request: dict[str, Any]
    response: dict[str, Any]

    def extensions(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(order, coverage-information) of each system action."""
        for action in self.response.get("systemActions", ()):
            resource = action["resource"]
            for one in resource["extension"]:
                if one["url"] == EXTENSION:
                    yield f"{resource['resourceType']}/{resource['id']}", one


@cache
def every_answer() -> tuple[Answer, ...]:
    return (*_of_conversations(), *(answer for version in VERSIONS for answer in _made(version.name)))


def _of_conversations() -> Iterator[Answer]:
    settings, problems = read_settings({"CDS_CLIENT_AUTH": "off", "CDS_PUBLIC_URL": "https://cds.example.org"})
    assert settings is not None, problems
    client = create_app(settings, now=lambda: NOW, new_id=numbered_ids()).test_client()
    for path in sorted(CONVERSATIONS.glob("*/request.json")):
        request = json.loads(path.read_bytes())
        for version in VERSIONS:
            asked = {**request, "extension": {**request.get("extension", {}), REQUESTED: version.name}}
            response = client.post(f"/cds-services/{asked['hook']}-crd", json=asked)
            if response.status_code == 200:
                yield Answer(path.parent.name, version.name, asked, response.get_json())


def _with_plan(covered: str, needed: str) -> Catalogue:
    """The small plan with one authorization rule, a document that has a purpose, and somebody to ask."""
    gives: dict[str, Any] = {"covered": covered, "paNeeded": needed}
    if "conditional" in (covered, needed):
        gives |= {"infoNeeded": "detail-code", "reason": "Ask the payer."}
    plan = small_plan()
    plan["action"][0]["action"] = [row("auth.all", **gives)]
    plan["contact"] = [{"name": "Utilization management", "telecom": [{"system": "phone", "value": "555-0100"}]}]
    documents = next(one for one in plan["action"] if one["code"][0]["coding"][0]["code"] == "documents")
    for document in documents["action"]:
        for purpose in ("withpa", "retain-doc"):
            coding = {"system": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", "code": purpose}
            document["code"].append({"coding": [coding]})
    catalogue, problems = load_catalogue(definitions(plan))
    assert catalogue is not None, problems
    return catalogue


def _made(version: str) -> Iterator[Answer]:
    chart = {
        "patient": {"resourceType": "Patient", "id": "p1"},
        "coverage": bundle(coverage(period={"start": "2026-01-01", "end": "2026-12-31"})),
        "observations": None,
        "conditions": None,
        "documentReferences": None,
    }
    extension = {REQUESTED: version}

    def made(name: str, request: dict[str, Any], catalogue: Catalogue | None = None) -> Answer:
        return Answer(name, version, request, json.loads(render(answered(request, catalogue))))

    for covered in ("covered", "not-covered", "conditional"):
        for needed in ("auth-needed", "no-auth", "conditional"):
            request = call(prefetch=chart, extension=extension)
            yield made(f"{covered}, {needed}", request, _with_plan(covered, needed))
    whose = {"status": "draft", "intent": "order"}
    diet = {"resourceType": "NutritionOrder", "id": "n1", **whose, "patient": PATIENT, "dateTime": "2026-11-21"}
    halt = {"resourceType": "ServiceRequest", "id": "s1", **whose, "subject": PATIENT, "doNotPerform": True}
    lens = {
        "resourceType": "VisionPrescription",
        "id": "v1",
        "status": "draft",
        "created": "2026-11-21",
        "patient": PATIENT,
        "dateWritten": "2026-11-21",
        "prescriber": {"reference": "Practitioner/dr1"},
        "lensSpecification": [{"product": {"text": "lens"}, "eye": "right"}],
    }
    orders = [order("o1", "E0601"), diet, halt, lens, order("o3", insurance=[{"reference": "Coverage/nowhere"}])]
    yield made("no statement and unread coverage", call(*orders, prefetch=chart, extension=extension))
    ended = {**chart, "coverage": bundle(coverage(status="cancelled"))}
    yield made("ended coverage", call(prefetch=ended, extension=extension))
    yield _by_hand(version)


def _by_hand(version: str) -> Answer:
    """What no plan can say by itself: an authorization on file, another order that decided, the payer's own page."""
    found = version_named(version)
    assert found is not None
    decided = Verdict("root", "All of", Status.MET, evidence=(Evidence("DeviceRequest/o2", "an earlier order"),))
    said = [
        statement(
            determination(pa_needed="satisfied", satisfied_pa_id="PA-1", source_url="https://acme.example.org/policy"),
            determination(
                criteria=(decided,),
                policy="other|1",
                doc_needed=("clinical", "admin"),
                doc_purpose=("withpa", "withorder"),
                questionnaire="https://acme.example.org/Questionnaire/q|1",
            ),
        )
    ]
    actions = system_actions(said, date(2026, 11, 21), Manner(found))
    request = call(extension={REQUESTED: version})
    return Answer("on file", version, request, {"cards": [], "systemActions": list(actions)})
