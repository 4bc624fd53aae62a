"""Form + determination -> the answers that are known already, as items of a QuestionnaireResponse. Pure.

A true statement or none: a question is answered only where the determination decided it; what the record half shows is
told beside it, for the clinician to say yes or no. Attestations, papers and questions of the order are the
clinician's own. Nothing stands under an item that these answers leave disabled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cds_service.dtr.dialects import INFORMATION_ORIGIN, Dialect
from cds_service.policy.form import Choice, Form, FormItem
from cds_service.policy.model import Determination, Evidence, Status, Verdict

YES_NO = "http://terminology.hl7.org/CodeSystem/v2-0136"
_FOUND = ".found"
# what evidence is called where no item of the chart decided, but the order at hand: it tells nobody anything
_NO_NEWS = frozenset({"this order"})
_DECIDED = {Status.MET: "Y", Status.NOT_MET: "N"}

Item = dict[str, Any]


def populate(form: Form, determination: Determination | None, dialect: Dialect) -> list[Item]:
    """The items of a draft response: those that have an answer, with the groups they stand in."""
    filling = _Filling(form, determination, dialect)
    top = [item for item in form.items.values() if item.parent is None]
    items = [one for item in top if (one := filling.item(item)) is not None]
    if not items and dialect.items_required and top:
        items = [_shell(top[0])]  # DTR 2.0.1 and 2.1: item 1..*
    return items


class _Filling:
    def __init__(self, form: Form, determination: Determination | None, dialect: Dialect) -> None:
        self.form = form
        self.verdicts: Mapping[str, Verdict] = {}
        self.shown: dict[str, tuple[Evidence, ...]] = {}
        if determination is not None:
            self.verdicts = {one.id: one for one in determination.criteria}
            # of what does not apply there is nothing to be said: its question is one of those that begin with "if"
            apply = (one for one in determination.criteria if one.status is not Status.NOT_APPLICABLE)
            self.shown = {one.id: (*one.evidence, *one.candidates, *one.conflicts) for one in apply}
            self.shown |= {one.id: one.evidence for one in determination.documents}
            self.shown |= {one.id: one.evidence for one in determination.exclusions}
        self.origin = {
            "url": INFORMATION_ORIGIN,
            "extension": [{"url": "source", "valueCode": dialect.origin}],
        }
        self.chosen: dict[str, Choice] = {}

    def item(self, item: FormItem) -> Item | None:
        """The item with its answer and all below it; None where there is nothing to say, or nobody would see it."""
        if not self._enabled(item):
            return None
        value = self._value(item)
        below = [one for name in item.children if (one := self.item(self.form.items[name])) is not None]
        if value is None and not below:
            return None
        found = _shell(item)
        if item.asks:
            nested = {"item": below} if below else {}
            # what was found stands under its question also where nobody has answered that
            found["answer"] = [{"extension": [self.origin], **(value or {}), **nested}]
        else:
            found["item"] = below
        return found

    def _enabled(self, item: FormItem) -> bool:
        if not item.enabled_by:
            return True
        held = [self._is_chosen(one.question, one.answer) for one in item.enabled_by]
        return any(held) if item.any_of else all(held)

    def _is_chosen(self, question: str, answer: Choice) -> bool:
        given = self.chosen.get(question)
        return given is not None and (given.system, given.code) == (answer.system, answer.code)

    def _value(self, item: FormItem) -> dict[str, Any] | None:
        if item.type == "choice":
            choice = self._decided(item)
            if choice is None:
                return None
            self.chosen[item.link_id] = choice
            return {"valueCoding": choice._asdict()}
        if item.type in ("text", "string") and item.link_id.endswith(_FOUND):
            told = self._told(item.link_id.removesuffix(_FOUND))
            return {"valueString": told} if told else None
        return None

    def _decided(self, item: FormItem) -> Choice | None:
        """Yes or no, where the determination decided the very criterion that is asked about."""
        verdict = self.verdicts.get(item.link_id)
        if verdict is None or verdict.group:
            return None  # a group is decided by its members, each of which has a question of its own
        wanted = _DECIDED.get(verdict.status)
        return next((one for one in item.choices if (one.system, one.code) == (YES_NO, wanted)), None)

    def _told(self, name: str) -> str:
        told = (_in_full(one) for one in self.shown.get(name, ()) if one.display not in _NO_NEWS)
        return "; ".join(dict.fromkeys(told))


def _in_full(one: Evidence) -> str:
    """A value stands below questions about rest, exercise and sleep: how it was taken is said wherever it stands."""
    return f"{one.display} ({one.context})" if one.context else one.display


def _shell(item: FormItem) -> Item:
    found: Item = {"linkId": item.link_id}
    if item.text:
        found["text"] = item.text
    return found
