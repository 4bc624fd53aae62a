"""Coverage and its payor -> payer, product and programme; the coverages an order is answered under. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from cds_service.crd.orders import DraftLine
from cds_service.fhir.codings import codings_of
from cds_service.fhir.dates import parse_date
from cds_service.fhir.problem import Problem
from cds_service.fhir.record import Record
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference
from cds_service.policy.payers import Payer, Programme, fold, says

Resource = Mapping[str, Any]
Standing = Literal["active", "ended", "unread"]

# FHIR R4 fm-status: one that was ended, and those that never said that the member is covered, or not
_ENDED = "cancelled"
_NEVER_MEANT = {"draft": "is a draft", "entered-in-error": "was entered in error"}


@dataclass(frozen=True, slots=True)
class OrderCoverage:
    """A coverage that an order is answered under.

    `reference` is a Reference as the EHR knows the Coverage. `standing` is 'active' (then `payer` is set, and
    `view` is what policies see), 'ended' or 'unread'; `why` says in words what is wrong with the last two. `until` is
    the last day of an active one, if it has one. `lapsed` is the Coverage itself, with its last day, where it has ended
    by its own period and is still marked active: the record contradicts itself.
    """

    reference: Mapping[str, Any]
    standing: Standing
    payer: Payer | None = None
    view: Mapping[str, Any] | None = None
    why: str = ""
    until: date | None = None
    lapsed: tuple[Resource, date] | None = None

    @property
    def key(self) -> str:
        """The reference as text."""
        return literal_reference(self.reference) or "Coverage"


def coverages_of(
    lines: Sequence[DraftLine],
    record: Record,
    payers: Sequence[Payer],
    on_date: date,
    not_looked_up: Mapping[str, str],
) -> dict[str, tuple[OrderCoverage, ...]] | Problem:
    """For each order (by reference) the coverages it is answered under; a Problem where no order has one.

    `order.insurance` says which; else the patient's active coverages whose payer is served here. A coverage
    of another payer beside them changes nothing. Source: CRD 2.2, found-31 and found-32 (400, 412), resp-43
    (a reference that cannot be read), resp-45 (coverage that has ended).
    """
    held = _Coverages(record, payers, on_date)
    found = {one.reference: held.of_order(one.order.resource, _service_begins(one, on_date)) for one in lines}
    if any(found.values()):
        return found
    return held.problem(not_looked_up)


def known_coverages(record: Record, payers: Sequence[Payer], on_date: date) -> tuple[OrderCoverage, ...] | Problem:
    """The patient's coverages that are held; a Problem where there is none of a payer that is served here."""
    held = _Coverages(record, payers, on_date)
    return held.patients_own(on_date) or held.problem({})


def to_be_read(line: DraftLine, record: Record) -> list[Mapping[str, Any]]:
    """References of an order to Coverages that the call does not hold."""
    insurance = _insurance(line.order.resource)
    return [one for one in insurance if record.resolve(one, within=line.order.resource) is None]


def names_coverage(line: DraftLine) -> bool:
    """Whether the order says itself under which coverage it is to be judged."""
    return next(_insurance(line.order.resource), None) is not None


def payers_in_question(
    line: DraftLine, record: Record, payers: Sequence[Payer], on_date: date
) -> tuple[frozenset[str], list[Mapping[str, Any]]]:
    """The payers that an order may be answered for by the coverages that are held, and the payors' references that
    are still to be read for that."""
    held = _Coverages(record, payers, on_date)
    order = line.order.resource
    if names_coverage(line):
        coverages = [record.resolve(one, within=order) for one in _insurance(order)]
    else:
        coverages = list(record.of_type("Coverage"))
    known: set[str] = set()
    unread: list[Mapping[str, Any]] = []
    begins = _service_begins(line, on_date)
    for coverage in coverages:
        if coverage is None or coverage["resourceType"] != "Coverage":
            continue
        read = held.read(coverage, {}, begins)
        if read is not None and read.standing == "active" and read.payer is not None:
            known.add(read.payer.id)
        elif read is not None and read.payer is None:
            payors = objects_in(coverage.get("payor"))
            unread.extend(one for one in payors if record.resolve(one, within=coverage) is None)
    return frozenset(known), unread


