"""Value sets as code sets: read once at load, then membership is a set lookup. Knows no policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cds_service.fhir.codings import ICD10CM, canonical_system, coding_key
from cds_service.fhir.problem import Problem

# of a value set that shares no code with this one: at rest and in exercise, prescribes and does not
CONTRADICTS = "https://cds-service.example.org/fhir/StructureDefinition/contradicts"

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ValueSet:
    """A value set held here. `keys` are (canonical system, normalised code); `displays` give words for a code."""

    url: str
    version: str
    name: str
    title: str
    keys: frozenset[Key]
    displays: Mapping[Key, str]
    contradicts: tuple[str, ...] = ()  # canonicals, with version

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}"


def read_value_set(resource: Mapping[str, Any], where: str) -> tuple[ValueSet | None, list[Problem]]:
    """Read a shape-checked ValueSet resource; all faults at once.

    The expansion is what counts; it is checked against the compose, so that neither can say what the other does not:
    a listed code must be expanded, an expanded code must be listed or lie under an ICD-10-CM root ("and all
    descendants", FHIR's is-a on `concept`), and every step between a root and a descendant must be there too.
    """
    problems: list[Problem] = []

    def fault(path: str, what: str, fix: str) -> None:
        problems.append(Problem("invalid", f"{where}: {path}", what, fix))

    for name in ("url", "version", "name", "title"):
        if not isinstance(resource.get(name), str):
            fault(name, "missing", f"give the value set a {name}")
    if resource.get("status") != "active":
        fault("status", f"{resource.get('status')!r}", "only active value sets are served; write 'active'")

    contradicts = tuple(_contradicted(resource, fault))
    listed, roots = _definition(resource, fault)
    expanded: dict[Key, str] = {}
    for index, entry in enumerate(resource.get("expansion", {}).get("contains", [])):
        path = f"expansion.contains[{index}]"
        key = coding_key(entry.get("system"), entry.get("code"))
        if key is None:
            fault(path, "an entry without system or code", "give both")
        elif key in expanded:
            fault(path, f"{entry['code']} is expanded twice", "remove one")
        else:
            expanded[key] = entry.get("display", entry["code"])
    if not expanded:
        fault("expansion", "the set has no codes", "expand it: a set without an expansion would match nothing")

    for key, path in listed.items():
        if key not in expanded:
            fault(path, f"{key[1]} is listed but not expanded", "bring the expansion up to date")
    for key, path in roots.items():
        if key not in expanded:
            fault(
                path,
                f"the root {key[1]} is not in its own expansion",
                "expand the root and all its descendants",
            )
    for key in expanded:
        if key not in listed and not _under(key, roots):
            fault(
                "expansion",
                f"{key[1]} is expanded but not in the definition",
                "add it to compose or remove it",
            )
    if problems:
        return None, problems
    value_set = ValueSet(
        url=resource["url"],
        version=resource["version"],
        name=resource["name"],
        title=resource["title"],
        keys=frozenset(expanded),
        displays=expanded,
        contradicts=contradicts,
    )
    return value_set, []


def _contradicted(resource: Mapping[str, Any], fault: Any) -> Iterator[str]:
    for n, one in enumerate(resource.get("extension", [])):
        if one.get("url") != CONTRADICTS:
            fault(f"extension[{n}]", f"unknown extension '{one.get('url')}'", "leave it out: nothing reads it")
        elif "|" not in str(one.get("valueCanonical")):
            fault(f"extension[{n}]", "contradicts no pinned value set", "write valueCanonical: url|version")
        else:
            yield one["valueCanonical"]


def contradictions(where: Mapping[str, str], held: Mapping[str, ValueSet]) -> Iterator[Problem]:
    """Codes in two sets of which one says that it contradicts the other. `where` is the file of each canonical."""
    for canonical, one in held.items():
        for other in one.contradicts:
            if other not in held:
                fix = "hold it, or take the extension out"
                yield Problem("not-found", where[canonical], f"contradicts '{other}', which is not held", fix)
                continue
            for _, code in sorted(one.keys & held[other].keys):
                what = f"{code} ({one.title}) is also in {other} ({held[other].title}), which contradicts it"
                yield Problem("conflict", where[canonical], what, "leave it in the one that it means")


def _definition(resource: Mapping[str, Any], fault: Any) -> tuple[dict[Key, str], dict[Key, str]]:
    listed: dict[Key, str] = {}
    roots: dict[Key, str] = {}
    if resource.get("compose", {}).get("exclude"):
        fault("compose.exclude", "not supported", "list what is in the set instead")
    for index, include in enumerate(resource.get("compose", {}).get("include", [])):
        path = f"compose.include[{index}]"
        system = include.get("system")
        if not isinstance(system, str):
            fault(path, "an include without system", "name the code system; sets of sets are not supported")
            continue
        if canonical_system(system) != system:
            fault(f"{path}.system", f"{system!r} is a variant", f"write {canonical_system(system)!r}")
        for n, concept in enumerate(include.get("concept", [])):
            key = coding_key(system, concept.get("code"))
            if key is None:
                fault(f"{path}.concept[{n}]", "no code", "give a code")
            elif key in listed:
                fault(f"{path}.concept[{n}]", f"{concept['code']} is listed twice", "remove one")
            else:
                listed[key] = f"{path}.concept[{n}]"
        filters = include.get("filter", [])
        for n, one in enumerate(filters):
            key = coding_key(system, one.get("value"))
            if system != ICD10CM or one.get("property") != "concept" or one.get("op") != "is-a" or key is None:
                fault(
                    f"{path}.filter[{n}]",
                    "only 'concept is-a <code>' of ICD-10-CM is understood",
                    "list the codes of other systems one by one",
                )
            else:
                roots[key] = f"{path}.filter[{n}]"
        if not include.get("concept") and not filters:
            fault(path, "a whole code system", "list the codes")
    return listed, roots


def _under(key: Key, roots: Iterable[Key]) -> bool:
    # ICD-10-CM is a hierarchy by spelling: a descendant's code begins with its ancestor's (dots are already gone)
    return any(key[0] == system and key[1].startswith(code) for system, code in roots)


class ValueSets(Mapping[str, ValueSet]):
    """All value sets held, by `url|version`."""

    def __init__(self, sets: Iterable[ValueSet]) -> None:
        self._sets = {one.canonical: one for one in sets}

    def __getitem__(self, canonical: str) -> ValueSet:
        return self._sets[canonical]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sets)

    def __len__(self) -> int:
        return len(self._sets)
