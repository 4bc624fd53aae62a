"""`cds-service new-policy`: the files of a policy that is still to be written; `check` then lists what is to do."""

from __future__ import annotations

import argparse
from pathlib import Path

from cds_service.commands.printing import report
from cds_service.fhir.problem import Problem
from cds_service.policy.scaffold import NewPolicy, name_faults, scaffold
from cds_service.settings import Settings


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    from cds_service.app import clock

    problems = name_faults(chosen.payer, chosen.policy)
    if problems:
        return report(problems)
    held = (settings.plans / "payers" / f"{chosen.payer}.json").exists()
    new = NewPolicy(chosen.payer, chosen.policy, chosen.date, payer_held=held)
    folder = settings.plans / chosen.payer / chosen.policy
    if folder.exists():
        fix = "for a new version copy its newest folder, and change version, effectivePeriod.start and what changed"
        return report([Problem("conflict", str(folder), "this policy is held", fix)])
    plans, value_sets = scaffold(new, clock(settings)().date())
    files = {settings.plans / path: text for path, text in plans.items()}
    files |= {settings.valuesets / path: text for path, text in value_sets.items()}
    taken = [path for path in files if path.exists()]
    if taken:
        return report([Problem("conflict", str(path), "is there already", "choose other names") for path in taken])
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {_from_the_folder_above(path, settings)}")
    except OSError as fault:
        what = f"cannot be written ({fault.strerror})"
        return report([Problem("unavailable", str(fault.filename), what, "point CDS_PLANS at folders of your own")])
    print("next: cds-service check lists what is to do")
    return 0


def _from_the_folder_above(path: Path, settings: Settings) -> str:
    """plans/<payer>/..., as messages of `check` have it."""
    root = settings.plans if path.is_relative_to(settings.plans) else settings.valuesets
    return path.relative_to(root.parent).as_posix()
