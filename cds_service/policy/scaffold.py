"""Names -> the files of a policy that is still to be written: whole and sound, but for what the document must say.

Each gap is a line `TO DO: what; how` in the file where it is to be filled. Reading the folders tells every one of them,
and no policy is loaded while one is left (see adapters/definition_files.py). Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cds_service.fhir.codings import HCPCS, ICD10CM, LOINC
from cds_service.fhir.problem import Problem
from cds_service.policy.faults import BASE, CQF_EXPRESSION, POLICY_PART, STRUCTURE
from cds_service.policy.scaffold_form import form_canonical, scaffold_form

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# an id has 64 characters at most, and criteria put a dot and a word behind the plan's own
_LONGEST_ID = 48
_DOCUMENT_KIND = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"

_ORDER_CODE = "TO DO: a code that the document lists; HCPCS, from its list of codes"
_DIAGNOSIS_CODE = "TO DO: the code of a diagnosis that the document accepts; ICD-10-CM, with its dot"
_DOCUMENT_CODE = "TO DO: the type of a document that must come with the request; LOINC"


@dataclass(frozen=True, slots=True)
class NewPolicy:
    """What a new policy is called. `payer_held`: the payer has its file already."""

    payer: str
    policy: str
    start: date
    payer_held: bool

    @property
    def id(self) -> str:
        return f"{self.payer}-{self.policy}"


def name_faults(payer: str, policy: str) -> list[Problem]:
    """Why nothing can be named so."""
    problems = [
        Problem("invalid", word, "no name for a folder and an id", "small letters and digits, hyphens between words")
        for word in (payer, policy)
        if not _NAME.fullmatch(word)
    ]
    if not problems and len(f"{payer}-{policy}") > _LONGEST_ID:
        fix = f"{_LONGEST_ID} characters at most: criteria's ids begin with it"
        problems.append(Problem("invalid", f"{payer}-{policy}", "too long an id", fix))
    return problems


def scaffold(new: NewPolicy, written_on: date) -> tuple[dict[str, str], dict[str, str]]:
    """The files below the plans folder and below the value sets folder, by path. `written_on` dates the expansions."""
    folder = f"{new.payer}/{new.policy}"
    version = f"{folder}/{new.start}"
    plans = {
        f"{version}/PlanDefinition.json": _json(_plan(new)),
        f"{version}/Questionnaire.json": _json(scaffold_form(new.id, _name(new), new.start)),
        f"{version}/cases.yaml": _cases(new),
        f"{version}/charts/whole-chart.json": _json(_chart(new)),
        f"{folder}/README.md": _readme(new),
    }
    if not new.payer_held:
        plans[f"payers/{new.payer}.json"] = _json(_payer(new))
    sets = (
        _value_set(new, "order", HCPCS, _ORDER_CODE, written_on),
        _value_set(new, "dx", ICD10CM, _DIAGNOSIS_CODE, written_on),
        _value_set(new, "doc", LOINC, _DOCUMENT_CODE, written_on),
    )
    return plans, {f"{one['id']}.json": _json(one) for one in sets}


def _json(resource: Mapping[str, Any]) -> str:
    return json.dumps(resource, indent=2, ensure_ascii=False) + "\n"


# -- payer and value sets


def _payer(new: NewPolicy) -> dict[str, Any]:
    return {
        "resourceType": "InsurancePlan",
        "id": new.payer,
        "status": "active",
        "name": "TO DO: the payer's name; as a card says it",
        "alias": ["TO DO: another name of the payer; as its Coverages and organizations write it"],
    }


_HOLDS = {"order": "orders", "dx": "diagnoses", "doc": "documents"}


def _value_set(new: NewPolicy, kind: str, system: str, code: str, written_on: date) -> dict[str, Any]:
    concept = {"code": code, "display": f"TO DO: words for the code of {_HOLDS[kind]}; no CPT descriptor"}
    name = f"{kind}-{new.id}"
    return {
        "resourceType": "ValueSet",
        "id": name,
        "url": f"{BASE}/ValueSet/{name}",
        "version": "1",
        "name": _camel(name),
        "title": f"TO DO: what this set of {_HOLDS[kind]} is called; in words that a page can show",
        "status": "active",
        "experimental": False,
        "publisher": "cds-service",
        "purpose": f"TO DO: whose list of {_HOLDS[kind]} it is and where the codes were checked; if ours, say so",
        "compose": {"include": [{"system": system, "concept": [concept]}]},
        "expansion": {"timestamp": written_on.isoformat(), "contains": [{"system": system, **concept}]},
    }


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


# -- the plan


def _name(new: NewPolicy) -> str:
    return re.sub(r"^[^A-Za-z]+", "", _camel(new.id)) or "Policy"


def _plan(new: NewPolicy) -> dict[str, Any]:
    start = new.start.isoformat()
    program = {"system": "http://terminology.hl7.org/CodeSystem/usage-context-type", "code": "program"}
    return {
        "resourceType": "PlanDefinition",
        "id": new.id,
        "url": f"{BASE}/PlanDefinition/{new.id}",
        "version": start,
        "name": _name(new),
        "title": "TO DO: the policy's title; as a card says it",
        "type": _concept("http://terminology.hl7.org/CodeSystem/plan-definition-type", "eca-rule"),
        "status": "active",
        "experimental": False,
        "publisher": "cds-service",
        "description": "TO DO: what the policy is about; one sentence",
        "useContext": [{"code": program, "valueReference": {"reference": f"InsurancePlan/{new.payer}"}}],
        "purpose": "TO DO: how we read the document; its misprints, and every choice that is ours",
        "effectivePeriod": {"start": start},
        "relatedArtifact": [
            {"type": "documentation", "display": "TO DO: the title of the payer's document; with its number and date"}
        ],
        "action": [_authorization(new), _criteria(new), _documents(new), _advice()],
    }


def _authorization(new: NewPolicy) -> dict[str, Any]:
    orders = {"type": "DeviceRequest", "codeFilter": [_filter("code", f"order-{new.id}")]}
    gives = [{"url": "covered", "valueCode": "covered"}, {"url": "paNeeded", "valueCode": "auth-needed"}]
    label = "TO DO: the section that asks for authorization; rows for orders that it does not ask for go above this one"
    row = {
        "id": "auth.all",
        "extension": [{"url": f"{STRUCTURE}determination", "extension": gives}],
        "title": "TO DO: the authorization rule; in words",
        "documentation": _cited(label),
    }
    return {
        "id": "authorization",
        "title": "Prior authorization",
        "code": [_concept(POLICY_PART, "authorization")],
        "trigger": [{"type": "data-changed", "data": [orders]}],
        "selectionBehavior": "exactly-one",
        "action": [row],
    }


def _criteria(new: NewPolicy) -> dict[str, Any]:
    diagnoses = f"{BASE}/ValueSet/dx-{new.id}|1"
    reason = _derived("diagnosisReason", "CodeableConcept", f"%line.reason.where(memberOf('{diagnoses}'))")
    recorded = {"id": "diagnosis", "type": "Condition", "codeFilter": [_filter("code", f"dx-{new.id}")]}
    diagnosis = {
        "id": f"{new.id}.diagnosis",
        "title": "TO DO: the diagnosis that is asked for; in words to which yes means met",
        "documentation": _cited("TO DO: the section that names the diagnosis; its number"),
        "condition": [_condition("start", "%diagnosisReason.exists() or %diagnosis.exists() or {}")],
        "input": [reason, recorded],
    }
    need = {
        "id": f"{new.id}.need",
        "title": "TO DO: what only the clinician can say; in words to which yes means met",
        "documentation": _cited("TO DO: the section that says what the clinician must state; its number"),
    }
    root = {
        "id": new.id,
        "title": "TO DO: the criteria as a whole; one line",
        "documentation": _cited("TO DO: the section that joins the criteria; its number"),
        "groupingBehavior": "logical-group",
        "selectionBehavior": "all",
        "action": [diagnosis, need],
    }
    return {
        "id": "criteria",
        "title": "Criteria",
        "code": [_concept(POLICY_PART, "criteria")],
        "definitionCanonical": form_canonical(new.id, new.start),
        "action": [root],
    }


def _documents(new: NewPolicy) -> dict[str, Any]:
    statement = {
        "id": "doc.statement",
        "title": "TO DO: the document that must come with the request; in words",
        "code": [_concept(POLICY_PART, "document"), _concept(_DOCUMENT_KIND, "clinical")],
        "documentation": _cited("TO DO: the section that asks for the document; its number"),
        "input": [{"id": "statement", "type": "DocumentReference", "codeFilter": [_filter("type", f"doc-{new.id}")]}],
    }
    return {
        "id": "documents",
        "title": "Documents",
        "code": [_concept(POLICY_PART, "documents")],
        "action": [statement],
    }


def _advice() -> dict[str, Any]:
    submit = {
        "id": "advice.submit",
        "title": "TO DO: the summary of a note on how to submit; below 140 characters",
        "description": "TO DO: how a request is submitted; what goes with it, and no portal (CRD resp-23)",
        "code": [_concept(POLICY_PART, "card")],
        "documentation": _cited("TO DO: the section that says how to submit; its number"),
    }
    return {
        "id": "advice",
        "title": "Advice",
        "code": [_concept(POLICY_PART, "advice")],
        "action": [submit],
    }


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _filter(path: str, value_set: str) -> dict[str, str]:
    return {"path": path, "valueSet": f"{BASE}/ValueSet/{value_set}|1"}


def _cited(label: str) -> list[dict[str, str]]:
    return [{"type": "documentation", "label": label}]


def _fhirpath(text: str) -> dict[str, str]:
    return {"language": "text/fhirpath", "expression": text}


def _condition(kind: str, text: str) -> dict[str, Any]:
    return {"kind": kind, "expression": _fhirpath(text)}


def _derived(name: str, kind: str, text: str) -> dict[str, Any]:
    return {"id": name, "extension": [{"url": CQF_EXPRESSION, "valueExpression": _fhirpath(text)}], "type": kind}


# -- what is read by people and by the cases


def _cases(new: NewPolicy) -> str:
    before = new.start - timedelta(days=1)
    return f"""\
