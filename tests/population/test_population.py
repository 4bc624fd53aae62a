"""A form is filled the same by a client that runs CQL, by one that runs FHIRPath, and as our own words would have it.

The charts are those of the policies' cases. What our words say of the same items is the measure;
where a client cannot say the same, the difference stands in `DIFFERENCES` with its reason, and nothing else may differ.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cds_service.dtr.dialects import DTR_22, DTR_22_FHIRPATH
from cds_service.dtr.populated_form import populated
from cds_service.dtr.population_cql import cql_of
from cds_service.dtr.population_library import compiled_from
from cds_service.fhir.dates import parse_date
from cds_service.fhir.record import Record
from cds_service.fhir.references import own_reference
from cds_service.policy.case_file import Case, read_cases
from cds_service.policy.cases import situation_of
from cds_service.policy.criteria import Verdicts
from cds_service.policy.items import OrderLine, Reading, item_date, retrieve
from cds_service.policy.model import Situation
from cds_service.policy.plan import Policy
from cds_service.policy.population import MOST_TOLD, Population, codes_of, population_of
from cds_service.policy.words import evidence
from tests.policy_cases import loaded

HERE = Path(__file__).parent
PLANS = HERE.parent.parent / "plans"

# of one policy, spread evenly over its cases: an engine takes a fifth of a second for each
MOST_CHARTS = 80

# what a client cannot say as we do, and why
# (the draft alone tells the circumstances of a value: they are no part of the words that are compared here)
DIFFERENCES = {
    "another unit": "a value in another unit is told as it was sent; we convert it",
    "a component": "a query by code finds what the Observation is of, not what its components are of",
    "the order at hand": "a client does not know which order the form is for; we do not count it as its own evidence",
    "not usable": "a value outside what is plausible is told by a client; we say that it cannot be used",
    "order": "a query sorts by one date, and an engine of CQL by the clock on the wall: within a day it may differ",
    "another spelling": "a query is for the code as the value set has it; we know T45.4X1A without its dot, too",
    "no date of its own": "a member of a panel has the panel's date with us",
}


def _policies(config: pytest.Config) -> list[tuple[Policy, Population]]:
    _, catalogue = loaded(config, PLANS)
    return [(one, made) for one in catalogue.policies if (made := population_of(one)) is not None]


def test_the_libraries_are_what_the_plans_make_of_them(pytestconfig: pytest.Config) -> None:
    """Without Java: the text is made anew; the ELM says which text it was compiled from. Behind? `make population`."""
    _, catalogue = loaded(pytestconfig, PLANS)
    held = {f"{one.get('url')}|{one.get('version')}": one for one in catalogue.resources}
    wanted = _policies(pytestconfig)
    assert len(wanted) > 3
    for policy, population in wanted:
        library, text = held[population.canonical], cql_of(population)
        [cql, elm] = library["content"]
        assert base64.b64decode(cql["data"]).decode() == text, policy.canonical
        assert elm["title"] == compiled_from(text), policy.canonical
        assert (PLANS.parent / policy.where).with_name("population.cql").read_text(encoding="utf-8") == text
        inside = json.loads(base64.b64decode(elm["data"]))["library"]
        assert inside["identifier"] == {"type": "VersionedIdentifier", "id": library["name"], "version": policy.version}
        defined = {one["name"] for one in inside["statements"]["def"]}
        assert {line.split()[1].rstrip(":") for line in text.splitlines() if line.startswith("define M")} <= defined
        for one in library["relatedArtifact"]:
            assert one["resource"] in held, one


def test_no_threshold_and_no_window_of_a_policy_is_in_its_library(pytestconfig: pytest.Config) -> None:
    for _, population in _policies(pytestconfig):
        text = cql_of(population)
        assert "<" not in text.replace("List<String>", "") and "Today" not in text and "orderDate" not in text


# -- in the languages of clients ----------------------------------------------------------------------------


@cache
def _node() -> str | None:
    if shutil.which("node") is None:
        return "no node: apt-get install nodejs"
    if not (HERE / "node_modules" / "cql-execution").is_dir():
        return "the engines are not here: npm ci --prefix tests/population"
    return None


def _charts(policy: Policy, folders: Any) -> Iterator[tuple[Case, list[Any]]]:
    """Every distinct chart of the cases: of those that differ in the code of a Condition alone, one."""
    folder = policy.where.rsplit("/", 1)[0]
    seen: set[str] = set()
    for unread in folders.cases:
        if unread.where.rsplit("/", 1)[0] != folder:
            continue
        file, _ = read_cases(unread.text, unread.where, unread.charts)
        for case in file.cases:
            alike = [{**one, "code": None} if one.get("resourceType") == "Condition" else one for one in case.chart]
            key = json.dumps([alike, case.patient], default=str, sort_keys=True)
            if case.chart and key not in seen:
                seen.add(key)
                yield case, [one for kind in _types(situation_of(case, policy).record) for one in kind]


def _types(record: Record) -> Iterator[list[Any]]:
    yield [record.patient]
    for kind in (
        "Condition",
        "DeviceRequest",
        "DiagnosticReport",
        "DocumentReference",
        "Observation",
        "ServiceRequest",
    ):
        yield list(record.of_type(kind))


@cache
def _filled(config: pytest.Config) -> list[tuple[Policy, Population, Case, Mapping[str, Any]]]:
    folders, catalogue = loaded(config, PLANS)
    held = {f"{one.get('url')}|{one.get('version')}": one for one in catalogue.resources}
    asked: list[tuple[Policy, Population, Case]] = []
    given: dict[str, Any] = {"libraries": [], "valueSets": [], "forms": {}, "charts": []}
    for policy, population in _policies(config):
        assert policy.form is not None
        forms = {
            name: populated(policy.form.resource, population, catalogue.resources, dialect)
            for name, dialect in (("cql", DTR_22), ("fhirpath", DTR_22_FHIRPATH))
        }
        forms["cql"] = {**forms["cql"], "library": population.name}
        given["forms"][policy.canonical] = forms
        given["libraries"].append(_elm(held[population.canonical]))
        charts = list(_charts(policy, folders))
        for case, resources in charts[:: len(charts) // MOST_CHARTS + 1]:
            asked.append((policy, population, case))
            given["charts"].append({"form": policy.canonical, "resources": resources})
    given["libraries"].append(_elm(next(one for one in held.values() if one.get("name") == "FHIRHelpers")))
    given["valueSets"] = [one for one in held.values() if one["resourceType"] == "ValueSet"]
    text = json.dumps(given, default=str)
    ran = subprocess.run(["node", "fill.mjs"], cwd=HERE, input=text, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    answers = json.loads(ran.stdout)
    return [(*one, answer) for one, answer in zip(asked, answers, strict=True)]


def _elm(library: Mapping[str, Any]) -> Any:
    return json.loads(base64.b64decode(library["content"][1]["data"]))


@pytest.fixture
def filled(pytestconfig: pytest.Config) -> list[tuple[Policy, Population, Case, Mapping[str, Any]]]:
    missing = _node()
    if missing is not None:
        pytest.skip(missing)
    return _filled(pytestconfig)


def test_cql_and_fhirpath_fill_a_form_the_same(filled: Any) -> None:
    assert len(filled) > 50
    told = 0
    for policy, population, case, answer in filled:
        told += sum(text is not None for text in answer["cql"].values())
        assert answer["cql"].keys() == answer["fhirpath"].keys()
        for one in population.told:
            cql, path = _said(answer["cql"], one.link_id), _said(answer["fhirpath"], one.link_id)
            by_value = all(population.sources[name].measurement is not None for name in one.sources)
            at = (policy.canonical, case.name, one.link_id)
            assert sorted(cql) == sorted(path), at
            if by_value:  # DIFFERENCES, "order"
                assert [line[-10:] for line in cql] == [line[-10:] for line in path], at
    assert told > 100


def _said(texts: Mapping[str, str | None], link_id: str) -> list[str]:
    return (texts[link_id] or "").split("; ")


def test_what_they_fill_in_are_our_own_words_but_for_what_they_cannot_say(
    filled: Any, pytestconfig: pytest.Config
) -> None:
    _, catalogue = loaded(pytestconfig, PLANS)
    sets = {f"{one.get('url')}|{one.get('version')}": frozenset(codes_of(one)) for one in catalogue.resources}
    seen: set[str] = set()
    for policy, population, case, answer in filled:
        situation = situation_of(case, policy)
        for told in population.told:
            words = _words(policy, population, told.sources, situation, sets)
            got = set(filter(None, _said(answer["cql"], told.link_id)))
            reasons = {reason for _, reason in words if reason}
            seen |= reasons
            plain = {text for text, reason in words if not reason}
            at = (policy.canonical, case.name, told.link_id, got, words)
            assert plain <= got if reasons else plain == got, at
    assert seen <= DIFFERENCES.keys()


def _words(
    policy: Policy,
    population: Population,
    names: tuple[str, ...],
    situation: Situation,
    sets: Mapping[str, frozenset[tuple[str, str]]],
) -> list[tuple[str, str | None]]:
    """What we say of the items of these sources, newest first, and why a client would say otherwise."""
    facts = Verdicts(policy, situation).facts
    found: list[tuple[str, str | None]] = []
    for name in names:
        fact = policy.facts[name]
        resources = facts._resources(fact)
        raw = retrieve(fact, resources, situation.record, facts, situation.line["reference"])
        items = [*raw.items, *raw.candidates] if raw is not None else []
        items.sort(key=_age, reverse=True)
        codes = sets[population.sources[name].value_set]
        told = [(evidence(one, situation).display, _difference(one, codes, situation)) for one in items]
        found += told[:MOST_TOLD]
        if raw is not None and raw.unusable:
            found.append(("", "not usable"))
        if any(own_reference(one) == situation.line["reference"] for one in resources):
            found.append(("", "the order at hand"))
    return found


def _difference(item: Any, codes: frozenset[tuple[str, str]], situation: Situation) -> str | None:
    resource = getattr(item, "resource", item)
    concept = resource.get("type") if resource["resourceType"] == "DocumentReference" else _concept(resource)
    own = {(one.get("system"), one.get("code")) for one in (concept or {}).get("coding", ())}
    if isinstance(item, Reading) and "valueQuantity" not in resource:
        return "a component"
    if own.isdisjoint(codes):
        return "another spelling"
    if isinstance(item, OrderLine):
        return None if item.get("code", {}).get("code") in {code for _, code in own} else "another spelling"
    if isinstance(item, Reading):
        if item.sent is not None:
            return "another unit"
        dated = resource.get("effectiveDateTime") or resource.get("effectiveInstant") or resource.get("effectivePeriod")
        return "no date of its own" if dated is None and item.when is not None else None
    return None


def _concept(resource: Mapping[str, Any]) -> Any:
    return resource.get("code") or resource.get("codeCodeableConcept")


def _age(item: Any) -> Any:
    when = item_date(item) or parse_date("0001-01-01")
    assert when is not None
    return when.instant_key
