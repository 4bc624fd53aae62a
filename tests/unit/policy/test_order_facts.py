"""What conditions read of orders: the elements behind a line, which of them count, and one rental after another."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import CaseResult, run_case
from cds_service.policy.load import load_catalogue
from cds_service.policy.model import Determination, Status
from tests.unit.policy.small_plan import BASE, criterion, definitions, derived, row, selection, small_plan, value_set

SNOMED, RXNORM = "http://snomed.info/sct", "http://www.nlm.nih.gov/research/umls/rxnorm"
BY_VEIN = f"dosageInstruction.route.exists(memberOf('{BASE}/ValueSet/by-vein|1'))"
WHOSE = {"subject": {"reference": "Patient/p1"}}


def judged(plan: dict[str, Any], case: str, *chart: dict[str, Any]) -> Determination:
    catalogue, problems = load_catalogue(definitions(plan, value_set("by-vein", SNOMED, "47625008")))
    assert catalogue is not None, [str(one) for one in problems]
    file, faults = read_cases(f"cases: [{{name: a, on: 2026-02-10, {case}, expect: {{covered: covered}}}}]", "c", {})
    assert not faults
    one = file.cases[0]
    given = {name: getattr(one, name) for name in one.__dataclass_fields__} | {"chart": (*one.chart, *chart)}
    result: CaseResult = run_case(type(one)(**given), catalogue.policies[0])
    assert result.determination is not None
    assert not result.determination.faults
    return result.determination


def asking(start: str, *facts: dict[str, Any]) -> dict[str, Any]:
    """The small plan with these facts, and one more leaf that asks `start`."""
    plan = small_plan()
    plan["action"][1]["input"] += facts
    plan["action"][1]["action"][0]["action"].append(criterion("acme-oxygen.drug", start))
    return plan


def drug(identity: str, route: str | None = None, status: str = "active", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"resourceType": "MedicationRequest", "id": identity, "status": status, **WHOSE, **more}
    found.setdefault("medicationCodeableConcept", {"text": "a drug"})
    if route is not None:
        found["dosageInstruction"] = [{"route": {"coding": [{"system": SNOMED, "code": route}]}}]
    return found


ORDER = "order: {hcpcs: E1390}"


@pytest.mark.parametrize(("route", "status"), [("47625008", "met"), ("26643006", "not-met")])
def test_elements_behind_an_order_of_the_chart_are_read_without_copying_it(route: str, status: str) -> None:
    drugs = {"id": "drugs", "type": "MedicationRequest"}
    plan = asking(f"iif(%drugs.exists(), %drugs.exists({BY_VEIN}))", drugs)
    found = judged(plan, ORDER, drug("m1", route)).criteria
    assert next(one.status.value for one in found if one.id == "acme-oxygen.drug") == status


def test_a_choice_element_of_an_order_is_read_by_its_stem() -> None:
    coded = {"medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "1"}], "text": "Desferal vial"}}
    drugs = {"id": "drugs", "type": "MedicationRequest"}
    plan = asking("iif(%drugs.medication.text.exists(matches('Desferal')), true)", drugs)
    found = judged(plan, ORDER, drug("m1", **coded)).criteria
    assert next(one.status for one in found if one.id == "acme-oxygen.drug") is Status.MET


def test_orders_without_a_code_can_be_candidates_of_a_fact() -> None:
    unsaid = selection(f"iif({BY_VEIN}, true, iif(dosageInstruction.route.coding.exists(), false))")
    drugs = {"id": "drugs", "extension": [unsaid], "type": "MedicationRequest"}
    plan = asking("iif(%drugs.exists(), true)", drugs)
    found = judged(plan, ORDER, drug("m1"), drug("m2", "26643006")).criteria
    leaf = next(one for one in found if one.id == "acme-oxygen.drug")
    assert leaf.status is Status.UNKNOWN
    assert [one.reference for one in leaf.candidates] == ["MedicationRequest/m1"]
    assert [one.display for one in leaf.candidates] == ["a drug, active"]


def test_the_other_lines_of_a_draft_are_told_apart_by_their_type() -> None:
    plan = asking(
        "iif(%drafted.count() = 1, %drafted.exists(" + BY_VEIN + "))",
        derived("drafted", "MedicationRequest", "%draftOrders.ofType(MedicationRequest)"),
    )
    drafted = drug("x", "47625008")["dosageInstruction"]
    line = f"{{resourceType: MedicationRequest, id: m1, resource: {{dosageInstruction: {drafted!r}}}}}"
    found = judged(plan, f"{ORDER}, draft: [{{hcpcs: E0776}}, {line}]").criteria
    leaf = next(one for one in found if one.id == "acme-oxygen.drug")
    assert leaf.status is Status.MET
    assert [one.reference for one in leaf.evidence] == ["MedicationRequest/m1"]


JOINED = (
    "%earlier.aggregate(iif($this.lastDay.empty() or $this.lastDay + 30 days >= $total, "
    "iif($this.firstDay < $total, $this.firstDay, $total), $total), %line.firstDay)"
)


@pytest.mark.parametrize(
    ("periods", "first"),
    [
        ([], "2026-02-10"),
        ([("2026-01-01", "2026-01-11")], "2026-01-01"),
        ([("2026-01-01", "2026-01-10")], "2026-02-10"),
        ([("2025-11-01", "2025-12-15"), ("2026-01-10", "2026-01-20")], "2025-11-01"),
        ([("2026-01-10", "2026-01-20"), ("2025-11-01", "2025-12-15")], "2025-11-01"),
        ([("2025-01-01", None)], "2025-01-01"),
        ([("2026-03-01", "2026-04-01")], "2026-02-10"),
    ],
)
def test_one_order_is_joined_to_another_in_one_pass(periods: list[tuple[str, str | None]], first: str) -> None:
    earlier = {
        "id": "earlier",
        "type": "DeviceRequest",
        "codeFilter": [{"path": "code", "valueSet": f"{BASE}/ValueSet/order-oxygen|1"}],
        "sort": [{"path": "occurrence", "direction": "descending"}],
    }
    plan = asking(f"%start = @{first}", earlier, derived("start", "date", JOINED))
    code = {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390"}]}
    chart = [
        {"resourceType": "DeviceRequest", "id": f"r{n}", "status": "active", **WHOSE, "codeCodeableConcept": code,
         "occurrencePeriod": {"start": start, **({"end": end} if end else {})}}
        for n, (start, end) in enumerate(periods)
    ]  # fmt: skip
    found = judged(plan, "order: {hcpcs: E1390, starts: 2026-02-10}", *chart).criteria
    assert next(one.status for one in found if one.id == "acme-oxygen.drug") is Status.MET


def test_a_row_that_gives_a_part_of_the_answer_is_told_beside_the_row_that_ends_the_walk() -> None:
    plan = small_plan()
    rows = plan["action"][0]["action"]
    rows.insert(
        1, row("auth.limited", "%coverage.programme contains 'little'", covered="conditional", infoNeeded="OTH")
    )
    limited = judged(plan, f"{ORDER}, coverage: {{programme: [little]}}")
    assert (limited.authorization_rule, limited.rules_before) == ("auth.all", ("auth.limited",))
    assert (limited.covered, limited.pa_needed) == ("conditional", "auth-needed")
    assert judged(plan, ORDER).rules_before == ()
