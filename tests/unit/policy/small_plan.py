"""A small sound plan, built from pieces, for tests that break one piece at a time."""

from __future__ import annotations

import copy
from typing import Any

from cds_service.policy.load import Definition

BASE = "https://cds-service.example.org/fhir"
STRUCTURE = f"{BASE}/StructureDefinition/"
FHIRPATH = "text/fhirpath"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
CRD_CODES = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
ADD_RR = "%line.modifier.code | 'RR'"
CITED = [{"type": "documentation", "label": "II.A"}]


def fhirpath(text: str) -> dict[str, Any]:
    return {"language": FHIRPATH, "expression": text}


def part(code: str) -> list[dict[str, Any]]:
    return [{"coding": [{"system": f"{BASE}/CodeSystem/policy-part", "code": code}]}]


def derived(name: str, kind: str, text: str, **more: Any) -> dict[str, Any]:
    found = {
        "id": name,
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/cqf-expression",
                "valueExpression": fhirpath(text),
            },
            *more.pop("extension", []),
        ],
        "type": kind,
    }
    return {**found, **more}


def selection(where: str | None = None, per: tuple[str, ...] = ()) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"url": "per", "valueString": one} for one in per]
    if where is not None:
        parts.insert(0, {"url": "where", "valueExpression": fhirpath(where)})
    return {"url": f"{STRUCTURE}selection", "extension": parts}


def window(path: str, start: str | None, end: str | None) -> list[dict[str, Any]]:
    def end_of(text: str) -> dict[str, Any]:
        url = "http://hl7.org/fhir/StructureDefinition/cqf-expression"
        return {"extension": [{"url": url, "valueExpression": fhirpath(text)}]}

    period = {name: end_of(text) for name, text in (("_start", start), ("_end", end)) if text}
    return [{"path": path, "valuePeriod": period}]


def percent(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "%", "system": UCUM, "code": "%"}


def measured(name: str, value_set: str, display: str, qualifiers: dict[str, str]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"url": "display", "valueString": display},
        {"url": "plausible", "valueRange": {"low": percent(20), "high": percent(100)}},
    ]
    for qualifier, text in qualifiers.items():
        parts.append({"url": "qualifier", "valueExpression": {"name": qualifier, **fhirpath(text)}})
    return {
        "id": name,
        "extension": [{"url": f"{STRUCTURE}measurement", "extension": parts}],
        "type": "Observation",
        "codeFilter": [{"path": "code", "valueSet": f"{BASE}/ValueSet/{value_set}|1"}],
    }


def retrieved(name: str, kind: str, value_set: str, **more: Any) -> dict[str, Any]:
    path = "type" if kind == "DocumentReference" else "code"
    return {
        "id": name,
        "type": kind,
        "codeFilter": [{"path": path, "valueSet": f"{BASE}/ValueSet/{value_set}|1"}],
        **more,
    }


def criterion(name: str, start: str | None = None, applies: str | None = None, **more: Any) -> dict[str, Any]:
    conditions = [
        {"kind": kind, "expression": fhirpath(text)}
        for kind, text in (("applicability", applies), ("start", start))
        if text is not None
    ]
    found: dict[str, Any] = {
        "id": name,
        "title": more.pop("title", f"Title of {name}"),
        "documentation": CITED,
    }
    if conditions:
        found["condition"] = conditions
    return {**found, **more}


