"""Determination -> text that a nurse can read: a tree of criteria, and what stands behind each. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cds_service.crd.card_text import verdict_words
from cds_service.crd.determination_json import determination_json
from cds_service.crd.statements import Statement
from cds_service.policy.model import Determination, DocumentVerdict, Evidence, Status, Verdict

LEGEND = "✓ met   ✗ not met   ? not known   – does not apply"

_MARK = {Status.MET: "✓", Status.NOT_MET: "✗", Status.UNKNOWN: "?", Status.NOT_APPLICABLE: "–"}
_DOCUMENT_MARK = {"on-file": "✓", "missing": "✗", "expired": "✗", "unsigned": "✗", "not-applicable": "–"}
_WIDTH = 100


def explain(statement: Statement) -> str:
    """What is said of one order under one coverage, as text: a tree for each determination, or why there is none."""
    under = f"{statement.line.reference} under {statement.coverage.key}"
    if statement.silence is not None:
        silence = statement.silence
        return "\n".join([_said(f"{under}: {silence.covered}"), *_wrapped(silence.text, 2)])
    return "\n\n\n".join(explain_determination(one, under) for one in statement.determinations)


def explain_determination(determination: Determination, under: str) -> str:
    """One determination as text. `under` names the order and coverage that it was made for."""
    return "\n".join(_lines(determination, under))


def explain_json(statement: Statement) -> list[dict[str, Any]]:
    """The same as JSON: members of `cds-service.determinations`, or what is said instead of one."""
    order, coverage = statement.line.reference, statement.coverage.key
    if statement.silence is not None:
        said = {"covered": statement.silence.covered, "reason": statement.silence.text}
        return [{"order": order, "coverage": coverage, **said}]
    return [determination_json(one, order, coverage) for one in statement.determinations]


def _lines(determination: Determination, under: str) -> Iterator[str]:
    code, item = determination.code, determination.item
    yield _said(f"{item if code in item else f'{item} ({code})'}, {under}")
    yield _said(f"{determination.payer_name}: {determination.policy_title}, as of {determination.on_date}")
    yield ""
    yield from _wrapped(verdict_words(determination), 2)
    yield from _wrapped(f"{determination.rule_title} [{determination.authorization_rule}]", 2)
    yield from _wrapped(f"covered: {determination.covered}; prior authorization: {determination.pa_needed}", 2)
    for reason in determination.reason:
        yield from _wrapped(reason, 2)

    if determination.criteria:
        yield ""
        yield f"Criteria   ({LEGEND})"
        yield from _tree(determination.criteria, None, 1)
    if determination.exclusions:
        yield ""
        yield "Excluded"
        for exclusion in determination.exclusions:
            yield from _wrapped(f"✗ {exclusion.title} [{exclusion.id}]", 2)
            yield from _behind(exclusion.reason, exclusion.evidence, 6)
    if determination.documents:
        yield ""
        yield "Documents"
        for document in determination.documents:
            yield from _document(document)
    if determination.advice:
        yield ""
        yield "Also"
        for advice in determination.advice:
            yield from _wrapped(advice.title, 2)
            for text in (advice.detail, *(f"to do: {one.label}" for one in advice.suggestions)):
                yield from _wrapped(text, 6) if text else ()
    yield ""
    yield _said(f"Source: {determination.source}")
    yield _said(f"Policy: {determination.policy}")


def _tree(verdicts: Sequence[Verdict], parent: str | None, depth: int) -> Iterator[str]:
    for verdict in verdicts:
        if verdict.parent != parent:
            continue
        indent = 2 * depth
        yield from _wrapped(f"{_MARK[verdict.status]} {verdict.title} [{verdict.id}]", indent)
        if verdict.status is Status.NOT_APPLICABLE:
            continue  # what does not apply has nothing behind it, and nothing below it applies either
        yield from _behind(_beyond_title(verdict), verdict.evidence, indent + 4)
        for label, items in (("not certain", verdict.candidates), ("against it", verdict.conflicts)):
            for item in items:
                yield from _wrapped(f"{label}: {item.display} ({item.reference})", indent + 4)
        if verdict.hint and verdict.status is not Status.MET and verdict.hint not in (verdict.reason or ""):
            yield from _wrapped(verdict.hint, indent + 4)
        yield from _tree(verdicts, verdict.id, depth + 1)


def _beyond_title(verdict: Verdict) -> str | None:
    """The reason, less the title when that is all it adds: the title stands on the line above."""
    return verdict.reason.replace(f": {verdict.title}", "", 1) if verdict.reason else None


def _document(document: DocumentVerdict) -> Iterator[str]:
    status = document.status.replace("-", " ")
    yield from _wrapped(f"{_DOCUMENT_MARK[document.status]} {document.title}: {status} [{document.id}]", 2)
    yield from _behind(document.reason, document.evidence, 6)


def _behind(reason: str | None, evidence: Iterable[Evidence], indent: int) -> Iterator[str]:
    if reason:
        yield from _wrapped(reason, indent)
    for item in evidence:
        yield from _wrapped(f"on record: {item.display} ({item.reference})", indent)


def _wrapped(text: str, indent: int) -> Iterator[str]:
    first, further = " " * indent, " " * (indent + 2)
    # ids have hyphens, and are there to be copied
    yield from textwrap.wrap(
        _said(text), _WIDTH, initial_indent=first, subsequent_indent=further, break_on_hyphens=False
    )


def _said(text: str) -> str:
    # a chart's text goes to a terminal, where a control character is a command
    return "".join(letter if letter.isprintable() else " " for letter in text)
