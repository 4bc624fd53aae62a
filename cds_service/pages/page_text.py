"""Page -> text for a terminal, and -> JSON. One rendering each; says nothing that the page does not."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cds_service.pages.page import NO_READER, NOTICE, CodeLine, Detail, Page, PageNode, Saying, Section
from cds_service.policy.faults import BASE
from cds_service.policy.plan import Citation

_WIDTH = 110
_LONGEST_LINE = 90
_MOST_CODES = 12
_IF = ("if ", "then ", "otherwise ")
_VALUE_SETS = f"{BASE}/ValueSet/"


def page_text(page: Page, every_code: bool = False, expressions: bool = False) -> str:
    """The page as text. `every_code`: long value sets code by code; `expressions`: FHIRPath below its words."""
    return "\n".join(_Printer.of(page, every_code, expressions).lines(page)) + "\n"


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


@dataclass(frozen=True, slots=True)
class _Printer:
    """Prints one page. Remembers what it has told: a fact and a list of codes stand on a page in full once."""

    every_code: bool
    expressions: bool
    facts: Mapping[str, PageNode]
    told: dict[str, str] = field(default_factory=dict)  # fact -> the node under which it was told
    listed: dict[tuple[CodeLine, ...], str] = field(default_factory=dict)  # codes -> the same

    @classmethod
    def of(cls, page: Page, every_code: bool, expressions: bool) -> _Printer:
        facts = {node.id: node for section in page.sections if section.id == "facts" for node in section.nodes}
        return cls(every_code, expressions, facts)

    def lines(self, page: Page) -> Iterator[str]:
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
            yield from self._section(section)

    def _section(self, section: Section) -> Iterator[str]:
        for paragraph in section.intro.split("\n"):
            yield from _wrapped(paragraph, 2) if paragraph else ("",) if section.intro else ()
        briefly = self._briefly(section)
        for node in section.nodes:
            if node not in briefly.values():
                yield ""
                yield from self._node(node, 2)
        if briefly:
            yield ""
        for line in briefly:
            yield from _hanging("- ", line, 2)

    def _briefly(self, section: Section) -> dict[str, PageNode]:
        """What a line is enough for, by that line."""
        if section.id == "value-sets" and not self.every_code:
            return {f"{_named(one)}: {NO_READER}": one for one in section.nodes if not one.readers}
        return self._facts_briefly(section) if section.id == "facts" else {}

    def _facts_briefly(self, section: Section) -> dict[str, PageNode]:
        """Facts that the page has told in full, and plain look-ups."""
        found = {}
        for node in section.nodes:
            by = ", ".join(one for one in node.readers if one != self.told.get(node.id))
            if node.id in self.told:
                found[f"{node.id}: above, under {self.told[node.id]}{f'; read by {by} too' if by else ''}"] = node
            elif [one.label for one in node.details] == ["is", "read by"] and not node.details[0].saying.parts:
                found[f"{node.id}: {_unnamed(node.details[0], node.id).saying.line}; read by {by}"] = node
        return found

    def _node(self, node: PageNode, indent: int) -> Iterator[str]:
        kind = f"{node.kind.upper() if node.children else node.kind}: " if node.kind else ""
        yield from _wrapped(f"{kind}{_named(node)}", indent)
        for citation in node.citations:
            yield from _hanging(*_cited(citation), indent + 4)
        yield from self._details(node, indent + 4)
        yield from self._codes(node, indent + 4)
        for child in node.children:
            yield ""
            yield from self._node(child, indent + 4)

    def _details(self, node: PageNode, indent: int) -> Iterator[str]:
        said = " ".join(one.saying.line for one in node.details if one.fact not in self.told)
        for n, detail in enumerate(node.details):
            told = self.told.get(detail.fact)
            if detail.label == NOTICE or (detail.repeated and detail in node.details[:n]):
                continue  # of a notice, its section has told it
            if detail.fact not in self.facts:
                yield from self._detail(detail, indent)
            elif told is None:
                self.told[detail.fact] = node.id
                yield from self._fact(detail, indent)
            elif not detail.repeated:
                yield from _hanging(
                    f"{detail.label}: ", ", ".join(filter(None, (detail.fact, _above(told, node)))), indent
                )
            elif told != node.id and re.search(rf"\b{detail.fact}\b", said):
                yield from _hanging("where ", f"{detail.fact}: {_above(told, node)}", indent)

    def _fact(self, detail: Detail, indent: int) -> Iterator[str]:
        """A fact in full, where it is first read: what its node says, but for what reads it."""
        name = detail.fact
        held = [one for one in self.facts[name].details if one.label == "holds"]
        rest = [one for one in self.facts[name].details if one.label not in ("holds", "read by")]
        if held:
            yield from _hanging(f"{detail.label} ", f"{name}: {held[0].saying.line}", indent)
        elif rest:
            yield from self._detail(replace(_unnamed(rest[0], name), label=f"{detail.label} {name}"), indent)
        for one in rest if held else rest[1:]:
            yield from self._detail(_unnamed(one, name), indent + 4)

    def _detail(self, detail: Detail, indent: int) -> Iterator[str]:
        saying = detail.saying
        if saying.parts and len(saying.line) > _LONGEST_LINE:
            yield from _wrapped(f"{detail.label}: {saying.heading}", indent)
            yield from _parts(saying, indent + 4)
        else:
            yield from _hanging(f"{detail.label}: ", saying.line, indent)
        if self.expressions and detail.expression and saying.line != f"«{detail.expression}»":
            for line in detail.expression.split("\n"):
                yield from _hanging("= ", line, indent + 4)

    def _codes(self, node: PageNode, indent: int) -> Iterator[str]:
        if self.every_code and node.every_code:
            yield from _listed(node.every_code, indent)
        elif node.codes and node.codes in self.listed:
            yield from _wrapped(f"its codes stand above, under {self.listed[node.codes]}", indent)
        else:
            self.listed[node.codes] = node.title
            yield from _roots_and_codes(node, indent)


def _above(told: str, node: PageNode) -> str:
    """Where a fact has been told that is named again."""
    return "" if told == node.id else f"as above, under {told}"


def _named(node: PageNode) -> str:
    return node.title if node.title == node.id else f"{node.title} [{node.id}]"


def _unnamed(detail: Detail, name: str) -> Detail:
    """What is said of a fact that has just been named, without its name at the end."""
    if detail.saying.parts or not detail.saying.words.endswith(f" ({name})"):
        return detail
    return replace(detail, saying=replace(detail.saying, words=detail.saying.words.removesuffix(f" ({name})")))


def _cited(citation: Citation) -> tuple[str, str]:
    words = f": {citation.words}" if citation.words else ""
    if citation.ours:
        return "ours: ", f"{citation.label.removeprefix('ours:').strip()}{words}"
    return "source: ", f"{citation.label}{words}"


def _parts(saying: Saying, indent: int) -> Iterator[str]:
    marks = _IF if saying.joined == "if" else ("- ",) * len(saying.parts)
    for mark, part in zip(marks, saying.parts, strict=True):
        if part.parts and len(part.line) > _LONGEST_LINE - indent:
            yield from _wrapped(f"{mark}{part.heading}", indent)
            yield from _parts(part, indent + 4)
        else:
            yield from _hanging(mark, part.line, indent)


def _roots_and_codes(node: PageNode, indent: int) -> Iterator[str]:
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
        "".join(letter if letter.isprintable() else " " for letter in text).replace(_VALUE_SETS, "…/"),
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
