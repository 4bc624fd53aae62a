"""A suggestion written into an order, in the way that this order says things. Pure; judges nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cds_service.fhir.codings import HCPCS, canonical_system, codings_of, hcpcs_code, split_hcpcs
from cds_service.policy.model import Change

Resource = Mapping[str, Any]

# CRD binds order codes to this spelling of the system; HL7 terminology prefers http
CRD_HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"

# Where a type carries what is ordered: as a concept, and as a reference to a thing that has one
_CODE_ELEMENTS = {
    "DeviceRequest": ("codeCodeableConcept", "codeReference"),
    "MedicationRequest": ("medicationCodeableConcept", "medicationReference"),
    "ServiceRequest": ("code", None),
}
_MODIFIER = re.compile(r"[A-Z0-9]{2}")
# What an order to be added has in common with the order at hand
_SHARED = (
    "subject",
    "patient",
    "encounter",
    "authoredOn",
    "dateTime",
    "requester",
    "orderer",
    "occurrenceDateTime",
    "occurrencePeriod",
    "occurrenceTiming",
    "insurance",
    "reasonCode",
    "reasonReference",
    "intent",
    "priority",
    "category",
)


def apply_changes(resource: Resource, changes: Sequence[Change]) -> dict[str, Any]:
    """A copy of an order with `code` and `modifier` of its line set as `changes` say; nothing else differs.

    A new modifier goes where this order carries its modifiers: glued to the code, beside it, in `orderDetail`
    or in `parameter`; where it carries none, beside the code.
    """
    return _written(dict(resource), changes, _carrier(resource))


def new_order_like(resource: Resource, changes: Sequence[Change]) -> dict[str, Any]:
    """A draft order to be added beside the one at hand: same person, prescriber, insurance, dates and reason.

    It has no id (the EHR gives one), no modifiers but those of `changes`, and nothing said of the other.
    """
    element, _ = _CODE_ELEMENTS.get(str(resource.get("resourceType")), ("code", None))
    kept = {element, *_SHARED}
    new = {"resourceType": resource["resourceType"], "status": "draft"}
    new |= {name: value for name, value in resource.items() if name in kept}
    concept = new.get(element)
    if isinstance(concept, dict):
        plain = [{**one, "code": _plain(one["code"])} if _is_code(one) else one for one in codings_of(concept)]
        new[element] = {"coding": [one for one in plain if not _is_modifier(one)]}
    contained = _contained_for(new, resource)
    if contained:
        new["contained"] = contained
    return _written(new, changes, _carrier(resource))


def _written(order: dict[str, Any], changes: Sequence[Change], carrier: str) -> dict[str, Any]:
    for change in changes:
        if change.path == "code" and change.values:
            order = _with_code(order, change.values[0])
        elif change.path == "modifier":
            order = _with_modifiers(order, change.values, carrier)
    return order


def _is_hcpcs(coding: Mapping[str, Any]) -> bool:
    return hcpcs_code(coding) is not None


def _is_modifier(coding: Mapping[str, Any]) -> bool:
    return _is_hcpcs(coding) and _MODIFIER.fullmatch(coding["code"].strip().upper()) is not None


def _is_code(coding: Mapping[str, Any]) -> bool:
    return _is_hcpcs(coding) and not _is_modifier(coding)


def _concept_of(resource: Resource) -> tuple[str | None, Mapping[str, Any]]:
    """The element that holds the order's concept (None: this type has none), and the concept."""
    element, _ = _CODE_ELEMENTS.get(str(resource.get("resourceType")), (None, None))
    concept = resource.get(element) if element else None
    return element, concept if isinstance(concept, dict) else {}


def _is_referenced(resource: Resource) -> bool:
    """Whether what is ordered is named by reference: a concept beside it would be a second choice (FHIR R4, [x])."""
    element, reference = _CODE_ELEMENTS.get(str(resource.get("resourceType")), (None, None))
    return reference is not None and reference in resource and element not in resource


def _system(resource: Resource) -> str:
    """The spelling of the HCPCS system that this order uses; not that of another system that it takes for it."""
    codings = codings_of(_concept_of(resource)[1])
    spelt = (one["system"] for one in codings if _is_hcpcs(one) and canonical_system(one["system"]) == HCPCS)
    return next(spelt, CRD_HCPCS)


def _carrier(resource: Resource) -> str:
    """How this order carries modifiers: 'glued', 'beside', 'orderDetail' or 'parameter'."""
    codings = codings_of(_concept_of(resource)[1])
    if any(_is_code(one) and split_hcpcs(one["code"])[1] for one in codings):
        return "glued"
    if any(map(_is_modifier, codings)):
        return "beside"
    for name in ("orderDetail", "parameter"):
        if any(_is_modifier(coding) for one in _listed(resource, name) for coding in _detail_codings(one, name)):
            return name
    if not codings and resource.get("resourceType") == "DeviceRequest":
        return "parameter"  # the thing ordered is a Device: there is no concept to stand beside
    return "beside"


def _listed(resource: Resource, name: str) -> list[Any]:
    value = resource.get(name)
    return value if isinstance(value, list) else []


