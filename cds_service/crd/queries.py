"""What is asked of the EHR, and what it said: reads, searches, pages. Pure; whoever sends them stands in the shell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cds_service.fhir.record_shapes import objects_in


@dataclass(frozen=True, slots=True)
class FhirAccess:
    """The server that a call names for reading back, and the call's own token for it (CDS Hooks, FHIR access)."""

    server: str
    token: str | None = field(default=None, repr=False)  # never in a log, not even by accident


@dataclass(frozen=True, slots=True)
class Query:
    """One read of `ids` (a search by `_id` where there are several), one search of all that a patient has, or the
    next page of one. Nothing but the type is for logs: the rest tells the patient."""

    resource_type: str
    ids: tuple[str, ...] = field(default=(), repr=False)
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    page: str | None = field(default=None, repr=False)

    @property
    def is_read(self) -> bool:
        return len(self.ids) == 1

    @property
    def address(self) -> str:
        """Relative to the server's base; of a page, as the server wrote it. Ids and words of ours need no escape."""
        if self.page is not None:
            return self.page
        if self.is_read:
            return f"{self.resource_type}/{self.ids[0]}"
        parameters = (("_id", ",".join(self.ids)),) if self.ids else self.parameters
        return f"{self.resource_type}?" + "&".join(f"{name}={value}" for name, value in parameters)

    @property
    def marks(self) -> tuple[str, ...]:
        """How one knows later that it was asked: each id by itself, else the whole address."""
        return tuple(f"{self.resource_type}/{one}" for one in self.ids) or (self.address,)


_DECLINED = frozenset(f"it answered {status}" for status in (400, 401, 403, 404, 405, 406, 501))


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of a query: JSON bodies, one for each page, and what was wrong, in words that follow "the EHR".

    `as_written`: the same bodies with the digits of their decimals kept, where one of them may be written back."""

    query: Query
    pages: tuple[Any, ...] = field(default=(), repr=False)
    fault: str | None = None
    as_written: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def declined(self) -> bool:
        """Whether the EHR answered that this is not to be had from it, at any time."""
        return self.fault in _DECLINED


def page_after(bundle: Any) -> str | None:
    """The address of the page after this one; "" where there is one and its address cannot be read."""
    for one in objects_in(bundle.get("link")) if isinstance(bundle, dict) else ():
        if str(one.get("relation")).strip().lower() == "next":
            url = one.get("url")
            return url if isinstance(url, str) else ""
    return None
