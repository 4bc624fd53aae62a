"""What a document is for, and whom to ask about a policy: read from the plan, told with the determination."""

from __future__ import annotations

from typing import Any

from cds_service.policy.load import load_catalogue
from cds_service.policy.plan import Policy
from tests.unit.crd.small_call import answered, bundle, call, coverage
from tests.unit.policy.small_plan import CRD_CODES, definitions, small_plan


def _plan(*codes: str) -> dict[str, Any]:
    plan = small_plan()
    documents = next(one for one in plan["action"] if one["id"] == "documents")
    for code in codes:
        documents["action"][0]["code"].append({"coding": [{"system": CRD_CODES, "code": code}]})
    return plan


def _read(plan: dict[str, Any]) -> Policy:
    catalogue, problems = load_catalogue(definitions(plan))
    assert catalogue is not None, problems
    (policy,) = catalogue.policies
    return policy


def test_a_document_says_what_it_is_for_beside_its_kind() -> None:
    document = _read(_plan("retain-doc", "withorder")).documents["doc.report"]
    assert (document.kind, document.purposes) == ("clinical", ("retain-doc", "withorder"))
    assert _read(_plan()).documents["doc.report"].purposes == ()


def test_a_second_kind_or_a_code_of_another_meaning_is_a_fault() -> None:
    for code in ("admin", "gold-card"):
        _, problems = load_catalogue(definitions(_plan(code)))
        assert [one.where.rpartition(": ")[2] for one in problems] == ["action[3].action[0].code"]


def test_the_purpose_of_a_document_that_is_missing_is_told() -> None:
    catalogue, _ = load_catalogue(definitions(_plan("retain-doc")))
    chart = {"patient": {"resourceType": "Patient", "id": "p1"}, "coverage": bundle(coverage())}
    searched = dict.fromkeys(("observations", "conditions", "documentReferences"))
    (statement,) = answered(call(prefetch={**chart, **searched}), catalogue).statements
    (determination,) = statement.determinations
    assert (determination.doc_needed, determination.doc_purpose) == (("clinical",), ("retain-doc",))


def test_whom_to_ask_is_told_as_the_plan_says_it() -> None:
    who = {"name": "Utilization management", "telecom": [{"system": "phone", "value": "555-0100"}]}
    assert _read({**small_plan(), "contact": [who]}).contact == (who,)
    assert _read(small_plan()).contact == ()
