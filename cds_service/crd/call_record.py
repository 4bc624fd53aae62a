"""A call and its answer -> what is kept of them for disputes: what was said, as codes, and digests. Pure.

CRD, found-37: calls and their answers are logged. Neither body is kept: whoever brings one can be told by its digest
whether it is the one, and what was said is here without it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from cds_service.crd.hook_request import HookRequest
from cds_service.crd.memory import LONGEST_ID, patient_digest
from cds_service.crd.statements import Statement

# CDS Hooks 2.0: a UUID. What is anything else is a caller's own text, and not kept
_INSTANCE = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call of a hook. `patient` is a digest, "" where the call could not be read; `said` is JSON."""

    hook_instance: str
    crd_version: str
    status: int
    patient: str
    request_digest: str
    answer_digest: str
    said: str


def call_record(
    body: bytes, sent: bytes, status: int, request: HookRequest | None, statements: tuple[Statement, ...] = ()
) -> CallRecord:
    """What is kept of a call with this body, answered with these bytes."""
    said = orjson.dumps([one for statement in statements for one in _said(statement)]).decode()
    digests = (hashlib.sha256(body).hexdigest(), hashlib.sha256(sent).hexdigest())
    if request is None:
        return CallRecord("", "", status, "", *digests, said)
    instance = request.hook_instance if _INSTANCE.fullmatch(request.hook_instance) else ""
    patient = patient_digest(request.fhir_server, request.patient_id)
    return CallRecord(instance, request.crd_version.name, status, patient, *digests, said)


def _said(statement: Statement) -> Iterator[dict[str, Any]]:
    """Codes, rules and versions; no words of the answer, which may quote the chart."""
    identity = statement.assertion_id if len(statement.assertion_id) <= LONGEST_ID else ""
    silence = statement.silence
    if silence is not None:
        yield {"assertion": identity, "covered": silence.covered, "reason": silence.code or ""}
    for one in statement.determinations:
        yield {
            "assertion": identity,
            "policy": one.policy,
            "code": one.code,
            "covered": one.covered,
            "paNeeded": one.pa_needed,
            "infoNeeded": list(one.info_needed),
            "docNeeded": list(one.doc_needed),
            "rule": one.authorization_rule,
            "satisfiedPaId": one.satisfied_pa_id or "",
            "criteria": {verdict.id: verdict.status.value for verdict in one.criteria},
        }
