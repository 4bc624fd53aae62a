"""What a call lacks for the policies that may apply, as queries to its EHR. Pure; asks nobody.

Coverage comes first: whose member a patient is decides which policies apply, and of a patient whose payer is not
served here no chart is read. What the orders and the call itself point at is asked for beside it, so that a slow
EHR is waited for as seldom as possible. Ask again after each answer, until nothing is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from cds_service.crd.coverage import names_coverage, payers_in_question, to_be_read
from cds_service.crd.hook_request import HookRequest
from cds_service.crd.orders import ORDER_TYPES, DraftLine, order_lines
from cds_service.crd.performer import networks_of
from cds_service.crd.queries import Query
from cds_service.crd.scope import based_on, scope_of
from cds_service.crd.templates import NARROWED, OF_PATIENT
from cds_service.fhir.addresses import is_id
from cds_service.fhir.problem import Problem
from cds_service.fhir.record import Record
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference, reference_key
from cds_service.policy.order_line import OrderLine
from cds_service.policy.payers import Payer
from cds_service.policy.plan import Policy

Resource = Mapping[str, Any]


class HoldsPolicies(Protocol):
    """What is read of a catalogue."""

    @property
    def payers(self) -> tuple[Payer, ...]: ...

    @property
    def types_needed(self) -> frozenset[str]: ...

    def in_force(self, payer: str, line: OrderLine, on: date) -> tuple[Policy, ...]: ...


# Where an order points at what is ordered, at who orders, and at what it rests on
_ITEM = ("codeReference", "medicationReference")
_REQUESTER = ("requester", "orderer", "prescriber")
_PEOPLE = frozenset({"Organization", "Practitioner", "PractitionerRole"})
_AUTHORIZATION = "ClaimResponse"
_LINKS = ("basedOn", "supportingInfo", "reasonReference", "priorRequest", "replaces")
# The prefetch key that names resources of a type by their ids: null under it means that they were looked for
_KEY = {
    "Claim": "claims",
    "Device": "devices",
    "Location": "locations",
    "Medication": "medications",
    "Practitioner": "practitioners",
    "PractitionerRole": "practitionerRoles",
}


def missing_queries(request: HookRequest, catalogue: HoldsPolicies, asked_at: datetime) -> tuple[Query, ...]:
    """The queries that are worth sending next; none once all is there, or was asked for."""
    if _has_all(request, catalogue.types_needed):
        return ()
    return tuple(_Missing(request, catalogue, asked_at).queries())


def _has_all(request: HookRequest, types_needed: Iterable[str]) -> bool:
    """Whether a call plainly lacks nothing, so that the closer look can be spared: as most calls with prefetch do."""
    if request.hook.orders not in ("draft", "selections"):
        return False  # the orders stand in the chart
    if request.wants_forms_as_tasks and "Questionnaire" not in request.prefetch_state:
        return False
    if request.next_pages or request.not_looked_up((*types_needed, "Coverage")):
        return False
    if request.in_earnest and request.not_looked_up((_AUTHORIZATION,)):
        return False
    chart = [one.resource for one in request.resources if isinstance(one.resource, dict)]
    held = {f"{one.get('resourceType')}/{one.get('id')}" for one in chart}
    no_role = not any(one.get("resourceType") == "PractitionerRole" for one in chart)
    if any("performer" in one.resource or "dispenseRequest" in one.resource for one in request.orders):
        return False  # a performer's organization and networks stand in a chain
    for resource in (*(one.resource for one in request.orders), *chart):
        for text in _named_by(resource):
            key = reference_key(text, request.fhir_server)
            if key not in held or (no_role and key is not None and key.startswith("Practitioner/")):
                return False  # a practitioner's role stands elsewhere
    return True


def _named_by(resource: Resource) -> Iterator[str]:
    """The references of a resource that are asked for where the call does not hold them."""
    kind = resource.get("resourceType")
    if kind in ORDER_TYPES:
        elements: tuple[str, ...] = (*_ITEM, *_REQUESTER, *_LINKS, "insurance")
    else:
        elements = _ELEMENTS.get(str(kind), ())
    for element in elements:
        for reference in objects_in(resource.get(element)):
            text = literal_reference(reference.get("location") if element == "location" else reference)
            if text is not None and not text.startswith("#"):
                yield text


_ELEMENTS = {
    "ClaimResponse": ("request", "insurer"),
    "Coverage": ("payor",),
    "Encounter": ("location", "serviceProvider"),
    "PractitionerRole": ("practitioner",),
}


class _Missing:
    """One look at a call: what it holds, and what it points at without holding it."""

    def __init__(self, request: HookRequest, catalogue: HoldsPolicies, asked_at: datetime) -> None:
        self.request = request
        self.catalogue = catalogue
        self.record = Record.build(request.resources, request.patient_id, base=request.fhir_server)
        scope = scope_of(request)
        # where the call's orders are not at hand yet, they are all that is looked for
        lines = () if isinstance(scope, Problem) else order_lines(scope.draft, self.record, asked_at)
        asked = frozenset[str]() if isinstance(scope, Problem) else scope.asked
        self.lines = tuple(one for one in lines if one.reference in asked)
        self.day = asked_at.date()
        self.ids: dict[str, dict[str, None]] = {}  # by type, in the order in which they were met
        self.searches: list[Query] = []

    def queries(self) -> Iterator[Query]:
        everybody = frozenset(one.id for one in self.catalogue.payers)
        self.orders()
        if not self.lines and (self.ids or self.searches):
            self.beside_orders()
        self.coverage()
        any_policy = False
        authorized = False
        needed: set[str] = set()
        forms: dict[str, None] = {}
        for line in self.lines:
            self.point_at(_ITEM, line.order.resource)
            any_policy = any(self.policies(line, everybody)) or any_policy
            applying = self.policies(line, self.payers(line, everybody))
            authorized = authorized or any(map(_may_want_authorization, applying))
            needed |= {kind for one in applying for kind in one.types_read}
            forms |= {one.form.url: None for one in applying if one.form is not None}
            if needed:
                self.point_at(_LINKS, line.order.resource, OF_PATIENT)
        if any_policy:
            self.call()
        for kind in sorted(OF_PATIENT & needed):
            self.search(kind)
        if authorized and self.request.in_earnest:
            self.authorizations()
        if forms and self.request.wants_forms_as_tasks and "Questionnaire" not in self.request.prefetch_state:
            self.searches_once(Query("Questionnaire", parameters=(("url", ",".join(forms)),)))
        yield from (one.query for one in self.request.next_pages if one.query.page and self.is_new(one.query))
        yield from self.searches
        yield from self.reads()

    def orders(self) -> None:
        """The orders that the context only names, or that stand in the chart."""
        match self.request.hook.orders:
            case "dispatched":
                for text in self.request.named:
                    self.read_unless_held({"reference": text}, ORDER_TYPES)
            case "appointments":
                for appointment in self.request.orders:
                    for text in based_on(appointment.resource):
                        self.read_unless_held({"reference": text}, ORDER_TYPES)
            case "active":
                for kind in sorted(ORDER_TYPES & OF_PATIENT & self.catalogue.types_needed):
                    self.search(kind)

    def beside_orders(self) -> None:
        """What is wanted with the orders, whatever they turn out to be: waiting for them first would take another turn
        of a slow EHR, and with it the chart."""
        self.search("Coverage", ("status", "active"))
        if self.request.performer is not None:
            self.person({"reference": self.request.performer}, {})

    def coverage(self) -> None:
        for line in self.lines:
            if not names_coverage(line):
                self.search("Coverage", ("status", "active"))
            for reference in to_be_read(line, self.record):
                self.read(reference, frozenset({"Coverage"}))

    def payers(self, line: DraftLine, everybody: frozenset[str]) -> frozenset[str]:
        """Whose policies may apply. Everybody's, while the payor of a coverage is still being read: waiting for it
        would take another turn."""
        known, unread = payers_in_question(line, self.record, self.catalogue.payers, self.day)
        if "payors" in self.request.closed:
            return known
        # each of them is asked for: no short cut
        pending = [self.read(one, frozenset({"Organization"})) for one in unread]
        return everybody if any(pending) else known

    def policies(self, line: DraftLine, payers: Iterable[str]) -> list[Policy]:
        return [one for payer in sorted(payers) for one in self.catalogue.in_force(payer, line.line, line.day)]

    def call(self) -> None:
        """What every policy may read of the call itself: patient, encounter and its place, who orders."""
        self.context("Patient", self.request.patient_id)
        encounter_id = self.request.encounter_id
        if encounter_id is not None:
            self.context("Encounter", encounter_id)
            encounter = self.record.resolve(f"Encounter/{encounter_id}")
            if encounter is not None:
                for place in objects_in(encounter.get("location")):
                    self.point_at(("location",), place)
                if "organizations" not in self.request.closed:
                    self.point_at(("serviceProvider",), encounter, frozenset({"Organization"}))
        for line in self.lines:
            self.people(line.order.resource)

    def authorizations(self) -> None:
        """The payer's answers on file, the requests that tell what they are about, and whose answers they are.

        Asked for last: an EHR that is slow, or knows none of them, costs the chart nothing.
        """
        self.search(_AUTHORIZATION, ("use", "preauthorization"))
        for one in self.record.of_type(_AUTHORIZATION):
            if one.get("use") == "preauthorization":
                self.point_at(("request",), one, frozenset({"Claim"}))
                if "payors" not in self.request.closed:
                    self.point_at(("insurer",), one, frozenset({"Organization"}))

    def context(self, kind: str, identity: str) -> None:
        if self.request.not_looked_up((kind,)) and kind.lower() not in self.request.closed:
            self.read({"reference": f"{kind}/{identity}"})

    def people(self, order: Resource) -> None:
        """Who orders, and who is to carry it out: the person, the role, and of a performer the organization and its
        networks too."""
        for name in _REQUESTER:
            self.person(order.get(name), order)
        if self.request.performer is not None:
            performers: list[Resource] = [{"reference": self.request.performer}]  # on order-dispatch this one counts
        else:
            owners = (order, *objects_in(order.get("dispenseRequest")))
            performers = [one for owner in owners for one in objects_in(owner.get("performer"))]
        for reference in performers:
            self.person(reference, order)
            performer = self.record.resolve(reference, within=order)
            if performer is not None:
                self.affiliation(performer)

    def person(self, reference: Any, order: Resource) -> None:
        found = self.record.resolve(reference, within=order) if isinstance(reference, dict) else None
        if found is None and isinstance(reference, dict):
            self.read(reference, _PEOPLE)
        key = self.own_key(reference)
        if found is not None and found["resourceType"] == "PractitionerRole":
            self.point_at(("practitioner",), found, _PEOPLE)
        elif key is not None and key.startswith("Practitioner/") and not self.holds_role_of(key):
            identity = key.partition("/")[2]
            if "userRoles" not in self.request.closed and is_id(identity):
                self.searches_once(Query("PractitionerRole", parameters=(("practitioner", identity),)))

    def affiliation(self, performer: Resource) -> None:
        roles = [performer]
        if performer["resourceType"] == "Practitioner":
            key = own_reference(performer)
            roles = [
                one for one in self.record.of_type("PractitionerRole") if self.own_key(one.get("practitioner")) == key
            ]
        organizations = frozenset({"Organization"})
        for role in roles:
            if role["resourceType"] != "PractitionerRole":
                continue
            self.point_at(("organization",), role, organizations)
            for reference in networks_of(role):
                network = self.record.resolve(reference)
                if network is None:
                    self.read(reference, organizations)
                else:
                    self.point_at(("partOf",), network, organizations)

    def holds_role_of(self, key: str) -> bool:
        roles = self.record.of_type("PractitionerRole")
        return any(self.own_key(one.get("practitioner")) == key for one in roles)

    # -- one by one ------------------------------------------------------------------------------------

    def point_at(self, elements: Iterable[str], resource: Resource, kinds: frozenset[str] | None = None) -> None:
        """Ask for what these elements name and the call does not hold."""
        for element in elements:
            for reference in objects_in(resource.get(element)):
                if self.record.resolve(reference, within=resource) is None:
                    self.read(reference, kinds)

    def read_unless_held(self, reference: Resource, kinds: frozenset[str]) -> None:
        if self.record.resolve(reference) is None:
            self.read(reference, kinds)

    def read(self, reference: Resource, kinds: frozenset[str] | None = None) -> bool:
        """Whether a reference names a resource on the call's own server that was not asked for yet; then it is."""
        kind, _, identity = (self.own_key(reference) or "").partition("/")
        if not is_id(identity) or (kinds is not None and kind not in kinds) or f"{kind}/{identity}" in self.asked:
            return False
        if _KEY.get(kind) in self.request.closed:
            return False
        self.ids.setdefault(kind, {})[identity] = None
        return True

    @property
    def asked(self) -> frozenset[str]:
        return self.request.asked

    def own_key(self, reference: Any) -> str | None:
        """`Type/id` of a reference to the call's own server; None for one to elsewhere, or to nothing readable."""
        text = literal_reference(reference)
        key = reference_key(text, self.record.base) if text is not None else None
        return key if key is not None and key.count("/") == 1 and ":" not in key else None

    def search(self, kind: str, *more: tuple[str, str]) -> None:
        """All that the patient has of a type, unless that was looked up: a look-up that failed is not repeated."""
        known = kind in self.request.prefetch_state or not self.request.not_looked_up((kind,))
        if not known and is_id(self.request.patient_id):
            narrowed = (*more, *NARROWED.get(kind, ()))
            self.searches_once(Query(kind, parameters=(("patient", self.request.patient_id), *narrowed)))

    def searches_once(self, query: Query) -> None:
        if self.is_new(query) and query not in self.searches:
            self.searches.append(query)

    def is_new(self, query: Query) -> bool:
        return self.asked.isdisjoint(query.marks)

    def reads(self) -> Iterator[Query]:
        searched = {one.resource_type for one in self.searches if one.parameters[0][0] == "patient"}
        for kind, identities in self.ids.items():
            if kind in searched:
                continue  # the search may bring them; what it does not bring is asked for after it
            yield from _chunks(kind, tuple(identities))


# An address that some servers would cut is not sent
_MOST_IDS = 30


def _chunks(kind: str, identities: Sequence[str]) -> Iterator[Query]:
    for start in range(0, len(identities), _MOST_IDS):
        yield Query(kind, ids=tuple(identities[start : start + _MOST_IDS]))


def _may_want_authorization(policy: Policy) -> bool:
    """Whether an authorization on file could change what the policy says of an order."""
    given = (one for row in policy.rows for one in (row.gives, row.unknown) if one is not None)
    return any(one.pa_needed == "auth-needed" for one in given)
