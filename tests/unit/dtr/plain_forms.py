"""A form made from a plan alone: one question for each criterion that can be asked, in the plan's order and nesting.

Stands in for a policy whose form is not written yet, so that what is asked can be tried on every plan.
"""

from __future__ import annotations

from typing import Any

from cds_service.policy.choices import choices
from cds_service.policy.form import Form, form_of
from cds_service.policy.plan import Policy

YES_NO = "http://terminology.hl7.org/CodeSystem/v2-0136"
UNKNOWN = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
KINDS = "https://cds-service.example.org/fhir/CodeSystem/kind"


def form_for(policy: Policy) -> Form:
    return policy.form or form_of(plain_form(policy))


def plain_form(policy: Policy) -> dict[str, Any]:
    kinds = choices(policy)
    read = {
        literal
        for expression in policy.expressions()
        for literal in expression.text.split("'")
        if literal.startswith("ask.")
    }
    items = [_item(policy, name, kinds) for name, one in policy.criteria.items() if one.parent is None]
    items += [question(name, kinds.get(name)) for name in sorted(read)]
    name = policy.url.rpartition("/")[2]
    return {
        "resourceType": "Questionnaire",
        "id": name,
        "url": policy.url.replace("/PlanDefinition/", "/Questionnaire/"),
        "version": policy.version,
        "name": "PlainForm",
        "title": policy.title,
        "status": "active",
        "subjectType": ["Patient"],
        "item": items,
    }


def question(name: str, kinds: frozenset[str] | None = None, **more: Any) -> dict[str, Any]:
    codes = [(KINDS, one) for one in sorted(kinds or ())] or [(YES_NO, "Y"), (YES_NO, "N")]
    options = [
        {"valueCoding": {"system": system, "code": code}} for system, code in [*codes, (UNKNOWN, "asked-unknown")]
    ]
    return {"linkId": name, "type": "choice", "text": f"{name}?", "answerOption": options, **more}


def _item(policy: Policy, name: str, kinds: dict[str, frozenset[str]]) -> dict[str, Any]:
    criterion = policy.criteria[name]
    below = [_item(policy, child, kinds) for child in criterion.children]
    if criterion.group and criterion.start is None:
        return {"linkId": name, "type": "group", "text": name, "item": below}
    found = question(name, kinds.get(name))
    return {**found, "item": below} if below else found
