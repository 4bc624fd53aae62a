"""Definition files -> a Catalogue, or every fault in all of them at once. Strict: what is unknown refuses to load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cds_service.fhir.problem import Problem
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.faults import Faults, check_shape, did_you_mean
from cds_service.policy.form import Form
from cds_service.policy.form_rules import form_problems, own_form, wanted_form
from cds_service.policy.payers import Payer, read_payer
from cds_service.policy.plan import Policy
from cds_service.policy.read_form import read_form
from cds_service.policy.read_plan import read_plan
from cds_service.policy.remembered import Remembered
from cds_service.terminology.value_sets import ValueSet, ValueSets, contradictions, read_value_set

_HELD = ("InsurancePlan", "Library", "PlanDefinition", "Questionnaire", "ValueSet")


@dataclass(frozen=True, slots=True)
class Definition:
    """One definition file: where it stands (for messages), its JSON, and the name of its folder (a plan's version)."""

    where: str
    resource: Mapping[str, Any]
    folder: str


def load_catalogue(
    definitions: Sequence[Definition], disabled: frozenset[str] = frozenset()
) -> tuple[Catalogue | None, list[Problem]]:
    """Read all definitions. Returns the Catalogue, or None with all the faults found.

    `disabled` are ids of policies that are held but not answered from; an id that is not held is a fault.
    """
    problems: list[Problem] = []
    by_type: dict[str, list[Definition]] = {}
    for one in definitions:
        kind = one.resource.get("resourceType")
        if kind not in _HELD:
            problems.append(Problem("invalid", one.where, f"{kind!r} is not held here", f"one of {', '.join(_HELD)}"))
        else:
            by_type.setdefault(str(kind), []).append(one)
    value_sets = _value_sets(by_type.get("ValueSet", []), problems)
    payers = _payers(by_type.get("InsurancePlan", []), problems)
    libraries = _libraries(by_type.get("Library", []), problems)
    policies = _policies(by_type.get("PlanDefinition", []), libraries, value_sets, payers, problems)
    plans = by_type.get("PlanDefinition", [])
    policies = _with_forms(policies, plans, by_type.get("Questionnaire", []), problems)
    held = {policy.id for policy in policies}
    for name in sorted(disabled - held):
        fix = f"one of {', '.join(sorted(held))}"
        problems.append(Problem("invalid", "disabled policies", f"'{name}' is not held", fix))
    if problems:
        return None, problems
    resources = [one.resource for one in definitions]
    return Catalogue(policies, payers.values(), value_sets, resources, disabled), []


def _value_sets(definitions: Sequence[Definition], problems: list[Problem]) -> ValueSets:
    sets: list[ValueSet] = []
    where: dict[str, str] = {}
    for one in definitions:
        faults = Faults(one.where)
        sound = check_shape(one.resource, faults)
        problems.extend(faults.problems)
        if not sound:
            continue
        value_set, found = read_value_set(one.resource, one.where)
        problems.extend(found)
        if value_set is None:
            continue
        if any(value_set.canonical == other.canonical for other in sets):
            problems.append(Problem("conflict", one.where, f"{value_set.canonical} is held twice", "remove one"))
        sets.append(value_set)
        where[value_set.canonical] = one.where
    held = ValueSets(sets)
    problems.extend(contradictions(where, held))
    return held


def _payers(definitions: Sequence[Definition], problems: list[Problem]) -> dict[str, Payer]:
    payers: dict[str, Payer] = {}
    claimed: dict[str, str] = {}
    for one in definitions:
        faults = Faults(one.where)
        sound = check_shape(one.resource, faults)
        problems.extend(faults.problems)
        payer, found = read_payer(one.resource, one.where) if sound else (None, [])
        problems.extend(found)
        if payer is None:
            continue
        for name in payer.names:
            if name in claimed:
                fix = f"'{claimed[name]}' has it too: a name leads to one payer"
                problems.append(Problem("conflict", one.where, f"the name '{name}'", fix))
            claimed[name] = payer.id
        payers[payer.id] = payer
    return payers


def _libraries(definitions: Sequence[Definition], problems: list[Problem]) -> dict[str, Mapping[str, Any]]:
    libraries = {}
    for one in definitions:
        faults = Faults(one.where)
        if check_shape(one.resource, faults):
            url, version = one.resource.get("url"), one.resource.get("version")
            if not url or not version:
                faults.add("url", "a shared library needs url and version", "plans pin it as url|version")
            libraries[f"{url}|{version}"] = one.resource
        problems.extend(faults.problems)
    return libraries


def _policies(
    definitions: Sequence[Definition],
    libraries: Mapping[str, Mapping[str, Any]],
    value_sets: ValueSets,
    payers: Mapping[str, Payer],
    problems: list[Problem],
) -> list[Policy]:
    policies: list[Policy] = []
    names = {name: payer.name for name, payer in payers.items()}
    remembered = Remembered()
    for one in definitions:
        policy, faults = read_plan(one.resource, one.where, one.folder, libraries, value_sets, names, remembered)
        problems.extend(faults.problems)
        if policy is None:
            continue
        if any(policy.canonical == other.canonical for other in policies):
            problems.append(Problem("conflict", one.where, f"{policy.canonical} is held twice", "remove one"))
        policies.append(policy)
    return policies


def _with_forms(
    policies: Sequence[Policy],
    plans: Sequence[Definition],
    definitions: Sequence[Definition],
    problems: list[Problem],
) -> list[Policy]:
    """Each policy with the questionnaire that it names, held against it."""
    forms: dict[str, Form] = {}
    places: dict[str, str] = {}
    for one in definitions:
        canonical = f"{one.resource.get('url')}|{one.resource.get('version')}"
        if canonical in places:
            problems.append(Problem("conflict", one.where, f"{canonical} is held twice", "remove one"))
        places[canonical] = one.where
        form, faults = read_form(one.resource, one.where, one.folder)
        problems.extend(faults.problems)
        if form is not None:
            forms[canonical] = form
    named = {wanted_form(plan.resource) for plan in plans}
    for canonical, where in places.items():
        if canonical not in named:
            fix = f"write it into the criteria action of its plan: definitionCanonical {canonical}"
            problems.append(Problem("not-found", where, "no plan names this questionnaire", fix))
    found = []
    for policy in policies:
        wanted = policy.questionnaire
        if wanted is not None and wanted not in places:
            fix = did_you_mean(wanted, places, "put a Questionnaire.json beside the plan")
            problems.append(Problem("not-found", policy.where, f"the questionnaire {wanted}", fix))
        if wanted is not None and wanted != own_form(policy):
            where = f"{policy.where}: criteria.definitionCanonical"
            fix = f"write '{own_form(policy)}': plan and form differ in the type alone"
            problems.append(Problem("invalid", where, f"'{wanted}'", fix))
            wanted = None
        form = forms.get(wanted or "")
        if form is not None:
            problems.extend(form_problems(form, policy, places[form.canonical]))
        found.append(replace(policy, form=form))
    return found
