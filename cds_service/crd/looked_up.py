"""What came of looking things up, in prefetch or read back since: resources, and what is not known. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from cds_service.crd.orders import ORDER_TYPES
from cds_service.crd.queries import Query, Reading, page_after
from cds_service.crd.templates import searched_type

PrefetchState = Literal["given", "empty", "partial", "failed"]


class Given(NamedTuple):
    """A resource as it came: where it stands in the call, itself, and the fullUrl of its Bundle entry."""

    where: str
    resource: Any
    full_url: str | None = None


class NextPage(NamedTuple):
    """A page of prefetch that was not sent along, and the types that are cut off without it."""

    query: Query
    cuts: frozenset[str]


def given_in(bundle: str, place: int, entry: Any) -> Given:
    """An entry of a Bundle as a resource; None for the resource where the entry has none."""
    if not isinstance(entry, dict):
        return Given(f"{bundle}.entry[{place}]", None)
    return Given(f"{bundle}.entry[{place}].resource", entry.get("resource"), entry.get("fullUrl"))


def resource_type_of(resource: Any) -> str:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    return kind if isinstance(kind, str) else ""


class Prefetched:
    """All resources under all keys, and how each key's look-up went, by the type that the key stands for."""

    def __init__(self, prefetch: dict[str, Any], hook: str) -> None:
        self.resources: list[Given] = []
        self.states: dict[str, PrefetchState] = {}
        self.shown: set[str] = set()
        self.closed: set[str] = set()
        self.pages: list[NextPage] = []
        for key, value in prefetch.items():
            self._add(key, value, searched_type(key, hook))

    def _add(self, key: str, value: Any, resource_type: str | None) -> None:
        came = _came(f"prefetch.{key}", value)
        self.resources.extend(came.resources)
        if came.failed or not came.resources:
            self.closed.add(key)
        if resource_type is None:
            return  # certain resources by their ids: that the others were looked up does not follow
        state = came.state
        if value is not None and not _answers(value, resource_type, came.resources):
            state = "failed"  # what stands there is no answer to the look-up
        shown = {resource_type_of(one.resource) for one in came.resources}
        self.shown |= shown
        self._worse(resource_type, state)
        pages = [*came.next_pages, ""] if came.short else came.next_pages  # "": nobody knows where
        if pages:
            cuts = frozenset(shown | {resource_type})
            self.pages.extend(NextPage(Query(resource_type, page=url), cuts) for url in pages)
            for one in cuts:
                self._worse(one, "partial")

    def _worse(self, resource_type: str, state: PrefetchState) -> None:
        before = self.states.get(resource_type, "empty")
        self.states[resource_type] = max(state, before, key=_WORST_LAST.index)


def _answers(value: dict[str, Any], resource_type: str, brought: list[Given]) -> bool:
    """Whether a value can be what a look-up of this type gave.

    Of orders absence counts: they are searched for, and only a Bundle that is empty or holds some of them answers.
    """
    kind = resource_type_of(value)
    if resource_type not in ORDER_TYPES:
        return kind in ("Bundle", "OperationOutcome", resource_type)
    held = {resource_type_of(one.resource) for one in brought}
    return kind == "OperationOutcome" or (kind == "Bundle" and (not held or resource_type in held))


_WORST_LAST: list[PrefetchState] = ["empty", "given", "partial", "failed"]


# Types that many EHRs do not let be searched; what is there comes another way too
_OPTIONAL = frozenset({"QuestionnaireResponse"})


