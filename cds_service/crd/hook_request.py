"""A CDS Hooks call: bytes -> HookRequest, checked once. Pure. Knows no policy; judges no chart."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import orjson

from cds_service.crd.clients import Client
from cds_service.crd.envelope import read_envelope
from cds_service.crd.hooks import HOOKS, Hook
from cds_service.crd.orders import ORDER_TYPES, DraftOrder, order_fault, patients_of
from cds_service.crd.prefetch import DEFAULT_MAX_CARDS
from cds_service.crd.queries import FhirAccess, Query, Reading, page_after
from cds_service.crd.templates import searched_type
from cds_service.crd.versions import NEWEST, VERSIONS, CrdVersion, version_named
from cds_service.fhir.addresses import is_token
from cds_service.fhir.problem import Problem
from cds_service.fhir.references import own_reference

PrefetchState = Literal["given", "empty", "partial", "failed"]


class Given(NamedTuple):
    """A resource as it came: where it stands in the call, itself, and the fullUrl of its Bundle entry."""

    where: str
    resource: Any
    full_url: str | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the caller wants to see. `off` holds the card types that were switched off."""

    off: frozenset[str] = frozenset()
    max_cards: int = DEFAULT_MAX_CARDS

    def wants(self, card_type: str) -> bool:
        return card_type not in self.off


class NextPage(NamedTuple):
    """A page of prefetch that was not sent along, and the types that are cut off without it."""

    query: Query
    cuts: frozenset[str]


@dataclass(frozen=True, slots=True)
class HookRequest:
    """One call of a hook, as far as an answer needs it.

    `orders` are those that the context carries: the draft, or the appointments. `named` are the references by which it
    selects among them, or names orders of the chart. `resources` are the chart: prefetch, what lies beside the orders
    in the draft, and what was read since; `as_written` holds those of them, by `where`, whose decimals have to be kept.
    `prefetch_state` is by resource type; `shown` are the types that came in prefetch, under whatever key. `closed` are
    the keys under which the EHR found nothing or failed. `asked` marks what was asked of the EHR since, and `unread`
    tells by type what came of it where nothing did.
    """

    hook: Hook
    hook_instance: str
    crd_version: CrdVersion
    patient_id: str
    encounter_id: str | None
    user_id: str | None
    performer: str | None  # on order-dispatch: who is to carry the orders out
    fhir_server: str | None
    orders: tuple[DraftOrder, ...]
    named: tuple[str, ...]
    resources: tuple[Given, ...]
    as_written: Mapping[str, Any]
    prefetch_state: Mapping[str, PrefetchState]
    shown: frozenset[str]
    configuration: Configuration
    access: FhirAccess | None = None
    next_pages: tuple[NextPage, ...] = ()
    closed: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    unread: Mapping[str, str] = field(default_factory=dict)

    def not_looked_up(self, resource_types: Iterable[str]) -> dict[str, str]:
        """Of these types, those that nothing is known of, and why: an absence among them proves nothing."""
        found: dict[str, str] = {}
        for resource_type in resource_types:
            match self.prefetch_state.get(resource_type):
                case "failed" | "partial" if resource_type in self.unread:
                    found[resource_type] = self.unread[resource_type]
                case "failed":
                    found[resource_type] = f"the EHR could not look up {resource_type}"
                case "partial":
                    found[resource_type] = f"the EHR sent only a part of what it found of {resource_type}"
                case _ if not self._is_given(resource_type):
                    no_more = f"the EHR sent no {resource_type} with the call"
                    found[resource_type] = self.unread.get(resource_type, no_more)
        return found

    def with_chart(self, readings: Iterable[Reading]) -> HookRequest:
        """The same call, with what was read from the EHR since as part of its chart."""
        read = _ReadBack(self)
        for reading in readings:
            read.add(reading)
        return replace(
            self,
            resources=(*self.resources, *read.resources),
            prefetch_state=read.states,
            next_pages=tuple(read.pages),
            asked=self.asked | read.asked,
            unread=read.unread,
        )

    def _is_given(self, resource_type: str) -> bool:
        match resource_type:
            case "Patient":
                return self._holds(resource_type, self.patient_id)
            case "Encounter":
                # without an encounterId there is no encounter to know of
                return self.encounter_id is None or self._holds(resource_type, self.encounter_id)
            case _ if resource_type in ORDER_TYPES:
                # of orders absence counts, so only a search of ours proves that there are no others
                return resource_type in self.prefetch_state
            case _:
                return resource_type in self.prefetch_state or resource_type in self.shown

    def _holds(self, resource_type: str, identity: str) -> bool:
        return any(
            _resource_type(one.resource) == resource_type and one.resource.get("id") == identity
            for one in self.resources
        )


