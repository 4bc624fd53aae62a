"""cases.yaml -> cases, or every fault in the file. Strict: a misspelt key and a case that expects nothing are errors.

A case is written in the words of docs/policy-cases.md: an order, a coverage, facts or a chart, and what is expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

import yaml

from cds_service.fhir.problem import Problem
from cds_service.policy.faults import did_you_mean

_FILE_KEYS = ("cases", "unreachable")
_CASE_KEYS = (
    "name", "on", "at", "order", "facts", "chart", "answers", "coverage", "patient", "encounter", "requester",
    "performer", "draft", "not-looked-up", "each", "expect",
)  # fmt: skip
# in a case with `each`, stands for one value after the other
_EACH = "$each"
ORDER_KEYS = (
    "resourceType", "id", "status", "hcpcs", "modifiers", "text", "reason", "flow", "hours", "continuous", "as-needed",
    "starts", "ends", "authored", "resource",
)  # fmt: skip
EXPECT_KEYS = (
    "statement", "covered", "paNeeded", "docNeeded", "infoNeeded", "rule", "reason", "criteria", "documents",
    "exclusions", "advice", "suggestions", "evidence", "candidates", "conflicts", "says", "reasonCodes",
)  # fmt: skip
# yes, no, dont-know, or the code of a choice: whether the plan reads such a code is known only beside the plan
_ANSWER = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `chart` holds FHIR resources; `facts` are stubs by fact name; `expect` what must come out."""

    name: str
    where: str
    on: date
    at: datetime
    order: Mapping[str, Any]
    expect: Mapping[str, Any]
    chart: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, tuple[str, datetime | None]] = field(default_factory=dict)
    coverage: Mapping[str, Any] = field(default_factory=dict)
    patient: Mapping[str, Any] = field(default_factory=dict)
    encounter: Mapping[str, Any] | None = None
    requester: tuple[str, ...] | None = None
    general_practitioner: bool = False
    performer: Mapping[str, Any] | None = None
    draft: tuple[Mapping[str, Any], ...] = ()
    not_looked_up: Mapping[str, str] = field(default_factory=dict)
    whole_chart: bool = False


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The cases of one plan, and the statuses that a criterion is declared unable to take, with the reason."""

    where: str
    cases: tuple[Case, ...]
    unreachable: Mapping[str, Mapping[str, str]]


class _Loader(yaml.SafeLoader):
    """YAML in which `on`, `yes` and `no` are words, and a key given twice is refused: the second would win unseen."""

    # YAML 1.1 reads on, off, yes and no as booleans; YAML 1.2 and every reader of a case take them for words
    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class has it
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            line = key_node.start_mark.line + 1
            raise yaml.constructor.ConstructorError(None, None, f"'{key}' is given twice (line {line})")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_cases(text: str, where: str, charts: Mapping[str, Any]) -> tuple[CaseFile, list[Problem]]:
    """Read a cases.yaml. `charts` are the JSON files beside it by path ("charts/copd.json"): a Bundle or a list."""
    problems: list[Problem] = []
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        return CaseFile(where, (), {}), [Problem("invalid", where, f"not YAML: {error}", "mend the file")]
    if not isinstance(content, Mapping) or not isinstance(content.get("cases"), list) or not content["cases"]:
        fault = Problem("invalid", where, "no cases", "write `cases:` and under it at least one case")
        return CaseFile(where, (), {}), [fault]
    _unknown(content, _FILE_KEYS, where, problems)
    cases: list[Case] = []
    names: set[str] = set()
    for n, raw in enumerate(content["cases"]):
        at = f"{where}: cases[{n}]"
        if not isinstance(raw, Mapping):
            problems.append(Problem("invalid", at, "not a case", "write name, order and expect"))
            continue
        name = raw.get("name")
        at = f"{at} ({name})"
        if not isinstance(name, str) or name in names:
            problems.append(Problem("invalid", at, "no name of its own", "name each case in a sentence of its own"))
        names.add(str(name))
        for one, place in _each(raw, at, problems):
            case = _case(one, place, charts, problems)
            if case is not None:
                cases.append(case)
    unreachable = content.get("unreachable") or {}
    return CaseFile(where, tuple(cases), unreachable), problems


def _each(raw: Mapping[str, Any], where: str, problems: list[Problem]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The case, or one case for each of its `each`: `$each` in it is that value, and its name says which."""
    if "each" not in raw:
        yield raw, where
        return
    values = raw["each"]
    rest = {key: value for key, value in raw.items() if key != "each"}
    sound = isinstance(values, list) and values and all(isinstance(one, str | int | float) for one in values)
    if not sound or len(set(values)) < len(values) or _put(rest, "") == rest:
        fix = f"write `each: [J60, J61]` and {_EACH} where the value belongs"
        problems.append(
            Problem("invalid", where, "each: no list of different values, or nothing that they change", fix)
        )
        return
    for one in values:
        yield {**_put(rest, one), "name": f"{raw.get('name')} [{one}]"}, f"{where}[{one}]"


