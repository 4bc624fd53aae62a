"""Settings: what a deployment may say, and how it is told that it cannot."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from cds_service.fhir.problem import Problem
from cds_service.fhir.working_days import BusinessHours
from cds_service.settings import SETTINGS, Settings, read_settings


def faults(**environ: str) -> list[Problem]:
    settings, problems = read_settings(environ)
    assert settings is None
    return problems


def chosen(**environ: str) -> Settings:
    settings, problems = read_settings(environ)
    assert problems == []
    assert settings is not None
    return settings


def test_an_empty_environment_serves_the_shipped_policies_and_requires_authentication() -> None:
    settings = chosen()
    assert settings.client_auth == "required"
    assert settings.plans.name == "plans" and settings.plans.is_dir()
    assert settings.valuesets.name == "valuesets" and settings.valuesets.is_dir()
    assert settings.time_zone.key == "America/New_York"
    assert settings.business_hours == BusinessHours(time(8), time(17))
    assert settings.hook_budget == 4.5
    assert settings.max_body < 10_000_000
    assert settings.public_url is None
    assert settings.disabled_policies == frozenset()
    assert settings.clients is None


def test_every_setting_can_be_chosen(tmp_path: Path) -> None:
    registry = tmp_path / "clients.json"
    registry.write_text("{}")
    settings = chosen(
        CDS_CLIENT_AUTH="off",
        CDS_PUBLIC_URL="https://cds.example.org/base/",
        CDS_PLANS=str(tmp_path),
        CDS_VALUESETS=str(tmp_path),
        CDS_TIME_ZONE="America/Chicago",
        CDS_BUSINESS_HOURS="07:30-18:00",
        CDS_DEFAULT_CRD_VERSION="2.2",
        CDS_HOOK_BUDGET="3",
        CDS_DISABLED_POLICIES="acme-cpap, acme-bed",
        CDS_CLIENTS=str(registry),
        CDS_MAX_BODY="2048",
        CDS_DTR_CLIENT_ID="app-7",
        CDS_DTR_CONTEXT_DAYS="7",
        CDS_RECORD_DAYS="3653",
        CDS_TLS_CERTIFICATE=str(registry),
        CDS_TLS_KEY=str(registry),
        CDS_CORS_ORIGINS="https://Sandbox.example.org:443, http://127.0.0.1:3000",
        CDS_DATABASE_URL=f"sqlite:///{tmp_path}/cds.sqlite",
    )
    assert settings == Settings(
        client_auth="off",
        public_url="https://cds.example.org/base",
        plans=tmp_path.resolve(),
        valuesets=tmp_path.resolve(),
        time_zone=settings.time_zone,
        business_hours=BusinessHours(time(7, 30), time(18)),
        default_crd_version="2.2",
        hook_budget=3.0,
        disabled_policies=frozenset({"acme-cpap", "acme-bed"}),
        clients=registry.resolve(),
        max_body=2048,
        database_url=f"sqlite:///{tmp_path}/cds.sqlite",
        dtr_client_id="app-7",
        dtr_context_days=7,
        record_days=3653,
        tls_certificate=registry.resolve(),
        tls_key=registry.resolve(),
        cors_origins=frozenset({"https://sandbox.example.org", "http://127.0.0.1:3000"}),
    )
    assert settings.time_zone.key == "America/Chicago"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CDS_CLIENT_AUTH", "none"),
        ("CDS_CLIENT_AUTH", "OFF"),
        ("CDS_PUBLIC_URL", "cds.example.org"),
        ("CDS_PUBLIC_URL", "ftp://cds.example.org"),
        ("CDS_PUBLIC_URL", "https://cds.example.org/?a=1"),
        ("CDS_PUBLIC_URL", "https://user@cds.example.org"),
        ("CDS_PUBLIC_URL", "https://cds.example.org:nine"),
        ("CDS_PLANS", "no/such/folder"),
        ("CDS_VALUESETS", "no/such/folder"),
        ("CDS_DTR_CLIENT_ID", "two words"),
        ("CDS_DTR_CLIENT_ID", "ünlike"),
        ("CDS_DTR_CLIENT_ID", "x" * 257),
        ("CDS_TIME_ZONE", "Boston"),
        ("CDS_TIME_ZONE", "../zone"),
        ("CDS_TIME_ZONE", "America"),
        ("CDS_BUSINESS_HOURS", "8-17"),
        ("CDS_BUSINESS_HOURS", "08:00"),
        ("CDS_BUSINESS_HOURS", "08:00-24:00"),
        ("CDS_BUSINESS_HOURS", "17:00-08:00"),
        ("CDS_BUSINESS_HOURS", "08:00-08:00"),
        ("CDS_BUSINESS_HOURS", "nine to five"),
        ("CDS_DEFAULT_CRD_VERSION", "1.0"),
        ("CDS_HOOK_BUDGET", "0"),
        ("CDS_HOOK_BUDGET", "5.1"),
        ("CDS_HOOK_BUDGET", "nan"),
        ("CDS_HOOK_BUDGET", "soon"),
        ("CDS_CLIENTS", "no/such/file"),
        ("CDS_CLIENTS", "."),
        ("CDS_DTR_CONTEXT_DAYS", "a week"),
        ("CDS_DTR_CONTEXT_DAYS", "-1"),
        ("CDS_DTR_CONTEXT_DAYS", "36501"),
        ("CDS_RECORD_DAYS", "0"),
        ("CDS_CORS_ORIGINS", "*"),
        ("CDS_CORS_ORIGINS", "null"),
        ("CDS_CORS_ORIGINS", "sandbox.example.org"),
        ("CDS_CORS_ORIGINS", "https://*.example.org"),
        ("CDS_CORS_ORIGINS", "https://sandbox.example.org/app"),
        ("CDS_RECORD_DAYS", "89"),  # shorter than contexts are kept
        ("CDS_MAX_BODY", "8 MB"),
        ("CDS_MAX_BODY", "-1"),
        ("CDS_MAX_BODY", "0"),
    ],
)
def test_a_wrong_value_is_refused_under_its_name(name: str, value: str) -> None:
    [problem] = faults(**{name: value})
    assert problem.where == name
    assert problem.what and problem.fix


def test_all_wrong_settings_are_told_at_once() -> None:
    problems = faults(CDS_CLIENT_AUTH="maybe", CDS_HOOK_BUDGET="9", CDS_PLAN="x", CDS_TIME_ZONE="Mars")
    assert {problem.where for problem in problems} == {
        "CDS_CLIENT_AUTH",
        "CDS_HOOK_BUDGET",
        "CDS_PLAN",
        "CDS_TIME_ZONE",
    }


def test_a_misspelt_setting_is_refused_with_the_nearest_name() -> None:
    [problem] = faults(CDS_CLIENTAUTH="off")
    assert str(problem) == "CDS_CLIENTAUTH: no such setting; did you mean CDS_CLIENT_AUTH?"


def test_a_setting_unlike_any_other_is_refused_too() -> None:
    [problem] = faults(CDS_XYZZY="1")
    assert "cds-service serve --help" in problem.fix


def test_names_of_the_test_suite_and_of_container_platforms_are_passed_over() -> None:
    chosen(CDS_TEST_FHIR="somewhere", CDS_SERVICE_PORT="tcp://10.0.0.1:80", PATH="/bin")


def test_a_setting_set_to_nothing_is_unset() -> None:
    assert chosen(CDS_CLIENT_AUTH="", CDS_PUBLIC_URL=" ") == chosen()


@pytest.mark.docs
def test_the_settings_page_has_a_row_for_every_setting_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = {
        cells[1].strip(" `"): cells[2].strip(" `")
        for line in page.splitlines()
        if len(cells := line.split("|")) > 3 and cells[1].strip().startswith("`CDS_")
    }
    assert rows == {setting.name: setting.default for setting in SETTINGS}


def test_the_database_is_a_file_below_the_working_directory_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert chosen().database_url == f"sqlite:///{tmp_path}/var/cds.sqlite"
    assert chosen(CDS_DATABASE_URL="sqlite:///a.sqlite").database_url == f"sqlite:///{tmp_path}/a.sqlite"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://cds:secret@db.example.org/cds",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///var/cds.sqlite?mode=ro",
        "/var/cds.sqlite",
        "sqlite:////",
    ],
)
def test_a_database_that_cannot_be_used_is_told_without_being_quoted(address: str) -> None:
    [fault] = faults(CDS_DATABASE_URL=address)
    assert fault.where == "CDS_DATABASE_URL"
    assert "secret" not in str(fault)
    assert "sqlite:////srv/cds/cds.sqlite" in fault.fix
