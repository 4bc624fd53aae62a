"""Which question comes next: one whose answer can still change the determination, in an order that ends soonest. Pure.

The law: a question is put only where the others can be answered so that its answer makes a difference, and none is
left where no way of answering what is open would make any. Both are tried on the policy itself: nothing here knows
what a criterion means.

The order is that of the depth-first search through an and-or tree with the least expected number of questions: in an
*all* the member that is cheapest for how likely it fails comes first, in an *any* the one that is cheapest for how
likely it succeeds. Yes and no count as equally likely, yes as likelier where the chart half shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cds_service.dtr.judged import Judged, answered_alone, judge
from cds_service.policy.form import Choice, Form, FormItem
from cds_service.policy.model import Answer, Situation, Status, Verdict
from cds_service.policy.plan import Policy

YES, NO, DONT_KNOW = "yes", "no", "dont-know"
_PLAIN = {"Y": YES, "N": NO, "asked-unknown": DONT_KNOW}
# questions put at once: each after the first is shown only once the one before left the group open
MOST_TOGETHER = 4
_EVEN, _HALF_SHOWN = 0.5, 0.8


def value_of(code: str) -> str:
    """What an option means to a policy: yes, no, dont-know, or the code of a kind."""
    return _PLAIN.get(code, code)


class Question(NamedTuple):
    """A question to put. `after` is the answer to the question before it (link id, option) without which it is not
    shown; None: it is put whatever is answered."""

    link_id: str
    after: tuple[str, Choice] | None = None


class Inquiry:
    """The questions of one policy in one situation. Judgements are remembered for as long as it lives: one call."""

    __slots__ = ("_bare", "_gates", "_judged", "_places", "_policy", "_questions", "_situation", "form")

    def __init__(self, policy: Policy, form: Form, situation: Situation, bare: bool = False) -> None:
        """`bare`: no order or chart is known; `situation` then gives the days alone."""
        self._policy = answered_alone(policy) if bare else policy
        self._situation = situation
        self._bare = bare
        self.form = form
        self._judged: dict[tuple[tuple[str, str], ...], Judged | None] = {}
        judged_by = policy.criteria.keys() | policy.exclusions.keys()
        self._questions = {
            name: item
            for name, item in form.items.items()
            if item.type == "choice" and item.choices and (name in judged_by or name.startswith("ask."))
        }
        self._places = {name: place for place, name in enumerate(form.items)}
        self._gates = {name: tuple(_gates(form, item)) for name, item in self._questions.items()}

    def judged(self, answers: Mapping[str, Answer]) -> Judged | None:
        key = tuple(sorted((name, one.value) for name, one in answers.items()))
        if key not in self._judged:
            self._judged[key] = judge(self._policy, self._situation, answers, self._bare)
        return self._judged[key]

    def next(
        self, answers: Mapping[str, Answer], passed: frozenset[str] = frozenset(), together: bool = False
    ) -> tuple[Question, ...]:
        """What to ask now; nothing where no answer can change the determination any more.

        `passed` are questions that were put and left empty: they are not put again. `together`: those that follow,
        as long as their group stays open, come along.
        """
        first = self._first(answers, passed)
        if first is None:
            return ()
        found = [Question(first)]
        while together and len(found) < MOST_TOGETHER:
            last = found[-1].link_id
            choice = self._leaves_open(last)
            if choice is None:
                break
            answers = {**answers, last: Answer(value_of(choice.code))}
            following = self._first(answers, passed)
            if following is None or not self._follows(last, following):
                break
            found.append(Question(following, (last, choice)))
        return tuple(found)

    def _first(self, answers: Mapping[str, Answer], passed: frozenset[str]) -> str | None:
        judged = self.judged(answers)
        if judged is None or judged.root is Status.NOT_MET:
            return None
        for name in self._in_order(judged, answers, passed):
            gate = self._gate(name, judged, answers)
            if gate is False or (isinstance(gate, str) and (gate in passed or gate not in self._questions)):
                continue
            if self._matters(name, judged, answers, passed):
                return self._open_gate(gate, judged, answers) if isinstance(gate, str) else name
        return None

    def _open_gate(self, gate: str, judged: Judged, answers: Mapping[str, Answer]) -> str:
        """The first question of a chain of questions each of which opens the next."""
        before = self._gate(gate, judged, answers)
        return self._open_gate(before, judged, answers) if isinstance(before, str) else gate

    # -- which are open

    def _in_order(self, judged: Judged, answers: Mapping[str, Answer], passed: frozenset[str]) -> list[str]:
        """What is open: first the tree, soonest end first; then what other verdicts, rows and papers read; then what
        stands beside the tree."""
        left = [name for name in self._questions if name not in answers and name not in passed]
        may_be_open = {name for name in left if self._open(name, judged)}
        tree: list[str] = []
        if self._policy.root in judged.verdicts:
            tree, _, _ = self._search(self._policy.root, judged.verdicts, may_be_open)
        rest = [name for name in left if name in may_be_open and name not in tree]
        rest.sort(key=self._stands_beside)  # stable: the order of the form
        return tree + rest

    def _stands_beside(self, name: str) -> bool:
        criterion = self._policy.criteria.get(name)
        return criterion is not None and criterion.parent is None and name != self._policy.root

    def _open(self, name: str, judged: Judged) -> bool:
        """Whether an answer could count now: not where it is not known whether the question arises."""
        if name not in self._policy.criteria:
            return True
        verdict = judged.verdicts.get(name)
        if verdict is None or verdict.status is not Status.UNKNOWN or (verdict.group and not verdict.open_demand):
            return False
        above: Verdict | None = verdict
        while above is not None:
            if above.may_not_apply:
                return False
            above = judged.verdicts.get(above.parent) if above.parent is not None else None
        return True

    def _search(
        self, name: str, verdicts: Mapping[str, Verdict], may_be_open: set[str]
    ) -> tuple[list[str], float, float]:
        """The open questions of a node in the order of asking, how many of them to expect, how likely it is met."""
        verdict, criterion = verdicts[name], self._policy.criteria[name]
        if verdict.status is not Status.UNKNOWN or verdict.may_not_apply:
            return [], 0.0, _EVEN
        own = ([name], 1.0, _HALF_SHOWN if verdict.candidates else _EVEN)
        if not criterion.group:
            return own if name in may_be_open else ([], 0.0, _EVEN)
        below = [self._search(child, verdicts, may_be_open) for child in criterion.children]
        parts = [one for one in below if one[0]]
        # of equals the one that the form has first
        parts.sort(key=lambda one: (one[1] / (one[2] if criterion.any else 1 - one[2]), self._places[one[0][0]]))
        found = _joined(parts, criterion.any)
        if name not in may_be_open:
            return found
        return _joined([own, found], any_is_enough=False) if found[0] else own

    # -- what opens what

    def _gate(self, name: str, judged: Judged, answers: Mapping[str, Answer]) -> bool | str:
        """Whether the form lets a question be asked; the question to ask before, where that one decides it."""
        for item in self._gates[name]:
            found = [self._opens(one.question, one.answer, judged, answers) for one in item.enabled_by]
            waiting = next((one for one in found if isinstance(one, str)), None)
            if item.any_of or _one_question(item):
                if True in found:
                    continue
                if waiting is not None:
                    return waiting
                return False
            if False in found:
                return False
            if waiting is not None:
                return waiting
        return True

    def _opens(self, gate: str, wanted: Choice, judged: Judged, answers: Mapping[str, Answer]) -> bool | str:
        given = answers.get(gate)
        if given is not None:
            return given.value == value_of(wanted.code)
        verdict = judged.verdicts.get(gate)
        if verdict is None:
            return gate
        match verdict.status:
            case Status.MET | Status.NOT_MET | Status.NOT_APPLICABLE if self._is_kind(gate):
                return True  # the chart decided which kind it is; what does not apply is not open
            case Status.MET:
                return value_of(wanted.code) == YES
            case Status.NOT_MET:
                return value_of(wanted.code) == NO
            case Status.NOT_APPLICABLE:
                return True
            case _:
                return gate if not verdict.group or verdict.open_demand else True

    def _is_kind(self, name: str) -> bool:
        item = self.form.items.get(name)
        return item is not None and any(one.code not in _PLAIN for one in item.choices)

    # -- whether it matters

    def _matters(self, name: str, judged: Judged, answers: Mapping[str, Answer], passed: frozenset[str]) -> bool:
        """Whether there is a way to answer the others in which an answer to this one makes a difference."""
        options = [value_of(one.code) for one in self._questions[name].choices]
        options = [one for one in options if one != DONT_KNOW]
        for others in self._ways(name, judged, answers, passed):
            given = {**answers, **{one: Answer(value) for one, value in others.items()}}
            left_open = self._said(given)
            if any(self._said({**given, name: Answer(value)}) != left_open for value in options):
                return True
        return False

    def _said(self, answers: Mapping[str, Answer]) -> tuple[object, ...] | None:
        judged = self.judged(answers)
        return judged.said if judged is not None else None

    def _ways(
        self, name: str, judged: Judged, answers: Mapping[str, Answer], passed: frozenset[str]
    ) -> Iterator[dict[str, str]]:
        """Ways in which the other open questions may be answered: those in which this one weighs most come first."""
        unanswered = [one for one in self._questions if one not in answers and one not in passed and one != name]
        # what does not apply may, once this is answered: an answer to it counts nothing as long as it does not
        undecided = [one for one in unanswered if self._undecided(one, judged)]
        plain = [one for one in undecided if not self._is_kind(one)]
        kinds = [one for one in undecided if self._is_kind(one)]
        opened = self._opened_by(name, answers)
        alone = {one: value for one, value in self._alone_on_its_way(name).items() if one in plain}
        yield opened
        yield {**alone, **opened}
        for value in (YES, NO):
            yield {**dict.fromkeys(plain, value), **opened}
        for kind in kinds:
            for choice in self._questions[kind].choices:
                for others in (dict(alone), dict.fromkeys(plain, YES), dict.fromkeys(plain, NO)):
                    yield {**others, kind: value_of(choice.code), **opened}

    def _undecided(self, name: str, judged: Judged) -> bool:
        verdict = judged.verdicts.get(name)
        if verdict is None or verdict.status is Status.NOT_APPLICABLE:
            return True
        return verdict.status is Status.UNKNOWN and (not verdict.group or verdict.open_demand)

    def _opened_by(self, name: str, answers: Mapping[str, Answer]) -> dict[str, str]:
        """Answers to earlier questions without which the form does not show this one."""
        found: dict[str, str] = {}
        for item in self._gates[name]:
            for one in item.enabled_by[:1] if item.any_of or _one_question(item) else item.enabled_by:
                if one.question not in answers and one.question in self._questions:
                    found = {**self._opened_by(one.question, answers), **found}
                    found[one.question] = value_of(one.answer.code)
        return found

    def _alone_on_its_way(self, name: str) -> dict[str, str]:
        """Up to the root each *all* is met but for this one, and each *any* not met but for this one."""
        found: dict[str, str] = {}
        criterion = self._policy.criteria.get(name)
        while criterion is not None and criterion.parent is not None:
            group = self._policy.criteria[criterion.parent]
            value = NO if group.any else YES
            for sibling in group.children:
                if sibling != criterion.id:
                    found.update(dict.fromkeys(self._leaves(sibling), value))
            if group.id in self._questions:
                found[group.id] = YES
            criterion = group
        return found

    def _leaves(self, name: str) -> Iterator[str]:
        if name in self._questions:
            yield name
        for child in self._policy.criteria[name].children:
            yield from self._leaves(child)

    # -- several at once

    def _leaves_open(self, name: str) -> Choice | None:
        """The answer after which the group of a question stays open: yes in an *all*, no in an *any*."""
        criterion = self._policy.criteria.get(name)
        if criterion is None or criterion.parent is None or self._is_kind(name):
            return None
        wanted = NO if self._policy.criteria[criterion.parent].any else YES
        return next((one for one in self._questions[name].choices if value_of(one.code) == wanted), None)

    def _follows(self, one: str, other: str) -> bool:
        """Whether a question is a leaf of the same group, and stands behind the other in the form."""
        criterion = self._policy.criteria.get(other)
        if criterion is None or criterion.group or criterion.parent != self._policy.criteria[one].parent:
            return False
        return self._places[one] < self._places[other]


def _joined(parts: list[tuple[list[str], float, float]], any_is_enough: bool) -> tuple[list[str], float, float]:
    """Members asked one after the other until one decides for the group."""
    names: list[str] = []
    expected, still_open = 0.0, 1.0
    for found, many, likely in parts:
        names += found
        expected += still_open * many
        still_open *= (1 - likely) if any_is_enough else likely
    return names, expected, 1 - still_open if any_is_enough else still_open


def _gates(form: Form, item: FormItem) -> Iterator[FormItem]:
    """The item and what it stands in, as far as they are shown on a condition."""
    if item.enabled_by:
        yield item
    if item.parent is not None:
        yield from _gates(form, form.items[item.parent])


def _one_question(item: FormItem) -> bool:
    """Several answers to one question: no answer could be all of them."""
    return len({one.question for one in item.enabled_by}) == 1
