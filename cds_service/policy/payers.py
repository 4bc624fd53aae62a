"""InsurancePlan -> payer: the names, identifiers and words by which it is known. Pure; reads no coverage."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cds_service.fhir.problem import Problem

PROGRAMME = "https://cds-service.example.org/fhir/StructureDefinition/programme"

_WORD = re.compile(r"[^\W_]+")
_APOSTROPHE = re.compile("['’`]")
_PARTS: Mapping[str, str] = {
    "code": "valueCode",
    "name": "valueString",
    "word": "valueString",
    "alias": "valueString",
    "note": "valueString",  # where it is known from, for those who read the file
}


@dataclass(frozen=True, slots=True)
class Programme:
    """A product or programme of a payer. `words` and `aliases` are folded; `name` is how a card says it.

    A coverage says its programme by a word or alias in its class or type; a payor is known by an alias alone.
    """

    code: str
    name: str
    words: frozenset[str]
    aliases: frozenset[str]


@dataclass(frozen=True, slots=True)
class Payer:
    """A payer served here. `names` (its name and aliases) are folded; `identifiers` are (system, value)."""

    id: str
    name: str
    names: frozenset[str]
    identifiers: frozenset[tuple[str, str]]
    programmes: tuple[Programme, ...]


def fold(text: str) -> str:
    """Words without case and punctuation, one blank between them: "St. Mary's & Co" -> "st marys and co"."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("&", " and ")
    return " ".join(_WORD.findall(_APOSTROPHE.sub("", plain)))


def says(folded_text: str, folded_words: str) -> bool:
    """Whether a folded text holds these folded words, whole and in this order: "mco" is not in "amco"."""
    return f" {folded_words} " in f" {folded_text} "


def read_payer(insurance_plan: Mapping[str, Any], where: str) -> tuple[Payer | None, list[Problem]]:
    """A shape-checked InsurancePlan -> the payer, or every fault in the file.

    The payer is `id` and `name`, known by `name`, `alias` and `identifier`. Each extension `programme` is a
    product or programme: `code` 1..1, `name` 1..1, `word` 0..* (what Coverage.class or Coverage.type says),
    `alias` 0..* (the name under which a payer organisation of that programme appears), `note` 0..* (where this is
    known from; nothing reads it).
    """
    reading = _Reading(insurance_plan, where)
    payer = reading.payer()
    return (None if reading.problems else payer), reading.problems


class _Reading:
    """One file on its way to a Payer, with the faults found so far."""

    def __init__(self, plan: Mapping[str, Any], where: str) -> None:
        self.plan = plan
        self.where = where
        self.problems: list[Problem] = []
        self.taken: dict[str, str] = {}  # folded name -> where it stands

    def fault(self, path: str, what: str, fix: str) -> None:
        self.problems.append(Problem("invalid", f"{self.where}: {path}", what, fix))

    def payer(self) -> Payer:
        payer_id, name = (self.text(self.plan, element, element) for element in ("id", "name"))
        if self.plan.get("status") != "active":
            self.fault("status", f"{self.plan.get('status')!r}", "a payer that is served is 'active'")
        names = {self.claim("name", name)} if name else set()
        for n, alias in enumerate(self.plan.get("alias", [])):
            names.add(self.claim(f"alias[{n}]", alias))
        identifiers = frozenset(self.identifiers())
        programmes = tuple(self.programmes())
        return Payer(payer_id, name, frozenset(names), identifiers, programmes)

    def text(self, holder: Mapping[str, Any], element: str, path: str) -> str:
        value = holder.get(element)
        if isinstance(value, str) and value.strip():
            return value
        self.fault(path, "missing", f"give the {path.rpartition('.')[2]}")
        return ""

    def claim(self, path: str, name: str) -> str:
        """A name under which the payer is found, folded; one name may not stand for two things."""
        folded = fold(name)
        if not folded:
            self.fault(path, f"{name!r} has no letter or digit", "write a name")
        elif folded in self.taken:
            twin = self.taken[folded]
            self.fault(path, f"{name!r} is, without case and punctuation, {twin} too", "remove one")
        self.taken.setdefault(folded, path)
        return folded

    def identifiers(self) -> Iterator[tuple[str, str]]:
        for n, identifier in enumerate(self.plan.get("identifier", [])):
            path = f"identifier[{n}]"
            system, value = (self.text(identifier, part, f"{path}.{part}") for part in ("system", "value"))
            if system and value:
                yield system.strip(), value.strip()

    def programmes(self) -> Iterator[Programme]:
        codes: set[str] = set()
        for n, extension in enumerate(self.plan.get("extension", [])):
            path = f"extension[{n}]"
            if extension.get("url") != PROGRAMME:
                unknown = extension.get("url")
                self.fault(path, f"unknown extension {unknown!r}", f"the one known here is {PROGRAMME}")
                continue
            programme = self.programme(extension, path)
            if programme.code in codes:
                self.fault(path, f"the programme {programme.code!r} is given twice", "join the two")
            codes.add(programme.code)
            yield programme

    def programme(self, extension: Mapping[str, Any], path: str) -> Programme:
        found: dict[str, list[tuple[str, str]]] = {part: [] for part in _PARTS}
        for n, sub in enumerate(extension.get("extension", [])):
            here, part = f"{path}.extension[{n}]", sub.get("url")
            if part not in _PARTS:
                self.fault(here, f"unknown part {part!r}", f"a programme has {', '.join(_PARTS)}")
            elif not isinstance(sub.get(_PARTS[part]), str):
                self.fault(here, f"{part} without a {_PARTS[part]}", f"give the {part} as {_PARTS[part]}")
            else:
                found[part].append((here, sub[_PARTS[part]]))
        for part in ("code", "name"):
            if len(found[part]) != 1:
                self.fault(path, f"{len(found[part])} times {part}", f"a programme has one {part}")
        if not found["word"] and not found["alias"]:
            self.fault(path, "neither word nor alias", "give what a coverage of this programme says")
        words = frozenset(fold(text) for _, text in found["word"])
        if "" in words:
            self.fault(path, "a word without a letter or digit", "write a word")
        return Programme(
            code=next((text for _, text in found["code"]), ""),
            name=next((text for _, text in found["name"]), ""),
            words=words,
            aliases=frozenset(self.claim(here, text) for here, text in found["alias"]),
        )
