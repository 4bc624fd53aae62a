"""Questionnaire JSON -> a Form, or every fault in it. Load time only; the format is docs/plan-format.md.

What a form says by itself is read here; how it goes with its plan is held in form_rules.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cds_service.policy.extensions import extension, known_extensions
from cds_service.policy.faults import Faults, check_shape, did_you_mean
from cds_service.policy.form import Form, form_of

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
CORE = "http://hl7.org/fhir/StructureDefinition/"
_ITEM_CONTROL = f"{CORE}questionnaire-itemControl"
_HIDDEN = f"{CORE}questionnaire-hidden"
_SUMMARY = "subjectType date publisher contact description purpose copyright useContext jurisdiction approvalDate"
_ELEMENTS = frozenset(
    f"resourceType id language text extension url version name title status experimental {_SUMMARY} lastReviewDate "
    "effectivePeriod item".split()
)
_ITEM_ELEMENTS = frozenset(
    {"linkId", "extension", "prefix", "text", "type", "enableWhen", "enableBehavior", "required", "repeats"}
    | {"answerOption", "item"}
)
# DTR, spec-21: a payer does not depend on what a client need not support. Signature and populating are mustSupport.
_EXTENSIONS = {
    f"{CORE}questionnaire-signatureRequired",
    f"{CORE}cqf-library",
    f"{CORE}variable",
    f"{SDC}sdc-questionnaire-launchContext",
    f"{SDC}sdc-questionnaire-itemPopulationContext",
}
_ITEM_EXTENSIONS = {
    _ITEM_CONTROL,
    f"{CORE}questionnaire-supportLink",
    f"{CORE}mimeType",
    f"{SDC}sdc-questionnaire-initialExpression",
    f"{SDC}sdc-questionnaire-candidateExpression",
    f"{SDC}sdc-questionnaire-contextExpression",
}
# no expression of a policy reads a number or a date that was answered: a value is asked as text beside its question
_TYPES = ("group", "display", "choice", "text", "attachment", "boolean", "date", "string")
_LINK_ID = re.compile(r"^[a-z0-9]+([.-][a-z0-9]+)*$")
_NAME = re.compile(r"^[A-Z]([A-Za-z0-9_]){0,254}$")
_WHY_NOT = {
    "readOnly": "what was found in the record is shown to be put right: never read-only (DTR, sec-4)",
    "answerValueSet": "write the options out (answerOption): expressions compare their codes",
    "initial": "a form begins empty: what is known is filled in for each patient",
    "maxLength": "clients need not hold to it (DTR, spec-21): check it where the answer is read",
    "definition": "nothing reads it; leave it out",
    "code": "nothing reads it: the linkId is the criterion",
}

Item = Mapping[str, Any]
Way = Mapping[str, tuple[str, str]]  # question -> the option (system, code) that is chosen


def read_form(resource: Mapping[str, Any], where: str, folder: str) -> tuple[Form | None, Faults]:
    """Read one Questionnaire. `folder` is the name of the folder it stands in: its version, and the plan's."""
    faults = Faults(where)
    if not check_shape(resource, faults):
        return None, faults
    _FormReader(resource, folder, faults).check()
    return (None if faults.problems else form_of(resource)), faults


def at(path: str, item: Item) -> str:
    """Where an item stands, with its linkId: the path alone tells a person little."""
    return f"{path} ({item['linkId']})" if item.get("linkId") else path


def placed(items: Sequence[Item], path: str = "") -> Iterator[tuple[str, Item, tuple[Item, ...]]]:
    """(path, item, the items that it stands in) of every item, in the order of the form."""
    yield from _placed(items, path, ())


def _placed(items: Sequence[Item], path: str, above: tuple[Item, ...]) -> Iterator[tuple[str, Item, tuple[Item, ...]]]:
    for n, item in enumerate(items):
        here = f"{path}item[{n}]"
        yield here, item, above
        yield from _placed(item.get("item", ()), f"{here}.", (*above, item))


