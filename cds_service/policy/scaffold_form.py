"""The questionnaire of a policy that is still to be written: its questions stand, their words are to do. Pure."""

from __future__ import annotations

from datetime import date
from typing import Any

from cds_service.policy.faults import BASE
from cds_service.policy.form_rules import ABSENT_REASON, V2_YES_NO

Item = dict[str, Any]
_YES = {"system": V2_YES_NO, "code": "Y", "display": "Yes"}
_NO = {"system": V2_YES_NO, "code": "N", "display": "No"}
_DONT_KNOW = {"system": ABSENT_REASON, "code": "asked-unknown", "display": "Don't know"}
_HELP = {
    "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-itemControl",
    "valueCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/questionnaire-item-control", "code": "help"}]},
}


def form_canonical(policy: str, start: date) -> str:
    return f"{BASE}/Questionnaire/{policy}|{start}"


def scaffold_form(policy: str, name: str, start: date) -> dict[str, Any]:
    """`policy` is the plan's id, `name` its computer name."""
    narrative = f"<p>Questions of the policy {policy}, in force from {start}.</p>"
    diagnosis, need, paper = f"{policy}.diagnosis", f"{policy}.need", "doc.statement"
    return {
        "resourceType": "Questionnaire",
        "id": policy,
        "text": {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{narrative}</div>'},
        "url": f"{BASE}/Questionnaire/{policy}",
        "version": start.isoformat(),
        "name": f"{name}Questionnaire",
        "title": "TO DO: the form's title; payer and item, as a clinician looks for it",
        "status": "active",
        "experimental": False,
        "subjectType": ["Patient"],
        "publisher": "cds-service",
        "effectivePeriod": {"start": start.isoformat()},
        "item": [
            {
                "linkId": policy,
                "text": "TO DO: what the criteria ask about; a heading",
                "type": "group",
                "item": [
                    _question(diagnosis, "TO DO: the question for the diagnosis; yes means met"),
                    {"linkId": f"{diagnosis}.found", "text": "Diagnosis on record", "type": "text"},
                    _question(need, "TO DO: the question that only the clinician can answer; yes means met"),
                ],
            },
            {
                "linkId": "form.documents",
                "text": "Papers to go with the request. Leave out what is on file.",
                "type": "group",
                "item": [
                    {
                        "linkId": paper,
                        "text": "TO DO: the document to be attached; in words",
                        "type": "attachment",
                        "item": [_clause(paper)],
                    }
                ],
            },
            {
                "linkId": "form.attestation",
                "text": "I have checked these answers against the patient's record, or know them to be true.",
                "type": "choice",
                "required": True,
                "answerOption": [{"valueCoding": _YES}],
            },
        ],
    }


def _question(name: str, text: str) -> Item:
    options = [{"valueCoding": one} for one in (_YES, _NO, _DONT_KNOW)]
    return {"linkId": name, "text": text, "type": "choice", "answerOption": options, "item": [_clause(name)]}


def _clause(name: str) -> Item:
    text = "TO DO: where the payer's document asks for it; the section, and what helps to answer"
    return {"linkId": f"{name}.help", "extension": [_HELP], "text": text, "type": "display"}
