"""A kept context and what its form's answers come to -> coverage-information for the response. Pure.

It is what order-sign will say once it has the answers: under the same assertion id, in the same words. Authorizations
on file are not looked for here; where there is one no form goes out.
"""

from __future__ import annotations

from datetime import date

from cds_service.crd.coverage import OrderCoverage
from cds_service.crd.coverage_information import Extension, Manner, coverage_information
from cds_service.crd.orders import DraftLine, DraftOrder
from cds_service.crd.statements import Statement
from cds_service.crd.versions import CrdVersion
from cds_service.policy.context import Context
from cds_service.policy.model import Determination, Situation


def information_of(
    context: Context, situation: Situation, determination: Determination, on_date: date, version: CrdVersion
) -> Extension:
    """Coverage-information about the order of a context, as of `on_date`."""
    order = DraftOrder("context", situation.line.resource, situation.line.resource)
    line = DraftLine(order, situation.line, situation.order_date)
    coverage = OrderCoverage(context.coverage, "active")
    statement = Statement(line, coverage, context.id, (determination,))
    [said] = coverage_information(statement, on_date, Manner(version))
    return said
