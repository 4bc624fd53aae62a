"""Whatever stands anywhere in a call, it is answered or refused: never a crash, never nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from cds_service.crd.answer import HookResponse, answer, render
from cds_service.crd.hook_request import parse_hook_request
from cds_service.fhir.problem import Problem
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import load_catalogue
from tests.fakes import numbered_ids
from tests.unit.crd.small_call import ASKED_AT, ICD, PATIENT, bundle, call, coded, coverage, order
from tests.unit.policy.small_plan import definitions

GARBAGE: tuple[Any, ...] = (
    None,
    [],
    {},
    "",
    "x",
    0,
    1.5,
    True,
    [None],
    [[]],
    ["x"],
    {"a": 1},
    {"coding": "x"},
    {"coding": [None]},
    {"reference": 1},
    "2026-13-40",
)
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
PERCENT = {"value": 87, "unit": "%", "system": UCUM, "code": "%"}
OBSERVATION = {
    "resourceType": "Observation",
    "id": "s1",
    "status": "final",
    "code": coded("59417-6", "2708-6", system=LOINC),
    "subject": PATIENT,
    "effectiveDateTime": "2026-11-02T10:15:00-05:00",
    "valueQuantity": PERCENT,
    "component": [
        {"code": coded("3151-8", system=LOINC), "valueQuantity": {"value": 0, "system": UCUM, "code": "L/min"}}
    ],
}
CONDITION = {
    "resourceType": "Condition",
    "id": "c1",
    "subject": PATIENT,
    "code": coded("J44.9", system=ICD),
    "clinicalStatus": coded("active", system="urn:status"),
}
REPORT = {
    "resourceType": "DocumentReference",
    "id": "d1",
    "status": "current",
    "type": coded("11502-2", system=LOINC),
    "subject": PATIENT,
    "date": "2026-11-02",
    "content": [{"attachment": {"creation": "2026-11-02"}}],
}
ROLE = {
    "resourceType": "PractitionerRole",
    "id": "r1",
    "code": [coded("207RP1001X", system="http://nucc.org/provider-taxonomy")],
}
COMPLETE = call(
    order(
        "o1",
        "E1390",
        "KX",
        requester={"reference": "PractitionerRole/r1"},
        insurance=[{"reference": "Coverage/c1"}],
        reasonCode=[coded("J44.9", system=ICD)],
        reasonReference=[{"reference": "Condition/c1"}],
        quantityQuantity={"value": 2.5, "system": UCUM, "code": "L/min"},
        occurrenceTiming={"repeat": {"boundsPeriod": {"start": "2026-11-21"}, "frequency": 1, "period": 1}},
        extension=[{"url": "urn:other", "valueString": "x"}],
    ),
    prefetch={
        "patient": {"resourceType": "Patient", "id": "p1", "birthDate": "1950-05-01"},
        "coverage": bundle(
            coverage(
                payor={"reference": "Organization/payer"},
                period={"start": "2026-01-01", "end": "2026-12-31"},
                type={"text": "Medicaid"},
                **{"class": [{"type": coded("plan", system="urn:class"), "value": "1", "name": "Plan"}]},
            ),
            {"resourceType": "Organization", "id": "payer", "name": "Acme Health", "identifier": [{"value": "b"}]},
        ),
        "conditions": bundle(CONDITION),
        "observations": bundle(OBSERVATION),
        "documentReferences": bundle(REPORT),
        "practitionerRoles": bundle(ROLE),
    },
    fhirServer="https://ehr.example.org/fhir",
    extension={"davinci-crd.configuration": {"max-cards": 5}, "davinci-crd.requestedVersion": "2.2"},
)  # fmt: skip


@pytest.fixture(scope="module")
def acme() -> Catalogue:
    catalogue, problems = load_catalogue(definitions())
    assert catalogue is not None, problems
    return catalogue


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in members:
        yield (*above, name)
        yield from paths(one, (*above, name))


def spoilt(path: tuple[Any, ...], garbage: Any) -> bytes:
    document = orjson.loads(orjson.dumps(COMPLETE))
    holder = document
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = garbage
    return orjson.dumps(document)


def said(body: bytes, catalogue: Catalogue) -> HookResponse | Problem:
    request = parse_hook_request(body, "order-sign")
    if isinstance(request, Problem):
        return request
    return answer(request, catalogue, ASKED_AT, numbered_ids(), lambda plan: f"https://cds.example.org/{plan}")


def test_the_call_that_is_spoilt_below_is_answered_in_full(acme: Catalogue) -> None:
    response = said(orjson.dumps(COMPLETE), acme)
    assert isinstance(response, HookResponse)
    assert len(response.cards) >= 2
    assert len(response.system_actions) == 1


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_garbage_anywhere_is_answered_or_refused(garbage: Any, acme: Catalogue) -> None:
    for path in paths(COMPLETE):
        response = said(spoilt(path, garbage), acme)
        if isinstance(response, Problem):
            assert response.where, path
            assert response.what, path
            assert response.fix, path
        else:
            found = orjson.loads(render(response))
            assert found["systemActions"], path


@pytest.mark.parametrize("percent", range(0, 100, 3))
def test_a_call_that_breaks_off_is_refused(percent: int, acme: Catalogue) -> None:
    body = orjson.dumps(COMPLETE)
    assert isinstance(said(body[: len(body) * percent // 100], acme), Problem)
