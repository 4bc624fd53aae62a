"""The responses of a call, from its chart and from the store, as answers to one policy's form. Pure.

A response that is faulty, or another patient's, is no evidence: the criteria that it would touch say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cds_service.crd.chart_answers import ChartAnswers
from cds_service.crd.looked_up import Given
from cds_service.fhir.problem import Problem
from cds_service.fhir.record import Record
from cds_service.fhir.references import own_reference
from cds_service.policy.answers import NOTHING_ANSWERED, About, Unread, Weighed, questions_of, weigh
from cds_service.policy.form import Form
from cds_service.policy.model import Situation
from cds_service.policy.response_items import link_ids
from cds_service.policy.responses import (
    WITHDRAWN,
    Response,
    authored_of,
    is_unfinished,
    questionnaire_named,
    read_response,
)

KIND = "QuestionnaireResponse"
# How far the clocks of an EHR and of this service may lie apart
SKEW = timedelta(hours=1)
# So many of one patient are read, more than any clinician fills in: of more than these the newest may not be among them
MOST_STORED = 200
_TOO_MANY = f"more than {MOST_STORED} were sent here for this patient"
_MOST_FAULTS = 2


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response that was sent in and found valid: as it came, and what its sender said beside it."""

    id: str
    resource: Mapping[str, Any]
    context: str | None = None  # the coverage-assertion-id under which it was asked for
    order: str | None = None  # the order that this id was given for


NONE_STORED: tuple[StoredResponse, ...] = ()


class Responses:
    """All responses that a call may look at. Read against a form when a policy asks."""

    def __init__(
        self,
        record: Record,
        resources: Sequence[Given],
        stored: Sequence[StoredResponse],
        asked_at: datetime,
        cut: str | None = None,
        heard: ChartAnswers | None = None,
    ) -> None:
        """`cut`: why those of chart and store may not be all, where that is so: the newest may be among the others.
        `heard`: what the chart's said when there was a chart, where there is none any more."""
        self.record = record
        self.too_many = len(stored) > MOST_STORED
        self.stored = NONE_STORED if self.too_many else stored
        self.cut = _TOO_MANY if self.too_many else cut
        self.heard = heard
        self.latest = asked_at + SKEW
        places = {fault.where: fault.what for fault in record.faults if fault.resource_type == KIND}
        # what the record kept out is looked at for the name of its form alone
        self.faulty = [(one.where, one.resource, places[one.where]) for one in resources if one.where in places]
        self.foreign = self._of_others(resources) if record.holds_foreign else []
        self._read: dict[tuple[str, str | None], tuple[list[Response], list[Unread]]] = {}

    def _of_others(self, resources: Sequence[Given]) -> list[tuple[str, Any]]:
        places = set(self.record.foreign_to(KIND, "", None))
        return [(one.where, one.resource) for one in resources if one.where in places]

    def situated(self, situation: Situation, form: Form | None, about: About) -> Situation:
        """A situation with the answers to its policy's form."""
        found = self.weighed(form, about) if form is not None else NOTHING_ANSWERED
        unsure = found.unsure
        if self.cut is not None and not found.answers:
            unsure = unsure or self.cut  # while nothing was answered, what could not be read may have been
        missing = {kind: why for kind, why in situation.not_looked_up.items() if kind != KIND}
        if unsure is not None:
            missing[KIND] = unsure
        if not found.answers and not found.beside and missing == situation.not_looked_up:
            return situation
        return replace(situation, answers=found.answers, answers_beside=found.beside, not_looked_up=missing)

    def weighed(self, form: Form, about: About) -> Weighed:
        if not (self.stored or self.too_many or self.heard or self._chart_holds_any()):
            return NOTHING_ANSWERED
        # Where no server is named, the same id may be another EHR's patient: what was sent here is this one's only
        # under the id that went out with this order, and nothing else of it is so much as shown
        context = None if self.record.base else about.context
        read = self._read.get((form.canonical, context))
        if read is None:
            known = bool(self.record.base)
            stored = [one for one in self.stored if known or (one.context is not None and one.context == context)]
            read = self._read[form.canonical, context] = self._of_form(form, stored)
        return weigh(*read, about)

    def _chart_holds_any(self) -> bool:
        return bool(self.faulty or self.foreign or self.record.of_type(KIND))

    def _of_form(self, form: Form, stored: Sequence[StoredResponse]) -> tuple[list[Response], list[Unread]]:
        """The responses to one form that can be read, and those that cannot."""
        heard = self.heard or self.of_chart(form, self.cut, stored)
        found = {_key(one.reference, n): one for n, one in enumerate(heard.responses)}
        unread = [*heard.unread]
        if self.too_many:
            unread.append(
                Unread(f"which {KIND} is the newest is not known: {_TOO_MANY}", questions_of(form), doubts=True)
            )
        for one in stored:
            self._add_stored(one, form, found, heard.closed)
        return list(found.values()), unread

    def of_chart(self, form: Form, cut: str | None, stored: Sequence[StoredResponse]) -> ChartAnswers:
        """What the chart's own responses to one form say. `cut` as above; those that are `stored` too are all there."""
        if not self._chart_holds_any():
            return ChartAnswers(failed=cut)
        found: dict[str, Response] = {}
        unread = [*self._lost(form)]
        closed: set[str] = set()
        for resource in self.record.of_type(KIND):
            named = questionnaire_named(resource)
            reference = own_reference(resource)
            if resource.get("status") == WITHDRAWN:
                closed.add(reference)
            elif named is not None and named.url == form.url:
                read = read_response(resource, form, patient=None, base=self.record.base, latest=self.latest)
                if isinstance(read, Response) and cut is not None:
                    if not _is_among(stored, resource):
                        said = f"{reference} may not be the newest: {cut}"
                        unread.append(Unread(said, frozenset(read.answers), reference, read.authored, doubts=True))
                elif isinstance(read, Response):
                    found[_key(read.reference, len(found))] = read
                else:
                    unread.append(_unread(resource, form, read, reference, named.version == form.version))
        return ChartAnswers(tuple(found.values()), tuple(unread), frozenset(closed), cut)

    def _add_stored(self, one: StoredResponse, form: Form, found: dict[str, Response], closed: frozenset[str]) -> None:
        named = questionnaire_named(one.resource)
        reference = f"{KIND}/{one.id}"
        if named is None or (named.url, named.version) != (form.url, form.version) or reference in closed:
            return
        if one.resource.get("status") == WITHDRAWN:
            when, held = authored_of(one.resource), found.get(reference)
            if held is not None and (when is None or held.authored.compare(when) != 1):
                del found[reference]
            return
        read = read_response(one.resource, form, patient=None, base=self.record.base, latest=self.latest)
        if not isinstance(read, Response):
            return  # valid when it came; the form has another text since then
        orders = frozenset({one.order}) if one.order is not None else frozenset[str]()
        read = replace(read, reference=reference).under(one.context, orders)
        held = found.get(reference)
        if held is not None and held.authored.compare(read.authored) != -1:
            # the chart's own copy is the newer one, or the same; what its sender said of it holds for it too
            read = held.under(read.context, read.orders)
        found[reference] = read

    def _lost(self, form: Form) -> Iterator[Unread]:
        """What the record let nobody see, where it is of this form: unreadable, or another patient's."""
        questions = questions_of(form)
        for where, resource, what in self.faulty:
            if _is_of(resource, form):
                said = f"one {KIND} could not be read ({where}: {what})"
                yield Unread(said, _touched(resource, form) or questions, doubts=True)
        for where, resource in self.foreign:
            if _is_of(resource, form):
                yield Unread(f"one {KIND} is of another patient ({where})", _touched(resource, form))


