"""Statement -> the coverage-information extension in one version of CRD, its invariants kept. Pure; judges nothing.

What differs between the versions stands in the table of versions.py: here it is asked, and no version is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from cds_service.crd.order_changes import CRD_HCPCS
from cds_service.crd.orders import ORDER_TYPES
from cds_service.crd.statements import Silence, Statement, billing_code
from cds_service.crd.versions import CRD_CODES, NEWEST, CrdVersion
from cds_service.fhir.codings import HCPCS
from cds_service.fhir.references import literal_reference, reference_key
from cds_service.policy.model import Determination, ReasonCoding, Status

URL = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"

Extension = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer is written: the version of CRD; `asks` is whether it may ask for documents.

    CRD 2.2, hook-17 and hook-19: on a supporting hook coverage-information asks for none.
    """

    version: CrdVersion = NEWEST
    asks: bool = True


def coverage_information(statement: Statement, on_date: date, manner: Manner) -> list[Extension]:
    """One extension for each determination, or one that says why there is none. They share the assertion id.

    Source: CRD, StructureDefinition ext-coverage-information, each version its own.
    """
    if statement.silence is not None:
        return [_extension(statement, on_date, _silent(statement.silence, manner.version))]
    return [
        _extension(statement, on_date, (*_determined(one, manner), *_bounds(statement, one, manner.version)))
        for one in statement.determinations
    ]


def _extension(statement: Statement, on_date: date, said: Iterable[Extension]) -> Extension:
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
    "doc-purpose",
    "info-needed",
    "billingCode",
    "reason",
    "detail",
    "dependency",
    "questionnaire",
    "date",
    "coverage-assertion-id",
    "satisfied-pa-id",
    "contact",
    "expiry-date",
)


# -- why there is no determination ------------------------------------------------------------------------


def _silent(silence: Silence, version: CrdVersion) -> Iterator[Extension]:
    open_code = "indeterminate" if version.indeterminate else "conditional"
    covered = open_code if silence.covered == "indeterminate" else silence.covered
    yield {"url": "covered", "valueCode": covered}
    if version.pa_needed_always:
        # nothing was determined: neither "needed" nor "not needed" would be true
        yield {"url": "pa-needed", "valueCode": "conditional"}
    if covered == "conditional" or version.pa_needed_always:
        yield {"url": "info-needed", "valueCode": "OTH"}
    # crd-ci-q9: indeterminate needs a reason; crd-ci-q7: every reason has a text
    for reason in _reasons_of(silence, version):
        yield {"url": "reason", "valueCodeableConcept": reason}


def _reasons_of(silence: Silence, version: CrdVersion) -> Iterator[dict[str, Any]]:
    words = {"text": silence.text}
    if silence.code is None:
        yield words
    elif silence.system != CRD_CODES or silence.code in version.reason_codes:
        yield {"coding": [{"system": silence.system, "code": silence.code}], **words}
    else:
        phrase = version.reason_phrases.get(silence.code)
        if phrase is not None:
            yield {"text": phrase}
        yield words


# -- a determination --------------------------------------------------------------------------------------


def _determined(determination: Determination, manner: Manner) -> Iterator[Extension]:
    version = manner.version
    yield {"url": "covered", "valueCode": determination.covered}
    codes = {determination.covered}
    # crd-ci-q2: beside not-covered nothing of authorization, or, as 2.0.1 has it, what is true of it
    if version.pa_needed_always or determination.covered != "not-covered":
        codes.add(determination.pa_needed)
        yield {"url": "pa-needed", "valueCode": determination.pa_needed}
    docs = _doc_needed(determination, manner)
    for code in docs:
        yield {"url": "doc-needed", "valueCode": code}
    purposes = [one for one in determination.doc_purpose if docs and one not in version.purposes_kept_back]
    for code in purposes:
        yield {"url": "doc-purpose", "valueCode": code}
    # crd-ci-q3: info-needed where, and only where, something is conditional
    info_needed = (determination.info_needed or ("OTH",)) if "conditional" in codes else ()
    as_reason = "detail-code" in info_needed and not version.detail_code_asked
    if as_reason:
        info_needed = tuple(dict.fromkeys("OTH" if one == "detail-code" else one for one in info_needed))
    for code in info_needed:
        yield {"url": "info-needed", "valueCode": code}
    # crd-ci-q6, q8: OTH, and a purpose, are explained in a reason
    texts = determination.reason or ((determination.rule_title,) if info_needed or purposes else ())
    for n, text in enumerate(texts):
        yield {"url": "reason", "valueCodeableConcept": _reason(determination, text, as_reason and n == 0, version)}
    # only a verified address of the payer's document goes out
    if determination.source_url is not None and version.detail_url:
        yield _detail("cat-other", "policy-link", {"valueUrl": determination.source_url}, version)
    # crd-ci-q1: a questionnaire only where documentation is needed
    if determination.questionnaire is not None and docs:
        yield {"url": "questionnaire", "valueCanonical": determination.questionnaire}


