"""The input of `$questionnaire-package`: Parameters -> PackageRequest, checked once. Pure; judges nothing.

Kind to callers: parameters that are not known are passed over (the profile's slicing is open), a canonical may stand as
any kind of text, `referenced` is taken though the newest version of the operation no longer names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.json_body import read_json
from cds_service.fhir.problem import Problem
from cds_service.fhir.record_shapes import shape_fault

Resource = Mapping[str, Any]

# DTR: what may stand under `order`. Those that no policy speaks of are told so, and are no fault
ORDERS = (
    "Appointment",
    "CommunicationRequest",
    "DeviceRequest",
    "Encounter",
    "ImmunizationRecommendation",
    "MedicationRequest",
    "NutritionOrder",
    "ServiceRequest",
    "SupplyRequest",
    "VisionPrescription",
)
LONGEST_ID = 200
# Each order is judged under each coverage, and a form with its libraries is sent for each: no visit has as many
MOST_PAIRS = 50
MOST_QUESTIONNAIRES = 50


class Placed(NamedTuple):
    """A resource and where in the input it stands."""

    where: str
    resource: Resource


class Canonical(NamedTuple):
    url: str
    version: str | None

    def __str__(self) -> str:
        return self.url if self.version is None else f"{self.url}|{self.version}"


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """What is asked for, and with which version of the guide in mind (`profiles`: those that the input claims)."""

    coverages: tuple[Placed, ...] = ()
    orders: tuple[Placed, ...] = ()
    referenced: tuple[Placed, ...] = ()
    questionnaires: tuple[Canonical, ...] = ()
    context: str | None = None
    changed_since: FhirDate | None = None
    profiles: tuple[str, ...] = ()


def read_package_request(body: bytes) -> PackageRequest | Problem:
    """The body of a call of the operation -> what it asks for, or the first thing that is wrong with it."""
    document = read_json(body)
    if isinstance(document, Problem):
        return document
    if document.get("resourceType") != "Parameters":
        fix = "send a Parameters resource with coverage, and one of order, questionnaire or context"
        return Problem("invalid", "body", "not a Parameters resource", fix, "structure")
    parameters = document.get("parameter")
    if not isinstance(parameters, list) or not all(isinstance(one, dict) for one in parameters):
        return Problem("invalid", "parameter", "not a list of parameters", "write it as FHIR R4 does", "structure")
    read = _Read()
    for n, one in enumerate(parameters):
        fault = read.add(f"parameter[{n}]", one)
        if fault is not None:
            return fault
    request = read.request(document)
    if not (request.orders or request.questionnaires or request.context):
        # DTR, dtr-1
        fix = "send at least one of order, questionnaire or context"
        return Problem("invalid", "parameter", "nothing says which questionnaires are wanted", fix, "required")
    if len(request.orders) * max(1, len(request.coverages)) > MOST_PAIRS or len(request.coverages) > MOST_PAIRS:
        what = f"more than {MOST_PAIRS} orders, or orders under coverages"
        return Problem("not-supported", "parameter", what, "ask for some of them at a time", "too-costly")
    if len(request.questionnaires) > MOST_QUESTIONNAIRES:
        what = f"more than {MOST_QUESTIONNAIRES} questionnaires"
        return Problem("not-supported", "parameter", what, "ask for some of them at a time", "too-costly")
    if not request.coverages and request.context is None:
        fix = "send the Coverage under which they are wanted, or the context of an earlier answer"
        return Problem("invalid", "parameter", "no coverage", fix, "required")
    return request


class _Read:
    """The parameters as they are met."""

    def __init__(self) -> None:
        self.resources: dict[str, list[Placed]] = {"coverage": [], "order": [], "referenced": []}
        self.questionnaires: list[Canonical] = []
        self.context: str | None = None
        self.changed_since: FhirDate | None = None

    def add(self, where: str, parameter: Mapping[str, Any]) -> Problem | None:
        name = parameter.get("name")
        if not isinstance(name, str):
            return None
        if name in self.resources:
            return self._resource(name, where, parameter.get("resource"))
        if name not in ("questionnaire", "context", "changedsince"):
            return None
        value = next((one for key, one in parameter.items() if key.startswith("value")), None)
        if not isinstance(value, str) or not value.strip():
            return Problem("invalid", f"{where}.value", f"{name} has no value", f"give {name} as a string", "required")
        value = value.strip()
        match name:
            case "questionnaire":
                url, _, version = value.partition("|")
                self.questionnaires.append(Canonical(url, version or None))
            case "context":
                if self.context not in (None, value):
                    fix = "ask for one context in a call"
                    return Problem("invalid", where, "a second context", fix, "business-rule")
                if len(value) > LONGEST_ID:
                    return Problem("not-found", where, "no such context", "send the coverage-assertion-id as it came")
                self.context = value
            case _:
                self.changed_since = parse_date(value)
                if self.changed_since is None:
                    fix = "write an instant, such as 2026-11-22T08:00:00Z"
                    return Problem("invalid", f"{where}.value", "changedsince is not an instant", fix, "value")
        return None

    def _resource(self, name: str, where: str, resource: Any) -> Problem | None:
        if not isinstance(resource, dict):
            fix = "send the resource itself, not a reference to it"
            return Problem("invalid", where, f"{name} carries no resource", fix, "required")
        fault = shape_fault(resource)
        if fault is not None:
            return Problem("invalid", f"{where}.resource", fault, "write it as FHIR R4 does")
        kind = resource["resourceType"]
        if name == "coverage" and kind != "Coverage":
            fix = "send a Coverage under coverage"
            return Problem("invalid", f"{where}.resource", f"{_named(kind)} where a Coverage is wanted", fix)
        if name == "order" and kind not in ORDERS:
            fix = f"send one of {', '.join(ORDERS)}"
            return Problem("invalid", f"{where}.resource", f"{_named(kind)} where an order is wanted", fix)
        self.resources[name].append(Placed(f"{where}.resource", resource))
        return None

    def request(self, document: Mapping[str, Any]) -> PackageRequest:
        meta = document.get("meta")
        claimed = meta.get("profile") if isinstance(meta, dict) else None
        return PackageRequest(
            coverages=tuple(self.resources["coverage"]),
            orders=tuple(self.resources["order"]),
            referenced=tuple(self.resources["referenced"]),
            questionnaires=tuple(dict.fromkeys(self.questionnaires)),
            context=self.context,
            changed_since=self.changed_since,
            profiles=tuple(one for one in claimed if isinstance(one, str)) if isinstance(claimed, list) else (),
        )


def _named(kind: str) -> str:
    # a type is letters; what else stands there is the caller's and is not quoted
    return f"a {kind}" if kind.isalpha() and len(kind) < 64 else "something"
