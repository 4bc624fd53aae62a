"""What a policy reads of an answer, and whether its form asks for it: the codes of choices that expressions read, and
answers that nobody who fills the form could give. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from cds_service.fhir.fhirpath.syntax import Binary, Call, Literal, Member, Node, Variable, walk
from cds_service.policy.faults import did_you_mean
from cds_service.policy.form import Form, FormItem
from cds_service.policy.plan import Policy

# what an answer is called here -> its code in a form
_CODES = {"yes": "Y", "no": "N", "dont-know": "asked-unknown"}
_ANSWERS = {code: answer for answer, code in _CODES.items()}
_PLAIN = frozenset(_CODES)


def answer_of(code: str) -> str:
    """What the answer with this code of a form is called: yes, no, dont-know, or the code of a choice itself."""
    return _ANSWERS.get(code, code)


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


def unasked_answers(answers: Mapping[str, tuple[str, datetime | None]], form: Form | None) -> tuple[str, ...]:
    """Answers that the form does not ask for: no such item, an option that it does not offer, or an item that other
    answers of the same moment switch off. A question that is not answered switches nothing off: an adaptive form leaves
    out those that the chart decides; and answers of other moments may come from another response."""
    if form is None:
        return ()
    found = []
    for name, (value, authored) in answers.items():
        item = form.items.get(name)
        if item is None or not item.asks:
            asked = [one.link_id for one in form.items.values() if one.asks]
            found.append(f"answers: the form does not ask '{name}' ({did_you_mean(name, asked, 'ask it there')})")
            continue
        # a paper is attached, or it is not
        offered = {"Y"} if item.type == "attachment" else {choice.code for choice in item.choices}
        if _CODES.get(value, value) not in offered:
            found.append(
                f"answers: the form does not offer '{value}' to {name} (it offers {', '.join(sorted(offered))})"
            )
        together = {other: given for other, (given, moment) in answers.items() if moment == authored}
        off = next((one for one in _upwards(item, form) if _switched_off(one, together)), None)
        if off is not None:
            found.append(f"answers: the form does not ask {name} beside these answers (enableWhen of {off.link_id})")
    return tuple(found)


def _upwards(item: FormItem, form: Form) -> Iterator[FormItem]:
    """The item and those that it stands in."""
    above: FormItem | None = item
    while above is not None:
        yield above
        above = form.items[above.parent] if above.parent is not None else None


def _switched_off(item: FormItem, answers: Mapping[str, str]) -> bool:
    given = {name: _CODES.get(value, value) for name, value in answers.items()}
    held = [given.get(one.question, one.answer.code) == one.answer.code for one in item.enabled_by]
    return bool(held) and not (any(held) if item.any_of else all(held))


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
