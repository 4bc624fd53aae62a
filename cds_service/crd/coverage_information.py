"""Statement -> the coverage-information extension of CRD 2.2, its invariants kept. Pure; judges nothing.

The one place that knows how CRD 2.2 writes a statement: another version of the guide is another such module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from cds_service.crd.order_changes import CRD_HCPCS
from cds_service.crd.statements import Silence, Statement, billing_code
from cds_service.fhir.codings import HCPCS
from cds_service.fhir.references import literal_reference, reference_key
from cds_service.policy.model import Determination

URL = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
_DETAIL_CODES = "http://terminology.hl7.org/CodeSystem/crd-coverage-detail"

Extension = dict[str, Any]


def coverage_information(statement: Statement, on_date: date) -> list[Extension]:
    """One extension for each determination, or one that says why there is none. They share the assertion id.

    Source: CRD 2.2, StructureDefinition ext-coverage-information.
    """
    if statement.silence is not None:
        return [_extension(statement, on_date, list(_silent(statement.silence)))]
    return [_extension(statement, on_date, list(_determined(one))) for one in statement.determinations]


def _extension(statement: Statement, on_date: date, said: list[Extension]) -> Extension:
    """`said` between the parts that every statement has, in the order of the profile."""
    billed = billing_code(statement.line)
    parts = [
        {"url": "coverage", "valueReference": dict(statement.coverage.reference)},
        *said,
        {"url": "date", "valueDate": on_date.isoformat()},
        {"url": "coverage-assertion-id", "valueString": statement.assertion_id},
    ]
    if billed is not None:
        coding = {**billed, "system": CRD_HCPCS if billed["system"] == HCPCS else billed["system"]}
        parts.append({"url": "billingCode", "valueCoding": coding})
    parts.sort(key=lambda part: _PROFILE_ORDER.index(part["url"]))
    return {"url": URL, "extension": parts}


_PROFILE_ORDER = (
    "coverage",
    "covered",
    "pa-needed",
    "doc-needed",
    "info-needed",
    "billingCode",
    "reason",
    "detail",
    "questionnaire",
    "date",
    "coverage-assertion-id",
)


def _silent(silence: Silence) -> Iterator[Extension]:
    yield {"url": "covered", "valueCode": silence.covered}
    # crd-ci-q9: indeterminate needs a reason; crd-ci-q7: every reason has a text
    reason: dict[str, Any] = {"text": silence.text}
    if silence.code is not None:
        reason = {"coding": [{"system": silence.system, "code": silence.code}], **reason}
    yield {"url": "reason", "valueCodeableConcept": reason}


def _determined(determination: Determination) -> Iterator[Extension]:
    yield {"url": "covered", "valueCode": determination.covered}
    codes = {determination.covered, *determination.doc_needed}
    # crd-ci-q2: what is not covered says nothing of authorization
    if determination.covered != "not-covered":
        codes.add(determination.pa_needed)
        yield {"url": "pa-needed", "valueCode": determination.pa_needed}
    for code in determination.doc_needed:
        yield {"url": "doc-needed", "valueCode": code}
    # crd-ci-q3: info-needed where, and only where, something is conditional
    info_needed = (determination.info_needed or ("OTH",)) if "conditional" in codes else ()
    for code in info_needed:
        yield {"url": "info-needed", "valueCode": code}
    # crd-ci-q6: OTH is explained in a reason
    for text in determination.reason or ((determination.rule_title,) if info_needed else ()):
        coding = determination.reason_codings.get(text)
        concept: dict[str, Any] = {"coding": [coding._asdict()], "text": text} if coding else {"text": text}
        yield {"url": "reason", "valueCodeableConcept": concept}
    # only a verified address of the payer's document goes out
    if determination.source_url is not None:
        yield _policy_link(determination.source_url)
    # crd-ci-q1: a questionnaire only where documentation is needed
    if determination.questionnaire is not None and determination.doc_needed:
        yield {"url": "questionnaire", "valueCanonical": determination.questionnaire}


def _policy_link(url: str) -> Extension:
    code = {"coding": [{"system": _DETAIL_CODES, "code": "policy-link"}]}
    parts = [
        {"url": "category", "valueCode": "cat-other"},
        {"url": "code", "valueCodeableConcept": code},
        {"url": "value", "valueUrl": url},
    ]
    return {"url": "detail", "extension": parts}


def is_of_coverage(extension: object, coverage: Mapping[str, Any]) -> bool:
    """Whether an extension of an order is coverage-information about this coverage (a Reference)."""
    if not isinstance(extension, Mapping) or extension.get("url") != URL:
        return False
    about = literal_reference(_part(extension, "coverage", "valueReference"))
    asked = literal_reference(coverage)
    return about is not None and (about == asked or reference_key(about) == reference_key(asked) is not None)


def assertion_id_of(extension: Mapping[str, Any]) -> str | None:
    """The coverage-assertion-id that an earlier answer put on an order."""
    value = _part(extension, "coverage-assertion-id", "valueString")
    return value if isinstance(value, str) and value.strip() else None


def _part(extension: Mapping[str, Any], url: str, value: str) -> Any:
    parts = extension.get("extension")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, Mapping) and part.get("url") == url:
            return part.get(value)
    return None
