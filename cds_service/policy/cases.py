"""A policy's own tests, run: a case and a catalogue in, wanted and got out. Used by `check` and by the tests alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from cds_service.fhir.codings import HCPCS, ICD10CM, NUCC, SNOMED
from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.quantities import parse_quantity
from cds_service.fhir.record import Record
from cds_service.policy.case_file import Case
from cds_service.policy.choices import unasked_answers, unread_answers
from cds_service.policy.criteria import Verdicts
from cds_service.policy.determination import determine
from cds_service.policy.items import Reading
from cds_service.policy.model import Answer, Determination, Situation
from cds_service.policy.order_line import OrderLine, read_order_line
from cds_service.policy.plan import Fact, Policy
from cds_service.policy.views import VALUE_TYPES

_PATIENT = "p1"
_AMOUNT = re.compile(r"^\s*(-?\d+(?:\.\d+)?)\s*(\S.*)$")
# the element that says what is ordered, where it is not `code`
_CONCEPT_OF = {"DeviceRequest": "codeCodeableConcept", "MedicationRequest": "medicationCodeableConcept"}
_UNITS = {"mmHg": "mm[Hg]"}


@dataclass(frozen=True, slots=True)
class CaseResult:
    """`differences` are lines "what: wanted ..., got ..."; none when the case holds. `reasons` explain the outcome."""

    case: Case
    differences: tuple[str, ...]
    reasons: tuple[str, ...]
    determination: Determination | None
    amounts: tuple[Any, ...] = ()  # stubbed items and amounts worked out, for those who ask which borders were tried


def run_case(case: Case, policy: Policy) -> CaseResult:
    """Judge one case by one version of a policy. Raises nothing for what a case can get wrong: it is a difference."""
    differences, situation, determination = _judged(case, policy)
    if situation is None:
        return CaseResult(case, differences, (), None)
    given = [item for items in situation.stubs.values() for item in items]
    # amounts that the plan works out itself (a difference of two readings) have borders too
    facts = Verdicts(policy, situation).facts
    given += [one for name, fact in policy.facts.items() if fact.type == "Quantity" for one in facts[name]]
    return CaseResult(case, differences, tuple(_reasons(determination)), determination, tuple(given))


def differences(case: Case, policy: Policy) -> tuple[str, ...]:
    """What of a case does not hold, without the reasons."""
    return _judged(case, policy)[0]


def _judged(case: Case, policy: Policy) -> tuple[tuple[str, ...], Situation | None, Determination | None]:
    """The differences, and what was judged; no situation where the case names what the plan does not have."""
    try:
        situation = situation_of(case, policy)
    except _CaseFault as fault:
        return (str(fault),), None, None
    unheld = _unheld(case, policy)
    if unheld:
        return unheld, None, None
    determination = determine(policy, situation) if _in_force(policy, case.on) else None
    return tuple(_differences(case.expect, determination)), situation, determination


def _unheld(case: Case, policy: Policy) -> tuple[str, ...]:
    """Ids that a case names and the plan does not have: what is expected of them would hold of nothing."""
    suggestions = {action.id for item in policy.advice for action in item.actions}
    judged = {*policy.criteria, *policy.exclusions, *policy.documents}
    held: dict[str, set[str]] = {
        "answers": judged,
        "criteria": set(policy.criteria),
        "documents": set(policy.documents),
        "exclusions": set(policy.exclusions),
        "advice": {one.id for one in policy.advice},
        "suggestions": suggestions,
        "rule": {row.id for row in policy.rows},
        **{key: set(policy.criteria) for key in ("evidence", "candidates", "conflicts")},
        "says": judged | {one.id for one in policy.advice},
    }
    found = []
    for member, ids in held.items():
        named = case.answers if member == "answers" else case.expect.get(member) or ()
        for name in [named] if isinstance(named, str) else named:
            if str(name).removeprefix("no ") not in ids and not str(name).startswith("ask."):
                found.append(f"{member}: the plan has no '{str(name).removeprefix('no ')}'")
    return (*found, *unread_answers(case.answers, policy), *unasked_answers(case.answers, policy.form))


class _CaseFault(Exception):
    pass


def _in_force(policy: Policy, on: date) -> bool:
    return policy.start <= on and not policy.retired


def situation_of(case: Case, policy: Policy) -> Situation:
    """The situation that a case describes. Raises _CaseFault where it names what the plan does not have."""
    patient = {"resourceType": "Patient", "id": _PATIENT, "birthDate": "1950-05-01", **case.patient}
    patient = {name: value for name, value in patient.items() if value is not None}
    resources = [_plain(one) for one in case.chart]
    if not any(one.get("resourceType") == "Patient" for one in resources):
        resources.insert(0, _plain(patient))
    identity = next(one["id"] for one in resources if one.get("resourceType") == "Patient")
    order = _order(case.order, "o1", case, identity)
    encounter = _encounter(case, identity)
    # as in a call, the chart holds this order only where it was stored before
    placed: list[tuple[str, Any]] = [(f"chart[{n}]", one) for n, one in enumerate(resources)]
    record = Record.build([*placed, ("encounter", encounter)] if encounter else placed, identity, case.not_looked_up)
    line = read_order_line(order, 0, record, case.on)
    draft = tuple(
        read_order_line(_order(one, f"d{n}", case, identity), n, record, case.on) for n, one in enumerate(case.draft, 1)
    )
    at = case.at if case.at.tzinfo is not None else case.at.replace(tzinfo=UTC)
    return Situation(
        record=record,
        line=line,
        order_date=case.on,
        on_date=at.date(),
        asked_at=at,
        draft=draft,
        encounter=encounter,
        coverage={"payer": policy.payer, **case.coverage},
        requester=_requester(case),
        performer=_performer(case),
        answers={name: Answer(value, authored) for name, (value, authored) in case.answers.items()},
        not_looked_up=case.not_looked_up,
        stubs={name: _stub(name, value, policy, line, case.on) for name, value in case.facts.items()},
    )


def _plain(value: Any) -> Any:
    """YAML's dates back to FHIR's strings."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _order(raw: Mapping[str, Any], identity: str, case: Case, patient: str) -> dict[str, Any]:
    raw = _plain(raw)
    kind = raw.get("resourceType", "DeviceRequest")
    order: dict[str, Any] = {
        "resourceType": kind,
        "id": raw.get("id", identity),
        "status": raw.get("status", "draft"),
        "intent": "original-order",
        "subject": {"reference": f"Patient/{patient}"},
        "authoredOn": raw.get("authored", case.on.isoformat()),
    }
    concept: dict[str, Any] = {}
    if "hcpcs" in raw:
        codes = [raw["hcpcs"], *raw.get("modifiers", ())]
        concept["coding"] = [{"system": HCPCS, "code": str(code)} for code in codes]
    if "text" in raw:
        concept["text"] = raw["text"]
    if concept:
        order[_CONCEPT_OF.get(kind, "code")] = concept
    if "reason" in raw:
        reasons = raw["reason"] if isinstance(raw["reason"], list) else [raw["reason"]]
        order["reasonCode"] = [one if isinstance(one, Mapping) else _concept(str(one), ICD10CM) for one in reasons]
    if "flow" in raw:
        flow = {"value": raw["flow"], "unit": "L/min", "system": "http://unitsofmeasure.org", "code": "L/min"}
        if kind == "DeviceRequest":
            order["parameter"] = [{"valueQuantity": flow}]
        else:
            order["quantityQuantity"] = flow
    timing = _timing(raw)
    if kind == "MedicationRequest":
        order.update(_dosage(raw, timing))
    elif timing:
        order["occurrenceTiming"] = timing
    elif "starts" in raw or "ends" in raw:
        ends = {"start": raw.get("starts"), "end": raw.get("ends")}
        order["occurrencePeriod"] = {name: value for name, value in ends.items() if value}
    if raw.get("as-needed"):
        order["asNeededBoolean"] = True
    given = raw.get("resource", {})
    dosage = {name: order[name] for name in ("dosageInstruction",) if name in order}
    return {**order, **given, **dosage}


