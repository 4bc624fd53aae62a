"""Mutants and the policies' cases -> which mutants no case notices. Pure but for the processes it runs in.

A mutant is killed when the loader refuses it or some case of some policy that reads the mutated file fails. What does
not change (the other definitions, the cases) is read once; the cases that are likeliest to notice come first.
"""

from __future__ import annotations

import json
import multiprocessing
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cds_service.fhir.codings import coding_key
from cds_service.fhir.problem import Problem
from cds_service.policy.case_file import Case
from cds_service.policy.cases import differences
from cds_service.policy.plan import Condition, Policy
from cds_service.policy.read_plan import compile_plan
from cds_service.policy.remembered import Remembered
from cds_service.terminology.value_sets import Key, ValueSet, ValueSets
from mutate.mutants import EVERY_CODE, NO_CODE, Mutant, mutate

REFUSED = "the loader refuses it"


@dataclass(frozen=True, slots=True)
class Subject:
    """One version of a policy with its cases, and for each case the names it speaks of."""

    policy: Policy
    folder: str
    cases: tuple[Case, ...]
    speaks_of: tuple[frozenset[str], ...] = field(repr=False)
    spoken_of: Mapping[str, int] = field(repr=False)  # by how many cases

    @classmethod
    def of(cls, policy: Policy, folder: str, cases: Sequence[Case]) -> Subject:
        told = tuple(frozenset(_words(_told(case))) for case in cases)
        return cls(policy, folder, tuple(cases), told, Counter(word for words in told for word in words))

    def weight(self, word: str) -> float:
        return 1 / self.spoken_of[word] if word in self.spoken_of else 0.0


@dataclass(frozen=True, slots=True)
class World:
    """All that a mutant is compiled with: what was read, once, from the definition folders."""

    subjects: tuple[Subject, ...]
    files: Mapping[str, Mapping[str, Any]]  # where -> resource, of plans, libraries and value sets
    libraries: Mapping[str, Mapping[str, Any]]
    value_sets: ValueSets
    payers: Mapping[str, str]
    remembered: Remembered = field(default_factory=Remembered, repr=False)

    def readers(self, file: str) -> tuple[Subject, ...]:
        """The policies that read a file: the plan itself, those that pin the library, those that use the set."""
        resource = self.files[file]
        if resource["resourceType"] == "PlanDefinition":
            return tuple(one for one in self.subjects if one.policy.where == file)
        canonical = f"{resource['url']}|{resource['version']}"
        if resource["resourceType"] == "Library":
            return tuple(one for one in self.subjects if canonical in one.policy.resource.get("library", []))
        return tuple(one for one in self.subjects if canonical in one.policy.value_sets)


def world(
    subjects: Sequence[Subject],
    files: Mapping[str, Mapping[str, Any]],
    value_sets: ValueSets,
    payers: Mapping[str, str],
) -> World:
    """The definitions with the two sets that mutants put in the place of others."""
    every = frozenset(_codes_in(subjects)) | {key for one in value_sets.values() for key in one.keys}
    extremes = [
        ValueSet(
            url=canonical.partition("|")[0],
            version=canonical.partition("|")[2],
            name=canonical,
            title=canonical,
            keys=keys,
            displays={key: key[1] for key in keys},
        )
        for canonical, keys in ((NO_CODE, frozenset[Key]()), (EVERY_CODE, every))
    ]
    libraries = {f"{one['url']}|{one['version']}": one for one in files.values() if one["resourceType"] == "Library"}
    return World(tuple(subjects), files, libraries, ValueSets([*value_sets.values(), *extremes]), payers)


def failing(subjects: Sequence[Subject]) -> list[Problem]:
    """Cases that fail without any mutation: nothing can be learned from them."""
    return [
        Problem("conflict", case.where, found[0], "mend the plan or the case before it is mutated")
        for subject in subjects
        for case in subject.cases
        if (found := differences(case, subject.policy))
    ]


def hunt(given: World, mutants: Sequence[Mutant], processes: int) -> dict[Mutant, str | None]:
    """Each mutant with what killed it, the name of a case or `REFUSED`; None for those that survive."""
    groups: dict[tuple[str, str], list[Mutant]] = {}
    for one in mutants:
        groups.setdefault((one.file, one.owner), []).append(one)
    lots = sorted(groups.values(), key=len, reverse=True)
    if processes == 1:
        return dict(pair for lot in lots for pair in _hunt_lot(given, lot))
    found: dict[Mutant, str | None] = {}
    # forked: what was read is shared, and nothing of it has to be sent
    global _given
    _given = given
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for pairs in pool.imap_unordered(_hunt_forked, lots):
            found.update(pairs)
    return found


_given: World | None = None


def _hunt_forked(lot: Sequence[Mutant]) -> list[tuple[Mutant, str | None]]:
    assert _given is not None
    return list(_hunt_lot(_given, lot))


def _hunt_lot(given: World, lot: Sequence[Mutant]) -> Iterator[tuple[Mutant, str | None]]:
    """The mutants of one place, one after the other: what killed one is tried first on the next."""
    readers = given.readers(lot[0].file)
    near = {one.folder: _near(one, lot[0]) for one in readers}
    killers: dict[str, list[int]] = {one.folder: [] for one in readers}
    for mutant in lot:
        killer = None
        for subject in readers:
            policy = _compiled(given, mutant, subject)
            if policy is None:
                killer = REFUSED
            else:
                likeliest = _likeliest(given, subject, mutant, near[subject.folder], killers[subject.folder])
                killer = _kill(policy, subject, likeliest, killers[subject.folder])
            if killer is not None:
                break
        yield mutant, killer


