"""The typed shapes that expressions see beside raw FHIR resources. Names and types only."""

from __future__ import annotations

from cds_service.fhir.elements import Field, View

REQUESTS = frozenset(
    {
        "CommunicationRequest",
        "DeviceRequest",
        "MedicationRequest",
        "NutritionOrder",
        "ServiceRequest",
        "VisionPrescription",
    }
)
DOCUMENTS = frozenset({"DocumentReference", "DiagnosticReport"})

_FIELDS: dict[str, dict[str, Field]] = {
    # each value, component or member of an Observation that a `measurement` describes; qualifiers are added per fact
    "Reading": {
        "value": Field("Quantity"),
        "date": Field("dateTime"),
        "code": Field("CodeableConcept"),
        "method": Field("CodeableConcept"),
        "component": Field("Observation.component", many=True),
        "measurement": Field("string"),
        "status": Field("code"),
    },
    "OrderLine": {
        "code": Field("Coding"),
        "concept": Field("Coding", many=True),
        "modifier": Field("Coding", many=True),
        "transaction": Field("string"),
        "firstDay": Field("date"),
        "month": Field("date"),  # the calendar month of firstDay, e.g. 2026-02
        "lastDay": Field("date"),
        "duration": Field("Quantity"),
        "flowRate": Field("Quantity"),
        "frequency": Field("string"),
        "hoursPerDay": Field("decimal"),
        "asNeeded": Field("boolean"),
        "doseDuration": Field("Quantity"),
        "conceptText": Field("string"),
        "text": Field("string", many=True),
        "reason": Field("CodeableConcept", many=True),
        "status": Field("code"),
        "position": Field("integer"),
        "reference": Field("string"),
        "references": Field("string", many=True),
    },
    "Document": {
        "date": Field("dateTime"),
        "type": Field("CodeableConcept"),
        "status": Field("code"),
        "signed": Field("boolean"),
        "reference": Field("string"),
    },
    "CoverageView": {
        "payer": Field("string"),
        "product": Field("string", many=True),
        "programme": Field("string", many=True),
        "programmeName": Field("string"),
    },
    "Requester": {
        "role": Field("CodeableConcept", many=True),
        "reference": Field("string"),
        "generalPractitioner": Field("boolean"),
    },
    "Performer": {
        "named": Field("string", many=True),
        "role": Field("CodeableConcept", many=True),
        "reference": Field("string", many=True),
        "network": Field("NetworkView", many=True),
    },
    "NetworkView": {
        "performer": Field("string"),
        "reference": Field("string"),
        "name": Field("string"),
        "payer": Field("string"),
        "programme": Field("string", many=True),
    },
    "CalendarView": {
        "date": Field("date"),
        "day": Field("string"),
        "holiday": Field("string"),
        "hours": Field("string"),
        "nextBusinessDay": Field("date"),
        "businessDayBeforeFirstDay": Field("date"),
    },
    "AnswerView": {"linkId": Field("string"), "value": Field("string"), "authored": Field("dateTime")},
    # what a condition may read of a criterion, an exclusion or a document
    "CriterionView": {"status": Field("string"), "met": Field("boolean")},
}

# a fact of one of these types is a value; of any other, a list of items that become evidence or candidates
VALUE_TYPES = frozenset({"boolean", "date", "dateTime", "instant", "integer", "decimal", "Quantity", "code", "string"})

_OVER = {"OrderLine": tuple(sorted(REQUESTS)), "Document": tuple(sorted(DOCUMENTS))}


def views(qualifiers: tuple[str, ...] = ()) -> dict[str, View]:
    """The views of one plan: those above, and on a reading the qualifiers that its measurements name."""
    fields = {name: dict(one) for name, one in _FIELDS.items()}
    fields["Reading"].update({name: Field("string") for name in qualifiers})
    return {name: View(one, over=_OVER.get(name, ())) for name, one in fields.items()}
