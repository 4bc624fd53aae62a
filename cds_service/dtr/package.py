"""Contexts and a request -> a Bundle for each questionnaire, with a draft response; and what is to be said. Pure.

What goes into a draft is judged anew from the kept situation: the same facts, and no answer of an earlier response
(DTR 2.2, spec-125). Where nothing is to be asked, the answer says why.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

from cds_service.dtr.asked_form import adaptive_shell
from cds_service.dtr.bundles import Bundled, Issue, bundle_of
from cds_service.dtr.dialects import PACKAGE_OUTPUT, Dialect
from cds_service.dtr.drafts import About, draft_response
from cds_service.dtr.package_request import Canonical, PackageRequest, Placed
from cds_service.dtr.populated_form import populated
from cds_service.fhir.codings import keys_of
from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.problem import Problem
from cds_service.fhir.record_shapes import objects_in
from cds_service.fhir.references import literal_reference, own_reference, reference_key
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.context import Context
from cds_service.policy.determination import determine
from cds_service.policy.form import Form
from cds_service.policy.model import Determination, Situation
from cds_service.policy.order_line import read_order_line
from cds_service.policy.plan import Policy
from cds_service.policy.population import population_of
from cds_service.policy.situation_json import situation_from


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a package is made with, beside what is asked for."""

    catalogue: Catalogue
    dialect: Dialect
    moment: datetime
    business_hours: BusinessHours
    base: str  # our FHIR base, for the addresses of definitions
    new_id: Callable[[], str]
    adaptive: bool = False  # forms without questions, which the client asks for one by one
    kept: frozenset[str] = frozenset()  # the contexts that can be found again under their ids


@dataclass(frozen=True, slots=True)
class _Judged:
    context: Context
    policy: Policy
    determination: Determination
    order: str  # the reference of the order, as it is now


def package(
    request: PackageRequest, contexts: Sequence[Context], said: Sequence[str], around: Surroundings
) -> dict[str, Any] | Problem:
    """The output Parameters of the operation. `said`: what is already known to be worth telling, in words."""
    fault = _of_others(request, contexts)
    if fault is not None:
        return fault
    issues = [Issue("information", "informational", text) for text in said]
    judged: list[_Judged] = []
    for context in contexts:
        found = _judge(context, request, around)
        if isinstance(found, Problem):
            return found
        if isinstance(found, Issue):
            issues.append(found)
        else:
            judged.append(found)
    bundles = [one for one in _bundles(request, judged, around) if _kept_apart(one, issues)]
    if not bundles and not issues:
        issues.append(Issue("information", "informational", "No questionnaire is wanted for this."))
    return _parameters(bundles, issues, around.dialect)


def _kept_apart(found: Bundled | Issue, issues: list[Issue]) -> bool:
    issues += [found] if isinstance(found, Issue) else found.issues
    return isinstance(found, Bundled)


# -- whose it is, and whether the order is the one ---------------------------------------------------------

# the element that says whose a resource is, where it is not `subject`
_OWNER = {"Coverage": "beneficiary", "ImmunizationRecommendation": "patient", "VisionPrescription": "patient"}


def _of_others(request: PackageRequest, contexts: Sequence[Context]) -> Problem | None:
    """A coverage or order of another patient than the context's, or of two patients in one call."""
    subjects = {one.subject for one in contexts}
    base = next((one.situation.get("base") for one in contexts), None)
    for where, resource in (*request.coverages, *request.orders):
        element = _OWNER.get(resource["resourceType"], "subject")
        key = reference_key(literal_reference(resource.get(element)), base)
        if key is None or "Patient/" not in key:
            if contexts and _judged_as_it_is_now(resource, contexts):
                # contained, or told by an identifier alone: whether it is the same patient nobody can say
                fix = f"name the patient by reference: {contexts[0].subject}"
                what = "does not say by a reference whose order it is"
                return Problem("invalid", f"{where}.{element}", what, fix, "business-rule")
            continue  # it contradicts nothing
        subjects.add(key)
        if len(subjects) > 1:
            what = "not of the patient of the context" if contexts else "not of the same patient as what stands before"
            fix = "send the coverage and orders of one patient, and the context that was given for them"
            return Problem("invalid", f"{where}.{element}", what, fix, "business-rule")
    return None


def _judged_as_it_is_now(resource: Mapping[str, Any], contexts: Sequence[Context]) -> bool:
    """Whether a resource may stand in for the order of a context."""
    return any(one.situation["line"]["resource"]["resourceType"] == resource["resourceType"] for one in contexts)


