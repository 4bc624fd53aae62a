"""Two versions of the small plan: what a payer may change from one year to the next."""

from __future__ import annotations

import json
from typing import Any

from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import Definition, load_catalogue
from tests.unit.policy.small_plan import BASE, HCPCS, criterion, definitions, small_plan, value_set

OLD, NEW = "2024-06-01", "2026-01-01"


def successor(**replaced: str) -> dict[str, Any]:
    """The small plan from 2026 on, with pieces of its JSON text replaced."""
    text = json.dumps(small_plan(), ensure_ascii=False).replace(OLD, NEW)
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return dict(json.loads(text))


def changed_plan() -> dict[str, Any]:
    """88 % becomes 90 %, 90 days become 60, a code goes, an exclusion goes, a criterion and a row come, and-s turn."""
    plan = successor(**{"value <= 88": "value <= 90", "%orderDate - 90 days": "%orderDate - 60 days"})
    table, criteria, exclusions, documents, advice = plan["action"]
    table["trigger"][0]["data"][0]["codeFilter"][0]["valueSet"] = f"{BASE}/ValueSet/order-oxygen|2"
    table["action"][0]["title"] = "Managed care decides"
    root = criteria["action"][0]
    root["selectionBehavior"] = "one-or-more"
    root["action"].append(criterion("acme-oxygen.new", title="Something that is new"))
    plan["action"] = [table, criteria, documents, advice]
    assert exclusions["id"] == "exclusions"
    return plan


def pair_of_versions(plan: dict[str, Any] | None = None) -> Catalogue:
    """A catalogue with the small plan and its successor."""
    second = {**value_set("order-oxygen", HCPCS, "E1390", "E0431"), "version": "2"}
    newer = Definition("plans/acme/oxygen/2026-01-01/PlanDefinition.json", plan or changed_plan(), NEW)
    more = [newer, Definition("valuesets/order-oxygen-2.json", second, "valuesets")]
    catalogue, problems = load_catalogue([*definitions(), *more])
    assert catalogue is not None, problems
    return catalogue
