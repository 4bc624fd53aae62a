"""Answers against CRD 2.0, 2.1 and 2.2: the profiles' tables and invariants, R4 itself, the rules of CDS Hooks JSON.

What is published is read from the FHIR folder of the test machine; nothing of it is kept here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhirpathpy import compile as compile_fhirpath

from cds_service.crd.discovery import discovery
from cds_service.crd.hooks import HOOKS
from tests.conformance.answers import EXTENSION, Answer, every_answer
from tests.conformance.packages import PACKAGES, package, profile_faults, r4_faults
from tests.conformance.statements import requirement
from tests.fakes import FakeCatalogue

ANSWERS = every_answer()
each_answer = pytest.mark.parametrize("answer", ANSWERS, ids=[f"{one.name} in {one.version}" for one in ANSWERS])
# version -> its name in the derived tables, and CRD's own topics
TABLES = {"2.0": "2.0.1", "2.1": "2.1.0", "2.2": "2.2.1"}
PROFILE = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/profile-"


def test_every_version_and_every_hook_was_looked_at() -> None:
    assert {one.version for one in ANSWERS} == set(TABLES)
    assert {one.request["hook"] for one in ANSWERS} == set(HOOKS)


# -- coverage-information ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def profiles(fhir_folder: Path) -> dict[str, Any]:
    """The table of coverage-information of each version."""
    tables = json.loads((fhir_folder / "derived-coverage-information-by-version.json").read_bytes())
    return {version: tables[name] for version, name in TABLES.items()}


@pytest.mark.parametrize("version", PACKAGES)
def test_the_invariants_are_those_of_the_package(version: str, profiles: dict[str, Any], fhir_folder: Path) -> None:
    elements = package(fhir_folder, version).by_url[EXTENSION]["snapshot"]["element"]
    published = {one["key"]: one["expression"] for one in elements[0]["constraint"] if one["key"].startswith("crd-")}
    assert published == profiles[version]["invariants"]


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
        elif "codes" in one and isinstance(value, dict):
            # an extensible binding: a code of CRD's own is one of those listed
            ours = [coding for coding in value.get("coding", ()) if "davinci-crd" in coding["system"]]
            ours += [coding for coding in value.get("coding", ()) if coding["system"] == one.get("system")]
            assert all(coding["code"] in one["codes"] for coding in ours), part["url"]


@requirement("crd-ci-parts", "resp-52")
@each_answer
def test_the_parts_are_those_of_the_profile(answer: Answer, profiles: dict[str, Any]) -> None:
    for _, extension in answer.extensions():
        _check_parts(extension, profiles[answer.version]["subExtensions"])


def _untyped(extension: dict[str, Any]) -> dict[str, Any]:
    """The extension with each value[x] under `value`, as the invariants write it: no model is needed then."""
    parts = []
    for part in extension["extension"]:
        name, value = _value(part)
        parts.append({"url": part["url"]} if name is None else {"url": part["url"], "value": value})
    return {"extension": parts}


# FHIRPath, Singleton Evaluation: one item that stands where a Boolean is wanted is true, and no item is nothing (not
# false). fhirpathpy does not do that for an element, so such an operand is put in the words that mean the same.
_OPERAND = re.compile(r"(extension\.where\((?:[^()]|\([^()]*\))*\)) (?=implies|and)")
# it knows no value sets either; that every reason has a text is enough for crd-ci-q7
_MEMBER = re.compile(r" or [^ ]+ = 'reason'\)\.value\.memberOf\([^)]*\)")


def _holds(invariant: str, extension: dict[str, Any]) -> list[Any]:
    expression = _OPERAND.sub(r"\1.select(true) ", _MEMBER.sub("", invariant))
    return list(compile_fhirpath(expression)(_untyped(extension)))


@requirement(
    "crd-ci-q1", "crd-ci-q2", "crd-ci-q3", "crd-ci-q4", "crd-ci-q5", "crd-ci-q6", "crd-ci-q7", "crd-ci-q8", "crd-ci-q9"
)
@each_answer
def test_the_invariants_hold(answer: Answer, profiles: dict[str, Any]) -> None:
    for order, extension in answer.extensions():
        for key, text in profiles[answer.version]["invariants"].items():
            assert _holds(text, extension) == [True], f"{key} on {order}"


def _parts(**values: Any) -> dict[str, Any]:
    return {"extension": [{"url": name.replace("_", "-"), "valueCode": value} for name, value in values.items()]}


def test_what_the_table_of_versions_says_of_the_invariants_is_so(profiles: dict[str, Any]) -> None:
    # 2.0.1 wants pa-needed beside not-covered, the others want none; withpa leaves crd-ci-q4 with nothing, not true
    alone, beside = _parts(covered="not-covered"), _parts(covered="not-covered", pa_needed="auth-needed")
    q2 = {version: one["invariants"]["crd-ci-q2"] for version, one in profiles.items()}
    assert [_holds(q2[one], alone) for one in TABLES] == [[], [True], [True]]
    assert [_holds(q2[one], beside) for one in TABLES] == [[True], [False], [False]]
    withpa = _parts(covered="covered", pa_needed="auth-needed", doc_purpose="withpa")
    assert [_holds(profiles[one]["invariants"]["crd-ci-q4"], withpa) for one in TABLES] == [[True], [], []]


@requirement("crd-ci-q7", "covinfo-2")
@each_answer
def test_every_reason_has_words(answer: Answer) -> None:
    for _, extension in answer.extensions():
        reasons = [_value(part)[1] for part in extension["extension"] if part["url"] == "reason"]
        assert all(one["text"].strip() for one in reasons)


@requirement("crd-ci-q3")
@each_answer
def test_information_is_asked_for_exactly_where_something_is_conditional(answer: Answer) -> None:
    # the text of crd-ci-q3 says "if and only if"; its expression has one direction, 2.0.1's the other
    for _, extension in answer.extensions():
        open_parts = ("covered", "pa-needed", "doc-needed")
        values = [_value(part)[1] for part in extension["extension"] if part["url"] in open_parts]
        asked = any(part["url"] == "info-needed" for part in extension["extension"])
        assert asked == ("conditional" in values)


@requirement("hook-19")
@each_answer
def test_a_hook_that_supports_asks_for_no_documents(answer: Answer) -> None:
    asking = {"doc-needed", "doc-purpose", "questionnaire"}
    if not HOOKS[answer.request["hook"]].primary:
        for _, extension in answer.extensions():
            assert asking.isdisjoint(part["url"] for part in extension["extension"])


def _said(version: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in ANSWERS:
        for _, extension in one.extensions() if one.version == version else ():
            for part in extension["extension"]:
                found.setdefault(part["url"], set()).add(str(_value(part)[1]))
    return found


def test_all_kinds_of_statement_were_looked_at() -> None:
    assert _said("2.2")["covered"] == {"covered", "not-covered", "conditional", "indeterminate"}
    for version in ("2.0", "2.1"):
        assert _said(version)["covered"] == {"covered", "not-covered", "conditional"}


# crd_v221_coverage_information_must_support: all sub-extensions have to appear somewhere
@pytest.mark.parametrize("version", TABLES)
def test_every_part_of_coverage_information_is_used(version: str, profiles: dict[str, Any]) -> None:
    listed = {one["url"] for one in profiles[version]["subExtensions"]}
    # `response` wants a QuestionnaireResponse that we began
    without = {"2.0": {"response"}, "2.1": set(), "2.2": set()}[version]
    assert set(_said(version)) == listed - without


# -- system actions and orders ----------------------------------------------------------------------------


def _as_sent(answer: Answer) -> dict[str, dict[str, Any]]:
    """The orders and appointments of a call, wherever they stand in it."""
    found: dict[str, dict[str, Any]] = {}
    waiting: list[Any] = [answer.request["context"], answer.request.get("prefetch")]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("resourceType"), str) and "id" in one:
                found[f"{one['resourceType']}/{one['id']}"] = one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


@requirement("cds-hooks/fhir-json")
@each_answer
def test_each_action_is_the_update_of_an_order_that_is_fhir(answer: Answer) -> None:
    for action in answer.response.get("systemActions", ()):
        assert set(action) == {"type", "description", "resource"}
        assert action["type"] == "update"
        get_fhir_model_class(action["resource"]["resourceType"]).model_validate(action["resource"])


@requirement("resp-37", "crd_v221_coverage_info_system_action_validation")
@each_answer
def test_nothing_of_an_order_changes_but_its_coverage_information(answer: Answer) -> None:
    sent = _as_sent(answer)
    for action in answer.response.get("systemActions", ()):
        resource = dict(action["resource"])
        rest = [one for one in resource.pop("extension") if one["url"] != EXTENSION]
        if rest:
            resource["extension"] = rest
        assert resource == sent[f"{resource['resourceType']}/{resource['id']}"]


@requirement("cds-hooks/fhir-json")
@each_answer
def test_what_is_sent_is_no_worse_fhir_than_what_came(answer: Answer, fhir_folder: Path) -> None:
    sent = _as_sent(answer)
    for resource in _resources(answer.response):
        came = sent.get(f"{resource['resourceType']}/{resource.get('id')}")
        before = r4_faults(fhir_folder, came) if came is not None else []
        assert set(r4_faults(fhir_folder, resource)) <= set(before)


@requirement("resp-52", "crd_coverage_info_system_action_validation", "crd_v221_coverage_info_system_action_validation")
@each_answer
def test_what_is_sent_fits_its_profile_as_well_as_what_came(answer: Answer, fhir_folder: Path) -> None:
    # of 2.1 no package is at hand: its profiles of orders are loosened in 2.2, and coverage-information has its table
    found = package(fhir_folder, answer.version if answer.version in PACKAGES else "2.2")
    sent = _as_sent(answer)
    looked_at = 0
    for resource in _resources(answer.response):
        kind = resource["resourceType"].lower()
        names = (f"{PROFILE}{kind}", f"{PROFILE}{kind}-no-order")
        name = next((one for one in names if one in found.by_url), None)
        assert name is not None, kind
        came = sent.get(f"{resource['resourceType']}/{resource.get('id')}")
        # an order that a card proposes is written like the one at hand: it lacks what that one lacks
        like = came or next(iter(one for one in sent.values() if one["resourceType"] == resource["resourceType"]))
        before = profile_faults(found, name, like)
        assert set(profile_faults(found, name, resource)) <= set(before)
        looked_at += 1
    assert looked_at or not answer.response.get("systemActions")


def _resources(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every resource that an answer holds."""
    actions = list(response.get("systemActions", ()))
    actions += [one for card in response["cards"] for each in card.get("suggestions", ()) for one in each["actions"]]
    yield from (one["resource"] for one in actions if "resource" in one)


