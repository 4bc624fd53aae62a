"""The draft QuestionnaireResponse of a package: whose it is, what it is for, and what is known already. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cds_service.dtr.dialects import ADAPTIVE_RESPONSE, INTENDED_USE, QR_CONTEXT, QUESTIONNAIRE_RESPONSE, Dialect
from cds_service.dtr.populate import populate
from cds_service.policy.form import Form
from cds_service.policy.model import Determination

_NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
# CRD, DocReason
_PURPOSES = {
    "withpa": "Include in prior authorization",
    "withclaim": "Include with claim",
    "withorder": "Include with order",
    "retain-doc": "Medical necessity",
}


@dataclass(frozen=True, slots=True)
class About:
    """What a response is about. References are as the EHR knows its own resources, never ours (DTR 2.2, spec-139)."""

    subject: str | None
    coverages: tuple[Mapping[str, Any], ...]
    order: str | None
    purposes: tuple[str, ...]


def draft_response(
    form: Form, about: About, determination: Determination | None, dialect: Dialect, moment: datetime, asks: bool = True
) -> dict[str, Any]:
    """A response in progress to `form`, filled as far as the determination decides. One to an adaptive form, which
    `asks` nothing by itself, is empty: its questions are still to come."""
    extensions: list[dict[str, Any]] = []
    if about.order is not None:
        extensions.append({"url": QR_CONTEXT, "valueReference": {"reference": about.order}})
    extensions += [{"url": dialect.coverage_extension, "valueReference": dict(one)} for one in about.coverages]
    extensions += [{"url": INTENDED_USE, "valueCodeableConcept": one} for one in _uses(about, determination, dialect)]
    found: dict[str, Any] = {
        "resourceType": "QuestionnaireResponse",
        "meta": {"profile": [QUESTIONNAIRE_RESPONSE if asks else ADAPTIVE_RESPONSE]},
        "extension": extensions,
        "questionnaire": form.canonical,
        "status": "in-progress",
    }
    if about.subject is not None:
        found["subject"] = {"reference": about.subject}
    found["authored"] = moment.isoformat(timespec="seconds")
    items = populate(form, determination, dialect) if asks else []
    return {**found, "item": items} if items else found


def _uses(about: About, determination: Determination | None, dialect: Dialect) -> list[dict[str, Any]]:
    purposes = [one for one in about.purposes if one in _PURPOSES]
    if not purposes and determination is not None and determination.pa_needed in ("auth-needed", "performpa"):
        purposes = ["withpa"]
    if not purposes:
        return [{"coding": [{"system": _NULL_FLAVOR, "code": "OTH", "display": "other"}]}]
    return [{"coding": [{"system": dialect.purposes, "code": one, "display": _PURPOSES[one]}]} for one in purposes]
