"""`policy list`, `policy show`, `policy diff` as they are called: what they print, and with which status they end."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live_server import COMMAND, ROOT, environment, run

CONVERSATIONS = Path(ROOT) / "tests" / "conversations"
OXYGEN, OLD, NEW = "masshealth-home-oxygen", "2024-06-01", "2026-01-01"


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The shipped folders, with a second version of one policy: another limit at rest, and one code alone."""
    root = tmp_path_factory.mktemp("two-versions")
    for name in ("plans", "valuesets"):
        shutil.copytree(Path(ROOT) / name, root / name)
    folder = root / "plans" / "masshealth" / "home-oxygen"
    text = (folder / OLD / "PlanDefinition.json").read_text(encoding="utf-8")
    (folder / NEW).mkdir()
    text = (
        text.replace(f'"{OLD}"', f'"{NEW}"')
        .replace(f'|{OLD}"', f'|{NEW}"')
        .replace("%restingO2.exists(value <= 88", "%restingO2.exists(value <= 80")
    )
    text = text.replace("ValueSet/order-masshealth-oxygen|1", "ValueSet/order-oxygen-concentrator|1")
    (folder / NEW / "PlanDefinition.json").write_text(text, encoding="utf-8")
    form = (folder / OLD / "Questionnaire.json").read_text(encoding="utf-8")
    (folder / NEW / "Questionnaire.json").write_text(form.replace(f'"{OLD}"', f'"{NEW}"'), encoding="utf-8")
    return {"CDS_PLANS": str(root / "plans"), "CDS_VALUESETS": str(root / "valuesets")}


def test_list_names_every_version_with_the_days_it_is_in_force(two_versions: dict[str, str]) -> None:
    listed = run("policy", "list", **two_versions)
    assert listed.returncode == 0, listed.stderr
    lines = [" ".join(line.split()) for line in listed.stdout.splitlines()]
    assert f"{OXYGEN} {OLD} to 2025-12-31 MassHealth Home oxygen" in lines
    assert f"{OXYGEN} {NEW} on MassHealth Home oxygen" in lines
    rows = json.loads(run("policy", "list", "--json", **two_versions).stdout)
    assert {row["version"] for row in rows if row["policy"] == OXYGEN} == {OLD, NEW}


def test_show_prints_the_version_of_the_day(two_versions: dict[str, str]) -> None:
    assert (
        f"in force        from {OLD} until 2025-12-31"
        in run("policy", "show", f"{OXYGEN}@2025-05-05", **two_versions).stdout
    )
    shown = json.loads(run("policy", "show", f"{OXYGEN}@2026-05-05", "--json", **two_versions).stdout)
    assert (shown["policy"], shown["version"]) == (OXYGEN, NEW)
    assert {"orders", "authorization", "criteria", "facts", "value-sets"} <= {one["id"] for one in shown["sections"]}


def test_show_without_a_day_shows_what_is_in_force_today() -> None:
    assert run("policy", "show", OXYGEN).returncode == 0


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("masshealth-home-oxgen", "did you mean 'masshealth-home-oxygen'?"),
        (f"{OXYGEN}@2020-01-01", f"not in force on that day; its versions begin on {OLD}"),
        (f"{OXYGEN}@soon", "'soon' is no day; write it as 2026-02-10"),
    ],
)
def test_show_tells_what_it_cannot_show(asked: str, told: str) -> None:
    refused = run("policy", "show", asked)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert told in refused.stderr


def test_show_prints_every_code_where_it_is_asked_to() -> None:
    assert "J44.89" not in run("policy", "show", OXYGEN).stdout
    assert "ICD-10-CM J44.89" in run("policy", "show", OXYGEN, "--codes").stdout


def test_show_prints_expressions_where_it_is_asked_to() -> None:
    assert "= %restingLow" in run("policy", "show", OXYGEN, "--expressions").stdout
    assert "%restingLow" not in run("policy", "show", OXYGEN).stdout


