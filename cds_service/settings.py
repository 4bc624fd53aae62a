"""The environment -> frozen settings. The only reader of the environment. Knows no policies and no HTTP."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Literal, TypeVar, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from cds_service.crd.versions import VERSIONS, version_named
from cds_service.fhir.addresses import read_address
from cds_service.fhir.problem import Problem
from cds_service.fhir.working_days import STANDARD_HOURS, BusinessHours

ClientAuth = Literal["required", "off"]
T = TypeVar("T")

# The test suite has its own names, and a container platform that knows a service called "cds-service" sets
# CDS_SERVICE_HOST and the like in every container beside it: neither is a misspelt setting.
_NOT_OURS = ("CDS_TEST_", "CDS_SERVICE_")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a deployment chose. Build it with `read_settings`; every field is already checked."""

    client_auth: ClientAuth
    public_url: str | None  # without a slash at its end; None: the address that the call came to
    plans: Path
    valuesets: Path
    time_zone: ZoneInfo
    business_hours: BusinessHours
    default_crd_version: str
    hook_budget: float  # seconds
    disabled_policies: frozenset[str]
    clients: Path | None  # the client registry
    max_body: int  # bytes
    database_url: str  # sqlite:/// and an absolute path
    dtr_client_id: str  # as our app for questionnaires is registered where the client registry says nothing
    dtr_context_days: int  # 0: nothing is kept for questionnaires
    record_days: int | None  # None: kept for good
    tls_certificate: Path | None  # and those that vouch for it, PEM; None: plain HTTP
    tls_key: Path | None  # set where the certificate is
    cors_origins: frozenset[str] | None  # None: those of this machine while nobody is asked who calls, else none


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table below: its name, the default in words, and what it means."""

    name: str
    default: str
    meaning: str


# The one table: `serve --help` prints it, docs/settings.md is held against it, unknown names are compared
# with it.
SETTINGS = (
    Setting(
        "CDS_CLIENT_AUTH",
        "required",
        "required or off. off serves loopback addresses only; required is refused until client authentication exists",
    ),
    Setting("CDS_PUBLIC_URL", "the address called", "base URL as clients see it, for links on cards"),
    Setting("CDS_PLANS", "those shipped", "folder of the policies"),
    Setting("CDS_VALUESETS", "those shipped", "folder of the value sets"),
    Setting("CDS_TIME_ZONE", "America/New_York", "the zone whose calendar day counts when a call arrives"),
    Setting("CDS_BUSINESS_HOURS", "08:00-17:00", "normal working hours, Monday to Friday but federal holidays"),
    Setting("CDS_DEFAULT_CRD_VERSION", "2.2", "CRD version of a call that names none: 2.0, 2.1 or 2.2"),
    Setting("CDS_HOOK_BUDGET", "4.5", "seconds within which a hook is answered; above 0, at most 5"),
    Setting("CDS_DISABLED_POLICIES", "none", "ids of plans not to be answered from, separated by commas"),
    Setting("CDS_CLIENTS", "none", "file of the client registry: whose FHIR servers may be read, and what they prefer"),
    Setting("CDS_DATABASE_URL", "sqlite:///var/cds.sqlite", "where answers are remembered and feedback is kept"),
    Setting("CDS_DTR_CLIENT_ID", "cds-service-dtr", "how EHRs know the app at /dtr/, where the registry does not say"),
    Setting(
        "CDS_DTR_CONTEXT_DAYS", "90", "days for which a questionnaire can be filled from what was looked at; 0: none"
    ),
    Setting("CDS_RECORD_DAYS", "kept for good", "days for which answers, calls, cards and feedback are kept"),
    Setting(
        "CDS_TLS_CERTIFICATE", "none: plain HTTP", "PEM file of the server's certificate chain: then it speaks HTTPS"
    ),
    Setting("CDS_TLS_KEY", "none", "PEM file of the certificate's private key, without a passphrase"),
    Setting("CDS_CORS_ORIGINS", "of this machine, or none", "origins of web pages that may call from a browser"),
    Setting("CDS_MAX_BODY", "8388608", "bytes of a request body; a larger one is answered with 413"),
)
_DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


def settings_from_environment() -> tuple[Settings | None, list[Problem]]:
    """The settings of this process, or every fault in them."""
    return read_settings(os.environ)


def read_settings(environ: Mapping[str, str]) -> tuple[Settings | None, list[Problem]]:
    """Settings from the CDS_ variables of `environ`, or all that is wrong with them. "" counts as unset."""
    chosen = {name: value.strip() for name, value in environ.items() if name in _DEFAULTS and value.strip()}
    problems = _unknown_names(environ)

    def read(name: str, parse: Callable[[str], T], unset: T) -> T:
        if name not in chosen:
            return unset
        try:
            return parse(chosen[name])
        except _Wrong as wrong:
            problems.append(Problem("invalid", name, wrong.what, wrong.fix))
            return unset

    settings = Settings(
        client_auth=read("CDS_CLIENT_AUTH", _client_auth, "required"),
        public_url=read("CDS_PUBLIC_URL", _public_url, None),
        plans=read("CDS_PLANS", _folder, shipped("plans")),
        valuesets=read("CDS_VALUESETS", _folder, shipped("valuesets")),
        time_zone=read("CDS_TIME_ZONE", _time_zone, ZoneInfo(_DEFAULTS["CDS_TIME_ZONE"])),
        business_hours=read("CDS_BUSINESS_HOURS", _business_hours, STANDARD_HOURS),
        default_crd_version=read("CDS_DEFAULT_CRD_VERSION", _crd_version, _DEFAULTS["CDS_DEFAULT_CRD_VERSION"]),
        hook_budget=read("CDS_HOOK_BUDGET", _hook_budget, float(_DEFAULTS["CDS_HOOK_BUDGET"])),
        disabled_policies=read("CDS_DISABLED_POLICIES", _ids, frozenset()),
        clients=read("CDS_CLIENTS", _file, None),
        max_body=read("CDS_MAX_BODY", _max_body, int(_DEFAULTS["CDS_MAX_BODY"])),
        database_url=read("CDS_DATABASE_URL", _database_url, _database_url(_DEFAULTS["CDS_DATABASE_URL"])),
        dtr_client_id=read("CDS_DTR_CLIENT_ID", _client_id, _DEFAULTS["CDS_DTR_CLIENT_ID"]),
        dtr_context_days=read("CDS_DTR_CONTEXT_DAYS", _days, int(_DEFAULTS["CDS_DTR_CONTEXT_DAYS"])),
        record_days=read("CDS_RECORD_DAYS", _some_days, None),
        tls_certificate=read("CDS_TLS_CERTIFICATE", _file, None),
        tls_key=read("CDS_TLS_KEY", _file, None),
        cors_origins=read("CDS_CORS_ORIGINS", _origins, None),
    )
    if settings.record_days is not None and settings.record_days < settings.dtr_context_days:
        what = f"shorter than CDS_DTR_CONTEXT_DAYS ({settings.dtr_context_days})"
        problems.append(Problem("invalid", "CDS_RECORD_DAYS", what, "keep the records at least as long"))
    if ("CDS_TLS_CERTIFICATE" in chosen) != ("CDS_TLS_KEY" in chosen):
        lacking = "CDS_TLS_KEY" if "CDS_TLS_CERTIFICATE" in chosen else "CDS_TLS_CERTIFICATE"
        problems.append(
            Problem("invalid", lacking, "not set", "a certificate and its key go together: set both or none")
        )
    return (None if problems else settings), problems


class _Wrong(ValueError):
    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


def _unknown_names(environ: Mapping[str, str]) -> list[Problem]:
    problems = []
    for name in sorted(environ):
        if not name.startswith("CDS_") or name.startswith(_NOT_OURS) or name in _DEFAULTS:
            continue
        near = difflib.get_close_matches(name, _DEFAULTS, n=1)
        fix = f"did you mean {near[0]}?" if near else "unset it; `cds-service serve --help` lists the settings"
        problems.append(Problem("invalid", name, "no such setting", fix))
    return problems


def _client_auth(text: str) -> ClientAuth:
    if text not in ("required", "off"):
        raise _Wrong(f"{text!r}", "write required or off")
    return cast(ClientAuth, text)


def _public_url(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        absolute = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        absolute = False
    if not absolute:
        raise _Wrong(f"{text!r} is not an absolute http(s) URL", "write it as https://cds.example.org/base")
    if parts.query or parts.fragment or parts.username is not None:
        raise _Wrong("a base URL has no query, fragment or user", "write scheme, host and path only")
    return text.rstrip("/")


def _folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise _Wrong(f"{text!r} is not a folder", "name an existing folder, or unset it for the shipped one")
    return path


def _file(text: str) -> Path | None:
    path = Path(text).resolve()
    if not path.is_file():
        raise _Wrong(f"{text!r} is not a file", "name an existing file, or unset it")
    return path


def shipped(name: str) -> Path:
    """The folder in the installed package, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "shipped" / name
    return installed if installed.is_dir() else package.parent / name


