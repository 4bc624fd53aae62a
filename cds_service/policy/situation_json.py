"""A situation as JSON that can be kept, and a situation again. Pure; judges nothing.

The law: `determine(policy, situation_from(kept(policy, situation), policy, ...))` is `determine(policy, situation)`,
with the same answers, instant and business hours. Kept is what the policy can look at and no more: of the chart what
its facts retrieve and what is read through a reference, of the patient the elements that its expressions name. Facts
that a policy case states outright belong to the case and are not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from cds_service.fhir.record import Record, RecordFault
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.model import Answer, Situation
from cds_service.policy.order_line import OrderLine, read_order_line
from cds_service.policy.plan import Policy

Resource = Mapping[str, Any]

# What is read through a reference whatever the policy: order lines (order_line.py) and panels (items.py)
_LINKS = frozenset(
    {
        "basedOn",
        "codeReference",
        "hasMember",
        "medicationReference",
        "priorPrescription",
        "priorRequest",
        "reasonReference",
        "replaces",
        "supportingInfo",
    }
)
# No condition reads a resource's narrative or the server's notes on it; these and papers would be most of what is kept
_UNREAD = frozenset({"meta", "text"})
_PAPERS = {"DocumentReference": "content", "DiagnosticReport": "presentedForm"}


def kept(policy: Policy, situation: Situation) -> dict[str, Any]:
    """What this policy can look at of a situation, as JSON."""
    record, line, named = situation.record, situation.line, policy.elements
    whose, urns = record.whose_it_is, record.urns()
    kinds = {fact.type for fact in policy.facts.values() if fact.retrieved}
    found: dict[str, Any] = {
        "patient": {"id": whose[0], "keys": list(whose[1])},
        "line": _line(line),
        "draft": [_line(one) for one in situation.draft],
        "orderDate": situation.order_date.isoformat(),
        "onDate": situation.on_date.isoformat(),
        "coverage": dict(situation.coverage),
        "resources": [_with_urn(_reduced(one, named), urns.get(id(one))) for one in _looked_at(policy, situation)],
        "notLookedUp": dict(situation.not_looked_up),
        "faults": [[one.resource_type, one.where, one.what] for one in record.faults if one.resource_type in kinds],
        "foreign": _foreign(policy, record),
    }
    if record.base is not None:
        found["base"] = record.base
    for name in ("encounter", "requester", "performer"):
        view = getattr(situation, name)
        if view is not None:
            found[name] = _reduced(view, named)
    return found


def situation_from(
    held: Mapping[str, Any],
    policy: Policy,
    *,
    asked_at: datetime,
    business_hours: BusinessHours,
    answers: Mapping[str, Answer],
) -> Situation:
    """The situation again. `asked_at` is the instant at which it is judged: that of the call, for the same answer."""
    record = Record.of_kept(
        ((one.get("urn"), one["resource"]) for one in held["resources"]),
        (held["patient"]["id"], held["patient"]["keys"]),
        held["notLookedUp"],
        held.get("base"),
        [RecordFault(*one) for one in held["faults"]],
        [(where, resource) for where, resource in held["foreign"]],
    )
    order_date = date.fromisoformat(held["orderDate"])
    return Situation(
        record=record,
        line=_line_from(held["line"], record, order_date),
        order_date=order_date,
        on_date=date.fromisoformat(held["onDate"]),
        asked_at=asked_at,
        draft=tuple(_line_from(one, record, order_date) for one in held["draft"]),
        encounter=held.get("encounter"),
        coverage=held["coverage"],
        requester=held.get("requester"),
        performer=held.get("performer"),
        business_hours=business_hours,
        answers=answers,
        not_looked_up=held["notLookedUp"],
    )


# -- order lines


def _line(line: OrderLine) -> dict[str, Any]:
    found = {"resource": _without(line.resource, _UNREAD), "position": line["position"]}
    first = line.get("firstDay")
    # where the order states no first day, the view was given one
    return {**found, "day": first.first_day.isoformat()} if first is not None else found


def _line_from(held: Mapping[str, Any], record: Record, order_date: date) -> OrderLine:
    day = date.fromisoformat(held["day"]) if "day" in held else order_date
    return read_order_line(held["resource"], held["position"], record, day)


# -- the chart


def _looked_at(policy: Policy, situation: Situation) -> list[Resource]:
    """The resources that the policy's facts retrieve, and all that is read from there, from the orders of the draft
    or from the encounter through a reference; type by type in the order in which they came."""
    record = situation.record
    beside = [situation.line.resource, *(one.resource for one in situation.draft)]
    beside += [situation.encounter] if situation.encounter is not None else []
    waiting = [*beside, *_retrieved(policy, record)]
    waiting += [one for one in (record.resolve(situation.line["reference"]), record.patient) if one is not None]
    found: dict[int, Resource] = {}
    while waiting:
        resource = waiting.pop()
        if id(resource) in found:
            continue
        found[id(resource)] = resource
        linked = (record.resolve(one, within=resource) for one in _references(resource, policy.elements))
        waiting += [one for one in linked if one is not None]
        panel = record.panel_of(resource)
        waiting += [panel] if panel is not None else []
    # what was found is of the record, or stands beside it, or is contained in what is kept
    kinds = sorted({str(one["resourceType"]) for one in found.values()})
    return [one for kind in kinds for one in record.of_type(kind) if id(one) in found]


def _retrieved(policy: Policy, record: Record) -> Iterator[Resource]:
    for at, coded in policy.coded.items():
        for resources in record.coded(*at, coded).values():
            yield from resources
    for fact in policy.facts.values():
        if fact.retrieved and fact.keys is None:
            yield from record.of_type(fact.type)


def _references(resource: Resource, named: frozenset[str]) -> Iterator[str]:
    for name, value in resource.items():
        if name in _LINKS or name in named or name.removesuffix("Reference") in named:
            yield from _references_in(value)


def _references_in(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _references_in(one)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name == "reference" and isinstance(part, str):
                yield part
            else:
                yield from _references_in(part)


def _foreign(policy: Policy, record: Record) -> list[list[Any]]:
    """Where resources of another patient came that a fact would have read; of themselves only the codes it knows."""
    if not record.holds_foreign:
        return []
    borne: dict[tuple[str, str], dict[str, dict[tuple[str, str], None]]] = {}
    for fact in policy.facts.values():
        if fact.retrieved:
            path = fact.code_path or "code"
            for where, keys in record.foreign_codes(fact.type, path, fact.keys):
                borne.setdefault((where, fact.type), {}).setdefault(path, {}).update(dict.fromkeys(keys))
    return [
        [where, {"resourceType": kind, **{path: _concept(keys) for path, keys in paths.items() if keys}}]
        for (where, kind), paths in borne.items()
    ]


def _concept(keys: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for system, code in keys]}


# -- what of a resource


def _with_urn(resource: Resource, urn: str | None) -> dict[str, Any]:
    return {"resource": resource} if urn is None else {"resource": resource, "urn": urn}


def _reduced(resource: Resource, named: frozenset[str]) -> Resource:
    """A resource without what no expression of the policy can read."""
    kind = str(resource.get("resourceType"))
    if kind == "Patient":
        return {name: value for name, value in resource.items() if name in _OF_PATIENT or _stem_of(name, named)}
    resource = _without(resource, _UNREAD)
    papers = _PAPERS.get(kind)
    if papers is not None and papers in resource and "data" not in named:
        return {**resource, papers: _without_content(resource[papers])}
    return resource


_OF_PATIENT = frozenset({"resourceType", "id", "birthDate"})


def _stem_of(name: str, named: frozenset[str]) -> bool:
    return any(name == one or (name.startswith(one) and name[len(one) : len(one) + 1].isupper()) for one in named)


def _without(resource: Resource, names: frozenset[str]) -> Resource:
    if names.isdisjoint(resource):
        return resource
    return {name: value for name, value in resource.items() if name not in names}


def _without_content(value: Any) -> Any:
    """Attachments without their bytes."""
    if isinstance(value, list):
        return [_without_content(one) for one in value]
    if isinstance(value, dict):
        return {name: _without_content(part) for name, part in value.items() if name != "data"}
    return value
