"""A link of a card that launches our app for questionnaires, and what it tells the app. Renders what it is given."""

from __future__ import annotations

from cds_service.crd.statements import Statement
from cds_service.fhir.addresses import in_query
from cds_service.policy.model import Determination


def launch_link(statement: Statement, determination: Determination, launch: str, alone: bool) -> dict[str, str]:
    """Source: CDS Hooks 2.0, Link (smart, appContext). The guides define no appContext for DTR: the names are those
    that HL7's reference implementations have used, and under `context` stands the coverage-assertion-id."""
    told = {
        "questionnaire": determination.questionnaire or "",
        "order": statement.line.reference,
        "coverage": statement.coverage.key,
        "context": statement.assertion_id,
    }
    label = "Answer the questions" if alone else f"Answer the questions ({determination.code})"
    context = "&".join(f"{name}={in_query(text)}" for name, text in told.items())
    return {"label": label, "url": launch, "type": "smart", "appContext": context}
