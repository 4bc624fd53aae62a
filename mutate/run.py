"""Change one thing at a time in every plan, library and value set, and show that some case fails for each. Prints."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from cds_service.adapters.definition_files import CASES, SURVIVORS
from cds_service.app import Policies, StartRefused, load_policies
from cds_service.fhir.problem import Problem
from cds_service.policy.case_file import read_cases
from cds_service.settings import Settings, settings_from_environment
from mutate.hunt import Subject, World, failing, hunt, world
from mutate.mutants import Mutant, plan_mutants, set_mutants
from mutate.survivors import UNEXPLAINED, Survivors, check_survivors, read_survivors


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m mutate.run", description=__doc__)
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="only what the plans below these folders read"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="(%(default)s: one per core)")
    chosen = parser.parse_args(arguments)
    settings, problems = settings_from_environment()
    if settings is None:
        return _report(problems)
    return run(settings, [path.resolve() for path in chosen.paths], chosen.processes)


def run(settings: Settings, below: Sequence[Path], processes: int) -> int:
    """Mutate what the plans below the paths read (all, where there are none). 0 when every survivor has a reason."""
    began = time.perf_counter()
    try:
        policies = load_policies(settings)
    except StartRefused as refused:
        return _report(refused.problems)
    subjects, problems = _subjects(policies)
    problems = problems or [*_untold(policies, subjects), *failing(subjects)]
    if problems:
        return _report(problems)
    given = _world(policies, subjects)
    roots = {settings.plans.name: settings.plans, settings.valuesets.name: settings.valuesets}
    mutants = {file: _mutants(given, file) for file in given.files}
    tried = [one for file in mutants if _is_below(given.readers(file), roots, below) for one in mutants[file]]
    if not tried:
        return _report([Problem("not-found", str(below), "no plan below these paths", "name a folder of CDS_PLANS")])
    killed = hunt(given, tried, processes)
    problems = _held_against_lists(killed, mutants, roots)
    _report(problems)
    for folder in sorted({_folder(one.file) for one in tried}):
        here = [killer for one, killer in killed.items() if _folder(one.file) == folder]
        print(f"{folder}: {len(here)} mutants, {here.count(None)} survive")
    unexplained = sum(1 for one in problems if one.what.startswith(UNEXPLAINED))
    print(
        f"{len(tried)} mutants, {list(killed.values()).count(None)} survive, {unexplained} of them without a reason; "
        f"{len(problems) - unexplained} other faults; {time.perf_counter() - began:.0f} s"
    )
    return 1 if problems else 0


def _untold(policies: Policies, subjects: Sequence[Subject]) -> list[Problem]:
    told = {one.policy.where for one in subjects}
    return [
        Problem("not-found", one.where, "no cases beside it", f"write {CASES}: nothing would notice a slip in it")
        for one in policies.catalogue.policies
        if one.where not in told and not one.retired
    ]


def _subjects(policies: Policies) -> tuple[list[Subject], list[Problem]]:
    subjects, problems = [], []
    for unread in policies.cases:
        policy = policies.beside(unread)
        if policy is None:
            problems.append(Problem("invalid", unread.where, "no plan beside it", "put it beside its plan"))
            continue
        read, faults = read_cases(unread.text, unread.where, unread.charts)
        problems.extend(faults)
        subjects.append(Subject.of(policy, _folder(unread.where), read.cases))
    return subjects, problems


def _world(policies: Policies, subjects: Sequence[Subject]) -> World:
    held = {one.definition.where: one.definition.resource for one in policies.files}
    files = {where: one for where, one in held.items() if one["resourceType"] != "InsurancePlan"}
    payers = {one.id: one.name for one in policies.catalogue.payers}
    return world(subjects, files, policies.catalogue.value_sets, payers)


def _mutants(given: World, file: str) -> list[Mutant]:
    """The mutants of a file that policies with cases read."""
    readers = given.readers(file)
    resource = given.files[file]
    if not readers:
        return []
    if resource["resourceType"] == "ValueSet":
        return set_mutants(resource, file)
    if resource["resourceType"] == "PlanDefinition":
        return plan_mutants(resource, file)
    facts = {name for one in readers for name in one.policy.facts}
    return [one for one in plan_mutants(resource, file, ("dataRequirement",)) if one.owner in facts]


def _is_below(readers: Sequence[Subject], roots: Mapping[str, Path], below: Sequence[Path]) -> bool:
    return not below or any(_place(one.folder, roots).is_relative_to(path) for one in readers for path in below)


def _held_against_lists(
    killed: Mapping[Mutant, str | None], mutants: Mapping[str, Sequence[Mutant]], roots: Mapping[str, Path]
) -> list[Problem]:
    """Faults of each folder's list of survivors, and the survivors that it lacks."""
    problems: list[Problem] = []
    for folder in sorted({_folder(file) for file in mutants}):
        path = _place(folder, roots) / SURVIVORS
        listed = Survivors(f"{folder}/{SURVIVORS}")
        faults: list[Problem] = []
        if path.exists():
            listed, faults = read_survivors(path.read_text("utf-8"), listed.where)
        here = {one.name: killer is not None for one, killer in killed.items() if _folder(one.file) == folder}
        all_here = {one.name for file, ones in mutants.items() if _folder(file) == folder for one in ones}
        problems += [*faults, *check_survivors(listed, here, all_here)]
    return problems


def _folder(where: str) -> str:
    return str(PurePath(where).parent)


def _place(folder: str, roots: Mapping[str, Path]) -> Path:
    """The folder on this machine: `where` is a path from the parent of CDS_PLANS or CDS_VALUESETS."""
    root, *rest = PurePath(folder).parts
    return roots[root].resolve().joinpath(*rest)


def _report(problems: Sequence[Problem]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