def _put(node: Any, value: str | float) -> Any:
    if isinstance(node, str):
        return value if node == _EACH else node.replace(_EACH, str(value))
    if isinstance(node, Mapping):
        return {key: _put(one, value) for key, one in node.items()}
    return [_put(one, value) for one in node] if isinstance(node, list) else node


def _unknown(raw: Mapping[Any, Any], known: tuple[str, ...], where: str, problems: list[Problem]) -> None:
    for key in raw:
        if key not in known:
            fix = did_you_mean(str(key), known, f"one of {', '.join(known)}")
            problems.append(Problem("invalid", where, f"unknown key '{key}'", fix))


def _case(raw: Mapping[str, Any], where: str, charts: Mapping[str, Any], problems: list[Problem]) -> Case | None:
    before = len(problems)
    _unknown(raw, _CASE_KEYS, where, problems)
    expect, order = raw.get("expect"), raw.get("order")
    if not isinstance(expect, Mapping) or not expect:
        problems.append(Problem("invalid", where, "expects nothing", "write `expect:` and what must come out"))
        expect = {}
    _unknown(expect, EXPECT_KEYS, where, problems)
    if not isinstance(order, Mapping):
        problems.append(Problem("invalid", where, "no order", "write `order:` with at least hcpcs"))
        order = {}
    drafts = tuple(raw.get("draft") or ())
    for one in (order, *drafts):
        _unknown(one, ORDER_KEYS, where, problems)
        for key in ("continuous", "as-needed"):
            if one.get(key, True) is not True:
                problems.append(Problem("invalid", where, f"{key}: {one[key]!r}", "write true, or leave it out"))
    on = raw.get("on")
    if not isinstance(on, date):
        problems.append(Problem("invalid", where, "no day", "write `on:` the order date, e.g. 2026-02-10"))
        return None
    chart = _chart(raw.get("chart"), where, charts, problems)
    at = _moment(raw.get("at"), on, where, problems)
    requester = raw.get("requester")
    principal = False
    if isinstance(requester, Mapping):
        _unknown(requester, ("role", "general-practitioner"), where, problems)
        principal = requester.get("general-practitioner") is True
        requester = requester.get("role", [])
    performer = raw.get("performer")
    if performer is not None:
        _unknown(performer, ("role", "network", "beside"), where, problems)
    case = Case(
        name=str(raw.get("name")),
        where=where,
        on=on,
        at=at,
        order=order,
        expect=expect,
        chart=chart,
        facts=raw.get("facts") or {},
        answers=_answers(raw.get("answers") or {}, where, problems),
        coverage=raw.get("coverage") or {},
        patient=raw.get("patient") or {},
        encounter=raw.get("encounter"),
        requester=(requester,) if isinstance(requester, str) else tuple(requester) if requester is not None else None,
        general_practitioner=principal,
        performer=performer,
        draft=drafts,
        not_looked_up=raw.get("not-looked-up") or {},
        whole_chart=isinstance(raw.get("chart"), str),
    )
    return case if len(problems) == before else None


def _moment(raw: Any, on: date, where: str, problems: list[Problem]) -> datetime:
    if raw is None:
        return datetime.combine(on, time(12))
    if isinstance(raw, datetime):
        return raw
    problems.append(Problem("invalid", where, f"at: {raw!r}", "write an instant, e.g. 2026-02-10T16:30:00"))
    return datetime.combine(on, time(12))


def _chart(raw: Any, where: str, charts: Mapping[str, Any], problems: list[Problem]) -> tuple[Mapping[str, Any], ...]:
    if raw is None:
        return ()
    if isinstance(raw, str):
        if raw not in charts:
            fix = did_you_mean(raw, charts, "put the file beside cases.yaml")
            problems.append(Problem("invalid", where, f"no chart '{raw}'", fix))
            return ()
        raw = charts[raw]
    if isinstance(raw, Mapping):
        raw = [entry.get("resource") for entry in raw.get("entry", ())]
    return tuple(raw)


def _answers(raw: Mapping[str, Any], where: str, problems: list[Problem]) -> dict[str, tuple[str, datetime | None]]:
    found = {}
    for name, one in raw.items():
        value, authored = (one.get("value"), one.get("authored")) if isinstance(one, Mapping) else (one, None)
        if not (isinstance(value, str) and _ANSWER.fullmatch(value)):
            fix = "yes, no or dont-know, or the code of a choice"
            problems.append(Problem("invalid", where, f"answer to {name}: {value!r}", fix))
            continue
        if isinstance(authored, date) and not isinstance(authored, datetime):
            authored = datetime.combine(authored, time(12))
        found[name] = (value, authored)
    return found
