"""GET /fhir/<type>/<id>: the definitions as their files say them. Cards link here. Judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from flask import Blueprint, Response

from cds_service.fhir.problem import Problem
from cds_service.web.problems import FHIR_JSON, refusal

TYPES = ("CodeSystem", "InsurancePlan", "Library", "PlanDefinition", "Questionnaire", "ValueSet")

# start of the period in which it holds ("" where it has none), its version, its text
_Version = tuple[str, str, bytes]


def definitions(held: Iterable[tuple[Mapping[str, Any], bytes]], today: Callable[[], date]) -> Blueprint:
    """The read route over (resource, text) pairs. Of several versions: the one that holds today."""
    blueprint = Blueprint("definitions", __name__)
    by_address: dict[tuple[str, str], list[_Version]] = {}
    for resource, text in held:
        address = (resource.get("resourceType", ""), resource.get("id", ""))
        start = resource.get("effectivePeriod", {}).get("start", "")
        by_address.setdefault(address, []).append((start, resource.get("version", ""), text))
    for versions in by_address.values():
        versions.sort(key=lambda one: (one[0], len(one[1]), one[1]))  # 2 before 10

    @blueprint.get("/fhir/<resource_type>/<resource_id>")
    def read(resource_type: str, resource_id: str) -> Response:
        where = f"/fhir/{resource_type}/{resource_id}"
        if resource_type not in TYPES:
            fix = f"the types are {', '.join(TYPES)}"
            return refusal(Problem("not-found", where, "no definitions of this type are served", fix))
        versions = by_address.get((resource_type, resource_id))
        if versions is None:
            fix = "take the id from the link of a card, or from the files under plans/ and valuesets/"
            return refusal(Problem("not-found", where, "no definition with this id", fix))
        return Response(_in_force(versions, today().isoformat()), mimetype=FHIR_JSON)

    return blueprint


def _in_force(versions: list[_Version], today: str) -> bytes:
    """The last one that has begun; before the first begins, the first."""
    begun = [text for start, _, text in versions if start <= today]
    return begun[-1] if begun else versions[0][2]
