"""Chart resources as the items of facts: readings, documents, order lines. What cannot be used is said, not dropped.

The rules here are those that hold for every chart and every policy (usable statuses, units, plausible ranges); what a
particular policy asks for stands in its plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from cds_service.fhir.codings import KeyedConcept, codings_of, keyed, keys_of
from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.quantities import Quantity, convert, parse_quantity
from cds_service.fhir.record import Record
from cds_service.fhir.references import own_reference
from cds_service.policy.order_line import OrderLine, order_date, read_order_line
from cds_service.policy.plan import Fact, Measurement
from cds_service.policy.views import DOCUMENTS, REQUESTS
from cds_service.terminology.value_sets import Key

Resource = Mapping[str, Any]

_USABLE_OBSERVATION = frozenset({"final", "amended", "corrected"})
_ENDED = frozenset({"inactive", "resolved", "remission"})
_NOT_SO = frozenset({"refuted", "entered-in-error"})
_UNSURE = frozenset({"provisional", "differential", "unconfirmed"})
_DEAD_DOCUMENT = frozenset({"entered-in-error", "superseded", "cancelled"})
# any other status, also one that FHIR does not know, signs nothing; one that is not stated leaves it as it is
_SIGNED = frozenset({"final", "amended", "corrected", "appended"})
# a panel of more members is a list, and lends its members nothing of each other
MOST_MEMBERS = 50
_UNIT_WORDS = {"mm[Hg]": "mmHg"}


class Reading(dict[str, Any]):
    """One value of an Observation. Qualifiers are worked out when first asked for: most readings are never asked."""

    __slots__ = ("_env", "_measurement", "resource", "sent", "when")

    resource: Resource
    when: FhirDate | None
    sent: str | None  # the value as sent, where it was converted
    _env: Any
    _measurement: Measurement | None

    def __missing__(self, name: str) -> Any:
        if self._measurement is not None:
            for qualifier, expression in self._measurement.qualifiers:
                if qualifier == name:
                    found = expression.evaluate(self._env, self)
                    self[name] = found[0] if found else None
                    return self[name]
        raise KeyError(name)

    def qualifiers(self) -> list[tuple[str, str | None]]:
        """Each context by name, None where it is not recorded."""
        return [(name, self[name]) for name, _ in self._measurement.qualifiers] if self._measurement else []

    @property
    def display_name(self) -> str:
        return self._measurement.display if self._measurement else "Value"


class DocumentView(dict[str, Any]):
    __slots__ = ("resource",)

    resource: Resource


class Raw:
    """What retrieval found, before any window or filter; what could not be used, in words."""

    __slots__ = ("candidates", "items", "unusable")

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.candidates: list[Any] = []
        self.unusable: list[str] = []


def retrieve(fact: Fact, resources: Sequence[Resource], record: Record, env: Any, own: str) -> Raw | None:
    """The items of a retrieved fact among `resources` of its type and codes; None where there is nothing to say.

    `own` is the reference of the order at hand, which is never its own evidence.
    """
    foreign = record.foreign_to(fact.type, fact.code_path or "code", fact.keys) if record.holds_foreign else ()
    if not resources and not record.faults and not foreign:
        return None
    raw = Raw()
    for resource in resources:
        before = len(raw.items)
        if fact.type == "Observation":
            _observation(resource, fact, record, env, raw)
        elif fact.type == "Condition":
            _condition(resource, raw)
        elif fact.type in DOCUMENTS:
            document = _document(resource)
            if document is not None:
                raw.items.append(document)
        elif fact.type in REQUESTS:
            if own_reference(resource) != own and resource.get("status") != "entered-in-error":
                raw.items.append(active_line(resource, record))
        elif resource.get("status") != "entered-in-error":
            raw.items.append(resource)
        if resource.get("modifierExtension"):
            # FHIR R4, Extensibility: it may say the opposite, and none is known here
            raw.candidates.extend(raw.items[before:])
            del raw.items[before:]
    raw.unusable.extend(
        f"one {fact.type} could not be read ({fault.where}: {fault.what})"
        for fault in record.faults
        if fault.resource_type == fact.type
    )
    raw.unusable.extend(f"one {fact.type} is of another patient ({where})" for where in foreign)
    return raw


def active_line(resource: Resource, record: Record) -> OrderLine:
    """An order of the chart as an order line: its own date stands in for a first day it does not state."""
    stated = resource.get("authoredOn")
    day = parse_date(stated) if isinstance(stated, str) else None
    return read_order_line(resource, -1, record, day.first_day if day else date.max)


def _condition(resource: Resource, raw: Raw) -> None:
    clinical, verification = _status_codes(resource, "clinicalStatus"), _status_codes(resource, "verificationStatus")
    if clinical & _ENDED or verification & _NOT_SO:
        return
    # a status that is there and cannot be read, or an end that the status does not bear out, leaves it open
    unread = (resource.get("clinicalStatus") and not clinical) or (
        resource.get("verificationStatus") and not verification
    )
    ended = any(name.startswith("abatement") for name in resource)
    (raw.candidates if verification & _UNSURE or unread or ended else raw.items).append(resource)


def _status_codes(resource: Resource, name: str) -> set[str]:
    return {one["code"].lower() for one in codings_of(resource.get(name)) if isinstance(one.get("code"), str)}


def _document(resource: Resource) -> DocumentView | None:
    status = resource.get("status")
    if status in _DEAD_DOCUMENT or resource.get("docStatus") == "entered-in-error":
        return None
    view = DocumentView()
    view.resource = resource
    if resource["resourceType"] == "DocumentReference":
        contents = [one.get("attachment") for one in resource.get("content") or () if isinstance(one, dict)]
        created = [one.get("creation") for one in contents if isinstance(one, dict)]
        dates = [*created, resource.get("date")]
        view["signed"] = (resource.get("docStatus") or "final") in _SIGNED
        kind = resource.get("type")
    else:
        dates = [resource.get("effectiveDateTime"), (resource.get("effectivePeriod") or {}).get("start")]
        dates.append(resource.get("issued"))
        view["signed"] = (status or "final") in _SIGNED
        kind = resource.get("code")
    day = next((found for one in dates if isinstance(one, str) and (found := parse_date(one))), None)
    if day is not None:
        view["date"] = day
    if isinstance(kind, dict):
        view["type"] = kind
    if isinstance(status, str):
        view["status"] = status
    view["reference"] = own_reference(resource)
    return view


def _observation(resource: Resource, fact: Fact, record: Record, env: Any, raw: Raw) -> None:
    if resource.get("status") not in _USABLE_OBSERVATION:
        return
    measurement = fact.measurement
    if measurement is None:
        if "dataAbsentReason" not in resource:
            raw.items.append(resource)
        return
    panel = record.panel_of(resource)
    if panel is not None and panel.get("status") not in _USABLE_OBSERVATION:
        panel = None  # a panel that does not count lends nothing
    siblings = _siblings(resource, record)
    if panel is not None and len(panel["hasMember"]) <= MOST_MEMBERS:
        siblings = siblings + [one for one in _siblings(panel, record) if one.get("__member") is not resource]
    when = _when(resource) or (_when(panel) if panel is not None else None)
    for part in _valued(resource, fact.keys or frozenset()):
        if "dataAbsentReason" in part or not any(name.startswith("value") for name in part):
            continue
        value, fault = _usable_value(part, measurement)
        if value is None:
            on = f" on {day_words(when)}" if when else ""
            raw.unusable.append(f"{measurement.display}{on}: {fault}")
            continue
        parent = resource if part is not resource else panel
        reading = Reading(
            value=value,
            code=_keyed_code(part, parent),
            component=siblings,
            measurement=fact.name,
            status=resource["status"],
        )
        reading.resource, reading.when, reading._env, reading._measurement = resource, when, env, measurement
        if when is not None:
            reading["date"] = when
        # where there is none that is said: a field that is not there is looked for in the resource, with an exception
        reading["method"] = resource.get("method")
        sent = part["valueQuantity"]
        reading.sent = (
            None if _same_unit(sent, measurement.unit) else f"{sent['value']} {sent.get('unit') or sent.get('code')}"
        )
        raw.items.append(reading)


def _valued(resource: Resource, keys: frozenset[Key]) -> list[Resource]:
    """Each part of the Observation that carries one of the codes: itself, and its components."""
    parts = [resource, *(resource.get("component") or ())]
    if len(parts) == 1:
        return parts  # it was found by a code, and has only one
    return [part for part in parts if not keys.isdisjoint(keys_of(part.get("code")))]


def _keyed_code(part: Resource, parent: Resource | None) -> KeyedConcept:
    """The code of a part. A component or member has its parent's codings too: the parent's context is its context."""
    code = part["code"]
    if parent is None:
        return keyed(code, keys_of(code))
    above = parent.get("code")
    merged = {**code, "coding": [*codings_of(code), *codings_of(above)]}
    return keyed(merged, keys_of(code) + keys_of(above))


def _siblings(resource: Resource, record: Record) -> list[Resource]:
    """What was recorded with a value: the components of its Observation, the members of a panel."""
    found = [_sibling(component) for component in resource.get("component") or ()]
    members = record.members_of(resource) if len(resource.get("hasMember") or ()) <= MOST_MEMBERS else []
    for member in members:
        if member.get("status") in _USABLE_OBSERVATION:
            values = {name: value for name, value in member.items() if name == "code" or name.startswith("value")}
            found.append(_sibling({**values, "__member": member}))
    return found


def _sibling(part: Resource) -> Resource:
    code = part.get("code")
    if "dataAbsentReason" in part or "comparator" in (part.get("valueQuantity") or {}):
        # a limit or an absence lends no context: its value is left out
        part = {name: value for name, value in part.items() if not name.startswith("value")}
    return {**part, "code": keyed(code, keys_of(code))} if code is not None else part


def _usable_value(source: Resource, measurement: Measurement) -> tuple[Quantity | None, str]:
    """The value in the measurement's unit, or None and what makes it unusable (docs/how-it-decides.md, Values)."""
    raw = source.get("valueQuantity")
    if raw is None:
        return None, "the value is not a quantity"
    if "comparator" in raw:
        return None, f"the value is only a limit ({raw['comparator']} {raw.get('value')})"
    sent = parse_quantity(raw)
    value = convert(sent, measurement.unit) if sent is not None else None
    if value is None:
        return None, f"unit not usable ({raw.get('unit') or raw.get('code') or 'none'})"
    if not measurement.low <= value.value <= measurement.high:
        unit = unit_words(measurement.unit)
        return None, f"{number_words(value.value)} {unit} is outside {measurement.low} to {measurement.high} {unit}"
    return value, ""


