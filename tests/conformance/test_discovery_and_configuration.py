"""What the server says of itself, and that it does what it says when a call chooses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service.crd.versions import VERSIONS
from tests.conformance.calls import (
    CALLS,
    CONFIGURATION,
    PRIMARY,
    answered,
    asking,
    call_of,
    conversation,
    refused,
    without_ids,
    written,
)
from tests.conformance.statements import requirement

each_hook = pytest.mark.parametrize("hook", CALLS)
# CodeSystem cdshooks-card-type, the codes of CRD's response types, and the one that the guide's examples add
CARD_TYPES = {
    "coverage-info", "unsolicited-determ", "claim", "insurance", "limits", "network", "appropriate-use", "cost",
    "therapy-alternatives-opt", "therapy-alternatives-req", "clinical-reminder", "duplicate-therapy",
    "contraindication", "guideline", "off-guideline", "max-cards",
}  # fmt: skip
# no listed type fits a link into an app for questionnaires: the list leaves that to coverage-information
OWN_TYPES = {"dtr-card"}
NONSENSE: list[Any] = [
    {"coverage-info": "no", "max-cards": -3},
    {"max-cards": 0, "guideline": None},
    {"max-cards": 1e99},
    {"coverage-info": False, "guideline": False, "claim": False, "clinical-reminder": False, "max-cards": 100},
    {"coverage-info": [], "max-cards": {"a": 1}, "guideline": 7},
    [],
    "all",
    None,
    7,
]


@pytest.fixture(scope="module")
def services(service: FlaskClient) -> list[dict[str, Any]]:
    response = service.get("/cds-services")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    found = json.loads(response.data)["services"]
    assert isinstance(found, list)
    return list(found)


def options(one: dict[str, Any]) -> list[dict[str, Any]]:
    return list(one["extension"]["davinci-crd.configuration-options"])


@requirement("cds-hooks/discovery-path", "crd_discovery_endpoint_test", "crd_v221_discovery_endpoint_test")
@requirement("cds-hooks/service-fields", "crd_discovery_services_validation")
def test_each_service_has_what_a_service_must_have(services: list[dict[str, Any]]) -> None:
    assert services
    for one in services:
        for name in ("hook", "id", "description"):
            assert isinstance(one[name], str) and one[name].strip(), name
        assert re.fullmatch(r"[\w.~-]+", one["id"]), "an id is a segment of a URL"
        assert all(isinstance(each, str) and each for pair in one["prefetch"].items() for each in pair)
    assert len({one["id"] for one in services}) == len(services)


@requirement("hook-4", "ops-1", "found-15")
def test_each_of_the_six_hooks_has_one_service(services: list[dict[str, Any]]) -> None:
    assert sorted(one["hook"] for one in services) == sorted(CALLS)


@requirement("cds-hooks/service-url")
@each_hook
def test_a_service_answers_where_discovery_says(
    hook: str, services: list[dict[str, Any]], service: FlaskClient
) -> None:
    (one,) = [each for each in services if each["hook"] == hook]
    assert service.post(f"/cds-services/{one['id']}", json=call_of(hook)).status_code == 200


@requirement("dev-1", "crd_v221_discovery_services_validation")
def test_each_service_lists_its_versions(services: list[dict[str, Any]]) -> None:
    for one in services:
        versions = one["extension"]["davinci-crd.version"]
        assert versions
        assert all(re.fullmatch(r"[1-9]\d*\.\d+", each) for each in versions)


@requirement("dev-2", "crd-2.2/requested-version")
@each_hook
def test_exactly_the_versions_that_are_listed_are_answered(
    hook: str, services: list[dict[str, Any]], service: FlaskClient
) -> None:
    (one,) = [each for each in services if each["hook"] == hook]
    listed = one["extension"]["davinci-crd.version"]
    assert sorted(listed) == sorted(each.name for each in VERSIONS)
    for version in ("1.0", "1.1", "2.0", "2.1", "2.2", "2.3", "3.0"):
        if version in listed:
            answered(service, asking(call_of(hook), version))
        else:
            refused(service, asking(call_of(hook), version), 422, hook)


@requirement("crd-2.2/requested-version")
def test_a_call_is_answered_in_the_version_that_it_requests(service: FlaskClient) -> None:
    systems = {
        version: {card["source"]["topic"]["system"] for card in answer["cards"]}
        for version in ("2.0", "2.0.1", "2.1", "2.1.0", "2.2", "2.2.1")
        for answer in [answered(service, asking(call_of("order-sign"), version))]
    }
    old = {"http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"}
    new = {"http://terminology.hl7.org/CodeSystem/cdshooks-card-type"}
    assert systems == {"2.0": old, "2.0.1": old, "2.1": old, "2.1.0": old, "2.2": new, "2.2.1": new}


@requirement("dev-4", "dev-8", "crd_v221_discovery_configuration")
def test_an_option_has_its_five_members_and_is_unlike_the_others(services: list[dict[str, Any]]) -> None:
    for one in services:
        for option in options(one):
            assert set(option) == {"code", "type", "name", "description", "default"}
            assert all(isinstance(option[name], str) and option[name] for name in ("code", "name", "description"))
            kind = {"boolean": bool, "integer": int}[option["type"]]
            assert type(option["default"]) is kind
        for name in ("code", "name", "description"):
            said = [option[name] for option in options(one)]
            assert len(set(said)) == len(said)
        if one["hook"] in PRIMARY:
            assert ("coverage-info", "boolean") in [(option["code"], option["type"]) for option in options(one)]


@requirement("dev-7", "dev-9")
def test_codes_come_from_the_list_and_mean_the_same_on_every_hook(services: list[dict[str, Any]]) -> None:
    by_code: dict[str, list[dict[str, Any]]] = {}
    for one in services:
        for option in options(one):
            assert option["code"] in CARD_TYPES | OWN_TYPES
            assert option["code"].replace("-", "_").isidentifier()
            by_code.setdefault(option["code"], []).append(option)
    assert all(option == listed[0] for listed in by_code.values() for option in listed)


def _types(answer: dict[str, Any]) -> set[str]:
    """The card types that came."""
    came = {card["source"]["topic"]["code"] for card in answer["cards"]}
    return came | ({"coverage-info"} if written(answer) else set())


@requirement("dev-5", "dev-10", "dev-14")
@each_hook
def test_every_type_that_comes_has_a_switch_and_comes_no_more_when_it_is_off(
    hook: str, services: list[dict[str, Any]], service: FlaskClient
) -> None:
    (one,) = [each for each in services if each["hook"] == hook]
    switches = {option["code"] for option in options(one) if option["type"] == "boolean"}
    came = _types(answered(service, call_of(hook)))
    assert came <= switches
    for code in sorted(switches):
        call = {**call_of(hook), "extension": {CONFIGURATION: {code: False}}}
        assert _types(answered(service, call)) == came - {code}


@requirement("dev-14")
@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_no_more_cards_come_than_a_call_allows_and_the_first_stay(most: int, service: FlaskClient) -> None:
    all_of_them = answered(service, call_of("order-sign"))["cards"]
    assert len(all_of_them) > 3
    call = asking(call_of("order-sign"), max_cards=most)
    assert without_ids(answered(service, call)["cards"]) == without_ids(all_of_them[:most])


@requirement("dev-6", "dev-17")
@each_hook
@pytest.mark.parametrize("configuration", NONSENSE, ids=[json.dumps(one)[:30] for one in NONSENSE])
def test_a_configuration_that_makes_no_sense_is_survived(configuration: Any, hook: str, service: FlaskClient) -> None:
    answer = answered(service, {**call_of(hook), "extension": {CONFIGURATION: configuration}})
    assert isinstance(answer["cards"], list)


@requirement("crd-2.2/what-if")
def test_with_unsolicited_determinations_off_nothing_is_told_as_satisfied(service: FlaskClient) -> None:
    call = conversation("authorization-on-file")
    on, off = (
        next(iter(written(answered(service, asking(call, unsolicited_determ=wanted))).values()))[0]
        for wanted in (True, False)
    )
    assert (on["pa-needed"], len(on["satisfied-pa-id"])) == (["satisfied"], 1)
    assert off["pa-needed"] != ["satisfied"]
    assert "satisfied-pa-id" not in off


# -- prefetch templates -----------------------------------------------------------------------------------


@requirement("found-24", "crd_v221_discovery_prefetch_support")
def test_every_service_asks_for_the_patient_and_the_coverage(services: list[dict[str, Any]]) -> None:
    for one in services:
        templates = set(one["prefetch"].values())
        assert "Patient/{{context.patientId}}" in templates
        assert "Coverage?patient={{context.patientId}}&status=active" in templates


@requirement("cds-hooks/prefetch-tokens")
def test_a_template_uses_only_what_comes_before_it(services: list[dict[str, Any]]) -> None:
    users = {"userPractitionerId", "userPractitionerRoleId", "userPatientId", "userRelatedPersonId"}
    for one in services:
        before: set[str] = set()
        for key, template in one["prefetch"].items():
            for token in re.findall(r"\{\{(.*?)\}\}", template):
                for path in token.split("|"):
                    earlier = re.match(r"%(\w+)", path)
                    of_context = re.match(r"context\.(\w+)", path)
                    assert (earlier and earlier[1] in before) or of_context or path in users, f"{key}: {path}"
            before.add(key)


def _normal(template: str) -> str:
    """A template with the alternatives of its token in order: their order does not count, nor do keys."""
    return re.sub(r"\{\{(.*?)\}\}", lambda found: "{{" + "|".join(sorted(found[1].split("|"))) + "}}", template)


@requirement("found-29", "crd_v221_discovery_standard_prefetch_expressions")
@each_hook
def test_the_standard_expressions_are_all_asked_for(
    hook: str, services: list[dict[str, Any]], fhir_folder: Path
) -> None:
    printed = json.loads((fhir_folder / "examples" / "crd-ig" / "crd-2.2.1-CRDServices.json").read_bytes())
    (standard,) = [one["prefetch"] for one in printed["services"] if one["hook"] == hook]
    (ours,) = [one["prefetch"] for one in services if one["hook"] == hook]
    asked = {_normal(one) for one in ours.values()}
    assert {key for key, one in standard.items() if _normal(one) not in asked} == set()