class ReadBack:
    """What readings add to a call of which so much was known."""

    def __init__(
        self,
        states: Mapping[str, PrefetchState],
        unread: Mapping[str, str],
        pages: Iterable[NextPage],
        readings: Mapping[str, int],
    ) -> None:
        self.resources: list[Given] = []
        self.states: dict[str, PrefetchState] = dict(states)
        self.unread: dict[str, str] = dict(unread)
        self.pages: list[NextPage] = list(pages)
        self.asked: frozenset[str] = frozenset()
        self.as_written: dict[str, Any] = {}
        self.readings: dict[str, int] = dict(readings)

    def add(self, reading: Reading) -> None:
        query = reading.query
        self.asked |= frozenset(query.marks)
        failed, partial = False, False
        place = self._place(query.resource_type)
        for number, page in enumerate(reading.pages, start=1):
            where = place + (f".page{number}" if number > 1 else "")
            came = _came(where, page)
            self.resources.extend(came.resources)
            for same in reading.as_written[number - 1 : number]:
                self.as_written |= {one.where: one.resource for one in _came(where, same).resources}
            failed = failed or came.failed
            # of the last page: the others were followed. What one page counts is for all of them together
            partial = bool(came.next_pages) or (came.short and len(reading.pages) == 1 and query.page is None)
        told = f"the EHR was asked for {query.resource_type} and {reading.fault}" if reading.fault else None
        if told is not None and reading.declined and query.resource_type in _OPTIONAL and not query.ids:
            # an EHR that keeps none, or shows none, is as one that sends none
            self.states[query.resource_type] = "given" if self._holds(query.resource_type) else "empty"
            return
        if query.page is not None:
            self._page(query, failed or partial or told is not None, told)
        elif query.ids:
            if told is not None:
                self.unread[query.resource_type] = told
        else:
            self._search(query.resource_type, failed, partial, reading, told)

    def _place(self, kind: str) -> str:
        """Where a reading stands: no two at one place, for by its place an order is known again."""
        before = self.readings.get(kind, 0)
        self.readings[kind] = before + 1
        return f"fhirServer.{kind}[{before}]" if before else f"fhirServer.{kind}"

    def _search(self, kind: str, failed: bool, partial: bool, reading: Reading, told: str | None) -> None:
        state: PrefetchState = "given" if self._holds(kind) else "empty"
        if failed or not reading.pages:
            state = "failed"
        elif partial or told is not None:
            state = "partial"
        self.states[kind] = state
        if told is not None:
            self.unread[kind] = told

    def _holds(self, kind: str) -> bool:
        return any(resource_type_of(one.resource) == kind for one in self.resources)

    def _page(self, query: Query, cut: bool, told: str | None) -> None:
        """The types that the page was missing for are whole once none of their pages is missing any more."""
        for page in [one for one in self.pages if one.query == query]:
            if cut:
                self.unread.update(dict.fromkeys(page.cuts, told) if told else {})
                continue
            self.pages.remove(page)
            for kind in page.cuts:
                if self.states.get(kind) == "partial" and not any(kind in one.cuts for one in self.pages):
                    self.states[kind] = "given"


class _Came(NamedTuple):
    """What stands in one value of prefetch, or in one body that was read."""

    resources: list[Given]
    failed: bool
    short: bool  # counts more than it holds, and names no page where the rest is
    next_pages: list[str]

    @property
    def state(self) -> PrefetchState:
        if self.failed:
            return "failed"
        if self.next_pages or self.short:
            return "partial"
        return "given" if self.resources else "empty"


def _came(where: str, value: Any) -> _Came:
    """The resources of a resource or Bundle; whether its look-up failed, and which pages are missing."""
    found: list[Given] = []
    failed, short, pages = False, False, []
    waiting = [Given(where, value)] if value is not None else []
    while waiting:
        one = waiting.pop()
        match resource_type_of(one.resource):
            case "OperationOutcome":
                failed = failed or _is_failure(one.resource)
            case "":
                failed = True
                found.append(one)
            case "Bundle":
                entries = one.resource.get("entry", [])
                if not isinstance(entries, list):
                    failed = True
                    continue
                after = page_after(one.resource)
                if after is not None:
                    pages.append(after)
                elif _is_short(one.resource, entries):
                    short = True
                waiting.extend(given_in(one.where, n, entries[n]) for n in reversed(range(len(entries))))
            case _:
                found.append(one)
    return _Came(found, failed, short, pages)


def _is_failure(outcome: dict[str, Any]) -> bool:
    """A look-up that failed, unless all that is said of it is for information (FHIR R4, Search: outcomes)."""
    issues = outcome.get("issue")
    if not isinstance(issues, list) or not issues:
        return True
    return not all(isinstance(one, dict) and one.get("severity") == "information" for one in issues)


def _is_short(bundle: dict[str, Any], entries: list[Any]) -> bool:
    """Whether a Bundle counts more matches than it holds."""
    total = bundle.get("total")
    return isinstance(total, int) and total > sum(_is_match(one) for one in entries)


def _is_match(entry: Any) -> bool:
    """An entry that `total` counts: R4 leaves out what was only included, and outcomes."""
    search = entry.get("search") if isinstance(entry, dict) else None
    return not (isinstance(search, dict) and search.get("mode") in ("include", "outcome"))
