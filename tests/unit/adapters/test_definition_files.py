"""The definition folders: what is read, what is passed over, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_service.adapters.definition_files import DefinitionFolders, read_definition_folders


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """plans/ with one policy and its cases, valuesets/ with one set."""
    put(tmp_path, "plans/payers/acme.json", '{"resourceType": "InsurancePlan"}')
    put(tmp_path, "plans/acme/cpap/2026-01-01/PlanDefinition.json", '{"resourceType": "PlanDefinition"}')
    put(tmp_path, "plans/acme/cpap/2026-01-01/cases.yaml", "cases: []\n")
    put(tmp_path, "plans/acme/cpap/2026-01-01/charts/sleeps-badly.json", '{"resourceType": "Bundle"}')
    put(tmp_path, "plans/acme/cpap/README.md", "# CPAP\n")
    put(tmp_path, "valuesets/order-cpap.json", '{"resourceType": "ValueSet"}')
    return tmp_path


def put(root: Path, path: str, text: str | bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())


def read(root: Path) -> DefinitionFolders:
    return read_definition_folders(root / "plans", root / "valuesets")


def problems(root: Path) -> list[str]:
    return [str(problem) for problem in read(root).problems]


def test_definitions_come_in_the_order_of_their_paths_with_the_folder_they_stand_in(folders: Path) -> None:
    found = read(folders)
    assert found.problems == ()
    assert [(file.definition.where, file.definition.folder) for file in found.files] == [
        ("plans/acme/cpap/2026-01-01/PlanDefinition.json", "2026-01-01"),
        ("plans/payers/acme.json", "payers"),
        ("valuesets/order-cpap.json", "valuesets"),
    ]
    assert found.files[0].text == b'{"resourceType": "PlanDefinition"}'


def test_cases_come_with_the_charts_beside_them(folders: Path) -> None:
    [cases] = read(folders).cases
    assert cases.where == "plans/acme/cpap/2026-01-01/cases.yaml"
    assert cases.text == "cases: []\n"
    assert cases.charts == {"charts/sleeps-badly.json": {"resourceType": "Bundle"}}


def test_a_chart_is_not_a_definition_but_its_faults_are_told(folders: Path) -> None:
    put(folders, "plans/acme/cpap/2026-01-01/charts/torn.json", "{")
    [problem] = problems(folders)
    assert problem.startswith("plans/acme/cpap/2026-01-01/charts/torn.json: not JSON at line 1, column 2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON at line 1, column 2"),
        ("", "not JSON at line 1, column 1"),
        ("[]", "not a JSON object"),
        ("1", "not a JSON object"),
        ('{"id": "a", "id": "b"}', "'id' twice in one object"),
        ('{"value": NaN}', "NaN is no JSON number"),
        (b'{"id": "\xff"}', "byte 8 is not UTF-8"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_strict_json_object_is_refused(folders: Path, text: str | bytes, words: str) -> None:
    put(folders, "valuesets/broken.json", text)
    [problem] = problems(folders)
    assert problem.startswith("valuesets/broken.json: ")
    assert words in problem


def test_all_broken_files_are_told_at_once(folders: Path) -> None:
    put(folders, "valuesets/a.json", "{")
    put(folders, "plans/b.json", "[]")
    put(folders, "plans/acme/cases.yml", "cases: []")
    assert len(problems(folders)) == 3


@pytest.mark.parametrize("name", ["cases.yml", "PlanDefinition.JSON", "notes.txt"])
def test_a_file_that_nothing_reads_is_refused_since_its_name_may_be_misspelt(folders: Path, name: str) -> None:
    put(folders, f"plans/acme/cpap/2026-01-01/{name}", "{}")
    [problem] = problems(folders)
    assert "a file that nothing reads" in problem


def test_a_list_of_survivors_is_passed_over_for_mutation_reads_it(folders: Path) -> None:
    put(folders, "plans/acme/cpap/2026-01-01/survivors.yaml", "survivors: []")
    put(folders, "valuesets/survivors.yaml", "survivors: []")
    assert problems(folders) == []


def test_hidden_files_are_passed_over(folders: Path) -> None:
    put(folders, "plans/.lock", "x")
    put(folders, "plans/.git/config.json", "x")
    assert problems(folders) == []


def test_a_link_back_to_its_own_folder_is_not_followed(folders: Path) -> None:
    (folders / "plans/acme/again").symlink_to(folders / "plans")
    assert len(read(folders).files) == 3


def test_an_empty_or_missing_folder_is_refused_and_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    assert problems(tmp_path) == [
        f"{tmp_path}/plans: no definition in this folder; point CDS_PLANS at the folder that holds them",
        f"{tmp_path}/valuesets: no such folder; point CDS_VALUESETS at the folder that holds them",
    ]


def test_what_is_to_do_is_told_with_its_line_wherever_it_stands(folders: Path) -> None:
    put(
        folders,
        "plans/acme/cpap/2026-01-01/PlanDefinition.json",
        '{\n  "title": "TO DO: the title; as a card says it"\n}',
    )
    put(
        folders,
        "plans/acme/cpap/2026-01-01/cases.yaml",
        'cases: [{hcpcs: "TO DO: a code; HCPCS", x: "TO DO: alone"}]\n',
    )
    put(folders, "plans/acme/cpap/2026-01-01/charts/sleeps-badly.json", '{"id": "TO DO: an id; any"}')
    put(folders, "plans/acme/cpap/README.md", "# CPAP\n\n**Source.** TO DO: the document; its title\n")
    found = read(folders)
    assert [str(one) for one in found.to_dos] == [
        "plans/acme/cpap/2026-01-01/PlanDefinition.json: line 2: to do: the title; as a card says it",
        "plans/acme/cpap/2026-01-01/cases.yaml: line 1: to do: a code; HCPCS",
        "plans/acme/cpap/2026-01-01/cases.yaml: line 1: to do: alone; write it",
        "plans/acme/cpap/2026-01-01/charts/sleeps-badly.json: line 1: to do: an id; any",
        "plans/acme/cpap/README.md: line 3: to do: the document; its title",
    ]
    assert "plans/acme/cpap/README.md" in found.unfinished
    assert "plans/payers/acme.json" not in found.unfinished


def test_folders_that_are_finished_have_nothing_to_do(folders: Path) -> None:
    assert read(folders).to_dos == ()
