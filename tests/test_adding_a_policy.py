"""docs/adding-a-policy.md, followed to the letter: its commands are run, its tables and blocks are written down."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from cds_service.adapters.definition_files import read_definition_folders
from cds_service.policy.case_completeness import form_gaps, gaps
from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import run_case
from cds_service.policy.load import load_catalogue
from tests.live_server import run

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "adding-a-policy.md").read_text(encoding="utf-8")
STEPS = re.split(r"^## \d\. .*$", PAGE, flags=re.MULTILINE)
VERSION = "plans/acme-health/oxygen-concentrator/2026-01-01"


@dataclass(frozen=True)
class ToDo:
    """A row of the page's tables: what `check` prints, and what is written instead."""

    file: str
    line: int
    what: str
    how: str
    written: str


def to_dos() -> list[ToDo]:
    found: list[ToDo] = []
    file = ""
    for line in STEPS[3].splitlines():
        named = re.fullmatch(r"`(\S+)`", line)
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if named:
            file = named[1]
        elif len(cells) == 4 and cells[0].isdigit():
            found.append(ToDo(file, int(cells[0]), cells[1], cells[2], cells[3]))
    return found


def command(step: int, number: int = 0) -> list[str]:
    """The words of a command that the page has typed."""
    program, *words = re.findall(r"```sh\n(.*?)\n```", STEPS[step], re.DOTALL)[number].split()
    assert program == "cds-service"
    return list(words)


def block(file: str) -> str:
    """The block that the page has added to a file."""
    found = re.search(rf"<!-- add: {re.escape(file)} \w+ -->\n```\w+\n(.*?)\n```", PAGE, re.DOTALL)
    assert found is not None, file
    return found[1]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Copies of the shipped folders."""
    for name in ("plans", "valuesets"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def settings(folders: Path) -> dict[str, str]:
    return {"CDS_PLANS": str(folders / "plans"), "CDS_VALUESETS": str(folders / "valuesets")}


@pytest.mark.docs
def test_the_page_leads_to_a_policy_that_passes_check(folders: Path) -> None:
    own = settings(folders)
    assert len(STEPS) == 6  # what comes before the first step, and five steps

    made = run(*command(1), **own)
    assert made.returncode == 0, made.stderr
    assert made.stdout == re.findall(r"```text\n(.*?\n)```", STEPS[1], re.DOTALL)[0]

    listed = run(*command(2), **own)
    assert listed.returncode == 1
    told = [f"{one.file}: line {one.line}: to do: {one.what}; {one.how}" for one in to_dos()]
    assert listed.stderr.splitlines() == told

    for one in to_dos():
        path = folders / one.file
        lines = path.read_text(encoding="utf-8").split("\n")
        assert f"TO DO: {one.what}; {one.how}" in lines[one.line - 1]
        lines[one.line - 1] = lines[one.line - 1].replace(f"TO DO: {one.what}; {one.how}", one.written)
        path.write_text("\n".join(lines), encoding="utf-8")

    below = [str(folders / word) if word.startswith("plans/") else word for word in command(4)]
    checked = run(*below, **own)
    assert checked.returncode == 0, checked.stderr
    assert "6 cases, 0 faults; " in checked.stdout
    assert "It ends with `6 cases, 0 faults`" in STEPS[4]

    shown = run(*command(4, 1), **own)
    assert shown.returncode == 0, shown.stderr
    assert "Chronic obstructive pulmonary disease" in shown.stdout

    plan = folders / VERSION / "PlanDefinition.json"
    resource = json.loads(plan.read_text(encoding="utf-8"))
    resource["action"].append(json.loads(block(f"{VERSION}/PlanDefinition.json")))
    plan.write_text(json.dumps(resource), encoding="utf-8")
    cases = folders / VERSION / "cases.yaml"
    text = cases.read_text(encoding="utf-8")
    cases.write_text(text.replace("\nunreachable:", f"\n{block(f'{VERSION}/cases.yaml')}\n\nunreachable:"), "utf-8")
    checked = run(*below, **own)
    assert checked.returncode == 0, checked.stderr
    assert "8 cases, 0 faults; " in checked.stdout
    assert "`8 cases, 0 faults`" in STEPS[5]

    # and the suite would find nothing that its cases leave out
    read = read_definition_folders(folders / "plans", folders / "valuesets")
    catalogue, problems = load_catalogue([file.definition for file in read.files])
    assert catalogue is not None, problems
    [policy] = [one for one in catalogue.policies if one.id == "acme-health-oxygen-concentrator"]
    [unread] = [one for one in read.cases if one.path == cases]
    file, problems = read_cases(unread.text, unread.where, unread.charts)
    assert not problems
    results = [run_case(case, policy) for case in file.cases]
    assert [*gaps(policy, file, results), *form_gaps(policy, results)] == []


def test_nothing_is_answered_from_folders_in_which_something_is_to_do(folders: Path) -> None:
    own = settings(folders)
    run(*command(1), **own)
    refused = run("serve", "--port", "0", CDS_CLIENT_AUTH="off", **own)
    assert refused.returncode == 1
    assert "to do: the policy's title" in refused.stderr


def test_a_policy_of_a_payer_that_is_held_needs_no_payer_file(folders: Path) -> None:
    made = run("new-policy", "masshealth", "walking-aids", "2026-01-01", **settings(folders))
    assert made.returncode == 0, made.stderr
    assert "plans/payers" not in made.stdout
    listed = run("check", **settings(folders))
    assert listed.returncode == 1
    assert all(": to do: " in line for line in listed.stderr.splitlines())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("Acme", "x", "2026-01-01"), "Acme: no name for a folder and an id"),
        (("acme", "a" * 60, "2026-01-01"), "too long an id"),
        (("masshealth", "home-oxygen", "2026-01-01"), "this policy is held; for a new version copy its newest folder"),
    ],
)
def test_new_policy_tells_why_it_writes_nothing(folders: Path, arguments: tuple[str, ...], told: str) -> None:
    before = sorted(folders.rglob("*"))
    refused = run("new-policy", *arguments, **settings(folders))
    assert refused.returncode == 1
    assert told in refused.stderr
    assert sorted(folders.rglob("*")) == before


def test_a_day_that_is_none_cannot_be_read_as_a_command() -> None:
    assert run("new-policy", "acme", "x", "2026-13-01").returncode == 2


@pytest.mark.docs
def test_make_writes_the_same_files_as_the_command() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "`make new-policy PAYER=... POLICY=... DATE=...`" in PAGE
    assert "bin/cds-service new-policy $(PAYER) $(POLICY) $(DATE)" in makefile
