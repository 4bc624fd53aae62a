"""Orders and people that cannot be as they are written: what is answered then, through the real edge."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.read_back_calls import CALL, client, covered, determination, posted, statuses

HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
CPT = "http://www.ama-assn.org/go/cpt"


@pytest.fixture(scope="module")
def service() -> FlaskClient:
    return client()


def ordering(*codings: tuple[str, str], **more: Any) -> dict[str, Any]:
    """The golden call with these codings on its order."""
    document = copy.deepcopy(CALL)
    [entry] = document["context"]["draftOrders"]["entry"]
    coded = [{"system": system, "code": code} for system, code in codings]
    entry["resource"] |= {"codeCodeableConcept": {"coding": coded}, **more}
    return document


@pytest.mark.parametrize("codes", [("E0781", "E1390"), ("E1390", "E0781"), ("E1390-RR", "E0431-RR")])
def test_two_items_on_one_line_are_no_statement_that_names_both(service: FlaskClient, codes: tuple[str, str]) -> None:
    answer = posted(service, ordering(*((HCPCS, one) for one in codes)))
    assert covered(answer) == ("indeterminate", "several-items")
    said = json.dumps(answer["systemActions"][0]["resource"]["extension"])
    assert all(one[:5] in said for one in codes)
    assert "billingCode" not in said and "no-auth" not in said
    assert answer["cards"] == []


def test_one_item_said_twice_or_with_modifiers_is_one(service: FlaskClient) -> None:
    whole = determination(posted(service, CALL))
    for codes in (("E1390", "e1390-RR"), ("E1390", "RR"), ("E1390", "E1390")):
        found = determination(posted(service, ordering(*((HCPCS, one) for one in codes))))
        assert (found["code"], found["paNeeded"]) == (whole["code"], whole["paNeeded"])


def test_further_codes_under_which_an_item_may_be_billed_make_no_second_item(service: FlaskClient) -> None:
    options = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"
    document = ordering((HCPCS, "E1390"))
    concept = document["context"]["draftOrders"]["entry"][0]["resource"]["codeCodeableConcept"]
    concept["extension"] = [{"url": options, "valueCodeableConcept": {"coding": [{"system": HCPCS, "code": "E1391"}]}}]
    assert determination(posted(service, document))["code"] == "E1390"


@pytest.mark.parametrize("system", [CPT, "urn:oid:2.16.840.1.113883.6.12"])
def test_a_hcpcs_code_under_the_address_of_cpt_is_read_as_what_it_can_only_be(
    service: FlaskClient, system: str
) -> None:
    right = determination(posted(service, ordering((HCPCS, "E1390"), (HCPCS, "RR"))))
    read = determination(posted(service, ordering((system, "E1390"), (system, "RR"))))
    assert read == right


def test_a_cpt_code_stays_one(service: FlaskClient) -> None:
    answer = posted(service, ordering((CPT, "94760")))
    assert covered(answer) == ("indeterminate", "no-policy-held")
    assert CPT in json.dumps(answer["systemActions"][0]["resource"]["extension"])


def born(day: str) -> dict[str, Any]:
    document = copy.deepcopy(CALL)
    document["prefetch"]["patient"]["birthDate"] = day
    return document


def test_nobody_is_of_an_age_before_being_born(service: FlaskClient) -> None:
    adult, child = (statuses(posted(service, born(day))) for day in ("1957-03-14", "2020-01-01"))
    unborn = statuses(posted(service, born("2027-01-01")))
    ages = [one for one in adult if adult[one] != child[one]]
    assert ages
    for one in ages:
        assert unborn[one] not in ("met", "not-met") or unborn[one] == adult[one] == child[one], one
    assert unborn == statuses(posted(service, without_birth_date()))


def without_birth_date() -> dict[str, Any]:
    document = copy.deepcopy(CALL)
    del document["prefetch"]["patient"]["birthDate"]
    return document