def _dosage(raw: Mapping[str, Any], timing: dict[str, Any]) -> dict[str, Any]:
    """Timing, first and last day of a MedicationRequest, which has them in its dosage: the first of those given."""
    bounds = {name: value for name, key in (("start", "starts"), ("end", "ends")) if (value := raw.get(key))}
    timing = timing or ({"repeat": {"boundsPeriod": bounds}} if bounds else {})
    if not timing:
        return {}
    first, *more = raw.get("resource", {}).get("dosageInstruction") or [{}]
    return {"dosageInstruction": [{"timing": timing, **first}, *more]}


def _timing(raw: Mapping[str, Any]) -> dict[str, Any]:
    if raw.get("continuous"):
        return {"code": {"text": "continuous"}}
    if "hours" not in raw:
        return {}
    repeat = {"frequency": 1, "period": 1, "periodUnit": "d", "duration": raw["hours"], "durationUnit": "h"}
    bounds = {"start": raw.get("starts"), "end": raw.get("ends")}
    stated = {name: value for name, value in bounds.items() if value}
    return {"repeat": {**repeat, **({"boundsPeriod": stated} if stated else {})}}


def _concept(code: str, system: str) -> dict[str, Any]:
    name, _, rest = code.partition(" ")
    named = {"SNOMED": SNOMED, "ICD": ICD10CM, "NUCC": NUCC}.get(name)
    return {"coding": [{"system": named, "code": rest}]} if named else {"coding": [{"system": system, "code": code}]}


