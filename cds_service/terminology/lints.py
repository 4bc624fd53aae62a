"""Value sets that load and are still wrong: misprinted codes, lists out of date, sets that nobody reads. For `check`.

Loading refuses what cannot be read or contradicts itself; what takes a list of codes, or only tidies, is found here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from cds_service.fhir.problem import Problem
from cds_service.terminology import icd10cm
from cds_service.terminology.code_checks import fault_of
from cds_service.terminology.icd10cm import CodeList


def lint_value_sets(
    resources: Sequence[tuple[str, Mapping[str, Any]]], read: Collection[str], codes: CodeList | None
) -> list[Problem]:
    """All faults of all value sets. `resources` are (where, ValueSet), `read` the canonicals that policies read.

    Without `codes` ICD-10-CM is not held against a list.
    """
    return [problem for where, one in resources for problem in _lint(one, where, read, codes)]


def _lint(resource: Mapping[str, Any], where: str, read: Collection[str], codes: CodeList | None) -> Iterator[Problem]:
    canonical = f"{resource['url']}|{resource['version']}"
    if canonical not in read:
        yield Problem("conflict", where, f"no policy reads {canonical}", "take it away, or use it")
    for at, system, code in _written(resource):
        what = fault_of(system, code)
        if what is not None:
            yield Problem("invalid", f"{where}: {at}", f"{code} {what}", "look the code up in its code system")
    if codes is not None:
        yield from icd10cm.compare(resource, where, codes)


def _written(resource: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(path, system, code) of every code that a person wrote, and of those in the expansion that nobody did."""
    stated = set()
    for i, include in enumerate(resource.get("compose", {}).get("include", [])):
        system = include.get("system", "")
        for n, one in enumerate(include.get("concept", [])):
            stated.add((system, one["code"]))
            yield f"compose.include[{i}].concept[{n}]", system, one["code"]
        for n, one in enumerate(include.get("filter", [])):
            yield f"compose.include[{i}].filter[{n}]", system, one["value"]
    for n, one in enumerate(resource.get("expansion", {}).get("contains", [])):
        if (one["system"], one["code"]) not in stated:
            yield f"expansion.contains[{n}]", one["system"], one["code"]
