"""A policy and its form -> what a client reads of a chart to fill the form itself. Load and release time; pure.

Retrieval only: which resources, by which codes, in which words. No threshold and no window of the policy is in it: a
client tells what is on record with its date, and whether that meets a criterion is judged here (DTR, sec-3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cds_service.policy.plan import Fact, Measurement, Policy

FOUND = ".found"
# the newest of one source are told, as many as a determination shows of one criterion
MOST_TOLD = 10
# the types of which a client is told how to put an item into words
TYPES = ("Condition", "DeviceRequest", "DiagnosticReport", "DocumentReference", "Observation", "ServiceRequest")


class Source(NamedTuple):
    """Resources of one type whose `element` bears a code of the set; `measurement`: their values are told."""

    name: str
    type: str
    element: str
    value_set: str  # url|version
    measurement: Measurement | None


class Told(NamedTuple):
    """An item of the form, and the sources that fill it, in the order in which they are told."""

    link_id: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Population:
    """`name`, `url` and `version` are those of the Library that says the same in CQL."""

    name: str
    identity: str
    url: str
    version: str
    title: str
    sources: Mapping[str, Source]
    told: tuple[Told, ...]

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}"

    @property
    def value_sets(self) -> tuple[str, ...]:
        return tuple(sorted({one.value_set for one in self.sources.values()}))


def population_of(policy: Policy) -> Population | None:
    """None where the policy has no form, or nothing of the form can be filled from codes of a chart."""
    form = policy.form
    if form is None:
        return None
    by_place: dict[tuple[str, ...], Source] = {}
    told: list[Told] = []
    for link_id in form.items:
        if not link_id.endswith(FOUND):
            continue
        names: dict[str, None] = {}
        for fact in _facts_of(policy, link_id.removesuffix(FOUND)):
            source = _source(fact)
            if source is not None:
                # two facts that differ in window or filter alone are read once
                place = (source.type, source.element, source.value_set)
                names[by_place.setdefault(place, source).name] = None
        if names:
            told.append(Told(link_id, tuple(names)))
    if not told:
        return None
    identity = f"{form.resource['id']}-population"
    name = str(form.resource["name"]).removesuffix("Questionnaire") + "Population"
    url = f"{form.url.rpartition('/Questionnaire/')[0]}/Library/{identity}"
    sources = {one.name: one for one in by_place.values()}
    return Population(name, identity, url, form.version, form.title, sources, tuple(told))


def _source(fact: Fact) -> Source | None:
    """None for what cannot be asked for by a code: a client would have to read all of that type."""
    if fact.value_set is None or fact.type not in TYPES:
        return None
    return Source(fact.name, fact.type, fact.code_path or "code", fact.value_set, fact.measurement)


def _facts_of(policy: Policy, name: str) -> Iterator[Fact]:
    """The retrieved facts that a criterion, exclusion or document rests on, in the order in which it reads them."""
    read: Sequence[str] = ()
    if name in policy.criteria:
        criterion = policy.criteria[name]
        read = (*(criterion.start.reach.items if criterion.start is not None else ()), *criterion.own_inputs)
    elif name in policy.exclusions:
        read = policy.exclusions[name].condition.reach.items
    elif name in policy.documents:
        read = policy.documents[name].inputs
    seen: dict[str, None] = {}
    waiting = list(read)
    while waiting:
        fact = policy.facts[waiting.pop(0)]
        if fact.name in seen:
            continue
        seen[fact.name] = None
        if fact.retrieved:
            yield fact
        waiting = [*fact.sources, *waiting]


_WORD = re.compile(r"[^A-Za-z0-9]+")


def capitals(text: str) -> str:
    """`ma-oxygen.rest.found` -> `MaOxygenRestFound`: a name that CQL reads without quotes."""
    return "".join(part[:1].upper() + part[1:] for part in _WORD.split(text) if part)


def codes_of(value_set: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(system, code) of a held set, as EHRs write them."""
    return [(one["system"], one["code"]) for one in value_set.get("expansion", {}).get("contains", ())]
