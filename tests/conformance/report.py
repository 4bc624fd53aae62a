"""`make conformance`: run the suite, and print each statement with what its tests came to."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from tests.conformance.statements import HERE, rows


class _Outcomes:
    """What became of the tests, by the ids that they carry."""

    def __init__(self) -> None:
        self._ids: dict[str, tuple[str, ...]] = {}
        self.of: dict[str, Counter[str]] = {}
        self.skipped: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marks = item.iter_markers("requirement")
            self._ids[item.nodeid] = tuple(str(one) for mark in marks for one in mark.args)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        outcome = "failed" if hasattr(report, "wasxfail") else report.outcome
        if outcome == "skipped" and isinstance(report.longrepr, tuple):
            self.skipped.add(str(report.longrepr[2]).removeprefix("Skipped: "))
        for one in self._ids.get(report.nodeid, ()):
            self.of.setdefault(one, Counter())[outcome] += 1


def main() -> int:
    outcomes = _Outcomes()
    status = int(pytest.main([str(HERE), "-q", "--no-header"], plugins=[outcomes]))
    results: Counter[str] = Counter()
    section = ""
    for row in rows():
        statement, result = row.statement, str(row.result)
        counted = outcomes.of.get(statement.id, Counter())
        if counted and (counted["failed"] or row.result != "departs"):
            result = "fail" if counted["failed"] else "pass" if counted["passed"] else "skipped"
        elif result == "pass":
            result = "elsewhere"  # held by tests of another folder, which did not run here
        results[result] += 1
        if statement.section != section:
            section = statement.section
            print(f"\n{section}")
        why = f"{counted.total()} tests" if result == "pass" else row.why
        print(f"  {result:<15}{'/'.join(statement.versions):<12}{statement.id:<58} {statement.says}  [{why}]")
    print("\n" + ", ".join(f"{count} {result}" for result, count in results.most_common()))
    for reason in sorted(outcomes.skipped):
        print(f"skipped: {reason}")
    return status


if __name__ == "__main__":
    sys.exit(main())
