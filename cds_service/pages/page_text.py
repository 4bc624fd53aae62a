"""Page -> text for a terminal, and -> JSON. One rendering each; says nothing that the page does not."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from cds_service.pages.page import CodeLine, Detail, Page, PageNode, Saying, Section
from cds_service.policy.faults import BASE
from cds_service.policy.plan import Citation

_WIDTH = 110
_LONGEST_LINE = 90
_MOST_CODES = 12
_IF = ("if ", "then ", "otherwise ")
_VALUE_SETS = f"{BASE}/ValueSet/"


def page_text(page: Page, every_code: bool = False) -> str:
    """The page as text. Long value sets are told by their roots; with `every_code`, code by code."""
    return "\n".join(_page(page, every_code)) + "\n"


def page_json(page: Page) -> dict[str, Any]:
    """The page as JSON. What holds nothing is left out."""
    return {
        "policy": page.policy,
        "version": page.version,
        "title": page.title,
        "identity": [_detail_json(one) for one in page.identity],
        "sections": [
            _filled(id=one.id, title=one.title, intro=one.intro, nodes=[_node_json(node) for node in one.nodes])
            for one in page.sections
        ],
    }


# -- text


def _page(page: Page, every_code: bool) -> Iterator[str]:
    yield page.title
    yield "=" * len(page.title)
    yield ""
    width = max(len(one.label) for one in page.identity) + 2
    for detail in page.identity:
        yield from _wrapped(f"{detail.label:<{width}}{detail.saying.line}", 2, 2 + width)
    for section in page.sections:
        yield ""
        yield ""
        yield section.title
        yield "-" * len(section.title)
        yield from _section(section, every_code)


def _section(section: Section, every_code: bool) -> Iterator[str]:
    for paragraph in section.intro.split("\n"):
        yield from _wrapped(paragraph, 2) if paragraph else ("",) if section.intro else ()
    told: set[Detail] = set()
    for node in section.nodes:
        yield ""
        yield from _node(node, 2, every_code, told)


def _node(node: PageNode, indent: int, every_code: bool, told: set[Detail]) -> Iterator[str]:
    """`told` gathers what the section has told before: some of it is then told in brief, and none twice in a node."""
    named = node.title if node.title == node.id else f"{node.title} [{node.id}]"
    kind = f"{node.kind.upper() if node.children else node.kind}: " if node.kind else ""
    yield from _wrapped(f"{kind}{named}", indent)
    for citation in node.citations:
        yield from _hanging(*_cited(citation), indent + 4)
    for n, detail in enumerate(node.details):
        if detail.repeated and detail in node.details[:n]:
            continue
        if detail.brief and detail in told:
            yield from _hanging(f"{detail.label}: ", detail.brief, indent + 4)
        else:
            yield from _detail(detail, indent + 4)
        told.add(detail)
    yield from _codes(node, indent + 4, every_code)
    for child in node.children:
        yield ""
        yield from _node(child, indent + 4, every_code, told)


def _cited(citation: Citation) -> tuple[str, str]:
    words = f": {citation.words}" if citation.words else ""
    if citation.ours:
        return "ours: ", f"{citation.label.removeprefix('ours:').strip()}{words}"
    return "source: ", f"{citation.label}{words}"


def _detail(detail: Detail, indent: int) -> Iterator[str]:
    saying = detail.saying
    if saying.parts and len(saying.line) > _LONGEST_LINE:
        yield from _wrapped(f"{detail.label}: {saying.heading}", indent)
        yield from _parts(saying, indent + 4)
    else:
        yield from _hanging(f"{detail.label}: ", saying.line, indent)
    for line in detail.expression.split("\n") if detail.expression else ():
        yield from _hanging("= ", line.replace(_VALUE_SETS, "…/"), indent + 4)


def _parts(saying: Saying, indent: int) -> Iterator[str]:
    marks = _IF if saying.joined == "if" else ("- ",) * len(saying.parts)
    for mark, part in zip(marks, saying.parts, strict=True):
        if part.parts and len(part.line) > _LONGEST_LINE - indent:
            yield from _wrapped(f"{mark}{part.heading}", indent)
            yield from _parts(part, indent + 4)
        else:
            yield from _hanging(mark, part.line, indent)


def _codes(node: PageNode, indent: int, every_code: bool) -> Iterator[str]:
    if every_code and node.every_code:
        yield from _listed(node.every_code, indent)
        return
    roots = [one for one in node.codes if one.below is not None]
    single = [one for one in node.codes if one.below is None]
    yield from _listed(roots, indent)
    for system in dict.fromkeys(one.system for one in single):
        own = [one for one in single if one.system == system]
        if len(own) <= _MOST_CODES or not node.every_code:
            yield from _listed(own, indent)
        else:
            codes = ", ".join(one.code for one in own)
            yield from _hanging(f"{system}: ", f"{len(own)} codes: {codes}", indent)


def _listed(codes: Sequence[CodeLine], indent: int) -> Iterator[str]:
    for one in codes:
        below = f", and all {one.below} codes under it" if one.below else ""
        yield from _hanging(f"{one.system} {one.code}  ", f"{one.words}{below}", indent)


def _hanging(label: str, words: str, indent: int) -> Iterator[str]:
    yield from _wrapped(f"{label}{words}", indent, indent + min(len(label), 6))


def _wrapped(text: str, indent: int, further: int | None = None) -> Iterator[str]:
    yield from textwrap.wrap(
        "".join(letter if letter.isprintable() else " " for letter in text),
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2 if further is None else further),
        # ids and addresses have hyphens, and are there to be copied
        break_on_hyphens=False,
        break_long_words=False,
    )


# -- JSON


def _node_json(node: PageNode) -> dict[str, Any]:
    return _filled(
        id=node.id,
        title=node.title,
        kind=node.kind,
        details=[_detail_json(one) for one in node.details],
        citations=[_filled(label=one.label, words=one.words, ours=one.ours or None) for one in node.citations],
        children=[_node_json(one) for one in node.children],
        codes=[_code_json(one) for one in node.codes],
        everyCode=[_code_json(one) for one in node.every_code],
    )


def _detail_json(detail: Detail) -> dict[str, Any]:
    return _filled(
        label=detail.label,
        words=detail.saying.line,
        parts=_saying_json(detail.saying) if detail.saying.parts else None,
        expression=detail.expression,
    )


def _saying_json(saying: Saying) -> dict[str, Any]:
    return _filled(
        joined=saying.joined,
        words=saying.words,
        parts=[_saying_json(one) for one in saying.parts],
        otherwiseNotKnown=saying.open or None,
    )


def _code_json(one: CodeLine) -> dict[str, Any]:
    return _filled(system=one.system, code=one.code, words=one.words, below=one.below)


def _filled(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, "", [])}
