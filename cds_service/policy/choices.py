"""The codes that a policy's expressions read of an answer, where it is a choice and no yes or no. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from cds_service.fhir.fhirpath.syntax import Binary, Call, Literal, Member, Node, Variable, walk
from cds_service.policy.faults import did_you_mean
from cds_service.policy.plan import Policy

_PLAIN = frozenset({"yes", "no", "dont-know"})


def choices(policy: Policy) -> dict[str, frozenset[str]]:
    """Question -> the codes that expressions compare its answer with: `%answers.exists(linkId = .. and value = ..)`."""
    found: dict[str, frozenset[str]] = {}
    for expression in policy.expressions():
        for node in walk(expression.ast):
            if isinstance(node, Call) and isinstance(node.base, Variable) and node.base.name == "answers":
                codes = _compared(node, "value") - _PLAIN
                for question in _compared(node, "linkId") if codes else ():
                    found[question] = found.get(question, frozenset()) | codes
    return found


def questions_read(policy: Policy) -> frozenset[str]:
    """Every linkId whose answer some expression looks for."""
    calls = (node for expression in policy.expressions() for node in walk(expression.ast))
    return frozenset(
        question
        for node in calls
        if isinstance(node, Call) and isinstance(node.base, Variable) and node.base.name == "answers"
        for question in _compared(node, "linkId")
    )


def unread_answers(answers: Mapping[str, tuple[str, datetime | None]], policy: Policy) -> tuple[str, ...]:
    """Answers that no expression reads: a misspelt choice would be silence, and a test of it would test nothing."""
    if all(value in _PLAIN for value, _ in answers.values()):
        return ()
    known = choices(policy)
    return tuple(
        f"answers: '{value}' to {name} is read by nothing ({did_you_mean(value, codes, 'yes, no or dont-know')})"
        for name, (value, _) in answers.items()
        if value not in _PLAIN and value not in (codes := known.get(name, frozenset()))
    )


def _compared(call: Node, name: str) -> frozenset[str]:
    """The texts with which the element `name` is compared inside a call."""
    sides = (
        (one.left, one.right)
        for one in walk(call)
        if isinstance(one, Binary) and one.operator in ("=", "in") and isinstance(one.left, Member)
    )
    return frozenset(
        literal.value
        for left, right in sides
        if isinstance(left, Member) and left.name == name
        for literal in walk(right)
        if isinstance(literal, Literal) and isinstance(literal.value, str)
    )
