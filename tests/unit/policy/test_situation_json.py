"""A situation that was kept is judged as it was: every case of every shipped policy, and what a case cannot say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from cds_service.fhir.record import Record
from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import situation_of
from cds_service.policy.determination import determine
from cds_service.policy.load import load_catalogue
from cds_service.policy.model import Situation
from cds_service.policy.order_line import read_order_line
from cds_service.policy.plan import Policy
from cds_service.policy.situation_json import kept, situation_from
from tests.policy_cases import loaded
from tests.unit.policy.small_plan import LOINC, definitions
from tests.unit.policy.test_criteria import saturation

PLANS = Path(__file__).parents[3] / "plans"
NOON = datetime.fromisoformat("2026-11-21T12:00:00-05:00")
DAY = date(2026, 11, 21)


def again(policy: Policy, situation: Situation) -> Situation:
    """The situation, by way of the bytes that are stored."""
    held = orjson.loads(orjson.dumps(kept(policy, situation)))
    return situation_from(
        held,
        policy,
        asked_at=situation.asked_at,
        business_hours=situation.business_hours,
        answers=situation.answers,
    )


def every_case(config: pytest.Config) -> Iterator[tuple[str, Policy, Situation]]:
    folders, catalogue = loaded(config, PLANS)
    for unread in folders.cases:
        file, problems = read_cases(unread.text, unread.where, unread.charts)
        assert not problems
        folder = unread.where.rsplit("/", 1)[0]
        for policy in (one for one in catalogue.policies if one.where.rsplit("/", 1)[0] == folder):
            for case in file.cases:
                yield f"{unread.where}: {case.name}", policy, situation_of(case, policy)


def test_every_case_of_every_policy_is_judged_as_it_was(pytestconfig: pytest.Config) -> None:
    different: list[str] = []
    judged = 0
    for name, policy, situation in every_case(pytestconfig):
        # what a case states outright is not of the chart, and is not kept
        restored = replace(again(policy, situation), stubs=situation.stubs)
        if determine(policy, restored) != determine(policy, situation):
            different.append(name)
        judged += 1
    assert judged > 500 and not different, "\n".join(different)


def test_every_case_is_judged_as_it_was_on_its_chart_alone_whatever_is_answered(pytestconfig: pytest.Config) -> None:
    different: list[str] = []
    for name, policy, situation in every_case(pytestconfig):
        bare = replace(situation, stubs={})
        unanswered = replace(bare, answers={})
        for one in (bare, unanswered):
            if determine(policy, again(policy, one)) != determine(policy, one):
                different.append(name)
    assert not different, "\n".join(different)


# -- what a case cannot say: names, other patients, faults -------------------------------------------------

PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-05-01", "name": [{"family": "Secret"}]}
WHOSE = {"subject": {"reference": "Patient/p1"}}


@pytest.fixture(scope="module")
def policy() -> Policy:
    catalogue, problems = load_catalogue(definitions())
    assert catalogue is not None, problems
    return catalogue.policies[0]


def order(**more: Any) -> dict[str, Any]:
    coding = {"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390"}
    return {"resourceType": "DeviceRequest", "id": "o1", "codeCodeableConcept": {"coding": [coding]}, **WHOSE, **more}


def situation(*chart: Any, ordered: dict[str, Any] | None = None, **more: Any) -> Situation:
    """The small plan's order, on a chart of resources or of (place, resource, fullUrl)."""
    placed = [one if isinstance(one, tuple) else (f"chart[{n}]", one) for n, one in enumerate((PATIENT, *chart))]
    record = Record.build(placed, "p1", more.get("not_looked_up"))
    line = read_order_line(ordered or order(), 0, record, DAY)
    return Situation(record, line, DAY, DAY, NOON, coverage={"payer": "acme", "programme": []}, **more)


def same(policy: Policy, one: Situation) -> dict[str, Any]:
    before, after = determine(policy, one), determine(policy, again(policy, one))
    assert before is not None and before == after
    return kept(policy, one)


def ids(held: dict[str, Any]) -> list[str]:
    return [one["resource"]["id"] for one in held["resources"]]