def _time_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError) as unknown:  # a missing zone, "../up", a folder of zones
        raise _Wrong(f"{text!r} is not a time zone", "write an IANA name, such as America/New_York") from unknown


_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


def _business_hours(text: str) -> BusinessHours:
    match = _HOURS.fullmatch(text.replace(" ", ""))
    if match is None:
        raise _Wrong(f"{text!r} is not a span of hours", "write it as 08:00-17:00, with two digits each")
    opens, closes = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    if opens >= closes:
        raise _Wrong(f"{text!r} ends before it begins", "write the opening hour first, such as 08:00-17:00")
    return BusinessHours(opens, closes)


def _crd_version(text: str) -> str:
    version = version_named(text)
    if version is None:
        raise _Wrong(f"CRD {text!r} is not served", f"write one of {', '.join(one.name for one in VERSIONS)}")
    return version.name


def _client_id(text: str) -> str:
    # RFC 6749, A.1: visible ASCII
    if not all("\x21" <= one <= "\x7e" for one in text) or len(text) > 256:
        raise _Wrong(f"{text!r} is not a client id", "write it as the EHR gave it: letters, digits, signs, no spaces")
    return text


def _hook_budget(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds <= 5:  # CRD wants an answer within 5 seconds; nan is refused here too
        raise _Wrong(f"{text!r}", "write seconds, above 0 and at most 5, such as 4.5")
    return seconds


def _ids(text: str) -> frozenset[str]:
    return frozenset(text.replace(",", " ").split())


def _origins(text: str) -> frozenset[str] | None:
    found = set()
    for one in text.replace(",", " ").split():
        address = read_address(one)
        # OWASP: no wildcard, and nothing that a browser would not send as an Origin
        if address is None or address.path or address.query:
            raise _Wrong(f"{one!r} is no origin", "write scheme and host, such as https://sandbox.example.org")
        found.add(address.origin)
    return frozenset(found)


def _database_url(text: str) -> str:
    # never quoted: such an address can hold a password
    prefix = "sqlite:///"
    fix = "write sqlite:/// and the path of a file, such as sqlite:////srv/cds/cds.sqlite"
    path = text.removeprefix(prefix)
    if not text.startswith(prefix):
        raise _Wrong("not the address of an SQLite file, the one kind of database that is served so far", fix)
    if not path or path == ":memory:" or "?" in path:
        raise _Wrong("not the path of a file: workers share the database, and nothing is to be lost with one", fix)
    if Path(path).is_dir():
        raise _Wrong("a folder, not a file", fix)
    return f"{prefix}{Path(path).absolute()}"


_MOST_DAYS = 36_500


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > _MOST_DAYS:
        raise _Wrong(f"{text!r}", f"write days as a whole number from 0 to {_MOST_DAYS}")
    return int(text)


def _some_days(text: str) -> int | None:
    days = _days(text)
    if not days:
        raise _Wrong(f"{text!r}", "write at least 1 day; unset it, and nothing is deleted")
    return days


def _max_body(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1024 <= int(text) <= 1 << 30:
        raise _Wrong(f"{text!r}", "write bytes as a whole number from 1024 to 1073741824")
    return int(text)
