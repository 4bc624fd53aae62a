"""The statements of statements.yaml, the tests that hold them, and the table that is made of both. Runs no test."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "conformance.md"
ALL = ("2.0", "2.1", "2.2")
Result = Literal["pass", "fail", "departs", "not applicable", "not yet"]
RESULTS: tuple[Result, ...] = ("pass", "fail", "departs", "not applicable", "not yet")
_MEMBERS = {"id", "in", "says", "held-by", "departs", "not-applicable", "not-yet", "note"}
ROOT = HERE.parents[1]

requirement = pytest.mark.requirement

_HEAD = """# Conformance

What CRD, CDS Hooks and the two Inferno server suites want of a server, and what became of it. `make conformance` runs
the tests and prints this table with their results; a test fails where this page no longer says what they say. A line
that is not tested says why, and what is missing.

Ids such as `dev-3` are those of the list of requirements that CRD 2.2 publishes, `crd-ci-q1` those of its invariants,
`crd_...` those of Inferno's tests, `dtr/spec-17` those of DTR; a rule that has no id is named after where it stands
(`cds-hooks/...`). CRD: the versions of the guide that say so; of DTR those of the same number. **departs**: we do
otherwise on purpose. **not applicable**: a permission, or nothing of it can be asked of this server. **not yet**: it
binds us, and is not built or not tested.

A test that is named with its folder runs outside this suite: those of `tests/browser` and `dtr_app/tests` in
`make browser`, the others in `make test`. Of DTR some statements bind whoever fills a form: they are held against our
own app, or say that they bind others.

"""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: where it belongs, which versions say it, and why no test holds it, if none does."""

    id: str
    section: str
    versions: tuple[str, ...]
    says: str
    departs: str | None
    not_applicable: str | None
    not_yet: str | None
    note: str | None
    held_by: tuple[str, ...] = ()  # tests outside this folder, as path::name

    @property
    def elsewhere(self) -> set[str]:
        """The files of those tests."""
        return {one.split("::")[0] for one in self.held_by}


@dataclass(frozen=True, slots=True)
class Holder:
    """A test that carries a statement's id. `fails` says why it is expected to."""

    module: str
    name: str
    ids: tuple[str, ...]
    fails: str | None


@dataclass(frozen=True, slots=True)
class Row:
    statement: Statement
    result: Result
    why: str


def statements() -> tuple[Statement, ...]:
    document = yaml.safe_load((HERE / "statements.yaml").read_text(encoding="utf-8"))
    return tuple(_statement(section, one) for section, listed in document.items() for one in listed)


def _statement(section: str, one: Mapping[str, Any]) -> Statement:
    assert set(one) <= _MEMBERS, f"{one['id']}: {set(one) - _MEMBERS}"
    versions = tuple(one.get("in", ALL))
    assert set(versions) <= set(ALL), one["id"]
    return Statement(
        one["id"],
        section,
        versions,
        one["says"],
        one.get("departs"),
        one.get("not-applicable"),
        one.get("not-yet"),
        one.get("note"),
        tuple(one.get("held-by", ())),
    )


def holders() -> Iterator[Holder]:
    """Every test of this folder that carries ids."""
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(f"tests.conformance.{path.stem}")
        for name, found in vars(module).items():
            if name.startswith("test_") and callable(found):
                yield from _holder(path.name, name, getattr(found, "pytestmark", []))


def _holder(module: str, name: str, marks: list[pytest.Mark]) -> Iterator[Holder]:
    ids = tuple(str(one) for mark in marks if mark.name == "requirement" for one in mark.args)
    if ids:
        fails = next((str(mark.kwargs["reason"]) for mark in marks if mark.name == "xfail"), None)
        yield Holder(module, name, ids, fails)


def rows() -> tuple[Row, ...]:
    """What the table says, as long as no test but those expected to fail does: the suite itself sees to that."""
    by_id: dict[str, list[Holder]] = {}
    for holder in holders():
        for one in holder.ids:
            by_id.setdefault(one, []).append(holder)
    return tuple(_row(one, by_id.get(one.id, [])) for one in statements())


def _row(statement: Statement, held: list[Holder]) -> Row:
    failing = [one for one in held if one.fails is not None]
    if failing:
        return Row(statement, "fail", "; ".join(sorted({str(one.fails) for one in failing})))
    if statement.departs is not None:
        return Row(statement, "departs", statement.departs)
    if held or statement.held_by:
        modules = ", ".join(f"`{one}`" for one in sorted({one.module for one in held} | statement.elsewhere))
        return Row(statement, "pass", f"{modules}; {statement.note}" if statement.note else modules)
    if statement.not_applicable is not None:
        return Row(statement, "not applicable", statement.not_applicable)
    return Row(statement, "not yet", statement.not_yet or "no test")


def page() -> str:
    """The table as a page of the documentation."""
    table = rows()
    said = [_HEAD, "| | " + " | ".join(RESULTS) + " |\n| --- |" + " --- |" * len(RESULTS) + "\n"]
    sections = list(dict.fromkeys(one.statement.section for one in table))
    for section in (*sections, "all"):
        of = [one for one in table if section in (one.statement.section, "all")]
        counts = (sum(one.result == result for one in of) for result in RESULTS)
        said.append(f"| {section} | " + " | ".join(map(str, counts)) + " |\n")
    for section in sections:
        said.append(f"\n## {section}\n\n| id | CRD | statement | result | held by, or why not |\n")
        said.append("| --- | --- | --- | --- | --- |\n")
        for row in table:
            if row.statement.section == section:
                one = row.statement
                cells = (f"`{one.id}`", ", ".join(one.versions), one.says, row.result, row.why)
                said.append("| " + " | ".join(cells) + " |\n")
    return "".join(said)