def _encounter(case: Case, patient: str) -> dict[str, Any] | None:
    if case.encounter is None:
        return None
    raw = dict(_plain(case.encounter))
    if isinstance(raw.get("class"), str):
        raw["class"] = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": raw["class"]}
    whose = {"reference": f"Patient/{patient}"}
    return {"resourceType": "Encounter", "id": "e1", "status": "in-progress", "subject": whose, **raw}


def _requester(case: Case) -> dict[str, Any] | None:
    if case.requester is None:
        return None
    principal = {"generalPractitioner": True} if case.general_practitioner else {}
    return {"role": _provider_roles(case.requester), "reference": "PractitionerRole/r1", **principal}


def _performer(case: Case) -> dict[str, Any] | None:
    """A network is a payer's id, or a payer and the programme that its name says: `payer programme`.

    Those `beside` are named too, each in the networks of a list of its own.
    """
    if case.performer is None:
        return None
    each = [_listed(case.performer.get("network")), *map(_listed, _listed(case.performer.get("beside")))]
    named = ["PractitionerRole/performer", *(f"PractitionerRole/performer-{n}" for n in range(2, len(each) + 1))]
    networks: list[dict[str, Any]] = []
    for name, network in ((name, one) for name, listed in zip(named, each, strict=True) for one in listed):
        payer, _, programme = str(network).partition(" ")
        said = {"payer": payer, "programme": [programme] if programme else []} if payer != "other" else {}
        reference = f"Organization/network-{len(networks) + 1}"
        networks.append({"performer": name, "reference": reference, "name": str(network), **said})
    roles = _provider_roles(_listed(case.performer.get("role")))
    return {"named": named, "role": roles, "reference": named, "network": networks}


def _provider_roles(codes: Sequence[Any]) -> list[dict[str, Any]]:
    return [_concept(str(one), NUCC) for one in codes]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


# -- stubbed facts


def _stub(name: str, value: Any, policy: Policy, line: OrderLine, on: date) -> tuple[Any, ...]:
    fact = policy.facts.get(name)
    if fact is None:
        raise _CaseFault(f"facts: the plan has no fact '{name}'")
    values = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(_stub_item(fact, _plain(one), n, on) for n, one in enumerate(values))


def _stub_item(fact: Fact, value: Any, n: int, on: date) -> Any:
    if fact.type in VALUE_TYPES:
        if fact.type in ("date", "dateTime", "instant"):
            return parse_date(str(value))
        if fact.type == "decimal":
            return Decimal(str(value))
        return _amount(value, fact) if fact.type == "Quantity" else value
    if fact.type == "Observation" and not (isinstance(value, Mapping) and "resourceType" in value):
        given = dict(value) if isinstance(value, Mapping) else {"value": value}
        reading = Reading()
        reading.resource = {"resourceType": "Observation", "id": f"{fact.name}-{n + 1}"}
        reading.sent, reading._env, reading._measurement = None, None, fact.measurement
        reading.update(given)
        reading["value"] = _amount(given.get("value"), fact)
        when = given.get("date")
        reading.when = reading["date"] = parse_date(str(when)) if when else FhirDate.of_day(on)
        return reading
    if isinstance(value, Mapping):
        return value
    item = {"resourceType": fact.type, "id": f"{fact.name}-{n + 1}"}
    return item if value is True else {**item, "code": _concept(str(value), ICD10CM)}


