"""The collector of policy cases is a test tool, so it is tested: it fails what fails, refuses what it cannot read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.policy.small_plan import definitions

pytest_plugins = ["pytester"]

GOOD = """
cases:
  - name: no saturation on record asks and does not refuse
    on: 2026-02-10
    order: {hcpcs: E1390}
    expect: {paNeeded: auth-needed, criteria: {acme-oxygen.rest: unknown}}
"""


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """A folder with the small plan, its value sets and payer, and room for cases.yaml."""
    root = pytester.path / "plans" / "acme" / "oxygen" / "2024-06-01"
    for one in definitions():
        place = pytester.path / one.where
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(one.resource))
    return root


def run(pytester: pytest.Pytester, folder: Path, cases: str) -> pytest.RunResult:
    (folder / "cases.yaml").write_text(cases)
    return pytester.runpytest("-p", "tests.policy_cases", str(folder), "-p", "no:cacheprovider")


def test_a_case_that_holds_passes_as_a_node_of_its_own(pytester: pytest.Pytester, folder: Path) -> None:
    run(pytester, folder, GOOD).assert_outcomes(passed=1)


def test_a_case_that_must_fail_fails_with_wanted_got_and_the_reasons(pytester: pytest.Pytester, folder: Path) -> None:
    result = run(pytester, folder, GOOD.replace("acme-oxygen.rest: unknown", "acme-oxygen.rest: met"))
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "acme-oxygen.rest: wanted 'met', got 'unknown'" in text
    assert "no saturation on record asks" in text and "because:" in text
    assert "Traceback" not in text and ".py:" not in text


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        pytest.param(GOOD.replace("expect:", "expct:"), "'expct'; did you mean 'expect'?", id="misspelt key"),
        pytest.param(GOOD.replace("paNeeded", "paNeded"), "did you mean 'paNeeded'?", id="misspelt expectation"),
        pytest.param(GOOD.split("    expect")[0], "expects nothing", id="no expect"),
        pytest.param("", "no cases", id="empty file"),
        pytest.param("cases: []", "no cases", id="empty list"),
        pytest.param(GOOD + GOOD.split("cases:\n")[1], "no name of its own", id="two cases of one name"),
        pytest.param(GOOD.replace("    on: 2026-02-10\n", "    on: 2026-02-10\n    on: 2026-02-11\n"), "given twice",
                     id="key given twice"),
        pytest.param("cases: [", "not YAML", id="not YAML"),
        pytest.param(GOOD.replace("order:", "chart: charts/none.json\n    order:"), "no chart 'charts/none.json'",
                     id="chart that is not there"),
    ],
)  # fmt: skip
def test_a_file_with_a_fault_runs_no_case_and_says_so(
    pytester: pytest.Pytester, folder: Path, cases: str, words: str
) -> None:
    result = run(pytester, folder, cases)
    result.assert_outcomes(errors=1)
    assert words in result.stdout.str()


EACH = """
cases:
  - name: each oxygen code is spoken of
    on: 2026-02-10
    each: [E1390, E1392]
    order: {hcpcs: $each-RR}
    expect: {paNeeded: auth-needed, suggestions: [no advice.rr.add]}
"""


def test_a_case_with_each_is_one_case_for_each_of_its_values(pytester: pytest.Pytester, folder: Path) -> None:
    result = run(pytester, folder, EACH.replace("E1392", "E1399"))
    result.assert_outcomes(passed=1, failed=1)
    assert "each oxygen code is spoken of [E1399]" in result.stdout.str()


@pytest.mark.parametrize(
    "each",
    [
        pytest.param("each: E1390", id="no list"),
        pytest.param("each: []", id="empty"),
        pytest.param("each: [E1390, E1390]", id="one value twice"),
        pytest.param("each: [{}]", id="no code or number"),
    ],
)
def test_an_each_that_is_no_list_of_different_values_is_a_fault(
    pytester: pytest.Pytester, folder: Path, each: str
) -> None:
    result = run(pytester, folder, EACH.replace("each: [E1390, E1392]", each))
    result.assert_outcomes(errors=1)
    assert "each: no list of different values" in result.stdout.str()


def test_an_each_that_changes_nothing_is_a_fault(pytester: pytest.Pytester, folder: Path) -> None:
    run(pytester, folder, EACH.replace("$each-RR", "E1390")).assert_outcomes(errors=1)


def test_a_stub_of_a_fact_that_the_plan_has_not_is_a_failure(pytester: pytest.Pytester, folder: Path) -> None:
    result = run(pytester, folder, GOOD.replace("    expect", "    facts: {restingO3: 88 %}\n    expect"))
    result.assert_outcomes(failed=1)
    assert "the plan has no fact 'restingO3'" in result.stdout.str()
