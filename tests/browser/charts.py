"""For each policy that has a form: a small chart with an order whose criteria are open, and what its clinician answers.

Dates count from today, as the service's clock does: nothing here grows old. People who do not exist.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Resource = dict[str, Any]

HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
PATIENT = {"reference": "Patient/p1"}
ORDER = "DeviceRequest/o1"


def days_ago(days: int) -> str:
    today = datetime.datetime.fromtimestamp(time.time(), datetime.UTC).date()
    return (today - datetime.timedelta(days)).isoformat()


def years_ago(years: int) -> str:
    return days_ago(366 * years)


def _plan(name: str) -> dict[str, Any]:
    kinds = "http://terminology.hl7.org/CodeSystem/coverage-class"
    return {"type": {"coding": [{"system": kinds, "code": "plan"}]}, "value": name, "name": name}


@dataclass(frozen=True)
class Chart:
    """`resources` without those that every chart has; `answers` by linkId where the first option is not the one."""

    form: str
    payer: str
    born: str
    order: Resource
    resources: tuple[Resource, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    programme: str | None = None

    @property
    def reference(self) -> str:
        return f"{self.order['resourceType']}/{self.order['id']}"

    @property
    def all(self) -> list[Resource]:
        return [
            {
                "resourceType": "Patient",
                "id": "p1",
                "name": [{"given": ["Ada"], "family": "Lee"}],
                "birthDate": self.born,
            },
            {"resourceType": "Practitioner", "id": "dr1", "name": [{"given": ["Joan"], "family": "Watson"}]},
            {
                "resourceType": "Coverage",
                "id": "c1",
                "status": "active",
                "beneficiary": PATIENT,
                "payor": [{"display": self.payer}],
                **({"class": [_plan(self.programme)]} if self.programme is not None else {}),
            },
            self.order,
            *self.resources,
        ]


def equipment(code: str, name: str, *modifiers: str, text: str | None = None, **more: Any) -> Resource:
    codings = [{"system": HCPCS, "code": code, "display": name}, *({"system": HCPCS, "code": one} for one in modifiers)]
    return {
        "resourceType": "DeviceRequest",
        "id": "o1",
        "status": "draft",
        "intent": "original-order",
        "codeCodeableConcept": {"coding": codings, **({"text": text} if text is not None else {})},
        "subject": PATIENT,
        "authoredOn": days_ago(0),
        "requester": {"reference": "Practitioner/dr1"},
        "insurance": [{"reference": "Coverage/c1"}],
        **more,
    }


def condition(identity: str, code: str, name: str) -> Resource:
    return {
        "resourceType": "Condition",
        "id": identity,
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
        "code": {"coding": [{"system": ICD10, "code": code, "display": name}]},
        "subject": PATIENT,
        "recordedDate": days_ago(400),
    }


def saturation(identity: str, percent: int, days: int) -> Resource:
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "59408-5"}]},
        "subject": PATIENT,
        "effectiveDateTime": days_ago(days),
        "valueQuantity": {"value": percent, "unit": "%", "system": UCUM, "code": "%"},
    }


def in_days(days: int) -> str:
    return days_ago(-days)


_NUCC = "http://nucc.org/provider-taxonomy"
_DOCTOR = {"requester": {"reference": "PractitionerRole/dr1-role"}}


def doctor(specialty: str) -> Resource:
    return {
        "resourceType": "PractitionerRole",
        "id": "dr1-role",
        "active": True,
        "practitioner": {"reference": "Practitioner/dr1"},
        "code": [{"coding": [{"system": _NUCC, "code": specialty}]}],
    }


def reason(code: str) -> dict[str, Any]:
    return {"reasonCode": [{"coding": [{"system": ICD10, "code": code}]}]}


OXYGEN = Chart(
    form="masshealth-home-oxygen",
    payer="MassHealth",
    born=years_ago(70),
    order=equipment(
        "E1390",
        "Oxygen concentrator",
        "RR",
        parameter=[
            {
                "code": {"text": "Oxygen flow"},
                "valueQuantity": {"value": 2, "unit": "L/min", "system": UCUM, "code": "L/min"},
            }
        ],
        occurrenceTiming={
            "repeat": {
                "boundsPeriod": {"start": in_days(1), "end": in_days(360)},
                "frequency": 1,
                "period": 1,
                "periodUnit": "d",
                "duration": 16,
                "durationUnit": "h",
            }
        },
        **_DOCTOR,
        **reason("J44.9"),
    ),
    resources=(doctor("207RP1001X"), condition("copd", "J44.9", "COPD"), saturation("spo2", 86, 9)),
)
OXIMETER = Chart(
    form="ohio-pulse-oximeter",
    payer="Ohio Medicaid",
    born=years_ago(3),
    order=equipment("E0445", "Oximeter", "RR", **_DOCTOR),
    resources=(doctor("208000000X"), condition("bpd", "P27.1", "Bronchopulmonary dysplasia")),
    answers={"oh-oximeter.monitoring": "continuous"},
)
KIT = Chart(
    form="husky-resuscitation-kit",
    payer="HUSKY Health",
    born=years_ago(60),
    order=equipment(
        "E1399",
        "Durable medical equipment, miscellaneous",
        "RR",
        text="Resuscitation kit",
        **_DOCTOR,
        **reason("J44.9"),
    ),
    resources=(doctor("207RP1001X"), condition("copd", "J44.9", "COPD")),
    programme="HUSKY C",
)
PUMP = Chart(
    form="husky-infusion-pump",
    payer="HUSKY Health",
    born=years_ago(50),
    order=equipment(
        "E0781",
        "Ambulatory infusion pump",
        "RR",
        occurrencePeriod={"start": in_days(1), "end": in_days(300)},
        **_DOCTOR,
        **reason("C18.7"),
    ),
    resources=(doctor("207RX0202X"), condition("colon", "C18.7", "Malignant neoplasm of sigmoid colon")),
    programme="HUSKY C",
)
INFUSION = Chart(
    form="carepartners-home-infusion",
    payer="CarePartners of Connecticut",
    born=years_ago(70),
    order={
        "resourceType": "ServiceRequest",
        "id": "o1",
        "status": "draft",
        "intent": "original-order",
        "code": {"coding": [{"system": HCPCS, "code": "S9355", "display": "Home infusion therapy, chelation therapy"}]},
        "subject": PATIENT,
        "occurrencePeriod": {"start": in_days(2), "end": in_days(30)},
        "authoredOn": days_ago(0),
        "insurance": [{"reference": "Coverage/c1"}],
        **_DOCTOR,
    },
    resources=(doctor("207R00000X"),),
    programme="CareAdvantage Preferred",
)
CHARTS = (OXYGEN, OXIMETER, KIT, PUMP, INFUSION)