# What the payer's document demands of this plan, case by case. docs/policy-cases.md explains every key.

cases:
  - name: a chart that holds all that is asked for meets everything on the first day in force
    on: {new.start}
    order: &order {{hcpcs: &code "{_ORDER_CODE}"}}
    chart: charts/whole-chart.json
    answers: {{{new.id}.need: yes}}
    expect:
      rule: auth.all
      covered: covered
      paNeeded: auth-needed
      docNeeded: []
      criteria: {{{new.id}: met, {new.id}.diagnosis: met, {new.id}.need: met}}
      documents: {{doc.statement: on-file}}
      advice: [advice.submit]

  - name: on the day before the first day in force the policy says nothing
    on: {before}
    order: *order
    expect: {{statement: false}}

  - name: a diagnosis that is not on record is not known, and the document is missing
    on: {new.start}
    order: *order
    expect:
      criteria: {{{new.id}: unknown, {new.id}.diagnosis: unknown, {new.id}.need: unknown}}
      documents: {{doc.statement: missing}}

  - name: the order's own reason counts as much as the problem list
    on: {new.start}
    order: {{hcpcs: *code, reason: "{_DIAGNOSIS_CODE}"}}
    expect: {{criteria: {{{new.id}.diagnosis: met}}}}

  - name: a clinician who says no is heard
    on: {new.start}
    order: *order
    answers: {{{new.id}.diagnosis: no, {new.id}.need: no}}
    expect: {{criteria: {{{new.id}: not-met, {new.id}.diagnosis: not-met, {new.id}.need: not-met}}}}

  - name: a clinician who names the diagnosis is heard, and the document that is attached is on file
    on: {new.start}
    order: *order
    answers: {{{new.id}.diagnosis: yes, doc.statement: yes}}
    expect: {{criteria: {{{new.id}.diagnosis: met}}, documents: {{doc.statement: on-file}}}}

