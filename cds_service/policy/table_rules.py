"""What holds of a whole plan, not of one line of it: the authorization table ends, and nothing reads itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cds_service.policy.faults import Faults
from cds_service.policy.plan import Condition, Criterion, Document, Exclusion, Outcome, Row

if TYPE_CHECKING:
    from cds_service.policy.fact_reader import FactReader


def check_table(rows: Sequence[Row], faults: Faults) -> None:
    """The table is read from the top until both fields are given; every path through it must give both."""
    if not rows:
        faults.add("authorization", "no rows", "add at least a last row without a condition")
        return
    for n, row in enumerate(rows):
        last = n == len(rows) - 1
        if row.condition is None and not last:
            faults.add(row.id, "rows behind it are never reached", "only the last row has no condition")
        if row.gives.covered is None and row.gives.pa_needed is None:
            faults.add(row.id, "gives neither covered nor paNeeded", "give one or both")
        if row.condition is None and row.unknown is not None:
            faults.add(row.id, "has no condition that could be unknown", "leave 'unknown' out")
        for outcome in filter(None, (row.gives, row.unknown)):
            _check_words(row, outcome, faults)
    if rows[-1].condition is not None:
        faults.add(rows[-1].id, "the last row has a condition", "end the table with a row that always holds")
    elif rows[-1].gives.covered is None or rows[-1].gives.pa_needed is None:
        faults.add(rows[-1].id, "the last row leaves a field open", "give covered and paNeeded")


def _check_words(row: Row, outcome: Outcome, faults: Faults) -> None:
    if "OTH" in outcome.info_needed and not (outcome.reason or row.words):
        faults.add(row.id, "infoNeeded OTH without words", "CRD q6: say in reason or description what is needed")


def check_reads(
    rows: Sequence[Row],
    exclusions: Mapping[str, Exclusion],
    criteria: Mapping[str, Criterion],
    facts: FactReader,
    faults: Faults,
) -> None:
    """No short answer rests on a criterion; no verdict rests on itself."""
    for n, row in enumerate(rows):
        if row.criteria:
            continue
        for before in rows[: n + 1]:
            read = before.condition.reach.verdicts if before.condition else ()
            for name in read:
                what = f"gives criteria=false, so neither it nor a row above may read '{name}'"
                faults.add(row.id, what, f"move '{before.id}' below it or leave the verdict out of its condition")
    _check_circles(exclusions, criteria, facts, faults)


def _graph(
    criteria: Mapping[str, Criterion],
    exclusions: Mapping[str, Exclusion],
    documents: Mapping[str, Document],
    facts: FactReader,
) -> dict[str, set[str]]:
    """Every fact and verdict with the names that it rests on at once."""
    graph: dict[str, set[str]] = {name: set(reads) for name, reads in facts.fact_reads().items()}
    for name, criterion in criteria.items():
        graph[name] = _reads(criterion.applicability) | _reads(criterion.start) | set(criterion.children)
    root = next(iter(criteria), None)
    if root is not None:
        graph[root] |= set(exclusions)  # an exclusion that fires changes the root
    for name, exclusion in exclusions.items():
        graph[name] = _reads(exclusion.condition)
    for name, document in documents.items():
        graph[name] = _reads(document.applicability) | _reads(document.start) | set(document.inputs)
    return graph


def rests_of_verdicts(
    criteria: Mapping[str, Criterion],
    exclusions: Mapping[str, Exclusion],
    documents: Mapping[str, Document],
    facts: FactReader,
    rests_on: Mapping[str, frozenset[str]],
) -> dict[str, frozenset[str]]:
    """Criterion, exclusion or document -> the resource types whose failed look-up may leave it open.

    Exclusions are left out of the root's: they only ever take something away from it.
    """
    graph = _graph(criteria, exclusions, documents, facts)
    found: dict[str, frozenset[str]] = {}
    for name in (*criteria, *exclusions, *documents):
        kinds: frozenset[str] = frozenset()
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                kinds |= rests_on.get(one, frozenset())
                waiting.extend(graph.get(one, set()) - (set(exclusions) if one in criteria else set()))
        found[name] = kinds
    return found


def _check_circles(
    exclusions: Mapping[str, Exclusion], criteria: Mapping[str, Criterion], facts: FactReader, faults: Faults
) -> None:
    graph = _graph(criteria, exclusions, {}, facts)
    root = next(iter(criteria), None)
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            fix = (
                "an exclusion may not read the root that it changes"
                if root in path and any(one in exclusions for one in path)
                else "no verdict or fact may rest on itself"
            )
            faults.add(circle, "goes in a circle", fix)
            done.update(path)
            return
        if name in done:
            return
        for read in sorted(graph.get(name, ())):
            visit(read, (*path, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def _reads(condition: Condition | None) -> set[str]:
    if condition is None:
        return set()
    return {name for expression in condition.expressions for name in expression.reads}
