"""Collects every cases.yaml under a plans folder as pytest nodes: one case, one node, and a failure says why.

Registered by the conftest at the root. A failing case shows folder, case, what was wanted, what came, and the reasons
of the verdicts; never a stack trace. A file with a fault is one failing node that shows every fault in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_service.adapters.definition_files import CASES, DefinitionFolders, read_definition_folders
from cds_service.policy.case_file import Case, read_cases
from cds_service.policy.cases import run_case
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import load_catalogue

_LOADED = pytest.StashKey[dict[Path, tuple[DefinitionFolders, Catalogue]]]()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.name == CASES:
        return CasesFile.from_parent(parent, path=file_path)
    return None


def loaded(config: pytest.Config, plans: Path) -> tuple[DefinitionFolders, Catalogue]:
    """The definitions below a plans folder and the valuesets folder beside it, loaded once a run."""
    found = config.stash.setdefault(_LOADED, {})
    if plans not in found:
        folders = read_definition_folders(plans, plans.parent / "valuesets")
        definitions = [file.definition for file in folders.files]
        catalogue, problems = load_catalogue(definitions)
        if catalogue is None or folders.problems or folders.to_dos:
            faults = [*folders.problems, *folders.to_dos, *problems]
            raise CasesFile.CollectError("\n".join(map(str, faults)))
        found[plans] = (folders, catalogue)
    return found[plans]


class CaseFailed(Exception):
    """A case that does not hold; the text is what a reader sees."""


class CasesFile(pytest.File):
    """One cases.yaml."""

    def collect(self) -> Iterator[pytest.Item]:
        plans = next((one for one in self.path.parents if one.name == "plans"), self.path.parent)
        folders, catalogue = loaded(self.config, plans)
        unread = next(one for one in folders.cases if one.path == self.path)
        file, problems = read_cases(unread.text, unread.where, unread.charts)
        if problems:
            raise self.CollectError("\n".join(str(problem) for problem in problems))
        for case in file.cases:
            yield PolicyCase.from_parent(self, name=case.name, case=case, catalogue=catalogue)


class PolicyCase(pytest.Item):
    """One case of one version of a policy."""

    def __init__(self, *, case: Case, catalogue: Catalogue, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case, self.catalogue = case, catalogue

    @property
    def folder(self) -> str:
        return self.case.where.split(f"/{CASES}")[0]

    def runtest(self) -> None:
        policy = next((one for one in self.catalogue.policies if one.where.startswith(f"{self.folder}/")), None)
        if policy is None:
            raise CaseFailed("no plan stands beside these cases")
        result = run_case(self.case, policy)
        if result.differences:
            raise CaseFailed("\n".join([*result.differences, "", "because:", *result.reasons]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, CaseFailed):
            return f"{self.folder}\n{self.case.name}\n\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.folder}: {self.case.name}"
