"""A determination as JSON: one member of a card's `cds-service.determinations`. Renders what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cds_service.policy.model import Determination, DocumentVerdict, Evidence, ExclusionVerdict, Verdict


def determination_json(determination: Determination, order: str, coverage: str) -> dict[str, Any]:
    """The member for an order line and a coverage (their references). What holds nothing is left out.

    Source: the project's own contract; ids are those of the policy.
    """
    return _filled(
        order=order,
        coverage=coverage,
        policy=determination.policy,
        code=determination.code,
        onDate=determination.on_date.isoformat(),
        covered=determination.covered,
        paNeeded=determination.pa_needed,
        infoNeeded=list(determination.info_needed),
        docNeeded=list(determination.doc_needed),
        reason=" ".join(determination.reason),
        authorizationRule=determination.authorization_rule,
        criteria=[_criterion(one) for one in determination.criteria],
        exclusions=[_exclusion(one) for one in determination.exclusions],
        documents=[_document(one) for one in determination.documents],
        questionnaire=determination.questionnaire,
    )


def _criterion(verdict: Verdict) -> dict[str, Any]:
    member: dict[str, Any] = {"id": verdict.id}
    if verdict.parent is not None:
        member["parent"] = verdict.parent
    member["status"] = str(verdict.status)
    _add_why(member, verdict.reason, verdict.evidence)
    if verdict.candidates:
        member["candidates"] = _evidence(verdict.candidates)
    if verdict.conflicts:
        member["conflicts"] = _evidence(verdict.conflicts)
    if verdict.asked:
        member["question"] = verdict.id
    return member


def _document(document: DocumentVerdict) -> dict[str, Any]:
    member: dict[str, Any] = {"id": document.id, "status": document.status}
    _add_why(member, None if document.status == "on-file" else document.reason, document.evidence)
    return member


def _exclusion(exclusion: ExclusionVerdict) -> dict[str, Any]:
    member: dict[str, Any] = {"id": exclusion.id}
    _add_why(member, exclusion.reason, exclusion.evidence)
    return member


def _add_why(member: dict[str, Any], reason: str | None, evidence: Sequence[Evidence]) -> None:
    if reason:
        member["reason"] = reason
    if evidence:
        member["evidence"] = _evidence(evidence)


def _evidence(items: Sequence[Evidence]) -> list[dict[str, str]]:
    return [{"reference": one.reference, "display": one.display} for one in items]


def _filled(**members: Any) -> dict[str, Any]:
    # CDS Hooks 2.0, Use of JSON: no null, no empty string, array or object
    return {name: value for name, value in members.items() if value not in (None, "", [])}
