"""A policy's questionnaire as it is read once at load: its items by linkId, in the order of the form. Pure; frozen.

What may stand in a form, and how it goes with its plan, is in docs/plan-format.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Choice(NamedTuple):
    """One answer that a choice offers. `code` is what expressions compare with; yes, no and don't know are Y, N and
    asked-unknown."""

    system: str
    code: str
    display: str


class EnabledBy(NamedTuple):
    """An item is asked only where an earlier choice of the form was answered so (equality is all that is admitted)."""

    question: str
    answer: Choice


@dataclass(frozen=True, slots=True)
class FormItem:
    """One item. Its linkId is a criterion, exclusion or document of the plan, one of these with a suffix (`.found`,
    `.file`), `ask.<name>` (a question that expressions read) or `form.<name>` (display and attestation)."""

    link_id: str
    type: str  # FHIR R4 item type: group, display, choice, text, date, quantity, attachment, ...
    text: str
    parent: str | None
    children: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    enabled_by: tuple[EnabledBy, ...] = ()
    any_of: bool = False  # enableBehavior 'any'
    required: bool = False
    repeats: bool = False

    @property
    def asks(self) -> bool:
        return self.type not in ("group", "display")


@dataclass(frozen=True, slots=True)
class Form:
    """One version of a questionnaire: `resource` as its author wrote it, `items` by linkId, parents before children."""

    url: str
    version: str
    title: str
    items: Mapping[str, FormItem]
    resource: Mapping[str, Any]

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}"


def form_of(questionnaire: Mapping[str, Any]) -> Form:
    """Index a Questionnaire that was found to be sound."""
    items = {item.link_id: item for item in _items(questionnaire.get("item", ()), None)}
    title = questionnaire.get("title") or questionnaire["name"]
    return Form(questionnaire["url"], questionnaire["version"], title, items, questionnaire)


def _items(items: Any, parent: str | None) -> Iterator[FormItem]:
    for item in items:
        nested = item.get("item", ())
        yield FormItem(
            link_id=item["linkId"],
            type=item["type"],
            text=item.get("text", ""),
            parent=parent,
            children=tuple(one["linkId"] for one in nested),
            choices=tuple(_choice(one["valueCoding"]) for one in item.get("answerOption", ()) if "valueCoding" in one),
            enabled_by=tuple(
                EnabledBy(one["question"], _choice(one["answerCoding"])) for one in item.get("enableWhen", ())
            ),
            any_of=item.get("enableBehavior") == "any",
            required=item.get("required", False),
            repeats=item.get("repeats", False),
        )
        yield from _items(nested, item["linkId"])


def _choice(coding: Mapping[str, Any]) -> Choice:
    return Choice(coding.get("system", ""), coding["code"], coding.get("display", coding["code"]))
