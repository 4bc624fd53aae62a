"""The command line: when it refuses, what it says, and with which status it ends."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from cds_service.settings import SETTINGS
from tests.live_server import ROOT, run
from tests.questionnaire_answers import completed

GOLDEN = str(Path(ROOT) / "tests" / "conversations" / "home-oxygen-order-sign" / "request.json")


def test_help_of_serve_lists_every_setting() -> None:
    shown = run("serve", "--help")
    assert shown.returncode == 0
    for setting in SETTINGS:
        assert setting.name in shown.stdout


@pytest.mark.parametrize("arguments", [(), ("serv",), ("serve", "--port", "x"), ("serve", "--workers", "0")])
def test_a_command_that_cannot_be_read_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).returncode == 2


def test_serve_is_refused_while_client_authentication_is_required() -> None:
    refused = run("serve", "--port", "0")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr == (
        "CDS_CLIENT_AUTH: client authentication does not exist yet, so it cannot be required; "
        "set CDS_CLIENT_AUTH=off, which serves this machine only\n"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "no-such-host.invalid"])
def test_serve_is_refused_on_an_address_that_others_can_reach(host: str) -> None:
    refused = run("serve", "--port", "0", "--host", host, CDS_CLIENT_AUTH="off")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"--host: {host!r} can be reached from other machines")


def test_a_port_that_is_taken_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = run("serve", "--port", str(port), CDS_CLIENT_AUTH="off")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"--port: {port} on 127.0.0.1: address already in use; choose another --port")


def test_wrong_settings_and_a_wrong_address_are_told_together() -> None:
    refused = run("serve", "--host", "0.0.0.0", CDS_HOOK_BUDGET="9", CDS_PLAN="x", CDS_TIME_ZONE="Mars")
    assert refused.returncode == 1
    told = [line.split(":")[0] for line in refused.stderr.splitlines()]
    assert sorted(told) == ["--host", "CDS_HOOK_BUDGET", "CDS_PLAN", "CDS_TIME_ZONE"]


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "plans").mkdir()
    (tmp_path / "valuesets").mkdir()
    (tmp_path / "plans" / "a.json").write_text("{")
    (tmp_path / "plans" / "b.json").write_text('{"resourceType": "Patient"}')
    (tmp_path / "valuesets" / "c.json").write_text("[]")
    return {"CDS_PLANS": str(tmp_path / "plans"), "CDS_VALUESETS": str(tmp_path / "valuesets")}


def test_serve_tells_every_fault_of_a_broken_plans_folder_before_it_listens(broken: dict[str, str]) -> None:
    refused = run("serve", "--port", "0", CDS_CLIENT_AUTH="off", **broken)
    assert refused.returncode == 1
    assert "listens" not in refused.stdout
    for name in ("plans/a.json", "plans/b.json", "valuesets/c.json"):
        assert any(line.startswith(f"{name}:") for line in refused.stderr.splitlines()), refused.stderr


def test_check_tells_the_same_faults_and_ends_with_1(broken: dict[str, str]) -> None:
    checked = run("check", **broken)
    assert checked.returncode == 1
    assert "plans/a.json: not JSON" in checked.stderr
    as_json = run("check", "--json", **broken)
    assert as_json.returncode == 1
    assert {"plans/a.json", "valuesets/c.json"} <= {row["where"] for row in json.loads(as_json.stdout)["problems"]}


def test_check_of_the_shipped_policies_ends_with_0() -> None:
    checked = run("check")
    assert checked.returncode == 0, checked.stderr
    assert checked.stderr == ""


def test_check_says_as_of_when_it_held_the_diagnoses_or_that_it_could_not() -> None:
    said = run("check").stdout
    assert "ICD-10-CM codes as of" in said or "ICD-10-CM codes NOT verified: simple-icd-10-cm is missing" in said


def test_check_says_so_where_the_list_of_diagnoses_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "simple_icd_10_cm.py").write_text("raise ImportError\n")
    checked = run("check", PYTHONPATH=str(tmp_path))
    assert "ICD-10-CM codes NOT verified: simple-icd-10-cm is missing" in checked.stdout


def test_check_tells_a_misprinted_code_and_a_set_that_nobody_reads(own: dict[str, str]) -> None:
    saturation = Path(own["CDS_VALUESETS"]) / "obs-saturation.json"
    text = saturation.read_text(encoding="utf-8")
    saturation.write_text(text.replace("59408-5", "59408-6"), encoding="utf-8")
    spare = json.loads(text.replace("obs-saturation", "obs-spare"))
    (Path(own["CDS_VALUESETS"]) / "obs-spare.json").write_text(json.dumps(spare), encoding="utf-8")
    checked = run("check", **own)
    assert checked.returncode == 1
    assert "obs-saturation.json: compose.include[0].concept[0]: 59408-6 the check digit is 6" in checked.stderr
    assert "obs-spare.json: no policy reads" in checked.stderr


@pytest.fixture
def own(tmp_path: Path) -> dict[str, str]:
    """A copy of the shipped folders, to be changed."""
    for name in ("plans", "valuesets"):
        shutil.copytree(Path(ROOT) / name, tmp_path / name)
    return {"CDS_PLANS": str(tmp_path / "plans"), "CDS_VALUESETS": str(tmp_path / "valuesets")}


def test_check_tells_the_case_that_does_not_hold_and_what_came_instead(own: dict[str, str]) -> None:
    cases = next(Path(own["CDS_PLANS"]).joinpath("masshealth").rglob("cases.yaml"))
    text = cases.read_text(encoding="utf-8")
    cases.write_text(text.replace("paNeeded: auth-needed", "paNeeded: no-auth", 1), encoding="utf-8")
    checked = run("check", **own)
    assert checked.returncode == 1
    assert "cases.yaml: cases[" in checked.stderr
    assert "paNeeded: wanted 'no-auth', got 'auth-needed'" in checked.stderr


def test_check_runs_only_the_cases_below_the_paths_it_is_given(own: dict[str, str]) -> None:
    folder = Path(own["CDS_PLANS"]) / "masshealth"
    assert "policy, 0 cases" not in run("check", str(folder), **own).stdout
    nothing = run("check", str(folder.parent / "payers"), **own)
    assert nothing.returncode == 1
    assert "no cases.yaml below this path" in nothing.stderr


def test_check_refuses_cases_without_a_plan_beside_them(own: dict[str, str]) -> None:
    (Path(own["CDS_PLANS"]) / "masshealth" / "cases.yaml").write_text("cases: []\n", encoding="utf-8")
    assert "plans/masshealth/cases.yaml: no PlanDefinition.json beside it" in run("check", **own).stderr


def test_a_disabled_policy_that_does_not_exist_is_a_fault() -> None:
    checked = run("check", CDS_DISABLED_POLICIES="acme-nothing")
    assert checked.returncode == 1
    assert "'acme-nothing' is not held" in checked.stderr


@pytest.mark.parametrize("instant", ["yesterday", "2026-13-40", "2026-02-10T12:00:00 later"])
def test_explain_refuses_an_instant_that_is_none(instant: str) -> None:
    assert run("explain", GOLDEN, "--at", instant).returncode == 2


def test_explain_tells_a_file_that_is_not_there() -> None:
    refused = run("explain", "no-such-request.json")
    assert refused.returncode == 1
    assert refused.stderr.startswith("no-such-request.json: ")


def test_explain_prints_the_criteria_and_what_stands_behind_them() -> None:
    told = run("explain", GOLDEN, "--at", "2026-11-21T12:00:00-05:00")
    assert told.returncode == 0, told.stderr
    assert "✓ met   ✗ not met   ? not known" in told.stdout
    assert "on record: " in told.stdout


def test_explain_gives_the_determinations_of_the_cards_as_json() -> None:
    told = run("explain", GOLDEN, "--at", "2026-11-21T12:00:00-05:00", "--json")
    assert told.returncode == 0
    [determination] = json.loads(told.stdout)
    assert determination["onDate"] == "2026-11-21"
    assert determination["criteria"]


def test_explain_reads_the_finished_questionnaires_of_a_call(tmp_path: Path) -> None:
    call = json.loads(Path(GOLDEN).read_text(encoding="utf-8"))
    form = json.loads(Path("plans/masshealth/home-oxygen/2024-06-01/Questionnaire.json").read_text(encoding="utf-8"))
    answers = completed(form, "Patient/p1", "2026-11-20", {"ask.skilled-nursing-facility": "N"}, id="r1")
    entries = [{"resource": answers}]
    call["prefetch"]["questionnaireResponses"] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    request = tmp_path / "request.json"
    request.write_text(json.dumps(call), encoding="utf-8")
    told = run("explain", str(request), "--at", "2026-11-21T12:00:00-05:00")
    assert "on record: answered yes on 2026-11-20 (QuestionnaireResponse/r1)" in told.stdout
    [determination] = json.loads(run("explain", str(request), "--at", "2026-11-21T12:00", "--json").stdout)
    assert determination["criteria"][0]["status"] == "met"


def test_an_instant_without_an_offset_is_meant_in_the_zone_of_the_service(tmp_path: Path) -> None:
    call = json.loads(Path(GOLDEN).read_text(encoding="utf-8"))
    for entry in call["context"]["draftOrders"]["entry"]:
        entry["resource"].pop("authoredOn", None)  # then the day of the call is the day of the order
    request = tmp_path / "request.json"
    request.write_text(json.dumps(call), encoding="utf-8")

    def day(at: str) -> str:
        told = run("explain", str(request), "--at", at, "--json", CDS_TIME_ZONE="UTC")
        return str(json.loads(told.stdout)[0]["onDate"])

    assert day("2026-11-21T23:30") == "2026-11-21"
    assert day("2026-11-21T23:30-05:00") == "2026-11-22"


def test_explain_tells_what_is_wrong_with_a_request(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{}")
    refused = run("explain", str(tmp_path / "request.json"))
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr
