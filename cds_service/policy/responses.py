"""QuestionnaireResponse + the form it names -> a clinician's answers, or all that is wrong with it. Pure.

A response is evidence whole or not at all: with one fault in it, none of its answers counts. Nothing that was answered
is quoted in a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import Any, NamedTuple

from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.problem import Problem
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference, reference_key
from cds_service.policy.form import Form
from cds_service.policy.model import Answer
from cds_service.policy.response_items import Answered, is_document, read_items

YES_NO = "http://terminology.hl7.org/CodeSystem/v2-0136"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_PLAIN = {(YES_NO, "Y"): "yes", (YES_NO, "N"): "no", (ABSENT, "asked-unknown"): "dont-know"}

FINISHED = ("completed", "amended")
WITHDRAWN = "entered-in-error"
_STATUSES = frozenset({"in-progress", "stopped", *FINISHED, WITHDRAWN})

# DTR: what a response is about. 2.0.1 and 2.1 name order and coverage in one extension, 2.2 in two
_DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
_CONTEXTS = frozenset({f"{_DTR}qr-context", f"{_DTR}qr-coverage", f"{_DTR}context"})
_COVERAGE_INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"

# the key of an order that a response is about and names in a way that cannot be followed
UNTOLD = "an order that cannot be told"


@dataclass(frozen=True, slots=True)
class Response:
    """A finished response without a fault. `answers` by linkId: criteria, exclusions, documents and `ask.<name>`.

    `orders` and `coverages` are the keys that it says it is about; `context` is the coverage-assertion-id under which
    it was asked for. Where all three are silent it is about the patient alone.
    """

    form: Form
    reference: str | None
    authored: FhirDate
    answers: Mapping[str, Answer]
    orders: frozenset[str] = frozenset()
    coverages: frozenset[str] = frozenset()
    context: str | None = None

    def under(self, context: str | None, orders: frozenset[str]) -> Response:
        """The same response, with what its sender said beside it of what it is about."""
        return replace(self, context=context or self.context, orders=self.orders | orders)


class Named(NamedTuple):
    """The questionnaire that a response names. `adaptive` where it carries the questionnaire that it answers."""

    url: str
    version: str | None
    adaptive: bool = False


def questionnaire_named(resource: Mapping[str, Any]) -> Named | None:
    """The canonical of a response, taken apart; of an adaptive one that of the form behind it (DTR, spec-25)."""
    canonical = resource.get("questionnaire")
    adaptive = isinstance(canonical, str) and canonical.startswith("#")
    if adaptive:
        held = _contained(resource, str(canonical))
        derived = held.get("derivedFrom") if held is not None else None
        canonical = derived[0] if isinstance(derived, list) and derived else None
    if not isinstance(canonical, str) or not canonical:
        return None
    url, _, version = canonical.partition("|")
    return Named(url, version or None, adaptive)


def read_response(
    resource: Mapping[str, Any],
    form: Form,
    *,
    patient: str | None,
    base: str | None = None,
    latest: datetime | None = None,
) -> Response | list[Problem]:
    """The answers of a response, or every fault in it.

    `patient` is the key of the one whose it has to be (`Patient/1`), None where that is settled; `base` the server that
    its absolute references belong to; `latest` the instant after which nothing can have been authored yet.
    """
    faults = [*_head_faults(resource, form), *_owner_faults(resource, patient, base)]
    authored, wrong = _authored(resource, latest)
    faults += wrong
    answered, in_items = read_items(resource.get("item"), form, _asked(resource))
    faults += in_items
    if faults or authored is None:
        return faults
    reference = own_reference(resource) if isinstance(resource.get("id"), str) else None
    moment = _moment(authored)
    answers = {
        name: Answer(value, moment, reference)
        for name, one in answered.items()
        if (value := answer_value(one)) is not None and not name.startswith("form.") and is_said(one)
    }
    named = frozenset(_named(resource, base))
    return Response(
        form=form,
        reference=reference,
        authored=authored,
        answers=answers,
        orders=frozenset(one for one in named if not one.startswith("Coverage/")),
        coverages=frozenset(one for one in named if one.startswith("Coverage/")),
        context=context_of(resource),
    )


def is_unfinished(resource: Mapping[str, Any]) -> bool:
    """Whether a response was begun and not, or never, completed: it says nothing yet."""
    return resource.get("status") in ("in-progress", "stopped")


def context_of(resource: Mapping[str, Any]) -> str | None:
    """The coverage-assertion-id that a response bears in coverage-information (DTR 2.1 and 2.2)."""
    for extension in objects_in(resource.get("extension")):
        if extension.get("url") != _COVERAGE_INFORMATION:
            continue
        for part in objects_in(extension.get("extension")):
            if part.get("url") == "coverage-assertion-id" and isinstance(part.get("valueString"), str):
                return str(part["valueString"])
    return None


def authored_of(resource: Mapping[str, Any]) -> FhirDate | None:
    """When a response was authored, to the day at least; None where it does not say."""
    text = resource.get("authored")
    found = parse_date(text) if isinstance(text, str) else None
    return found if found is not None and found.first_day == found.last_day else None


# -- the head of it


def _head_faults(resource: Mapping[str, Any], form: Form) -> list[Problem]:
    found: list[Problem] = []
    if resource.get("resourceType") != "QuestionnaireResponse":
        found.append(
            _fault("resourceType", "is not QuestionnaireResponse", "send a QuestionnaireResponse", "structure")
        )
    for element in ("modifierExtension", "implicitRules"):
        if element in resource:
            fix = "leave it out: it could turn the answers round"
            found.append(_fault(element, "is not understood here", fix, "extension"))
    named = questionnaire_named(resource)
    if named is None or named.url != form.url or named.version != form.version:
        fix = f"answer {form.canonical}, and name it with its version"
        found.append(_fault("questionnaire", "names another questionnaire, or no version of it", fix, "not-found"))
    status = resource.get("status")
    if status in FINISHED:
        return found
    if is_unfinished(resource):
        found.append(_fault("status", f"the response is {status}", "complete it first, then send it", "business-rule"))
    elif status == WITHDRAWN:
        found.append(_fault("status", "the response was withdrawn", "send it completed or amended", "business-rule"))
    else:
        fix = f"send one of {', '.join(sorted(_STATUSES))}"
        found.append(_fault("status", "missing, or no status of a response", fix, "code-invalid"))
    return found


def _owner_faults(resource: Mapping[str, Any], patient: str | None, base: str | None) -> list[Problem]:
    subject = literal_reference(resource.get("subject"))
    if subject is None:
        return [_fault("subject", "does not say whose response it is", "name the patient", "required")]
    if patient is not None and reference_key(subject, base) != patient:
        return [
            _fault("subject", "is another patient", "send the response of the patient asked about", "business-rule")
        ]
    return []


def _authored(resource: Mapping[str, Any], latest: datetime | None) -> tuple[FhirDate | None, list[Problem]]:
    authored = authored_of(resource)
    if authored is None:
        what = "missing, or no day in the calendar"
        return None, [_fault("authored", what, "say when it was completed, as 2026-11-21T10:05:31Z", "required")]
    if latest is not None and FhirDate.of_moment(latest).compare(authored) == -1:
        return None, [_fault("authored", "lies in the future", "send the instant at which it was completed", "value")]
    return authored, []


def _moment(authored: FhirDate) -> datetime:
    if authored.is_datetime:
        try:
            return datetime.fromisoformat(authored.text)
        except ValueError:
            pass  # a leap second, say: the day is what counts
    return datetime.combine(authored.first_day, time.min)


def _named(resource: Mapping[str, Any], base: str | None) -> list[str]:
    """The orders, encounters and coverages that a response says it is about."""
    references: list[Any] = []
    for extension in objects_in(resource.get("extension")):
        url = extension.get("url")
        if isinstance(url, str) and url in _CONTEXTS:
            references.append((extension.get("valueReference"), url.endswith("/qr-coverage")))
    references += [(one, False) for one in objects_in(resource.get("basedOn"))]
    keys = (reference_key(literal_reference(one), base) or _untold(one, coverage) for one, coverage in references)
    return [one for one in keys if one is not None and not one.startswith("Encounter/")]


def _untold(reference: Any, of_coverage: bool) -> str | None:
    """What stands for a reference that names nothing by an address. An order that cannot be told is no order at hand;
    a coverage may be known by its number alone."""
    kind = reference.get("type") if isinstance(reference, Mapping) else None
    return None if of_coverage or kind in ("Coverage", "Encounter") else UNTOLD


def _asked(resource: Mapping[str, Any]) -> frozenset[str] | None:
    """The linkIds that an adaptive response was asked; None for one that answers the whole form."""
    named = questionnaire_named(resource)
    if named is None or not named.adaptive:
        return None
    held = _contained(resource, str(resource.get("questionnaire"))) or {}
    found: set[str] = set()
    waiting = [held.get("item")]
    while waiting:
        for item in objects_in(waiting.pop()):
            if isinstance(item.get("linkId"), str):
                found.add(item["linkId"])
            waiting.append(item.get("item"))
    return frozenset(found)


def _contained(resource: Mapping[str, Any], reference: str) -> Mapping[str, Any] | None:
    held = objects_in(resource.get("contained"))
    named = (one for one in held if one.get("id") == reference[1:] and one.get("resourceType") == "Questionnaire")
    return next(named, None)


# -- the answers


def is_said(one: Answered) -> bool:
    """Whether somebody said it. What a program filled in from the chart is no statement of its own: the chart is judged
    itself, and an old value must not come back under the day of the response. A paper is there, whoever attached it."""
    return not one.filled_in or is_document(one.item)


def answer_value(one: Answered) -> str | None:
    """What is read of an item: yes, no, dont-know, or the code of a choice; of a document that it is attached.

    Texts are kept, not judged.
    """
    if is_document(one.item):
        return "yes"
    if len(one.values) != 1:
        return None
    name, value = one.values[0]
    if name == "valueBoolean":
        return "yes" if value else "no"
    if name == "valueCoding":
        code: str = value["code"]
        return _PLAIN.get((value.get("system", ""), code), code)
    return None


def _fault(where: str, what: str, fix: str, code: str) -> Problem:
    return Problem("invalid", where, what, fix, code)