class _FormReader:
    def __init__(self, resource: Mapping[str, Any], folder: str, faults: Faults) -> None:
        self.resource, self.folder, self.faults = resource, folder, faults
        self.places = list(placed(resource.get("item", ())))
        self.options: dict[str, set[tuple[str, str]]] = {}  # choices that stand before the item at hand
        self.ways: dict[str, list[Way]] = {}  # under which answers an item is asked; none: never

    def check(self) -> None:
        self._identity()
        if not self.places:
            self.faults.add("item", "no items", "ask what the criteria leave open")
        for path, item, above in self.places:
            self._item(item, at(path, item), above)

    # -- the whole

    def _identity(self) -> None:
        resource, faults = self.resource, self.faults
        for name in resource:
            if name not in _ELEMENTS:
                faults.add(name, "not used on a questionnaire", did_you_mean(name, _ELEMENTS, "leave it out"))
        known_extensions(resource, _EXTENSIONS, "", faults)
        for name in ("id", "url", "version", "name", "title"):
            if not resource.get(name):
                faults.add(name, "missing", f"give the questionnaire a {name}")
        identity, url = resource.get("id", ""), resource.get("url", "")
        if url and not url.endswith(f"/Questionnaire/{identity}"):
            faults.add("url", f"'{url}' does not end with the id", f"end it with /Questionnaire/{identity}")
        version = resource.get("version", "")
        if version != self.folder:
            faults.add("version", f"'{version}' but the folder is '{self.folder}'", "they are one string")
        period = resource.get("effectivePeriod", {})
        if period.get("start") != version:
            what = f"'{period.get('start', '')}' but the version is '{version}'"
            faults.add("effectivePeriod.start", what, "they are one string")
        if "end" in period:
            faults.add("effectivePeriod.end", "not used", "the plan's successor ends it")
        if resource.get("name") and not _NAME.match(resource["name"]):
            faults.add("name", f"{resource['name']!r}", "a capital, then letters, digits, underscores")
        if resource.get("subjectType") != ["Patient"]:
            faults.add("subjectType", f"{resource.get('subjectType')!r}", 'write ["Patient"]: DTR admits no other')
        if not resource.get("text", {}).get("div"):
            # DTR 2.0.1 and 2.1 demand it: Questionnaire.text 1..1
            faults.add("text", "no narrative", "say in a div what the form asks, and for which policy")

    # -- an item

    def _item(self, item: Item, path: str, above: tuple[Item, ...]) -> None:
        faults, name = self.faults, item.get("linkId", "")
        for element in item:
            if element in _WHY_NOT:
                faults.add(f"{path}.{element}", "not used on an item", _WHY_NOT[element])
            elif element not in _ITEM_ELEMENTS:
                fix = did_you_mean(element, _ITEM_ELEMENTS, "leave it out")
                faults.add(f"{path}.{element}", "not used on an item", fix)
        if extension(item, _HIDDEN) is not None:
            faults.add(f"{path}.extension", "a hidden item", "show it: nothing is asked unseen (DTR, sec-4)")
        known_extensions(item, _ITEM_EXTENSIONS | {_HIDDEN}, path, faults)
        if not _LINK_ID.match(name) or len(name) > 80:
            faults.add(f"{path}.linkId", f"'{name}'", "lower-case letters, digits, hyphens and dots, 80 at most")
        elif sum(other.get("linkId") == name for _, other, _ in self.places) > 1:
            faults.add(f"{path}.linkId", f"'{name}' is used twice", "an answer leads to one item")
        if not str(item.get("text", "")).strip():
            faults.add(f"{path}.text", "missing", "every item is worded, groups too (DTR 2.2: item.text 1..1)")
        self._type(item, path)
        self._options(item, path)
        self._enabled(item, path, above)

    def _type(self, item: Item, path: str) -> None:
        kind = item.get("type")
        if kind not in _TYPES:
            fix = f"one of {', '.join(_TYPES)}: a value is asked as text beside its question"
            self.faults.add(f"{path}.type", f"'{kind}'", fix)
        if kind == "group" and not item.get("item"):
            self.faults.add(path, "a group without items", "put its questions into it, or take it away")
        if kind == "display" and {"item", "required", "repeats"} & item.keys():
            self.faults.add(path, "a display that asks", "a display has words and nothing else")
        if kind == "group" and "required" in item:
            self.faults.add(f"{path}.required", "on a group", "one of its questions may be required, a group is not")
        if item.get("repeats") and kind != "attachment":
            fix = "one answer decides one criterion; only attachments repeat"
            self.faults.add(f"{path}.repeats", f"on a {kind}", fix)

    def _options(self, item: Item, path: str) -> None:
        options = item.get("answerOption", [])
        if item.get("type") != "choice":
            if options:
                self.faults.add(f"{path}.answerOption", f"on a {item.get('type')}", "options belong to a choice")
            return
        found: list[tuple[str, str]] = []
        for n, option in enumerate(options):
            coding, here = option.get("valueCoding", {}), f"{path}.answerOption[{n}]"
            for part in ("system", "code", "display"):
                if not coding.get(part):
                    self.faults.add(here, f"no {part}", "an option is a coding with system, code and display")
            if "extension" in option or option.keys() - {"valueCoding"}:
                self.faults.add(here, "more than a coding", "an option is a coding with system, code and display")
            key = (coding.get("system", ""), coding.get("code", ""))
            if key in found:
                self.faults.add(here, f"'{key[1]}' is offered twice", "take one away")
            found.append(key)
        if not found:
            self.faults.add(
                path, "a choice without options", "offer Y, N and asked-unknown, or the kinds (answerOption)"
            )
        self.options[item.get("linkId", "")] = set(found)

    # -- when it is asked

    def _enabled(self, item: Item, path: str, above: tuple[Item, ...]) -> None:
        """Only equality with an option of a choice that stands before; and there is a way in which it is asked."""
        before = len(self.faults.problems)
        name, conditions = item.get("linkId", ""), item.get("enableWhen", [])
        for n, condition in enumerate(conditions):
            self._condition(condition, f"{path}.enableWhen[{n}]", name)
        if len(conditions) > 1 and item.get("enableBehavior") not in ("any", "all"):
            self.faults.add(f"{path}.enableBehavior", "missing", "with several enableWhen, say 'any' or 'all' (que-12)")
        if len(conditions) < 2 and "enableBehavior" in item:
            self.faults.add(f"{path}.enableBehavior", "without several enableWhen", "leave it out")
        inherited = self.ways.get(above[-1].get("linkId", ""), [{}]) if above else [{}]
        if len(self.faults.problems) > before:
            self.ways[name] = inherited
            return
        self.ways[name] = _joined(inherited, self._alternatives(item)) if conditions else inherited
        if inherited and not self.ways[name]:
            fix = "no answers enable it: mend its enableWhen, or that of what it stands in"
            self.faults.add(f"{path}.enableWhen", "never asked", fix)

    def _condition(self, condition: Mapping[str, Any], path: str, name: str) -> None:
        question, answer = condition.get("question", ""), condition.get("answerCoding")
        if condition.get("operator") != "=" or answer is None:
            fix = "only equality (operator '=') with an option of a choice (answerCoding)"
            self.faults.add(path, f"operator '{condition.get('operator')}'", fix)
            return
        if question not in self.options or question == name:
            fix = did_you_mean(question, self.options.keys() - {name}, "name a choice that stands before this item")
            self.faults.add(path, f"'{question}' is no choice that stands before", fix)
        elif (answer.get("system", ""), answer.get("code", "")) not in self.options[question]:
            offered = ", ".join(sorted(code for _, code in self.options[question]))
            self.faults.add(path, f"{question} does not offer '{answer.get('code')}'", f"it offers {offered}")

    def _alternatives(self, item: Item) -> list[Way]:
        ways: list[list[Way]] = []
        for one in item["enableWhen"]:
            question, answer = one["question"], one["answerCoding"]
            chosen: Way = {question: (answer.get("system", ""), answer["code"])}
            ways.append(_joined(self.ways[question], [chosen]))
        if item.get("enableBehavior") == "any":
            return [way for alternatives in ways for way in alternatives]
        found: list[Way] = [{}]
        for alternatives in ways:
            found = _joined(found, alternatives)
        return found


def _joined(left: Sequence[Way], right: Sequence[Way]) -> list[Way]:
    """Each way of the one with each of the other, where they do not want two answers to one question."""
    found: list[Way] = []
    for one in left:
        for other in right:
            agree = all(other[question] == answer for question, answer in one.items() if question in other)
            if agree and (way := {**one, **other}) not in found:
                found.append(way)
    return found
