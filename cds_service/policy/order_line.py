"""A request resource, read as the line of an order: what is ordered, how, from when, and why. Pure; knows no hook."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, tzinfo
from decimal import ROUND_CEILING, Decimal
from typing import Any

from cds_service.fhir.codings import HCPCS, UCUM, codings_of, hcpcs_code, keyed, keys_of, split_hcpcs
from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.quantities import Quantity, convert, parse_quantity
from cds_service.fhir.record import Record
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference, reference_key

Resource = Mapping[str, Any]

_HOUR = 3_600_000_000  # in microseconds, as dates count them
# HCPCS: two letters or digits are a modifier, five characters a code
_MODIFIER = re.compile(r"^[A-Z0-9]{2}$")
# HCPCS modifiers of equipment: rented (by the month, part of one, against the price, or which month it is), and bought
_RENTAL, _PURCHASE = frozenset({"RR", "LL", "KR", "KH", "KI", "KJ"}), frozenset({"NU", "UE"})
# orderDetail carries a flow as text only; nothing looser than a number and its unit is read
_FLOW_TEXT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(?:l/min|lpm|l/m|lit(?:er|re)s? per minute)\s*$", re.IGNORECASE)
# a reason by reference is as sure as the Condition it names: only one that stands and is confirmed is a stated reason
_NOT_A_REASON = frozenset(
    {"refuted", "entered-in-error", "provisional", "differential", "unconfirmed", "inactive", "resolved", "remission"}
)
# FHIR R4 CRD (2.2): further codings under which the ordered thing may be billed
_BILLING_OPTIONS = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"
_LINKS = ("basedOn", "supportingInfo", "reasonReference", "priorRequest", "replaces", "priorPrescription")


class OrderLine(dict[str, Any]):
    """The view that expressions see. `resource` is the order as it came.

    `ordered` are the HCPCS codes under which it orders something. More than one is no line of an order: codings of one
    concept say the same thing in several systems, and these cannot.
    """

    __slots__ = ("ordered", "resource")

    resource: Resource
    ordered: tuple[str, ...]


def read_order_line(resource: Resource, position: int, record: Record, fallback_day: date) -> OrderLine:
    """The order-line view of a request resource.

    `position` is its place in the draft, from 0 (orders already active: -1). `fallback_day` is the order date, for a
    first day of service that the order does not state. Reads codes under any HCPCS system URI, modifiers beside the
    code, glued to it, in orderDetail or in DeviceRequest.parameter. Absent parts are absent from the view.
    """
    line = OrderLine()
    line.resource = resource
    concept = _concept(resource, record)
    codings = list(_all_codings(concept))
    code, modifiers = _code_and_modifiers(codings, resource)
    line.ordered = _items(concept)
    if code is not None and len(line.ordered) < 2:
        line["code"] = code
    line["concept"] = codings
    line["modifier"] = [{"system": HCPCS, "code": one} for one in modifiers]
    transaction = _transaction(frozenset(modifiers))
    if transaction is not None:
        line["transaction"] = transaction
    line.update(_times(resource, fallback_day))
    flow = _flow_rate(resource)
    if flow is not None:
        line["flowRate"] = flow
    if _as_needed(resource):
        line["asNeeded"] = True
    if isinstance(concept.get("text"), str) and concept["text"].strip():
        line["conceptText"] = concept["text"]
    line["text"] = list(_texts(concept, resource))
    # keyed: most conditions of a policy ask whether the reason is one of theirs
    line["reason"] = [keyed(one, keys_of(one)) for one in _reasons(resource, record)]
    if isinstance(resource.get("status"), str):
        line["status"] = resource["status"]
    line["position"] = position
    line["reference"] = own_reference(resource)
    links = (one for name in _LINKS for one in objects_in(resource.get(name)))
    line["references"] = [text for one in links if (text := _points_at(one, record))]
    return line


def _points_at(link: Mapping[str, Any], record: Record) -> str | None:
    """What a reference points at, as that resource calls itself where the call holds it: `urn:` names are lost so."""
    text = literal_reference(link)
    if text is None or text.startswith("#"):
        return text
    target = record.resolve(text)
    return own_reference(target) if target is not None else reference_key(text, record.base) or text


def order_date(resource: Resource, asked_at: datetime) -> date:
    """The calendar date of an order: `authoredOn` in the zone of `asked_at`, else the day of the call.

    An `authoredOn` that names no day (2026-03) is not precise enough to be one.
    """
    text = resource.get("authoredOn") or resource.get("dateTime") or resource.get("dateWritten")
    stated = parse_date(text) if isinstance(text, str) else None
    if stated is None or stated.precision in ("year", "month"):
        return asked_at.date()
    return _day_in(stated, asked_at.tzinfo)


def _day_in(stated: FhirDate, zone: tzinfo | None) -> date:
    if not stated.is_datetime:
        return stated.first_day
    try:
        instant = datetime.fromisoformat(stated.text)
        return instant.astimezone(zone).date() if instant.tzinfo is not None else stated.first_day
    except (ValueError, OverflowError):
        return stated.first_day


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _concept(resource: Resource, record: Record) -> Mapping[str, Any]:
    for name in ("code", "codeCodeableConcept", "medicationCodeableConcept"):
        if isinstance(resource.get(name), dict):
            return resource[name]  # type: ignore[no-any-return]
    for name, element in (("codeReference", "type"), ("medicationReference", "code")):
        target = record.resolve(resource.get(name), within=resource)
        if target is not None and isinstance(target.get(element), dict):
            return target[element]  # type: ignore[no-any-return]
    return {}


def _all_codings(concept: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from codings_of(concept)
    for extension in objects_in(concept.get("extension")):
        if extension.get("url") == _BILLING_OPTIONS:
            yield from codings_of(extension.get("valueCodeableConcept"))


def _items(concept: Mapping[str, Any]) -> tuple[str, ...]:
    """The HCPCS codes of the concept itself; without any, those under which it may be billed."""
    own = _distinct_items(codings_of(concept))
    return own or _distinct_items(_all_codings(concept))


def _distinct_items(codings: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    written = (code for one in codings if (code := hcpcs_code(one)) is not None)
    return tuple(dict.fromkeys(split_hcpcs(one)[0] for one in written if not _MODIFIER.match(one.strip().upper())))


def _code_and_modifiers(
    codings: list[Mapping[str, Any]], resource: Resource
) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    code: dict[str, Any] | None = None
    modifiers: list[str] = []
    beside = [
        coding
        for name in ("orderDetail", "parameter")
        for one in objects_in(resource.get(name))
        for coding in codings_of(one.get("valueCodeableConcept") if name == "parameter" else one)
    ]
    for coding in codings + beside:
        text = hcpcs_code(coding)
        if text is None:
            continue
        plain = text.strip().upper()
        if _MODIFIER.match(plain):
            modifiers.append(plain)
            continue
        base, glued = split_hcpcs(text)
        modifiers.extend(glued)
        if code is None and coding not in beside:
            code = {"system": HCPCS, "code": base}
            if isinstance(coding.get("display"), str):
                code["display"] = coding["display"]
    return code, tuple(dict.fromkeys(modifiers))


def _transaction(modifiers: frozenset[str]) -> str | None:
    """`rental` or `purchase`; None where the order says neither, or both at once."""
    rented, bought = bool(_RENTAL & modifiers), bool(_PURCHASE & modifiers)
    if rented is bought:
        return None
    return "rental" if rented else "purchase"


def _times(resource: Resource, fallback_day: date) -> dict[str, Any]:
    """firstDay and its month, lastDay, duration, frequency and hoursPerDay, where the order states them."""
    period = _object(resource.get("occurrencePeriod"))
    dosage = next(iter(objects_in(resource.get("dosageInstruction"))), {})
    timing = _object(resource.get("occurrenceTiming")) or _object(dosage.get("timing"))
    repeat = _object(timing.get("repeat"))
    bounds = _object(repeat.get("boundsPeriod"))
    events: Any = timing.get("event")
    first_event = events[0] if isinstance(events, list) and events else None
    starts = (resource.get("occurrenceDateTime"), period.get("start"), bounds.get("start"), first_event)
    stated = next((one for one in starts if one is not None), None)
    # a start that is there and cannot be read is not the order date: nobody knows when it begins
    first = FhirDate.of_day(fallback_day) if stated is None else _as_day(stated)
    found: dict[str, Any] = {"firstDay": first} if first is not None else {}
    if first is not None and first.precision != "year" and first.first_day != date.max:
        found["month"] = parse_date(first.text[:7])
    length = parse_quantity(repeat["boundsDuration"]) if isinstance(repeat.get("boundsDuration"), dict) else None
    duration = length or _between(period) or _between(bounds)
    ends = [day for one in (period.get("end"), bounds.get("end")) if (day := _as_day(one))]
    if duration is not None:
        found["duration"] = duration
        if first is not None and (length is not None or not ends):
            ends += [day] if (day := _last_day(first, duration)) else []
    # an order that says two ends says none
    if ends and all(one.text == ends[0].text for one in ends):
        found["lastDay"] = ends[0]
    each = _dose_duration(resource)
    if each is not None:
        found["doseDuration"] = each
    hours = _hours_per_day(timing, repeat)
    if hours is not None:
        found["hoursPerDay"] = hours
        found["frequency"] = f"{hours:f} hours a day"
    else:
        words = _frequency_words(timing, repeat)
        if words:
            found["frequency"] = words
    return found


def _between(period: Mapping[str, Any]) -> Quantity | None:
    """The length of a period whose ends both say the time of day; days alone say no length in hours."""
    ends = [parse_date(text) if isinstance(text := period.get(name), str) else None for name in ("start", "end")]
    start, end = ends
    if start is None or end is None or not (start.is_datetime and end.is_datetime):
        return None
    if start.has_offset is not end.has_offset or end.low < start.low:
        return None
    return Quantity(Decimal(end.low - start.low) / _HOUR, "h")


def _last_day(first: FhirDate, duration: Quantity) -> FhirDate | None:
    """The last day of `duration` counted from `first`: 3 months from 1 March end on 31 May.

    Months and years go by the calendar and clip at a month's end; a day that is only begun counts. None where the
    first day, or the length, is not said precisely enough.
    """
    if first.precision != "day" or duration.value <= 0:
        return None
    days = convert(duration, "d")
    if days is not None:
        return first.plus(int(days.value.to_integral_value(ROUND_CEILING)) - 1, "days")
    # a prescription's "3 mo" are months of the calendar, though UCUM's month is a mean one
    months = convert(duration, "mo") or convert(duration, "month")
    if months is None or months.value != months.value.to_integral_value():
        return None
    after = first.plus(months.value, "months")
    return after.plus(-1, "days") if after is not None else None


def _dose_duration(resource: Resource) -> Quantity | None:
    """How long each dose runs; None where the dosage does not say, or says different things."""
    found: list[Quantity | None] = []
    for dosage in objects_in(resource.get("dosageInstruction")):
        timing = _object(dosage.get("timing"))
        repeat = _object(timing.get("repeat"))
        raw = {"value": repeat.get("duration"), "code": repeat.get("durationUnit"), "system": UCUM}
        length = parse_quantity(raw)
        if _timing_word(timing) == "continuous":
            length = Quantity(Decimal(24), "h")
        if repeat.get("durationMax") not in (None, repeat.get("duration")) or (length and length.value <= 0):
            length = None
        found.append(convert(length, "h") if length is not None else None)
    return found[0] if found and all(one == found[0] for one in found) else None


def _as_day(text: Any) -> FhirDate | None:
    stated = parse_date(text) if isinstance(text, str) else None
    if stated is None or not stated.is_datetime:
        return stated
    return FhirDate.of_day(stated.first_day)  # the calendar day in its own offset: docs/how-it-decides.md


def _hours_per_day(timing: Mapping[str, Any], repeat: Mapping[str, Any]) -> Decimal | None:
    if _timing_word(timing) == "continuous":
        return Decimal(24)
    raw = {
        "value": repeat.get("duration"),
        "code": repeat.get("durationUnit"),
        "system": UCUM,
    }
    length = parse_quantity(raw)
    hours = convert(length, "h") if length is not None else None
    if hours is None or repeat.get("period", 1) != 1 or repeat.get("periodUnit", "d") != "d":
        return None
    times = repeat.get("frequency", 1)
    if isinstance(times, bool) or not isinstance(times, int):
        return None
    total = hours.value * times
    return total if 0 < total <= 24 else None


def _timing_word(timing: Mapping[str, Any]) -> str | None:
    code = timing.get("code")
    text = code.get("text") if isinstance(code, dict) else None
    return text.strip().lower() if isinstance(text, str) and text.strip() else None


def _frequency_words(timing: Mapping[str, Any], repeat: Mapping[str, Any]) -> str | None:
    word = _timing_word(timing)
    if word is not None:
        return word
    times, period, unit = repeat.get("frequency"), repeat.get("period"), repeat.get("periodUnit")
    if isinstance(times, int) and isinstance(period, int | float) and isinstance(unit, str):
        return f"{times} times every {period} {unit}"
    return None


def _flow_rate(resource: Resource) -> Quantity | None:
    """The ordered flow in L/min, from wherever this kind of order can carry a quantity."""
    raw = [resource.get("quantityQuantity")]
    raw += [one.get("valueQuantity") for one in objects_in(resource.get("parameter"))]
    for dosage in objects_in(resource.get("dosageInstruction")):
        raw += [one.get("rateQuantity") for one in objects_in(dosage.get("doseAndRate"))]
    for one in raw:
        quantity = parse_quantity(one) if isinstance(one, dict) else None
        flow = convert(quantity, "L/min") if quantity is not None else None
        if flow is not None and flow.value > 0:
            return flow
    for detail in objects_in(resource.get("orderDetail")):
        match = _FLOW_TEXT.match(detail["text"]) if isinstance(detail.get("text"), str) else None
        if match and Decimal(match[1]) > 0:
            return Quantity(Decimal(match[1]), "L/min")
    return None


def _as_needed(resource: Resource) -> bool:
    dosages = objects_in(resource.get("dosageInstruction"))
    for one in (resource, *dosages):
        if one.get("asNeededBoolean") is True or isinstance(one.get("asNeededCodeableConcept"), dict):
            return True
    timings = [resource.get("occurrenceTiming"), *(one.get("timing") for one in dosages)]
    codes = [timing.get("code") for timing in timings if isinstance(timing, dict)]
    return any(coding.get("code") == "PRN" for code in codes for coding in codings_of(code))


def _texts(concept: Mapping[str, Any], resource: Resource) -> Iterator[str]:
    # never displays: they are the sender's labels and are wrong in the wild
    texts = [concept.get("text")]
    texts += [one.get("text") for one in objects_in(resource.get("orderDetail"))]
    for parameter in objects_in(resource.get("parameter")):
        texts += [one.get("text") for one in objects_in(parameter.get("valueCodeableConcept"))]
    texts += [one.get("text") for one in objects_in(resource.get("note"))]
    return (one for one in texts if isinstance(one, str) and one.strip())


def _reasons(resource: Resource, record: Record) -> Iterator[Mapping[str, Any]]:
    yield from objects_in(resource.get("reasonCode"))
    for reference in objects_in(resource.get("reasonReference")):
        target = record.resolve(reference, within=resource)
        if target is None or not isinstance(target.get("code"), dict):
            continue
        if target.get("resourceType") == "Condition" and _stands(target):
            yield target["code"]


def _stands(condition: Mapping[str, Any]) -> bool:
    """Whether nothing about a Condition leaves a doubt: an end, or a status that cannot be read, does."""
    for name in ("verificationStatus", "clinicalStatus"):
        codes = [str(one["code"]).lower() for one in codings_of(condition.get(name)) if one.get("code")]
        if (condition.get(name) and not codes) or not _NOT_A_REASON.isdisjoint(codes):
            return False
    return not condition.get("modifierExtension") and not any(name.startswith("abatement") for name in condition)