def _unregistered(server: str | None) -> Client | None:
    return None


def parse_hook_request(
    body: bytes,
    hook: str,
    default_version: CrdVersion = NEWEST,
    client_of: Callable[[str | None], Client | None] = _unregistered,
) -> HookRequest | Problem:
    """The body of a call to the service for `hook` -> the request, or what is wrong with it.

    `client_of` tells the registered client by the FHIR server of a call: what it prefers holds where the call is
    silent, and `default_version`, the version of CRD, where both are. Unknown members are passed over everywhere
    (CRD 2.2, hook-23, dev-17).
    """
    called = HOOKS[hook]
    document = read_envelope(body, called)
    if isinstance(document, Problem):
        return document
    extension = document.get("extension")
    extension = extension if isinstance(extension, dict) else {}
    client = client_of(document.get("fhirServer"))
    registered = version_named(client.crd_version) if client is not None and client.crd_version else None
    version = _version(extension.get("davinci-crd.requestedVersion"), registered or default_version)
    if isinstance(version, Problem):
        return version
    context = document["context"]
    patient_id = context["patientId"].removeprefix("Patient/")
    draft = _draft(context, called)
    prefetch = document.get("prefetch") or {}
    fault = _draft_fault(draft, patient_id, called) or _prefetch_fault(prefetch)
    if fault is not None:
        return fault
    prefetched = _Prefetched(prefetch, hook)
    return HookRequest(
        hook=called,
        hook_instance=document["hookInstance"],
        crd_version=version,
        patient_id=patient_id,
        encounter_id=(context.get("encounterId") or "").removeprefix("Encounter/") or None,
        user_id=context.get("userId"),
        performer=context.get("performer") if "performer" in called.context else None,
        fhir_server=document.get("fhirServer"),
        orders=_orders(draft, body, called),
        named=_named(context, called),
        resources=(*(one for one in draft if not _is_asked_about(one.resource, called)), *prefetched.resources),
        as_written=_orders_as_written(prefetched.resources, body, hook) if called.writes_on_chart else {},
        prefetch_state=prefetched.states,
        shown=frozenset(prefetched.shown),
        configuration=_configuration(
            extension.get("davinci-crd.configuration"), client.cards if client is not None else {}
        ),
        access=_access(document),
        next_pages=tuple(prefetched.pages),
        closed=frozenset(prefetched.closed),
    )


def hook_called(body: bytes) -> str:
    """The hook that a call read from a file is of; order-sign where it names none that is known."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "order-sign"
    named = document.get("hook") if isinstance(document, dict) else None
    return named if isinstance(named, str) and named in HOOKS else "order-sign"


def _access(document: Mapping[str, Any]) -> FhirAccess | None:
    """Where and with which token the chart can be read back; None where the call gives no server, or a token that is
    none (CDS Hooks 2.0, Passing the Access Token: token_type is Bearer)."""
    server, authorization = document.get("fhirServer"), document.get("fhirAuthorization")
    if not isinstance(server, str):
        return None
    if not isinstance(authorization, dict):
        return FhirAccess(server)
    token, kind = authorization.get("access_token"), authorization.get("token_type", "Bearer")
    if not is_token(token) or not isinstance(kind, str) or kind.lower() != "bearer":
        return None
    return FhirAccess(server, token)


# -- the extensions of CRD -------------------------------------------------------------------------------


def _version(requested: Any, default: CrdVersion) -> CrdVersion | Problem:
    if requested is None:
        return default
    found = version_named(requested) if isinstance(requested, str) else None
    if found is not None:
        return found
    # CRD 2.2, dev-3: a version that is not supported gets an error
    where = "extension.davinci-crd.requestedVersion"
    served = ", ".join(one.name for one in VERSIONS)
    fix = f"ask for one of {served}, as a string, or leave the version out"
    return Problem("not-supported", where, "not a version of CRD that is answered in here", fix)


def _configuration(sent: Any, preferred: Mapping[str, bool | int]) -> Configuration:
    """Obeys what makes sense and passes over the rest (CRD 2.2, dev-6, dev-14, dev-15, dev-17)."""
    chosen: dict[str, Any] = dict(preferred)
    for code, value in sent.items() if isinstance(sent, dict) else ():
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if whole if code == "max-cards" else isinstance(value, bool):
            chosen[code] = value
    limit = chosen.pop("max-cards", DEFAULT_MAX_CARDS)
    return Configuration(frozenset(code for code, value in chosen.items() if value is False), limit)


# -- the draft -------------------------------------------------------------------------------------------


def _draft(context: dict[str, Any], hook: Hook) -> list[Given]:
    """The entries of the Bundle that the hook's context carries."""
    if hook.bundle is None:
        return []
    entries = context[hook.bundle].get("entry", ())
    return [_given(f"context.{hook.bundle}", n, entry) for n, entry in enumerate(entries)]


