"""Larger charts and more policies than are shipped, made in memory from those that are."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import PurePath
from typing import Any

from cds_service.policy.load import Definition

BASE = "https://cds-service.example.org/fhir"


def resources_in(call: dict[str, Any]) -> int:
    """How many resources the prefetch of a hook request brings."""
    given = (value for value in call["prefetch"].values() if value)
    return sum(len(one.get("entry", ())) if one["resourceType"] == "Bundle" else 1 for one in given)


def with_chart_of(call: dict[str, Any], resources: int) -> dict[str, Any]:
    """The same call with so many resources in its prefetch: earlier copies of its Observations are added."""
    grown = copy.deepcopy(call)
    bundle = next(
        value
        for value in grown["prefetch"].values()
        if value and value["resourceType"] == "Bundle" and _observations(value)
    )
    patterns = _observations(bundle)
    missing = resources - resources_in(grown)
    if missing < 0:
        raise ValueError(f"the call brings {resources_in(grown)} resources already")
    for n in range(missing):
        entry = copy.deepcopy(patterns[n % len(patterns)])
        observation = entry["resource"]
        observation["id"] = f"{observation['id']}-{n}"
        taken = observation.get("effectiveDateTime", "")
        if len(taken) >= 10:
            earlier = date.fromisoformat(taken[:10]) - timedelta(days=1 + n // len(patterns))
            observation["effectiveDateTime"] = earlier.isoformat() + taken[10:]
        bundle["entry"].append(entry)
    return grown


def _observations(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in bundle.get("entry", ()) if one["resource"]["resourceType"] == "Observation"]


def with_policies(shipped: Sequence[Definition], policies: int, policy: str) -> list[Definition]:
    """`policies` policies in all: that of id `policy` alone; or all that are shipped, and copies of it under payers of
    their own."""
    plans = [one for one in shipped if one.resource["resourceType"] == "PlanDefinition"]
    plan = next(one for one in plans if one.resource["id"] == policy)
    if policies == 1:
        others = {PurePath(one.where).parent for one in plans if one is not plan}
        return [one for one in shipped if PurePath(one.where).parent not in others]
    payer = next(one for one in shipped if one.resource["resourceType"] == "InsurancePlan")
    own = (plan, *(one for one in shipped if _is_form_of(one, plan)))
    definitions = list(shipped)
    for n in range(policies - len(plans)):
        definitions.append(Definition(f"plans/payers/synthetic-{n}.json", _payer(payer.resource, n), "payers"))
        for one in own:
            where = f"plans/synthetic-{n}/{plan.folder}/{one.resource['resourceType']}.json"
            definitions.append(Definition(where, _renamed(one.resource, policy, n), plan.folder))
    return definitions


def _is_form_of(one: Definition, plan: Definition) -> bool:
    beside = PurePath(one.where).parent == PurePath(plan.where).parent
    return beside and one.resource["resourceType"] == "Questionnaire"


def _payer(resource: Any, n: int) -> dict[str, Any]:
    kept = {name: value for name, value in resource.items() if name not in ("alias", "identifier", "extension")}
    return {**kept, "id": f"synthetic-{n}", "name": f"Synthetic Payer {n}"}


def _renamed(resource: Any, policy: str, n: int) -> dict[str, Any]:
    """The same plan or form under a name of its own, for a payer of its own."""
    text = json.dumps(resource)
    for kind in ("PlanDefinition", "Questionnaire"):
        text = text.replace(f'"{BASE}/{kind}/{policy}', f'"{BASE}/{kind}/synthetic-{n}')
    found: dict[str, Any] = json.loads(text)
    for one in found.get("useContext", ()):
        if "valueReference" in one:
            one["valueReference"] = {"reference": f"InsurancePlan/synthetic-{n}"}
    return {**found, "id": f"synthetic-{n}"}