class _Coverages:
    """The coverages of one call, read against the payers served here."""

    def __init__(self, record: Record, payers: Sequence[Payer], on_date: date) -> None:
        self.record = record
        self.payers = payers
        self.on_date = on_date
        self.of_other_payers: list[str] = []
        self._patients_own: dict[date, tuple[OrderCoverage, ...]] = {}

    def of_order(self, order: Resource, begins: date) -> tuple[OrderCoverage, ...]:
        """The coverages of an order whose service begins on that day."""
        insurance = list(_insurance(order))
        if not insurance:
            return self.patients_own(begins)
        read = (self.named(reference, order, begins) for reference in insurance)
        return tuple(one for one in read if one is not None)

    def named(self, reference: Mapping[str, Any], order: Resource, begins: date) -> OrderCoverage | None:
        """The coverage that an order names; None where it is another payer's."""
        coverage = self.record.resolve(reference, within=order)
        if coverage is None or coverage.get("resourceType") != "Coverage":
            return OrderCoverage(reference, "unread", why="The coverage that the order names could not be read.")
        return self.read(coverage, reference, begins)

    def patients_own(self, begins: date) -> tuple[OrderCoverage, ...]:
        """Active coverages served here; without any, the one that ended last; without that, those unread."""
        if begins not in self._patients_own:
            held = sorted(self.record.of_type("Coverage"), key=_end, reverse=True)
            read = [self.read(one, _reference_to(one), begins) for one in held]
            by_standing: dict[Standing, list[OrderCoverage]] = {"active": [], "ended": [], "unread": []}
            for one in read:
                if one is not None:
                    by_standing[one.standing].append(one)
            standing = tuple(by_standing["active"] or by_standing["ended"][:1] or by_standing["unread"])
            self._patients_own[begins] = standing
        return self._patients_own[begins]

    def read(self, coverage: Resource, reference: Mapping[str, Any], begins: date) -> OrderCoverage | None:
        payors = list(self.payors(coverage))
        payer, programme = _payer_of(payors, self.payers)
        if payer is None:
            if any(_names_a_payer(one, self.payers) for one in payors):
                self.of_other_payers.append(literal_reference(reference) or "Coverage")
                return None
            return OrderCoverage(reference, "unread", why="The payer of the coverage could not be read.")
        never_meant = _NEVER_MEANT.get(_status(coverage))
        if never_meant is not None:
            return OrderCoverage(reference, "unread", payer, why=f"The coverage {never_meant}.")
        why = _why_not_active(coverage, self.on_date, begins)
        if why:
            last = _last_day(coverage)
            lapsed = last is not None and last < self.on_date and _status(coverage) == "active"
            return OrderCoverage(
                reference, "ended", payer, why=why, lapsed=(coverage, last) if lapsed and last else None
            )
        view = _view(coverage, payer, programme)
        return OrderCoverage(reference, "active", payer, view, until=_last_day(coverage))

    def payors(self, coverage: Resource) -> Iterator[_Payor]:
        for reference in objects_in(coverage.get("payor")):
            yield _payor(reference, coverage, self.record)

    def problem(self, not_looked_up: Mapping[str, str]) -> Problem:
        if self.of_other_payers:
            served = ", ".join(one.name for one in self.payers)
            fix = f"send a coverage of a payer that is served: {served}"
            where = f"{self.of_other_payers[0]}.payor"
            return Problem("invalid", where, "the payer is not served here", fix, "business-rule")
        for fault in self.record.faults:
            if fault.resource_type == "Coverage":
                return Problem("invalid", fault.where, fault.what, "send the Coverage as FHIR R4 writes it")
        if "Coverage" in not_looked_up:
            fix = "send the patient's coverage in prefetch"
            return Problem("unavailable", "prefetch.coverage", not_looked_up["Coverage"], fix)
        fix = "send the coverage under which the orders are to be judged"
        return Problem("invalid", "prefetch.coverage", "no Coverage of this patient", fix, "required")


@dataclass(frozen=True, slots=True)
class _Payor:
    """What a Coverage says of its payor: names, folded, and (system, value) of identifiers."""

    names: frozenset[str]
    identifiers: frozenset[tuple[str, str]]


def _payor(reference: Mapping[str, Any], within: Resource, record: Record) -> _Payor:
    resolved = record.resolve(reference, within=within) or {}
    identifiers = [*objects_in(reference.get("identifier")), *objects_in(resolved.get("identifier"))]
    names = (reference.get("display"), resolved.get("name"))
    return _Payor(
        names=frozenset(fold(one) for one in names if isinstance(one, str)) - {""},
        identifiers=frozenset(_system_and_value(one) for one in identifiers),
    )


def is_payer_of(coverage: OrderCoverage, insurer: object, within: Resource, record: Record) -> bool | None:
    """Whether an insurer (a Reference of `within`) is the payer of the coverage; None where it cannot be read.

    An insurer that goes by the name of a programme is the payer for that programme's members only.
    """
    payer = coverage.payer
    if payer is None or not isinstance(insurer, dict):
        return None
    named = _payor(insurer, within, record)
    found, programme = _payer_of([named], [payer])
    if found is None:
        return False if _names_a_payer(named, [payer]) else None
    return programme is None or programme.code in (coverage.view or {}).get("programme", ())


