"""A FHIR record in memory: read, search, create and update of R4 resources, each with its versions. No rules of use."""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Resource = dict[str, Any]

_OWNERS = ("subject", "patient", "beneficiary")
# what is sent back whole and is not a filter here
_NO_FILTER = frozenset({"_count", "_sort", "_format", "_summary", "_total", "_include", "_lastUpdated"})


class VersionConflict(Exception):
    """An update of something that is no longer as the caller knew it."""


class Record:
    """Resources by type and id, as they are now."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._held: dict[tuple[str, str], Resource] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        for one in resources:
            self.update(one)

    def read(self, kind: str, identity: str) -> Resource | None:
        found = self._held.get((kind, identity))
        return copy.deepcopy(found)

    def of_type(self, kind: str) -> list[Resource]:
        return [copy.deepcopy(one) for (held, _), one in sorted(self._held.items()) if held == kind]

    def create(self, resource: Resource) -> Resource:
        with self._lock:
            identity = f"{resource['resourceType'].lower()}-{next(self._ids)}"
            return self._keep({**resource, "id": identity}, 1)

    def update(self, resource: Resource, if_match: str | None = None) -> Resource:
        """The resource under its own id. `if_match` is the version that the caller read. Raises VersionConflict."""
        with self._lock:
            earlier = self._held.get((resource["resourceType"], resource["id"]))
            version = int(earlier["meta"]["versionId"]) if earlier is not None else 0
            if if_match is not None and if_match != str(version):
                raise VersionConflict
            return self._keep(resource, version + 1)

    def _keep(self, resource: Resource, version: int) -> Resource:
        kept = copy.deepcopy(resource)
        changed = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
        kept["meta"] = {**kept.get("meta", {}), "versionId": str(version), "lastUpdated": changed}
        self._held[kept["resourceType"], kept["id"]] = kept
        return copy.deepcopy(kept)

    def search(self, kind: str, parameters: Iterable[tuple[str, str]]) -> list[Resource]:
        """What matches all parameters that are known here; of the others nothing is left out."""
        asked = [(name, set(value.split(","))) for name, value in parameters if name not in _NO_FILTER]
        return [one for one in self.of_type(kind) if all(_matches(one, name, values) for name, values in asked)]


def owner_of(resource: Mapping[str, Any]) -> str | None:
    """The id of the patient whose resource it is; None where it is nobody's."""
    if resource.get("resourceType") == "Patient":
        return str(resource.get("id"))
    for name in _OWNERS:
        reference = (resource.get(name) or {}).get("reference", "") if isinstance(resource.get(name), dict) else ""
        if "Patient/" in reference:
            return str(reference).rsplit("/", 1)[-1]
    return None


def _matches(resource: Resource, name: str, values: set[str]) -> bool:
    bare = name.split(":")[0]
    if bare == "_id":
        return resource["id"] in values
    if bare in _OWNERS:
        return owner_of(resource) in {value.removeprefix("Patient/") for value in values}
    if bare == "status":
        return resource.get("status") in values
    if bare == "code":
        tokens = set(_tokens(resource.get("code") or resource.get("codeCodeableConcept") or {}))
        return bool(tokens & values)
    return True


def _tokens(concept: Mapping[str, Any]) -> Iterator[str]:
    for coding in concept.get("coding", ()):
        yield coding.get("code", "")
        yield f"{coding.get('system', '')}|{coding.get('code', '')}"
