"""Whether a policy's cases say enough: every status, rule, exclusion, border and answer seen at least once. Names no
policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from cds_service.fhir.fhirpath.syntax import Binary, Literal, walk
from cds_service.fhir.quantities import Quantity, convert, parse_quantity
from cds_service.policy.case_file import CaseFile
from cds_service.policy.cases import CaseResult, run_case
from cds_service.policy.choices import answer_of
from cds_service.policy.form_rules import unasked
from cds_service.policy.items import Reading
from cds_service.policy.model import Status
from cds_service.policy.plan import Policy

_COMPARISONS = frozenset({"<", "<=", ">", ">=", "=", "!="})
# just above, just below: nearer than the next whole number of the measure
_NEAR = Decimal(1)


def gaps(policy: Policy, file: CaseFile, results: Sequence[CaseResult]) -> list[str]:
    """What no case shows, in words; and what a case reaches although it is declared unreachable."""
    found = [*_criteria_gaps(policy, file, results), *_fired_gaps(policy, results)]
    found += _threshold_gaps(policy, results)
    first, before = policy.start, policy.start - timedelta(days=1)
    days = {result.case.on for result in results}
    if first not in days:
        found.append(f"no case on the first day in force ({first})")
    if before not in days:
        found.append(f"no case on the day before the first ({before})")
    if not any(result.case.whole_chart for result in results):
        found.append("no case with a whole chart (chart: charts/<name>.json)")
    return found


def _criteria_gaps(policy: Policy, file: CaseFile, results: Sequence[CaseResult]) -> Iterator[str]:
    seen: dict[str, dict[str, str]] = {name: {} for name in policy.criteria}
    for result in results:
        for verdict in result.determination.criteria if result.determination else ():
            seen[verdict.id].setdefault(verdict.status.value, result.case.name)
    for name in file.unreachable:
        if name not in policy.criteria:
            yield f"unreachable: '{name}' is no criterion"
    for name, statuses in seen.items():
        declared = file.unreachable.get(name, {})
        for status in declared:
            if status in statuses:
                yield f"{name}: declared unreachable as {status}, but '{statuses[status]}' reaches it"
        for status in Status:
            if status.value not in statuses and status.value not in declared:
                yield f"{name}: no case sees it {status.value}"


def _fired_gaps(policy: Policy, results: Sequence[CaseResult]) -> Iterator[str]:
    got = [result.determination for result in results if result.determination is not None]
    # a row that gives a part of the answer and lets the walk go on has decided that part
    rules = {rule for one in got for rule in (one.authorization_rule, *one.rules_before)}
    fired = {exclusion.id for one in got for exclusion in one.exclusions}
    advice = {item.id for one in got for item in one.advice}
    documents = {(document.id, document.status) for one in got for document in one.documents}
    yield from (f"{row.id}: no case in which this row decides" for row in policy.rows if row.id not in rules)
    yield from (f"{name}: no case in which it fires" for name in policy.exclusions if name not in fired)
    yield from (f"{item.id}: no case in which it is given" for item in policy.advice if item.id not in advice)
    for name in policy.documents:
        for status in ("on-file", "missing"):
            if (name, status) not in documents:
                yield f"{name}: no case sees it {status}"


def form_gaps(policy: Policy, results: Sequence[CaseResult]) -> list[str]:
    """Which answers to the policy's form no case tries; and whether filling it in is seen to do what it is for."""
    if policy.form is None:
        return []
    given = {(name, value) for result in results for name, (value, _) in result.case.answers.items()}
    found = [
        f"{item.link_id}: no case answers '{answer}'"
        for item in policy.form.items.values()
        if not item.link_id.startswith("form.")
        for answer in (("yes",) if item.type == "attachment" else (answer_of(choice.code) for choice in item.choices))
        if answer != "dont-know" and (item.link_id, answer) not in given
    ]
    found += _open_and_not_asked(policy, results)
    if not any(_answers_meet_the_root(result, policy) for result in results):
        found.append("no case with a chart whose answers alone take the root from unknown to met")
    return found


def _open_and_not_asked(policy: Policy, results: Sequence[CaseResult]) -> Iterator[str]:
    """Criteria that the plan says are not asked, open in some case, with no word how the order cures it."""
    verdicts = (one for result in results if result.determination for one in result.determination.criteria)
    open_ones = {one.id for one in verdicts if one.status is Status.UNKNOWN}
    for name in sorted(open_ones & unasked(policy)):
        if policy.criteria[name].hint is None:
            yield f"{name}: open in some case, not asked, and its description names no field of the order that cures it"


def _answers_meet_the_root(result: CaseResult, policy: Policy) -> bool:
    case = result.case
    if not case.answers or not case.chart or case.facts or _root(result, policy) is not Status.MET:
        return False
    return _root(run_case(replace(case, answers={}), policy), policy) is Status.UNKNOWN


def _root(result: CaseResult, policy: Policy) -> Status | None:
    judged = result.determination.criteria if result.determination else ()
    return next((one.status for one in judged if one.id == policy.root), None)


def thresholds(policy: Policy) -> set[Quantity]:
    """Every quantity that a condition of the policy compares a value with."""
    found = set()
    for expression in policy.expressions():
        for node in walk(expression.ast):
            if isinstance(node, Binary) and node.operator in _COMPARISONS:
                for side in (node.left, node.right):
                    if isinstance(side, Literal) and isinstance(side.value, Quantity):
                        found.add(side.value)
    return found


def _threshold_gaps(policy: Policy, results: Sequence[CaseResult]) -> Iterator[str]:
    tried = list(_values_tried(results))
    for border in sorted(thresholds(policy), key=str):
        values = {converted.value for one in tried if (converted := convert(one, border.unit)) is not None}
        for place, holds in (
            ("at", border.value in values),
            ("just above", any(border.value < one <= border.value + _NEAR for one in values)),
            ("just below", any(border.value - _NEAR <= one < border.value for one in values)),
        ):
            if not holds:
                yield f"{border}: no case has a value {place} this border"


def _values_tried(results: Iterable[CaseResult]) -> Iterator[Quantity]:
    for result in results:
        for given in result.amounts:
            if isinstance(given, Reading | Quantity):
                yield given if isinstance(given, Quantity) else given["value"]
        for resource in result.case.chart:
            if resource.get("resourceType") != "Observation":
                continue
            for part in (resource, *resource.get("component", ())):
                raw = part.get("valueQuantity")
                quantity = parse_quantity(raw) if raw is not None else None
                if quantity is not None:
                    yield quantity
