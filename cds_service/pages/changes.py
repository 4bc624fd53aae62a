"""Two pages of one policy -> what changed, in words. Pure. Compares what the pages say, so nothing said is missed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cds_service.fhir.fhirpath.errors import FhirPathError
from cds_service.fhir.fhirpath.parse import parse
from cds_service.fhir.fhirpath.syntax import Binary as BinaryNode
from cds_service.fhir.fhirpath.syntax import Call, Literal, Member, Node, Unary, Variable, children
from cds_service.pages.page import CodeLine, Detail, Page, PageNode, Section
from cds_service.pages.sayings import literal_words

_WIDTH = 110
# a detail may show several expressions: each on a line, with a label before those that narrow; a window's ends
_PIECES = re.compile(r"\n| \.\. ")
_LABEL = re.compile(r"^(?:counts|window): ")
# of every two versions these differ, or they repeat what is told elsewhere
_TOLD_ELSEWHERE = frozenset({"headings"})
_NO_CHANGE = frozenset({"version", "in force", "plan", "questionnaire"})


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is said otherwise. `before` and `after` are empty where there is nothing to show on that side."""

    section: str
    subject: str  # the node's title and id
    what: str  # "met if", "new", "gone", "codes", ...
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    in_short: tuple[str, ...] = ()  # the numbers and codes that moved: "88 % is now 90 %"
    touches: tuple[str, ...] = ()  # of a fact or value set: the criteria, rows and documents that rest on it


def page_changes(old: Page, new: Page) -> tuple[Change, ...]:
    """All that the new page says otherwise than the old one."""
    found = [*_identity(old, new)]
    sections = {one.id: one for one in old.sections} | {one.id: one for one in new.sections}
    for name in (one for one in sections if one not in _TOLD_ELSEWHERE):
        before, after = (_section(page, name) for page in (old, new))
        found += _section_changes(before, after, sections[name].title)
    touched = {**_touched(old), **_touched(new)}
    return tuple(replace(one, touches=touched.get(one.subject, ())) for one in found)


def _touched(page: Page) -> dict[str, tuple[str, ...]]:
    """For facts and value sets, as they are named: what rests on them through other facts."""
    facts = {node.id: node for node, _ in _section(page, "facts").walk()}
    found = {}
    for node in (*facts.values(), *(node for node, _ in _section(page, "value-sets").walk())):
        reached: dict[str, None] = {}
        waiting = list(node.readers)
        while waiting:
            name = waiting.pop(0)
            if name not in reached:
                reached[name] = None
                waiting += facts[name].readers if name in facts else ()
        found[_named(node)] = tuple(name for name in reached if name not in facts)
    return found


def changes_text(changes: Sequence[Change]) -> str:
    """Changes as text for a terminal."""
    return "\n".join(_lines(changes))