def _judge(context: Context, request: PackageRequest, around: Surroundings) -> _Judged | Issue | Problem:
    url, _, version = context.policy.partition("|")
    policy = around.catalogue.by_canonical(url, version)
    if policy is None or policy.id in around.catalogue.disabled:
        text = (
            f"The policy {context.policy} is not answered from any more. Sign the order again to learn what is needed."
        )
        return Issue("warning", "not-found", text)
    zone: tzinfo | None = around.moment.tzinfo
    situation = situation_from(
        context.situation,
        policy,
        asked_at=context.made_at.astimezone(zone),
        business_hours=around.business_hours,
        answers={},
    )
    if request.context is not None and request.orders:
        # DTR 2.2, spec-128: the order may have moved on since; spec-129: but it has to be that order
        order = _the_order(request.orders, situation)
        if order is None:
            what = "none of the orders has to do with the context"
            fix = "send the order that the context was given for, or leave the context out"
            return Problem("invalid", request.orders[0].where, what, fix, "business-rule")
        situation = _with_order(situation, order)
    determination = determine(policy, situation)
    if determination is None:
        text = f"{policy.title} does not speak of the order as it is now. Sign it again to learn what is needed."
        return Issue("warning", "business-rule", text)
    return _Judged(context, policy, determination, own_reference(situation.line.resource))


def _the_order(orders: Sequence[Placed], situation: Situation) -> Mapping[str, Any] | None:
    """The order that a context is about: the same by its id, else one for the same thing."""
    held = situation.line.resource
    same = [one.resource for one in orders if "id" in held and own_reference(one.resource) == own_reference(held)]
    wanted = set(_codes(held))
    alike = [one.resource for one in orders if not wanted.isdisjoint(_codes(one.resource))]
    return next((one for one in same if one in alike), None) or next(iter([*alike, *same]), None)


