"""A situation judged for asking: the verdicts, and what of the determination an answer may still change. Pure.

Without an order at hand (no context was kept) only the criteria are judged, each open until it is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cds_service.policy.criteria import Verdicts
from cds_service.policy.determination import determine
from cds_service.policy.model import Answer, Determination, Situation, Status, Verdict
from cds_service.policy.plan import Condition, Criterion, Policy


@dataclass(frozen=True, slots=True)
class Judged:
    """`said` is the part of the answer for which questions are asked: equal where a caller would see no difference."""

    verdicts: Mapping[str, Verdict]
    root: Status | None
    said: tuple[Any, ...]
    determination: Determination | None


def judge(policy: Policy, situation: Situation, answers: Mapping[str, Answer], bare: bool) -> Judged | None:
    """None where the policy does not speak of the order: then there is nothing to ask."""
    situation = replace(situation, answers=answers)
    if bare:
        return _bare(policy, situation)
    found = determine(policy, situation)
    if found is None:
        return None
    root = found.root.status if found.root is not None else None
    verdicts = {one.id: one for one in found.criteria}
    said: tuple[Any, ...] = (root, found.covered, found.pa_needed)
    if root is not Status.NOT_MET:  # once the root is not met nothing is asked for any more
        wanted = (one for one in found.documents if one.counts and one.status != "not-applicable")
        said += (tuple((one.id, one.status) for one in wanted),)
    return Judged(verdicts, root, said + _beside(policy, verdicts, root), found)


def _bare(policy: Policy, situation: Situation) -> Judged:
    judged = Verdicts(policy, situation)
    try:
        verdicts = {name: judged.criterion(name) for name in policy.criteria}
    finally:
        judged.release()
    root = verdicts[policy.root].status if verdicts else None
    return Judged(verdicts, root, (root, *_beside(policy, verdicts, root)), None)


def _beside(policy: Policy, verdicts: Mapping[str, Verdict], root: Status | None) -> tuple[Any, ...]:
    """What stands beside the tree is asked for as long as the root is open (docs/how-it-decides.md)."""
    if root is not Status.UNKNOWN:
        return ()
    beside = ((name, one.status) for name, one in verdicts.items() if one.parent is None and name != policy.root)
    return tuple(beside)


# -- without a context


def answered_alone(policy: Policy) -> Policy:
    """The policy as clinicians' answers alone decide it: no condition looks at an order or a chart.

    For choosing questions only. What an answer or another verdict decides stays as it is.
    """
    criteria = {name: _alone(one) for name, one in policy.criteria.items()}
    return replace(policy, criteria=criteria, exclusions={})


def _alone(criterion: Criterion) -> Criterion:
    applicability = _if_answered(criterion.applicability)
    if not criterion.group:  # its question decides it
        return replace(criterion, applicability=applicability, start=None, always=False, reads_own_answer=False)
    # a group that demands what nobody can be asked about is its members alone
    return replace(criterion, applicability=applicability, start=_if_answered(criterion.start), always=False)


def _if_answered(condition: Condition | None) -> Condition | None:
    """The condition, where answers or other verdicts can settle it; else it is left to the questions themselves."""
    if condition is None:
        return None
    return condition if "answers" in condition.reach.context or condition.reach.verdicts else None
