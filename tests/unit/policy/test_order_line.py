"""What an order line says of itself, however the request resource says it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds_service.fhir.codings import HCPCS
from cds_service.fhir.record import Record
from cds_service.policy.order_line import OrderLine, read_order_line

ORDERED = date(2026, 2, 10)


def line_of(code: str = "E0781", modifiers: tuple[str, ...] = (), **elements: Any) -> OrderLine:
    codings = [{"system": HCPCS, "code": one} for one in (code, *modifiers)]
    order = {
        "resourceType": "DeviceRequest",
        "id": "o1",
        "status": "draft",
        "codeCodeableConcept": {"coding": codings},
        **elements,
    }
    return read_order_line(order, 0, Record.build([], "p1"), ORDERED)


@pytest.mark.parametrize("modifier", ["RR", "LL", "KR", "KH", "KI", "KJ", "rr"])
def test_each_rental_modifier_makes_a_rental(modifier: str) -> None:
    assert line_of(modifiers=(modifier,))["transaction"] == "rental"


@pytest.mark.parametrize("modifier", ["NU", "UE"])
def test_each_purchase_modifier_makes_a_purchase(modifier: str) -> None:
    assert line_of(modifiers=(modifier,))["transaction"] == "purchase"


@pytest.mark.parametrize("modifiers", [(), ("RR", "NU"), ("UE", "KR"), ("MS",), ("RA", "KX")])
def test_an_order_that_says_neither_or_both_states_no_transaction(modifiers: tuple[str, ...]) -> None:
    assert "transaction" not in line_of(modifiers=modifiers)


def test_modifiers_glued_to_the_code_say_the_same() -> None:
    assert line_of("E0781-RR")["transaction"] == "rental"
    assert line_of("e0781nu")["transaction"] == "purchase"
    assert "transaction" not in line_of("E0781-RR-NU")
