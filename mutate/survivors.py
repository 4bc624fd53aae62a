"""survivors.yaml -> mutants that no case can tell from the original, each with the reason; or every fault in it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from cds_service.fhir.problem import Problem

# shorter, and it is no reason
_SHORTEST = 20


@dataclass(frozen=True, slots=True)
class Survivors:
    """The mutants of one file that are known to survive, with the reason. `where` is the survivors.yaml."""

    where: str
    reasons: Mapping[str, str] = field(default_factory=dict)


def read_survivors(text: str, where: str) -> tuple[Survivors, list[Problem]]:
    """Read a survivors.yaml: a list of `reason` and the `mutants` that it excuses."""
    problems: list[Problem] = []
    reasons: dict[str, str] = {}

    def fault(at: str, what: str, fix: str) -> None:
        problems.append(Problem("invalid", f"{where}: {at}" if at else where, what, fix))

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        fault("", f"not YAML: {error}", "mend the file")
        return Survivors(where), problems
    if not isinstance(content, Mapping) or set(content) != {"survivors"} or not isinstance(content["survivors"], list):
        fault("", "no list of survivors", "write `survivors:` and under it `- reason:` with `mutants:`")
        return Survivors(where), problems
    for n, one in enumerate(content["survivors"]):
        at = f"survivors[{n}]"
        if not isinstance(one, Mapping) or set(one) != {"reason", "mutants"}:
            fault(at, "not a reason with its mutants", "write `reason:` and `mutants:`, and nothing else")
            continue
        if not isinstance(one["reason"], str) or len(one["reason"].strip()) < _SHORTEST:
            fault(at, "no reason", "say in a sentence why no case can tell the mutant from the original")
        for name in _names(one["mutants"]):
            if name in reasons:
                fault(at, f"'{name}' is listed twice", "remove one")
            reasons[name] = str(one["reason"])
        if not _names(one["mutants"]):
            fault(at, "excuses no mutant", "list the names that `make mutate` prints")
    return Survivors(where, reasons), problems


def _names(raw: Any) -> list[str]:
    return [str(one) for one in raw] if isinstance(raw, list) else []


def check_survivors(listed: Survivors, killed: Mapping[str, bool], mutants: Collection[str]) -> list[Problem]:
    """Faults of the list: mutants that do not exist, that are killed, that live on without a reason.

    `mutants` are all of the file, `killed` those that were tried.
    """
    problems = []
    for name in listed.reasons:
        if name not in mutants:
            problems.append(Problem("not-found", listed.where, f"no such mutant: {quoted(name)}", "remove it"))
        elif killed.get(name):
            fix = "remove it from the list"
            problems.append(Problem("conflict", listed.where, f"some case notices: {quoted(name)}", fix))
    for name, noticed in killed.items():
        if not noticed and name not in listed.reasons:
            problems.append(Problem("conflict", listed.where, f"{UNEXPLAINED} {quoted(name)}", _FIX))
    return problems


UNEXPLAINED = "no case notices:"
_FIX = "write the case, or list it with the reason why there can be none"


def quoted(name: str) -> str:
    """As it is written in YAML."""
    return json.dumps(name, ensure_ascii=False)
