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


def test_the_number_of_cases_is_the_true_one() -> None:
    [cases] = (ROOT / "plans").glob("masshealth/home-oxygen/*/cases.yaml")
    charts = {f"charts/{one.name}": json.loads(one.read_text()) for one in (cases.parent / "charts").glob("*.json")}
    file, _ = read_cases(cases.read_text(), str(cases), charts)
    assert f"{len(file.cases)} for home oxygen" in README