def _reason(determination: Determination, text: str, asks_detail: bool, version: CrdVersion) -> dict[str, Any]:
    """A reason with its coding, if the version knows it: CRD's own codes came one by one, those of others are free."""
    coding = determination.reason_codings.get(text)
    if asks_detail:
        coding = ReasonCoding(CRD_CODES, "detail-code")
    if coding is None or (coding.system == CRD_CODES and coding.code not in version.reason_codes):
        return {"text": text}
    return {"coding": [coding._asdict()], "text": text}


def _doc_needed(determination: Determination, manner: Manner) -> tuple[str, ...]:
    if not manner.asks:
        return ()
    together = manner.version.doc_needed_together
    return (together,) if together is not None and len(determination.doc_needed) > 1 else determination.doc_needed


def _detail(category: str, code: str, value: Extension, version: CrdVersion) -> Extension:
    parts: list[Extension] = [{"url": "category", "valueCode": category}] if version.detail_category else []
    coding = {"system": version.detail_codes, "code": code}
    parts += [{"url": "code", "valueCodeableConcept": {"coding": [coding]}}, {"url": "value", **value}]
    return {"url": "detail", "extension": parts}


def _bounds(statement: Statement, determination: Determination, version: CrdVersion) -> Iterator[Extension]:
    """What the assertion hangs on, how long it holds, by which authorization it is satisfied, and whom to ask."""
    for reference in _other_orders(determination, statement.line.reference):
        yield {"url": "dependency", "valueReference": {"reference": reference}}
    # crd-ci-q5: the id of an authorization exactly where that is what satisfies
    if determination.pa_needed == "satisfied" and determination.satisfied_pa_id is not None:
        yield {"url": "satisfied-pa-id", "valueString": determination.satisfied_pa_id}
        # resp-30: what bounds the assertion is part of it
        if determination.satisfied_period is not None:
            start, end = (day.isoformat() for day in determination.satisfied_period)
            yield _detail("cat-limitation", "allowed-period", {"valuePeriod": {"start": start, "end": end}}, version)
    for contact in determination.contact:
        yield from _contacts(contact, version)
    ends = [statement.coverage.until, determination.satisfied_period[1] if determination.satisfied_period else None]
    known = [one for one in ends if one is not None]
    if known and version.expiry_date:
        yield {"url": "expiry-date", "valueDate": min(known).isoformat()}


def _other_orders(determination: Determination, own: str) -> list[str]:
    """The other orders that decided something: should one of them change, another answer may be right."""
    behind = [one.evidence for one in determination.criteria if one.status in (Status.MET, Status.NOT_MET)]
    behind += [one.evidence for one in determination.exclusions]
    behind += [one.evidence for one in determination.documents]
    found = dict.fromkeys(item.reference for evidence in behind for item in evidence)
    return [one for one in found if one != own and one.partition("/")[0] in ORDER_TYPES]


def _contacts(contact: Mapping[str, Any], version: CrdVersion) -> Iterator[Extension]:
    """A ContactDetail, or each way of contact in it where the version knows no names."""
    if version.contact == "ContactDetail":
        yield {"url": "contact", "valueContactDetail": dict(contact)}
    else:
        for point in contact.get("telecom", ()):
            yield {"url": "contact", "valueContactPoint": dict(point)}


# -- what was said before ---------------------------------------------------------------------------------


def is_of_coverage(extension: object, coverage: Mapping[str, Any]) -> bool:
    """Whether an extension of an order is coverage-information about this coverage (a Reference)."""
    if not isinstance(extension, dict) or extension.get("url") != URL:
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
        if isinstance(part, dict) and part.get("url") == url:
            return part.get(value)
    return None