def test_of_the_chart_only_what_the_policy_retrieves_is_kept(policy: Policy) -> None:
    weight = saturation(80, identity="weight", code={"coding": [{"system": LOINC, "code": "29463-7"}]})
    allergy = {"resourceType": "AllergyIntolerance", "id": "a1", "patient": {"reference": "Patient/p1"}}
    held = same(policy, situation(saturation(88, "2026-11-01"), weight, allergy))
    assert ids(held) == ["o", "p1"]


def test_of_the_patient_only_what_the_policy_names_is_kept_and_no_narrative(policy: Policy) -> None:
    told = saturation(88, "2026-11-01", text={"div": "Secret"}, meta={"source": "Secret"})
    held = same(policy, situation(told))
    assert "Secret" not in orjson.dumps(held).decode()
    assert [one["resource"] for one in held["resources"]][1] == {
        "resourceType": "Patient",
        "id": "p1",
        "birthDate": "1950-05-01",
    }


def test_the_pages_of_a_report_are_not_kept(policy: Policy) -> None:
    report = {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "type": {"coding": [{"system": LOINC, "code": "11502-2"}]},
        "content": [{"attachment": {"creation": "2026-11-02", "data": "U2VjcmV0"}}],
        **WHOSE,
    }
    held = same(policy, situation(saturation(88, "2026-11-01"), report))
    assert "d1" in ids(held) and "U2VjcmV0" not in orjson.dumps(held).decode()


def test_another_patients_value_is_told_of_again_and_only_its_code_is_kept(policy: Policy) -> None:
    other = saturation(80, "2026-11-01", identity="not-ours", subject={"reference": "Patient/p2"})
    one = situation(other)
    held = same(policy, one)
    assert any("of another patient (chart[1])" in (verdict.reason or "") for verdict in verdicts(policy, one))
    assert "not-ours" not in orjson.dumps(held).decode() and "Patient/p2" not in orjson.dumps(held).decode()


def test_a_value_that_could_not_be_read_is_told_of_again(policy: Policy) -> None:
    one = situation(saturation(88, "2026-11-01", valueQuantity="88 %"))
    same(policy, one)
    assert any("could not be read" in (verdict.reason or "") for verdict in verdicts(policy, one))


def test_a_look_up_that_failed_is_still_one_that_failed(policy: Policy) -> None:
    same(policy, situation(saturation(88, "2026-11-01"), not_looked_up={"Observation": "the EHR did not answer"}))


def test_a_panel_is_kept_with_the_members_that_lend_a_value_its_context(policy: Policy) -> None:
    flow = saturation(0, "2026-11-01", identity="flow", code={"coding": [{"system": LOINC, "code": "3151-8"}]})
    flow["valueQuantity"] = {"value": 0, "unit": "L/min", "system": "http://unitsofmeasure.org", "code": "L/min"}
    value = saturation(86, "2026-11-01", identity="value", room_air=False)
    members = [{"reference": "Observation/value"}, {"reference": "urn:uuid:flow"}]
    panel = {"resourceType": "Observation", "id": "panel", "status": "final", "hasMember": members, **WHOSE}
    held = same(policy, situation(value, ("flow", flow, "urn:uuid:flow"), panel))
    assert ids(held) == ["value", "flow", "panel", "p1"]


def test_what_an_order_points_at_is_found_again_under_the_name_that_it_was_given(policy: Policy) -> None:
    reason = {"resourceType": "Condition", "id": "c1", "code": {"text": "angina"}, **WHOSE}
    pointing = order(reasonReference=[{"reference": "urn:uuid:reason"}])
    one = situation(("reason", reason, "urn:uuid:reason"), ordered=pointing)
    same(policy, one)
    assert again(policy, one).line == one.line and one.line["references"] == ["Condition/c1"]


def test_a_patient_named_by_the_bundle_is_still_the_patient(policy: Policy) -> None:
    urn = "urn:uuid:patient"
    value = saturation(88, "2026-11-01", subject={"reference": urn})
    held = same(policy, situation(("patient", PATIENT, urn), value))
    assert "o" in ids(held)


def verdicts(policy: Policy, one: Situation) -> Any:
    determination = determine(policy, one)
    assert determination is not None
    return determination.criteria
