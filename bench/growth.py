"""Larger charts and more policies than are shipped, made in memory from those that are."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import date, timedelta
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
        return [one for one in shipped if one is plan or one not in plans]
    payer = next(one for one in shipped if one.resource["resourceType"] == "InsurancePlan")
    definitions = list(shipped)
    for n in range(policies - len(plans)):
        definitions.append(Definition(f"plans/payers/synthetic-{n}.json", _payer(payer.resource, n), "payers"))
        where = f"plans/synthetic-{n}/{plan.folder}/PlanDefinition.json"
        definitions.append(Definition(where, _plan(plan.resource, n), plan.folder))
    return definitions


def _payer(resource: Any, n: int) -> dict[str, Any]:
    kept = {name: value for name, value in resource.items() if name not in ("alias", "identifier", "extension")}
    return {**kept, "id": f"synthetic-{n}", "name": f"Synthetic Payer {n}"}


def _plan(resource: Any, n: int) -> dict[str, Any]:
    context = copy.deepcopy(resource["useContext"])
    for one in context:
        if "valueReference" in one:
            one["valueReference"] = {"reference": f"InsurancePlan/synthetic-{n}"}
    url = f"{BASE}/PlanDefinition/synthetic-{n}"
    return {**resource, "id": f"synthetic-{n}", "url": url, "useContext": context}
