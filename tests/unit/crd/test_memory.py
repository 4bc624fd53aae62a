"""What is kept of an answer, and that an id kept for one patient is nobody else's."""

from __future__ import annotations

from datetime import date
from typing import Any

import orjson
import pytest

from cds_service.crd.answer import HookResponse, answer
from cds_service.crd.hook_request import HookRequest, parse_hook_request
from cds_service.crd.memory import Assertion, Kept, assertion_ids, modifiers_of, patient_digest, to_keep
from tests.fakes import FakeCatalogue, determination, numbered_ids
from tests.unit.crd.small_call import ASKED_AT, call, order
from tests.unit.crd.small_statements import draft_line, statement
from tests.unit.crd.test_authorizations import PA_1
from tests.unit.crd.test_system_actions import earlier

SERVER = "https://ehr.example.org/fhir"


def kept(*determinations: Any, **more: Any) -> Kept:
    return to_keep([statement(*determinations, **more)], [], "digest", [PA_1])


def test_a_decision_is_kept_as_codes_and_dates() -> None:
    [assertion] = kept(determination(), resource=order("o1", "E1390", "RR")).assertions
    [decision] = assertion.decisions
    assert (assertion.id, assertion.patient, assertion.payer) == ("assertion-1", "digest", "acme")
    assert (decision.code, decision.modifiers, decision.order_date) == ("E1390", ("RR",), date(2026, 11, 21))
    assert (decision.covered, decision.pa_needed, decision.authorization) == ("covered", "auth-needed", None)


def test_the_authorization_that_satisfied_is_kept_with_the_decision() -> None:
    [assertion] = kept(determination(pa_needed="satisfied", satisfied_pa_id="PA-1")).assertions
    assert assertion.decisions[0].authorization == PA_1


def test_an_id_longer_than_any_of_ours_is_not_kept() -> None:
    assert kept(determination(), assertion_id="x" * 201) == Kept((), ())
    long = order(extension=[earlier("x" * 201, "Coverage/c1"), earlier("y", "Coverage/c1")])
    assert assertion_ids([long]) == {"y"}


@pytest.mark.parametrize("extension", [None, "x", [None], [{}], [{"url": 1}], [{**earlier("a", "b"), "extension": 1}]])
def test_extensions_that_are_none_of_ours_have_no_ids(extension: Any) -> None:
    came = order(extension=extension)
    assert assertion_ids([came, None, "x"]) == frozenset()


def test_modifiers_are_the_same_in_whatever_order_they_came() -> None:
    lines = [draft_line(order("o1", *codes)).line for codes in (("E1390", "RR", "KX"), ("E1390", "KX", "RR"))]
    assert modifiers_of(lines[0]) == modifiers_of(lines[1]) == ("KX", "RR")


def test_a_patient_is_a_digest_that_tells_servers_apart() -> None:
    digests = {patient_digest(server, who) for server in (None, SERVER, "https://other.org") for who in ("p1", "p2")}
    assert len(digests) == 6
    assert not any("p1" in one or "ehr" in one for one in digests)
    assert patient_digest(f"{SERVER}/", "p1") == patient_digest(SERVER, "p1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://EHR.Example.org/fhir", "https://ehr.example.org/fhir", True),
        ("https://ehr.example.org:443/fhir/", "https://ehr.example.org/fhir", True),
        ("https://ehr.example.org:8443/fhir", "https://ehr.example.org/fhir", False),
        ("https://ehr.example.org/FHIR", "https://ehr.example.org/fhir", False),
        ("http://ehr.example.org/fhir", "https://ehr.example.org/fhir", False),
    ],
)
def test_a_server_is_the_same_however_its_host_and_port_are_written(one: str, other: str, same: bool) -> None:
    assert (patient_digest(one, "p1") == patient_digest(other, "p1")) is same


def answered(document: dict[str, Any], *earlier_ones: Assertion) -> HookResponse:
    request = parse_hook_request(orjson.dumps(document), "order-sign")
    assert isinstance(request, HookRequest)
    held = {one.id: one for one in earlier_ones}
    found = answer(request, FakeCatalogue(), ASKED_AT, numbered_ids(), str, earlier=held)
    assert isinstance(found, HookResponse)
    return found


BORE = order(extension=[earlier("given", "Coverage/c1")])
OURS = patient_digest(SERVER, "p1")


@pytest.mark.parametrize(
    ("known", "stays"),
    [
        ([], True),
        ([Assertion("given", OURS, "acme")], True),
        ([Assertion("given", patient_digest(SERVER, "p2"), "acme")], False),
        ([Assertion("given", OURS, "other")], False),
        ([Assertion("another", patient_digest(SERVER, "p2"), "acme")], True),
    ],
)
def test_an_id_that_was_given_for_another_patient_or_payer_is_not_kept(known: list[Assertion], stays: bool) -> None:
    response = answered(call(BORE, fhirServer=SERVER), *known)
    assert (response.statements[0].assertion_id == "given") is stays


def test_who_asks_what_if_leaves_no_decision_behind() -> None:
    what_if = {"davinci-crd.configuration": {"unsolicited-determ": False}}
    assert answered(call(BORE, extension=what_if)).kept.assertions == ()
    assert answered(call(BORE)).kept.assertions != ()
