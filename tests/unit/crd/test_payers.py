"""A payer's file: what is read of it, and that every fault is said at once."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.policy.payers import PROGRAMME, fold, read_payer, says


def part(name: str, value: str) -> dict[str, Any]:
    return {"url": name, "valueCode" if name == "code" else "valueString": value}


def programme(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"url": PROGRAMME, "extension": list(parts)}


def plan(**more: Any) -> dict[str, Any]:
    return {"resourceType": "InsurancePlan", "id": "acme", "status": "active", "name": "Acme Health", **more}


def faults(**more: Any) -> list[str]:
    payer, problems = read_payer(plan(**more), "plans/payers/acme.json")
    assert (payer is None) == bool(problems)
    return [str(one) for one in problems]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("MassHealth", "masshealth"),
        ("MASSHEALTH.", "masshealth"),
        ("Mass-Health", "mass health"),
        (" mass \n health ", "mass health"),
        ("Ｍass Health", "mass health"),
        ("St. Mary's & Co.", "st marys and co"),
    ],
)
def test_folding_leaves_words_and_nothing_else(text: str, words: str) -> None:
    assert fold(text) == words


def test_words_are_found_whole_and_in_their_order() -> None:
    assert says(fold("MassHealth - MCO (Boston)"), fold("MCO"))
    assert says(fold("Senior Care Options"), fold("senior care"))
    assert not says(fold("AMCO plan"), fold("MCO"))
    assert not says(fold("Care Senior"), fold("senior care"))


def test_a_payer_is_known_by_name_alias_and_identifier() -> None:
    resource = plan(
        alias=["Acme of Ohio"],
        identifier=[{"system": "urn:payers", "value": " 123 "}],
        extension=[
            programme(
                part("code", "mco"),
                part("name", "a plan"),
                part("word", "MCO"),
                part("alias", "Beta Care"),
                part("note", "Known from the plan's card"),
            )
        ],
    )
    payer, problems = read_payer(resource, "acme.json")
    assert not problems
    assert payer is not None
    assert payer.names == {"acme health", "acme of ohio"}
    assert payer.identifiers == {("urn:payers", "123")}
    assert payer.programmes[0].words == {"mco"}
    assert payer.programmes[0].aliases == {"beta care"}
    assert payer.programmes[0].name == "a plan"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": None}, "id: missing"),
        ({"name": " "}, "name: missing"),
        ({"status": "draft"}, "status: 'draft'"),
        ({"alias": ["acme-health"]}, "alias[0]: 'acme-health' is, without case and punctuation, name too"),
        ({"alias": ["--"]}, "alias[0]: '--' has no letter or digit"),
        ({"identifier": [{"value": "1"}]}, "identifier[0].system: missing"),
        ({"extension": [{"url": "urn:other"}]}, "extension[0]: unknown extension 'urn:other'"),
        ({"extension": [programme(part("name", "a"), part("word", "b"))]}, "extension[0]: 0 times code"),
        ({"extension": [programme(part("code", "a"), part("name", "b"))]}, "extension[0]: neither word nor alias"),
        (
            {"extension": [programme(part("code", "a"), part("name", "b"), part("words", "c"))]},
            "extension[0].extension[2]: unknown part 'words'",
        ),
        (
            {"extension": [programme(part("code", "a"), part("name", "b"), {"url": "word", "valueCode": "c"})]},
            "extension[0].extension[2]: word without a valueString",
        ),
        (
            {"extension": [programme(part("code", "a"), part("name", "b"), part("alias", "Acme Health"))]},
            "extension[0].extension[2]: 'Acme Health' is, without case and punctuation, name too",
        ),
        (
            {"extension": [programme(part("code", "a"), part("name", "b"), part("word", "c"))] * 2},
            "extension[1]: the programme 'a' is given twice",
        ),
    ],
)
def test_a_fault_says_where_and_what(changes: dict[str, Any], said: str) -> None:
    assert any(one.startswith(f"plans/payers/acme.json: {said}") for one in faults(**changes)), faults(**changes)


def test_all_faults_are_found_in_one_run() -> None:
    assert len(faults(id=None, status="draft", alias=["Acme Health"], extension=[{"url": "urn:other"}])) == 4
