"""Request Form Completion: a Task that asks to fill in a payer's questionnaire, for clients that have no DTR. Pure.

Source: CRD 2.2, cards page, Request Form Completion (resp-59 to resp-65, dev-19, dev-20); profile-taskquestionnaire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from cds_service.crd.versions import CRD_CODES, CrdVersion

_SDC_CODES = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp"
_PROFILE = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/profile-taskquestionnaire"


@dataclass(frozen=True, slots=True)
class Forms:
    """The questionnaires that may be asked for by Task in one answer, by canonical with version.

    A value is the Questionnaire to be sent along: the EHR was asked, and has it not. None where it has it, or could
    not be asked: dev-20 wants the question asked first, and the canonical leads to the form where we serve it.
    """

    by_canonical: Mapping[str, Mapping[str, Any] | None]
    patient_id: str
    encounter_id: str | None
    on: date


def actions(
    forms: Forms, canonical: str, orders: Sequence[str], payer_name: str, item: str, version: CrdVersion
) -> Iterator[dict[str, Any]]:
    """The actions of one suggestion: the form where the client lacks it, and the Task that asks for it."""
    form = forms.by_canonical[canonical]
    if form is not None:
        yield {
            "type": "create",
            "description": "Keep the form",
            "resource": {name: value for name, value in form.items() if name != "id"},
            "extension": {"davinci-crd.if-none-exist": f"url={form['url']}&version={form['version']}"},
        }
    task: dict[str, Any] = {
        "resourceType": "Task",
        "meta": {"profile": [_PROFILE]},
        "basedOn": [{"reference": one} for one in orders],
        "status": "ready",
        "intent": "order",
        "code": {"coding": [{"system": _SDC_CODES, "code": "complete-questionnaire"}]},
        "for": {"reference": f"Patient/{forms.patient_id}"},
    }
    if forms.encounter_id is not None:
        task["encounter"] = {"reference": f"Encounter/{forms.encounter_id}"}
    task |= {
        "authoredOn": forms.on.isoformat(),
        "requester": {"type": "Organization", "display": payer_name},
        "reasonCode": {"text": f"{payer_name} asks for this before it covers: {item}"},
        "input": [
            {
                "type": {"coding": [{"system": _SDC_CODES, "code": "questionnaire"}], "text": "questionnaire"},
                "valueCanonical": canonical,
            },
            *(_after_completion() if version.says_what_follows_a_form else ()),
        ],
    }
    yield {"type": "create", "description": "Add the form to the list of tasks", "resource": task}


def _after_completion() -> Iterator[dict[str, Any]]:
    """CRD 2.0.1 wants it said what the answers are for: they go with the request for authorization."""
    yield {
        "type": {"coding": [{"system": CRD_CODES, "code": "after-completion-action"}]},
        "valueCodeableConcept": {"coding": [{"system": CRD_CODES, "code": "prior-auth-include"}]},
    }
