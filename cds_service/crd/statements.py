"""What is said of one order under one coverage: determinations, or why there is none. Renders nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cds_service.crd.coverage import OrderCoverage
from cds_service.crd.orders import DraftLine
from cds_service.crd.versions import CRD_CODES
from cds_service.fhir.codings import CPT, canonical_system
from cds_service.policy.model import Determination

_LOCAL_CODES = "https://cds-service.example.org/fhir/CodeSystem/coverage-reason"


@dataclass(frozen=True, slots=True)
class Silence:
    """Why an order has no determination: CRD's code for `covered`, a reason in words, its coding if any."""

    covered: Literal["indeterminate", "not-covered"]
    text: str
    system: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One order under one coverage. Either `determinations` holds something, or `silence` says why not."""

    line: DraftLine
    coverage: OrderCoverage
    assertion_id: str
    determinations: tuple[Determination, ...] = ()
    silence: Silence | None = None


_NOT_BILLED = {
    "order": ("order", "Add the HCPCS code to the codings of what is ordered."),
    "Appointment": ("appointment", "Name in basedOn the order that it is for, and send that order with the call."),
}


def no_policy_held(line: DraftLine, payer_name: str, code_is_known: bool = False) -> Silence:
    """No policy in force speaks of the order. Not an answer about authorization, in either direction.

    `code_is_known`: one is held for the code, but for other items under it (a code may stand for any equipment).
    """
    if len(line.line.ordered) > 1:
        return _several_items(line)
    billed = billing_code(line)
    if billed is None:
        thing, advice = _NOT_BILLED.get(line.order.resource["resourceType"], _NOT_BILLED["order"])
        text = (
            f"No billing code was found on this {thing}, so no policy could be looked up. {advice} "
            "This is not an answer about authorization."
        )
    elif code_is_known:
        text = (
            f"The policy of {payer_name} that is held here for {billed['code']} is for one of the items billed so, and "
            f"nothing on this order was read as that item. This is not an answer about authorization: if it is that "
            f"item, name it in the text of the order; else ask {payer_name}."
        )
    else:
        text = (
            f"No policy of {payer_name} for {billed['code']} in force on {line.day} is held here. This is not an "
            f"answer about authorization: ask {payer_name}."
        )
    return Silence("indeterminate", text, _LOCAL_CODES, "no-policy-held")


def _several_items(line: DraftLine) -> Silence:
    """FHIR R4, CodeableConcept: codings of one concept say the same. Two items there are two orders, or a slip."""
    named = ", ".join(line.line.ordered)
    text = (
        f"This order names several items as if they were one ({named}), so no policy could be chosen. Give each item "
        "an order of its own, and ask again. This is not an answer about authorization."
    )
    return Silence("indeterminate", text, _LOCAL_CODES, "several-items")


# FHIR R4, request-status and its kin: an order that stands no longer, or never should have
_GONE = frozenset({"cancelled", "entered-in-error", "revoked", "stopped"})


def nothing_to_perform(order: Mapping[str, Any]) -> bool:
    """Whether an order asks that something is not done, or asks for nothing any more."""
    status = order.get("status")
    return order.get("doNotPerform") is True or (isinstance(status, str) and status.strip().lower() in _GONE)


def not_to_be_performed() -> Silence:
    """CRD 2.2 profiles: doNotPerform and status are understood; such an order asks for nothing to be covered."""
    return Silence("indeterminate", "The order asks for nothing to be done: there is nothing to authorize.")


def of_coverage(coverage: OrderCoverage) -> Silence:
    """CRD 2.2, resp-45: ended coverage is not covered; resp-43: what cannot be read is indeterminate."""
    if coverage.standing == "ended":
        return Silence("not-covered", coverage.why, CRD_CODES, "no-active-coverage")
    text = f"{coverage.why} Nothing was determined: send the coverage and its payer with the call, and ask again."
    return Silence("indeterminate", text, CRD_CODES, "technical")


def billing_code(line: DraftLine) -> Mapping[str, Any] | None:
    """The Coding under which the order is billed, as policies read it: HCPCS, else CPT, else None."""
    if len(line.line.ordered) > 1:
        return None
    if "code" in line.line:
        return {"system": line.line["code"]["system"], "code": line.line["code"]["code"]}
    for coding in line.line["concept"]:
        system, code = coding.get("system"), coding.get("code")
        if isinstance(system, str) and isinstance(code, str) and canonical_system(system) == CPT:
            return {"system": CPT, "code": code}
    return None