def _codes(order: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("code", "codeCodeableConcept", "medicationCodeableConcept"):
        yield from keys_of(order.get(name))


def _with_order(situation: Situation, order: Mapping[str, Any]) -> Situation:
    line = read_order_line(order, situation.line["position"], situation.record, situation.order_date)
    return replace(situation, line=line)


# -- which questionnaires ----------------------------------------------------------------------------------


def _bundles(request: PackageRequest, judged: Sequence[_Judged], around: Surroundings) -> Iterator[Bundled | Issue]:
    if request.questionnaires:
        # DTR 2.2, Data Expectations: where questionnaires are named, only those come back
        for canonical in request.questionnaires:
            yield from _named(canonical, request, judged, around)
        return
    for one in judged:
        form = one.policy.form
        if not one.determination.doc_needed:
            yield _nothing_needed(one)
        elif form is None:
            yield _no_form(one)
        else:
            yield _bundle(form, one.policy, one, request, around)


def _named(
    canonical: Canonical, request: PackageRequest, judged: Sequence[_Judged], around: Surroundings
) -> Iterator[Bundled | Issue]:
    """The questionnaire that was asked for, for each context that it is of; without one with a draft that is empty."""
    for_it = [one for one in judged if one.policy.form is not None and _is(one.policy.form, canonical)]
    for one in for_it:
        assert one.policy.form is not None
        yield _bundle(one.policy.form, one.policy, one, request, around)
    if for_it:
        return
    policy = _holder(canonical, around)
    if policy is None or policy.form is None:
        yield _unknown(canonical, around.catalogue)
    else:
        yield _bundle(policy.form, policy, None, request, around)


def _is(form: Form, canonical: Canonical) -> bool:
    return form.url == canonical.url and canonical.version in (None, form.version)


def _holder(canonical: Canonical, around: Surroundings) -> Policy | None:
    """The policy whose form it is; without a version the newest that has begun."""
    found = [
        one
        for one in around.catalogue.policies
        if one.form is not None and _is(one.form, canonical) and one.id not in around.catalogue.disabled
    ]
    begun = [one for one in found if one.start <= around.moment.date()]
    return max(begun if canonical.version is None else found, key=lambda one: one.start, default=None)


def _unknown(canonical: Canonical, catalogue: Catalogue) -> Issue:
    # DTR 2.2, oper-9
    forms = [one.form for one in catalogue.policies if one.form is not None and one.id not in catalogue.disabled]
    versions = sorted(one.version for one in forms if one.url == canonical.url)
    near = difflib.get_close_matches(canonical.url, sorted({one.url for one in forms}), n=1, cutoff=0.9)
    known = (
        f" Held are its versions {', '.join(versions)}." if versions else f" Did you mean {near[0]}?" if near else ""
    )
    return Issue("warning", "not-found", f"The questionnaire {_shown(canonical)} is not held here.{known}")


def _shown(canonical: Canonical) -> str:
    text = str(canonical)
    return text if len(text) <= 200 and text.isprintable() else "that was named"


def _nothing_needed(one: _Judged) -> Issue:
    text = (
        f"{one.policy.title}: nothing more has to be documented for {one.order}; no questionnaire is needed any more."
    )
    return Issue("information", "informational", text)


def _no_form(one: _Judged) -> Issue:
    # DTR 2.2, oper-8: how to learn what is needed
    source = one.policy.source_url or one.policy.source
    whom = ", ".join(str(contact["name"]) for contact in one.policy.contact if contact.get("name"))
    ask = f" Ask {whom}." if whom else ""
    text = f"{one.policy.title}: documents are needed, and there is no questionnaire for them here. See {source}.{ask}"
    return Issue("warning", "not-found", text)


def _bundle(
    form: Form, policy: Policy, judged: _Judged | None, request: PackageRequest, around: Surroundings
) -> Bundled | Issue:
    if policy.retired:
        text = (
            f"The questionnaire {form.canonical} is not in use any more. Sign the order again to learn what is needed."
        )
        return Issue("warning", "business-rule", text)
    if request.changed_since is not None and not _changed(form, judged, request.changed_since, around):
        text = f"Nothing has changed in {form.canonical} since {request.changed_since.text}."
        return Issue("information", "informational", text)
    about = _about(judged, request, policy)
    determination = judged.determination if judged is not None else None
    questionnaire = form.resource
    if around.adaptive:
        held = judged.context.id if judged is not None and judged.context.id in around.kept else None
        questionnaire = adaptive_shell(form, around.base, around.dialect, held)
    draft = draft_response(form, about, determination, around.dialect, around.moment, not around.adaptive)
    definitions, population = around.catalogue.resources, population_of(policy)
    if population is not None:
        questionnaire = populated(questionnaire, population, definitions, around.dialect)
    return bundle_of(form, questionnaire, draft, definitions, around.dialect, around)


def _changed(form: Form, judged: _Judged | None, since: FhirDate, around: Surroundings) -> bool:
    """Whether the form, or what is known of the order, is newer than `since`; where that cannot be told, it is."""
    if judged is not None and judged.context.made_at < around.moment:
        moments = [FhirDate.of_moment(judged.context.made_at)]
    else:
        moments = []  # judged just now: what matters is the form
    stated = form.resource.get("date") or form.version
    written = parse_date(stated) if isinstance(stated, str) else None
    if written is None:
        return True
    return any((order := one.compare(since)) is None or order > 0 for one in (*moments, written))


# -- what it is about, and the answer ----------------------------------------------------------------------


def _about(judged: _Judged | None, request: PackageRequest, policy: Policy) -> About:
    if judged is not None:
        context = judged.context
        purposes = judged.determination.doc_purpose or _purposes(policy)
        return About(context.subject, (context.coverage,), judged.order, purposes)
    coverages = [_reference_to(one.resource) for one in request.coverages]
    beneficiaries = (literal_reference(one.resource.get("beneficiary")) for one in request.coverages)
    subject = next((one for one in beneficiaries if one is not None and not one.startswith("#")), None)
    order = own_reference(request.orders[0].resource) if len(request.orders) == 1 else None
    return About(subject, tuple(coverages), order, _purposes(policy))


def _purposes(policy: Policy) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for document in policy.documents.values() for one in document.purposes))


def _reference_to(coverage: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(coverage.get("id"), str):
        return {"reference": own_reference(coverage)}
    identifier = next(iter(objects_in(coverage.get("identifier"))), None)
    return {"type": "Coverage", "identifier": identifier} if identifier is not None else {"type": "Coverage"}


def _parameters(bundles: Sequence[Bundled | Issue], issues: Sequence[Issue], dialect: Dialect) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": dialect.package_parameter, "resource": one.resource} for one in bundles if isinstance(one, Bundled)
    ]
    if issues:
        outcome = {"resourceType": "OperationOutcome", "issue": [one.as_fhir() for one in dict.fromkeys(issues)]}
        parameters.append({"name": dialect.outcome_parameter, "resource": outcome})
    return {"resourceType": "Parameters", "meta": {"profile": [PACKAGE_OUTPUT]}, "parameter": parameters}
