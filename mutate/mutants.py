"""A definition -> everything that could be wrong with it by one slip. Pure; names no policy, payer or code.

A mutant is the definition with one thing changed that its author could have got wrong: a threshold by one, `<` for
`<=`, `or` for `and`, a window by a day, `all` for `one-or-more`, a code list emptied, a determination's code. Words
(titles, reasons, labels) are not mutated: cases look at what is decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Any

from cds_service.fhir.codings import coding_key
from cds_service.fhir.fhirpath.parse import Token, parse, tokens
from cds_service.fhir.fhirpath.syntax import Binary, Call, Empty, Literal, Node, Variable, walk
from cds_service.fhir.quantities import Quantity
from cds_service.terminology.value_sets import Key

# canonicals that no definition has: in the place of a set they hold no code, or every code that any case could name
NO_CODE, EVERY_CODE = "urn:mutant:no-code|0", "urn:mutant:every-code|0"
# a text that no chart says
_NEVER = "'~'"
# a set with more listed codes than this is mutated by code system; is-a roots are always taken one by one
SMALL = 8

Step = str | int
Path = tuple[Step, ...]


class _Away(Enum):
    """In the place of a value: the element is left out."""

    AWAY = "left out"


AWAY = _Away.AWAY


@dataclass(frozen=True, slots=True)
class Mutant:
    """One slip in one file. `name` says it in words and is its own among the mutants of the file.

    `path` and `value` change the resource; of a value set `codes` are those that are taken out.
    """

    file: str
    owner: str  # the fact, action or set that it stands in
    name: str
    path: Path = ()
    value: Any = None
    codes: frozenset[Key] = frozenset()


def mutate(resource: Any, path: Path, value: Any) -> Any:
    """The resource with `value` at `path`. Only what lies on the path is copied."""
    step, rest = path[0], path[1:]
    if isinstance(resource, list):
        changed = list(resource)
        if value is AWAY and not rest:
            del changed[int(step)]
        else:
            changed[int(step)] = value if not rest else mutate(resource[int(step)], rest, value)
        return changed
    members = dict(resource)
    if value is AWAY and not rest:
        del members[str(step)]
    else:
        members[str(step)] = value if not rest else mutate(resource[str(step)], rest, value)
    return members


def plan_mutants(resource: Mapping[str, Any], file: str, parts: Sequence[str] = ("action",)) -> list[Mutant]:
    """Every mutant of a PlanDefinition (or, with `parts` dataRequirement, of a Library)."""
    found = [one for part in parts for one in _walk(resource.get(part, []), (part,), "", "", file)]
    return _named_apart(found)


def set_mutants(resource: Mapping[str, Any], file: str) -> list[Mutant]:
    """A value set without each of its codes or roots, or (a long list) without those of each code system."""
    name = resource["id"]
    expanded = [coding_key(one["system"], one["code"]) for one in resource["expansion"]["contains"]]
    keys = {key for key in expanded if key is not None}
    found: list[Mutant] = []
    listed = sum(len(include.get("concept", [])) for include in resource["compose"]["include"])

    def without(what: str, codes: set[Key]) -> None:
        # the last code of a set is the set itself, whose places are mutated where they stand
        if codes and codes != keys:
            found.append(Mutant(file, name, f"{name}: without {what}", codes=frozenset(codes)))

    for include in resource["compose"]["include"]:
        system = include["system"]
        for one in include.get("filter", []):
            root = coding_key(system, one["value"])
            if root is not None:
                under = {key for key in keys if key[0] == root[0] and key[1].startswith(root[1])}
                without(f"{one['value']} and what is under it", under)
        codes = [key for one in include.get("concept", []) if (key := coding_key(system, one["code"])) is not None]
        if listed <= SMALL:
            for key, one in zip(codes, include.get("concept", []), strict=True):
                without(one["code"], {key})
        else:
            without(f"the codes of {system}", set(codes))
    return _named_apart(found)


def _named_apart(found: Sequence[Mutant]) -> list[Mutant]:
    seen: Counter[str] = Counter()
    apart = []
    for one in found:
        seen[one.name] += 1
        apart.append(one if seen[one.name] == 1 else replace(one, name=f"{one.name} (#{seen[one.name]})"))
    return apart


# -- the elements of a definition


def _walk(node: Any, path: Path, owner: str, part: str, file: str) -> Iterator[Mutant]:
    if isinstance(node, list):
        for n, one in enumerate(node):
            yield from _walk(one, (*path, n), owner, part, file)
        return
    if not isinstance(node, Mapping):
        return
    owner = node.get("id", owner)
    if node.get("language") == "text/fhirpath":
        place = f"{owner} {part}".strip()
        for what, text in expression_mutants(node.get("expression", "")):
            yield Mutant(file, owner, f"{place}: {what}", (*path, "expression"), text)
        return
    for what, below, value in _element_mutants(node):
        place = f"{owner} {part}".strip()
        yield Mutant(file, owner, f"{place}: {what}", (*path, *below), value)
    for name, value in node.items():
        if name == "dynamicValue":
            continue  # words and suggested codes: golden conversations look at them, cases do not
        yield from _walk(value, (*path, name), owner, _part(node, name, part), file)


def _part(node: Mapping[str, Any], name: str, part: str) -> str:
    """What an expression below `node.name` says, in a word, for the mutant's name."""
    if name in ("_start", "_end"):
        return f"window {name[1:]}"
    if "kind" in node:
        return str(node["kind"])
    if name == "trigger":
        return "trigger"
    if node.get("url") in ("where", "qualifier", "unknown"):
        return " ".join(filter(None, (node["url"], node.get("valueExpression", {}).get("name"))))
    return part if name in ("extension", "valueExpression", "expression", "data", "codeFilter") else ""