def _same_unit(raw: Mapping[str, Any], unit: str) -> bool:
    return raw.get("code", raw.get("unit")) in (unit, _UNIT_WORDS.get(unit), None) or raw.get("unit") == unit


def _when(resource: Resource) -> FhirDate | None:
    text = resource.get("effectiveDateTime") or resource.get("effectiveInstant")
    if text is None:
        text = (resource.get("effectivePeriod") or {}).get("start")
    return parse_date(text) if text is not None else None


def item_date(item: Any) -> FhirDate | None:
    """When an item was taken, written or begun; None where that is not said."""
    if isinstance(item, Reading):
        return item.when
    if isinstance(item, OrderLine):
        return item.get("firstDay")
    if isinstance(item, DocumentView):
        return item.get("date")
    if isinstance(item, dict):
        texts = (item.get(name) for name in _DATED_BY)
        return next((day for one in texts if isinstance(one, str) and (day := parse_date(one))), None)
    return None


_DATED_BY = ("recordedDate", "onsetDateTime", "performedDateTime", "effectiveDateTime")


def day_words(when: FhirDate) -> str:
    return when.text[:10]


def number_words(number: Decimal) -> str:
    """A value as a person writes it: at most two decimals, no trailing zeros."""
    text = f"{number:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def unit_words(unit: str) -> str:
    return _UNIT_WORDS.get(unit, unit)


__all__ = ["DocumentView", "OrderLine", "Raw", "Reading", "active_line", "order_date", "retrieve"]
