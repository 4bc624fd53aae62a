"""Is what is said of an order now news beside what it says already? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cds_service.fhir.references import reference_key


def same_news(before: Sequence[Any], now: Sequence[Any]) -> bool:
    """Whether two lists of coverage-information say the same, on whatever day and in whatever order of their parts.

    CRD 2.2, resp-35: nothing is sent again that is neither new nor changed. A later date alone is no news, nor is what
    an EHR does to an extension that it keeps: element ids, a display beside a reference, the server's address.
    """
    return len(before) == len(now) and sorted(map(_essence, before)) == sorted(map(_essence, now))


def _essence(extension: Any) -> str:
    parts = extension.get("extension") if isinstance(extension, dict) else None
    if not isinstance(parts, list):
        return repr(extension)
    told = [one for one in parts if not (isinstance(one, dict) and one.get("url") == "date")]
    return repr(sorted(repr(_bare(one)) for one in told))


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str):
            return reference_key(reference) or reference
        return sorted((name, repr(_bare(one))) for name, one in value.items() if name != "id")
    if isinstance(value, list):
        return sorted(repr(_bare(one)) for one in value)
    return value