def _is_among(stored: Iterable[StoredResponse], resource: Mapping[str, Any]) -> bool:
    said = (resource.get("id"), resource.get("authored"))
    return any((one.id, one.resource.get("authored")) == said for one in stored)


def _key(reference: str | None, place: int) -> str:
    return reference if reference is not None and "/" in reference else f"#{place}"


def _unread(
    resource: Mapping[str, Any], form: Form, faults: Iterable[Problem], reference: str, same_version: bool
) -> Unread:
    touches, authored = _touched(resource, form), authored_of(resource)
    if is_unfinished(resource):
        said = f"{reference} is {resource['status']}, not completed"
        return Unread(said, touches, reference, authored)
    if not same_version:
        said = f"{reference} answers another version of the questionnaire, or names none"
        return Unread(said, touches, reference, authored)
    listed = list(faults)
    more = f" and {len(listed) - _MOST_FAULTS} more" if len(listed) > _MOST_FAULTS else ""
    what = "; ".join(f"{one.where}: {one.what}" for one in listed[:_MOST_FAULTS])
    said = f"{reference} cannot be used ({what}{more})"
    return Unread(said, touches or questions_of(form), reference, authored, doubts=True)


def _is_of(resource: Any, form: Form) -> bool:
    named = questionnaire_named(resource) if isinstance(resource, dict) else None
    return named is not None and named.url == form.url


def _touched(resource: Mapping[str, Any], form: Form) -> frozenset[str]:
    """The questions of the form that a response speaks to, under their own name or with a suffix."""
    questions = questions_of(form)
    named = set(link_ids(resource.get("item")))
    plain = {one.rpartition(".")[0] for one in named if one.endswith((".found", ".file"))}
    return questions.intersection(named | plain)