_DETERMINED = {
    "covered": {"covered": "not-covered", "not-covered": "covered", "conditional": "covered"},
    "paNeeded": {"auth-needed": "no-auth", "no-auth": "auth-needed", "conditional": "auth-needed"},
    "infoNeeded": {"OTH": "detail-code", "detail-code": "OTH"},
}
_SWAPPED: Mapping[str, Mapping[str, Any]] = {
    "selectionBehavior": {"all": "one-or-more", "one-or-more": "all"},
    "requiredBehavior": {"could": AWAY},
}
_TURNED = {"descending": "ascending", "ascending": "descending"}
_PAPERS = {"clinical": "admin", "admin": "clinical"}


def _element_mutants(node: Mapping[str, Any]) -> Iterator[tuple[str, Path, Any]]:
    for name, others in _SWAPPED.items():
        if node.get(name) in others:
            other = others[node[name]]
            yield f"{name} [{node[name]} -> {'none' if other is AWAY else other}]", (name,), other
    if "valueSet" in node:
        short = node["valueSet"].rpartition("/")[2]
        yield f"{short} [-> no code]", ("valueSet",), NO_CODE
        yield f"{short} [-> every code]", ("valueSet",), EVERY_CODE
    if isinstance(node.get("limit"), int):
        yield f"limit [{node['limit']} -> none]", ("limit",), AWAY
        # without a limit the order is only that of what is shown
        for n, one in enumerate(node.get("sort", [])):
            other = _TURNED.get(one.get("direction"), "descending")
            yield f"sort [{one.get('direction')} -> {other}]", ("sort", n, "direction"), other
    if isinstance(node.get("valuePeriod"), Mapping):
        yield from _window_mutants(node["valuePeriod"])
    if isinstance(node.get("valueRange"), Mapping):
        for end in ("low", "high"):
            yield from _end_mutants(node["valueRange"][end], end)
    if node.get("url") == "per":
        yield f"per {node['valueString']} [-> left out]", (), AWAY
    yield from _determination_mutants(node)
    for n, one in enumerate(node.get("coding", []) if isinstance(node.get("coding"), list) else []):
        if one.get("code") in _PAPERS:
            yield f"document [{one['code']} -> {_PAPERS[one['code']]}]", ("coding", n, "code"), _PAPERS[one["code"]]
    if "condition" in node and (str(node.get("id", "")).startswith("advice.") or "data" in node):
        yield "condition [-> none]", ("condition",), AWAY


def _determination_mutants(node: Mapping[str, Any]) -> Iterator[tuple[str, Path, Any]]:
    name = node.get("url")
    if name in _DETERMINED and "valueCode" in node:
        code = node["valueCode"]
        other = _DETERMINED[name].get(code, "OTH")
        yield f"{name} [{code} -> {other}]", ("valueCode",), other
    if name == "criteria" and "valueBoolean" in node:
        yield f"criteria [{node['valueBoolean']} -> {not node['valueBoolean']}]", ("valueBoolean",), AWAY


def _window_mutants(period: Mapping[str, Any]) -> Iterator[tuple[str, Path, Any]]:
    both = "_start" in period and "_end" in period
    for end in ("_start", "_end"):
        for n, one in enumerate(period.get(end, {}).get("extension", [])):
            text = one.get("valueExpression", {}).get("expression")
            if text is None:
                continue
            path: Path = ("valuePeriod", end, "extension", n, "valueExpression", "expression")
            yield f"window {end[1:]} [a day earlier]", path, f"({text}) - 1 day"
            yield f"window {end[1:]} [a day later]", path, f"({text}) + 1 day"
            if both:
                yield f"window {end[1:]} [open]", ("valuePeriod", end), AWAY


