"""An adaptive response -> the same with the next questions, or completed: SDC and DTR `$next-question`. Pure.

First the clinical questions, as dtr/adaptive.py chooses them; then, announced by what the form displays, what is no
question of the policy's: papers that are lacking, an attestation (DTR, spec-39). Answers stay as they were sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cds_service.dtr.adaptive import Inquiry, Question
from cds_service.dtr.asked_form import Put, contained, part_of, put_before
from cds_service.dtr.dialects import Dialect
from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.problem import Problem
from cds_service.fhir.record import Record
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, reference_key
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.context import Context
from cds_service.policy.form import EnabledBy, Form, FormItem
from cds_service.policy.model import Answer, Determination, Situation
from cds_service.policy.order_line import read_order_line
from cds_service.policy.plan import Policy
from cds_service.policy.response_items import Answered, read_items
from cds_service.policy.responses import answer_value, context_of, questionnaire_named

# 2.0.1 (SDC), 2.1 (two spellings) and 2.2 name the one parameter in their own ways
PARAMETERS = ("questionnaire-response", "questionnaire-response-in", "in")
_OPEN = ("in-progress", "completed")


@dataclass(frozen=True, slots=True)
class Asked:
    """A sound call: the response so far, the policy behind its form, what was put and what was answered."""

    response: Mapping[str, Any]
    policy: Policy
    form: Form
    put: Mapping[str, Put]
    answers: Mapping[str, Answer]
    codes: Mapping[str, str]  # of every choice that was answered
    passed: frozenset[str]  # put, and left empty
    context: str | None  # the assertion id that the response bears


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to send back. `determination`: what its answers come to, where the order is known."""

    response: Mapping[str, Any]
    done: bool
    determination: Determination | None


def response_in(body: Any) -> Mapping[str, Any] | Problem:
    """The QuestionnaireResponse of a call: the body itself, or the one parameter."""
    if not isinstance(body, Mapping):
        return _fault("body", "is no FHIR resource", "send a QuestionnaireResponse, or Parameters with one")
    if body.get("resourceType") != "Parameters":
        return body
    held = [one for one in objects_in(body.get("parameter")) if one.get("name") in PARAMETERS]
    resources = [one["resource"] for one in held if isinstance(one.get("resource"), Mapping)]
    if len(resources) != 1:
        return _fault(
            "Parameters.parameter",
            f"{len(resources)} parameters hold a response to continue",
            f"send one parameter named {' or '.join(PARAMETERS)} with the QuestionnaireResponse as its resource",
        )
    found: Mapping[str, Any] = resources[0]
    return found


# -- reading it


def read_asked(response: Mapping[str, Any], catalogue: Catalogue) -> Asked | list[Problem]:
    """What a response says so far, held against the questionnaire that it contains; or every fault in it."""
    if response.get("resourceType") != "QuestionnaireResponse":
        return [_fault("resourceType", "is not QuestionnaireResponse", "send a QuestionnaireResponse")]
    found = _policy_of(response, catalogue)
    if isinstance(found, Problem):
        return [found]
    policy, form, held = found
    put, unknown = put_before(held, form)
    faults = [*_head_faults(response), *_unknown_items(unknown, form), *_rings(put, form)]
    if faults:
        return faults
    part = part_of(form, put)
    answered, wrong = read_items(response.get("item"), part, None)
    faults += wrong
    authored = parse_date(response["authored"]) if isinstance(response.get("authored"), str) else None
    if "authored" in response and authored is None:
        faults.append(_fault("authored", "is no dateTime", "send the instant at which it was last changed", "value"))
    if faults:
        return faults
    codes = dict(_codes(answered))
    values = {name: answer_value(one) for name, one in answered.items() if not name.startswith("form.")}
    answers = {name: Answer(value) for name, value in values.items() if value is not None}
    return Asked(
        response=response,
        policy=policy,
        form=form,
        put=put,
        answers=answers,
        codes=codes,
        passed=frozenset(_left_empty(part, put, codes)),
        context=context_of(response),
    )


