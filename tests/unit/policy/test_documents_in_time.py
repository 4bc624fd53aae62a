"""A document outside its window says why it is not on file: on the small plan, a report of the 90 days before."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.policy.load import load_catalogue
from cds_service.policy.model import DocumentVerdict
from cds_service.policy.plan import Policy
from tests.unit.policy.small_plan import LOINC, definitions
from tests.unit.policy.test_criteria import judge


@pytest.fixture(scope="module")
def policy() -> Policy:
    catalogue, problems = load_catalogue(definitions())
    assert catalogue is not None, problems
    return catalogue.policies[0]


def report(identity: str, day: str | None, **more: Any) -> dict[str, Any]:
    dated = {"date": day} if day is not None else {}
    return {
        "resourceType": "DocumentReference",
        "id": identity,
        "status": "current",
        "subject": {"reference": "Patient/p1"},
        "type": {"coding": [{"system": LOINC, "code": "11502-2"}], "text": "Report"},
        **dated,
        **more,
    }


def document(policy: Policy, *chart: dict[str, Any]) -> DocumentVerdict:
    found = judge(policy, *chart).determination
    assert found is not None
    return found.documents[0]


@pytest.mark.parametrize(
    ("day", "status", "reason"),
    [
        pytest.param("2026-02-10", "on-file", None, id="the last day that counts"),
        pytest.param("2026-02-11", "missing", "dated after 2026-02-10, the last day that counts", id="the day after"),
        pytest.param("2025-11-12", "on-file", None, id="the first day that counts"),
        pytest.param("2025-11-11", "expired", "older than the payer accepts", id="the day before"),
        pytest.param("2026-01", "on-file", None, id="a month of which every day counts"),
        pytest.param("2025-11", "missing", "does not say whether it is in time", id="a month that begins too early"),
        pytest.param("2026-02", "missing", "does not say whether it is in time", id="a month that ends too late"),
        pytest.param("2025-10", "expired", "older than the payer accepts", id="a month that is over"),
        pytest.param("2026-03", "missing", "dated after 2026-02-10", id="a month to come"),
        pytest.param(None, "missing", "not dated", id="no date"),
    ],
)
def test_a_document_counts_within_its_window_and_says_why_it_does_not(
    policy: Policy, day: str | None, status: str, reason: str | None
) -> None:
    verdict = document(policy, report("r", day))
    assert verdict.status == status
    assert reason in verdict.reason if reason is not None and verdict.reason else verdict.reason is None
    assert [one.reference for one in verdict.evidence] == ["DocumentReference/r"]


def test_the_day_an_attachment_was_made_counts_before_the_day_it_was_filed(policy: Policy) -> None:
    made = {"content": [{"attachment": {"creation": "2025-06-01T08:00:00-05:00"}}]}
    assert document(policy, report("r", "2026-02-01", **made)).status == "expired"


def test_a_document_that_is_in_time_outweighs_one_that_is_not(policy: Policy) -> None:
    verdict = document(policy, report("late", "2026-02-11"), report("old", "2025-06-01"), report("r", "2026-02-01"))
    assert verdict.status == "on-file"
    assert [one.reference for one in verdict.evidence] == ["DocumentReference/r"]


def test_a_document_dated_too_late_is_newer_than_one_that_is_too_old(policy: Policy) -> None:
    verdict = document(policy, report("old", "2025-06-01"), report("late", "2026-02-11"))
    assert (verdict.status, verdict.evidence[0].reference) == ("missing", "DocumentReference/late")


def test_a_document_that_is_too_old_is_named_before_one_without_a_date(policy: Policy) -> None:
    verdict = document(policy, report("undated", None), report("old", "2025-06-01"))
    assert (verdict.status, verdict.evidence[0].reference) == ("expired", "DocumentReference/old")


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ({"docStatus": "final"}, "on-file"),
        ({"docStatus": "amended"}, "on-file"),
        ({}, "on-file"),
        ({"docStatus": "preliminary"}, "unsigned"),
        ({"docStatus": "draft"}, "unsigned"),
        ({"docStatus": "final", "modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, "missing"),
    ],
)
def test_a_document_is_signed_where_its_status_says_so_or_nothing(
    policy: Policy, status: dict[str, Any], wanted: str
) -> None:
    assert document(policy, report("r", "2026-02-01", **status)).status == wanted