def _amount(value: Any, fact: Fact) -> Any:
    match = _AMOUNT.match(str(value))
    unit = _UNITS.get(match[2], match[2]) if match else ""
    quantity = match and parse_quantity(
        {"value": Decimal(match[1]), "code": unit, "system": "http://unitsofmeasure.org"}
    )
    if not quantity:
        raise _CaseFault(f"facts: {fact.name}: {value!r} is no amount with a unit, e.g. '88 %' or '55 mm[Hg]'")
    return quantity


# -- wanted and got


def _differences(expect: Mapping[str, Any], got: Determination | None) -> Sequence[str]:
    if expect.get("statement") is False:
        return [] if got is None else [f"statement: wanted none, got {got.authorization_rule}"]
    if got is None:
        return ["statement: wanted one, got none"]
    found: list[str] = []

    def compare(name: str, wanted: Any, actual: Any) -> None:
        if wanted != actual:
            found.append(f"{name}: wanted {wanted!r}, got {actual!r}")

    plain = {"covered": got.covered, "paNeeded": got.pa_needed, "rule": got.authorization_rule}
    for name, actual in plain.items():
        if name in expect:
            compare(name, expect[name], actual)
    lists = {
        "docNeeded": got.doc_needed,
        "infoNeeded": got.info_needed,
        "exclusions": tuple(one.id for one in got.exclusions),
        "reasonCodes": tuple(one.code for one in got.reason_codings.values()),
    }
    for name, members in lists.items():
        if name in expect:
            compare(name, sorted(expect[name] or ()), sorted(members))
    statuses = {one.id: one.status.value for one in got.criteria}
    for criterion, status in (expect.get("criteria") or {}).items():
        compare(criterion, status, statuses.get(criterion, "not judged"))
    if expect.get("criteria") == {}:
        compare("criteria", [], list(statuses))
    papers = {one.id: one.status for one in got.documents}
    for document, status in (expect.get("documents") or {}).items():
        compare(document, status, papers.get(document, "not judged"))
    given = {one.id for one in got.advice}
    offered = {suggestion.id for one in got.advice for suggestion in one.suggestions}
    for name, present in (("advice", given), ("suggestions", offered)):
        for wanted in expect.get(name) or ():
            unwanted = str(wanted).startswith("no ")
            if (str(wanted).removeprefix("no ") in present) is unwanted:
                found.append(f"{name}: wanted {wanted!r}, got {sorted(present)}")
    words = " ".join(got.reason)
    if "reason" in expect and str(expect["reason"]) not in words:
        found.append(f"reason: wanted {expect['reason']!r} in {words!r}")
    by_id = {one.id: one for one in got.criteria}
    for member in ("evidence", "candidates", "conflicts"):
        for criterion, wanted in (expect.get(member) or {}).items():
            shown = by_id.get(criterion)
            references = sorted(one.reference for one in getattr(shown, member, ()))
            compare(f"{member} of {criterion}", sorted(wanted or ()), references)
    texts = {one.id: one.reason for one in got.criteria}
    texts |= {one.id: one.reason for one in got.documents} | {one.id: one.detail for one in got.advice}
    for name, wanted in (expect.get("says") or {}).items():
        said = texts.get(name) or ""
        if str(wanted) not in said:
            found.append(f"{name} says: wanted {wanted!r} in {said!r}")
    return found


def _reasons(got: Determination | None) -> Sequence[str]:
    if got is None:
        return ["no statement"]
    found = [
        f"{got.authorization_rule}: covered {got.covered}, paNeeded {got.pa_needed} {' '.join(got.reason)}".rstrip()
    ]
    found += [f"{one.id}: {one.status.value} - {one.reason or ''}" for one in got.criteria]
    found += [f"{one.id}: {one.status} {one.reason or ''}".rstrip() for one in got.documents]
    return found + [f"{one.id}: fired" for one in got.exclusions]
