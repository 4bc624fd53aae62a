"""Statement and authorization -> what is said once it is known what is on file. Pure; looks nothing up."""

from __future__ import annotations

from dataclasses import replace

from cds_service.crd.authorizations import OnFile
from cds_service.crd.statements import Statement
from cds_service.policy.model import Determination


def asks_for_authorization(statement: Statement) -> bool:
    """Whether an authorization on file would change what is said."""
    return any(map(_asks, statement.determinations))


def _asks(determination: Determination) -> bool:
    # what is conditional stays so: an authorization does not tell who asks, or for what
    return determination.pa_needed == "auth-needed" and determination.covered != "not-covered"


def settled(statement: Statement, found: OnFile) -> Statement:
    """`satisfied` with the number of the authorization (crd-ci-q5); or, beside auth-needed, why none counts."""
    if found.authorization is None and not found.doubts:
        return statement  # as mostly: nothing is on file, and nothing there to be doubted
    said = tuple(_with(one, found) if _asks(one) else one for one in statement.determinations)
    return replace(statement, determinations=said)


def _with(determination: Determination, found: OnFile) -> Determination:
    held = found.authorization
    if held is None:
        return replace(determination, reason=(*determination.reason, *found.doubts))
    words = f"Authorization {held.id} is on file ({held.reference}): from {held.start} to {held.end}."
    words = " ".join((words, *found.unsaid))
    return replace(
        determination,
        pa_needed="satisfied",
        satisfied_pa_id=held.id,
        satisfied_period=(held.start, held.end),
        reason=(*determination.reason, words),
        # the payer has decided: it asks for nothing more
        doc_needed=(),
        questionnaire=None,
    )