def _policy_of(response: Mapping[str, Any], catalogue: Catalogue) -> tuple[Policy, Form, Mapping[str, Any]] | Problem:
    held = [one for one in objects_in(response.get("contained")) if one.get("resourceType") == "Questionnaire"]
    if len(held) > 1:
        return _fault("contained", "holds several Questionnaires", "send the one that was sent back last")
    named = questionnaire_named(response)
    canonical = response.get("questionnaire")
    local = isinstance(canonical, str) and canonical.startswith("#")
    if local and (not held or held[0].get("id") != str(canonical)[1:]):
        return _fault("questionnaire", "is contained under no such id", "send the contained Questionnaire along")
    if named is None:
        what = "does not say which form it is"
        return _fault("questionnaire", what, "derive the contained Questionnaire from the packaged one (derivedFrom)")
    policy = catalogue.by_form(named.url, named.version)
    if policy is None or policy.form is None or policy.id in catalogue.disabled:
        where = "contained.derivedFrom" if local else "questionnaire"
        fix = "take url and version from coverage-information or from a questionnaire package"
        return Problem("not-supported", where, "no such form is held in this version", fix, "not-found")
    return policy, policy.form, held[0] if held else {}


def _head_faults(response: Mapping[str, Any]) -> Iterator[Problem]:
    for element in ("modifierExtension", "implicitRules"):
        if element in response:
            yield _fault(
                element, "is not understood here", "leave it out: it could turn the answers round", "extension"
            )
    if response.get("status") not in _OPEN:
        yield _fault("status", "this response is not being filled in", "send it in-progress", "business-rule")


def _unknown_items(unknown: Sequence[str], form: Form) -> Iterator[Problem]:
    for link in unknown:
        where = f"contained.item (linkId '{link}')" if link.isprintable() else "contained.item"
        yield _fault(where, f"{form.canonical} has no such item", "send the Questionnaire as it came", "not-found")


def _rings(put: Mapping[str, Put], form: Form) -> Iterator[Problem]:
    """Questions of a contained Questionnaire that hang, directly or over others, on their own answer."""
    left = {name: {*_above(name, form), *(one.question for one in put[name].enabled_by)} & put.keys() for name in put}
    while free := {name for name, gates in left.items() if not gates}:
        left = {name: gates - free for name, gates in left.items() if name not in free}
    for name in left:
        fix = "send the Questionnaire as it came"
        yield _fault(f"contained.item (linkId '{name}')", "hangs on its own answer by enableWhen", fix, "invariant")


def _above(name: str, form: Form) -> Iterator[str]:
    """What an item stands under."""
    parent = form.items[name].parent
    while parent is not None:
        yield parent
        parent = form.items[parent].parent


def _codes(answered: Mapping[str, Answered]) -> Iterator[tuple[str, str]]:
    for name, one in answered.items():
        if len(one.values) == 1 and one.values[0][0] == "valueCoding":
            yield name, str(one.values[0][1]["code"])


def _left_empty(part: Form, put: Mapping[str, Put], codes: Mapping[str, str]) -> Iterator[str]:
    """What was shown and not answered. What hangs on an answer that was not given was not shown."""
    for name, item in part.items.items():
        if name in put and name not in codes and item.asks:
            held = [codes.get(one.question) == one.answer.code for one in item.enabled_by]
            if not held or (any(held) if item.any_of else all(held)):
                yield name


# -- going on


def bare_situation(asked_at: datetime) -> Situation:
    """Where no context is known: an order of which nothing is known, so that answers alone decide."""
    day = asked_at.date()
    record = Record.build((), "unknown")
    line = read_order_line({"resourceType": "ServiceRequest", "id": "unknown"}, 0, record, day)
    return Situation(record, line, day, day, asked_at)


def go_on(asked: Asked, situation: Situation | None, asked_at: datetime, dialect: Dialect, base_url: str) -> Reply:
    """The response with what comes next. `situation` is that of the kept context; None: none is known."""
    bare = situation is None
    inquiry = Inquiry(asked.policy, asked.form, situation or bare_situation(asked_at), bare=bare)
    answers = _authored(asked, asked_at)
    questions = inquiry.next(answers, asked.passed, together=dialect.enable_when)
    judged = inquiry.judged(answers)
    determination = judged.determination if judged is not None else None
    put = dict(asked.put)
    done = False
    if questions:
        put |= _newly_put(questions, asked.form)
    else:
        last = [name for name in _at_last(asked, determination, bare) if name not in put]
        done = not any(asked.form.items[name].asks for name in last)
        put |= dict.fromkeys(last, Put())
    put = {name: put[name] for name in asked.form.items if name in put}
    return Reply(_response(asked, put, done, asked_at, dialect, base_url), done, determination)


def _authored(asked: Asked, asked_at: datetime) -> dict[str, Answer]:
    text = asked.response.get("authored")
    try:
        authored = datetime.fromisoformat(text) if isinstance(text, str) else asked_at
    except ValueError:
        authored = asked_at
    if authored.tzinfo is None:  # a day alone
        authored = authored.replace(tzinfo=asked_at.tzinfo)
    return {name: replace(one, authored=authored) for name, one in asked.answers.items()}


