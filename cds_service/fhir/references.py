"""References as FHIR writes them, reduced to one key. Resolves nothing by itself; knows no server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_RELATIVE = re.compile(r"^([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$")
_ABSOLUTE = re.compile(r"^(https?://.+?)/([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$")


def reference_key(reference: object, base: str | None = None) -> str | None:
    """`Type/id` of a relative reference, or of an absolute one on the server `base`; a `urn:` as it is; else None.

    An absolute reference to another server keeps its full address as key: the same id elsewhere is another resource.
    Without a known `base` absolute references are taken as the calling server's own.
    """
    if not isinstance(reference, str):
        return None
    match = _RELATIVE.match(reference)
    if match:
        return f"{match[1]}/{match[2]}"
    match = _ABSOLUTE.match(reference)
    if match:
        if base is None or match[1] == base.rstrip("/"):
            return match[2]
        return f"{match[1]}/{match[2]}"
    if reference.startswith("urn:"):
        return reference
    return None


def literal_reference(value: object) -> str | None:
    """The `reference` string of a Reference; None for a logical one or garbage."""
    if isinstance(value, dict):
        reference = value.get("reference")
        return reference if isinstance(reference, str) else None
    return None


def own_reference(resource: Mapping[str, Any]) -> str:
    """How a resource is pointed at: `Type/id`, or the bare type where it has no id yet."""
    kind, identity = resource.get("resourceType", "Resource"), resource.get("id")
    return f"{kind}/{identity}" if isinstance(identity, str) else str(kind)
