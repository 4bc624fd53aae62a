"""What a plan's files say beside what is compiled: the DataRequirements of its facts, and the value sets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cds_service.fhir.codings import CPT, HCPCS, ICD10CM, LOINC, NUCC, POS, RXNORM, SNOMED, coding_key
from cds_service.pages.page import CodeLine
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.extensions import extension
from cds_service.policy.faults import CQF_EXPRESSION, STRUCTURE
from cds_service.policy.plan import Policy

_SYSTEMS = {
    HCPCS: "HCPCS",
    CPT: "CPT",
    ICD10CM: "ICD-10-CM",
    LOINC: "LOINC",
    SNOMED: "SNOMED CT",
    RXNORM: "RxNorm",
    NUCC: "NUCC",
    POS: "place of service",
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """A fact as its file states it. `from_library` is the shared library that it comes from."""

    resource: Mapping[str, Any]
    from_library: str | None

    @property
    def value_set(self) -> str | None:
        """The value set that its codes are filtered by: `url|version`."""
        for one in self.resource.get("codeFilter", []):
            return str(one.get("valueSet")) if "valueSet" in one else None
        return None

    @property
    def described(self) -> str | None:
        """What its author says it holds."""
        return _description(extension(self.resource, CQF_EXPRESSION))

    @property
    def selection_described(self) -> str | None:
        """What its author says of what counts."""
        found = extension(self.resource, f"{STRUCTURE}selection") or {}
        return next((_description(one) for one in found.get("extension", []) if one.get("url") == "where"), None)


def _description(found: Mapping[str, Any] | None) -> str | None:
    words = (found or {}).get("valueExpression", {}).get("description")
    return words if isinstance(words, str) else None


def requirements(policy: Policy, catalogue: Catalogue) -> dict[str, Requirement]:
    """Every fact that the plan reads, by name."""
    libraries = {
        f"{one.get('url')}|{one.get('version')}": one
        for one in catalogue.resources
        if one.get("resourceType") == "Library"
    }
    found: dict[str, Requirement] = {}
    for canonical in policy.resource.get("library", []):
        for one in libraries.get(canonical, {}).get("dataRequirement", []):
            found[one["id"]] = Requirement(one, canonical)
    for one in _inputs(policy.resource):
        found[one["id"]] = Requirement(one, None)
    return {name: one for name, one in found.items() if name in policy.facts}


def _inputs(action: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from action.get("input", [])
    for child in action.get("action", []):
        yield from _inputs(child)


def value_set_resources(catalogue: Catalogue) -> dict[str, Mapping[str, Any]]:
    """Value sets as their files state them, by `url|version`."""
    return {
        f"{one.get('url')}|{one.get('version')}": one
        for one in catalogue.resources
        if one.get("resourceType") == "ValueSet"
    }


def code_lines(value_set: Mapping[str, Any]) -> tuple[CodeLine, ...]:
    """The codes of a set as its definition names them: roots with the number of codes below them, and single codes."""
    words = {(one["system"], one["code"]): one.get("display", "") for one in _expanded(value_set)}
    found = []
    for include in value_set.get("compose", {}).get("include", []):
        system = include["system"]
        for one in include.get("filter", []):
            code = one["value"]
            below = sum(_under(system, other, code) for of, other in words if of == system)
            found.append(CodeLine(_system(system), code, words.get((system, code), ""), below - 1))
        for one in include.get("concept", []):
            said = words.get((system, one["code"])) or one.get("display", "")
            found.append(CodeLine(_system(system), one["code"], said))
    return tuple(found)


def every_code(value_set: Mapping[str, Any]) -> tuple[CodeLine, ...]:
    """Every code of a set."""
    return tuple(CodeLine(_system(one["system"]), one["code"], one.get("display", "")) for one in _expanded(value_set))


def _expanded(value_set: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    found: Iterable[Mapping[str, Any]] = value_set.get("expansion", {}).get("contains", [])
    return found


def _under(system: str, code: str, root: str) -> bool:
    # ICD-10-CM is a hierarchy by spelling; see terminology/value_sets.py
    one, other = coding_key(system, code), coding_key(system, root)
    return one is not None and other is not None and one[1].startswith(other[1])


def _system(uri: str) -> str:
    return _SYSTEMS.get(uri, uri)
