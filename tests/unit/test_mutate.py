"""The mutation of policies is a test tool, so it is tested: on a small plan it finds the gap that was planted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cds_service.settings import Settings, read_settings
from mutate.mutants import expression_mutants, plan_mutants, set_mutants
from mutate.run import run
from mutate.survivors import check_survivors, read_survivors
from tests.unit.policy.small_plan import ICD, definitions, small_plan, value_set

BORDER = "restingLow: ...ists(), %restingO2.exists(value [<= -> <] 88 '%'))"


def slips(text: str) -> set[str]:
    return {changed for _, changed in expression_mutants(text)}


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        pytest.param("value <= 88 '%'", {"value < 88 '%'", "value <= 87 '%'", "value <= 89 '%'"}, id="threshold"),
        pytest.param("value > 5.1 '%'", {"value >= 5.1 '%'", "value > 5.0 '%'", "value > 5.2 '%'"}, id="decimal"),
        pytest.param("%a and %b", {"%a or %b"}, id="and"),
        pytest.param("%a.exists() or {}", {"%a.exists() and {}", "%a.exists() "}, id="unknown that would be no"),
        pytest.param("iif(%a, true, {})", {"iif(%a, false, {})", "iif(%a, true, true)", "iif(%a, true, false)"},
                     id="unknown as a branch"),
        pytest.param("%a.not()", {"%a"}, id="not"),
        pytest.param("x = 'RR'", {"x != 'RR'", "x = '~'"}, id="a code in an expression"),
        pytest.param("%day - 3 months", {"%day + 3 months", "%day - 2 months", "%day - 4 months", "%day - 90 days"},
                     id="calendar months"),
        pytest.param("%a | %b", {"{} | %b", "%a | {}"}, id="union"),
        pytest.param("memberOf('http://x/ValueSet/y|1')",
                     {"memberOf('urn:mutant:no-code|0')", "memberOf('urn:mutant:every-code|0')"}, id="value set"),
    ],
)  # fmt: skip
def test_each_slip_that_an_author_could_make_is_a_mutant(text: str, changed: set[str]) -> None:
    assert slips(text) == changed


def test_windows_groups_limits_determinations_and_papers_are_mutated() -> None:
    names = {one.name for one in plan_mutants(small_plan(), "x")}
    assert {
        "restingO2: window start [a day earlier]",
        "restingO2: window end [open]",
        "restingO2: limit [1 -> none]",
        "restingO2: sort [descending -> ascending]",
        "restingO2: per measurement [-> left out]",
        "acme-oxygen: selectionBehavior [all -> one-or-more]",
        "auth.all: paNeeded [auth-needed -> no-auth]",
        "auth.managed: criteria [False -> True]",
        "doc.report: document [clinical -> admin]",
        "advice.rr: condition [-> none]",
        "lung: dx-lung|1 [-> no code]",
        "lung: dx-lung|1 [-> every code]",
        "saturation: plausible high [100 -> 101]",
    } <= names


def test_mutants_of_one_file_have_names_of_their_own() -> None:
    mutants = plan_mutants(small_plan(), "x")
    assert len({one.name for one in mutants}) == len(mutants)


def test_a_short_list_loses_each_code_and_a_long_one_each_system_and_root() -> None:
    short = set_mutants(value_set("dx", ICD, "J44.9", "J84.10"), "x")
    assert [one.codes for one in short] == [{(ICD, "J449")}, {(ICD, "J8410")}]
    long = value_set("dx", ICD, *(f"J{n}.0" for n in range(10, 20)))
    long["compose"]["include"].append(
        {"system": ICD, "filter": [{"property": "concept", "op": "is-a", "value": "I27"}]}
    )
    long["expansion"]["contains"] += [{"system": ICD, "code": "I27"}, {"system": ICD, "code": "I27.0"}]
    listed, root = (one.codes for one in set_mutants(long, "x"))
    assert len(listed) == 10 and root == {(ICD, "I27"), (ICD, "I270")}


# -- the whole, on a folder


CASES = """
cases:
  - name: low at rest
    on: 2026-02-10
    order: {hcpcs: E1390}
    facts: {restingO2: 87 %}
    expect: {criteria: {acme-oxygen.rest: met}}
  - name: not low at rest
    on: 2026-02-10
    order: {hcpcs: E1390}
    facts: {restingO2: 89 %}
    expect: {criteria: {acme-oxygen.rest: not-met}}
