"""Statements -> cards, few and most useful first. Pure; says nothing that a determination does not say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cds_service.crd import form_completion
from cds_service.crd.as_written import holds_float
from cds_service.crd.card_text import (
    LONGEST_SUMMARY,
    detail,
    escaped,
    item_words,
    joined,
    plain,
    shortened,
    summary,
)
from cds_service.crd.determination_json import determination_json
from cds_service.crd.dtr_link import launch_link
from cds_service.crd.form_completion import Forms
from cds_service.crd.hook_request import Configuration, HookRequest
from cds_service.crd.hooks import Hook
from cds_service.crd.order_changes import apply_changes, new_order_like
from cds_service.crd.override_reasons import override_reasons
from cds_service.crd.statements import Statement, billing_code
from cds_service.crd.versions import CrdVersion
from cds_service.policy.model import Advice, Determination, Status, Suggestion


class Card(dict[str, Any]):
    """A card as it goes out; `policies` are the canonicals of those that it speaks for."""

    __slots__ = ("policies",)

    policies: tuple[str, ...]


_LONGEST_NOTE = 1200
_DISPLAYS = {
    "guideline": "Guideline",
    "claim": "Claim",
    "clinical-reminder": "Clinical Reminder",
    "insurance": "Insurance",
    "dtr-card": "Questions of the payer",
}
# CRD starts DTR by coverage-information and has no type for such a card
_OWN_CARD_TYPES = "https://cds-service.example.org/fhir/CodeSystem/card-type"


@dataclass(frozen=True, slots=True)
class Said:
    """One determination and what it was made for."""

    statement: Statement
    determination: Determination

    @property
    def order(self) -> str:
        return self.statement.line.reference


@dataclass(frozen=True, slots=True)
class Showing:
    """What cards an answer may hold, and how they are written. `unread` are orders of the call that are not at hand;
    `launch` is where our app for questionnaires is launched, "" where there is none."""

    hook: Hook
    version: CrdVersion
    configuration: Configuration
    unread: tuple[str, ...] = ()
    launch: str = ""
    forms: Forms | None = None  # those to be asked for by Task, of a client without DTR

    @classmethod
    def of(cls, request: HookRequest, unread: tuple[str, ...], launch: str = "", forms: Forms | None = None) -> Showing:
        return cls(request.hook, request.crd_version, request.configuration, unread, launch, forms)

    def wants(self, card_type: str) -> bool:
        return card_type in self.hook.cards and self.configuration.wants(card_type)


def cards(
    statements: Iterable[Statement],
    showing: Showing,
    new_id: Callable[[], str],
    link: Callable[[str], str],
) -> tuple[Card, ...]:
    """The cards of an answer: criteria, forms, suggested changes, suggested orders, notes; not more than wanted.

    `link` gives the address of our own page of a policy. Source: CDS Hooks 2.0, Card Attributes; CRD 2.2, cards
    page (External Reference, Propose Alternate Request, Identify Additional Orders, Update Coverage, Instructions).
    """
    statements = tuple(statements)
    said = [Said(one, determination) for one in statements for determination in one.determinations]
    found: list[Card] = []
    if showing.wants("guideline"):
        of_policies = (_criteria_card(group, link) for group in _by_policy_and_coverage(_worth_saying(said, showing)))
        # of several policies the one that asks for something goes first: `max-cards` may leave no room for the others
        found += sorted(of_policies, key=lambda card: card["indicator"] != "warning")
    if showing.launch and showing.wants("dtr-card"):
        found += _dtr_cards(said, showing.launch)
    if showing.wants("claim"):
        found += _suggestion_cards(said)
        if showing.forms is not None:
            found += _forms_as_tasks(said, showing.forms, showing.version)
    if showing.wants("insurance"):
        found += _lapsed_coverages(statements)
    if showing.wants("clinical-reminder"):
        found += _of_unread_orders(statements, showing.unread)
        # where no change can be suggested, the advice itself still counts
        found += _notes(said, also_suggestions="claim" not in showing.hook.cards)
    kept = found[: showing.configuration.max_cards]
    return tuple(_with_ids(_in_version(one, showing.version), new_id) for one in kept)


def _worth_saying(said: Sequence[Said], showing: Showing) -> Sequence[Said]:
    """What is said on a hook that writes nothing: only what lacks something, else nobody needs to read it."""
    return said if showing.hook.writes else [one for one in said if _wants_attention(one.determination)]


def _in_version(card: Card, version: CrdVersion) -> Card:
    """The card as a version of CRD writes its topic and the orders that it is about."""
    source, extension = card["source"], dict(card["extension"])
    orders = extension["davinci-crd.associated-resource"]
    extension["davinci-crd.associated-resource"] = (
        orders if version.plain_associated_resource else [{"reference": one} for one in orders]
    )
    topic = {"system": version.card_types, **source["topic"]}
    written = Card({**card, "source": {**source, "topic": topic}, "extension": extension})
    written.policies = card.policies
    return written


def _with_ids(card: Card, new_id: Callable[[], str]) -> Card:
    numbered = Card({"uuid": new_id(), **card})
    numbered.policies = card.policies
    if "suggestions" in card:
        numbered["suggestions"] = [{"uuid": new_id(), **one} for one in card["suggestions"]]
    return numbered


# -- criteria ---------------------------------------------------------------------------------------------


def _by_policy_and_coverage(said: Iterable[Said]) -> list[list[Said]]:
    groups: dict[tuple[str, str], list[Said]] = {}
    for one in said:
        groups.setdefault((one.determination.policy, one.statement.coverage.key), []).append(one)
    return list(groups.values())


def _criteria_card(group: Sequence[Said], link: Callable[[str], str]) -> Card:
    determinations = [one.determination for one in group]
    first = determinations[0]
    url = first.source_url if first.source_url is not None else link(first.policy_id)
    text = detail([(one.order, one.determination) for one in group])
    card = _card("guideline", first.payer_name, summary(determinations), text, group)
    if any(map(_wants_attention, determinations)):
        card["indicator"] = "warning"
        card["overrideReasons"] = override_reasons()
    label = plain(first.source) if first.source_url else f"How this is applied here: {plain(first.source)}"
    card["links"] = [{"label": label, "url": url, "type": "absolute"}]
    card["extension"]["cds-service.determinations"] = [
        determination_json(one.determination, one.order, one.statement.coverage.key) for one in group
    ]
    return card


def _wants_attention(determination: Determination) -> bool:
    """Something is missing, or the order as written is excluded. Never 'critical': CRD, resp-1 and resp-2."""
    if determination.pa_needed == "satisfied":
        # the payer has said yes: what its criteria still ask is nobody's to do now
        return determination.covered != "covered" or bool(determination.exclusions)
    root = determination.root
    lacking = (one for one in determination.documents if one.counts and one.status not in _NOTHING_LACKING)
    return (
        determination.covered != "covered"
        or bool(determination.info_needed)
        or bool(determination.exclusions)
        or (root is not None and root.status in (Status.UNKNOWN, Status.NOT_MET))
        or any(lacking)
    )


_NOTHING_LACKING = ("on-file", "not-applicable")


def _card(topic: str, payer_name: str, line: str, text: str, said: Sequence[Said]) -> Card:
    orders = dict.fromkeys(one.order for one in said)
    coding = {"code": topic, "display": _DISPLAYS[topic]}
    cautions = dict.fromkeys(one.determination.caution for one in said if one.determination.caution)
    card = Card(
        summary=shortened(plain(line), LONGEST_SUMMARY),
        detail="\n\n".join([text, *map(escaped, cautions)]),
        indicator="warning" if any(one.determination.urgent for one in said) else "info",
        source={"label": plain(payer_name), "topic": coding},
        extension={"davinci-crd.associated-resource": list(orders)},
    )
    card.policies = tuple(dict.fromkeys(one.determination.policy for one in said))
    return card


# -- questionnaires ---------------------------------------------------------------------------------------


def _dtr_cards(said: Iterable[Said], launch: str) -> Iterator[Card]:
    """For each order that wants a form, a link into our app, the orders of one policy and coverage on one card.

    An extra for EHRs that start no DTR app of their own: by the guides coverage-information does (CRD, cards page).
    """
    wanted = (one for one in said if one.determination.questionnaire is not None and one.determination.doc_needed)
    for group in _by_policy_and_coverage(wanted):
        first = group[0].determination
        orders = joined(item_words(one.determination) for one in group)
        payer = escaped(first.payer_name)
        text = f"For: {orders}. What is known is filled in; the answers go into the record and to {payer}."
        card = _card(
            "dtr-card", first.payer_name, f"{first.payer_name} has questions: answer them in a form", text, group
        )
        card["source"]["topic"]["system"] = _OWN_CARD_TYPES
        card["links"] = [launch_link(one.statement, one.determination, launch, alone=len(group) == 1) for one in group]
        yield card


def _forms_as_tasks(said: Iterable[Said], forms: Forms, version: CrdVersion) -> Iterator[Card]:
    """The same for a client that has no DTR: the form as a Task, the orders of one policy and coverage on one card."""
    wanted = [one for one in said if one.determination.doc_needed]
    for group in _by_policy_and_coverage(
        one for one in wanted if one.determination.questionnaire in forms.by_canonical
    ):
        first = group[0].determination
        items = joined(item_words(one.determination) for one in group)
        payer = first.payer_name
        orders = list(dict.fromkeys(one.order for one in group))
        text = (
            f"For: {items}. The answers go into the record, and with the request for authorization to {escaped(payer)}."
        )
        card = _card("claim", payer, f"{payer} has questions: add its form to the list of tasks", text, group)
        asks = form_completion.actions(forms, first.questionnaire or "", orders, payer, plain(first.item), version)
        card["selectionBehavior"] = "any"
        card["suggestions"] = [{"label": "Add the form to the list of tasks", "actions": list(asks)}]
        yield card


# -- suggestions ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Proposal:
    """One suggestion for one order, as the order would then be."""

    said: Said
    advice: Advice
    suggestion: Suggestion
    resource: dict[str, Any]


def _suggestion_cards(said: Sequence[Said]) -> Iterator[Card]:
    """Changes to orders first, then orders to add; the same advice for several orders is one card."""
    for kind in ("update", "create"):
        groups: dict[tuple[str, str, str | None], list[_Proposal]] = {}
        for one in _proposals(said, kind):
            shared = (one.said.determination.payer_name, one.advice.title, one.advice.detail)
            groups.setdefault(shared, []).append(one)
        for group in groups.values():
            yield from _split_by_order(group, kind)


def _proposals(said: Sequence[Said], kind: str) -> Iterator[_Proposal]:
    known: list[tuple[str, dict[str, Any]]] = []
    for one in said:
        order = one.statement.line.order.echo
        for advice in one.determination.advice:
            for suggestion in advice.suggestions:
                if suggestion.kind != kind:
                    continue
                write = apply_changes if kind == "update" else new_order_like
                resource = write(order, suggestion.changes)
                # an order that says so already; the same order asked for by two lines or under two coverages
                if resource == order or (kind, resource) in known:
                    continue
                known.append((kind, resource))
                yield _Proposal(one, advice, suggestion, resource)


def _split_by_order(group: Sequence[_Proposal], kind: str) -> Iterator[Card]:
    by_order: dict[str, list[_Proposal]] = {}
    for one in group:
        by_order.setdefault(one.said.order, []).append(one)
    if any(len(alternatives) > 1 for alternatives in by_order.values()):
        # alternatives for one order exclude each other, so each order has a card of its own
        yield from (_suggestion_card(one, kind, "at-most-one") for one in by_order.values())
    else:
        yield _suggestion_card(group, kind, "any")


def _suggestion_card(group: Sequence[_Proposal], kind: str, behaviour: str) -> Card:
    first = group[0]
    said = [one.said for one in group]
    text = _note_text(first.advice, said)
    card = _card("claim", first.said.determination.payer_name, first.advice.title, text, said)
    several = len({one.order for one in said}) > 1
    card["overrideReasons"] = override_reasons()
    card["selectionBehavior"] = behaviour
    card["suggestions"] = [_suggestion(one, kind, several) for one in group]
    return card


def _suggestion(proposal: _Proposal, kind: str, several: bool) -> dict[str, Any]:
    label = plain(proposal.suggestion.label)
    if several and kind == "update":
        label = f"{label} ({proposal.said.determination.code})"
    action = {"type": kind, "description": label, "resource": proposal.resource}
    return {"label": label, "actions": [action]}


# -- coverage ---------------------------------------------------------------------------------------------


def _lapsed_coverages(statements: Iterable[Statement]) -> Iterator[Card]:
    """Coverages that have ended and are still marked active, each with the offer to mark it as cancelled.

    For those who keep the record, on hooks of theirs; clinicians who order are not asked (CRD 2.2, resp-67).
    """
    orders: dict[str, dict[str, Statement]] = {}
    for one in statements:
        if one.coverage.lapsed is not None:
            orders.setdefault(one.coverage.key, {})[one.line.reference] = one
    for about in orders.values():
        coverage = next(iter(about.values())).coverage
        if coverage.payer is None or coverage.lapsed is None:
            continue
        resource, last = coverage.lapsed
        line = f"The {coverage.payer.name} coverage on file ended on {last}, and is still marked active"
        codes = dict.fromkeys(code["code"] for one in about.values() if (code := billing_code(one.line)) is not None)
        text = (
            f"Nothing can be determined under it{f' for {joined(map(plain, codes))}' if codes else ''}. Ask for the "
            "coverage that holds now; this record can be closed."
        )
        card = _card("insurance", coverage.payer.name, line, text, ())
        card["extension"]["davinci-crd.associated-resource"] = list(about)
        # nothing else of the record may change: what cannot be written back to the letter is left to its keeper
        if isinstance(resource.get("id"), str) and not holds_float(resource):
            card["selectionBehavior"] = "any"
            closed = {**resource, "status": "cancelled"}
            label = "Mark this coverage as cancelled"
            action = {"type": "update", "description": f"Coverage ended on {last}", "resource": closed}
            card["suggestions"] = [{"label": label, "actions": [action]}]
        yield card


# -- notes ------------------------------------------------------------------------------------------------


def _notes(said: Iterable[Said], also_suggestions: bool = False) -> Iterator[Card]:
    """Advice without an action, each note once, whichever orders it is for. Other advice too, if it is asked for."""
    groups: dict[tuple[str, str, str | None], list[tuple[Said, Advice]]] = {}
    for one in said:
        for advice in one.determination.advice:
            if also_suggestions or not advice.suggestions:
                shared = (one.determination.payer_name, advice.title, advice.detail)
                groups.setdefault(shared, []).append((one, advice))
    for (payer_name, title, _), group in groups.items():
        orders = [one for one, _ in group]
        yield _card("clinical-reminder", payer_name, title, _note_text(group[0][1], orders), orders)


def _of_unread_orders(statements: Sequence[Statement], unread: Sequence[str]) -> Iterator[Card]:
    """Orders that the call is about and does not hold: nothing could be said of them, and that is said."""
    if not unread or not statements:
        return
    payer = next((one.coverage.payer.name for one in statements if one.coverage.payer is not None), "The payer")
    card = _card("clinical-reminder", payer, "Some of the orders could not be read: nothing is said of them", "", ())
    named = joined(escaped(one) for one in unread)
    card["detail"] = f"Not read: {named}. Send them with the call, and ask again; no answer is not a no."
    card["extension"]["davinci-crd.associated-resource"] = list(unread)
    yield card


def _note_text(advice: Advice, said: Iterable[Said]) -> str:
    """The note, and which orders it is for: CRD 2.2, dev-24, wants that in words."""
    orders = f"For: {joined(item_words(one.determination) for one in said)}."
    return f"{escaped(advice.detail, _LONGEST_NOTE)}\n\n{orders}" if advice.detail else orders
