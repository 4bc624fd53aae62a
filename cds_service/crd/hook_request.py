"""A CDS Hooks call: bytes -> HookRequest, checked once. Pure. Knows no policy; judges no chart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from cds_service.crd.as_written import DIGITS, as_written, holds_float
from cds_service.crd.clients import Client
from cds_service.crd.envelope import read_envelope
from cds_service.crd.hooks import HOOKS, Hook
from cds_service.crd.looked_up import Given, NextPage, Prefetched, PrefetchState, ReadBack, given_in, resource_type_of
from cds_service.crd.orders import ORDER_TYPES, DraftOrder, order_fault, patients_of
from cds_service.crd.prefetch import DEFAULT_MAX_CARDS, ONLY_IF_ASKED_FOR
from cds_service.crd.queries import FhirAccess, Reading
from cds_service.crd.versions import NEWEST, VERSIONS, CrdVersion, version_named
from cds_service.fhir.addresses import is_token
from cds_service.fhir.problem import Problem
from cds_service.fhir.references import own_reference


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the caller wants to see. `off` holds the card types that were switched off, `on` those switched on."""

    off: frozenset[str] = frozenset()
    max_cards: int = DEFAULT_MAX_CARDS
    on: frozenset[str] = frozenset()

    def wants(self, card_type: str) -> bool:
        return card_type in self.on if card_type in ONLY_IF_ASKED_FOR else card_type not in self.off


@dataclass(frozen=True, slots=True)
class HookRequest:
    """One call of a hook, as far as an answer needs it.

    `orders` are those that the context carries: the draft, or the appointments. `named` are the references by which it
    selects among them, or names orders of the chart. `resources` are the chart: prefetch, what lies beside the orders
    in the draft, and what was read since; `as_written` holds those of them, by `where`, whose decimals have to be kept.
    `prefetch_state` is by resource type; `shown` are the types that came in prefetch, under whatever key. `closed` are
    the keys under which the EHR found nothing or failed. `asked` marks what was asked of the EHR since, and `unread`
    tells by type what came of it where nothing did; `readings` counts by type what was read.
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
    has_dtr: bool = True  # whether the client can fill in forms by DTR
    readings: Mapping[str, int] = field(default_factory=dict)

    @property
    def in_earnest(self) -> bool:
        """CRD 2.2, found-35: who asks "what if" is told of no authorization, and nothing of it is remembered."""
        return self.configuration.wants("unsolicited-determ")

    @property
    def wants_forms_as_tasks(self) -> bool:
        """Whether a form is asked for by Task: of a client without DTR, where its orders are signed."""
        return not self.has_dtr and self.hook.primary and "claim" in self.hook.cards

    def resources_of(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """Those of the chart, and of what came with it, that are of one type."""
        return (one.resource for one in self.resources if resource_type_of(one.resource) == kind)

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
                case _ if not self._isgiven_in(resource_type):
                    no_more = f"the EHR sent no {resource_type} with the call"
                    found[resource_type] = self.unread.get(resource_type, no_more)
        return found

    def with_chart(self, readings: Iterable[Reading]) -> HookRequest:
        """The same call, with what was read from the EHR since as part of its chart."""
        read = ReadBack(self.prefetch_state, self.unread, self.next_pages, self.readings)
        for reading in readings:
            read.add(reading)
        return replace(
            self,
            resources=(*self.resources, *read.resources),
            prefetch_state=read.states,
            next_pages=tuple(read.pages),
            asked=self.asked | read.asked,
            unread=read.unread,
            readings=read.readings,
            as_written={**self.as_written, **read.as_written} if self.hook.writes_on_chart else self.as_written,
        )

    def _isgiven_in(self, resource_type: str) -> bool:
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
            resource_type_of(one.resource) == resource_type and one.resource.get("id") == identity
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
    prefetched = Prefetched(prefetch, hook)
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
        has_dtr=client is None or client.has_dtr,
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
    off, on = (frozenset(code for code, value in chosen.items() if value is said) for said in (False, True))
    return Configuration(off, limit, on)


# -- the draft -------------------------------------------------------------------------------------------


def _draft(context: dict[str, Any], hook: Hook) -> list[Given]:
    """The entries of the Bundle that the hook's context carries."""
    if hook.bundle is None:
        return []
    entries = context[hook.bundle].get("entry", ())
    return [given_in(f"context.{hook.bundle}", n, entry) for n, entry in enumerate(entries)]


def _named(context: dict[str, Any], hook: Hook) -> tuple[str, ...]:
    """The orders that the context names by reference. Of two shapes the newer one counts."""
    for name, member in hook.context.items():
        if member.kind == "ids":
            older = context.get(member.instead) if member.instead is not None else None
            return tuple(context.get(name) or ((older,) if older else ()))
    return ()


def _is_asked_about(resource: Any, hook: Hook) -> bool:
    return resource_type_of(resource) in hook.about


def _draft_fault(draft: list[Given], patient_id: str, hook: Hook) -> Problem | None:
    """The first thing that keeps an order from being answered. What is beside the orders cannot."""
    seen: set[str] = set()
    for where, resource, _ in draft:
        if not resource_type_of(resource):
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
    if hook.bundle is not None and any(holds_float(draft[n].resource) for n in places):
        echoes = _as_written(body, hook.bundle, places)
    return tuple(DraftOrder(draft[n].where, draft[n].resource, echoes.get(n, draft[n].resource)) for n in places)


def _orders_as_written(prefetched: list[Given], body: bytes, hook: str) -> dict[str, Any]:
    """The orders of the chart by where they stand, with the digits of the body, if a float would lose some."""
    if not any(_is_order(one.resource) and holds_float(one.resource) for one in prefetched):
        return {}
    found = Prefetched(as_written(body.decode("utf-8"))["prefetch"], hook).resources
    return {one.where: one.resource for one in found if _is_order(one.resource)}


def _is_order(resource: Any) -> bool:
    return resource_type_of(resource) in ORDER_TYPES


def _as_written(body: bytes, bundle: str, places: list[int]) -> dict[int, Any]:
    """The orders at these places of a Bundle with the digits of the body."""
    named = f'"{bundle}"'.encode()
    entries: Any = None
    if body.count(named) == 1 and (b"\\" not in body or b"\\u" not in body):
        # the name stands once in the whole body, and in no other spelling: the chart around it need not be read again
        text = body[body.index(named) + len(named) :].decode("utf-8")
        value = _COLON.match(text)
        if value is not None:
            draft, _ = DIGITS.raw_decode(text, value.end())
            entries = draft.get("entry") if isinstance(draft, dict) else None
    if not isinstance(entries, list) or len(entries) <= places[-1]:
        entries = as_written(body.decode("utf-8"))["context"][bundle]["entry"]
    return {n: entries[n]["resource"] for n in places}


_COLON = re.compile(r"\s*:\s*")


# -- prefetch --------------------------------------------------------------------------------------------


def _prefetch_fault(prefetch: dict[str, Any]) -> Problem | None:
    for key, value in prefetch.items():
        if value is not None and not isinstance(value, dict):
            fix = "send a resource, or null where the look-up found nothing"
            return Problem("invalid", f"prefetch.{key}", "not a resource", fix, "structure")
    return None
