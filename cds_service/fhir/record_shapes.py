"""The shapes that we rely on: one look at each resource, so that a malformed one is lost alone and said to be.

Not a FHIR validator: elements that nothing here reads may be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cds_service.fhir.dates import parse_date

Shape = Callable[[Any], str | None]


def objects_in(value: Any) -> list[Mapping[str, Any]]:
    """The JSON objects of an element, repeated or not; what is not an object is left out."""
    if isinstance(value, dict):
        return [value]
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def shape_fault(resource: object) -> str | None:
    """What makes a resource unreadable, in words; None where it can be read."""
    if not isinstance(resource, dict):
        return "is not a resource: a JSON object is wanted"
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not kind:
        return "has no resourceType"
    identity = resource.get("id")
    if identity is not None and not isinstance(identity, str):
        return "id is not a string"
    shapes = _SHAPES.get(kind)
    if shapes is None:
        return None
    for element, value in resource.items():
        shape = shapes.get(element)
        if shape is not None and value is not None:
            fault = shape(value)
            if fault is not None:
                return f"{element} {fault}"
    return None


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "is not a string"


def _date(value: Any) -> str | None:
    return None if isinstance(value, str) and parse_date(value) is not None else "is not a date"


def _period(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "is not a Period"
    for end in ("start", "end"):
        if value.get(end) is not None and _date(value[end]):
            return f"{end} is not a date"
    return None


def _coding(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "is not a Coding"
    for name in ("system", "code"):
        part = value.get(name)
        if part is not None and not isinstance(part, str):
            return "has a system or code that is not a string"
    return None


def _concept(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "is not a CodeableConcept"
    codings = value.get("coding")
    if codings is None:
        return None
    if not isinstance(codings, list):
        return "coding is not a list"
    for one in codings:
        fault = _coding(one)
        if fault is not None:
            return f"coding {fault}"
    return None


def _quantity(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "is not a Quantity"
    number = value.get("value")
    if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
        return "value is not a number"
    return None


def _reference(value: Any) -> str | None:
    return None if isinstance(value, dict) else "is not a Reference"


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "is not an object"


def _list(shape: Shape) -> Shape:
    def check(value: Any) -> str | None:
        if not isinstance(value, list):
            return "is not a list"
        for n, one in enumerate(value):
            fault = shape(one)
            if fault is not None:
                return f"[{n}] {fault}"
        return None

    return check


def _component(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "is not an object"
    for element, shape in (
        ("code", _concept),
        ("valueQuantity", _quantity),
        ("valueCodeableConcept", _concept),
    ):
        if value.get(element) is not None and (fault := shape(value[element])):
            return f"{element} {fault}"
    return None


_REQUEST: tuple[tuple[str, Shape], ...] = (
    ("status", _text),
    ("code", _concept),
    ("codeCodeableConcept", _concept),
    ("medicationCodeableConcept", _concept),
    ("authoredOn", _date),
    ("occurrenceDateTime", _date),
    ("occurrencePeriod", _period),
    ("occurrenceTiming", _object),
    ("reasonCode", _list(_concept)),
    ("reasonReference", _list(_reference)),
    ("insurance", _list(_reference)),
    ("requester", _reference),
    ("subject", _reference),
)
_BY_TYPE: dict[str, tuple[tuple[str, Shape], ...]] = {
    "Observation": (
        ("status", _text),
        ("code", _concept),
        ("subject", _reference),
        ("effectiveDateTime", _date),
        ("effectiveInstant", _date),
        ("effectivePeriod", _period),
        ("valueQuantity", _quantity),
        ("valueCodeableConcept", _concept),
        ("method", _concept),
        ("component", _list(_component)),
        ("hasMember", _list(_reference)),
    ),
    "Condition": (
        ("code", _concept),
        ("subject", _reference),
        ("clinicalStatus", _concept),
        ("verificationStatus", _concept),
    ),
    "DocumentReference": (
        ("status", _text),
        ("docStatus", _text),
        ("type", _concept),
        ("subject", _reference),
        ("date", _date),
        ("content", _list(_object)),
    ),
    "DiagnosticReport": (
        ("status", _text),
        ("code", _concept),
        ("subject", _reference),
        ("effectiveDateTime", _date),
        ("effectivePeriod", _period),
        ("issued", _date),
    ),
    "Encounter": (
        ("status", _text),
        ("class", _coding),
        ("subject", _reference),
        ("period", _period),
        ("location", _list(_object)),
    ),
    "Procedure": (("status", _text), ("code", _concept), ("subject", _reference)),
    "Coverage": (
        ("status", _text),
        ("type", _concept),
        ("beneficiary", _reference),
        ("period", _period),
        ("payor", _list(_reference)),
        ("class", _list(_object)),
    ),
    "Organization": (("name", _text), ("alias", _list(_text)), ("identifier", _list(_object))),
    "PractitionerRole": (
        ("code", _list(_concept)),
        ("specialty", _list(_concept)),
        ("practitioner", _reference),
    ),
    "Practitioner": (("qualification", _list(_object)),),
    "Location": (("type", _list(_concept)),),
    "DeviceRequest": _REQUEST,
    "ServiceRequest": _REQUEST,
    "MedicationRequest": _REQUEST,
}
_SHAPES = {kind: dict(shapes) for kind, shapes in _BY_TYPE.items()}
