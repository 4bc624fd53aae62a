"""GET /fhir/<type>[/<id>[/_history/<version>]]: the definitions as their files say them. Cards link here. Judges
nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Blueprint, Response, request

from cds_service.fhir.problem import Problem
from cds_service.fhir.search import search
from cds_service.web.problems import FHIR_JSON, refusal

TYPES = ("CodeSystem", "InsurancePlan", "Library", "PlanDefinition", "Questionnaire", "ValueSet")


@dataclass(frozen=True, slots=True)
class _Version:
    start: str  # of the period in which it holds; "" where it has none
    name: str
    text: bytes

    @property
    def order(self) -> tuple[str, int, str]:
        return self.start, len(self.name), self.name  # 2 before 10


def definitions(
    held: Iterable[tuple[Mapping[str, Any], bytes]], today: Callable[[], date], public_url: str | None = None
) -> Blueprint:
    """Read, versioned read and search over (resource, text) pairs. A read without version: the one that holds today."""
    blueprint = Blueprint("definitions", __name__)
    by_address: dict[tuple[str, str], list[_Version]] = {}
    by_type: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in TYPES}
    for resource, text in held:
        address = (resource.get("resourceType", ""), resource.get("id", ""))
        start = resource.get("effectivePeriod", {}).get("start", "")
        by_address.setdefault(address, []).append(_Version(start, resource.get("version", ""), text))
        by_type.setdefault(address[0], []).append(resource)
    for versions in by_address.values():
        versions.sort(key=lambda one: one.order)

    def not_served(where: str) -> Response:
        fix = f"the types are {', '.join(TYPES)}"
        return refusal(Problem("not-found", where, "no definitions of this type are served", fix))

    @blueprint.get("/fhir/<resource_type>/<resource_id>")
    @blueprint.get("/fhir/<resource_type>/<resource_id>/_history/<version>")
    def read(resource_type: str, resource_id: str, version: str | None = None) -> Response:
        where = f"/fhir/{resource_type}/{resource_id}"
        if resource_type not in TYPES:
            return not_served(where)
        versions = by_address.get((resource_type, resource_id))
        if versions is None:
            fix = "take the id from the link of a card, or from the files under plans/ and valuesets/"
            return refusal(Problem("not-found", where, "no definition with this id", fix))
        found = _in_force(versions, today().isoformat())
        if version is not None:
            named = next((one for one in versions if one.name == version), None)
            if named is None:
                known = ", ".join(one.name for one in versions if one.name) or "none has one"
                return refusal(Problem("not-found", where, "no such version", f"versions: {known}"))
            found = named
        answer = Response(found.text, mimetype=FHIR_JSON)
        if found.name:
            answer.headers["ETag"] = f'W/"{found.name}"'
        return answer

    def find(resource_type: str) -> Response:
        query = [*request.args.items(multi=True), *request.form.items(multi=True)]
        base = public_url or request.url_root.rstrip("/")
        address = f"{base}/fhir/{resource_type}"
        strict = "handling=strict" in request.headers.get("Prefer", "").replace(" ", "").split(";")
        found = search(by_type[resource_type], query, strict, address, lambda asked: f"{address}?{urlencode(asked)}")
        if isinstance(found, Problem):
            return refusal(found, 400)
        return Response(orjson.dumps(found), mimetype=FHIR_JSON)

    # of these types alone: what may be sent to another type's address is not for this module to say
    searched = f"/fhir/<any({', '.join(TYPES)}):resource_type>"
    blueprint.add_url_rule(searched, "find", find, methods=["GET"])
    blueprint.add_url_rule(f"{searched}/_search", "find_posted", find, methods=["POST"])
    return blueprint


def _in_force(versions: list[_Version], today: str) -> _Version:
    """The last one that has begun; before the first begins, the first."""
    begun = [one for one in versions if one.start <= today]
    return begun[-1] if begun else versions[0]
