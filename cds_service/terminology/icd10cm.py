"""ICD-10-CM of a value set, held against a list of the codes: what does not exist, and what a root has that is missing.

A root (`concept is-a X`) means X and every code under it, so its expansion ages with each release. Pure: the list comes
from outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from cds_service.fhir.codings import ICD10CM
from cds_service.fhir.problem import Problem


class CodeList(Protocol):
    """A release of ICD-10-CM. Codes are written with their dot."""

    @property
    def release(self) -> str: ...

    def holds(self, code: str) -> bool: ...

    def billable_under(self, code: str) -> frozenset[str]:
        """The code itself, if it can be billed, and all codes under it that can."""
        ...


def has_codes(resource: Mapping[str, Any]) -> bool:
    """Whether a value set says anything of ICD-10-CM."""
    return any(one.get("system") == ICD10CM for one in resource.get("compose", {}).get("include", []))


def compare(resource: Mapping[str, Any], where: str, codes: CodeList) -> Iterator[Problem]:
    """What of a sound value set is not as the list has it. Codes seventh characters and all, as they are billed."""
    expansion = resource.get("expansion", {}).get("contains", [])
    expanded = {one["code"] for one in expansion if one.get("system") == ICD10CM}
    for n, one in enumerate(expansion):
        if one.get("system") == ICD10CM and not codes.holds(one["code"]):
            yield _gone(f"{where}: expansion.contains[{n}]", one["code"], codes)
    for i, include in enumerate(resource.get("compose", {}).get("include", [])):
        if include.get("system") != ICD10CM:
            continue
        for n, one in enumerate(include.get("concept", [])):
            if not codes.holds(one["code"]):
                yield _gone(f"{where}: compose.include[{i}].concept[{n}]", one["code"], codes)
        for n, one in enumerate(include.get("filter", [])):
            at = f"{where}: compose.include[{i}].filter[{n}]"
            if not codes.holds(one["value"]):
                yield _gone(at, one["value"], codes)
                continue
            missing = sorted(codes.billable_under(one["value"]) - expanded)
            if missing:
                what = f"under {one['value']} ICD-10-CM {codes.release} has {_some(missing)}, the expansion has not"
                yield Problem("conflict", at, what, "bring the expansion up to date")


def _gone(at: str, code: str, codes: CodeList) -> Problem:
    what = f"{code} is no code of ICD-10-CM {codes.release}"
    return Problem("invalid", at, what, "mend the misprint, or take a code out that was deleted")


def _some(codes: list[str]) -> str:
    shown = ", ".join(codes[:5])
    return shown if len(codes) <= 5 else f"{shown} and {len(codes) - 5} more"
