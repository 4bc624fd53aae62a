"""What a DTR client reports of a form that does not work: `$log-questionnaire-errors`. Pure.

Kept of it is what cannot hold a piece of a chart: which of our forms, and how many issues of which severity and code.
Words, expressions and places of a report are dropped here, so that nobody further up can log them (DTR, oper-2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds_service.fhir.problem import Problem
from cds_service.fhir.record_shapes import objects_in

SEVERITIES = ("fatal", "error", "warning", "information")
# FHIR R4, IssueType
CODES = frozenset(
    [
        "invalid",
        "structure",
        "required",
        "value",
        "invariant",
        "security",
        "login",
        "unknown",
        "expired",
        "forbidden",
        "suppressed",
        "processing",
        "not-supported",
        "duplicate",
        "multiple-matches",
        "not-found",
        "deleted",
        "too-long",
        "code-invalid",
        "extension",
        "too-costly",
        "business-rule",
        "conflict",
        "transient",
        "lock-error",
        "no-store",
        "exception",
        "timeout",
        "incomplete",
        "throttled",
        "informational",
    ]
)
NOT_OURS = "a questionnaire that is not held here"
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class Report:
    """`forms`: canonicals of forms held here, and NOT_OURS; `issues`: (severity, code, how many)."""

    forms: tuple[str, ...]
    issues: tuple[tuple[str, str, int], ...]


def read_report(document: Mapping[str, Any], held: Collection[str]) -> Report | list[Problem]:
    """A report in any of the guide's spellings: flat, or nested in one parameter named `resource`.

    `held` are canonicals of our forms, with and without version.
    """
    if document.get("resourceType") != "Parameters":
        return [Problem("invalid", "resourceType", "is not Parameters", "send a Parameters resource", "structure")]
    parameters = list(_parameters(document))
    named = [str(_canonical(one)) for one in parameters if _is(one, "questionnaire") and _canonical(one)]
    outcomes = [one["resource"] for one in parameters if _is(one, "operationoutcome") and _outcome(one)]
    faults = []
    if not named:
        fix = "add a parameter `questionnaire` with its canonical as valueCanonical"
        faults.append(Problem("invalid", "parameter", "does not say which questionnaire it is about", fix, "required"))
    if not outcomes:
        fix = "add a parameter `operationOutcome` with an OperationOutcome as its resource"
        faults.append(Problem("invalid", "parameter", "holds no OperationOutcome with an issue", fix, "required"))
    if faults:
        return faults
    counted = Counter(_issue(issue) for outcome in outcomes for issue in objects_in(outcome.get("issue")))
    forms = dict.fromkeys(one if one in held else NOT_OURS for one in named)
    return Report(tuple(forms), tuple((*kind, many) for kind, many in sorted(counted.items())))


def in_words(report: Report) -> str:
    """For a log: counts, codes and canonicals."""
    issues = ", ".join(f"{many} {severity} {code}" for severity, code, many in report.issues)
    return f"{', '.join(report.forms)}: {issues}"


def _parameters(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for one in objects_in(document.get("parameter")):
        nested = one.get("resource")
        # published 2.2 has one parameter named `resource`, of type Parameters
        if _is(one, "resource") and isinstance(nested, Mapping) and nested.get("resourceType") == "Parameters":
            yield from objects_in(nested.get("parameter"))
        elif _is(one, "resource") and one.get("part"):
            yield from objects_in(one.get("part"))
        else:
            yield one


def _is(parameter: Mapping[str, Any], name: str) -> bool:
    # 2.0.1 writes them with capitals in one place and without in another
    return str(parameter.get("name")).lower() == name


def _canonical(parameter: Mapping[str, Any]) -> str | None:
    values: Sequence[Any] = [parameter.get(name) for name in ("valueCanonical", "valueUri", "valueUrl", "valueString")]
    resource = parameter.get("resource")
    if isinstance(resource, Mapping) and resource.get("resourceType") == "Questionnaire":
        url, version = resource.get("url"), resource.get("version")
        values = [f"{url}|{version}" if isinstance(version, str) else url]
    return next((one for one in values if isinstance(one, str) and one), None)


def _outcome(parameter: Mapping[str, Any]) -> bool:
    resource = parameter.get("resource")
    if not isinstance(resource, Mapping) or resource.get("resourceType") != "OperationOutcome":
        return False
    return any(True for _ in objects_in(resource.get("issue")))


def _issue(issue: Mapping[str, Any]) -> tuple[str, str]:
    severity, code = issue.get("severity"), issue.get("code")
    known = isinstance(code, str) and code in CODES
    return (str(severity) if severity in SEVERITIES else _OTHER, str(code) if known else _OTHER)
