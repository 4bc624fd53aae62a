"""POST $questionnaire-package: bytes in, bytes out. What is asked and what comes back is the core's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from flask import Blueprint, Response, request

from cds_service.crd.memory import assertion_ids
from cds_service.crd.ordered import Around, Ordered, contexts_of, known, patient_of
from cds_service.dtr.dialects import VERSION_PARAMETER, Dialect, dialect_named, dialect_of_profile, not_spoken
from cds_service.dtr.package import Surroundings, package
from cds_service.dtr.package_request import PackageRequest, Placed, read_package_request
from cds_service.fhir.problem import Problem
from cds_service.fhir.references import own_reference
from cds_service.fhir.working_days import BusinessHours
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.context import Context
from cds_service.web.problems import FHIR_JSON, refusal
from cds_service.web.request_body import BodyUnreadable, read_body, refusal_of_unreadable

# What is kept under an assertion id at an instant; in words why the store cannot be asked
Contexts = Callable[[str, datetime], Sequence[Context] | str]

# `form=adaptive`: the client asks for the questions one by one
FORM_PARAMETER = "form"
# an order bears one for each of its coverages; each costs a look into the store
_MOST_IDS = 20


@dataclass(frozen=True, slots=True)
class Packages:
    """What the operation is answered with."""

    catalogue: Catalogue
    default: Dialect
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    public_url: str | None
    max_body: int
    business_hours: BusinessHours
    contexts: Contexts
    context_days: int


def questionnaire_package(packages: Packages) -> Blueprint:
    """The operation where DTR's definition has it, and where its narrative writes it."""
    blueprint = Blueprint("questionnaire-package", __name__)

    @blueprint.post("/fhir/Questionnaire/$questionnaire-package")
    @blueprint.post("/fhir/$questionnaire-package")
    def call() -> Response:
        try:
            body = read_body(packages.max_body)
        except BodyUnreadable:
            return refusal_of_unreadable()
        asked = read_package_request(body)
        if isinstance(asked, Problem):
            return refusal(asked)
        if request.args.get(FORM_PARAMETER, "standard") not in ("standard", "adaptive"):
            fix = "ask for form=standard or form=adaptive, or leave it out"
            return refusal(Problem("invalid", FORM_PARAMETER, "not a kind of form", fix))
        dialect = dialect_wanted(asked.profiles, packages.default)
        if isinstance(dialect, Problem):
            return refusal(dialect)
        moment = packages.clock()
        found = _found(asked, packages, moment)
        if isinstance(found, str):
            fix = "try again; without a context the order and its coverage can be sent instead"
            problem = Problem("unavailable", "context", f"what is kept cannot be read: {found}", fix, "transient")
            refused = refusal(problem, 503)
            refused.headers["Retry-After"] = "60"
            return refused
        if isinstance(found, Problem):
            return refusal(found)
        base = (packages.public_url or request.url_root.rstrip("/")) + "/fhir"
        around = Surroundings(
            packages.catalogue,
            dialect,
            moment,
            packages.business_hours,
            base,
            packages.new_id,
            adaptive=request.args.get(FORM_PARAMETER) == "adaptive",
            kept=found.kept,
        )
        answered = package(asked, found.contexts, found.said, around)
        if isinstance(answered, Problem):
            return refusal(answered)
        response = Response(orjson.dumps(answered), mimetype=FHIR_JSON)
        response.headers["Cache-Control"] = "no-store"  # a draft quotes the chart
        return response

    return blueprint


def dialect_wanted(profiles: Sequence[str], default: Dialect) -> Dialect | Problem:
    """The version of DTR to answer in: as the query says, else the Accept header, else the input's own profile.

    No version of the guide says how a client tells its version: what says nothing gets the deployment's.
    """
    said = request.args.get(VERSION_PARAMETER)
    if said is not None:
        return dialect_named(said) or not_spoken()
    claimed = [request.headers.get("Accept", ""), *profiles]
    return next((one for text in claimed if (one := dialect_of_profile(text)) is not None), default)


@dataclass(frozen=True, slots=True)
class _Found:
    contexts: tuple[Context, ...]
    said: tuple[str, ...] = ()
    kept: frozenset[str] = frozenset()  # those that can be found again under their ids


def _found(asked: PackageRequest, packages: Packages, moment: datetime) -> _Found | Problem | str:
    """The contexts that the questionnaires are filled from: kept ones, and those of orders that came without."""
    around = Around(packages.catalogue, moment, packages.business_hours, packages.new_id)
    if asked.context is not None:
        held = packages.contexts(asked.context, moment) if packages.context_days else ()
        if isinstance(held, str):
            return held
        return _Found(tuple(held), kept=frozenset({asked.context})) if held else _no_such_context(packages)
    if not asked.orders:
        patient = patient_of(asked.coverages)
        return known(asked.coverages, asked.referenced, patient or "", around) or _Found(())
    kept, away = _under_their_ids(asked.orders, packages, moment)
    rest = [one for one in asked.orders if own_reference(one.resource) not in kept]
    fresh: Ordered | Problem = Ordered((), ())
    if rest:
        fresh = contexts_of(rest, asked.coverages, asked.referenced, around)
    if isinstance(fresh, Problem):
        return fresh
    held_before = [one for each in kept.values() for one in each]
    return _Found((*held_before, *fresh.contexts), (*away, *fresh.said), frozenset(one.id for one in held_before))


def _under_their_ids(
    orders: Sequence[Placed], packages: Packages, moment: datetime
) -> tuple[dict[str, list[Context]], tuple[str, ...]]:
    """By order, what is kept under the assertion ids that earlier answers left on it, for this very order; and in
    words, where the store cannot be asked."""
    found: dict[str, list[Context]] = {}
    for order in orders if packages.context_days else ():
        reference = own_reference(order.resource)
        for identity in sorted(assertion_ids([order.resource]))[:_MOST_IDS]:
            held = packages.contexts(identity, moment)
            if isinstance(held, str):
                # each further look would wait as long
                said = f"What was kept for these orders cannot be read now: {held}. Without it the drafts say less."
                return found, (said,)
            same = [one for one in held if _order_of(one) == reference]
            if same:
                found.setdefault(reference, []).extend(same)
    return found, ()


def _order_of(context: Context) -> str:
    line: Any = context.situation["line"]
    return own_reference(line["resource"])


def _no_such_context(packages: Packages) -> Problem:
    # DTR 2.2, spec-130: a context that is not known is an error
    kept = f"contexts are kept for {packages.context_days} days" if packages.context_days else "none is kept here"
    named = "the coverage-assertion-id of an answer that named a questionnaire, as it came"
    fix = f"send {named} ({kept}), or the order and its coverage instead"
    return Problem("not-found", "context", "nothing is kept under this context", fix)