@requirement("resp-13", "resp-52")
@each_answer
def test_the_answer_fits_the_logical_model_of_responses(answer: Answer, fhir_folder: Path) -> None:
    # only CRD 2.2 has such models; what they want is no harm to an older client
    found = package(fhir_folder, "2.2")
    base = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/CRDHooksResponse"
    # read as JSON: `extension` is an object there, not a list of extensions
    assert [one for one in profile_faults(found, f"{base}Base", answer.response) if ".extension" not in one] == []
    if answer.response.get("systemActions"):
        actions = {**answer.response, "cards": []}
        faults = profile_faults(found, f"{base}-coverageInformation", actions)
        assert [one for one in faults if ".extension" not in one and ".cards" not in one] == []


@requirement(
    "resp-32",
    "crd-2.0.1/shared-ids",
    "crd_coverage_info_system_action_validation",
    "crd_v221_coverage_info_system_action_across_hooks_validation",
)
@each_answer
def test_one_coverage_has_one_id_and_two_have_two(answer: Answer) -> None:
    ids: dict[tuple[str, str], set[str]] = {}
    for order, extension in answer.extensions():
        parts = {part["url"]: _value(part)[1] for part in extension["extension"]}
        ids.setdefault((order, parts["coverage"]["reference"]), set()).add(parts["coverage-assertion-id"])
    assert all(len(one) == 1 for one in ids.values())
    assert len(set().union(*ids.values())) == len(ids)


