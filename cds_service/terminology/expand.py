"""A value set that is held -> its expansion as `$expand` gives it, filtered and page by page. Pure.

The sets are expanded as they are held: all their codes are active, and what is not is left out. Source: FHIR R4,
ValueSet/$expand; DTR 2.2 asks for url and filter (oper-4, oper-5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cds_service.fhir.problem import Problem

# without a count, more codes than this are not sent at once
MOST = 1000
# each word of a filter is looked for in each code: no display is longer than this
LONGEST_FILTER = 500
# what would change which codes come back, and is not understood here
_REFUSED = ("valueSet", "context", "contextDirection", "designation", "exclude-system", "useSupplement")
_TRUE = ("true", True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. `url` without a version; `count` None: all of it."""

    url: str
    version: str | None
    text: str
    count: int | None
    offset: int
    with_definition: bool


def read_wanted(parameters: Sequence[tuple[str, Any]], url: str | None = None) -> Wanted | Problem:
    """The parameters by name, as a query or a Parameters resource has them. `url`: that of the instance called."""
    given: dict[str, Any] = {}
    for name, value in parameters:
        if name in given:
            return Problem("invalid", name, "is given twice", "send it once", "invalid")
        given[name] = value
    for name in _REFUSED:
        if name in given:
            fix = "name a value set that is held here by its url"
            return Problem("not-supported", name, "is not understood here", fix)
    named = given.get("url", url)
    if not isinstance(named, str) or not named:
        return Problem("invalid", "url", "missing", "name the value set by its canonical url", "required")
    address, _, version = named.partition("|")
    stated = given.get("valueSetVersion")
    if stated is not None and version and stated != version:
        return Problem("invalid", "valueSetVersion", "is another version than the url names", "send one of them")
    numbers: dict[str, int | None] = {"count": None, "offset": 0}
    for name in numbers:
        if name in given:
            number = _whole(given[name])
            if number is None:
                return Problem("invalid", name, "is no whole number", f"write {name} as 0 or more", "value")
            numbers[name] = number
    text = given.get("filter", "")
    if not isinstance(text, str):
        return Problem("invalid", "filter", "is no text", "send words of the display, or the start of a code", "value")
    if len(text) > LONGEST_FILTER:
        fix = "send words of the display, or the start of a code"
        return Problem("invalid", "filter", f"is longer than {LONGEST_FILTER} characters", fix, "too-long")
    return Wanted(
        url=address,
        version=str(stated or version) or None,
        text=text,
        count=numbers["count"],
        offset=numbers["offset"] or 0,
        with_definition=given.get("includeDefinition") in _TRUE,
    )


def _whole(value: Any) -> int | None:
    text = str(value) if not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def expanded(
    held: Sequence[Mapping[str, Any]], wanted: Wanted, asked_at: datetime, identifier: str
) -> dict[str, Any] | Problem:
    """The expansion of one of the ValueSets `held`: of the version that is named, else of the newest.

    `identifier` is a new uuid: each expansion has one of its own.
    """
    versions = [one for one in held if one.get("url") == wanted.url]
    if not versions:
        fix = "take the url from the questionnaire; GET /fhir/ValueSet lists those that are held"
        return Problem("not-found", "url", "no value set with this url is held", fix)
    found = [one for one in versions if wanted.version in (None, one.get("version"))]
    if not found:
        known = ", ".join(sorted(str(one.get("version")) for one in versions))
        return Problem("not-found", "valueSetVersion", "this version is not held", f"one of {known}")
    # 10 after 9, 2026-02-01 after 2025-12-01
    value_set = max(found, key=lambda one: (len(str(one.get("version"))), str(one.get("version"))))
    codes = [one for one in _codes(value_set) if _matches(one, wanted.text)]
    if wanted.count is None and len(codes) - wanted.offset > MOST:
        fix = "narrow it with filter, or take it page by page with count and offset"
        return Problem("not-supported", "ValueSet", f"{len(codes)} codes are too many at once", fix, "too-costly")
    count = min(wanted.count if wanted.count is not None else MOST, MOST)
    expansion: dict[str, Any] = {
        "identifier": f"urn:uuid:{identifier}",
        "timestamp": asked_at.isoformat(timespec="seconds"),
        "total": len(codes),
        "offset": wanted.offset,
        "parameter": _said(value_set, wanted),
    }
    page = codes[wanted.offset : wanted.offset + count]
    if page:
        expansion["contains"] = page
    left_out = ("expansion",) if wanted.with_definition else ("expansion", "compose", "text")
    return {**{name: value for name, value in value_set.items() if name not in left_out}, "expansion": expansion}


def _codes(value_set: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = value_set.get("expansion", {}).get("contains", ())
    return [one for one in listed if one.get("inactive") is not True]


def _matches(one: Mapping[str, Any], text: str) -> bool:
    """Each word of the filter begins a word of the display, or the code, whose dot may be left out."""
    words = text.casefold().split()
    code = str(one.get("code", "")).casefold()
    display = str(one.get("display", "")).casefold().replace("(", " ").replace(",", " ").split()
    return all(
        code.startswith(word)
        or code.replace(".", "").startswith(word)
        or any(shown.startswith(word) for shown in display)
        for word in words
    )


def _said(value_set: Mapping[str, Any], wanted: Wanted) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [{"name": "used-valueset", "valueUri": f"{value_set['url']}|{value_set['version']}"}]
    if wanted.text:
        said.append({"name": "filter", "valueString": wanted.text})
    if wanted.count is not None:
        said.append({"name": "count", "valueInteger": wanted.count})
    return [*said, {"name": "offset", "valueInteger": wanted.offset}]
