"""A population -> the text of its CQL library. Pure text; nothing runs it here.

`make population` compiles it to ELM. CQL 1.5, as DTR asks (spec-92).
"""

from __future__ import annotations

from collections.abc import Iterator

from cds_service.policy.population import MOST_TOLD, Population, Source, capitals

_UNIT_WORDS = {"mm[Hg]": "mmHg"}
_HELPERS = """\
define function OnDay(at DateTime):
  if at is null then '' else ', ' & Substring(ToString(at), 0, 10)

define function WithCode(said String, code String):
  if said is null then code
    else if code is null or PositionOf(code, said) >= 0 then said
    else said & ' (' & code & ')'

define function Words(concept FHIR.CodeableConcept):
  WithCode(
    Coalesce(concept.text.value,
      First((concept.coding) C where C.display.value is not null return all C.display.value)),
    First((concept.coding) C where C.code.value is not null return all C.code.value))

define function Amount(value Decimal):
  if value = Truncate(value) then ToString(Truncate(value)) else ToString(Round(value, 2))

define function HasCode(concept FHIR.CodeableConcept, codes List<String>):
  exists ((concept.coding) C where Lower(C.code.value) in codes)
"""
# When an item was, in the order in which a determination looks for it; which items count; what it is called
_TAKEN = (
    "Coalesce((R.effective as FHIR.dateTime).value, (R.effective as FHIR.instant).value,"
    " (R.effective as FHIR.Period).start.value)"
)
_ASKED_FOR = (
    "Coalesce((R.occurrence as FHIR.dateTime).value, (R.occurrence as FHIR.Period).start.value, R.authoredOn.value)"
)
_WHEN = {
    "Condition": "Coalesce(R.recordedDate.value, (R.onset as FHIR.dateTime).value)",
    "DeviceRequest": _ASKED_FOR,
    "DiagnosticReport": "Coalesce((R.effective as FHIR.dateTime).value, (R.effective as FHIR.Period).start.value,"
    " R.issued.value)",
    "DocumentReference": "Coalesce(First((R.content) C where C.attachment.creation.value is not null"
    " return all C.attachment.creation.value), R.date.value)",
    "Observation": _TAKEN,
    "ServiceRequest": _ASKED_FOR,
}
_COUNTS = {
    "Condition": "not HasCode(R.clinicalStatus, {'inactive', 'resolved', 'remission'})\n"
    "        and not HasCode(R.verificationStatus, {'refuted', 'entered-in-error'})",
    "DeviceRequest": "not (R.status.value in {'draft', 'entered-in-error'})",
    "DiagnosticReport": "not (R.status.value in {'entered-in-error', 'cancelled'})",
    "DocumentReference": "not (R.status.value in {'entered-in-error', 'superseded'})\n"
    "        and not (Coalesce(R.docStatus.value, 'final') = 'entered-in-error')",
    "Observation": "R.status.value in {'final', 'amended', 'corrected'} and R.dataAbsentReason is null",
    "ServiceRequest": "not (R.status.value in {'draft', 'entered-in-error'})",
}
_MEASURED = (
    "\n        and (R.value as FHIR.Quantity).value.value is not null and (R.value as FHIR.Quantity).comparator is null"
)
_ORDERED = (
    "First((R.code{cast}.coding) C where C.code.value is not null return all C.code.value) & ' order, '"
    " & Coalesce(R.status.value, 'status not said')"
    " & (if {when} is null then '' else ', from ' & Substring(ToString({when}), 0, 10))"
)


def cql_of(population: Population) -> str:
    """The library: for each source the lines that tell its newest items, for each item of the form the text."""
    return "\n".join(_lines(population))


def expression_name(link_id: str) -> str:
    """The name under which the text of an item is defined."""
    return capitals(link_id)


def _lines(population: Population) -> Iterator[str]:
    yield "// Written by `make population` from the plan and its questionnaire: change those."
    yield "// Retrieval only. Whether what is found meets a criterion is judged by the payer."
    yield f"library {population.name} version '{population.version}'"
    yield ""
    yield "using FHIR version '4.0.1'"
    # a retrieve by a value set does not compile without; nothing else of it is called
    yield "include FHIRHelpers version '4.0.1'"
    yield ""
    for canonical in population.value_sets:
        url, _, version = canonical.partition("|")
        yield f"valueset {_set(canonical)}: '{url}' version '{version}'"
    yield ""
    yield "context Patient"
    yield ""
    yield _HELPERS
    for source in population.sources.values():
        yield from _source(source)
    for told in population.told:
        lists = ", ".join(_list(one) for one in told.sources)
        yield f"define {expression_name(told.link_id)}:"
        yield f"  Combine(distinct flatten {{ {lists} }}, '; ')"
        yield ""


def _source(source: Source) -> Iterator[str]:
    when, counts = _WHEN[source.type], _COUNTS[source.type]
    element = "" if source.element == "code" else f"{source.element} in "
    yield f"define {_list(source.name)}:"
    yield f"  (Take(([{source.type}: {element}{_set(source.value_set)}] R"
    yield f"      where {counts}{_MEASURED if source.measurement is not None else ''}"
    yield f"      return all Tuple {{ at: {when},"
    yield f"        line: {_line(source, when)} }}"
    yield f"      sort by at desc), {MOST_TOLD})) T"
    yield "    return all T.line"
    yield ""


def _line(source: Source, when: str) -> str:
    if source.measurement is not None:
        amount = "Amount((R.value as FHIR.Quantity).value.value)"
        return (
            f"{_text(source.measurement.display + ' ')} & {amount} & {_unit(source.measurement.unit)} & OnDay({when})"
        )
    if source.type in ("DeviceRequest", "ServiceRequest"):
        cast = " as FHIR.CodeableConcept)" if source.type == "DeviceRequest" else ""
        code = "R.code" if not cast else f"(R.code{cast}"
        return _ORDERED.replace("R.code{cast}", code).replace("{when}", when)
    return f"Words(R.{source.element}) & OnDay({when})"


def _unit(unit: str) -> str:
    """The unit in words; what is in another unit is told as it was sent."""
    words = _UNIT_WORDS.get(unit, unit)
    quantity = "(R.value as FHIR.Quantity)"
    same = ", ".join(_text(one) for one in dict.fromkeys((unit, words)))
    sent = f"Coalesce(' ' + {quantity}.unit.value, ' ' + {quantity}.code.value, '')"  # null + text is null
    either = f"{quantity}.code.value in {{{same}}} or {quantity}.unit.value in {{{same}}}"
    return f"(if {either} then {_text(' ' + words)} else {sent})"


def _set(canonical: str) -> str:
    return f'"{canonical.partition("|")[0].rpartition("/")[2]}"'


def _list(name: str) -> str:
    return f"{capitals(name[:1].upper() + name[1:])}Lines"


def _text(text: str) -> str:
    """A string of CQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