"""
AT_THE_BORDER = """
  - name: at the border
    on: 2026-02-10
    order: {hcpcs: E1390}
    facts: {restingO2: 88 %}
    expect: {criteria: {acme-oxygen.rest: met}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A root with plans/ and valuesets/ of the small plan, and its cases with a gap: 88 % is not tried."""
    for one in definitions():
        place = tmp_path / one.where
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(one.resource))
    write_cases(tmp_path, CASES)
    return tmp_path


def write_cases(root: Path, text: str) -> None:
    (root / "plans/acme/oxygen/2024-06-01/cases.yaml").write_text(text)


def list_survivors(root: Path, names: dict[str, list[str]]) -> None:
    for place, mutants in names.items():
        listed = [{"reason": "planted here, to see whether it is found", "mutants": mutants}]
        (root / place).write_text(yaml.safe_dump({"survivors": listed}))


def hunted(root: Path, capsys: pytest.CaptureFixture[str], processes: int = 1) -> tuple[int, str, dict[str, list[str]]]:
    """Exit status, all that was printed, and the unexplained survivors by the file that could list them."""
    status = run(settings_of(root), [], processes)
    said = capsys.readouterr()
    alive: dict[str, list[str]] = {}
    for line in said.err.splitlines():
        where, found, rest = line.partition(": no case notices: ")
        if found:
            alive.setdefault(where, []).append(json.JSONDecoder().raw_decode(rest)[0])
    return status, said.err + said.out, alive


def settings_of(root: Path) -> Settings:
    settings, _ = read_settings({"CDS_PLANS": str(root / "plans"), "CDS_VALUESETS": str(root / "valuesets")})
    assert settings is not None
    return settings


PLAN_LIST = "plans/acme/oxygen/2024-06-01/survivors.yaml"


def test_the_planted_gap_is_found_and_the_case_that_closes_it_kills_the_mutant(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, alive = hunted(folder, capsys)
    assert status == 1 and BORDER in alive[PLAN_LIST]
    write_cases(folder, CASES + AT_THE_BORDER)
    _, _, alive = hunted(folder, capsys, processes=2)
    assert BORDER not in alive[PLAN_LIST]


def test_all_is_well_when_each_survivor_has_a_reason_and_only_then(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, alive = hunted(folder, capsys)
    list_survivors(folder, alive)
    status, said, left = hunted(folder, capsys)
    assert status == 0 and not left and "0 of them without a reason" in said
    write_cases(folder, CASES + AT_THE_BORDER)
    status, said, _ = hunted(folder, capsys)
    assert status == 1 and f'some case notices: "{BORDER}"' in said
    list_survivors(folder, {**alive, PLAN_LIST: [*alive[PLAN_LIST], "restingLow: gone"]})
    _, said, _ = hunted(folder, capsys)
    assert 'no such mutant: "restingLow: gone"' in said


def test_a_case_that_fails_unmutated_is_said_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cases(folder, CASES.replace("87 %", "99 %"))
    status, said, alive = hunted(folder, capsys)
    assert status == 1 and "wanted 'met', got 'not-met'" in said and not alive


def test_a_plan_without_cases_is_a_fault(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "plans/acme/oxygen/2024-06-01/cases.yaml").unlink()
    status, said, _ = hunted(folder, capsys)
    assert status == 1 and "no cases beside it" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("survivors: [", "not YAML", id="not YAML"),
        pytest.param("survivers: []", "no list of survivors", id="misspelt"),
        pytest.param("survivors: [{mutants: [a]}]", "not a reason with its mutants", id="without a reason"),
        pytest.param("survivors: [{reason: equal, mutants: [a]}]", "no reason", id="a word is no reason"),
        pytest.param(f"survivors: [{{reason: {'x' * 20}, mutants: []}}]", "excuses no mutant", id="of nothing"),
        pytest.param(f"survivors: [{{reason: {'x' * 20}, mutants: [a, a]}}]", "listed twice", id="twice"),
    ],
)
def test_a_list_of_survivors_is_read_strictly(text: str, words: str) -> None:
    _, problems = read_survivors(text, "survivors.yaml")
    assert any(words in str(one) for one in problems)


def test_what_was_not_tried_is_neither_killed_nor_gone() -> None:
    listed, _ = read_survivors("survivors: [{reason: 'two ways to say the same', mutants: [a]}]", "survivors.yaml")
    assert not check_survivors(listed, {}, {"a"})
