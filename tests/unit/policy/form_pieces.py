"""The questionnaire of the small plan, built from pieces, for tests that break one piece at a time."""

from __future__ import annotations

import copy
from typing import Any

from cds_service.policy.load import Definition
from tests.unit.policy.small_plan import BASE, definitions, small_plan

V2 = "http://terminology.hl7.org/CodeSystem/v2-0136"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
KIND = f"{BASE}/CodeSystem/monitoring-kind"
WHERE = "plans/acme/oxygen/2024-06-01/Questionnaire.json"
CANONICAL = f"{BASE}/Questionnaire/acme-oxygen|2024-06-01"
CRITERIA = 1


def option(system: str, code: str) -> dict[str, Any]:
    return {"valueCoding": {"system": system, "code": code, "display": code.title()}}


YES_NO = [option(V2, "Y"), option(V2, "N"), option(ABSENT, "asked-unknown")]


def item(name: str, kind: str = "choice", *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"linkId": name, "text": f"Text of {name}", "type": kind}
    if kind == "choice" and "answerOption" not in more:
        found["answerOption"] = copy.deepcopy(YES_NO)
    found |= more
    return {**found, "item": list(items)} if items else found


def when(question: str, code: str = "Y", system: str = V2) -> dict[str, Any]:
    return {"question": question, "operator": "=", "answerCoding": {"system": system, "code": code}}


def small_form() -> dict[str, Any]:
    """The four criteria of the small plan, what was found for one, its document, and who stands for the answers."""
    return {
        "resourceType": "Questionnaire",
        "id": "acme-oxygen",
        "text": {"status": "additional", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Oxygen</p></div>'},
        "url": f"{BASE}/Questionnaire/acme-oxygen",
        "version": "2024-06-01",
        "name": "AcmeOxygenQuestionnaire",
        "title": "Acme: home oxygen",
        "status": "active",
        "subjectType": ["Patient"],
        "effectivePeriod": {"start": "2024-06-01"},
        "item": [
            item(
                "acme-oxygen",
                "group",
                item("acme-oxygen.lung"),
                item("acme-oxygen.rest", "choice", item("acme-oxygen.rest.help", "display")),
                item("acme-oxygen.rest.found", "text"),
                item("acme-oxygen.stable"),
                item("acme-oxygen.child"),
            ),
            item("form.papers", "group", item("doc.report", "attachment", repeats=True)),
            item("form.attestation", "choice", answerOption=[option(V2, "Y")], required=True),
        ],
    }


def plan_with_form() -> dict[str, Any]:
    plan = small_plan()
    plan["action"][CRITERIA]["definitionCanonical"] = CANONICAL
    return plan


def both(plan: dict[str, Any], *forms: dict[str, Any]) -> list[Definition]:
    return [*definitions(plan), *(Definition(WHERE, one, "2024-06-01") for one in forms)]