unreachable:
  {new.id}: {{not-applicable: "some member always applies"}}
  {new.id}.diagnosis: {{not-applicable: "it has no condition of its own"}}
  {new.id}.need: {{not-applicable: "it has no condition of its own"}}
"""


def _chart(new: NewPolicy) -> dict[str, Any]:
    owner = {"reference": "Patient/somebody"}
    resources: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": "somebody", "birthDate": "1950-05-01"},
        {
            "resourceType": "Condition",
            "id": "diagnosis",
            "subject": owner,
            "code": _concept(ICD10CM, _DIAGNOSIS_CODE),
        },
        {
            "resourceType": "DocumentReference",
            "id": "statement",
            "status": "current",
            "docStatus": "final",
            "subject": owner,
            "date": f"{new.start}T08:00:00Z",
            "type": _concept(LOINC, _DOCUMENT_CODE),
            "content": [{"attachment": {"contentType": "application/pdf"}}],
        },
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


def _readme(new: NewPolicy) -> str:
    return f"""\
# {new.id}

**Source.** TO DO: the payer's document; its title, number and date, and what it says of the day it takes effect

**How to check it.** Hold the document against the page that `cds-service policy show {new.id}@{new.start}` prints.

## Choices that are ours
TO DO: what the document leaves open and how we read it; a line for each choice, or that there is none

## What changed
| from | what |
| --- | --- |
| {new.start} | first version here |
"""