def _named(context: dict[str, Any], hook: Hook) -> tuple[str, ...]:
    """The orders that the context names by reference. Of two shapes the newer one counts."""
    for name, member in hook.context.items():
        if member.kind == "ids":
            older = context.get(member.instead) if member.instead is not None else None
            return tuple(context.get(name) or ((older,) if older else ()))
    return ()


def _given(bundle: str, place: int, entry: Any) -> Given:
    """An entry of a Bundle as a resource; None for the resource where the entry has none."""
    if not isinstance(entry, dict):
        return Given(f"{bundle}.entry[{place}]", None)
    return Given(f"{bundle}.entry[{place}].resource", entry.get("resource"), entry.get("fullUrl"))


def _resource_type(resource: Any) -> str:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    return kind if isinstance(kind, str) else ""


def _is_asked_about(resource: Any, hook: Hook) -> bool:
    return _resource_type(resource) in hook.about


def _draft_fault(draft: list[Given], patient_id: str, hook: Hook) -> Problem | None:
    """The first thing that keeps an order from being answered. What is beside the orders cannot."""
    seen: set[str] = set()
    for where, resource, _ in draft:
        if not _resource_type(resource):
            # passed over in silence it might have been an order
            return Problem("invalid", where, "no resource with a resourceType", "send an order", "structure")
        if not _is_asked_about(resource, hook):
            continue
        fault = order_fault(resource)
        if fault is not None:
            return Problem("invalid", f"{where}.{fault.element}", fault.what, fault.fix)
        reference = own_reference(resource)
        if reference in seen:
            return Problem("invalid", f"{where}.id", "two orders have this id", "give each order an id of its own")
        seen.add(reference)
        # an order is of this call whatever base its references are written with: the guide itself prints others
        owners = patients_of(resource)
        if owners and f"Patient/{patient_id}" not in owners:
            what = "the order is not for the patient of context.patientId"
            return Problem("invalid", where, what, "send the orders of one patient in one call", "business-rule")
    if hook.bundle is not None and not seen:
        types = ", ".join(sorted(hook.about))
        what, where = "nothing to answer for among the entries", f"context.{hook.bundle}.entry"
        return Problem("invalid", where, what, f"send at least one of {types}", "required")
    return None


def _orders(draft: list[Given], body: bytes, hook: Hook) -> tuple[DraftOrder, ...]:
    places = [n for n, one in enumerate(draft) if _is_asked_about(one.resource, hook)]
    echoes: Mapping[int, Any] = {}
    if hook.bundle is not None and any(_holds_float(draft[n].resource) for n in places):
        echoes = _as_written(body, hook.bundle, places)
    return tuple(DraftOrder(draft[n].where, draft[n].resource, echoes.get(n, draft[n].resource)) for n in places)


def _orders_as_written(prefetched: list[Given], body: bytes, hook: str) -> dict[str, Any]:
    """The orders of the chart by where they stand, with the digits of the body, if a float would lose some."""
    if not any(_is_order(one.resource) and _holds_float(one.resource) for one in prefetched):
        return {}
    found = _Prefetched(_DIGITS.decode(body.decode("utf-8"))["prefetch"], hook).resources
    return {one.where: one.resource for one in found if _is_order(one.resource)}