def _newly_put(questions: Sequence[Question], form: Form) -> Iterator[tuple[str, Put]]:
    for one in questions:
        item = form.items[one.link_id]
        if one.after is None:
            yield one.link_id, Put(item.enabled_by, item.any_of or len({by.question for by in item.enabled_by}) == 1)
        else:
            yield one.link_id, Put((EnabledBy(*one.after),))


def _at_last(asked: Asked, determination: Determination | None, bare: bool) -> Iterator[str]:
    """What stands behind the clinical questions: the form's own items, and papers that are lacking."""
    lacking = {
        one.id
        for one in (determination.documents if determination is not None else ())
        if one.counts and one.status not in ("on-file", "not-applicable")
    }
    papers = asked.policy.documents if bare else lacking
    for name, item in asked.form.items.items():
        if name.startswith("form."):
            above = asked.form.items.get(item.parent) if item.parent is not None else None
            wanted = item.asks or above is None or above.link_id.startswith("form.")
        else:
            wanted = item.asks and any(name == one or name.startswith(f"{one}.") for one in papers)
        if wanted and item.type != "group" and not _answered_otherwise(item, asked.codes):
            yield name


def _answered_otherwise(item: FormItem, codes: Mapping[str, str]) -> bool:
    """Whether what an item hangs on was answered, and so that it is not wanted."""
    held = [codes[one.question] == one.answer.code for one in item.enabled_by if one.question in codes]
    return bool(held) and not any(held)


def _response(
    asked: Asked, put: Mapping[str, Put], done: bool, asked_at: datetime, dialect: Dialect, base_url: str
) -> dict[str, Any]:
    response = asked.response
    held = [one for one in objects_in(response.get("contained")) if one.get("resourceType") != "Questionnaire"]
    canonical = str(response.get("questionnaire"))
    identity = canonical[1:] if canonical.startswith("#") else str(asked.form.resource.get("id", "form"))
    questionnaire = contained(asked.form, put, identity, base_url, dialect, asked.context, asked.codes)
    found = dict(response)
    found["contained"] = [questionnaire, *held]
    found["questionnaire"] = f"#{identity}"
    found["status"] = "completed" if done else "in-progress"
    found.setdefault("authored", asked_at.isoformat(timespec="seconds"))
    return found


def _fault(where: str, what: str, fix: str, code: str | None = None) -> Problem:
    return Problem("invalid", where, what, fix, code)


def with_information(reply: Reply, information: Mapping[str, Any]) -> Reply:
    """The response with what its answers come to (spec-33); what it bore of an earlier run is replaced (spec-45)."""
    others = [one for one in objects_in(reply.response.get("extension")) if one.get("url") != information["url"]]
    return replace(reply, response={**reply.response, "extension": [*others, information]})


# -- whose it is


def whose_fault(asked: Asked, kept: Context | None) -> Problem | None:
    """What keeps a response from being answered from what was kept under its context; None where nothing does."""
    if kept is None:
        fix = "sign the order again, or ask for the form anew: a context is kept for a while only"
        return Problem("not-found", "context", "nothing is kept under this id for this form", fix)
    if kept.policy != asked.policy.canonical:
        return _fault("context", "was kept for another version of the policy", "ask for the form anew")
    subject = literal_reference(asked.response.get("subject"))
    if subject is None:
        return _fault("subject", "does not say whose response it is", "name the patient", "required")
    if reference_key(subject, kept.situation.get("base")) != kept.subject:
        return _fault("subject", "is another patient than the context is about", "send that patient's response")
    return None


def time_fault(asked: Asked, latest: datetime) -> Problem | None:
    """Answers of a day to come would be newer than anything that the chart holds. `latest`: now, give or take."""
    text = asked.response.get("authored")
    authored = parse_date(text) if isinstance(text, str) else None
    if authored is None or FhirDate.of_moment(latest).compare(authored) != -1:
        return None
    return _fault("authored", "lies in the future", "send the instant at which it was last changed", "value")


def out_parameter(document: Mapping[str, Any]) -> str:
    """The name that goes with the one of the input: 2.1 has two pairs of its own."""
    names = [one.get("name") for one in objects_in(document.get("parameter"))]
    if "questionnaire-response-in" in names:
        return "questionnaire-response-out"
    return "out" if "in" in names else "return"
