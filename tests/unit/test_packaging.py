"""What the package promises of itself: one place per outside thing, and a build that CI has tried."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds_service.fhir.codings import CPT, HCPCS

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "cds_service").rglob("*.py"))
CORE = ("fhir", "terminology", "policy", "pages", "crd", "dtr")


def inside(path: Path) -> str:
    return path.relative_to(ROOT / "cds_service").as_posix()


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def attributes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            yield node.attr


def test_flask_is_imported_in_web_and_app_only() -> None:
    using = {inside(path) for path in MODULES if any(name.startswith("flask") for name in imported(path))}
    assert using
    assert {name for name in using if not name.startswith("web/")} == {"app.py"}


def test_the_environment_is_read_in_settings_only() -> None:
    reading = {inside(path) for path in MODULES if {"environ", "environb", "getenv"} & set(attributes(path))}
    assert reading == {"settings.py"}


def test_only_the_composition_root_reads_a_clock() -> None:
    reading = {inside(path) for path in MODULES if {"now", "today", "utcnow"} & set(attributes(path))}
    assert reading == {"app.py"}


def test_every_module_opens_with_its_law() -> None:
    silent = [
        inside(path)
        for path in MODULES
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_import_contracts_forbid_the_core_what_the_house_plan_forbids_it(project: dict) -> None:
    contracts = {contract["name"]: contract for contract in project["tool"]["importlinter"]["contracts"]}
    pure = contracts["the core is pure"]
    assert {name.rpartition(".")[2] for name in pure["source_modules"]} == set(CORE)
    assert {
        *("flask", "requests", "urllib", "socket", "pathlib", "os", "logging", "random", "time", "sqlalchemy")
    } <= set(pure["forbidden_modules"])
    assert contracts["layers"]["exhaustive"]


def test_every_dependency_says_how_old_and_how_new_it_may_be(project: dict) -> None:
    loose = [
        name
        for name in project["project"]["dependencies"]
        if ">=" not in name or ("<" not in name and not name.startswith("tzdata"))
    ]
    assert loose == []


def test_policies_and_the_app_travel_in_the_wheel(project: dict) -> None:
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {
        "plans": "cds_service/shipped/plans",
        "valuesets": "cds_service/shipped/valuesets",
        "dtr_app/site": "cds_service/shipped/dtr_app/site",
    }


def systems_shipped() -> set[str]:
    found = set()
    for path in (ROOT / "valuesets").glob("*.json"):
        resource = json.loads(path.read_text(encoding="utf-8"))
        for part in (resource["compose"]["include"], resource["expansion"]["contains"]):
            found |= {one["system"] for one in part}
    return found


@pytest.mark.docs
def test_the_notice_names_every_code_system_of_which_codes_are_shipped() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    unnamed = {one for one in systems_shipped() if f"({one})" not in notice}
    # code systems of HL7's own stand under one roof
    assert {one for one in unnamed if not one.startswith("http://terminology.hl7.org/CodeSystem/")} == set()
    assert "(http://terminology.hl7.org)" in notice


@pytest.mark.docs
def test_the_notice_says_what_the_owners_ask_for() -> None:
    notice = " ".join((ROOT / "NOTICE").read_text(encoding="utf-8").split())
    for asked in (
        "This material contains content from LOINC (http://loinc.org). LOINC is copyright",
        "SNOMED Clinical Terms® (SNOMED CT®) which is used by permission of SNOMED International. All rights reserved.",
        "This product uses publicly available data courtesy of the U.S. National Library of Medicine (NLM), National "
        "Institutes of Health, Department of Health and Human Services; NLM is not responsible for the product and "
        "does not endorse or recommend this or any other product.",
        "Copyright American Medical Association, on behalf of the National Uniform Claim Committee (NUCC)",
    ):
        assert asked in notice


def test_no_code_of_cpt_is_shipped() -> None:
    assert CPT not in systems_shipped()
    five_digits = [
        f"{path.name}: {one['code']}"
        for path in (ROOT / "valuesets").glob("*.json")
        for one in json.loads(path.read_text(encoding="utf-8"))["expansion"]["contains"]
        if one["system"] == HCPCS and re.match(r"\d{4}", one["code"])
    ]
    assert five_digits == []


def test_the_notice_travels_with_the_wheel_the_source_and_the_image(project: dict) -> None:
    assert project["project"]["license-files"] == ["LICENSE", "NOTICE"]
    assert "/NOTICE" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert "!NOTICE" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "COPY LICENSE NOTICE" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def make_targets(text: str) -> set[str]:
    return set(re.findall(r"^(?:RUN | *entry: )?make ([a-z-]+)", text, re.MULTILINE))


def test_what_the_image_runs_ci_runs_too() -> None:
    runs = "\n".join(re.findall(r"^RUN (.*)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert make_targets(runs) == {"dtr-app", "install", "verify"}
    assert make_targets(runs) <= make_targets(ci)


def test_ci_and_pre_commit_call_targets_that_the_makefile_has() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for name in (".ci/run", ".pre-commit-config.yaml", "Dockerfile"):
        called = make_targets((ROOT / name).read_text(encoding="utf-8"))
        assert called and called <= targets


@pytest.mark.docs
def test_the_image_listens_on_loopback_and_the_pages_say_so() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert '"--host", "127.0.0.1"' in dockerfile
    assert "USER 10001" in dockerfile and "HEALTHCHECK" in dockerfile
    assert "127.0.0.1" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.mark.docs
def test_every_link_between_the_pages_leads_to_a_file() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "plans").rglob("*.md")]
    lost = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert lost == []


@pytest.mark.docs
def test_every_route_has_a_row_or_a_heading_in_the_pages() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    routes = {
        re.sub(r"<[a-z_]+>", "<", route).split("<")[0]
        for path in (ROOT / "cds_service" / "web").glob("*.py")
        for route in re.findall(r'@blueprint\.[a-z]+\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    }
    assert routes
    assert {route for route in routes if route not in pages} == set()