def _is_order(resource: Any) -> bool:
    return _resource_type(resource) in ORDER_TYPES


def _holds_float(value: Any) -> bool:
    if value.__class__ is dict:
        return any(_holds_float(one) for one in value.values())
    if value.__class__ is list:
        return any(_holds_float(one) for one in value)
    return value.__class__ is float


def _as_written(body: bytes, bundle: str, places: list[int]) -> dict[int, Any]:
    """The orders at these places of a Bundle, each number a fragment of the body: a float does not know its zeros.

    FHIR R4, decimal: the precision of what was sent is to be kept.
    """
    named = f'"{bundle}"'.encode()
    entries: Any = None
    if body.count(named) == 1 and b"\\u" not in body:
        # the name stands once in the whole body, and in no other spelling: the chart around it need not be read again
        text = body[body.index(named) + len(named) :].decode("utf-8")
        value = _COLON.match(text)
        if value is not None:
            draft, _ = _DIGITS.raw_decode(text, value.end())
            entries = draft.get("entry") if isinstance(draft, dict) else None
    if not isinstance(entries, list) or len(entries) <= places[-1]:
        entries = _DIGITS.decode(body.decode("utf-8"))["context"][bundle]["entry"]
    return {n: entries[n]["resource"] for n in places}


def _whole(digits: str) -> Any:
    # beyond 64 bits a number is not orjson's to write
    return orjson.Fragment(digits) if len(digits) >= 19 or digits == "-0" else int(digits)


_DIGITS = json.JSONDecoder(parse_float=orjson.Fragment, parse_int=_whole)
_COLON = re.compile(r"\s*:\s*")


# -- prefetch --------------------------------------------------------------------------------------------


def _prefetch_fault(prefetch: dict[str, Any]) -> Problem | None:
    for key, value in prefetch.items():
        if value is not None and not isinstance(value, dict):
            fix = "send a resource, or null where the look-up found nothing"
            return Problem("invalid", f"prefetch.{key}", "not a resource", fix, "structure")
    return None


class _Prefetched:
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
        shown = {_resource_type(one.resource) for one in came.resources}
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
    kind = _resource_type(value)
    if resource_type not in ORDER_TYPES:
        return kind in ("Bundle", "OperationOutcome", resource_type)
    held = {_resource_type(one.resource) for one in brought}
    return kind == "OperationOutcome" or (kind == "Bundle" and (not held or resource_type in held))


_WORST_LAST: list[PrefetchState] = ["empty", "given", "partial", "failed"]


class _ReadBack:
    """What readings add to a call."""

    def __init__(self, request: HookRequest) -> None:
        self.request = request
        self.resources: list[Given] = []
        self.states: dict[str, PrefetchState] = dict(request.prefetch_state)
        self.unread: dict[str, str] = dict(request.unread)
        self.pages: list[NextPage] = list(request.next_pages)
        self.asked: frozenset[str] = frozenset()

    def add(self, reading: Reading) -> None:
        query = reading.query
        self.asked |= frozenset(query.marks)
        failed, partial = False, False
        for number, page in enumerate(reading.pages, start=1):
            came = _came(f"fhirServer.{query.resource_type}" + (f".page{number}" if number > 1 else ""), page)
            self.resources.extend(came.resources)
            failed = failed or came.failed
            # of the last page: the others were followed. What one page counts is for all of them together
            partial = bool(came.next_pages) or (came.short and len(reading.pages) == 1 and query.page is None)
        told = f"the EHR was asked for {query.resource_type} and {reading.fault}" if reading.fault else None
        if query.page is not None:
            self._page(query, failed or partial or told is not None, told)
        elif query.ids:
            if told is not None:
                self.unread[query.resource_type] = told
        else:
            self._search(query.resource_type, failed, partial, reading, told)

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
        return any(_resource_type(one.resource) == kind for one in self.resources)

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
        match _resource_type(one.resource):
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
                waiting.extend(_given(one.where, n, entries[n]) for n in reversed(range(len(entries))))
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
