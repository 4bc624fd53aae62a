"""The README prints what the program does: its blocks are pieces of golden files, its commands are the Makefile's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cds_service.policy.case_file import read_cases

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "conversations" / "home-oxygen-order-sign"
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"<!-- golden: (\S+) (\S+) -->\n```(json|markdown)\n(.*?)\n```", re.DOTALL)

pytestmark = pytest.mark.docs


def at(document: Any, path: str) -> Any:
    for step in path.split("/"):
        document = document[int(step)] if step.isdigit() else document[step]
    return document


@pytest.mark.parametrize(("file", "path", "kind", "text"), BLOCK.findall(README))
def test_what_the_readme_prints_stands_in_the_golden_file(file: str, path: str, kind: str, text: str) -> None:
    golden = at(json.loads((GOLDEN / file).read_text()), path)
    assert (json.loads(text) if kind == "json" else text) == golden


def test_order_answer_card_and_suggestion_are_all_shown() -> None:
    paths = {path.rsplit("/", 1)[-1] for _, path, _, _ in BLOCK.findall(README)}
    assert {"resource", "extension", "detail", "codeCodeableConcept"} <= paths


def test_the_first_two_blocks_are_the_two_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    assert blocks[:2] == ["make serve", "make test"]


def cases_of(version: Path) -> int:
    charts = {f"charts/{one.name}": json.loads(one.read_text()) for one in (version / "charts").glob("*.json")}
    file, _ = read_cases((version / "cases.yaml").read_text(), str(version), charts)
    return len(file.cases)


def test_the_table_names_every_policy_with_its_versions_and_the_number_of_its_cases() -> None:
    rows = re.findall(r"\]\(plans/(\S+)/README\.md\) \| ([-\d, ]+) \| (\d+) \|", README)
    told = {folder: (versions.split(", "), int(cases)) for folder, versions, cases in rows}
    held: dict[str, tuple[list[str], int]] = {}
    for plan in sorted((ROOT / "plans").glob("*/*/*/PlanDefinition.json")):
        versions, cases = held.get(str(plan.parents[1].relative_to(ROOT / "plans")), ([], 0))
        held[str(plan.parents[1].relative_to(ROOT / "plans"))] = (
            [*versions, plan.parent.name],
            cases + cases_of(plan.parent),
        )
    assert told == held
