"""CQL and its ELM -> the FHIR Library that carries both. Release time; pure. `make population` writes what this makes.

The ELM says which text it was compiled from: by that a test tells a library that is behind its plan, without Java.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from cds_service.policy.population import Population, Source

CQL, ELM = "text/cql", "application/elm+json"
HELPERS = "http://hl7.org/fhir/Library/FHIRHelpers"
HELPERS_VERSION = "4.0.1"
# DTR 2.2, spec-87: what cqf-library names is of this profile
_PROFILE = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-library"
_LOGIC = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/library-type", "code": "logic-library"}]}


def library_of(population: Population, cql: str, elm: str) -> dict[str, Any]:
    """The Library that the form of a policy names in cqf-library."""
    depends_on = [f"{HELPERS}|{HELPERS_VERSION}", *population.value_sets]
    return {
        "resourceType": "Library",
        "id": population.identity,
        "meta": {"profile": [_PROFILE]},
        "url": population.url,
        "version": population.version,
        "name": population.name,
        "title": f"{population.title}: what a client finds in the record",
        "status": "active",
        "experimental": False,
        "type": _LOGIC,
        "publisher": "cds-service",
        "description": "Fills the questions of what was found in the record: value and date, newest first."
        " Retrieval only; made from the plan and its questionnaire by make population.",
        "relatedArtifact": [{"type": "depends-on", "resource": one} for one in depends_on],
        # DTR 2.2, spec-68: a client fetches by these
        "dataRequirement": [_requirement(one) for one in population.sources.values()],
        "content": contents(cql, elm),
    }


def helpers_library(cql: str, elm: str) -> dict[str, Any]:
    """FHIRHelpers as the translator brings it: every library that retrieves by a value set includes it."""
    return {
        "resourceType": "Library",
        "id": "FHIRHelpers",
        "meta": {"profile": [_PROFILE]},
        "url": HELPERS,
        "version": HELPERS_VERSION,
        "name": "FHIRHelpers",
        "title": "FHIR Helpers",
        "status": "active",
        "experimental": False,
        "type": _LOGIC,
        "publisher": "cqframework",
        "description": "Conversions between FHIR and CQL types, of the CQL-to-ELM translator.",
        "copyright": "Licensed under the Apache License, Version 2.0.",
        "content": contents(cql, elm),
    }


def contents(cql: str, elm: str) -> list[dict[str, str]]:
    """DTR 2.2, oper-13 and spec-95: both, each with its data inline."""
    return [
        {"contentType": CQL, "data": _data(cql)},
        {"contentType": ELM, "data": _data(elm), "title": compiled_from(cql)},
    ]


def compiled_from(cql: str) -> str:
    return f"compiled from the CQL with SHA-256 {hashlib.sha256(cql.encode()).hexdigest()}"


def _data(text: str) -> str:
    return b64encode(text.encode()).decode()


def _requirement(source: Source) -> Mapping[str, Any]:
    return {
        "type": source.type,
        "codeFilter": [{"path": source.element, "valueSet": source.value_set}],
    }
