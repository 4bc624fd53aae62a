"""Statements made by hand: one order, one coverage, and what is said of it."""

from __future__ import annotations

from typing import Any

from cds_service.crd.coverage import OrderCoverage
from cds_service.crd.orders import DraftLine, DraftOrder, order_lines
from cds_service.crd.statements import Silence, Statement
from cds_service.fhir.record import Record
from cds_service.policy.model import Determination, DocumentVerdict, Evidence, ExclusionVerdict, Status, Verdict
from tests.fakes import ACME
from tests.unit.crd.small_call import ASKED_AT, order

COVERAGE = OrderCoverage({"reference": "Coverage/c1"}, "active", ACME, {"payer": "acme"})
SPO2 = Evidence("Observation/s1", "SpO2 87 %, 2026-11-02")


def draft_line(resource: dict[str, Any] | None = None) -> DraftLine:
    resource = resource or order()
    return order_lines([DraftOrder("order", resource, resource)], Record.build([], "p1"), ASKED_AT)[0]


def statement(
    *determinations: Determination,
    resource: dict[str, Any] | None = None,
    coverage: OrderCoverage = COVERAGE,
    silence: Silence | None = None,
    assertion_id: str = "assertion-1",
) -> Statement:
    return Statement(draft_line(resource), coverage, assertion_id, determinations, silence)


def criteria(**statuses: str) -> tuple[Verdict, ...]:
    """A root with these children: `stable="unknown"` and so on."""
    root = Verdict("root", "All of", Status.UNKNOWN, group=True)
    children = [
        Verdict(
            f"root.{name}",
            f"Title of {name}",
            Status(status),
            parent="root",
            reason=f"Reason of {name}",
            asked=status == "unknown",
        )
        for name, status in statuses.items()
    ]
    return (root, *children)


def document(status: Any = "missing", **more: Any) -> DocumentVerdict:
    plain: dict[str, Any] = {"id": "doc.report", "title": "Test report", "status": status, "kind": "clinical"}
    return DocumentVerdict(**{**plain, **more})


def exclusion(**more: Any) -> ExclusionVerdict:
    plain: dict[str, Any] = {"id": "excl.angina", "title": "Angina alone", "status": "fired"}
    return ExclusionVerdict(**{**plain, **more})
