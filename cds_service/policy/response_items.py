"""The items of a QuestionnaireResponse held against its form: every fault with its linkId. Pure; decides nothing.

Nothing that was answered is quoted in a fault: it would be a piece of a chart in a log.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds_service.fhir.dates import parse_date
from cds_service.fhir.problem import Problem
from cds_service.fhir.record_shapes import objects_in
from cds_service.policy.faults import did_you_mean
from cds_service.policy.form import EnabledBy, Form, FormItem

# R4: the element that an answer to an item of a type stands in
_VALUE = {
    "attachment": ("valueAttachment",),
    "boolean": ("valueBoolean",),
    "choice": ("valueCoding",),
    "date": ("valueDate",),
    "dateTime": ("valueDateTime",),
    "decimal": ("valueDecimal",),
    "integer": ("valueInteger",),
    "open-choice": ("valueCoding", "valueString"),
    "quantity": ("valueQuantity",),
    "reference": ("valueReference",),
    "string": ("valueString",),
    "text": ("valueString",),
    "time": ("valueTime",),
    "url": ("valueUri",),
}

# A response is read no further than this
MOST_FAULTS = 50
MOST_ITEMS = 2000


@dataclass(frozen=True, slots=True)
class Answered:
    """One item as it was answered: the values of its answers (`valueCoding`, ... as FHIR writes them).

    `filled_in`: a program answered it, and nobody changed that (DTR, information-origin).
    """

    item: FormItem
    where: str
    values: tuple[tuple[str, Any], ...]
    filled_in: bool = False

    def chose(self, system: str, code: str) -> bool:
        codings = (value for name, value in self.values if name == "valueCoding")
        return any((one.get("system", ""), one.get("code")) == (system, code) for one in codings)


def read_items(items: Any, form: Form, asked: frozenset[str] | None) -> tuple[dict[str, Answered], list[Problem]]:
    """The items that were answered, by linkId, and all that is wrong with any of them.

    `asked`: of an adaptive response the linkIds that were put; what was not put is neither wanted nor does it disable.
    """
    reader = _Reader(form, asked)
    try:
        reader.level(items, "item", None)
        reader.disabled()
        reader.required()
    except _Enough:
        return {}, reader.faults
    return {name: one for name, one in reader.found.items() if one.values}, reader.faults


def is_document(item: FormItem) -> bool:
    """Whether an item takes a document of the plan: what is attached to it goes to the payer with the answers."""
    return item.type == "attachment" and item.link_id.startswith("doc.") and not item.link_id.endswith(".file")


def link_ids(items: Any) -> Iterator[str]:
    """Every linkId that stands anywhere in the items, also where they are wrong."""
    waiting = [items]
    while waiting:
        node = waiting.pop()
        for one in node if isinstance(node, list) else ():
            if not isinstance(one, Mapping):
                continue
            if isinstance(one.get("linkId"), str):
                yield one["linkId"]
            waiting.append(one.get("item"))
            waiting.append(one.get("answer"))


class _Enough(Exception):
    """So much is wrong, or so much stands there, that nobody is served by reading on."""


class _Reader:
    def __init__(self, form: Form, asked: frozenset[str] | None) -> None:
        self.form = form
        self.asked = asked
        self.found: dict[str, Answered] = {}
        self.faults: list[Problem] = []
        self.items = 0

    def fault(self, where: str, what: str, fix: str, code: str = "invalid") -> None:
        self.faults.append(Problem("invalid", where, what, fix, code))
        if len(self.faults) >= MOST_FAULTS:
            raise _Enough

    # -- one item after the other

    def level(self, items: Any, where: str, parent: str | None) -> None:
        if items is None:
            return
        if not isinstance(items, list):
            self.fault(where, "is not a list", "send a list of items", "structure")
            return
        for n, item in enumerate(items):
            self.item(item, f"{where}[{n}]", parent)

    def item(self, item: Any, where: str, parent: str | None) -> None:
        self.items += 1
        if self.items > MOST_ITEMS:
            self.faults.append(Problem("invalid", where, f"more than {MOST_ITEMS} items", "send each once", "too-long"))
            raise _Enough
        link = item.get("linkId") if isinstance(item, Mapping) else None
        if not isinstance(link, str) or not link:
            self.fault(where, "has no linkId", "send each item with the linkId of the questionnaire", "required")
            return
        where = f"{where} (linkId '{link}')" if link.isprintable() and len(link) <= 200 else where
        known = self.form.items.get(link)
        if known is None:
            known_ids = self.form.items if len(link) <= 200 else ()
            fix = did_you_mean(link, known_ids, f"take the linkIds of {self.form.canonical}")
            self.fault(where, "this questionnaire has no such item", fix, "not-found")
            return
        if self.asked is not None and link not in self.asked and "answer" in item:
            what = "is answered, and the questionnaire that the response contains does not put it"
            self.fault(where, what, "send the contained Questionnaire as it came", "business-rule")
        if self.asked is None and known.parent != parent:
            place = f"under '{known.parent}'" if known.parent is not None else "at the top"
            self.fault(where, "stands in another place than in the questionnaire", f"send it {place}", "structure")
        if "modifierExtension" in item:
            self.fault(where, "has a modifier extension", "leave it out: it could turn the answer round", "extension")
        values = tuple(self.answers(item.get("answer"), known, where))
        if link in self.found and not self.again(known):
            self.fault(where, "is answered twice", "send each item once", "duplicate")
        before = self.found[link].values if link in self.found else ()
        self.found[link] = Answered(known, where, before + values, _filled_in(item.get("answer")))
        self.level(item.get("item"), f"{where}.item", link)

    def again(self, item: FormItem) -> bool:
        """Whether an item may stand there more than once: it repeats, or a group around it does."""
        at: FormItem | None = item
        while at is not None:
            if at.repeats:
                return True
            at = self.form.items.get(at.parent) if at.parent is not None else None
        return False

    def answers(self, answers: Any, item: FormItem, where: str) -> Iterator[tuple[str, Any]]:
        if answers is None:
            return
        if not isinstance(answers, list):
            self.fault(f"{where}.answer", "is not a list", "send a list of answers", "structure")
            return
        if answers and not item.asks:
            self.fault(where, f"a {item.type} is not answered", "answer the questions in it", "structure")
            return
        if len(answers) > 1 and not item.repeats:
            self.fault(where, "has more than one answer", "send one: the question is put once", "structure")
        for n, answer in enumerate(answers):
            place = f"{where}.answer[{n}]"
            if not isinstance(answer, Mapping):
                self.fault(place, "is not an object", "send it with its value", "structure")
                continue
            if "modifierExtension" in answer:
                fix = "leave it out: it could turn the answer round"
                self.fault(place, "has a modifier extension", fix, "extension")
            yield from self.value(answer, item, place)
            self.level(answer.get("item"), f"{place}.item", item.link_id)

    def value(self, answer: Mapping[str, Any], item: FormItem, where: str) -> Iterator[tuple[str, Any]]:
        names = [name for name in answer if name.startswith("value")]
        wanted = _VALUE.get(item.type, ())
        if not names and _absent(answer):
            return  # no value, and why: nothing was answered
        if len(names) != 1 or names[0] not in wanted:
            self.fault(where, f"a {item.type} is not answered so", f"send {' or '.join(wanted)}", "value")
            return
        name, value = names[0], answer[names[0]]
        what = _wrong(name, value)
        if what is not None:
            self.fault(f"{where}.{name}", what, "write it as FHIR R4 does", "value")
        elif name == "valueCoding" and item.type == "choice" and not _offered(value, item):
            options = ", ".join(f"{one.system}|{one.code}" for one in item.choices) or "none is listed there"
            self.fault(
                f"{where}.valueCoding", "this answer is not offered", f"the options are {options}", "code-invalid"
            )
        else:
            yield name, value

    # -- the form as a whole

    def disabled(self) -> None:
        for link, one in self.found.items():
            if one.values and not self.is_enabled(one.item):
                fix = f"leave '{link}' out, or correct the answer that it depends on"
                self.fault(
                    one.where, "is answered, but the answers above it do not put this question", fix, "business-rule"
                )

    def required(self) -> None:
        for link, item in self.form.items.items():
            # what is the form's own (an attestation) ends an adaptive form too
            put = self.asked is None or link in self.asked or link.startswith("form.")
            if not item.required or not put or not self.is_enabled(item):
                continue
            if item.asks and not (link in self.found and self.found[link].values):
                unsaid = any(one.code == "asked-unknown" for one in item.choices)
                fix = "answer it, or choose that it is not known" if unsaid else "answer it"
                self.fault(f"item (linkId '{link}')", "has no answer, and one is required", fix, "required")
            elif item.asks and link.startswith("form.") and self.found[link].filled_in:
                what = "was answered by a program: what is attested there is a person's to attest"
                self.fault(self.found[link].where, what, "let whoever completes the form answer it", "business-rule")

    def is_enabled(self, item: FormItem) -> bool:
        at: FormItem | None = item
        while at is not None:
            if not self.is_put(at):
                return False
            at = self.form.items.get(at.parent) if at.parent is not None else None
        return True

    def is_put(self, item: FormItem) -> bool:
        if not item.enabled_by:
            return True
        held: Sequence[bool] = [self.holds(one) for one in item.enabled_by]
        return any(held) if item.any_of else all(held)

    def holds(self, one: EnabledBy) -> bool:
        if self.asked is not None and one.question not in self.asked:
            return True
        answered = self.found.get(one.question)
        if answered is None or not answered.chose(one.answer.system, one.answer.code):
            return False
        # R4, enableWhen: the answer of a question that is itself disabled enables nothing
        return self.is_enabled(answered.item)


def _absent(answer: Mapping[str, Any]) -> bool:
    """An answer without a value. Its element may say why there is none (`_valueCoding`)."""
    return all(name in ("extension", "id", "item") or name.startswith("_value") for name in answer)


# DTR: auto (2.0.1, 2.1), auto-server and auto-client (2.2); override and manual are a person's
_ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"


def _filled_in(answers: Any) -> bool:
    found = objects_in(answers)
    return bool(found) and all(_source(one).startswith("auto") for one in found)


def _source(answer: Mapping[str, Any]) -> str:
    for extension in objects_in(answer.get("extension")):
        if extension.get("url") == _ORIGIN:
            for part in objects_in(extension.get("extension")):
                if part.get("url") == "source" and isinstance(part.get("valueCode"), str):
                    return str(part["valueCode"])
    return ""


def _offered(value: Mapping[str, Any], item: FormItem) -> bool:
    key = (value.get("system", ""), value.get("code"))
    return any(key == (one.system, one.code) for one in item.choices)


def _wrong(name: str, value: Any) -> str | None:
    """What keeps a value from being one of its type; None where it is one."""
    match name:
        case "valueCoding":
            sound = isinstance(value, Mapping) and isinstance(value.get("code"), str)
            sound = sound and isinstance(value.get("system", ""), str)
        case "valueBoolean":
            sound = isinstance(value, bool)
        case "valueInteger":
            sound = isinstance(value, int) and not isinstance(value, bool)
        case "valueDecimal":
            sound = _is_number(value)
        case "valueQuantity":
            sound = isinstance(value, Mapping) and _is_number(value.get("value"))
        case "valueDate":
            found = parse_date(value) if isinstance(value, str) else None
            sound = found is not None and not found.is_datetime
        case "valueDateTime":
            sound = isinstance(value, str) and parse_date(value) is not None
        case "valueAttachment":
            sound = isinstance(value, Mapping) and _has_content(value)
        case "valueReference":
            sound = isinstance(value, Mapping) and bool(value)
        case _:
            sound = isinstance(value, str) and bool(value.strip())
    return None if sound else f"is no {name.removeprefix('value')} as FHIR has it"


def _has_content(attachment: Mapping[str, Any]) -> bool:
    """Whether there is a document behind an attachment: bytes, or an address. An empty one is on nobody's file."""
    url, written = attachment.get("url"), attachment.get("data")
    if "data" in attachment:
        return isinstance(written, str) and _is_base64(written)
    return isinstance(url, str) and bool(url) and not any(one.isspace() for one in url)


def _is_base64(text: str) -> bool:
    try:
        return bool(b64decode("".join(text.split()), validate=True))
    except ValueError:  # also where it is no ASCII
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
