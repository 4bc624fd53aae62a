"""A form with what a client needs to fill it itself, as a version of DTR writes that. Pure.

One initialExpression stands on an item, so each dialect has one language. CQL where the guide makes it the basis
(2.0.1, 2.1) and where it only may be (2.2, spec-59, spec-86): FHIRPath alone cannot retrieve, and no DTR client is
bound to run the queries beside it. FHIRPath for those who ask for it: most renderers of forms run that and no CQL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cds_service.dtr import population_fhirpath
from cds_service.dtr.dialects import Dialect
from cds_service.dtr.population_cql import expression_name
from cds_service.policy.population import Population, Told

Resource = Mapping[str, Any]

_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
_LAUNCH_CONTEXT, _INITIAL = f"{_SDC}launchContext", f"{_SDC}initialExpression"
_CORE = "http://hl7.org/fhir/StructureDefinition/"
_VARIABLE, _LIBRARY = f"{_CORE}variable", f"{_CORE}cqf-library"
_PATIENT = {
    "url": _LAUNCH_CONTEXT,
    "extension": [
        {
            "url": "name",
            "valueCoding": {
                "system": "http://hl7.org/fhir/uv/sdc/CodeSystem/launchContext",
                "code": "patient",
                "display": "Patient",
            },
        },
        {"url": "type", "valueCode": "Patient"},
        {"url": "description", "valueString": "The patient whom the order is for"},
    ],
}


def populated(
    questionnaire: Resource, population: Population, definitions: Sequence[Resource], dialect: Dialect
) -> Resource:
    """The Questionnaire with its population logic; as it came where the definitions that this needs are not held."""
    held = {f"{one.get('url')}|{one.get('version')}": one for one in definitions}
    if dialect.populating.language == population_fhirpath.FHIRPATH:
        sets = {name: held[name] for name in population.value_sets if name in held}
        if len(sets) < len(population.value_sets):
            return questionnaire
        added = [{"url": _VARIABLE, "valueExpression": one} for one in population_fhirpath.variables(population, sets)]
    elif population.canonical not in held:
        return questionnaire
    else:
        added = [{"url": _LIBRARY, "valueCanonical": population.canonical}]
    expressions = {one.link_id: _expression(one, population, dialect) for one in population.told}
    found = {**questionnaire, "extension": [*questionnaire.get("extension", ()), _PATIENT, *added]}
    if "item" in questionnaire:
        found["item"] = [_item(one, expressions) for one in questionnaire["item"]]
    return found


def _expression(told: Told, population: Population, dialect: Dialect) -> dict[str, Any]:
    populating = dialect.populating
    if populating.language == population_fhirpath.FHIRPATH:
        return dict(population_fhirpath.initial(told))
    name = expression_name(told.link_id)
    expression = f'"{population.name}".{name}' if populating.qualified else name
    found: dict[str, Any] = {"language": populating.language, "expression": expression}
    if populating.alternative is not None:
        # DTR, spec-96: what stands inline as CQL is there as ELM too
        elm = json.dumps({"type": "ExpressionRef", "libraryName": population.name, "name": name})
        compiled = {"language": "application/elm+json", "expression": elm}
        found = {"extension": [{"url": populating.alternative, "valueExpression": compiled}], **found}
    return found


def _item(item: Resource, expressions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found = dict(item)
    expression = expressions.get(item["linkId"])
    if expression is not None:
        added = {"url": _INITIAL, "valueExpression": expression}
        # linkId first, as the form's author has it
        head = {"linkId": item["linkId"], "extension": [*item.get("extension", ()), added]}
        found = {**head, **{name: value for name, value in item.items() if name not in head}}
    if "item" in item:
        found["item"] = [_item(one, expressions) for one in item["item"]]
    return found