def test_a_reader_that_stops_reading_is_no_fault() -> None:
    command = subprocess.Popen(
        [*COMMAND, "policy", "show", OXYGEN],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=ROOT,
        text=True,
    )
    assert command.stdout is not None and command.stderr is not None
    command.stdout.readline()
    command.stdout.close()
    assert "Traceback" not in command.stderr.read()
    command.stderr.close()
    command.wait(timeout=30)


def test_diff_says_what_changed_and_ends_with_1(two_versions: dict[str, str]) -> None:
    told = run("policy", "diff", OXYGEN, OLD, NEW, **two_versions)
    assert told.returncode == 1, told.stderr
    assert "88 % is now 80 %" in told.stdout
    assert "codes: 7 out; 0 in" in told.stdout
    as_json = json.loads(run("policy", "diff", OXYGEN, OLD, NEW, "--json", **two_versions).stdout)
    assert any(one.get("inShort") == ["88 % is now 80 %"] for one in as_json["changes"])


def test_diff_of_a_version_with_itself_ends_with_0() -> None:
    told = run("policy", "diff", OXYGEN, OLD, OLD)
    assert told.returncode == 0
    assert "Nothing but the dates differs." in told.stdout


@pytest.mark.parametrize(
    "asked", [("acme", OLD, OLD), (OXYGEN, OLD, "2030-01-01"), (OXYGEN, OLD, OLD, "--against", "/no")]
)
def test_diff_of_what_is_not_held_ends_with_2(asked: tuple[str, ...]) -> None:
    refused = run("policy", "diff", *asked)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr


def test_diff_with_wrong_settings_ends_with_2_for_it_tells_nothing() -> None:
    assert run("policy", "diff", OXYGEN, OLD, OLD, CDS_TIME_ZONE="Mars").returncode == 2


def test_diff_against_recorded_requests_says_which_are_answered_otherwise(two_versions: dict[str, str]) -> None:
    asked = ("policy", "diff", OXYGEN, OLD, NEW, "--against", str(CONVERSATIONS), "--at", "2026-11-21T10:30:00-05:00")
    told = run(*asked, **two_versions)
    assert told.returncode == 1, told.stderr
    lines = told.stdout.splitlines()
    at = lines.index("  two-lines-of-one-policy/request.json: DeviceRequest/o2")
    assert lines[at + 1] == "      answer: covered, auth-needed -> no statement"
    assert "  managed-care-member/request.json: DeviceRequest/o1: answered alike" in lines
    assert any(line.startswith("  payer-not-served/request.json: passed over") for line in lines)
    rows = json.loads(run(*asked, "--json", **two_versions).stdout)["requests"]
    assert {"file", "orders"} <= {key for row in rows for key in row}


def test_diff_reads_each_recorded_request_as_the_hook_that_it_is_of(two_versions: dict[str, str]) -> None:
    asked = ("policy", "diff", OXYGEN, OLD, NEW, "--against", str(CONVERSATIONS), "--at", "2026-11-21T10:30:00-05:00")
    lines = run(*asked, **two_versions).stdout.splitlines()
    for name in ("crd-2-0-order-dispatch-of-one-order", "encounter-start-with-an-order-that-lacks-something"):
        assert any(line.startswith(f"  {name}/request.json: DeviceRequest/") for line in lines), name
    unread = [line for line in lines if "order-dispatch-without-its-order" in line]
    assert unread and "order-sign" not in unread[0]


def test_diff_against_recorded_requests_prints_nothing_of_the_chart(two_versions: dict[str, str]) -> None:
    told = run("policy", "diff", OXYGEN, OLD, NEW, "--against", str(CONVERSATIONS), **two_versions).stdout
    recorded = told[told.index("Recorded requests") :]
    for request in CONVERSATIONS.glob("*/request.json"):
        call = json.loads(request.read_text(encoding="utf-8"))
        patient = (call.get("prefetch") or {}).get("patient") or {}
        texts = [name.get("family") for name in patient.get("name", [])] + [patient.get("birthDate")]
        texts += [f"Patient/{patient['id']}"] if "id" in patient else []
        for text in filter(None, texts):
            assert text not in recorded
    assert "SpO2" not in recorded and "Observation/" not in recorded
