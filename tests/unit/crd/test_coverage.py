"""Which coverage an order is answered under, whose it is, and what the answer is where it cannot be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cds_service.crd.answer import HookResponse
from cds_service.fhir.problem import Problem
from cds_service.policy.payers import Payer, Programme
from tests.fakes import ACME, FakeCatalogue
from tests.unit.crd.small_call import (
    answered,
    asked,
    bundle,
    call,
    coverage,
    coverage_information,
    order,
)

PAYERS = "urn:payers"
NPI = "http://hl7.org/fhir/sid/us-npi"
BETA = Payer(
    "beta",
    "Beta Care",
    frozenset({"beta care"}),
    frozenset({(PAYERS, "B1")}),
    (
        Programme("mco", "a managed care plan", frozenset({"mco", "senior care options"}), frozenset({"gamma plan"})),
        Programme("hmo", "an HMO", frozenset({"hmo"}), frozenset()),
    ),
)
CATALOGUE = FakeCatalogue(payers=(ACME, BETA))


def sent(*resources: Any, orders: tuple[Any, ...] = ()) -> dict[str, Any]:
    patient = {"resourceType": "Patient", "id": "p1"}
    return call(*orders, prefetch={"patient": patient, "coverage": bundle(*resources)})


def under(*resources: Any, orders: tuple[Any, ...] = ()) -> list[tuple[str, str | None, str]]:
    """What the first order is answered under: (reference, payer, standing)."""
    response = answered(sent(*resources, orders=orders), CATALOGUE)
    first = response.statements[0].line.reference
    return [
        (one.coverage.key, one.coverage.payer.id if one.coverage.payer else None, one.coverage.standing)
        for one in response.statements
        if one.line.reference == first
    ]


def view(**more: Any) -> Any:
    response = answered(sent(coverage(**{"payor": {"display": "Beta Care"}, **more})), CATALOGUE)
    return response.statements[0].coverage.view


def refusal(document: dict[str, Any]) -> Problem:
    found = asked(document, CATALOGUE)
    assert isinstance(found, Problem), found
    return found


# -- whose coverage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Acme Health", "ACME HEALTH", "Acme-Health", " acme  health. ", "Acme"])
def test_a_payer_is_known_by_its_name_whatever_the_case_and_punctuation(name: str) -> None:
    assert under(coverage(payor={"display": name})) == [("Coverage/c1", "acme", "active")]


@pytest.mark.parametrize("name", ["Acme Health Dental of Ohio", "Not Acme", "Acm", "The Acme Health"])
def test_a_name_that_only_contains_a_payers_name_is_another_payer(name: str) -> None:
    problem = refusal(sent(coverage(payor={"display": name})))
    assert (problem.kind, problem.code) == ("invalid", "business-rule")
    assert problem.where == "Coverage/c1.payor"
    assert "Acme Health, Beta Care" in problem.fix


def test_the_organization_is_read_wherever_the_call_holds_it() -> None:
    organization = {"resourceType": "Organization", "id": "org", "name": "Beta Care"}
    by_reference = coverage(payor={"reference": "Organization/org"})
    contained = coverage(payor={"reference": "#org"}, contained=[organization])
    absolute = coverage(payor={"reference": "https://ehr.example.org/fhir/Organization/org"})
    assert under(by_reference, organization)[0][1] == "beta"
    assert under(contained)[0][1] == "beta"
    assert under(absolute, organization)[0][1] == "beta"


def identified(name: str, *identifiers: tuple[str, str]) -> list[Any]:
    listed = [{"system": system, "value": value} for system, value in identifiers]
    return [
        coverage(payor={"reference": "Organization/org"}),
        {"resourceType": "Organization", "id": "org", "name": name, "identifier": listed},
    ]


def test_a_configured_identifier_tells_the_payer_whatever_the_name() -> None:
    assert under(*identified("Some Name", (NPI, "1"), (PAYERS, "B1")))[0][1] == "beta"


def test_an_identifier_of_the_reference_counts_too() -> None:
    assert under(coverage(payor={"identifier": {"system": PAYERS, "value": "B1"}}))[0][1] == "beta"


def test_an_identifier_in_a_configured_system_contradicts_the_name() -> None:
    assert isinstance(refusal(sent(*identified("Beta Care", (PAYERS, "B2")))), Problem)


def test_an_identifier_in_a_system_of_nobody_here_changes_nothing() -> None:
    assert under(*identified("Beta Care", (NPI, "1234567893")))[0][1] == "beta"


def test_a_system_configured_for_one_payer_contradicts_no_other() -> None:
    assert under(*identified("Acme Health", (PAYERS, "B2")))[0][1] == "acme"


def test_a_plan_that_goes_by_its_own_name_is_the_payer_with_that_programme() -> None:
    found = view(payor={"display": "Gamma Plan"})
    assert (found["payer"], found["programme"], found["programmeName"]) == ("beta", ["mco"], "a managed care plan")


# -- product and programme --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"class": [{"name": "Beta MCO of Boston", "value": "7"}]},
        {"class": [{"name": "Plan", "value": "mco"}]},
        {"class": [{"name": "Gamma Plan Gold"}]},
        {"type": {"text": "Senior Care Options (65+)"}},
        {"type": {"coding": [{"code": "MCO"}]}},
        {"type": {"coding": [{"code": "x", "display": "Medicaid MCO"}]}},
    ],
)
def test_a_programme_is_read_from_class_and_type(more: dict[str, Any]) -> None:
    assert view(**more)["programme"] == ["mco"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"class": [{"name": "AMCO employees", "value": "MCO7"}]},
        {"type": {"text": "Senior options for care"}},
        {"class": [{"type": {"text": "MCO"}, "value": "1"}]},
    ],
)
def test_a_programme_is_said_by_whole_words_only(more: dict[str, Any]) -> None:
    found = view(**more)
    assert found["programme"] == []
    assert "programmeName" not in found


def test_several_programmes_are_all_named() -> None:
    found = view(**{"class": [{"name": "HMO"}, {"name": "MCO"}]})
    assert found["programme"] == ["mco", "hmo"]


def test_the_product_is_the_plan_as_the_coverage_calls_it() -> None:
    plan = {"type": {"coding": [{"code": "plan"}]}, "name": "Beta Gold", "value": "BG1"}
    assert view(**{"class": [plan, {"type": {"coding": [{"code": "group"}]}, "value": "G7"}]})["product"] == [
        "Beta Gold",
        "BG1",
    ]


# -- which coverage ---------------------------------------------------------------------------------------


def test_each_active_coverage_that_is_served_is_answered() -> None:
    found = under(coverage("c1"), coverage("c2", payor={"display": "Beta Care"}))
    assert found == [("Coverage/c1", "acme", "active"), ("Coverage/c2", "beta", "active")]


def test_a_coverage_of_another_payer_beside_it_changes_nothing() -> None:
    found = under(coverage("other", payor={"display": "Other"}), coverage("c1"))
    assert found == [("Coverage/c1", "acme", "active")]


def test_the_order_says_which_coverage_it_is_for() -> None:
    mine = order(insurance=[{"reference": "Coverage/c2"}])
    found = under(coverage("c1"), coverage("c2", payor={"display": "Beta Care"}), orders=(mine,))
    assert found == [("Coverage/c2", "beta", "active")]


def test_a_claim_response_among_the_insurance_is_no_coverage() -> None:
    mine = order(insurance=[{"reference": "ClaimResponse/pa1"}])
    assert under(coverage("c1"), orders=(mine,)) == [("Coverage/c1", "acme", "active")]


def test_an_order_for_another_payer_is_left_alone_beside_one_that_is_served() -> None:
    theirs = order("o2", insurance=[{"reference": "Coverage/other"}])
    document = sent(coverage("other", payor={"display": "Other"}), coverage("c1"), orders=(order("o1"), theirs))
    response = answered(document, CATALOGUE)
    assert [one["resource"]["id"] for one in response.system_actions] == ["o1"]


def test_a_reference_of_the_order_goes_back_as_it_was_sent() -> None:
    absolute = {"reference": "https://ehr.example.org/fhir/Coverage/c1", "display": "Acme"}
    response = answered(sent(coverage(), orders=(order(insurance=[absolute]),)), CATALOGUE)
    assert coverage_information(response)[0]["coverage"] == absolute


# -- ended, and not yet begun -----------------------------------------------------------------------------

NOT_ACTIVE: list[dict[str, Any]] = [
    {"status": "cancelled"},
    {"period": {"end": "2026-11-20"}},
    {"period": {"end": "2026-10"}},
    {"period": {"end": "2025"}},
    {"period": {"end": "2026-11-20T23:59:00-05:00"}},
    {"period": {"start": "2026-11-22"}},
    {"status": "active", "period": {"start": "2025-01-01", "end": "2025-12-31"}},
]


@pytest.mark.parametrize("changes", NOT_ACTIVE)
def test_a_coverage_that_is_not_active_covers_nothing_and_that_is_no_error(changes: dict[str, Any]) -> None:
    response = answered(sent(coverage(**changes)), CATALOGUE)
    said = coverage_information(response)[0]
    assert said["covered"] == "not-covered"
    assert "pa-needed" not in said
    assert said["reason"][0]["coding"][0]["code"] == "no-active-coverage"
    assert said["reason"][0]["text"].startswith("The coverage ")
    assert response.cards == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"period": {"end": "2026-11-21"}},
        {"period": {"end": "2026-11"}},
        {"period": {"end": "2026"}},
        {"period": {"start": "2026-11-21"}},
        {"status": None},
        {"status": "ACTIVE"},
    ],
)
def test_a_coverage_that_may_be_active_is_not_refused(changes: dict[str, Any]) -> None:
    assert under(coverage(**changes))[0][2] == "active"


@pytest.mark.parametrize(("begins", "standing"), [("2026-12-31", "ended"), ("2027-01-01", "active")])
def test_a_coverage_that_begins_with_the_service_is_the_orders_coverage(begins: str, standing: str) -> None:
    january = coverage(period={"start": "2027-01-01"})
    assert under(january, orders=(order(occurrenceDateTime=begins),))[0][2] == standing


def test_an_ended_coverage_beside_an_active_one_is_not_spoken_of() -> None:
    assert under(coverage("old", status="cancelled"), coverage("c1")) == [("Coverage/c1", "acme", "active")]


@pytest.mark.parametrize("status", ["entered-in-error", "Draft"])
def test_a_coverage_that_was_never_meant_says_nothing_either_way(status: str) -> None:
    response = answered(sent(coverage(status=status)), CATALOGUE)
    said = coverage_information(response)[0]
    assert said["covered"] == "indeterminate"
    assert "Nothing was determined" in said["reason"][0]["text"]


def test_of_several_that_ended_the_last_is_spoken_of() -> None:
    ended = [coverage(f"c{year}", period={"end": f"{year}-12-31"}) for year in (2023, 2025, 2024)]
    assert under(*ended) == [("Coverage/c2025", "acme", "ended")]


# -- what cannot be told ----------------------------------------------------------------------------------


def technical(response: HookResponse) -> None:
    said = coverage_information(response)[0]
    assert said["covered"] == "indeterminate"
    assert said["reason"][0]["coding"][0]["code"] == "technical"
    assert said["reason"][0]["text"]


def test_a_coverage_that_the_order_names_and_the_call_does_not_hold_is_indeterminate() -> None:
    mine = order(insurance=[{"reference": "Coverage/c9"}])
    response = answered(sent(coverage(), orders=(mine,)), CATALOGUE)
    technical(response)
    assert coverage_information(response)[0]["coverage"] == {"reference": "Coverage/c9"}


def test_a_coverage_of_another_patient_cannot_be_read() -> None:
    mine = order(insurance=[{"reference": "Coverage/c1"}])
    technical(answered(sent(coverage(beneficiary={"reference": "Patient/p2"}), orders=(mine,)), CATALOGUE))


@pytest.mark.parametrize(
    "payor", [{"reference": "Organization/nowhere"}, {"identifier": {"system": NPI, "value": "1"}}]
)
def test_a_payer_that_cannot_be_told_is_indeterminate(payor: dict[str, Any]) -> None:
    technical(answered(sent(coverage(payor=payor)), CATALOGUE))


def test_a_coverage_of_unknown_payer_beside_one_that_is_served_is_not_spoken_of() -> None:
    assert len(under(coverage("c2", payor={"reference": "Organization/nowhere"}), coverage("c1"))) == 1


# -- no coverage at all -----------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, bundle()])
def test_no_coverage_where_the_look_up_worked_is_an_error_that_says_so(nothing: Any) -> None:
    problem = refusal(call(prefetch={"coverage": nothing}))
    assert (problem.kind, problem.where) == ("invalid", "prefetch.coverage")
    assert problem.what == "no Coverage of this patient"


@pytest.mark.parametrize(
    ("prefetch", "said"),
    [({}, "the EHR sent no Coverage with the call"),
     ({"coverage": {"resourceType": "OperationOutcome"}}, "the EHR could not look up Coverage")],
)  # fmt: skip
def test_no_coverage_where_none_was_looked_up_is_unavailable(prefetch: dict[str, Any], said: str) -> None:
    problem = refusal(call(prefetch=prefetch))
    assert (problem.kind, problem.what) == ("unavailable", said)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"payor": "Acme"}, "payor is not a list"),
        ({"class": "MCO"}, "class is not a list"),
        ({"period": {"end": "2026-13-40"}}, "period end is not a date"),
        ({"beneficiary": None}, "does not say whose it is"),
    ],
)
def test_a_coverage_that_cannot_be_read_is_an_error_that_says_why(broken: dict[str, Any], said: str) -> None:
    problem = refusal(sent({**coverage(), **broken}))
    assert problem.where == "prefetch.coverage.entry[0].resource"
    assert said in problem.what


def test_a_payer_without_identifiers_is_never_contradicted() -> None:
    catalogue = FakeCatalogue(payers=(replace(BETA, identifiers=frozenset()),))
    response = answered(sent(*identified("Beta Care", (PAYERS, "B2"))), catalogue)
    assert response.statements[0].coverage.payer is not None