def changes_json(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Changes as JSON. What holds nothing is left out."""
    rows: list[dict[str, Any]] = []
    for one in changes:
        row = {"section": one.section, "subject": one.subject, "what": one.what}
        lists = {"was": one.before, "now": one.after, "inShort": one.in_short, "touches": one.touches}
        rows.append({**row, **{name: list(value) for name, value in lists.items() if value}})
    return rows


# -- what is compared


def _section(page: Page, name: str) -> Section:
    return next((one for one in page.sections if one.id == name), Section(name, "", "", ()))


def _identity(old: Page, new: Page) -> Iterator[Change]:
    if old.title != new.title:
        yield Change("Policy", "title", "title", (old.title,), (new.title,))
    yield from _details("Policy", "", _compared(old.identity), _compared(new.identity))


def _section_changes(old: Section, new: Section, title: str) -> Iterator[Change]:
    gone, come = (
        _only(old.intro.split("\n"), new.intro.split("\n")),
        _only(new.intro.split("\n"), old.intro.split("\n")),
    )
    if gone or come:
        yield Change(title, "", "the text", gone, come)
    before = {node.id: (node, parent) for node, parent in old.walk()}
    after = {node.id: (node, parent) for node, parent in new.walk()}
    for name, (node, parent) in after.items():
        if name in before:
            yield from _node_changes(title, before[name], (node, parent))
        else:
            yield Change(title, _named(node), "new", (), tuple(_told(node)))
    for name, (node, _) in before.items():
        if name not in after:
            yield Change(title, _named(node), "gone", tuple(_told(node)), ())
    if new.id == "authorization":
        yield from _order_of_rows(title, list(before), list(after))


def _node_changes(
    section: str, old: tuple[PageNode, PageNode | None], new: tuple[PageNode, PageNode | None]
) -> Iterator[Change]:
    (before, parent_before), (after, parent_after) = old, new
    subject = _named(after)
    if before.title != after.title:
        yield Change(section, subject, "title", (before.title,), (after.title,))
    if before.kind != after.kind and not after.kind.startswith("row"):
        yield Change(section, subject, "kind", (before.kind or "one question",), (after.kind or "one question",))
    under = [parent.id if parent else "" for parent in (parent_before, parent_after)]
    if under[0] != under[1]:
        yield Change(section, subject, "stands under", (under[0] or "the top",), (under[1] or "the top",))
    yield from _details(section, subject, _compared(before.details), _compared(after.details))
    cited = [[f"{'ours: ' if one.ours else ''}{_bare(one.label)}{f': {one.words}' if one.words else ''}"
              for one in node.citations] for node in (before, after)]  # fmt: skip
    gone, come = _only(cited[0], cited[1]), _only(cited[1], cited[0])
    if gone or come:
        yield Change(section, subject, "citations", gone, come)
    codes = [node.every_code or node.codes for node in (before, after)]
    out, into = _only(_codes(codes[0]), _codes(codes[1])), _only(_codes(codes[1]), _codes(codes[0]))
    if out or into:
        told = (f"{len(out)} out", f"{len(into)} in")
        yield Change(section, subject, "codes", out, into, told)


def _details(section: str, subject: str, old: Sequence[Detail], new: Sequence[Detail]) -> Iterator[Change]:
    for label in dict.fromkeys(one.label for one in (*old, *new)):
        before = [one for one in old if one.label == label]
        after = [one for one in new if one.label == label]
        gone = [one for one in before if one not in after]
        come = [one for one in after if one not in before]
        if not gone and not come:
            continue
        in_short = tuple(_moved(gone[0].expression, come[0].expression)) if len(gone) == len(come) == 1 else ()
        was, now = (tuple(map(_said, ones)) for ones in (gone, come))
        if was == now and not in_short:  # said alike: only the writing differs
            was, now = (tuple(one.expression or _said(one) for one in ones) for ones in (gone, come))
        yield Change(section, subject, label, was, now, in_short)


def _order_of_rows(section: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    before, after = [one for one in old if one in new], [one for one in new if one in old]
    if before != after:
        yield Change(section, "the table", "order of the rows", (", ".join(before),), (", ".join(after),))


def _compared(details: Sequence[Detail]) -> tuple[Detail, ...]:
    return tuple(one for one in details if not one.repeated and one.label not in _NO_CHANGE)


def _only(these: Sequence[str], those: Sequence[str]) -> tuple[str, ...]:
    known = set(those)
    return tuple(one for one in these if one and one not in known)


def _moved(old: str | None, new: str | None) -> Iterator[str]:
    """Where expressions are alike but for their literals: which of them moved."""
    before, after = _PIECES.split(old or ""), _PIECES.split(new or "")
    if len(before) != len(after):
        return
    pairs: list[tuple[Literal, Literal] | None] = []
    for one, other in zip(before, after, strict=True):
        if one != other:
            pairs += _parsed_pairs(_LABEL.sub("", one), _LABEL.sub("", other))
    if all(pair is not None for pair in pairs):
        yield from dict.fromkeys(f"{_literal(one)} is now {_literal(other)}" for one, other in filter(None, pairs))


def _parsed_pairs(old: str, new: str) -> list[tuple[Literal, Literal] | None]:
    try:
        return list(_pairs(parse(old), parse(new)))
    except FhirPathError:  # an open end of a window
        return [None]


def _pairs(old: Node, new: Node) -> Iterator[tuple[Literal, Literal] | None]:
    """The literals of two expressions side by side; None where the expressions part."""
    if isinstance(old, Literal) and isinstance(new, Literal):
        if old.value != new.value or old.type != new.type:
            yield old, new
        return
    if _shape(old) != _shape(new) or len(children(old)) != len(children(new)):
        yield None
        return
    for one, other in zip(children(old), children(new), strict=True):
        yield from _pairs(one, other)


def _shape(node: Node) -> tuple[str, str]:
    match node:
        case Variable(name=name) | Member(name=name) | Call(name=name):
            return type(node).__name__, name
        case BinaryNode(operator=operator) | Unary(operator=operator):
            return type(node).__name__, operator
        case _:
            return type(node).__name__, ""


def _literal(node: Literal) -> str:
    words = literal_words(node)
    return f"value set {words.strip('‘’').rpartition('/')[2]}" if "/ValueSet/" in words else words


# -- words


def _named(node: PageNode) -> str:
    return node.title if node.title == node.id else f"{node.title} [{node.id}]"


def _told(node: PageNode) -> Iterator[str]:
    for citation in node.citations:
        yield f"{'ours' if citation.ours else 'source'}: {_bare(citation.label)}"
    for detail in _compared(node.details):
        yield f"{detail.label}: {_said(detail)}"
    if node.codes:
        yield f"codes: {', '.join(one.code for one in node.codes)}"


def _bare(label: str) -> str:
    return label.removeprefix("ours:").strip()


def _said(detail: Detail) -> str:
    return detail.saying.line or detail.expression or ""


def _codes(codes: Sequence[CodeLine]) -> list[str]:
    # by code alone: a term worded anew is no change of the set
    return [f"{one.system} {one.code}" for one in codes]


def _lines(changes: Sequence[Change]) -> Iterator[str]:
    section = subject = None
    for one in changes:
        if one.section != section:
            yield from ("", one.section, "-" * len(one.section))
            section, subject = one.section, None
        if one.subject and one.subject != subject:
            yield from _wrapped(one.subject, 2)
            if one.touches:
                yield from _wrapped(f"touches {', '.join(one.touches)}", 6)
            subject = one.subject
        short = f": {'; '.join(one.in_short)}" if one.in_short else ""
        yield from _wrapped(f"{one.what}{short}", 6)
        for mark, lines in (("was", one.before), ("now", one.after)):
            if one.what == "codes":
                lines = (", ".join(lines),) if lines else ()
            for line in lines:
                yield from _wrapped(f"{mark}  {line}", 10, 15)


def _wrapped(text: str, indent: int, further: int | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2 if further is None else further),
        break_on_hyphens=False,
        break_long_words=False,
    )
