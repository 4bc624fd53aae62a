"""How facts become verdicts, on the small plan: saturation at rest, on room air, at or below 88 %, within 90 days."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import CaseResult, run_case
from cds_service.policy.kleene import all_of, any_of
from cds_service.policy.load import load_catalogue
from cds_service.policy.model import Status
from cds_service.policy.plan import Policy
from tests.unit.policy.small_plan import criterion, definitions, retrieved, small_plan

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
REST, ROOM_AIR = "59417-6", {"code": {"coding": [{"system": LOINC, "code": "3151-8"}]},
                             "valueQuantity": {"value": 0, "system": UCUM, "code": "L/min"}}  # fmt: skip


@pytest.fixture(scope="module")
def policy() -> Policy:
    catalogue, problems = load_catalogue(definitions())
    assert catalogue is not None, problems
    return catalogue.policies[0]


def saturation(
    value: float,
    day: str = "2026-02-01",
    *codes: str,
    identity: str = "o",
    room_air: bool = True,
    **more: Any,
) -> dict[str, Any]:
    observation = {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": day,
        "code": {"coding": [{"system": LOINC, "code": code} for code in codes or ("59408-5", REST)]},
        "valueQuantity": {"value": value, "unit": "%", "system": UCUM, "code": "%"},
    }
    if room_air:
        observation["component"] = [ROOM_AIR]
    return {**observation, **more}


def judge(policy: Policy, *chart: dict[str, Any], on: str = "2026-02-10", **more: Any) -> CaseResult:
    text = f"cases: [{{name: a, on: {on}, order: {{hcpcs: E1390}}, expect: {{covered: covered}}}}]"
    file, problems = read_cases(text, "cases.yaml", {})
    assert not problems
    case = file.cases[0]
    changed = {name: getattr(case, name) for name in case.__dataclass_fields__}
    result = run_case(type(case)(**{**changed, "chart": chart, **more}), policy)
    assert result.determination is not None
    return result


def rest(result: CaseResult) -> Any:
    assert result.determination is not None
    return next(one for one in result.determination.criteria if one.id == "acme-oxygen.rest")


@pytest.mark.parametrize(("value", "status"), [(88, "met"), (87.9, "met"), (88.1, "not-met"), (100, "not-met")])
def test_a_limit_compares_the_value_as_sent(policy: Policy, value: float, status: str) -> None:
    verdict = rest(judge(policy, saturation(value)))
    assert verdict.status.value == status
    assert [one.reference for one in verdict.evidence] == ["Observation/o"]


def test_nothing_on_record_is_unknown_and_asked(policy: Policy) -> None:
    verdict = rest(judge(policy))
    assert (verdict.status, verdict.asked, verdict.evidence) == (Status.UNKNOWN, True, ())
    assert verdict.reason.startswith("Not recorded")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"valueQuantity": {"value": 0.87, "code": "%", "system": UCUM}}, "0.87 % is outside 20 to 100 %"),
        ({"valueQuantity": {"value": 87}}, "unit not usable (none)"),
        ({"valueQuantity": {"value": 87, "unit": "mmHg"}}, "unit not usable"),
        ({"valueQuantity": {"value": 87, "code": "%", "system": UCUM, "comparator": "<"}}, "only a limit"),
        ({"valueQuantity": None, "valueString": "87 %"}, "not a quantity"),
    ],
)
def test_a_value_that_cannot_be_used_is_unknown_and_says_why(policy: Policy, more: dict[str, Any], words: str) -> None:
    observation = {name: value for name, value in saturation(87, **more).items() if value is not None}
    verdict = rest(judge(policy, observation))
    assert verdict.status is Status.UNKNOWN
    assert words in verdict.reason


def test_a_fraction_is_converted_exactly(policy: Policy) -> None:
    fraction = {"valueQuantity": {"value": 0.88, "code": "1", "system": UCUM}}
    verdict = rest(judge(policy, saturation(0.88, **fraction)))
    assert verdict.status is Status.MET
    assert "88 % (sent as 0.88 1)" in verdict.reason


@pytest.mark.parametrize("status", ["preliminary", "registered", "cancelled", "entered-in-error", "unknown"])
def test_an_observation_that_is_not_final_is_not_read(policy: Policy, status: str) -> None:
    assert rest(judge(policy, saturation(80, status=status))).status is Status.UNKNOWN


def test_a_resource_of_another_patient_never_reaches_a_criterion(policy: Policy) -> None:
    for subject in ("Patient/p2", "https://elsewhere.example/fhir/Patient/p2", "urn:uuid:0c3151bd"):
        verdict = rest(judge(policy, saturation(80, subject={"reference": subject})))
        assert (verdict.status, verdict.candidates) == (Status.UNKNOWN, ())


def test_a_resource_that_does_not_say_whose_it_is_never_reaches_a_criterion(policy: Policy) -> None:
    assert rest(judge(policy, saturation(80, subject={"display": "somebody"}))).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("day", "status"),
    [
        ("2025-11-12", "met"),  # 90 days before
        ("2025-11-11", "unknown"),
        ("2026-02-10T23:59:00-05:00", "met"),  # the day of the call, in its own offset
        ("2026-02-11", "unknown"),
        ("2026-01", "met"),  # every day of January is inside
        ("2025-11", "unknown"),  # some of November is not
        ("2026", "unknown"),
    ],
)
def test_a_window_counts_calendar_days_at_both_ends(policy: Policy, day: str, status: str) -> None:
    assert rest(judge(policy, saturation(80, day))).status.value == status


def test_a_value_that_is_too_old_is_named_in_the_reason(policy: Policy) -> None:
    assert "SpO2 80 % on 2024-01-01" in rest(judge(policy, saturation(80, "2024-01-01"))).reason


def test_the_newest_value_counts_and_an_older_one_that_says_otherwise_is_a_conflict(policy: Policy) -> None:
    verdict = rest(judge(policy, saturation(85, "2026-01-01", identity="old"), saturation(93, identity="new")))
    assert verdict.status is Status.NOT_MET
    assert [one.reference for one in verdict.evidence] == ["Observation/new"]
    assert [one.reference for one in verdict.conflicts] == ["Observation/old"]


def test_a_value_in_range_without_context_is_a_candidate_and_leaves_it_open(policy: Policy) -> None:
    verdict = rest(judge(policy, saturation(85, "2026-02-01", "59408-5", room_air=False)))
    assert (verdict.status, [one.reference for one in verdict.candidates]) == (
        Status.UNKNOWN,
        ["Observation/o"],
    )
    assert "activity and oxygen not recorded" in verdict.reason


def test_a_value_out_of_range_without_context_is_a_candidate_for_nothing(policy: Policy) -> None:
    verdict = rest(judge(policy, saturation(95, "2026-02-01", "59408-5", room_air=False)))
    assert (verdict.status, verdict.candidates) == (Status.UNKNOWN, ())


def test_a_newer_candidate_keeps_a_confirmed_no_open_and_an_older_one_does_not(policy: Policy) -> None:
    confirmed = saturation(93, "2026-02-01", identity="sure")
    newer = saturation(85, "2026-02-05", "59408-5", identity="bare", room_air=False)
    older = saturation(85, "2026-01-05", "59408-5", identity="bare", room_air=False)
    assert rest(judge(policy, confirmed, newer)).status is Status.UNKNOWN
    assert rest(judge(policy, confirmed, older)).status is Status.NOT_MET


def test_a_look_up_that_failed_leaves_every_fact_on_it_open_and_says_so(policy: Policy) -> None:
    verdict = rest(judge(policy, not_looked_up={"Observation": "the server answered 500"}))
    assert verdict.status is Status.UNKNOWN
    assert "the server answered 500" in verdict.reason


def test_a_malformed_resource_is_lost_alone_and_named_where_it_matters(policy: Policy) -> None:
    broken = saturation(80, effectiveDateTime="2026-13-40", identity="bad")
    verdict = rest(judge(policy, broken))
    assert verdict.status is Status.UNKNOWN and "could not be read" in verdict.reason
    assert rest(judge(policy, broken, saturation(80))).status is Status.MET


def test_a_decided_criterion_says_which_newer_value_it_could_not_use(policy: Policy) -> None:
    for fault in ({"valueQuantity": {"value": 95}}, {"effectiveDateTime": "2026-13-40"}):
        newer = saturation(95, "2026-02-05", identity="newer", **fault)
        verdict = rest(judge(policy, saturation(85), newer))
        assert verdict.status is Status.MET and "not used" in verdict.reason


def test_a_document_that_rests_on_a_failed_look_up_is_not_looked_up(policy: Policy) -> None:
    result = judge(policy, not_looked_up={"Observation": "the server answered 500"})
    assert result.determination is not None
    [report] = [one for one in result.determination.documents if one.id == "doc.report"]
    assert report.reason == "Not looked up: the server answered 500"


def test_no_number_of_values_without_context_hides_one_that_has_it(policy: Policy) -> None:
    bare = [saturation(85, "2026-02-05", "59408-5", identity=f"o{n}", room_air=False) for n in range(300)]
    verdict = rest(judge(policy, saturation(87, "2026-02-01", identity="sure"), *bare))
    assert verdict.status is Status.MET and [one.reference for one in verdict.evidence] == ["Observation/sure"]


def test_members_of_a_panel_are_read_with_its_time_status_and_context(policy: Policy) -> None:
    panel = {"resourceType": "Observation", "id": "panel", "status": "final", "subject": {"reference": "Patient/p1"},
             "effectiveDateTime": "2026-02-01", "code": {"coding": [{"system": LOINC, "code": REST}]},
             "hasMember": [{"reference": "Observation/sat"}, {"reference": "Observation/flow"}]}  # fmt: skip
    sat = saturation(85, "2026-02-01", "59408-5", identity="sat", room_air=False)
    del sat["effectiveDateTime"]
    flow = {**saturation(0, "2026-02-01", "3151-8", identity="flow", room_air=False),
            "valueQuantity": {"value": 0, "system": UCUM, "code": "L/min"}}  # fmt: skip
    assert rest(judge(policy, panel, sat, flow)).status is Status.MET


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ({}, "met"),
        ({"verificationStatus": {"coding": [{"code": "refuted"}]}}, "unknown"),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, "unknown"),
        ({"verificationStatus": {"coding": [{"code": "provisional"}]}}, "unknown"),
        ({"code": {"text": "COPD"}}, "unknown"),
        ({"code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "j449"}]}}, "met"),
    ],
)
def test_a_diagnosis_counts_by_its_code_and_its_statuses(policy: Policy, status: dict[str, Any], wanted: str) -> None:
    lung = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p1"},
            "code": {"coding": [{"system": ICD, "code": "J44.9"}]}, **status}  # fmt: skip
    result = judge(policy, lung)
    assert result.determination is not None
    verdict = next(one for one in result.determination.criteria if one.id == "acme-oxygen.lung")
    assert verdict.status.value == wanted
    provisional = "verificationStatus" in status and "provisional" in str(status)
    assert bool(verdict.candidates) is provisional


@pytest.mark.parametrize(
    "doubt",
    [
        pytest.param({"abatementDateTime": "2025-06-01"}, id="an end without a status"),
        pytest.param(
            {"clinicalStatus": {"coding": [{"code": "active"}]}, "abatementDateTime": "2025-06-01"},
            id="an end that the status contradicts",
        ),
        pytest.param({"clinicalStatus": {"text": "resolved"}}, id="a status in words"),
        pytest.param({"verificationStatus": {"text": "ruled out"}}, id="a verification in words"),
        pytest.param({"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, id="a modifier nobody knows"),
    ],
)
def test_a_diagnosis_that_leaves_a_doubt_is_a_candidate(policy: Policy, doubt: dict[str, Any]) -> None:
    lung = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p1"},
            "code": {"coding": [{"system": ICD, "code": "J44.9"}]}, **doubt}  # fmt: skip
    result = judge(policy, lung)
    assert result.determination is not None
    verdict = next(one for one in result.determination.criteria if one.id == "acme-oxygen.lung")
    assert (verdict.status.value, [one.reference for one in verdict.candidates]) == ("unknown", ["Condition/c"])


class TestAnswers:
    """The newer of chart and answer counts, and a disagreement is said."""

    def answered(self, policy: Policy, value: str, day: str, *chart: dict[str, Any]) -> Any:
        from datetime import datetime

        return rest(judge(policy, *chart, answers={"acme-oxygen.rest": (value, datetime.fromisoformat(day))}))

    def test_an_answer_settles_what_the_chart_leaves_open(self, policy: Policy) -> None:
        assert self.answered(policy, "yes", "2026-02-09").status is Status.MET
        assert self.answered(policy, "no", "2026-02-09").status is Status.NOT_MET
        assert self.answered(policy, "dont-know", "2026-02-09").status is Status.UNKNOWN

    def test_a_newer_answer_beats_the_chart(self, policy: Policy) -> None:
        verdict = self.answered(policy, "yes", "2026-02-09", saturation(93))
        assert verdict.status is Status.MET and "the chart says otherwise" in verdict.reason
        assert [one.reference for one in verdict.conflicts] == ["Observation/o"]

    def test_a_newer_value_beats_the_answer(self, policy: Policy) -> None:
        verdict = self.answered(policy, "yes", "2026-01-09", saturation(93))
        assert verdict.status is Status.NOT_MET and "answered yes on 2026-01-09" in verdict.reason

    @pytest.mark.parametrize(("day", "status"), [("2026-02-10", Status.MET), ("2026-02-09", Status.NOT_MET)])
    def test_an_order_that_begins_later_is_no_newer_than_the_call(self, day: str, status: Status) -> None:
        assert self.beside_an_order(day, occurrenceDateTime="2026-03-01").status is status

    @pytest.mark.parametrize("day", ["2026-02-10", "2025-01-01"])
    def test_an_order_without_a_date_is_newer_than_no_answer(self, day: str) -> None:
        verdict = self.beside_an_order(day)
        assert verdict.status is Status.MET
        assert [one.reference for one in verdict.conflicts] == ["DeviceRequest/d"]

    def beside_an_order(self, day: str, **dates: str) -> Any:
        """A criterion that an order on record answers with no, and a clinician with yes, on 10 February 2026."""
        from datetime import datetime

        plan = small_plan()
        criteria = plan["action"][1]
        criteria["input"].append(retrieved("orders", "DeviceRequest", "order-oxygen"))
        criteria["action"][0]["action"].append(criterion("acme-oxygen.first", "iif(%orders.exists(), false)"))
        catalogue, problems = load_catalogue(definitions(plan))
        assert catalogue is not None, problems
        code = {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390"}]}
        order = {
            "resourceType": "DeviceRequest",
            "id": "d",
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/p1"},
            "codeCodeableConcept": code,
            **dates,
        }
        answers = {"acme-oxygen.first": ("yes", datetime.fromisoformat(day))}
        result = judge(catalogue.policies[0], order, answers=answers)
        assert result.determination is not None
        return next(one for one in result.determination.criteria if one.id == "acme-oxygen.first")


statuses = st.lists(st.sampled_from([Status.MET, Status.NOT_MET, Status.UNKNOWN]), min_size=1, max_size=6)
SIZE = {Status.NOT_MET: 0, Status.UNKNOWN: 1, Status.MET: 2}


@given(statuses)
def test_groups_are_kleene_all_is_the_least_and_any_the_greatest(members: list[Status]) -> None:
    assert all_of(members) is min(members, key=SIZE.__getitem__)
    assert any_of(members) is max(members, key=SIZE.__getitem__)


@given(statuses, st.integers(0, 5), st.sampled_from([Status.MET, Status.NOT_MET]))
def test_settling_an_open_member_never_overturns_a_decided_group(
    members: list[Status], at: int, settled: Status
) -> None:
    index = at % len(members)
    if members[index] is not Status.UNKNOWN:
        return
    later = [*members[:index], settled, *members[index + 1 :]]
    for combine in (all_of, any_of):
        if combine(members) is not Status.UNKNOWN:
            assert combine(later) is combine(members)