def _detail_codings(entry: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(entry, dict):
        return []
    return codings_of(entry.get("valueCodeableConcept") if name == "parameter" else entry)


def _with_code(resource: dict[str, Any], code: str) -> dict[str, Any]:
    """The order with another HCPCS code. Text and other codings go: they name what it was before."""
    element, concept = _concept_of(resource)
    if element is None:
        return resource
    codings = codings_of(concept)
    old = next((one for one in codings if _is_code(one)), None)
    glued = old["code"].strip()[len(split_hcpcs(old["code"])[0]) :] if old is not None else ""
    new = {"system": _system(resource), "code": f"{code}{glued}"}
    changed = {**resource, element: {"coding": [new, *(one for one in codings if _is_modifier(one))]}}
    _, reference = _CODE_ELEMENTS[resource["resourceType"]]
    if reference in changed:
        del changed[reference]
        contained = _contained_for({name: one for name, one in changed.items() if name != "contained"}, resource)
        changed.pop("contained", None)
        if contained:
            changed["contained"] = contained
    return changed


def _with_modifiers(order: dict[str, Any], values: Sequence[str], carrier: str) -> dict[str, Any]:
    """The order with exactly these modifiers. Those that it has already are left as they are written."""
    present = set(_modifiers(order))
    like = _modifier_parameter(order)
    changed = _without_modifiers(order, frozenset(present.difference(values)))
    for value in values:
        if value not in present:
            changed = _with_modifier(changed, value, carrier, like)
    return changed


def _modifiers(resource: Resource) -> Iterator[str]:
    codings = codings_of(_concept_of(resource)[1])
    for coding in filter(_is_code, codings):
        yield from split_hcpcs(coding["code"])[1]
    details = [(one, name) for name in ("orderDetail", "parameter") for one in _listed(resource, name)]
    for coding in [*codings, *(coding for one, name in details for coding in _detail_codings(one, name))]:
        if _is_modifier(coding):
            yield coding["code"].strip().upper()


def _without_modifiers(resource: dict[str, Any], dropped: frozenset[str]) -> dict[str, Any]:
    def stays(coding: Any) -> bool:
        return not (isinstance(coding, dict) and _is_modifier(coding) and coding["code"].strip().upper() in dropped)

    changed = dict(resource)
    element, concept = _concept_of(resource)
    if element is not None and isinstance(concept.get("coding"), list):
        codings = [_unglued(one, dropped) for one in concept["coding"] if stays(one)]
        if codings != concept["coding"]:
            changed[element] = {**concept, "coding": codings}
    for name in ("orderDetail", "parameter"):
        entries = _listed(resource, name)
        kept = [one for one in entries if all(map(stays, _detail_codings(one, name)))]
        if len(kept) < len(entries):
            changed[name] = kept
            if not kept:
                del changed[name]
    return changed


def _unglued(coding: Any, dropped: frozenset[str]) -> Any:
    if not isinstance(coding, dict) or not _is_code(coding):
        return coding
    _, glued = split_hcpcs(coding["code"])
    if not dropped.intersection(glued):
        return coding
    code = _plain(coding["code"])
    for modifier in glued:
        if modifier not in dropped:
            code += _separator(coding["code"]) + modifier
    return {**coding, "code": code}


def _plain(code: str) -> str:
    return code.strip()[: len(split_hcpcs(code)[0])]


def _separator(code: str) -> str:
    rest = code.strip()[len(split_hcpcs(code)[0]) :]
    return rest[0] if rest and not rest[0].isalnum() else "" if rest else "-"


def _modifier_parameter(resource: Resource) -> Mapping[str, Any]:
    """The first parameter that carries a modifier: a new one says in the same way what it is."""
    entries = (one for one in _listed(resource, "parameter") if isinstance(one, dict))
    return next((one for one in entries if any(map(_is_modifier, _detail_codings(one, "parameter")))), {})


def _with_modifier(resource: dict[str, Any], modifier: str, carrier: str, like: Mapping[str, Any]) -> dict[str, Any]:
    coding = {"system": _system(resource), "code": modifier}
    element, concept = _concept_of(resource)
    match carrier:
        case "orderDetail":
            return {**resource, "orderDetail": [*_listed(resource, "orderDetail"), {"coding": [coding]}]}
        case "parameter":
            named = {"code": like["code"]} if "code" in like else {}
            parameter = {**named, "valueCodeableConcept": {"coding": [coding]}}
            return {**resource, "parameter": [*_listed(resource, "parameter"), parameter]}
        case _ if element is None or _is_referenced(resource):
            return resource  # nothing here that a modifier could stand beside
        case "glued":
            codings = [_glued(one, modifier) if _is_code(one) else one for one in codings_of(concept)]
        case _:
            codings = [*codings_of(concept), coding]
    return {**resource, element: {**concept, "coding": codings}}


def _glued(coding: Mapping[str, Any], modifier: str) -> dict[str, Any]:
    return {**coding, "code": f"{coding['code'].strip()}{_separator(coding['code'])}{modifier}"}


def _contained_for(new: Resource, resource: Resource) -> list[Any]:
    """The contained resources that `new` still points at, itself or through one of them (FHIR R4, dom-3)."""
    contained = [one for one in _listed(resource, "contained") if isinstance(one, dict)]
    wanted = set(_local_references(new))
    while True:
        more = {ref for one in contained if f"#{one.get('id')}" in wanted for ref in _local_references(one)}
        if more <= wanted:
            return [one for one in contained if f"#{one.get('id')}" in wanted]
        wanted |= more


def _local_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference.startswith("#"):
            yield reference
        for one in value.values():
            yield from _local_references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _local_references(one)
