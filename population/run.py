"""Write the CQL of every policy's questionnaire, compiled, beside its plan: at release, or when a plan has changed.

Needs Java and Maven. Serving needs neither: what is written is committed, and a test says when it is behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cds_service.adapters.definition_files import read_definition_folders
from cds_service.dtr.population_cql import cql_of
from cds_service.dtr.population_library import HELPERS, helpers_library, library_of
from cds_service.policy.load import load_catalogue
from cds_service.policy.population import Population, population_of

HERE = Path(__file__).parent
ROOT = HERE.parent
CQL_FILE, LIBRARY_FILE = "population.cql", "Library.json"
HELPERS_FILE = ROOT / "plans" / "libraries" / "FHIRHelpers.json"


def main() -> int:
    wanted = populations(ROOT / "plans")
    if wanted is None:
        return 1
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        texts = {folder: cql_of(one) for folder, one in wanted.items()}
        files = {folder: room / f"n{n}" / f"{wanted[folder].name}.cql" for n, folder in enumerate(wanted)}
        for folder, path in files.items():
            path.parent.mkdir()
            path.write_text(texts[folder], encoding="utf-8")
        helpers = room / f"{HELPERS.rpartition('/')[2]}.cql"
        compile_all([helpers, *files.values()])
        _write(HELPERS_FILE, helpers_library(helpers.read_text(encoding="utf-8"), _elm(helpers)))
        for folder, path in files.items():
            (folder / CQL_FILE).write_text(texts[folder], encoding="utf-8")
            _write(folder / LIBRARY_FILE, library_of(wanted[folder], texts[folder], _elm(path)))
            print(f"{folder.relative_to(ROOT)}: {wanted[folder].name}")
    for stale in sorted({one.parent for one in (ROOT / "plans").rglob(CQL_FILE)} - wanted.keys()):
        print(f"{stale.relative_to(ROOT)}: nothing can be filled any more; take {CQL_FILE} and {LIBRARY_FILE} away")
    return 0


def populations(plans: Path) -> dict[Path, Population] | None:
    """By the folder of its plan; None, and the faults on stderr, where the definitions do not load."""
    folders = read_definition_folders(plans, plans.parent / "valuesets")
    catalogue, problems = load_catalogue([file.definition for file in folders.files])
    if catalogue is None:
        print("\n".join(map(str, problems)), file=sys.stderr)
        return None
    found = ((plans.parent / one.where).parent for one in catalogue.policies)
    both = zip(found, catalogue.policies, strict=True)
    return {folder: made for folder, policy in both if (made := population_of(policy)) is not None}


def compile_all(files: Sequence[Path]) -> None:
    """The first file is written too: the helpers, as the translator brings them."""
    with tempfile.NamedTemporaryFile(suffix=".cp") as classpath:
        quiet = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml")]
        subprocess.run([*quiet, "dependency:build-classpath", f"-Dmdep.outputFile={classpath.name}"], check=True)
        jars = Path(classpath.name).read_text(encoding="utf-8").strip()
    subprocess.run(["java", "-cp", jars, str(HERE / "Compile.java"), *map(str, files)], check=True, env=os.environ)


def _elm(cql: Path) -> str:
    found = json.loads(cql.with_suffix(".json").read_text(encoding="utf-8"))
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def _write(path: Path, resource: Mapping[str, object]) -> None:
    path.write_text(json.dumps(resource, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
