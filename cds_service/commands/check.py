"""`cds-service check`: every fault of plans and value sets, and the policies' own cases."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cds_service.commands.printing import FAULT, count, report
from cds_service.fhir.problem import Problem
from cds_service.settings import Settings

if TYPE_CHECKING:
    from cds_service.app import Policies


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.app import StartRefused, load_policies

    try:
        policies = load_policies(settings)
    except StartRefused as refused:
        told = f"{count(len(refused.problems), 'fault')}; no case was run"
        return _print_checked(chosen.json, refused.problems, told)
    problems, codes = _check_codes(policies)
    failed, cases = _run_cases(policies, [path.resolve() for path in chosen.paths])
    problems += failed
    told = f"{count(len(policies.catalogue.policies), 'policy', 'policies')}, {count(cases, 'case')}"
    return _print_checked(chosen.json, problems, f"{told}, {count(len(problems), 'fault')}; {codes}")


def _check_codes(policies: Policies) -> tuple[list[Problem], str]:
    """Faults of the codes in the value sets, and in words whether ICD-10-CM could be held against a list of it."""
    from cds_service.adapters.icd10cm_package import PACKAGE, packaged_codes
    from cds_service.terminology.icd10cm import has_codes
    from cds_service.terminology.lints import lint_value_sets

    definitions = [file.definition for file in policies.files]
    sets = [(one.where, one.resource) for one in definitions if one.resource["resourceType"] == "ValueSet"]
    read = {canonical for policy in policies.catalogue.policies for canonical in policy.value_sets}
    codes = packaged_codes() if any(has_codes(one) for _, one in sets) else None
    told = f"ICD-10-CM codes as of {codes.release}" if codes else f"ICD-10-CM codes NOT verified: {PACKAGE} is missing"
    return lint_value_sets(sets, read, codes), told


def _run_cases(policies: Policies, below: Sequence[Path]) -> tuple[list[Problem], int]:
    """Every fault of the policies' own cases (of those below the paths, if any), and how many were run."""
    from cds_service.policy.case_file import read_cases
    from cds_service.policy.cases import run_case

    chosen = [one for one in policies.cases if not below or any(map(one.path.is_relative_to, below))]
    problems = [
        Problem("not-found", str(path), "no cases.yaml below this path", "name a folder of CDS_PLANS")
        for path in below
        if not any(one.path.is_relative_to(path) for one in chosen)
    ]
    tried = 0
    for unread in chosen:
        policy = policies.beside(unread)
        if policy is None:
            problems.append(
                Problem("invalid", unread.where, "no PlanDefinition.json beside it", "put it beside its plan")
            )
            continue
        read, faults = read_cases(unread.text, unread.where, unread.charts)
        problems.extend(faults)
        for case in read.cases:
            tried += 1
            result = run_case(case, policy)
            if result.differences:
                wanted = "; ".join(result.differences)
                named = set(re.findall(r"[\w.-]+", wanted))
                because = [reason for reason in result.reasons if reason.split(": ")[0] in named]
                what = f"{wanted} (because: {'; '.join(because)})" if because else wanted
                problems.append(Problem("conflict", case.where, what, "mend the plan or the case"))
    return problems, tried


def _print_checked(as_json: bool, problems: Sequence[Problem], summary: str) -> int:
    if as_json:
        rows = [{"where": one.where, "what": one.what, "fix": one.fix} for one in problems]
        print(json.dumps({"problems": rows, "summary": summary}, indent=2, ensure_ascii=False))
    else:
        report(problems)
        print(summary)
    return FAULT if problems else 0
