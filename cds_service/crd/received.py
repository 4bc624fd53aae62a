"""A response that is sent in: bytes -> what is to be stored, or every fault in it; and what is answered. Pure.

It is stored whole once it is valid, or not at all. Its context is a coverage-assertion-id that went out from here: of
this patient, this questionnaire, this order and this coverage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal, Protocol

import orjson

from cds_service.crd.determination_json import determination_json
from cds_service.crd.kept_context import coverage_of, order_of, situated
from cds_service.crd.memory import LONGEST_ID, patient_digest
from cds_service.crd.responses import SKEW, StoredResponse
from cds_service.fhir.addresses import is_id
from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.json_body import read_json
from cds_service.fhir.problem import Problem
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, reference_key
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.context import Context
from cds_service.policy.determination import determine
from cds_service.policy.plan import Policy
from cds_service.policy.responses import (
    UNTOLD,
    WITHDRAWN,
    Response,
    authored_of,
    context_of,
    questionnaire_named,
    read_response,
)

KIND = "QuestionnaireResponse"
Resource = Mapping[str, Any]


class HoldsForms(Protocol):
    """What is read of a catalogue."""

    @property
    def disabled(self) -> frozenset[str]: ...

    def by_form(self, url: str, version: str | None = None) -> Policy | None: ...

    def holds_on(self, policy: Policy, on: date) -> bool: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """A response as it was sent: itself, its text, and the assertion id that it came with."""

    resource: Resource
    text: bytes
    context: str | None


@dataclass(frozen=True, slots=True)
class ToStore:
    """What is kept of a valid response. `digest` is that of its content, without what servers add to a copy."""

    id: str
    patient: str  # a digest
    questionnaire: str  # url|version
    status: str
    authored: str
    context: str | None
    order: str | None
    digest: str
    text: bytes
    names: frozenset[str] = frozenset()  # the orders that it says itself it is about; not kept beside it

    @property
    def reference(self) -> str:
        return f"{KIND}/{self.id}"


# What becomes of it: stored, in place of an older one, there already, withdrawn; or refused
Fate = Literal["created", "replaced", "same", "withdrawn"]


def parse_sent(body: bytes, context: str | None) -> Sent | Problem:
    """The response of a body: bare, or first in a collection Bundle (DTR, dtrb-2). `context` as the address says it."""
    document = read_json(body)
    if isinstance(document, Problem):
        return document
    resource, text = document, body
    if document.get("resourceType") == "Bundle":
        entries = objects_in(document.get("entry"))
        first = entries[0].get("resource") if entries else None
        resource = first if isinstance(first, dict) else {}
        if any(isinstance(one, dict) and one.get("resourceType") == KIND for one in map(_resource_of, entries[1:])):
            fix = "send each in a call of its own"
            return Problem("invalid", "entry", f"holds more than one {KIND}", fix, "business-rule")
        text = orjson.dumps(resource)
    if resource.get("resourceType") != KIND:
        fix = f"send a {KIND}, or a Bundle whose first entry is one"
        return Problem("invalid", "resourceType", f"not a {KIND}", fix, "structure")
    identity = resource.get("id")
    if identity is not None and not is_id(identity):
        return Problem("invalid", "id", "no id as FHIR has it", "letters, digits, - and ., at most 64", "value")
    stated = context or context_of(resource)
    if stated is not None and len(stated) > LONGEST_ID:
        return Problem("invalid", "context", "longer than any that is given here", "send it as it went out", "value")
    if context is not None and context_of(resource) not in (None, context):
        what = "differs from the coverage-assertion-id that the response bears"
        return Problem("invalid", "context", what, "send one of them", "conflict")
    return Sent(resource, text, stated)


def _resource_of(entry: Mapping[str, Any]) -> Any:
    return entry.get("resource")


def policy_of(sent: Sent, catalogue: HoldsForms) -> Policy | Problem:
    """The policy whose form a response answers, in the version that it names."""
    named = questionnaire_named(sent.resource)
    if named is None:
        fix = "name the questionnaire that it answers, as url|version"
        return Problem("invalid", "questionnaire", "missing, or not to be read", fix, "required")
    newest = catalogue.by_form(named.url)
    if newest is None or newest.form is None or newest.id in catalogue.disabled:
        fix = "send responses to the questionnaires that this service named"
        return Problem("not-supported", "questionnaire", "no questionnaire of this service", fix, "not-found")
    policy = catalogue.by_form(named.url, named.version) if named.version is not None else None
    if policy is None:
        what = "names no version that is held here" if named.version is not None else "names no version"
        fix = f"the newest is {newest.form.canonical}: fetch it, and answer it"
        return Problem("not-supported", "questionnaire", what, fix, "not-found")
    return policy


def checked(
    sent: Sent,
    policy: Policy,
    contexts: Sequence[Context],
    catalogue: HoldsForms,
    asked_at: datetime,
    new_id: Callable[[], str],
    keeps_contexts: bool = True,
) -> ToStore | list[Problem]:
    """What is to be stored of a response, or all that is wrong with it. `contexts` are those under its assertion id.

    `keeps_contexts`: whether any is kept here. Where none is, an assertion id is what the response says, and no more.
    """
    form = policy.form
    assert form is not None
    context = next((one for one in contexts if one.questionnaire == form.canonical), None)
    if sent.context is not None and context is None and keeps_contexts:
        return [_no_context(bool(contexts))]
    base = context.situation.get("base") if context is not None else _base_of(sent.resource)
    patient = context.subject if context is not None else _subject_key(sent.resource)
    if sent.resource.get("status") == WITHDRAWN:
        return _withdrawal(sent, form.canonical, context, patient, base)
    found = read_response(sent.resource, form, patient=patient or "Patient/", base=base, latest=asked_at + SKEW)
    order_date = date.fromisoformat(context.situation["orderDate"]) if context is not None else None
    faults = list(found) if not isinstance(found, Response) else _strangers(found, context, base)
    authored = authored_of(sent.resource)
    if authored is not None and _has_expired(policy, catalogue, authored, order_date):
        what = "this version of the questionnaire is no longer, or not yet, in force"
        fix = "fetch the questionnaire again for this order, and answer that"
        faults.append(Problem("not-supported", "questionnaire", what, fix, "expired"))
    if faults:
        return faults
    kept = _to_store(sent, form.canonical, context, patient or "", base, new_id)
    return replace(kept, names=found.orders - {UNTOLD}) if isinstance(found, Response) else kept


def _no_context(known: bool) -> Problem:
    what = "was given for another questionnaire" if known else "is not known here, or its time is over"
    fix = "send the coverage-assertion-id of the answer that named this questionnaire, or none; or sign the order again"
    return Problem("not-supported", "context", f"the coverage-assertion-id {what}", fix, "not-found")


def _strangers(found: Response, context: Context | None, base: str | None) -> list[Problem]:
    """What a response says it is about, against what its assertion id was given for."""
    if context is None:
        return []
    faults = []
    order, coverage = order_of(context), reference_key(literal_reference(context.coverage), base)
    if found.orders - {UNTOLD} and order not in found.orders:
        fix = "send the response under the assertion id of the order that it is about"
        faults.append(Problem("invalid", "extension", "is about another order than its context", fix, "conflict"))
    if found.coverages and coverage is not None and coverage not in found.coverages:
        fix = "send the response under the assertion id of the coverage that it is about"
        faults.append(Problem("invalid", "extension", "is about another coverage than its context", fix, "conflict"))
    return faults


def _has_expired(policy: Policy, catalogue: HoldsForms, authored: FhirDate, order_date: date | None) -> bool:
    """Whether the version was out of force when it was answered, and for its order too (the order date chooses it)."""
    assert policy.form is not None
    stated = policy.form.resource.get("effectivePeriod", {}).get("end")
    end = parse_date(stated) if isinstance(stated, str) else None
    if end is not None and authored.first_day > end.last_day:
        return order_date is None or order_date > end.last_day
    return not any(catalogue.holds_on(policy, day) for day in (authored.first_day, order_date) if day is not None)


def _withdrawal(
    sent: Sent, canonical: str, context: Context | None, patient: str | None, base: str | None
) -> ToStore | list[Problem]:
    subject = literal_reference(sent.resource.get("subject"))
    if patient is None or reference_key(subject, base) != patient:
        what, fix = "does not name the patient whose response it was", "name the patient"
        return [Problem("invalid", "subject", what, fix, "business-rule")]
    if sent.resource.get("id") is None:
        what, fix = "missing", "withdraw a response by the id under which it was sent"
        return [Problem("invalid", "id", what, fix, "required")]
    return _to_store(sent, canonical, context, patient, base, lambda: "")


def _to_store(
    sent: Sent, canonical: str, context: Context | None, patient: str, base: str | None, new_id: Callable[[], str]
) -> ToStore:
    identity = sent.resource.get("id")
    text = sent.text
    if identity is None:
        identity = new_id()
        text = orjson.dumps({"resourceType": KIND, "id": identity, **sent.resource})
    return ToStore(
        id=identity,
        patient=context.patient if context is not None else patient_digest(base, patient.removeprefix("Patient/")),
        questionnaire=canonical,
        status=str(sent.resource.get("status")),
        authored=str(sent.resource.get("authored", "")),
        context=context.id if context is not None else sent.context,
        order=order_of(context) if context is not None else None,
        digest=_digest(sent.resource),
        text=text,
    )


def fate_of(new: ToStore, held: ToStore | None) -> Fate | Problem:
    """What becomes of a response where `held` is here under its id, or with its content."""
    if held is not None and held.questionnaire != new.questionnaire:
        what = f"is held here as the answer to another questionnaire ({held.questionnaire})"
        fix = "send this one under an id of its own, or withdraw the other as what it is"
        return Problem("conflict", new.reference, what, fix)
    if held is not None and _is_moved(new, held):
        fix = "send it under the assertion id of its order, or under an id of its own"
        return Problem("conflict", new.reference, "is held here for another order", fix)
    if new.status == WITHDRAWN:
        if held is None:
            fix = "nothing is to be done: no answer of it counts here"
            return Problem("not-found", new.reference, "no response of this patient is held under this id", fix)
        return "same" if held.status == WITHDRAWN else "withdrawn"
    if held is None:
        return "created"
    if held.digest == new.digest and held.status == new.status:
        return "same"
    ours, theirs = parse_date(held.authored), parse_date(new.authored)
    order = theirs.compare(ours) if ours is not None and theirs is not None else None
    amends = new.status == "amended" and held.status != WITHDRAWN and order != -1
    if order == 1 or amends:
        return "replaced"
    what = "was withdrawn" if held.status == WITHDRAWN else "is held here in another version that is not older"
    fix = "send it as amended, with the instant of the amendment in authored, or under an id of its own"
    return Problem("conflict", new.reference, what, fix)


def _is_moved(new: ToStore, held: ToStore) -> bool:
    """Whether it comes without its context, and names other orders than the one that it is held for."""
    return new.context is None and held.order is not None and bool(new.names) and held.order not in new.names


def in_place_of(new: ToStore, held: ToStore) -> ToStore:
    """A response as it takes the place of an older one: still for the order that it was held for, where it comes
    without its context. Silence makes no answer count for more than it did."""
    if new.context is not None or held.context is None:
        return new
    return replace(new, context=held.context, order=held.order)


def answer_of(
    sent: Sent,
    stored: ToStore,
    context: Context | None,
    policy: Policy | None,
    responses: Sequence[StoredResponse],
    asked_at: datetime,
    business_hours: BusinessHours,
    keeps_contexts: bool = True,
) -> bytes:
    """The Parameters that are answered: the response as it is stored, and the determination that comes of it.

    `responses` are all that are held of the patient; `policy` is the one that the context was of.
    """
    parameters: list[dict[str, Any]] = [{"name": "response", "resource": orjson.Fragment(stored.text)}]
    if context is None and not keeps_contexts:
        why = "no context is kept here (CDS_DTR_CONTEXT_DAYS is 0): sign the order again, and the answers are judged"
    elif context is None:
        why = "no context was named: send the coverage-assertion-id of the order's answer as ?context=..."
    elif policy is None:
        why = "the policy of this context is no longer answered from"
    else:
        said = _determination(context, policy, responses, asked_at, business_hours)
        if said is not None:
            parameters.append({"name": "determination", "valueString": said})
            return _parameters(parameters)
        why = "the policy no longer speaks of this order"
    issues = [_issue("information", "informational", f"determination: left out; {why}")]
    if stored.context is None and stored.status != WITHDRAWN and _base_of(sent.resource) is None:
        what = "subject: names no server, and no context was named, so no call will find these answers"
        fix = "name the patient with the server (https://.../Patient/...), or send the coverage-assertion-id"
        issues.append(_issue("warning", "incomplete", f"{what}; {fix}"))
    parameters.append({"name": "outcome", "resource": {"resourceType": "OperationOutcome", "issue": issues}})
    return _parameters(parameters)


def _issue(severity: str, code: str, text: str) -> dict[str, Any]:
    return {"severity": severity, "code": code, "details": {"text": text}}


def _determination(
    context: Context,
    policy: Policy,
    responses: Sequence[StoredResponse],
    asked_at: datetime,
    business_hours: BusinessHours,
) -> str | None:
    determination = determine(policy, situated(context, policy, responses, asked_at, business_hours))
    if determination is None:
        return None
    return orjson.dumps(determination_json(determination, order_of(context), coverage_of(context))).decode()


def _parameters(parameters: Iterable[dict[str, Any]]) -> bytes:
    return orjson.dumps({"resourceType": "Parameters", "parameter": list(parameters)})


# -- whose it is


def _subject_key(resource: Resource) -> str | None:
    """`Patient/id` of the patient that a response names; None where it names none."""
    text = literal_reference(resource.get("subject"))
    key = reference_key(text) if text is not None else None
    return key if key is not None and key.startswith("Patient/") else None


def _base_of(resource: Resource) -> str | None:
    """The server of the patient, where it is named absolutely."""
    text, key = literal_reference(resource.get("subject")), _subject_key(resource)
    if text is None or key is None or "://" not in text:
        return None
    return text[: text.index(f"/{key}")]


def _digest(resource: Resource) -> str:
    said = {name: value for name, value in resource.items() if name not in ("id", "meta", "text")}
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
