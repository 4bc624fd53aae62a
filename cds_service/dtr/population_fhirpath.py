"""A population -> FHIRPath and x-fhir-query, as extensions of the form. Pure text; nothing evaluates it here.

For each source a query (its answer is a Bundle) and the lines that tell its items; for each item of the form the text.
FHIRPath cannot sort: newest first is asked of the server that is queried. `memberOf` needs a terminology server, so a
short set is asked for by its codes, and a long one by its name (`code:in`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cds_service.policy.population import MOST_TOLD, Population, Source, Told, codes_of

# one more would make an address that servers cut; the same number as is expanded in a package (DTR 2.2, oper-15)
MOST_CODES = 40
FHIRPATH, QUERY = "text/fhirpath", "application/x-fhir-query"
_UNIT_WORDS = {"mm[Hg]": "mmHg"}
_TAKEN = "(effective.ofType(dateTime) | effective.ofType(instant) | effective.ofType(Period).start).first()"
_ORDERED = "(occurrence.ofType(dateTime) | occurrence.ofType(Period).start).combine(authoredOn).first()"
_WHEN = {
    "Condition": "recordedDate.combine(onset.ofType(dateTime)).first()",
    "DeviceRequest": _ORDERED,
    "DiagnosticReport": "effective.ofType(dateTime).combine(effective.ofType(Period).start).combine(issued).first()",
    "DocumentReference": "content.attachment.creation.combine(date).first()",
    "Observation": _TAKEN,
    "ServiceRequest": _ORDERED,
}
_COUNTS = {
    "Condition": "clinicalStatus.coding.code.select(lower())"
    ".intersect('inactive' | 'resolved' | 'remission').empty()"
    " and verificationStatus.coding.code.select(lower()).intersect('refuted' | 'entered-in-error').empty()",
    "DeviceRequest": "(status in ('draft' | 'entered-in-error')).not()",
    "DiagnosticReport": "(status in ('entered-in-error' | 'cancelled')).not()",
    "DocumentReference": "(status in ('entered-in-error' | 'superseded')).not()"
    " and docStatus.where($this = 'entered-in-error').empty()",
    "Observation": "(status in ('final' | 'amended' | 'corrected')) and dataAbsentReason.empty()",
    "ServiceRequest": "(status in ('draft' | 'entered-in-error')).not()",
}
_MEASURED = " and value.ofType(Quantity).value.exists() and value.ofType(Quantity).comparator.empty()"
# FHIR R4, the search parameters by which each type is found and sorted
_FOUND_BY = {"DocumentReference": "type"}
_SORTED_BY = {
    "Condition": "recorded-date",
    "DeviceRequest": "authored-on",
    "DiagnosticReport": "date",
    "DocumentReference": "date",
    "Observation": "date",
    "ServiceRequest": "authored",
}


def variables(population: Population, value_sets: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """The Expressions of the root, in the order in which they read each other."""
    for source in population.sources.values():
        yield {"name": _bundle(source), "language": QUERY, "expression": _query(source, value_sets[source.value_set])}
        yield {"name": source.name, "language": FHIRPATH, "expression": _lines(source)}


def initial(told: Told) -> dict[str, str]:
    """The Expression that gives the text of an item; nothing where nothing is on record."""
    lists = "".join(f".combine(%{one})" for one in told.sources[1:])
    lines = f"%{told.sources[0]}{lists}.distinct()"
    return {"language": FHIRPATH, "expression": f"iif({lines}.exists(), {lines}.join('; '))"}


def _bundle(source: Source) -> str:
    return f"{source.name}OnRecord"


def _query(source: Source, value_set: Mapping[str, Any]) -> str:
    codes = codes_of(value_set)
    by = _FOUND_BY.get(source.type, "code")
    if len(codes) < MOST_CODES:
        wanted = f"{by}={','.join(f'{system}|{code}' for system, code in codes)}"
    else:
        wanted = f"{by}:in={source.value_set.partition('|')[0]}"
    return f"{source.type}?patient={{{{%patient.id}}}}&{wanted}&_sort=-{_SORTED_BY[source.type]}"


def _lines(source: Source) -> str:
    when, counts = _WHEN[source.type], _COUNTS[source.type]
    measured = _MEASURED if source.measurement is not None else ""
    items = f"%{_bundle(source)}.entry.resource.ofType({source.type}).where({counts}{measured}).take({MOST_TOLD})"
    return f"{items}.select({_line(source, when)})"


def _line(source: Source, when: str) -> str:
    on_day = f"iif({when}.exists(), ', ' & {when}.toString().substring(0, 10), '')"
    if source.measurement is not None:
        amount = (
            "value.ofType(Quantity).value.select(iif($this = truncate(), truncate().toString(), round(2).toString()))"
        )
        return f"{_text(source.measurement.display + ' ')} & {amount} & {_unit(source.measurement.unit)} & {on_day}"
    if source.type in ("DeviceRequest", "ServiceRequest"):
        code = "code.ofType(CodeableConcept).coding.code" if source.type == "DeviceRequest" else "code.coding.code"
        status = "iif(status.exists(), status, 'status not said')"
        begins = f"iif({when}.exists(), ', from ' & {when}.toString().substring(0, 10), '')"
        return f"{code}.first() & ' order, ' & {status} & {begins}"
    return f"{_words(source.element)} & {on_day}"


def _words(element: str) -> str:
    """Text or display, with the code where it is not in them."""
    said = f"{element}.text.combine({element}.coding.display).first()"
    code = f"{element}.coding.code.first()"
    both = f"{said}.exists() and {code}.exists() and {said}.contains({code}).not()"
    return f"iif({both}, {said} & ' (' & {code} & ')', {said}.combine({code}).first())"


def _unit(unit: str) -> str:
    words = _UNIT_WORDS.get(unit, unit)
    quantity = "value.ofType(Quantity)"
    same = " | ".join(_text(one) for one in dict.fromkeys((unit, words)))
    sent = f"{quantity}.unit.combine({quantity}.code).first()"
    either = f"{quantity}.code.combine({quantity}.unit).intersect({same}).exists()"
    return f"iif({either}, {_text(' ' + words)}, iif({sent}.exists(), ' ' & {sent}, ''))"


def _text(text: str) -> str:
    """A string of FHIRPath."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
