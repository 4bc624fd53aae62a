"""Answers against CRD 2.2 itself: the profile's table and invariants, R4 classes, and the rules of CDS Hooks JSON.

The table and the invariants are read from the FHIR folder of the test machine; nothing of it is kept here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhirpathpy import compile as compile_fhirpath

from cds_service.crd.answer import render
from cds_service.crd.discovery import discovery
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import load_catalogue
from tests.fakes import FakeCatalogue
from tests.unit.crd.small_call import PATIENT, answered, bundle, call, coverage, order
from tests.unit.policy.small_plan import definitions, row, small_plan

CONVERSATIONS = Path(__file__).parents[1] / "conversations"
EXTENSION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"


# -- every answer that is looked at -----------------------------------------------------------------------


def _with_rule(**gives: Any) -> Catalogue:
    """The small plan with this as its authorization rule."""
    plan = small_plan()
    plan["action"][0]["action"] = [row("auth.all", **gives)]
    catalogue, problems = load_catalogue(definitions(plan))
    assert catalogue is not None, problems
    return catalogue


def _made() -> Iterator[tuple[str, dict[str, Any]]]:
    chart = {
        "patient": {"resourceType": "Patient", "id": "p1"},
        "coverage": bundle(coverage()),
        "observations": None,
        "conditions": None,
        "documentReferences": None,
    }
    for covered in ("covered", "not-covered", "conditional"):
        for needed in ("auth-needed", "no-auth", "conditional"):
            gives: dict[str, Any] = {"covered": covered, "paNeeded": needed}
            if "conditional" in (covered, needed):
                gives |= {"infoNeeded": "OTH", "reason": "Ask the payer."}
            yield f"{covered}, {needed}", json.loads(render(answered(call(prefetch=chart), _with_rule(**gives))))
    whose = {"status": "draft", "intent": "order"}
    diet = {"resourceType": "NutritionOrder", "id": "n1", **whose, "patient": PATIENT, "dateTime": "2026-11-21"}
    halt = {"resourceType": "ServiceRequest", "id": "s1", **whose, "subject": PATIENT, "doNotPerform": True}
    orders = [order("o1", "E0601"), diet, halt, order("o3", insurance=[{"reference": "Coverage/nowhere"}])]
    yield "no statement and unread coverage", json.loads(render(answered(call(*orders, prefetch=chart))))
    ended = {**chart, "coverage": bundle(coverage(status="cancelled"))}
    yield "ended coverage", json.loads(render(answered(call(prefetch=ended))))


def _answers() -> dict[str, dict[str, Any]]:
    goldens = {path.parent.name: json.loads(path.read_bytes()) for path in CONVERSATIONS.glob("*/response.json")}
    return {name: one for name, one in goldens.items() if "cards" in one} | dict(_made())


ANSWERS = _answers()
EXTENSIONS = [
    (f"{name}, {action['resource']['id']}", extension)
    for name, answer in ANSWERS.items()
    for action in answer["systemActions"]
    for extension in action["resource"]["extension"]
    if extension["url"] == EXTENSION
]
by_name = pytest.mark.parametrize(("name", "extension"), EXTENSIONS, ids=[name for name, _ in EXTENSIONS])
each_answer = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())


# -- coverage-information ---------------------------------------------------------------------------------


@pytest.fixture
def profile(fhir_folder: Path) -> dict[str, Any]:
    tables = json.loads((fhir_folder / "derived-coverage-information-by-version.json").read_bytes())
    return dict(tables["2.2.1"])


def _value(part: dict[str, Any]) -> tuple[str | None, Any]:
    return next(((name, part[name]) for name in part if name.startswith("value")), (None, None))


def _check_parts(extension: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    known = {one["url"]: one for one in rows}
    sent = [part["url"] for part in extension["extension"]]
    assert set(sent) <= set(known)
    for url, one in known.items():
        most = len(sent) if one["max"] == "*" else int(one["max"])
        assert one["min"] <= sent.count(url) <= most, url
    for part in extension["extension"]:
        one = known[part["url"]]
        if one["valueType"] == ["complex"]:
            _check_parts(part, one["parts"])
            continue
        name, value = _value(part)
        types = [re.sub(r"\(.*\)", "", kind) for kind in one["valueType"]]
        assert name in [f"value{kind[0].upper()}{kind[1:]}" for kind in types], part["url"]
        if one.get("strength") == "required":
            assert value in one["codes"], part["url"]
        elif "codes" in one and one.get("system"):
            codings = [coding for coding in value.get("coding", ()) if coding["system"] == one["system"]]
            assert all(coding["code"] in one["codes"] for coding in codings), part["url"]


@by_name
def test_the_parts_are_those_of_the_profile(name: str, extension: dict[str, Any], profile: dict[str, Any]) -> None:
    assert profile["url"] == EXTENSION
    _check_parts(extension, profile["subExtensions"])


def _untyped(extension: dict[str, Any]) -> dict[str, Any]:
    """The extension with each value[x] under `value`, as the invariants write it: no model is needed then."""
    parts = []
    for part in extension["extension"]:
        name, value = _value(part)
        parts.append({"url": part["url"]} if name is None else {"url": part["url"], "value": value})
    return {"extension": parts}


@by_name
def test_the_invariants_hold(name: str, extension: dict[str, Any], profile: dict[str, Any]) -> None:
    invariants = profile["invariants"]
    assert [*invariants] == [f"crd-ci-q{n}" for n in range(1, 10)]
    untyped = _untyped(extension)
    for key, text in invariants.items():
        # fhirpathpy knows no value sets; that every reason has a text is enough for crd-ci-q7
        expression = re.sub(r" or [^ ]+ = 'reason'\)\.value\.memberOf\([^)]*\)", "", text)
        assert compile_fhirpath(expression)(untyped) == [True], key


@by_name
def test_every_reason_has_words(name: str, extension: dict[str, Any]) -> None:
    reasons = [_value(part)[1] for part in extension["extension"] if part["url"] == "reason"]
    assert all(one["text"].strip() for one in reasons)


@by_name
def test_information_is_asked_for_exactly_where_something_is_conditional(name: str, extension: dict[str, Any]) -> None:
    # the text of crd-ci-q3 says "if and only if"; its expression has one direction
    values = [
        _value(part)[1] for part in extension["extension"] if part["url"] in ("covered", "pa-needed", "doc-needed")
    ]
    asked = any(part["url"] == "info-needed" for part in extension["extension"])
    assert asked == ("conditional" in values)


def test_all_kinds_of_statement_were_looked_at() -> None:
    said = {_value(part)[1] for _, one in EXTENSIONS for part in one["extension"] if part["url"] == "covered"}
    assert said == {"covered", "not-covered", "conditional", "indeterminate"}


# -- system actions and orders ----------------------------------------------------------------------------


@each_answer
def test_each_action_is_the_update_of_an_order_that_is_fhir(answer: dict[str, Any]) -> None:
    for action in answer["systemActions"]:
        assert set(action) == {"type", "description", "resource"}
        assert action["type"] == "update"
        get_fhir_model_class(action["resource"]["resourceType"]).model_validate(action["resource"])


@each_answer
def test_one_coverage_has_one_id_and_two_have_two(answer: dict[str, Any]) -> None:
    for action in answer["systemActions"]:
        ids: dict[str, set[str]] = {}
        for extension in action["resource"]["extension"]:
            if extension["url"] == EXTENSION:
                parts = {part["url"]: _value(part)[1] for part in extension["extension"]}
                ids.setdefault(parts["coverage"]["reference"], set()).add(parts["coverage-assertion-id"])
        assert all(len(one) == 1 for one in ids.values())
        assert len(set.union(*ids.values())) == len(ids)


# -- cards ------------------------------------------------------------------------------------------------


@each_answer
def test_each_card_has_what_cds_hooks_and_crd_want_of_it(answer: dict[str, Any]) -> None:
    uuids = [card["uuid"] for card in answer["cards"]]
    uuids += [one["uuid"] for card in answer["cards"] for one in card.get("suggestions", ())]
    assert len(set(uuids)) == len(uuids)
    for card in answer["cards"]:
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in ("info", "warning")
        assert card["source"]["label"]
        assert set(card["source"]["topic"]) == {"system", "code", "display"}
        assert card["detail"].strip()
        assert ("selectionBehavior" in card) == ("suggestions" in card)
        assert not ("links" in card and "suggestions" in card)


@each_answer
def test_each_card_has_the_shape_of_its_kind(answer: dict[str, Any]) -> None:
    for card in answer["cards"]:
        match card["source"]["topic"]["code"]:
            case "guideline":  # External Reference
                assert card["links"]
                assert all(one["type"] == "absolute" and one["url"].startswith("https://") for one in card["links"])
                assert "appContext" not in json.dumps(card["links"])
            case "clinical-reminder":  # Instructions
                assert "links" not in card
                assert "suggestions" not in card
            case "claim":  # Propose Alternate Request, Identify Additional Orders
                for suggestion in card["suggestions"]:
                    (action,) = suggestion["actions"]
                    assert action["type"] in ("update", "create")
                    assert action["description"]
                    assert "resourceId" not in action
                    assert ("id" in action["resource"]) == (action["type"] == "update")
                    get_fhir_model_class(action["resource"]["resourceType"]).model_validate(action["resource"])
            case other:
                pytest.fail(f"no such card is sent: {other}")


def _empties(value: Any, path: str = "") -> Iterator[str]:
    if value in (None, "", [], {}) and not isinstance(value, bool | int | float):
        yield path
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _empties(one, f"{path}.{name}")
    elif isinstance(value, list):
        for n, one in enumerate(value):
            yield from _empties(one, f"{path}[{n}]")


@each_answer
def test_nothing_empty_is_sent_but_the_two_lists_that_may_be(answer: dict[str, Any]) -> None:
    assert set(answer) == {"cards", "systemActions"}
    assert set(_empties(answer)) <= {".cards", ".systemActions"}


def test_discovery_sends_nothing_empty() -> None:
    assert not set(_empties(discovery(FakeCatalogue())))


@pytest.mark.parametrize("version", discovery(FakeCatalogue())["services"][0]["extension"]["davinci-crd.version"])
def test_a_version_is_written_as_major_and_minor(version: str) -> None:
    assert re.fullmatch(r"[1-9]\d*\.[1-9]\d*", version)


# -- requests that the guide itself prints ----------------------------------------------------------------


def test_the_orders_that_the_guide_prints_are_read(fhir_folder: Path) -> None:
    printed = sorted((fhir_folder / "examples" / "crd-ig").glob("crd-2.2.1-CRDServiceRequest*.json"))
    assert printed
    read = 0
    for path in printed:
        document = json.loads(path.read_bytes())
        if document["hook"] != "order-sign":
            continue
        document["prefetch"] = {**document.get("prefetch", {}), "coverage": _coverage_of(document)}
        response = answered(orjson.dumps(document))
        assert len(response.system_actions) == len(document["context"]["draftOrders"]["entry"])
        read += 1
    assert read


def _coverage_of(document: dict[str, Any]) -> dict[str, Any]:
    patient = f"Patient/{document['context']['patientId']}"
    return bundle(coverage(beneficiary={"reference": patient}))
