"""Folders of plans and value sets -> definitions and policy cases. Reads files; knows not what they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cds_service.fhir.problem import Problem
from cds_service.policy.load import Definition

CASES = "cases.yaml"
CHARTS = "charts"
SURVIVORS = "survivors.yaml"  # read by `make mutate` alone
_READ_BY_PEOPLE = {".md", ".cql"}
# in a string of JSON or YAML, or a line of a page
_TO_DO = re.compile(r"TO DO: ([^;\"]+)(?:; ([^\"]+))?")


@dataclass(frozen=True, slots=True)
class DefinitionFile:
    """A definition with the text it was read from, which is what callers are given of it."""

    definition: Definition
    text: bytes


@dataclass(frozen=True, slots=True)
class UnreadCases:
    """A policy's cases, unread, with the charts beside them by the names that cases use (`charts/<file>`)."""

    where: str
    path: Path
    text: str
    charts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DefinitionFolders:
    """All that the two folders hold, in the order of their paths, and all that could not be read."""

    files: tuple[DefinitionFile, ...]
    cases: tuple[UnreadCases, ...]
    problems: tuple[Problem, ...]
    to_dos: tuple[Problem, ...] = ()  # what `new-policy` left to be written, wherever in the folders

    @property
    def unfinished(self) -> frozenset[str]:
        """The files that something is to do in."""
        return frozenset(one.where.rpartition(": line ")[0] for one in self.to_dos)


def read_definition_folders(plans: Path, valuesets: Path) -> DefinitionFolders:
    """Every definition below `plans` and `valuesets`, every cases.yaml with its charts, every fault at once.

    `where` of each is its path from the folder's parent: plans/<payer>/<policy>/<start>/PlanDefinition.json.
    Hidden files are passed over; any other file that nothing reads is a fault: its name may be misspelt.
    """
    files: list[DefinitionFile] = []
    cases: list[UnreadCases] = []
    problems: list[Problem] = []
    to_dos: list[Problem] = []
    for setting, root in (("CDS_PLANS", plans), ("CDS_VALUESETS", valuesets)):
        found = False
        for path in _files(root):
            where = str(path.relative_to(root.parent))
            to_dos.extend(_to_dos(path, where))
            if path.name == CASES:
                _read_cases(path, root, cases, problems)
            elif path.suffix == ".json" and path.parent.name == CHARTS:
                continue  # read with the cases beside the folder
            elif path.suffix == ".json":
                found = True
                _read_definition(path, where, files, problems)
            elif path.suffix not in _READ_BY_PEOPLE and path.name != SURVIVORS:
                fix = f"name it {CASES}, {SURVIVORS} or *.json, or take it away"
                problems.append(Problem("invalid", where, "a file that nothing reads", fix))
        if not found:
            problems.append(_empty(root, setting))
    return DefinitionFolders(tuple(files), tuple(cases), tuple(problems), tuple(to_dos))


def _to_dos(path: Path, where: str) -> Iterator[Problem]:
    """Each `TO DO: what; how` in a file, with its line: a policy that is not finished is not answered from."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return  # told where the file is read for what it holds
    for number, line in enumerate(text.splitlines(), 1):
        for match in _TO_DO.finditer(line):
            yield Problem(
                "invalid", f"{where}: line {number}", f"to do: {match[1].strip()}", (match[2] or "write it").strip()
            )


def _empty(root: Path, setting: str) -> Problem:
    what = "no definition in this folder" if root.is_dir() else "no such folder"
    return Problem("not-found", str(root), what, f"point {setting} at the folder that holds them")


def _files(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        return
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        # a link to a folder is not followed: it could lead back here
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        elif not path.is_dir():
            yield path


def _read_definition(path: Path, where: str, files: list[DefinitionFile], problems: list[Problem]) -> None:
    content = _content(path, where, problems)
    resource = None if content is None else _json(content, where, problems)
    if isinstance(resource, list):
        problems.append(Problem("invalid", where, "not a JSON object", "a definition is one FHIR resource"))
    elif content is not None and resource is not None:
        files.append(DefinitionFile(Definition(where, resource, path.parent.name), content))


def _read_cases(path: Path, root: Path, cases: list[UnreadCases], problems: list[Problem]) -> None:
    where = str(path.relative_to(root.parent))
    content = _content(path, where, problems)
    charts: dict[str, Any] = {}
    folder = path.parent / CHARTS
    for chart in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        chart_where = str(chart.relative_to(root.parent))
        chart_content = _content(chart, chart_where, problems)
        resources = None if chart_content is None else _json(chart_content, chart_where, problems)
        if resources is not None:
            charts[f"{CHARTS}/{chart.name}"] = resources
    if content is None:
        return
    try:
        cases.append(UnreadCases(where, path, content.decode("utf-8"), charts))
    except UnicodeDecodeError as fault:
        problems.append(Problem("invalid", where, f"byte {fault.start} is not UTF-8", "save it as UTF-8"))


def _content(path: Path, where: str, problems: list[Problem]) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError as fault:
        problems.append(Problem("unavailable", where, f"cannot be read ({fault.strerror})", "make it readable"))
        return None


def _json(content: bytes, where: str, problems: list[Problem]) -> dict[str, Any] | list[Any] | None:
    """A file's JSON. Stricter than JSON itself: a name used twice would hide the first."""
    try:
        value = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_not_a_number)
    except UnicodeDecodeError as fault:
        problems.append(Problem("invalid", where, f"byte {fault.start} is not UTF-8", "save it as UTF-8"))
    except json.JSONDecodeError as fault:
        at = f"line {fault.lineno}, column {fault.colno}"
        problems.append(Problem("invalid", where, f"not JSON at {at}: {fault.msg}", "mend the JSON"))
    except RecursionError:
        problems.append(Problem("invalid", where, "nested too deeply to be read", "mend the JSON"))
    except _NotStrict as fault:
        problems.append(Problem("invalid", where, str(fault), "mend the JSON"))
    else:
        if isinstance(value, dict | list):
            return value
        problems.append(Problem("invalid", where, "not a JSON object", "a definition is one FHIR resource"))
    return None


class _NotStrict(Exception):
    """JSON that Python would accept and FHIR does not."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise _NotStrict(f"{', '.join(map(repr, twice))} twice in one object")
    return members


def _not_a_number(text: str) -> Any:
    raise _NotStrict(f"{text} is no JSON number")
