"""A policy as a page: sections of nodes, each with its words, its FHIRPath and its citations. Plain values.

Terminal text, JSON, a later HTML, and what changed between two versions are all made from this one structure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, assert_never

from cds_service.policy.plan import Citation

Joined = Literal["says", "each", "all", "any", "none", "not-all", "if"]

# what the owners of code systems ask to be said: of many value sets the same, so the text says it once
NOTICE = "notice"
# of what a shared fact brings along and this policy does not ask about
NO_READER = "decides nothing in this policy"
_OTHERWISE_OPEN = " (otherwise not known)"
_JOINING = {
    "says": "",
    "each": "",  # its words say of what
    "all": "all of these",
    "any": "any of these",
    "none": "none of these",
    "not-all": "not all of these",
    "if": "",  # its first part says if
}


@dataclass(frozen=True, slots=True)
class Saying:
    """An expression in words: a sentence (`says`), or parts that are joined.

    Of an `each` the words name what is looked at one by one, and the part is what is asked of it. Of an `if` the
    parts are the condition, what then holds, and what holds otherwise. With `open`, what is not so is not known
    rather than false. A piece that has no words stands in «» as FHIRPath.
    """

    words: str = ""
    joined: Joined = "says"
    parts: tuple[Saying, ...] = ()
    open: bool = False

    @property
    def heading(self) -> str:
        """What stands above the parts."""
        return f"{self.words if self.joined == 'each' else _JOINING[self.joined]}{_OTHERWISE_OPEN if self.open else ''}"

    @property
    def line(self) -> str:
        """All of it on one line."""
        ending = _OTHERWISE_OPEN if self.open else ""
        inside = [part.bracketed for part in self.parts]
        match self.joined:
            case "says":
                told = self.words
            case "each":
                told = f"{self.words}: {self.parts[0].line}"
            case "all":
                told = " and ".join(inside)
            case "any":
                told = " or ".join(inside)
            case "none":
                told = f"none of: {' / '.join(inside)}"
            case "not-all":
                told = f"not all of: {' / '.join(inside)}"
            case "if":
                told = f"if {inside[0]}: {inside[1]}; otherwise: {inside[2]}"
            case _:
                assert_never(self.joined)
        return f"{told}{ending}"

    @property
    def bracketed(self) -> str:
        """All of it on one line, in brackets where it would run into its neighbours."""
        return f"({self.line})" if self.parts or self.open else self.line


@dataclass(frozen=True, slots=True)
class Detail:
    """One labelled line of a node, e.g. "met if", with the FHIRPath that its words were made from.

    `fact` names the fact that it tells, where it tells one: a page tells a fact in full once, and then by its name.
    """

    label: str
    saying: Saying
    expression: str | None = None
    repeated: bool = False  # says again what another node of the page says
    fact: str = ""


@dataclass(frozen=True, slots=True)
class CodeLine:
    """A code of a value set; `below` codes of the set lie under it in the code system's hierarchy."""

    system: str
    code: str
    words: str
    below: int | None = None  # None where the code stands for itself alone


@dataclass(frozen=True, slots=True)
class PageNode:
    """One thing that the page tells: a row, a criterion, a document, a fact, a value set."""

    id: str
    title: str
    kind: str = ""  # "all of", "any of", "boolean", ...
    details: tuple[Detail, ...] = ()
    citations: tuple[Citation, ...] = ()
    children: tuple[PageNode, ...] = ()
    codes: tuple[CodeLine, ...] = ()
    every_code: tuple[CodeLine, ...] = ()  # where `codes` names roots: what they stand for
    readers: tuple[str, ...] = ()  # of a fact or value set: the ids of what reads it


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    intro: str
    nodes: tuple[PageNode, ...]

    def walk(self) -> Iterator[tuple[PageNode, PageNode | None]]:
        """Every node with its parent, from the top."""
        for node in self.nodes:
            yield from _walk(node, None)


@dataclass(frozen=True, slots=True)
class Page:
    """One version of a policy. `identity` is what stands at the head: payer, document, from and until when."""

    policy: str
    version: str
    title: str
    identity: tuple[Detail, ...]
    sections: tuple[Section, ...]


def _walk(node: PageNode, parent: PageNode | None) -> Iterator[tuple[PageNode, PageNode | None]]:
    yield node, parent
    for child in node.children:
        yield from _walk(child, node)
