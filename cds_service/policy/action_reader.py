"""What every action of a plan has: an id, a title, citations, conditions, words. Load time; judges nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cds_service.fhir.fhirpath import Expression
from cds_service.policy.extensions import extensions, known_extensions
from cds_service.policy.fact_reader import FactReader
from cds_service.policy.faults import STRUCTURE, Faults, did_you_mean
from cds_service.policy.plan import Citation, Condition

Action = Mapping[str, Any]


def children_of(action: Action, path: str) -> Iterator[tuple[Action, str]]:
    """Each child of an action, with its path."""
    for n, child in enumerate(action.get("action", [])):
        yield child, f"{path}.action[{n}]"


_ID = re.compile(r"^[a-z0-9]+([.-][a-z0-9]+)*$")
_COMMON = ("id", "title", "description", "documentation")
_ELEMENTS = {
    kind: {*_COMMON, *more.split()}
    for kind, more in {
        "authorization": "code trigger selectionBehavior groupingBehavior action priority input textEquivalent",
        "row": "extension condition dynamicValue",
        "part": "code input action textEquivalent definitionCanonical",
        "criterion": "textEquivalent condition groupingBehavior selectionBehavior input action",
        "exclusion": "condition input",
        "document": "code condition input requiredBehavior",
        "advice": "code condition input dynamicValue action",
        "suggestion": "type dynamicValue",
    }.items()
}


class ActionReader:
    """Reads the actions of one plan; ids are unique over all of them."""

    facts: FactReader  # set once the facts of the plan are known: the first look is at its parts alone

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._ids: dict[str, str] = {}

    def only(self, action: Action, path: str, kind: str) -> None:
        allowed = _ELEMENTS[kind]
        for name in action:
            if name not in allowed and not (name == "extension" and kind != "row"):
                fix = did_you_mean(name, allowed, f"an action of this kind has {', '.join(sorted(allowed))}")
                self.faults.add(f"{path}.{name}", f"not used on {_article(kind)}", fix)
        if kind != "row" and extensions(action, f"{STRUCTURE}determination"):
            self.faults.add(path, "determination does not belong here", "it stands on a row of the authorization table")
        known_extensions(action, {f"{STRUCTURE}determination"} if kind == "row" else set(), path, self.faults)

    def identity(self, action: Action, path: str, prefix: str) -> tuple[str, str]:
        name = action.get("id", "")
        if not name:
            self.faults.add(path, "no id", "ids are the criteria's stable names; give one")
        elif not _ID.match(name) or len(name) > 64:
            self.faults.add(f"{path}.id", f"'{name}'", "lower-case letters, digits, hyphens and dots, 64 at most")
        elif name in self._ids:
            self.faults.add(
                f"{path}.id", f"'{name}' is used twice (also {self._ids[name]})", "ids are stable and unique"
            )
        elif prefix and not name.startswith(prefix):
            self.faults.add(f"{path}.id", f"'{name}' does not begin with '{prefix}'", "ids carry their part's prefix")
        self._ids.setdefault(name, path)
        title = action.get("title")
        if not isinstance(title, str):
            self.faults.add(path, f"'{name}' has no title", "say it in words")
            return name, name
        return name, title

    def citations(self, action: Action, path: str) -> tuple[Citation, ...]:
        found = []
        for one in action.get("documentation", []):
            label, words = one.get("label", ""), one.get("citation")
            if one.get("type") == "documentation" and label:
                found.append(Citation(label, words, ours=False))
            elif one.get("type") == "justification" and label:
                found.append(Citation(label, words, ours=True))
            else:
                self.faults.add(
                    f"{path}.documentation", "no section", "type documentation with label, or justification"
                )
        if not found:
            self.faults.add(
                path, "no citation", "add documentation (section of the source, or justification 'ours: ...')"
            )
        return tuple(found)

    def conditions(self, action: Action, path: str, name: str, kinds: Sequence[str]) -> dict[str, Condition | None]:
        compiled: dict[str, list[Expression]] = {kind: [] for kind in kinds}
        for n, one in enumerate(action.get("condition", [])):
            at = f"{path}.condition[{n}]"
            if one.get("kind") not in kinds:
                self.faults.add(f"{at}.kind", f"'{one.get('kind')}' here", f"write {' or '.join(kinds)}")
                continue
            closed = any(str(d.get("label", "")).startswith("closed-world") for d in action.get("documentation", []))
            expression = self.facts.condition(
                one.get("expression"), at, name, chart_open=one["kind"] == "start" and not closed
            )
            if expression is not None:
                compiled[one["kind"]].append(expression)
        return {kind: self.facts.joined(ones) if ones else None for kind, ones in compiled.items()}

    def words(self, action: Action, path: str, name: str) -> str | Expression | None:
        values = action.get("dynamicValue", [])
        if not values:
            return action.get("description")
        if len(values) > 1 or values[0].get("path") != "%action.description":
            self.faults.add(
                f"{path}.dynamicValue",
                "only %action.description is written here",
                "write one, with that path",
            )
        return self.facts.value(values[0].get("expression"), f"{path}.dynamicValue[0]", name)


def code_of(action: Mapping[str, Any], system: str | None) -> str | None:
    """The first code of an action in a system (None: in whichever)."""
    return next(iter(codes_of(action, system)), None)


def codes_of(action: Mapping[str, Any], system: str | None) -> list[str | None]:
    """The codes of an action in a system."""
    codings = (coding for concept in action.get("code", []) for coding in concept.get("coding", []))
    return [one.get("code") for one in codings if system is None or one.get("system") == system]


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
