"""A small questionnaire for the small plan, and responses to it, built from pieces."""

from __future__ import annotations

import copy
from typing import Any

from cds_service.policy.form import Form, form_of
from cds_service.policy.load import Definition
from tests.unit.policy.small_plan import BASE, criterion, definitions, small_plan

URL = f"{BASE}/Questionnaire/acme-oxygen"
CANONICAL = f"{URL}|2024-06-01"
KINDS = f"{BASE}/CodeSystem/oxygen-kind"
YES_NO = "http://terminology.hl7.org/CodeSystem/v2-0136"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"


def coding(system: str, code: str) -> dict[str, Any]:
    return {"valueCoding": {"system": system, "code": code}}


YES, NO, DONT_KNOW = coding(YES_NO, "Y"), coding(YES_NO, "N"), coding(ABSENT, "asked-unknown")


def option(answer: dict[str, Any]) -> dict[str, Any]:
    return {"valueCoding": {**answer["valueCoding"], "display": f"Says {answer['valueCoding']['code']}"}}


def question(name: str, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"linkId": name, "type": "choice", "text": f"Is it so: {name}?"}
    found["answerOption"] = [option(one) for one in (YES, NO, DONT_KNOW)]
    return {**found, **more, **({"item": list(items)} if items else {})}


def text_item(name: str) -> dict[str, Any]:
    return {"linkId": name, "type": "text", "text": "As found in the record"}


_QUESTIONNAIRE: dict[str, Any] = {
    "resourceType": "Questionnaire",
    "id": "acme-oxygen",
    "url": URL,
    "version": "2024-06-01",
    "name": "AcmeOxygen",
    "title": "Acme home oxygen",
    "status": "active",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Acme home oxygen</div>'},
    "subjectType": ["Patient"],
    "effectivePeriod": {"start": "2024-06-01"},
    "item": [
        {
            "linkId": "acme-oxygen",
            "type": "group",
            "text": "Home oxygen: all of these",
            "item": [
                question("acme-oxygen.lung", required=True),
                question("acme-oxygen.rest"),
                text_item("acme-oxygen.rest.found"),
                question("acme-oxygen.stable"),
                question("ask.kind", answerOption=[option(coding(KINDS, one)) for one in ("rental", "purchase")]),
                question(
                    "acme-oxygen.child",
                    enableWhen=[{"question": "ask.kind", "operator": "=",
                                 "answerCoding": {"system": KINDS, "code": "rental"}}],
                ),
                {"linkId": "doc.report.file", "type": "attachment", "text": "A note beside the report"},
                {"linkId": "doc.report", "type": "attachment", "text": "The report", "repeats": True},
            ],
        },
        {"linkId": "form.attestation", "type": "choice", "text": "Is it true?", "answerOption": [option(YES)]},
    ],
}  # fmt: skip


def questionnaire() -> dict[str, Any]:
    return copy.deepcopy(_QUESTIONNAIRE)


def form() -> Form:
    """The form, with what shipped ones do not have: a quantity, and an item under a question."""
    asked = questionnaire()
    lung, rest, found, *others = asked["item"][0]["item"]
    others.append({"linkId": "ask.flow", "type": "quantity", "text": "Litres a minute"})
    asked["item"][0]["item"] = [lung, {**rest, "item": [found]}, *others]
    return form_of(asked)


def plan_with_form() -> dict[str, Any]:
    """The small plan, which names its questionnaire, and of a child reads whether it is a rental."""
    plan = small_plan()
    criteria = plan["action"][1]
    child = criterion(
        "acme-oxygen.child",
        "%answers.exists(linkId = 'ask.kind' and value = 'rental')"
        " or iif(%answers.exists(linkId = 'ask.kind' and value = 'purchase'), false)",
        "%patient.birthDate + 21 years > %orderDate",
    )
    criteria["definitionCanonical"] = CANONICAL
    criteria["action"][0]["action"][3] = child
    return plan


def definitions_with_form() -> list[Definition]:
    return with_form(plan_with_form(), questionnaire())


def with_form(plan: dict[str, Any], asked: dict[str, Any]) -> list[Definition]:
    where = "plans/acme/oxygen/2024-06-01/Questionnaire.json"
    return [*definitions(plan), Definition(where, asked, "2024-06-01")]


def item(name: str, *answers: dict[str, Any]) -> dict[str, Any]:
    return {"linkId": name, "answer": list(answers)}


def response(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A completed response: `items` stand in the group of criteria."""
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "r1",
        "questionnaire": CANONICAL,
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "authored": "2026-11-20T09:00:00-05:00",
        "item": [{"linkId": "acme-oxygen", "item": list(items or (item("acme-oxygen.lung", YES),))}],
        **more,
    }


def about(*references: str) -> list[dict[str, Any]]:
    """What a response says it is about, as DTR 2.0.1 writes it."""
    return [{"url": f"{_DTR}qr-context", "valueReference": {"reference": one}} for one in references]