def group(name: str, behavior: str, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    shape = {"groupingBehavior": "logical-group", "selectionBehavior": behavior, "action": list(children)}
    return {**criterion(name, more.pop("start", None), more.pop("applies", None)), **shape, **more}


def row(name: str, condition: str | None = None, unknown: dict[str, str] | None = None, **gives: Any) -> dict[str, Any]:
    parts = _outcome(gives)
    if unknown:
        parts.append({"url": "unknown", "extension": _outcome(unknown)})
    found: dict[str, Any] = {
        "id": name,
        "extension": [{"url": f"{STRUCTURE}determination", "extension": parts}],
        "title": f"Title of {name}",
        "description": f"Words of {name}.",
        "documentation": CITED,
    }
    if condition is not None:
        found["condition"] = [{"kind": "applicability", "expression": fhirpath(condition)}]
    return found


def _outcome(gives: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for name, value in gives.items():
        key = {"criteria": "valueBoolean", "reason": "valueCodeableConcept"}.get(name, "valueCode")
        said = value if name != "reason" or isinstance(value, dict) else {"text": value}
        parts.append({"url": name, key: said})
    return parts


def value_set(name: str, system: str, *codes: str) -> dict[str, Any]:
    return {
        "resourceType": "ValueSet",
        "id": name,
        "url": f"{BASE}/ValueSet/{name}",
        "version": "1",
        "name": "".join(word.title() for word in name.split("-")),
        "title": name,
        "status": "active",
        "compose": {"include": [{"system": system, "concept": [{"code": code} for code in codes]}]},
        "expansion": {
            "timestamp": "2026-11-22",
            "contains": [{"system": system, "code": code} for code in codes],
        },
    }


def small_plan() -> dict[str, Any]:
    """Oxygen saturation at rest, at or below 88 %: one group, two leaves, a document, an exclusion, a suggestion."""
    return copy.deepcopy(_PLAN)


def definitions(plan: dict[str, Any] | None = None, *more: dict[str, Any]) -> list[Definition]:
    plan = plan or small_plan()
    found = [
        Definition("plans/acme/oxygen/2024-06-01/PlanDefinition.json", plan, "2024-06-01"),
        Definition("plans/payers/acme.json", _PAYER, "payers"),
    ]
    found += [Definition(f"valuesets/{one['id']}.json", one, "valuesets") for one in _VALUE_SETS]
    found += [Definition(f"more/{n}.json", one, "more") for n, one in enumerate(more)]
    return found


_PAYER = {
    "resourceType": "InsurancePlan",
    "id": "acme",
    "status": "active",
    "name": "Acme Health",
    "alias": ["Acme"],
}
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
_VALUE_SETS = [
    value_set("order-oxygen", HCPCS, "E1390", "E1392"),
    value_set("obs-saturation", LOINC, "59408-5", "59417-6", "2708-6"),
    value_set("obs-at-rest", LOINC, "59417-6"),
    value_set("obs-flow", LOINC, "3151-8"),
    value_set("dx-lung", ICD, "J44.9", "J84.10"),
    value_set("dx-angina", ICD, "I20.9"),
    value_set("doc-report", LOINC, "11502-2"),
]
_PLAN: dict[str, Any] = {
    "resourceType": "PlanDefinition",
    "id": "acme-oxygen",
    "url": f"{BASE}/PlanDefinition/acme-oxygen",
    "version": "2024-06-01",
    "name": "AcmeOxygen",
    "title": "Acme home oxygen",
    "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/plan-definition-type", "code": "eca-rule"}]},
    "status": "active",
    "useContext": [
        {
            "code": {"system": "http://terminology.hl7.org/CodeSystem/usage-context-type", "code": "program"},
            "valueReference": {"reference": "InsurancePlan/acme"},
        }
    ],
    "effectivePeriod": {"start": "2024-06-01"},
    "relatedArtifact": [{"type": "documentation", "display": "Acme oxygen guideline"}],
    "action": [
        {
            "id": "authorization",
            "title": "Authorization",
            "code": part("authorization"),
            "trigger": [
                {
                    "type": "data-changed",
                    "data": [
                        {
                            "type": "DeviceRequest",
                            "codeFilter": [{"path": "code", "valueSet": f"{BASE}/ValueSet/order-oxygen|1"}],
                        }
                    ],
                }
            ],
            "selectionBehavior": "exactly-one",
            "action": [
                row(
                    "auth.managed",
                    "%coverage.programme contains 'managed'",
                    covered="conditional",
                    paNeeded="conditional",
                    infoNeeded="OTH",
                    criteria=False,
                ),
                row("auth.all", covered="covered", paNeeded="auth-needed"),
            ],
        },
        {
            "id": "criteria",
            "title": "Criteria",
            "code": part("criteria"),
            "input": [
                measured(
                    "saturation",
                    "obs-saturation",
                    "SpO2",
                    {
                        "activity": f"iif(code.memberOf('{BASE}/ValueSet/obs-at-rest|1'), 'at-rest')",
                        "oxygen": f"iif(component.exists(code.memberOf('{BASE}/ValueSet/obs-flow|1')"
                        " and value.value = 0), 'on-room-air')",
                    },
                ),
                derived(
                    "restingO2",
                    "Observation",
                    "%saturation",
                    extension=[selection("activity = 'at-rest' and oxygen = 'on-room-air'", ("measurement",))],
                    dateFilter=window("effective", "%orderDate - 90 days", "%onDate"),
                    sort=[{"path": "effective", "direction": "descending"}],
                    limit=1,
                ),
                derived("restingLow", "boolean", "iif(%restingO2.exists(), %restingO2.exists(value <= 88 '%'))"),
                retrieved("lung", "Condition", "dx-lung"),
            ],
            "action": [
                group(
                    "acme-oxygen",
                    "all",
                    criterion("acme-oxygen.lung", "%lung.exists() or {}"),
                    criterion("acme-oxygen.rest", "%restingLow", textEquivalent="at or below 88 %"),
                    criterion("acme-oxygen.stable"),
                    criterion("acme-oxygen.child", applies="%patient.birthDate + 21 years > %orderDate"),
                )
            ],
        },
        {
            "id": "exclusions",
            "title": "Exclusions",
            "code": part("exclusions"),
            "action": [
                criterion(
                    "excl.angina",
                    applies=f"%line.reason.exists() and %line.reason.all(memberOf('{BASE}/ValueSet/dx-angina|1'))",
                )
            ],
        },
        {
            "id": "documents",
            "title": "Documents",
            "code": part("documents"),
            "action": [
                criterion(
                    "doc.report",
                    "%`acme-oxygen.rest`.met",
                    code=[
                        *part("document"),
                        {"coding": [{"system": CRD_CODES, "code": "clinical"}]},
                    ],
                    input=[retrieved("reports", "DocumentReference", "doc-report",
                                     dateFilter=window("date", "%orderDate - 90 days", "%onDate"))],
                )
            ],
        },
        {
            "id": "advice",
            "title": "Advice",
            "code": part("advice"),
            "action": [
                criterion(
                    "advice.rr",
                    applies="(%line.modifier.code contains 'RR').not()",
                    code=part("card"),
                    action=[
                        {
                            "id": "advice.rr.add",
                            "title": "Add RR",
                            "type": {
                                "coding": [
                                    {"system": "http://terminology.hl7.org/CodeSystem/action-type", "code": "update"}
                                ]
                            },
                            "dynamicValue": [{"path": "modifier", "expression": fhirpath(ADD_RR)}],
                        }
                    ],
                )
            ],
        },
    ],
}  # fmt: skip
