"""Who carries an order out: what kind of provider, and in which networks."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds_service.crd.performer import NETWORK_REFERENCE, performer_of
from cds_service.fhir.record import Record
from cds_service.policy.payers import Payer, Programme

NUCC = "http://nucc.org/provider-taxonomy"
AGENCY = {"coding": [{"system": NUCC, "code": "251F00000X"}]}
SELECT = Programme("acme-select", "Acme Select", frozenset({"acme select"}), frozenset({"acme select plan"}))
ACME = Payer("acme", "Acme Health", frozenset({"acme health"}), frozenset(), (SELECT,))
ORDER = {"resourceType": "ServiceRequest", "id": "o", "performer": [{"reference": "PractitionerRole/r1"}]}


def role(network: dict[str, Any], **more: Any) -> dict[str, Any]:
    extension = [{"url": NETWORK_REFERENCE, "valueReference": network}]
    return {"resourceType": "PractitionerRole", "id": "r1", "extension": extension, **more}


def view(order: dict[str, Any], *resources: Any) -> Any:
    record = Record.build([(f"[{n}]", one) for n, one in enumerate(resources)], "p1")
    return performer_of(order, record, [ACME], date(2026, 11, 20))


def networks(*resources: Any) -> Any:
    return view(ORDER, *resources)["network"]


def organization(identity: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Organization", "id": identity, **more}


def test_an_order_that_names_nobody_has_no_performer() -> None:
    assert view({"resourceType": "ServiceRequest", "id": "o"}) is None


def test_a_performer_that_the_call_does_not_hold_is_named_and_nothing_more() -> None:
    assert view(ORDER) == {
        "named": ["PractitionerRole/r1"],
        "reference": ["PractitionerRole/r1"],
        "role": [],
        "network": [],
    }


def test_a_network_that_bears_the_payers_name_is_the_payers() -> None:
    network = organization("n", name="Acme Health Preferred Network")
    found = networks(role({"reference": "Organization/n"}), network)
    assert found == [
        {
            "performer": "PractitionerRole/r1",
            "reference": "Organization/n",
            "name": "Acme Health Preferred Network",
            "payer": "acme",
            "programme": [],
        }
    ]


def test_a_network_that_is_part_of_the_payer_is_the_payers_whatever_its_own_name() -> None:
    network = organization("n", name="Network 7", partOf={"reference": "Organization/a"})
    (found,) = networks(role({"reference": "Organization/n"}), network, organization("a", name="ACME HEALTH"))
    assert found["payer"] == "acme"


def test_the_display_of_the_reference_is_a_name_too() -> None:
    (found,) = networks(role({"reference": "Organization/n", "display": "Acme Health"}))
    assert (found["name"], found["payer"]) == ("Acme Health", "acme")


def test_a_network_of_one_programme_says_which() -> None:
    (found,) = networks(role({"reference": "Organization/n", "display": "Acme Select Plan network"}))
    assert (found["payer"], found["programme"]) == ("acme", ["acme-select"])


def test_another_payers_network_and_one_without_a_name_are_nobodys() -> None:
    (other,) = networks(role({"reference": "Organization/n", "display": "Acmeville PPO"}))
    assert "payer" not in other
    (nameless,) = networks(role({"reference": "Organization/n"}))
    assert nameless == {"performer": "PractitionerRole/r1", "reference": "Organization/n"}


def test_a_role_that_was_given_up_is_in_no_network() -> None:
    assert networks(role({"display": "Acme Health"}, active=False)) == []


@pytest.mark.parametrize(("end", "counts"), [("2026-11-19", False), ("2026-11-20", True), ("2026-11", True)])
def test_a_role_that_ended_is_in_no_network(end: str, counts: bool) -> None:
    assert bool(networks(role({"display": "Acme Health"}, period={"end": end}))) is counts


def test_a_network_that_is_not_active_is_nobodys() -> None:
    network = organization("n", name="Acme Health", active=False)
    assert "payer" not in networks(role({"reference": "Organization/n"}), network)[0]


@pytest.mark.parametrize(
    "name",
    ["Not participating with Acme Health", "Acme Health non-participating", "Acme Health (out-of-network providers)"],
)
def test_a_name_that_says_who_is_not_in_the_network_is_nobodys(name: str) -> None:
    assert "payer" not in networks(role({"display": name}))[0]


def test_each_performer_is_named_once_and_its_networks_are_its_own() -> None:
    twice = {"reference": "PractitionerRole/r1"}
    order = {**ORDER, "performer": [twice, {"reference": "PractitionerRole/r2"}, {"display": "Somebody"}, twice]}
    found = view(order, role({"display": "Acme Health"}), {"resourceType": "PractitionerRole", "id": "r2"})
    assert found["named"] == ["PractitionerRole/r1", "PractitionerRole/r2", "performer 3"]
    assert [one["performer"] for one in found["network"]] == ["PractitionerRole/r1"]


def test_a_practitioner_is_in_the_networks_of_their_roles() -> None:
    order = {**ORDER, "performer": [{"reference": "Practitioner/d"}]}
    doctor = {"resourceType": "Practitioner", "id": "d"}
    found = view(order, doctor, role({"display": "Acme Health"}, practitioner={"reference": "Practitioner/d"}))
    assert [one["payer"] for one in found["network"]] == ["acme"]


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("performer", {"reference": "Organization/a"}),
        ("performer", [{"reference": "Organization/a"}]),
        ("dispenseRequest", {"performer": {"reference": "Organization/a"}}),
    ],
)
def test_each_type_of_order_names_its_performer_in_its_own_element(element: str, value: Any) -> None:
    order = {"resourceType": "MedicationRequest", "id": "o", element: value}
    found = view(order, organization("a", type=[AGENCY]))
    assert (found["reference"], found["role"]) == (["Organization/a"], [AGENCY])


def test_a_role_has_its_own_codes_and_the_type_of_its_organization() -> None:
    pharmacy = {"coding": [{"system": NUCC, "code": "3336H0001X"}]}
    held = {
        "resourceType": "PractitionerRole",
        "id": "r1",
        "code": [pharmacy],
        "organization": {"reference": "Organization/a"},
    }
    assert view(ORDER, held, organization("a", type=[AGENCY]))["role"] == [pharmacy, AGENCY]


@pytest.mark.parametrize("garbage", [None, 7, "x", [], [None], {"reference": 3}, {"performer": 9}])
def test_garbage_names_nobody_or_nobody_known(garbage: Any) -> None:
    for element in ("performer", "dispenseRequest"):
        found = view({"resourceType": "MedicationRequest", "id": "o", element: garbage})
        assert found is None or found["network"] == []
