"""The outside of a CDS Hooks call: bytes -> one JSON object of the right shape. Looks into no resource."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from cds_service.crd.hooks import HOOKS, Hook, Member
from cds_service.fhir.json_body import read_json
from cds_service.fhir.problem import Problem


def read_envelope(body: bytes, hook: Hook) -> dict[str, Any] | Problem:
    """The body of a call to a service for `hook` -> the call as JSON, or what is wrong with its shape.

    Source: CDS Hooks 2.0, Calling a CDS Service; hook library, the context of each hook.
    """
    read = read_json(body)
    if isinstance(read, Problem):
        return read
    # CDS Hooks 2.0, Use of JSON: nobody sends null for "nothing", but who does means "absent"
    document = {name: value for name, value in read.items() if value is not None}
    return _fault(document, hook) or document


# Only the envelope: entries and resources are looked at one by one, so that a bad one is lost alone. A `description`
# says what to send instead; messages never quote what was sent.
_TEXT = {"type": "string", "minLength": 1}
_KINDS: dict[str, dict[str, Any]] = {
    "text": _TEXT,
    "id": {**_TEXT, "pattern": "[^/]$"},
    "ids": {"type": "array", "items": {**_TEXT, "description": "references such as DeviceRequest/123"}},
    "object": {"type": "object"},
    "objects": {"type": "array"},
    "bundle": {
        "type": "object",
        "required": ["resourceType"],
        "properties": {
            "resourceType": {"const": "Bundle", "description": '"Bundle"'},
            "entry": {"type": "array", "description": "a list of Bundle entries"},
        },
    },
}


def _envelope(hook: Hook) -> dict[str, Any]:
    """The JSON schema of a call of a hook."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["hook", "hookInstance", "context"],
        # CDS Hooks 2.0: fhirServer is required where fhirAuthorization is sent
        "dependentRequired": {"fhirAuthorization": ["fhirServer"]},
        "properties": {
            "hook": {**_TEXT, "description": f"the name of the hook, such as {hook.name}"},
            "hookInstance": {**_TEXT, "description": "an id of this call, as a string"},
            "fhirServer": {**_TEXT, "description": "the base address of the FHIR server"},
            "fhirAuthorization": {"type": "object", "description": "an object with the access token"},
            "prefetch": {"type": "object", "description": "an object with one member for each key"},
            "context": _context(hook),
        },
    }


def _context(hook: Hook) -> dict[str, Any]:
    owed = [name for name, member in hook.context.items() if member.required]
    schema: dict[str, Any] = {
        "type": "object",
        "description": f"an object with {', '.join(owed[:-1])} and {owed[-1]}",
        "required": [name for name in owed if hook.context[name].instead is None],
        "properties": {name: _member(member) for name, member in hook.context.items()},
    }
    # the newer of two shapes is the one that is asked for
    older = {name: hook.context[name].instead for name in owed if hook.context[name].instead is not None}
    if older:
        schema["allOf"] = [
            {
                "if": {"not": {"required": [instead]}},
                "then": {"required": [name], "properties": {name: _member(hook.context[name])}},
            }
            for name, instead in older.items()
        ]
    return schema


def _member(member: Member) -> dict[str, Any]:
    schema = {**_KINDS[member.kind], "description": member.wanted}
    if not member.required:
        # who sends null for "nothing" means "absent"
        schema["type"] = [schema["type"], "null"]
    return schema


_VALIDATORS = {name: Draft202012Validator(_envelope(hook)) for name, hook in HOOKS.items()}


def _fault(document: dict[str, Any], hook: Hook) -> Problem | None:
    called = document.get("hook")
    if isinstance(called, str) and called and called != hook.name:
        # not quoted: the name is the caller's, and any text can stand there
        return Problem("invalid", "hook", f"this service answers {hook.name} only", "call the service of the hook")
    if _plainly_right(document, hook):
        return None
    error = next(_VALIDATORS[hook.name].iter_errors(document), None)
    return None if error is None else _as_problem(error)


def _plainly_right(document: dict[str, Any], hook: Hook) -> bool:
    """Whether nothing can be wrong with the envelope: what the schema says of a call that has all it needs.

    The schema is the judge, and names the fault; it costs more than the rest of reading a call, so a call like most
    is not sent there. What this passes the schema passes too (a test tries it on calls of every kind).
    """
    context = document.get("context")
    if type(context) is not dict:
        return False
    texts = (document.get("hook"), document.get("hookInstance"))
    return (
        all(type(text) is str and text for text in texts)
        and all(_plainly_a(member, context.get(name, _ABSENT)) for name, member in hook.context.items())
        and type(document.get("prefetch", _NO_OBJECT)) is dict
        and type(document.get("fhirServer", "-")) is str
        and document.get("fhirServer", "-") != ""
        and ("fhirAuthorization" not in document or _authorized(document))
    )


def _plainly_a(member: Member, value: Any) -> bool:
    if value is _ABSENT:
        return not member.required
    kind = type(value)
    match member.kind:
        case "text":
            return kind is str and bool(value)
        case "id":
            return kind is str and bool(value) and not value.endswith(("/", "\n"))
        case "bundle":
            return kind is dict and value.get("resourceType") == "Bundle" and type(value.get("entry", _NO_LIST)) is list
        case "ids":
            return kind is list and all(type(one) is str and one for one in value)
        case _:
            return False  # rare: the schema may look


def _authorized(document: dict[str, Any]) -> bool:
    return "fhirServer" in document and type(document["fhirAuthorization"]) is dict


_ABSENT = object()
_NO_LIST: list[Any] = []
_NO_OBJECT: dict[str, Any] = {}


def _as_problem(error: ValidationError) -> Problem:
    where = _path(error.absolute_path)
    schema: Any = error.schema
    instance: Any = error.instance
    wanted = schema.get("description", "it")
    match error.validator:
        case "required" | "dependentRequired":
            names = schema["required"] if error.validator == "required" else ["fhirServer"]
            name = next(one for one in names if one not in instance)
            wanted = schema["properties"][name]["description"]
            return Problem("invalid", f"{where}.{name}" if where else name, "missing", f"send {wanted}", "required")
        case "minLength":
            what = "empty"
        case _:
            what = "not what belongs here"
    return Problem("invalid", where or "body", what, f"send {wanted}", "structure")


def _path(parts: Iterable[str | int]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
