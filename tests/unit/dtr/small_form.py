"""The small plan with a questionnaire beside it, for tests that ask and answer."""

from __future__ import annotations

from typing import Any

from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import Definition, load_catalogue
from tests.unit.policy.small_plan import BASE, definitions, small_plan

YES_NO = "http://terminology.hl7.org/CodeSystem/v2-0136"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
URL = f"{BASE}/Questionnaire/acme-oxygen"
CANONICAL = f"{URL}|2024-06-01"
Item = dict[str, Any]


def yes_or_no(link_id: str, text: str, *items: Item, **more: Any) -> Item:
    options = [(YES_NO, "Y", "Yes"), (YES_NO, "N", "No"), (ABSENT, "asked-unknown", "Don't know")]
    codings = [{"system": system, "code": code, "display": display} for system, code, display in options]
    item: Item = {"linkId": link_id, "text": text, "type": "choice"}
    item["answerOption"] = [{"valueCoding": one} for one in codings]
    return {**item, **more, **({"item": list(items)} if items else {})}


def found(link_id: str) -> Item:
    return {"linkId": f"{link_id}.found", "text": "As found in the record, or as you read it", "type": "text"}


def small_form() -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "id": "acme-oxygen",
        "text": {"status": "additional", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Oxygen</p></div>'},
        "url": URL,
        "version": "2024-06-01",
        "name": "AcmeOxygen",
        "title": "Acme home oxygen",
        "status": "active",
        "subjectType": ["Patient"],
        "effectivePeriod": {"start": "2024-06-01"},
        "item": [
            {
                "linkId": "acme-oxygen",
                "text": "Oxygen at home",
                "type": "group",
                "item": [
                    yes_or_no("acme-oxygen.lung", "Is there a lung disease?"),
                    found("acme-oxygen.lung"),
                    yes_or_no("acme-oxygen.rest", "88 % or lower at rest, on room air?"),
                    found("acme-oxygen.rest"),
                    yes_or_no("acme-oxygen.stable", "Is the patient stable?"),
                    yes_or_no("acme-oxygen.child", "If the patient is a child: is the dose agreed?"),
                ],
            },
            {"linkId": "form.attestation", "text": "I have seen the patient.", "type": "boolean"},
        ],
    }


def asking_plan(form: str = CANONICAL) -> dict[str, Any]:
    plan = small_plan()
    plan["action"][1]["definitionCanonical"] = form
    return plan


def asking_catalogue(form: dict[str, Any] | None = None, plan: dict[str, Any] | None = None) -> Catalogue:
    """The catalogue of the small plan with its questionnaire."""
    questionnaire = form or small_form()
    held = [*definitions(plan or asking_plan(f"{questionnaire['url']}|{questionnaire['version']}"))]
    where = "plans/acme/oxygen/2024-06-01/Questionnaire.json"
    catalogue, problems = load_catalogue([*held, Definition(where, questionnaire, "2024-06-01")])
    assert catalogue is not None, problems
    return catalogue
