"""The one update of each order: what came, and what is said of it."""

from __future__ import annotations

import copy
from datetime import date
from typing import Any

import orjson

from cds_service.crd.coverage_information import Manner
from cds_service.crd.orders import DraftOrder
from cds_service.crd.system_actions import assertion_id, system_actions
from tests.fakes import determination, numbered_ids
from tests.unit.crd.small_call import order
from tests.unit.crd.small_statements import COVERAGE, statement

TODAY = date(2026, 11, 21)
URL = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"


def updated(resource: dict[str, Any], **more: Any) -> Any:
    (action,) = system_actions([statement(determination(), resource=resource, **more)], TODAY, Manner())
    return action["resource"]


def earlier(identity: str, coverage: str, day: str = "2026-11-20") -> dict[str, Any]:
    """What an earlier call said of a coverage."""
    parts = [
        {"url": "coverage", "valueReference": {"reference": coverage}},
        {"url": "covered", "valueCode": "covered"},
        {"url": "date", "valueDate": day},
        {"url": "coverage-assertion-id", "valueString": identity},
    ]
    return {"url": URL, "extension": parts}


def test_an_update_says_what_it_does() -> None:
    (action,) = system_actions([statement(determination())], TODAY, Manner())
    assert action["type"] == "update"
    assert action["description"] == "Record what Acme Health says of this order (E1390)"
    assert "resourceId" not in action


def test_nothing_else_of_the_order_changes() -> None:
    came = order(vendorElement={"z": 1, "a": [2]}, note=[{"text": "as written"}])
    before = copy.deepcopy(came)
    went = updated(came)
    assert came == before
    assert {name: one for name, one in went.items() if name != "extension"} == before
    assert orjson.dumps({name: one for name, one in went.items() if name != "extension"}) == orjson.dumps(before)


def test_extensions_of_others_stay_where_they_were() -> None:
    others = {"url": "urn:other", "valueString": "stays"}
    came = {"resourceType": "DeviceRequest", "extension": [others], "id": "o1", "status": "draft"}
    went = updated(came)
    assert list(went) == ["resourceType", "extension", "id", "status"]
    assert went["extension"][0] == others
    assert went["extension"][1]["url"] == URL


def test_what_was_said_before_of_the_same_coverage_is_replaced() -> None:
    went = updated(order(extension=[earlier("old", "Coverage/c1")]))
    assert len(went["extension"]) == 1
    assert went["extension"][0] != earlier("old", "Coverage/c1")


def test_what_was_said_of_another_coverage_stays() -> None:
    went = updated(order(extension=[earlier("theirs", "Coverage/c9")]))
    assert went["extension"][0] == earlier("theirs", "Coverage/c9")
    assert len(went["extension"]) == 2


def test_an_order_of_which_nothing_new_is_said_is_not_updated() -> None:
    said = statement(determination())
    (action,) = system_actions([said], TODAY, Manner())
    again = statement(determination(), resource=action["resource"])
    assert system_actions([again], TODAY, Manner()) == ()


def test_another_day_alone_is_no_news() -> None:
    (action,) = system_actions([statement(determination())], date(2026, 11, 20), Manner())
    assert system_actions([statement(determination(), resource=action["resource"])], TODAY, Manner()) == ()


def test_another_answer_on_another_day_is_news_and_bears_the_day() -> None:
    (action,) = system_actions([statement(determination())], date(2026, 11, 20), Manner())
    changed = statement(determination(pa_needed="no-auth"), resource=action["resource"])
    (again,) = system_actions([changed], TODAY, Manner())
    [said] = again["resource"]["extension"]
    assert {"url": "date", "valueDate": "2026-11-21"} in said["extension"]


def test_an_id_of_another_patients_order_is_not_kept() -> None:
    came = order(extension=[earlier("copied", "Coverage/c1"), earlier("own", "Coverage/c1")])
    assert assertion_id(DraftOrder("", came, came), COVERAGE, numbered_ids(), ["copied"]) == "own"
    assert assertion_id(DraftOrder("", came, came), COVERAGE, lambda: "new", ["copied", "own"]) == "new"


def test_an_order_under_two_coverages_is_updated_once() -> None:
    both = [statement(determination()), statement(determination(), assertion_id="assertion-2")]
    (action,) = system_actions(both, TODAY, Manner())
    assert len(action["resource"]["extension"]) == 2


def test_the_id_of_an_earlier_answer_is_kept() -> None:
    came = order(extension=[earlier("old", "Coverage/c1"), earlier("theirs", "Coverage/c9")])
    assert assertion_id(DraftOrder("", came, came), COVERAGE, numbered_ids()) == "old"


def test_without_an_earlier_answer_there_is_a_new_id() -> None:
    for extensions in ([], [earlier("theirs", "Coverage/c9")], [earlier(" ", "Coverage/c1")], [None, "x", {}]):
        came = order(extension=extensions)
        assert assertion_id(DraftOrder("", came, came), COVERAGE, lambda: "new") == "new"
