"""Search among definitions: parameters + resources -> a searchset Bundle, or what is wrong with them. Pure.

Source: FHIR R4, Search, as far as definitions are found by: url, version, name, title, status, _id, page by page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds_service.fhir.problem import Problem

Resource = Mapping[str, Any]

DEFAULT_COUNT, MOST = 50, 200
_PAGED = ("_count", "_offset")
_NO_MATTER = ("_format", "_pretty")  # of the answer's shape, which is always the same


@dataclass(frozen=True, slots=True)
class _Criterion:
    """One parameter of the query: any of its values has to hold."""

    name: str
    values: tuple[str, ...]
    holds: Callable[[Resource, str], bool]


def search(
    resources: Sequence[Resource],
    query: Sequence[tuple[str, str]],
    strict: bool,
    address: str,
    link: Callable[[Sequence[tuple[str, str]]], str],
) -> dict[str, Any] | Problem:
    """The resources of one type that match, as a Bundle. `address` is that of the type; `link` writes it with a query.

    A parameter that is not known is passed over and said in an outcome; with `strict` it is refused (R4, Prefer:
    handling).
    """
    criteria: list[_Criterion] = []
    passed_over: list[str] = []
    numbers = {"_count": DEFAULT_COUNT, "_offset": 0}
    for name, text in query:
        if name in _NO_MATTER or not text:
            continue
        if name in _PAGED:
            if not (text.isascii() and text.isdigit()) or len(text) > 9:
                return Problem("invalid", name, "is no whole number", f"write {name}=10", "value")
            numbers[name] = int(text)
            continue
        holds = _PARAMETERS.get(name)
        if holds is not None:
            criteria.append(_Criterion(name, tuple(_alternatives(text)), holds))
        elif strict:
            fix = f"search by {', '.join(SEARCHED)}, or leave out Prefer: handling=strict"
            return Problem("not-supported", _shown(name), "is no search parameter here", fix)
        else:
            passed_over.append(_shown(name))
    found = [one for one in resources if all(any(by.holds(one, value) for value in by.values) for by in criteria)]
    count, offset = min(numbers["_count"], MOST), numbers["_offset"]
    page = found[offset : offset + count]
    links = [(relation, link(asked)) for relation, asked in _links(query, len(found), count, offset)]
    return _bundle(page, len(found), address, links, passed_over)


def _shown(name: str) -> str:
    """A name as it may stand in a message."""
    return name if re.fullmatch(r"[\w.:\-]{1,60}", name, re.ASCII) else "a parameter"


def _alternatives(text: str) -> Iterable[str]:
    """`a,b` is a or b; `\\,` is a comma (R4, Escaping Search Parameters)."""
    return (part.replace("\\,", ",").replace("\\|", "|") for part in re.split(r"(?<!\\),", text) if part)


# -- what may be searched by


def _uri(resource: Resource, value: str) -> bool:
    return resource.get("url") == value or f"{resource.get('url')}|{resource.get('version')}" == value


def _token(element: str) -> Callable[[Resource, str], bool]:
    def holds(resource: Resource, value: str) -> bool:
        # `system|code`: codes and versions of definitions have no system to tell
        return str(resource.get(element, "")) == value.rpartition("|")[2]

    return holds


def _begins(element: str) -> Callable[[Resource, str], bool]:
    return lambda resource, value: str(resource.get(element, "")).casefold().startswith(value.casefold())


def _contains(element: str) -> Callable[[Resource, str], bool]:
    return lambda resource, value: value.casefold() in str(resource.get(element, "")).casefold()


def _exactly(element: str) -> Callable[[Resource, str], bool]:
    return lambda resource, value: resource.get(element) == value


SEARCHED = {"_id": "token", "url": "uri", "version": "token", "name": "string", "title": "string", "status": "token"}
_PARAMETERS: dict[str, Callable[[Resource, str], bool]] = {
    "_id": _exactly("id"),
    "url": _uri,
    "version": _token("version"),
    "status": _token("status"),
}
for _name in ("name", "title"):
    _PARAMETERS |= {_name: _begins(_name), f"{_name}:contains": _contains(_name), f"{_name}:exact": _exactly(_name)}


# -- the answer


def _links(
    query: Sequence[tuple[str, str]], total: int, count: int, offset: int
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Relation and query of each link: what was understood of the query, from some place on."""
    rest = [(name, text) for name, text in query if name in _PARAMETERS and text]

    def at(start: int) -> list[tuple[str, str]]:
        return [*rest, ("_count", str(count)), ("_offset", str(start))]

    found = [("self", at(offset))]
    if count and offset + count < total:
        found.append(("next", at(offset + count)))
    if count and offset:
        found.append(("previous", at(max(0, offset - count))))
    return found


def _bundle(
    page: Sequence[Resource], total: int, address: str, links: Sequence[tuple[str, str]], passed_over: Sequence[str]
) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [
        # several versions of one id are told apart by meta.versionId (bdl-7), under which each is read
        {"fullUrl": f"{address}/{one['id']}", "resource": _versioned(one), "search": {"mode": "match"}}
        for one in page
    ]
    if passed_over:
        issues = [
            {
                "severity": "warning",
                "code": "not-supported",
                "details": {"text": f"{name}: is no search parameter here and was passed over"},
            }
            for name in dict.fromkeys(passed_over)
        ]
        outcome = {"resourceType": "OperationOutcome", "issue": issues}
        entries.append({"resource": outcome, "search": {"mode": "outcome"}})
    found: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": total}
    found["link"] = [{"relation": relation, "url": url} for relation, url in links]
    return found | {"entry": entries} if entries else found


def _versioned(resource: Resource) -> Resource:
    version = resource.get("version")
    if not isinstance(version, str) or not VERSION_ID.fullmatch(version):
        return resource
    return {**resource, "meta": {**resource.get("meta", {}), "versionId": version}}


VERSION_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
