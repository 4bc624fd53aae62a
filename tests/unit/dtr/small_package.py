"""The small plan's questionnaire asked for: a kept context, the input of the operation, and its answer taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson

from cds_service.crd.answer import HookResponse, answer
from cds_service.crd.hook_request import HookRequest, parse_hook_request
from cds_service.dtr.dialects import DTR_22, Dialect
from cds_service.dtr.package import Surroundings, package
from cds_service.dtr.package_request import PackageRequest, read_package_request
from cds_service.fhir.problem import Problem
from cds_service.fhir.working_days import STANDARD_HOURS
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.context import Context
from tests.fakes import numbered_ids
from tests.unit.crd.small_call import ASKED_AT, bundle, call, coverage
from tests.unit.dtr.small_form import asking_catalogue
from tests.unit.policy.test_criteria import saturation

CATALOGUE = asking_catalogue()
LATER = ASKED_AT + timedelta(hours=2)
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-05-01", "name": [{"family": "Secret"}]}


def context(*chart: dict[str, Any], orders: Sequence[Any] = (), catalogue: Catalogue = CATALOGUE) -> Context:
    """What the answer to an order-sign left behind."""
    observations = bundle(*(chart or (saturation(86, "2026-11-01"),)))
    given = {"patient": PATIENT, "coverage": bundle(coverage()), "observations": observations}
    request = parse_hook_request(orjson.dumps(call(*orders, prefetch=given)), "order-sign")
    assert isinstance(request, HookRequest), request
    response = answer(request, catalogue, ASKED_AT, numbered_ids(), str, keeps_contexts=True)
    assert isinstance(response, HookResponse), response
    [found] = response.kept.contexts
    return found


def parameters(*given: tuple[str, Any], profile: str | None = None) -> dict[str, Any]:
    """Parameters of (name, value): a dict is a resource, a text the value."""
    kinds = {"questionnaire": "valueCanonical", "context": "valueString", "changedsince": "valueInstant"}
    listed = [
        {"name": name, "resource": value} if isinstance(value, dict) else {"name": name, kinds[name]: value}
        for name, value in given
    ]
    found = {"resourceType": "Parameters", "parameter": listed}
    return {**found, "meta": {"profile": [profile]}} if profile is not None else found


def read(document: Any) -> PackageRequest:
    found = read_package_request(document if isinstance(document, bytes) else orjson.dumps(document))
    assert isinstance(found, PackageRequest), found
    return found


def refused(document: Any) -> Problem:
    found = read_package_request(document if isinstance(document, bytes) else orjson.dumps(document))
    assert isinstance(found, Problem), found
    return found


def packaged(
    *given: tuple[str, Any],
    contexts: Sequence[Context] = (),
    dialect: Dialect = DTR_22,
    catalogue: Catalogue = CATALOGUE,
    **more: Any,
) -> dict[str, Any] | Problem:
    around = Surroundings(
        catalogue,
        dialect,
        more.get("moment", LATER),
        STANDARD_HOURS,
        "https://cds.example.org/fhir",
        numbered_ids(),
        adaptive=more.get("adaptive", False),
    )
    return package(read(parameters(*given)), contexts, more.get("said", ()), around)


def bundles(answered: Any, name: str = "packagebundle") -> list[dict[str, Any]]:
    assert isinstance(answered, dict), answered
    return [one["resource"] for one in answered["parameter"] if one["name"] == name]


def issues(answered: Any, name: str = "outcome") -> list[tuple[str, str, str]]:
    assert isinstance(answered, dict), answered
    outcomes = [one["resource"] for one in answered["parameter"] if one["name"] == name]
    return [(one["severity"], one["code"], one["details"]["text"]) for each in outcomes for one in each["issue"]]


def draft(bundled: dict[str, Any]) -> dict[str, Any]:
    [found] = [
        one["resource"] for one in bundled["entry"] if one["resource"]["resourceType"] == "QuestionnaireResponse"
    ]
    return dict(found)


def answers(response: dict[str, Any]) -> dict[str, Any]:
    """linkId -> the answer's value, through groups and answers."""
    found: dict[str, Any] = {}

    def walk(items: Any) -> None:
        for item in items:
            for one in item.get("answer", ()):
                value = one.get("valueCoding", {}).get("code") or one.get("valueString")
                if value is not None:
                    found[item["linkId"]] = value
                walk(one.get("item", ()))
            walk(item.get("item", ()))

    walk(response.get("item", ()))
    return found
