"""A policy's questionnaire as a part of its page: each question, its options, its help, when it is asked. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cds_service.pages.page import Detail, PageNode, Saying
from cds_service.policy.form import EnabledBy, Form, FormItem

ABOUT = (
    "A question is answered yes, no or don't know, unless its options are given; yes means that the criterion is met."
)
_KINDS = {
    "attachment": "paper",
    "boolean": "yes or no",
    "choice": "",
    "date": "date",
    "display": "",
    "group": "",
    "string": "in words",
    "text": "in words",
}
_PLAIN = ["Y", "N", "asked-unknown"]
_FOLDED = (".help", ".found", ".file")  # told with the question that they belong to


def question_nodes(form: Form) -> Iterator[PageNode]:
    """The items of a form from the top, in its order."""
    return (_node(item, form) for item in form.items.values() if item.parent is None and not _folded(item, form))


def _node(item: FormItem, form: Form) -> PageNode:
    children = (form.items[name] for name in item.children)
    nodes = tuple(_node(one, form) for one in children if not _folded(one, form))
    return PageNode(
        item.link_id, item.text, _KINDS.get(item.type, item.type), tuple(_details(item, form)), children=nodes
    )


def _details(item: FormItem, form: Form) -> Iterator[Detail]:
    if item.choices and [one.code for one in item.choices] != _PLAIN:
        yield Detail("options", Saying(" / ".join(one.display for one in item.choices)))
    for suffix, label in ((".help", "help"), (".found", "prefilled beside it"), (".file", "a paper beside it")):
        beside = form.items.get(f"{item.link_id}{suffix}")
        if beside is not None:
            yield Detail(label, Saying(beside.text))
    if item.enabled_by:
        asked = [f"‘{form.items[one.question].text}’ is answered {one.answer.display}" for one in _enabled(item, form)]
        yield Detail("asked if", Saying((" or " if item.any_of else " and ").join(asked)))
    if item.required:
        yield Detail("required", Saying("it has to be answered"))


def _enabled(item: FormItem, form: Form) -> Iterator[EnabledBy]:
    """With the words of the options, which a condition need not repeat."""
    for one in item.enabled_by:
        offered = form.items[one.question].choices
        same = (choice for choice in offered if (choice.system, choice.code) == (one.answer.system, one.answer.code))
        yield one._replace(answer=next(same, one.answer))


def _folded(item: FormItem, form: Form) -> bool:
    return any(item.link_id.endswith(end) and item.link_id.removesuffix(end) in form.items for end in _FOLDED)
