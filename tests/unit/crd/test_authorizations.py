"""Prior authorizations on file: one counts where everything is plain, and of every other it is said why not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from cds_service.crd.authorizations import Asked, OnFile, on_file
from cds_service.crd.coverage import OrderCoverage
from cds_service.crd.memory import Assertion, Authorization, Decision
from cds_service.fhir.record import Record
from tests.fakes import ACME
from tests.unit.crd.small_call import PATIENT, coded, order
from tests.unit.crd.small_statements import COVERAGE, draft_line

TODAY = date(2026, 11, 21)
PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
PDEX = "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/"
X12 = "https://codesystem.x12.org/005010/306"

Resource = dict[str, Any]


def review_action(code: str | None = "A1", number: str | None = "PA-1", guide: str = PAS) -> Resource:
    parts: list[Any] = []
    if number is not None:
        parts.append({"url": "number", "valueString": number})
    if code is not None:
        concept = {"coding": [{"system": X12, "code": code}]}
        parts.append({"url": f"{guide}extension-reviewActionCode", "valueCodeableConcept": concept})
    return {"extension": [{"url": f"{guide}extension-reviewAction", "extension": parts}]}


def claim(*codes: str, identity: str = "claim1", **more: Any) -> Resource:
    item = {"sequence": 1, "productOrService": coded(*codes or ("E1390",)), **more}
    return {"resourceType": "Claim", "id": identity, "patient": PATIENT, "use": "preauthorization", "item": [item]}


def claim_response(identity: str = "r1", **more: Any) -> Resource:
    """A whole yes: PAS, certified in total, for item 1 of the claim."""
    return {
        "resourceType": "ClaimResponse",
        "id": identity,
        "status": "active",
        "use": "preauthorization",
        "patient": PATIENT,
        "created": "2026-11-01",
        "insurer": {"display": "Acme Health"},
        "request": {"reference": "Claim/claim1"},
        "outcome": "complete",
        "preAuthPeriod": {"start": "2026-11-01", "end": "2027-01-31"},
        "item": [{"itemSequence": 1, "adjudication": [review_action()]}],
        **more,
    }


def explanation_of_benefit(**more: Any) -> Resource:
    """The same as PDex writes it: the item names what it is for."""
    item = {"sequence": 1, "productOrService": coded("E1390"), "adjudication": [review_action(guide=PDEX)]}
    return {
        "resourceType": "ExplanationOfBenefit",
        "id": "e1",
        "status": "active",
        "use": "preauthorization",
        "patient": PATIENT,
        "insurer": {"display": "Acme Health"},
        "outcome": "complete",
        "preAuthRefPeriod": [{"start": "2026-11-01", "end": "2027-01-31"}],
        "insurance": [{"focal": True, "coverage": {"reference": "Coverage/c1"}}],
        "item": [item],
        **more,
    }


def found(*chart: Resource, ordered: Resource | None = None, **more: Any) -> OnFile:
    resources = [(f"prefetch[{n}]", one) for n, one in enumerate(chart)]
    asked = Asked(draft_line(ordered), more.pop("coverage", COVERAGE), TODAY, **more)
    return on_file(asked, Record.build(resources, "p1"), None)


PA_1 = Authorization("PA-1", "ClaimResponse/r1", date(2026, 11, 1), date(2027, 1, 31))


def test_a_whole_yes_for_this_item_counts() -> None:
    assert found(claim(), claim_response()) == OnFile(PA_1)


def test_an_explanation_of_benefit_counts_as_well() -> None:
    held = found(explanation_of_benefit()).authorization
    assert held is not None
    assert (held.id, held.reference) == ("PA-1", "ExplanationOfBenefit/e1")


def test_what_was_authorized_counts_and_not_what_was_asked_for() -> None:
    def authorized(code: str) -> Resource:
        part = {"url": "productOrServiceCode", "valueCodeableConcept": coded(code)}
        detail = {"url": f"{PAS}extension-itemAuthorizedDetail", "extension": [part]}
        return claim_response(item=[{"itemSequence": 1, "extension": [detail], "adjudication": [review_action()]}])

    assert found(claim("E1391"), authorized("E1390")).authorization == PA_1
    assert found(claim("E1390"), authorized("E1391")) == OnFile()


def test_an_item_that_the_payer_added_counts_by_its_own_code() -> None:
    added = {"productOrService": coded("E1390"), "adjudication": [review_action()]}
    assert found(claim_response(item=[], addItem=[added])).authorization == PA_1


def test_the_number_and_the_period_of_the_whole_answer_stand_in_for_those_of_the_item() -> None:
    bare = [{"itemSequence": 1, "adjudication": [review_action(number=None)]}]
    assert found(claim(), claim_response(preAuthRef="PA-9", item=bare)).authorization is not None


def test_the_period_of_the_item_goes_before_that_of_the_answer() -> None:
    period = {"url": f"{PAS}extension-itemPreAuthPeriod", "valuePeriod": {"start": "2025-01-01", "end": "2025-02-01"}}
    item = {"itemSequence": 1, "extension": [period], "adjudication": [review_action()]}
    assert "2025-01-01 to 2025-02-01" in only_doubt(found(claim(), claim_response(item=[item])))


def only_doubt(held: OnFile) -> str:
    assert held.authorization is None
    [doubt] = held.doubts
    assert " on record is not taken as an authorization: " in doubt
    return doubt


def item_with(**adjudication: Any) -> dict[str, Any]:
    return {"item": [{"itemSequence": 1, "adjudication": [review_action(**adjudication)]}]}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "cancelled"}, "not active (cancelled)"),
        ({"outcome": "queued"}, "outcome is not complete (queued)"),
        ({"outcome": "partial"}, "outcome is not complete (partial)"),
        ({"outcome": "error"}, "outcome is not complete (error)"),
        ({"outcome": None}, "outcome is not complete"),
        (item_with(code="A3"), "certified in total"),
        (item_with(code="A4"), "certified in total"),
        (item_with(code="A2"), "certified in total"),
        (item_with(code="A6"), "certified in total"),
        (item_with(code=None), "certified in total"),
        ({"item": [{"itemSequence": 1}]}, "certified in total"),
        ({"item": [{"itemSequence": 1, "adjudication": [review_action(), review_action("A3")]}]}, "certified in total"),
        ({"disposition": "Approved", "item": [{"itemSequence": 1}], "preAuthRef": "PA-1"}, "certified in total"),
        (item_with(number=None), "no number"),
        (item_with(number=" "), "no number"),
        ({"preAuthPeriod": None}, "from when until when"),
        ({"preAuthPeriod": {"start": "2026-11-01"}}, "from when until when"),
        ({"preAuthPeriod": {"end": "2027-01-31"}}, "from when until when"),
        ({"preAuthPeriod": {"start": "2026-08-01", "end": "2026-11-20"}}, "not for all days of the order"),
        ({"preAuthPeriod": {"start": "2026-11-22", "end": "2027-01-31"}}, "not for all days of the order"),
        ({"insurer": {"reference": "Organization/nowhere"}}, "insurer could not be read"),
        ({"insurer": None}, "insurer could not be read"),
        ({"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, "could turn its meaning round"),
        ({"item": [{"itemSequence": 2, "adjudication": [review_action()]}]}, "for which item it is"),
        ({"item": []}, "for which item it is"),
        ({"request": {"reference": "Claim/elsewhere"}}, "for which item it is"),
        ({"insurance": [{"focal": True, "coverage": {"reference": "Coverage/c9"}}]}, "not given under this coverage"),
    ],
)
def test_what_is_not_plain_does_not_count_and_is_told(changes: Resource, why: str) -> None:
    assert why in only_doubt(found(claim(), claim_response(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"insurer": {"display": "Other Health"}},
        {"use": "predetermination"},
        {"use": "claim"},
        {"status": "entered-in-error"},
        {"status": "draft"},
        {"patient": {"reference": "Patient/p2"}},
    ],
)
def test_what_is_none_of_this_payers_answers_about_this_patient_is_not_told_of(changes: Resource) -> None:
    assert found(claim(), claim_response(**changes)) == OnFile()


def test_an_authorization_for_another_item_is_not_told_of() -> None:
    assert found(claim("E0431"), claim_response()) == OnFile()


@pytest.mark.parametrize(
    ("ordered", "authorized", "counts"),
    [
        (("E1390", "RR"), ("E1390", "RR"), True),
        (("E1390-RR",), ("E1390", "RR"), True),
        (("E1390", "NU"), ("E1390", "RR"), False),
        (("E1390",), ("E1390", "RR"), False),
        (("E1390", "RR"), ("E1390",), False),
    ],
)
def test_a_rental_is_authorized_by_the_authorization_of_a_rental(
    ordered: tuple[str, ...], authorized: tuple[str, ...], counts: bool
) -> None:
    code, *modifiers = authorized
    asked_for = claim(code, modifier=[coded(one) for one in modifiers])
    held = found(asked_for, claim_response(), ordered=order("o1", *ordered))
    assert (held.authorization is not None) is counts
    assert counts or "its modifiers are not those of the order" in only_doubt(held)


def test_a_range_of_codes_is_not_plain() -> None:
    end = {"url": f"{PAS}extension-productOrServiceCodeEnd", "valueCodeableConcept": coded("E1392")}
    assert "for which item" in only_doubt(found(claim("E1390", extension=[end]), claim_response()))


def test_all_days_that_an_order_states_have_to_be_authorized() -> None:
    period = {"start": "2026-12-01", "end": "2027-02-01"}
    assert "not for all days" in only_doubt(found(claim(), claim_response(), ordered=order(occurrencePeriod=period)))
    shorter = {"start": "2026-12-01", "end": "2027-01-31"}
    assert found(claim(), claim_response(), ordered=order(occurrencePeriod=shorter)).authorization == PA_1


def test_of_a_day_that_is_stated_by_its_month_the_worst_is_taken() -> None:
    months = {"start": "2026-11", "end": "2027-01"}
    assert "2026-11-30 to 2027-01-01" in only_doubt(found(claim(), claim_response(preAuthPeriod=months)))


@pytest.mark.parametrize(
    "later",
    [
        claim_response("r2", created="2026-11-10", **item_with(code="A3", number=None)),
        claim_response("r2", created="2026-11-10", status="cancelled"),
        claim_response("r2", created="2026-11-10", status="cancelled", item=[]),
        claim_response("r2", created="2026-11-01", **item_with(code="A3")),
        claim_response("r2", created="2026-11", **item_with(code="A3")),
        claim_response("r2", created=None, **item_with(code="A3")),
        claim_response("r2", created="2026-11-10", request={"reference": "Claim/c2"}, **item_with(code="C")),
    ],
)
def test_an_answer_that_is_not_certainly_earlier_takes_the_force_of_an_authorization(later: Resource) -> None:
    for chart in ((claim(), claim_response(), later), (later, claim_response(), claim())):
        held = found(*copy.deepcopy(chart))
        assert held.authorization is None
        assert any("another answer of the payer (ClaimResponse/r2) says otherwise" in one for one in held.doubts)


def test_a_yes_after_a_pended_answer_counts() -> None:
    pended = claim_response("r0", created="2026-10-30", outcome="queued", **item_with(code="A4", number=None))
    assert found(claim(), pended, claim_response()) == OnFile(PA_1)


def test_where_a_part_of_the_answers_is_missing_none_of_them_counts() -> None:
    cut_off = {"ClaimResponse": "the EHR sent only a part of what it found of ClaimResponse"}
    doubt = only_doubt(found(claim(), claim_response(), cut_off=cut_off))
    assert "a later answer could be missing, for the EHR sent only a part" in doubt
    assert found(claim(), claim_response(), cut_off={"ExplanationOfBenefit": "it failed"}) == OnFile(PA_1)


# -- whom and how much it is for ---------------------------------------------------------------------------

NPI = "http://hl7.org/fhir/sid/us-npi"


def authorized(provider: Resource | None = None, quantity: Resource | None = None) -> Resource:
    """A whole yes for one provider, or for so much."""
    parts: list[Any] = [{"url": "productOrServiceCode", "valueCodeableConcept": coded("E1390")}]
    if quantity is not None:
        parts.append({"url": "quantity", "valueQuantity": quantity})
    held = [{"url": f"{PAS}extension-itemAuthorizedDetail", "extension": parts}]
    if provider is not None:
        part = {"url": "provider", "valueReference": provider}
        held.append({"url": f"{PAS}extension-itemAuthorizedProvider", "extension": [part]})
    return claim_response(item=[{"itemSequence": 1, "extension": held, "adjudication": [review_action()]}])


ROLE = {
    "resourceType": "PractitionerRole",
    "id": "r",
    "practitioner": {"reference": "Practitioner/dr"},
    "organization": {"reference": "Organization/a"},
}
A = {"resourceType": "Organization", "id": "a", "identifier": [{"system": NPI, "value": "1"}]}


@pytest.mark.parametrize(
    ("given_to", "goes_to", "counts"),
    [
        ({"reference": "Organization/a"}, {"reference": "Organization/a"}, True),
        ({"reference": "Organization/a"}, {"reference": "Organization/b"}, False),
        ({"reference": "Organization/a"}, {"reference": "PractitionerRole/r"}, True),
        ({"reference": "Practitioner/dr"}, {"reference": "PractitionerRole/r"}, True),
        ({"identifier": {"system": NPI, "value": "1"}}, {"reference": "Organization/a"}, True),
        ({"identifier": {"system": NPI, "value": "2"}}, {"reference": "Organization/a"}, False),
    ],
)
def test_an_authorization_for_another_provider_does_not_count(
    given_to: Resource, goes_to: Resource, counts: bool
) -> None:
    for ordered, sent in ((order(performer=goes_to), None), (order(), {**order(), "performer": goes_to})):
        held = found(authorized(given_to), ROLE, A, ordered=ordered, sent=sent)
        if counts:
            assert held == OnFile(PA_1, bound=True)
        else:
            assert "given to another provider" in only_doubt(held)


@pytest.mark.parametrize(
    ("performer", "said"),
    [
        (None, "the order names none yet"),
        ({"display": "Corner Oxygen"}, "whether the order goes to that one could not be read"),
    ],
)
def test_where_a_provider_is_not_known_the_authorization_counts_and_says_so(performer: Any, said: str) -> None:
    ordered = order(performer=performer) if performer else order()
    held = found(authorized({"reference": "Organization/a"}), ordered=ordered)
    assert held.authorization == PA_1
    [words] = held.unsaid
    assert said in words


@pytest.mark.parametrize(
    ("authorized_for", "ordered", "said"),
    [
        ({"value": 2}, {"value": 2}, None),
        ({"value": 2}, {"value": 1.5}, None),
        ({"value": 2}, {"value": 3}, "it is for 2, and the order is for 3"),
        (
            {"value": 10, "code": "h"},
            {"value": 20, "unit": "h", "code": "h"},
            "it is for 10 h, and the order is for 20 h",
        ),
        ({"value": 2}, {"value": 3, "code": "h"}, "the units differ"),
        ({"value": 2}, None, "the order states no quantity"),
        ({"value": 1}, None, None),
        ({"value": 2, "comparator": "<"}, {"value": 3}, None),
        ({"value": "2"}, {"value": 3}, None),
    ],
)
def test_an_authorization_for_less_than_is_ordered_does_not_count(
    authorized_for: Resource, ordered: Resource | None, said: str | None
) -> None:
    wanted = {"quantityQuantity": ordered} if ordered is not None else {}
    held = found(authorized(quantity=authorized_for), ordered=order(**wanted))
    told = " ".join((*held.doubts, *held.unsaid))
    assert (said in told) if said else told == ""
    assert (held.authorization is None) == ("the order is for" in told and "units" not in told)


def test_the_quantity_of_the_request_counts_where_the_answer_has_none_and_repeats_add_up() -> None:
    ordered = {
        **order(),
        "resourceType": "MedicationRequest",
        "medicationCodeableConcept": coded("E1390"),
        "dispenseRequest": {"quantity": {"value": 30}, "numberOfRepeatsAllowed": 2},
    }
    assert found(claim(quantity={"value": 90}), claim_response(), ordered=ordered).authorization == PA_1
    doubt = only_doubt(found(claim(quantity={"value": 60}), claim_response(), ordered=ordered))
    assert "it is for 60, and the order is for 90" in doubt


def test_of_several_the_one_that_holds_longest_counts() -> None:
    renewed = claim_response(
        "r2",
        request={"reference": "Claim/claim2"},
        preAuthPeriod={"start": "2026-11-15", "end": "2027-04-30"},
        **item_with(number="PA-2"),
    )
    held = found(claim(), claim(identity="claim2"), claim_response(), renewed).authorization
    assert held is not None
    assert held.id == "PA-2"


def test_beside_another_coverage_of_the_same_payer_an_answer_has_to_say_which_one_it_is_about() -> None:
    assert "not given under this coverage" in only_doubt(found(claim(), claim_response(), alone=False))
    said = claim_response(insurance=[{"focal": True, "coverage": {"reference": "Coverage/c1"}}])
    assert found(claim(), said, alone=False).authorization == PA_1


def test_nothing_in_an_answer_that_is_misshapen_makes_it_count_or_fall_over() -> None:
    for element in claim_response():
        for value in (None, "", 7, True, [], {}, [None], ["x"], [[]], {"x": []}, [{"x": 1}]):
            if element in ("resourceType", "id"):
                continue
            held = found(claim(), claim_response(**{element: value}))
            assert held.authorization is None or element in ("created", "id")


# -- what an earlier answer found -------------------------------------------------------------------------


def earlier(**changes: Any) -> Assertion:
    decided: dict[str, Any] = {
        "policy": "https://cds-service.example.org/fhir/PlanDefinition/acme-oxygen|2024-06-01",
        "code": "E1390",
        "modifiers": (),
        "order_date": date(2026, 11, 2),
        "covered": "covered",
        "pa_needed": "satisfied",
        "rule": "auth.all",
        "authorization": PA_1,
    }
    return Assertion("assertion-1", "digest", "acme", (Decision(**{**decided, **changes}),))


def remembered(kept: Assertion, *chart: Resource, ordered: Resource | None = None, **more: Any) -> OnFile:
    resources = [(f"prefetch[{n}]", one) for n, one in enumerate(chart)]
    return on_file(Asked(draft_line(ordered), COVERAGE, TODAY, **more), Record.build(resources, "p1"), kept)


def test_what_an_earlier_answer_found_counts_where_the_chart_was_not_asked() -> None:
    assert remembered(earlier()) == OnFile(PA_1)


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "E1391"},
        {"modifiers": ("RR",)},
        {"authorization": None},
        {"authorization": Authorization("PA-1", "ClaimResponse/r1", date(2026, 8, 1), date(2026, 11, 20))},
    ],
)
def test_an_earlier_authorization_of_something_else_or_of_another_time_does_not_count(changes: Any) -> None:
    assert remembered(earlier(**changes)) == OnFile()


def test_what_the_chart_does_not_hold_any_more_is_not_remembered() -> None:
    assert remembered(earlier(), looked_up=frozenset({"ClaimResponse"})) == OnFile()
    assert remembered(earlier(), looked_up=frozenset({"Condition"})) == OnFile(PA_1)


def test_what_the_chart_says_goes_before_what_is_remembered() -> None:
    assert "cancelled" in only_doubt(remembered(earlier(), claim(), claim_response(status="cancelled")))


def test_an_insurer_by_the_name_of_a_programme_is_the_payer_for_its_members_only(
    managed: Callable[[list[str]], OrderCoverage],
) -> None:
    by_plan = claim_response(insurer={"display": "Acme Managed"})
    assert found(claim(), by_plan, coverage=managed([])) == OnFile()
    assert found(claim(), by_plan, coverage=managed(["mco"])).authorization == PA_1


@pytest.fixture
def managed() -> Callable[[list[str]], OrderCoverage]:
    from dataclasses import replace

    from cds_service.policy.payers import Programme

    programme = Programme("mco", "Acme Managed", frozenset(), frozenset({"acme managed"}))
    payer = replace(ACME, programmes=(programme,))
    return lambda codes: replace(COVERAGE, payer=payer, view={"payer": "acme", "programme": codes})