def _end_mutants(quantity: Mapping[str, Any], end: str) -> Iterator[tuple[str, Path, Any]]:
    for other in (quantity["value"] - 1, quantity["value"] + 1):
        yield f"plausible {end} [{quantity['value']} -> {other}]", ("valueRange", end, "value"), other


# -- expressions

_BOUNDARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "=": "!=", "!=": "="}
_LOGIC = {"and": "or", "or": "and", "implies": "and"}
_SUMS = {"+": "-", "-": "+"}
_IN_DAYS = {"month": 30, "year": 365}


def expression_mutants(text: str) -> Iterator[tuple[str, str]]:
    """(what is changed, the changed text) for each slip in an expression."""
    slips = _Slips(text)
    for node in walk(parse(text)):
        yield from slips.of(node)


class _Slips:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.at = {token.column: n for n, token in enumerate(self.tokens)}

    def of(self, node: Node) -> Iterator[tuple[str, str]]:
        match node:
            case Binary(operator=operator, column=column):
                for others in (_BOUNDARY, _LOGIC, _SUMS):
                    if operator in others:
                        yield self._put(self.at[column], self.at[column], others[operator])
                yield from self._without_empty(node)
                yield from self._union(node)
            case Literal():
                yield from self._literal(node)
            case Empty(column=column):
                if not self._beside_or(column):
                    for word in ("true", "false"):
                        yield self._put(self.at[column], self.at[column] + 1, word)
            case Call(name="not", arguments=(), column=column, base=base) if base is not None:
                yield self._put(self.at[column] - 1, self.at[column] + 2, "")
            case Call(name="memberOf", arguments=(Literal(column=column),)):
                for word, canonical in (("no code", NO_CODE), ("every code", EVERY_CODE)):
                    what, changed = self._put(self.at[column], self.at[column], f"'{canonical}'")
                    yield what.replace(f"'{canonical}'", word), changed
            case _:
                pass

    def _literal(self, node: Literal) -> Iterator[tuple[str, str]]:
        n = self.at[node.column]
        value = node.value
        if isinstance(value, bool):
            yield self._put(n, n, "false" if value else "true")
        elif isinstance(value, str):
            if not self._names_a_set(n):
                yield self._put(n, n, _NEVER)
        elif isinstance(value, int | Decimal | Quantity):
            number = Decimal(self.tokens[n].text)
            step = Decimal(1).scaleb(int(number.as_tuple().exponent))
            for other in (number - step, number + step):
                if other >= 0:
                    yield self._put(n, n, f"{other:f}")
            if isinstance(value, Quantity) and value.unit in _IN_DAYS:
                yield self._put(n, n + 1, f"{value.value * _IN_DAYS[value.unit]:f} days")

    def _names_a_set(self, n: int) -> bool:
        return n >= 2 and self.tokens[n - 1].text == "(" and self.tokens[n - 2].text == "memberOf"

    def _beside_or(self, column: int) -> bool:
        n = self.at[column]
        return n >= 1 and self.tokens[n - 1].text == "or"

    def _without_empty(self, node: Binary) -> Iterator[tuple[str, str]]:
        """`x or {}` -> `x`: what is not recorded would be *no*."""
        if node.operator == "or" and isinstance(node.right, Empty):
            n = self.at[node.column]
            yield self._put(n, n + 2, "")

    def _union(self, node: Binary) -> Iterator[tuple[str, str]]:
        if node.operator == "|":
            for side in (node.left, node.right):
                if isinstance(side, Variable):
                    yield self._put(self.at[side.column], self.at[side.column] + 1, "{}")

    def _put(self, first: int, last: int, word: str) -> tuple[str, str]:
        """The text with `word` in the place of the tokens from `first` to `last`, and how to say that."""
        start, end = self.tokens[first].column - 1, _end(self.tokens[last])
        old, before, behind = self.text[start:end], self.text[:start], self.text[end:]
        near = f"{_ended(before)}[{_short(old)} -> {word or 'left out'}]{_begun(behind)}"
        return near, f"{before}{word}{behind}"


def _end(token: Token) -> int:
    return token.column - 1 + len(token.text)


_NEAR = 32


def _short(text: str) -> str:
    return text.rpartition("/")[2].rstrip("'") if "://" in text else text


def _ended(text: str) -> str:
    return text if len(text) <= _NEAR else f"...{text[-_NEAR:]}"


def _begun(text: str) -> str:
    return text if len(text) <= _NEAR else f"{text[:_NEAR]}..."