def _near(subject: Subject, mutant: Mutant) -> list[float]:
    """How much each case speaks of what is mutated and of what reads it; names that few cases have count for more."""
    names = _names_near(subject.policy, mutant)
    return [sum(subject.weight(name) for name in names & told) for told in subject.speaks_of]


def _likeliest(given: World, subject: Subject, mutant: Mutant, near: Sequence[float], killers: list[int]) -> list[int]:
    """The places of all cases, the likeliest killers first."""
    told = _words_of(given, mutant)
    score = list(near)
    for n, words in enumerate(subject.speaks_of):
        if not told.isdisjoint(words):
            score[n] += 2 * sum(subject.weight(word) for word in told & words)
    order = sorted(range(len(score)), key=lambda n: -score[n])
    recent = killers[-3:]
    return [*reversed(recent), *(n for n in order if n not in recent)]


def _words_of(given: World, mutant: Mutant) -> frozenset[str]:
    """What a case that notices is likely to say: the text or number that is changed, the codes that are taken away."""
    told = {code for _, code in mutant.codes}
    for word in re.findall(r"[\w.-]+", mutant.name.partition("[")[2].partition(" -> ")[0]):
        told.add(word)
        for canonical, held in given.value_sets.items():
            if canonical.partition("|")[0].endswith(f"/{word}"):
                told |= {code for _, code in held.keys}
    return frozenset(told)


def _names_near(policy: Policy, mutant: Mutant) -> frozenset[str]:
    """The owner, and the facts and verdicts that rest on it."""
    near = {mutant.owner}
    reach: dict[str, set[str]] = {}
    for name, reads in _reads(policy):
        for read in reads:
            reach.setdefault(read, set()).add(name)
    waiting = [mutant.owner]
    while waiting:
        for name in reach.get(waiting.pop(), ()):
            if name not in near:
                near.add(name)
                waiting.append(name)
    return frozenset(near)


def _reads(policy: Policy) -> Iterator[tuple[str, Iterable[str]]]:
    """Each fact, verdict, row and card with the names that it reads at once."""
    for fact in policy.facts.values():
        ends = (fact.window.start, fact.window.end) if fact.window is not None else ()
        for expression in (fact.expression, fact.where, *ends):
            yield fact.name, expression.reads if expression is not None else ()
    for criterion in policy.criteria.values():
        yield criterion.id, criterion.own_inputs
    for document in policy.documents.values():
        yield document.id, document.inputs
    judged: list[tuple[str, Condition | None]] = []
    for one in policy.criteria.values():
        judged += [(one.id, one.applicability), (one.id, one.start)]
    for paper in policy.documents.values():
        judged += [(paper.id, paper.applicability), (paper.id, paper.start)]
    judged += [(row.id, row.condition) for row in policy.rows]
    judged += [(exclusion.id, exclusion.condition) for exclusion in policy.exclusions.values()]
    judged += [(advice.id, advice.condition) for advice in policy.advice]
    for name, condition in judged:
        for expression in condition.expressions if condition is not None else ():
            yield name, expression.reads


def _kill(policy: Policy, subject: Subject, order: Sequence[int], killers: list[int]) -> str | None:
    """The case that notices, which is put last among the killers."""
    for n in order:
        try:
            noticed = bool(differences(subject.cases[n], policy))
        except Exception:  # a mutant that breaks the run is noticed
            noticed = True
        if noticed:
            if n in killers:
                killers.remove(n)
            killers.append(n)
            return subject.cases[n].name
    return None


def _compiled(given: World, mutant: Mutant, subject: Subject) -> Policy | None:
    resource, libraries, value_sets = subject.policy.resource, given.libraries, given.value_sets
    changed = given.files[mutant.file]
    if mutant.codes:
        held = value_sets[f"{changed['url']}|{changed['version']}"]
        value_sets = ValueSets([*value_sets.values(), replace(held, keys=held.keys - mutant.codes)])
    elif changed["resourceType"] == "Library":
        libraries = {**libraries, f"{changed['url']}|{changed['version']}": mutate(changed, mutant.path, mutant.value)}
    else:
        resource = mutate(resource, mutant.path, mutant.value)
    policy, _ = compile_plan(
        resource, subject.policy.where, subject.policy.version, libraries, value_sets, given.payers, given.remembered
    )
    return policy


# -- what a case speaks of


def _told(case: Case) -> str:
    told = (case.expect, case.facts, case.answers, case.order, case.draft, case.chart, case.encounter, case.requester)
    return json.dumps(told, default=str)


def _words(text: str) -> Iterator[str]:
    for word in re.findall(r"[\w.-]+", text):
        yield word
        yield word.replace(".", "").upper()  # codes are compared without their dot


def _codes_in(subjects: Sequence[Subject]) -> Iterator[Key]:
    for subject in subjects:
        for case in subject.cases:
            yield from _codings(case.chart)
            yield from _stated(case)


def _codings(node: Any) -> Iterator[Key]:
    if isinstance(node, Mapping):
        key = coding_key(node.get("system"), node.get("code"))
        if key is not None:
            yield key
        for one in node.values():
            yield from _codings(one)
    elif isinstance(node, list | tuple):
        for one in node:
            yield from _codings(one)


def _stated(case: Case) -> Iterator[Key]:
    """Codes that a case writes bare, under every system that it could mean."""
    from cds_service.fhir.codings import HCPCS, ICD10CM, NUCC, SNOMED

    told = json.dumps((case.order, case.draft, case.facts, case.requester, case.encounter), default=str)
    for word in set(re.findall(r"[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)?", told)):
        for system in (HCPCS, ICD10CM, NUCC, SNOMED):
            key = coding_key(system, word)
            if key is not None:
                yield key
