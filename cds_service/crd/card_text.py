"""Determinations as a clinician reads them on a card: one line, and markdown to scan. Decides nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from cds_service.policy.model import Determination, DocumentVerdict, ExclusionVerdict, Status, Verdict

# CDS Hooks 2.0, Card Attributes: a summary stays under 140 characters
LONGEST_SUMMARY = 139
_LONGEST_QUOTE = 300
_MOST_LISTED = 3

_MARK = {Status.MET: "✓", Status.NOT_MET: "✗", Status.UNKNOWN: "?", Status.NOT_APPLICABLE: "–"}
_PA_NEEDED = {
    "auth-needed": "prior authorization needed",
    "no-auth": "no prior authorization needed",
    "satisfied": "prior authorization on file",
    "performpa": "prior authorization needed, asked for by the performer",
}
_UNDECIDED = "prior authorization not decided yet"
_COVERAGE_OPEN = ", coverage still open"


# -- the summary ------------------------------------------------------------------------------------------


def summary(determinations: Sequence[Determination]) -> str:
    """One line for the orders of a card: `Home oxygen (E1390): prior authorization needed; 1 of 4 criteria open`.

    Counted are the children of the root that apply; open are those that are unknown (contract, Cards).
    """
    codes = list(dict.fromkeys(one.code for one in determinations if one.code))
    said = _verdicts(determinations)
    counted = _criteria_words(determinations)
    tail = f"{f' ({_few(codes)})' if codes else ''}: {said}{f'; {counted}' if counted else ''}"
    title = plain(determinations[0].policy_title)
    room = LONGEST_SUMMARY - len(tail)
    return shortened(f"{shortened(title, room) if room > 1 else title}{tail}", LONGEST_SUMMARY)


def _verdicts(determinations: Sequence[Determination]) -> str:
    """What is said of the orders: once where it is the same of all, else order by order."""
    phrases: dict[str, list[str]] = {}
    for one in determinations:
        phrases.setdefault(verdict_words(one), []).append(one.code)
    shared = {phrase.removesuffix(_COVERAGE_OPEN) for phrase in phrases}
    if len(phrases) == 1:
        return next(iter(phrases))
    if len(shared) == 1:
        # they differ in this alone: of some of them coverage is open
        named = list(dict.fromkeys(code for phrase, codes in phrases.items() if phrase not in shared for code in codes))
        return f"{shared.pop()}, coverage of {_few(named)} still open"
    return ", ".join(f"{' '.join(dict.fromkeys(named))} {phrase}" for phrase, named in phrases.items())


def verdict_words(determination: Determination) -> str:
    """What the payer says of the item, in a few words."""
    if determination.covered == "not-covered":
        return "not covered"
    words = _PA_NEEDED.get(determination.pa_needed)
    if words is None and not determination.criteria:
        # a short answer: the rule itself says why it decides nothing ("the member's own plan decides")
        return _lower_first(determination.rule_title)
    if determination.covered == "conditional":
        return f"{words or _UNDECIDED}{_COVERAGE_OPEN}"
    return words or _UNDECIDED


def _criteria_words(determinations: Sequence[Determination]) -> str:
    if any(one.exclusions for one in determinations):
        return "excluded as ordered"
    statuses: dict[str, Status] = {}
    for one in determinations:
        # what is authorized waits for no criterion
        for child in _root_children(one) if one.pa_needed != "satisfied" else ():
            statuses[child.id] = max(statuses.get(child.id, child.status), child.status, key=_WORST_LAST.index)
    total = len(statuses)
    if not total:
        return ""
    if all(map(_by_an_alternative, determinations)):
        return "criteria met"
    count = list(statuses.values()).count
    still_open, not_met = count(Status.UNKNOWN), count(Status.NOT_MET)
    noun = "criterion" if total == 1 else "criteria"
    if still_open:
        return f"{still_open} of {total} {noun} open" + (f", {not_met} not met" if not_met else "")
    return f"{not_met} of {total} {noun} not met" if not_met else f"{total} of {total} {noun} met"


_WORST_LAST = [Status.NOT_APPLICABLE, Status.MET, Status.NOT_MET, Status.UNKNOWN]


def _root_children(determination: Determination) -> list[Verdict]:
    """The children of the root that apply."""
    root = determination.root
    if root is None:
        return []
    children = (one for one in determination.criteria if one.parent == root.id)
    return [one for one in children if one.status is not Status.NOT_APPLICABLE]


def _by_an_alternative(determination: Determination) -> bool:
    """Whether one of several alternatives met the root: the others are moot then, and nobody asks about them."""
    root = determination.root
    met = root is not None and root.status is Status.MET
    return met and any(one.status is not Status.MET for one in _root_children(determination))


def _few(codes: Sequence[str]) -> str:
    more = len(codes) - _MOST_LISTED
    return ", ".join(codes[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def _lower_first(text: str) -> str:
    # "E1399 alone ..." and "MassHealth ..." keep their capital
    return text[:1].lower() + text[1:] if text[1:].split(" ")[0].islower() else text


# -- the detail -------------------------------------------------------------------------------------------


def detail(orders: Sequence[tuple[str, Determination]]) -> str:
    """The orders of one card (reference, determination) in markdown: the verdict first, then what is open or missing.

    Orders of which the same is said stand together, and what holds for all of them is said once. All text is
    escaped: some of it comes from the chart.
    """
    bodies: dict[_Body, list[str]] = {}
    for order, determination in orders:
        bodies.setdefault(_body(order, determination), []).append(item_words(determination))
    shared = _shared(list(bodies)) if len(bodies) > 1 else _Body()
    blocks = [f"**{joined(items)}**: {_written(body, shared)}" for body, items in bodies.items()]
    if shared != _Body():
        blocks.append(f"**All of these**\n\n{_written(shared, _Body())}")
    sources = dict.fromkeys(escaped(determination.source) for _, determination in orders)
    return "\n\n".join([*blocks, f"Source: {'; '.join(sources)}"])


class _Body(NamedTuple):
    """What is said of an order, part by part."""

    verdict: str = ""
    reasons: tuple[str, ...] = ()
    exclusions: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()


def item_words(determination: Determination) -> str:
    """The item of an order with its code, escaped."""
    item = shortened(plain(determination.item), 120)
    return escaped(item if determination.code in item else f"{item} ({determination.code})")


def _body(order: str, determination: Determination) -> _Body:
    # of what is not covered nothing is asked for
    asked_for = determination.documents if determination.covered != "not-covered" else ()
    documents = [one for one in asked_for if one.status != "not-applicable"]
    documents.sort(key=lambda one: (one.status == "on-file", not one.counts))
    return _Body(
        verdict=f"{escaped(verdict_words(determination))}.",
        reasons=tuple(map(_sentence, determination.reason)),
        exclusions=tuple(map(_exclusion, determination.exclusions)),
        criteria=tuple(_criteria(order, determination)),
        documents=tuple(map(_document, documents)),
    )


def _shared(bodies: Sequence[_Body]) -> _Body:
    """The reasons, criteria and documents that stand alike for all these orders."""
    first, *others = bodies
    return _Body(
        reasons=tuple(line for line in first.reasons if all(line in one.reasons for one in others)),
        criteria=tuple(line for line in first.criteria if all(line in one.criteria for one in others)),
        documents=tuple(line for line in first.documents if all(line in one.documents for one in others)),
    )


def _written(body: _Body, less: _Body) -> str:
    said = " ".join([body.verdict, *(line for line in body.reasons if line not in less.reasons)]).strip()
    parts = [said] if said else []
    for heading, lines, elsewhere in (
        ("Excluded as ordered:", body.exclusions, ()),
        ("Criteria:", body.criteria, less.criteria),
        ("Documents:", body.documents, less.documents),
    ):
        own = [line for line in lines if line not in elsewhere]
        if own:
            parts.append("\n".join([heading, *own]))
    return "\n\n".join(parts)


def _criteria(order: str, determination: Determination) -> Iterator[str]:
    """Each child of the root that applies, with what decided it or would settle it below."""
    children = _root_children(determination)
    if _by_an_alternative(determination):
        children = [one for one in children if one.status is Status.MET]
    for child in sorted(children, key=lambda one: _TO_DO_FIRST.index(one.status)):
        below = _below(child, order, determination.criteria)
        yield "\n".join([f"- {_leaf(child)}", *(f"  - {line}" for line in below)])
    root = determination.root
    for beside in determination.criteria:
        if beside.parent is None and beside is not root and beside.status in (Status.MET, Status.NOT_MET):
            yield f"- {_leaf(beside)}"


_TO_DO_FIRST = [Status.NOT_MET, Status.UNKNOWN, Status.MET, Status.NOT_APPLICABLE]


def _below(group: Verdict, order: str, criteria: Sequence[Verdict]) -> Iterator[str]:
    """What stands as the group does among all that is in it: what decided it, or what would settle it."""
    inside = {group.id}
    leaves = []
    for one in criteria:
        if one.parent in inside:
            # what stands in a group that is decided otherwise, or that may never apply, settles nothing here
            if one.status is group.status and not one.may_not_apply:
                inside.add(one.id)
            # a group says why only where it has a demand of its own, beside its children
            if one.status is group.status and (one.reason or not one.group):
                leaves.append(one)
    if group.status is Status.MET:
        # who wrote the order knows what it says
        leaves = [one for one in leaves if any(item.reference != order for item in one.evidence)]
    # a value that was found but does not settle the question comes before a question with nothing behind it
    leaves.sort(key=lambda one: (not one.candidates, not one.asked))
    yield from (_leaf(one) for one in leaves[:_MOST_LISTED])
    if len(leaves) > _MOST_LISTED:
        yield f"and {len(leaves) - _MOST_LISTED} more"


def _leaf(verdict: Verdict) -> str:
    said = verdict.reason or verdict.title
    if verdict.status in (Status.UNKNOWN, Status.NOT_MET) and verdict.title not in said:
        said = f"{verdict.title}: {said}"
    if verdict.hint and verdict.status is Status.NOT_MET and verdict.hint not in said:
        said = f"{said} – {verdict.hint}"
    against = "; ".join(one.display for one in verdict.conflicts[:_MOST_LISTED])
    return f"{_MARK[verdict.status]} {escaped(said)}" + (f" (also on record: {escaped(against)})" if against else "")


def _document(document: DocumentVerdict) -> str:
    optional = "" if document.counts else " (optional)"
    if document.status == "on-file":
        found = "; ".join(dict.fromkeys(one.display for one in document.evidence[:_MOST_LISTED]))
        return f"- ✓ {escaped(document.title)}" + (f": {escaped(found)}" if found else "")
    reason = document.reason or ""
    why = f". {escaped(reason)}" if reason and document.title not in reason else ""
    return f"- ✗ {escaped(document.title)}: {document.status}{optional}{why}"


def _exclusion(exclusion: ExclusionVerdict) -> str:
    reason = exclusion.reason or ""
    return f"- ✗ {escaped(exclusion.title)}" + (f". {escaped(reason)}" if reason != exclusion.title and reason else "")


def _sentence(text: str) -> str:
    said = escaped(text)
    return said if said.endswith((".", "!", "?", ":")) else f"{said}."


# -- text that others wrote -------------------------------------------------------------------------------

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~#@]")
# GitHub markdown links these without any markup; an escaped character in them keeps them plain
_BARE_LINK = re.compile(r"://|www\.", re.IGNORECASE)


def escaped(text: str, longest: int = _LONGEST_QUOTE) -> str:
    """Text as markdown that shows it and does nothing else: one line, no markup, no links, not too long."""
    quoted = shortened(plain(text), longest)
    if _MARKDOWN.search(quoted):
        quoted = _MARKDOWN.sub(r"\\\g<0>", quoted)
    if "://" in quoted or "www" in quoted.lower():
        quoted = _BARE_LINK.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", quoted)
    return quoted


def plain(text: str) -> str:
    """One line of printable text."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    # of what is printable only the space is white
    return " ".join(text.split()) if "  " in text else text.strip(" ")


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def joined(parts: Iterable[str]) -> str:
    """`a, b and c`."""
    listed = list(dict.fromkeys(parts))
    return " and ".join([", ".join(listed[:-1]), listed[-1]]) if len(listed) > 1 else "".join(listed)