# -- cards ------------------------------------------------------------------------------------------------


@requirement("cds-hooks/card-attributes", "crd-2.0.1/associated-resource")
@each_answer
def test_each_card_has_what_cds_hooks_and_crd_want_of_it(answer: Answer) -> None:
    uuids = [card["uuid"] for card in answer.response["cards"]]
    uuids += [one["uuid"] for card in answer.response["cards"] for one in card.get("suggestions", ())]
    assert len(set(uuids)) == len(uuids)
    for card in answer.response["cards"]:
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in ("info", "warning")
        assert card["source"]["label"]
        assert set(card["source"]["topic"]) == {"system", "code", "display"}
        ours = "terminology.hl7.org" in card["source"]["topic"]["system"]
        assert ours == (answer.version == "2.2")
        associated = card["extension"]["davinci-crd.associated-resource"]
        assert all(isinstance(one, str if answer.version == "2.0" else dict) for one in associated)
        assert card["detail"].strip()
        assert ("selectionBehavior" in card) == ("suggestions" in card)
        assert not ("links" in card and "suggestions" in card)


@requirement("cds-hooks/actions", "cds-hooks/links")
@each_answer
def test_each_card_has_the_shape_of_its_kind(answer: Answer) -> None:
    for card in answer.response["cards"]:
        match card["source"]["topic"]["code"]:
            case "guideline":  # External Reference
                assert card["links"]
                assert all(one["type"] == "absolute" and one["url"].startswith("https://") for one in card["links"])
                assert "appContext" not in json.dumps(card["links"])
            case "clinical-reminder":  # Instructions
                assert "links" not in card
                assert "suggestions" not in card
            case "claim" | "insurance":  # Propose Alternate Request, Identify Additional Orders; Update Coverage
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


@requirement("cds-hooks/no-empty-values")
@each_answer
def test_nothing_empty_is_sent_but_the_two_lists_that_may_be(answer: Answer) -> None:
    # systemActions is owed on a primary hook, if need be empty; elsewhere it comes only with something in it
    primary = HOOKS[answer.request["hook"]].primary
    assert set(answer.response) - {"systemActions"} == {"cards"}
    assert "systemActions" in answer.response or not primary
    assert set(_empties(answer.response)) <= {".cards", *((".systemActions",) if primary else ())}


@requirement("cds-hooks/no-empty-values")
def test_discovery_sends_nothing_empty() -> None:
    assert not set(_empties(discovery(FakeCatalogue())))


@requirement("dev-1")
@pytest.mark.parametrize("version", discovery(FakeCatalogue())["services"][0]["extension"]["davinci-crd.version"])
def test_a_version_is_written_as_major_and_minor(version: str) -> None:
    # the published pattern wants no zero after the dot, and so cannot name 2.0; the test suites of the guide allow it
    assert re.fullmatch(r"[1-9]\d*\.\d+", version)
