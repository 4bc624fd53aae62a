"""The part of a form that an adaptive response carries: what was put so far, as a contained Questionnaire. Pure.

Words, options and help are the form's own. What is not put is left out; a question of which only a part is put gives
its place to that part. How an item hangs on an earlier answer is written only where the version of DTR lets it be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cds_service.dtr.dialects import DTR_20, DTR_22, Dialect, dialect_named, dialect_of_profile, not_spoken
from cds_service.fhir.problem import Problem
from cds_service.fhir.record_shapes import objects_in
from cds_service.policy.form import Choice, EnabledBy, Form, FormItem, form_of

ADAPTIVE = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-questionnaireAdaptive"
_PROFILE = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-questionnaire-adapt"
# of the form: what a questionnaire without questions, or with a part of them, still says
_KEPT = ("text", "name", "title", "status", "experimental", "subjectType", "date", "publisher", "effectivePeriod")
_KEPT_BY_SHELL = ("url", "version", *_KEPT, "description", "approvalDate", "lastReviewDate", "copyright")


@dataclass(frozen=True, slots=True)
class Put:
    """A question that was put, and the earlier answers that it hangs on: any of them, or all."""

    enabled_by: tuple[EnabledBy, ...] = ()
    any_of: bool = False


def adaptive_shell(form: Form, base_url: str, dialect: Dialect, context: str | None = None) -> dict[str, Any]:
    """The form as a package gives it to a client that is to ask for its questions one by one: without items.

    It goes by the form's own canonical, for that is what coverage-information names. `context`: the assertion id, so
    that the calls of every client lead to what was kept, whatever it sends.
    """
    resource = form.resource
    shell: dict[str, Any] = {"resourceType": "Questionnaire"}
    shell |= {name: resource[name] for name in ("id", "meta", "language") if name in resource}
    shell |= {name: resource[name] for name in _KEPT_BY_SHELL if name in resource}
    shell["meta"] = {"profile": [f"{_PROFILE}-search"]}
    shell["extension"] = [*resource.get("extension", ()), _adaptive(base_url, dialect, context)]
    return shell


def _adaptive(base_url: str, dialect: Dialect, context: str | None) -> dict[str, Any]:
    url = f"{base_url}/contexts/{context}" if context is not None else base_url
    return {"url": ADAPTIVE, "valueUrl": f"{url}/Questionnaire" if dialect.address_of_type else url}


# -- what is put


def contained(
    form: Form,
    put: Mapping[str, Put],
    identity: str,
    base_url: str,
    dialect: Dialect,
    context: str | None,
    answered: Mapping[str, str],
) -> dict[str, Any]:
    """The contained Questionnaire. `put`: what is asked, without the groups around and the help beside it; `answered`:
    the codes of the answers so far, by linkId."""
    resource = form.resource
    found: dict[str, Any] = {"resourceType": "Questionnaire", "id": identity}
    found["meta"] = {"profile": [_PROFILE]}
    found |= {name: resource[name] for name in _KEPT if name in resource}
    found["extension"] = [*resource.get("extension", ()), _adaptive(base_url, dialect, context)]
    found["version"] = form.version
    found["derivedFrom"] = [form.canonical]
    items = [item for one in resource.get("item", ()) for item, _ in _part(one, form, put, dialect, answered, False)]
    if items:
        found["item"] = items
    return found


def part_of(form: Form, put: Mapping[str, Put]) -> Form:
    """What was put, indexed as a form: a response so far is held against it."""
    # in the version that writes most of it
    questionnaire = contained(form, put, "part", "", DTR_22, None, {})
    return form_of({**questionnaire, "url": form.url})


def _part(
    item: Mapping[str, Any],
    form: Form,
    put: Mapping[str, Put],
    dialect: Dialect,
    answered: Mapping[str, str],
    beside_put: bool,
) -> Iterator[tuple[dict[str, Any], bool]]:
    """What stays of an item, and whether it asks something."""
    known = form.items[item["linkId"]]
    if known.type == "display":
        if beside_put or known.link_id in put:
            yield from _display(item, known, put, dialect, answered)
        return
    # what was found, a file: it comes with its question, and hangs on what that hangs on
    asked = put.get(companion_of(known, form) or known.link_id)
    is_put = asked is not None and known.type != "group"
    below = [
        one
        for child in item.get("item", ())
        for one in _part(child, form, put, dialect, answered, is_put or known.type == "group")
    ]
    asks = is_put or any(one for _, one in below)
    if not asks:
        return
    if known.type != "group" and not is_put:
        yield from (one for one in below if one[1])
        return
    found = {name: value for name, value in item.items() if name not in ("item", "enableWhen", "enableBehavior")}
    if asked is not None and is_put:
        found |= _hanging(asked, put, dialect)
    yield (found | {"item": [one for one, _ in below]} if below else found), True


def companion_of(item: FormItem, form: Form) -> str | None:
    """The question that an item goes with: `<question>.found`, `<question>.file`. No question of its own."""
    owner = form.items.get(item.link_id.rpartition(".")[0])
    goes_along = item.asks and item.type != "choice" and owner is not None and owner.type == "choice"
    return owner.link_id if goes_along and owner is not None else None


def _display(
    item: Mapping[str, Any],
    known: FormItem,
    put: Mapping[str, Put],
    dialect: Dialect,
    answered: Mapping[str, str],
) -> Iterator[tuple[dict[str, Any], bool]]:
    plain = {name: value for name, value in item.items() if name not in ("enableWhen", "enableBehavior")}
    if not known.enabled_by:
        yield plain, False
    elif dialect.enable_when and all(one.question in put for one in known.enabled_by):
        yield plain | _hanging(Put(known.enabled_by, known.any_of), put, dialect), False
    else:
        held = [answered.get(one.question) == one.answer.code for one in known.enabled_by]
        if any(held) if known.any_of else all(held):
            yield plain, False


def _hanging(one: Put, put: Mapping[str, Put], dialect: Dialect) -> dict[str, Any]:
    """enableWhen, where all that it names is there to be answered."""
    if not one.enabled_by or not dialect.enable_when or any(gate.question not in put for gate in one.enabled_by):
        return {}
    found: dict[str, Any] = {
        "enableWhen": [
            {"question": gate.question, "operator": "=", "answerCoding": _coding(gate.answer)}
            for gate in one.enabled_by
        ]
    }
    if len(one.enabled_by) > 1:
        found["enableBehavior"] = "any" if one.any_of else "all"
    return found


def _coding(choice: Choice) -> dict[str, str]:
    return {"system": choice.system, "code": choice.code} if choice.system else {"code": choice.code}


# -- what was put before


def put_before(questionnaire: Mapping[str, Any], form: Form) -> tuple[dict[str, Put], list[str]]:
    """What a contained Questionnaire put, and the linkIds in it that the form does not have.

    Only linkIds and what they hang on are taken from it: all words are the form's.
    """
    found: dict[str, Put] = {}
    unknown: list[str] = []
    for item in _items_in(questionnaire.get("item")):
        link = item.get("linkId")
        known = form.items.get(link) if isinstance(link, str) else None
        if known is None:
            unknown.append(str(link)[:200])
        elif known.asks and companion_of(known, form) is None:
            found[known.link_id] = Put(tuple(_gates_in(item, form)), item.get("enableBehavior") == "any")
        elif known.type == "display" and known.link_id.startswith("form."):
            found[known.link_id] = Put()
    return {name: found[name] for name in form.items if name in found}, unknown


def _items_in(items: Any) -> Iterator[Mapping[str, Any]]:
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping):
            yield item
            yield from _items_in(item.get("item"))


def _gates_in(item: Mapping[str, Any], form: Form) -> Iterator[EnabledBy]:
    gates = item.get("enableWhen")
    for one in gates if isinstance(gates, list) else ():
        coding = one.get("answerCoding") if isinstance(one, Mapping) else None
        question = one.get("question") if isinstance(coding, Mapping) else None
        asked = form.items.get(question) if isinstance(question, str) else None
        options: Iterable[Choice] = asked.choices if asked is not None else ()
        for choice in options:
            if isinstance(coding, Mapping) and choice.code == coding.get("code") and asked is not None:
                yield EnabledBy(asked.link_id, choice)


# -- which version of DTR


def dialect_of(document: Mapping[str, Any], named: str | None, default: Dialect) -> Dialect | Problem:
    """The version of DTR that a call is written in: `named` by the caller, else the one that its form was sent in."""
    if named is not None:
        return dialect_named(named) or not_spoken()
    found = next((one for profile in _profiles(document) if (one := dialect_of_profile(profile)) is not None), None)
    if found is not None:
        return found
    return next((DTR_20 for url in _adaptive_urls(document) if url.endswith("/Questionnaire")), default)


def _profiles(node: Any) -> Iterator[str]:
    """The profiles of the parameters, the response or its questionnaire."""
    for one in _resources_in(node):
        meta = one.get("meta")
        profiles = meta.get("profile") if isinstance(meta, Mapping) else None
        for profile in profiles if isinstance(profiles, list) else ():
            if isinstance(profile, str):
                yield profile


def _adaptive_urls(node: Any) -> Iterator[str]:
    for one in _resources_in(node):
        for extension in objects_in(one.get("extension")):
            if extension.get("url") == ADAPTIVE and isinstance(extension.get("valueUrl"), str):
                yield extension["valueUrl"]


def _resources_in(node: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(node, Mapping):
        return
    yield node
    for one in objects_in(node.get("parameter")):
        yield from _resources_in(one.get("resource"))
    for one in objects_in(node.get("contained")):
        yield one
