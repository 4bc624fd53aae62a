"""Extensions of a definition: found by url, and none that nobody reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cds_service.policy.faults import Faults, did_you_mean


def extensions(element: Mapping[str, Any], url: str) -> list[Mapping[str, Any]]:
    return [one for one in element.get("extension", []) if one.get("url") == url]


def extension(element: Mapping[str, Any], url: str) -> Mapping[str, Any] | None:
    found = extensions(element, url)
    return found[0] if found else None


def known_extensions(element: Mapping[str, Any], known: set[str], path: str, faults: Faults) -> None:
    for one in element.get("extension", []):
        if one.get("url") not in known:
            fix = did_you_mean(str(one.get("url")), known, "leave it out: nothing reads it")
            faults.add(f"{path}.extension", f"unknown extension '{one.get('url')}'", fix)