def _payer_of(payors: Sequence[_Payor], payers: Sequence[Payer]) -> tuple[Payer | None, Programme | None]:
    """The payer served here that one of these is, and the programme if it goes by the name of one."""
    for payor in payors:
        # an identifier tells more than a name does: all payers are asked for it first
        for payer in payers:
            if payor.identifiers & payer.identifiers:
                return payer, _programme_named(payor, payer)
        for payer in payers:
            if _contradicts(payor, payer):
                continue
            programme = _programme_named(payor, payer)
            if programme is not None or payor.names & payer.names:
                return payer, programme
    return None, None


def _programme_named(payor: _Payor, payer: Payer) -> Programme | None:
    return next((one for one in payer.programmes if payor.names & one.aliases), None)


def _contradicts(payor: _Payor, payer: Payer) -> bool:
    """Whether an identifier in a system that is configured for this payer is not one of the payer's."""
    systems = {system for system, _ in payer.identifiers}
    return any(system in systems for system, _ in payor.identifiers)


def _names_a_payer(payor: _Payor, payers: Iterable[Payer]) -> bool:
    # an identifier in a system that is nobody's here (an NPI) names nobody
    return bool(payor.names) or any(_contradicts(payor, payer) for payer in payers)


def _insurance(order: Resource) -> Iterator[Mapping[str, Any]]:
    """The coverages that an order names. `insurance` may name ClaimResponses too: those are no coverages."""
    for reference in objects_in(order.get("insurance")):
        if reference.get("type") != "ClaimResponse" and "ClaimResponse/" not in (literal_reference(reference) or ""):
            yield reference


def _status(coverage: Resource) -> str:
    status = coverage.get("status")
    return status.strip().lower() if isinstance(status, str) else ""


def _service_begins(line: DraftLine, on_date: date) -> date:
    """The first day of service, not before the day of the call."""
    stated = line.line.get("firstDay")
    return max(on_date, stated.last_day) if stated is not None else on_date


def _why_not_active(coverage: Resource, on_date: date, begins: date) -> str:
    """Status and period decide together; what neither says does not end a coverage.

    One that has not begun yet is one of the order's as long as it has begun when the service does (`begins`).
    """
    if _status(coverage) == _ENDED:
        return f"The coverage is not active: its status is '{_ENDED}'."
    period = coverage.get("period")
    period = period if isinstance(period, dict) else {}
    start, end = (parse_date(one) if isinstance(one, str) else None for one in map(period.get, ("start", "end")))
    if end is not None and end.last_day < on_date:
        return f"The coverage ended on {end.last_day.isoformat()}."
    if start is not None and start.first_day > begins:
        return f"The coverage begins on {start.first_day.isoformat()} only."
    return ""


def _last_day(coverage: Resource) -> date | None:
    end = parse_date(_end(coverage))
    return end.last_day if end is not None else None


def _view(coverage: Resource, payer: Payer, named: Programme | None) -> dict[str, Any]:
    """What policies see of a coverage: payer, product (the plan as the card calls it), programme codes."""
    texts = [fold(text) for text in _says(coverage)]
    programmes = [
        one
        for one in payer.programmes
        if one is named or any(says(text, words) for words in one.words | one.aliases for text in texts)
    ]
    view: dict[str, Any] = {
        "payer": payer.id,
        "product": list(_plan_names(coverage)),
        "programme": [one.code for one in programmes],
    }
    if programmes:
        view["programmeName"] = programmes[0].name
    return view


def _says(coverage: Resource) -> Iterator[str]:
    """The texts in which a coverage tells its programme: class names and values, and its type."""
    kind = coverage.get("type")
    texts = [one.get(part) for one in objects_in(coverage.get("class")) for part in ("name", "value")]
    texts += [one.get(part) for one in codings_of(kind) for part in ("code", "display")]
    texts.append(kind.get("text") if isinstance(kind, dict) else None)
    return (one for one in texts if isinstance(one, str))


def _plan_names(coverage: Resource) -> Iterator[str]:
    for one in objects_in(coverage.get("class")):
        if any(coding.get("code") == "plan" for coding in codings_of(one.get("type"))):
            yield from (text for part in ("name", "value") if isinstance(text := one.get(part), str))


def _reference_to(coverage: Resource) -> Mapping[str, Any]:
    if isinstance(coverage.get("id"), str):
        return {"reference": own_reference(coverage)}
    # without an id the EHR can find its Coverage again by its own identifier only
    identifier = next(iter(objects_in(coverage.get("identifier"))), None)
    return {"type": "Coverage", "identifier": identifier} if identifier else {"type": "Coverage"}


def _end(coverage: Resource) -> str:
    period = coverage.get("period")
    end = period.get("end") if isinstance(period, dict) else None
    return end if isinstance(end, str) else ""


def _system_and_value(identifier: Mapping[str, Any]) -> tuple[str, str]:
    system, value = identifier.get("system"), identifier.get("value")
    return (
        system.strip() if isinstance(system, str) else "",
        value.strip() if isinstance(value, str) else "",
    )
