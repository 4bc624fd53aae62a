"""The outside of a CDS Hooks call: bytes -> one JSON object of the right shape. Looks into no resource."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from cds_service.fhir.problem import Problem

# Real charts stay far below; what is deeper is broken, or meant to break us
MAX_DEPTH = 60


def read_envelope(body: bytes, hook: str) -> dict[str, Any] | Problem:
    """The body of a call to a service for `hook` -> the call as JSON, or what is wrong with its shape.

    Source: CDS Hooks 2.0, Calling a CDS Service; hook library, order-sign 1.0.
    """
    document = _json(body)
    if isinstance(document, Problem):
        return document
    return _fault(document, hook) or document


def _json(body: bytes) -> dict[str, Any] | Problem:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if re.search("recursion|depth", error.msg, re.IGNORECASE):
            return _TOO_DEEP  # orjson has a limit of its own, above ours
        at = f"line {error.lineno}, column {error.colno}"
        return Problem("invalid", "body", f"not JSON in UTF-8 ({at})", "send one JSON object", "structure")
    if not isinstance(document, dict):
        return Problem("invalid", "body", "not a JSON object", "send one JSON object", "structure")
    if _too_deep(document):
        return _TOO_DEEP
    # CDS Hooks 2.0, Use of JSON: nobody sends null for "nothing", but who does means "absent"
    return {name: value for name, value in document.items() if value is not None}


_TOO_DEEP = Problem(
    "invalid",
    "body",
    f"nested more than {MAX_DEPTH} deep",
    "send resources as FHIR writes them",
    "too-costly",
)


def _too_deep(document: dict[str, Any]) -> bool:
    # level by level, not by recursion: the depth is the caller's
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if node.__class__ is dict else node)
            # most of what stands in a chart is text: one look is enough to pass it over
            if (kind := child.__class__) is not str and (kind is dict or kind is list)
        ]
        if not level:
            return False
    return True


# Only the envelope: entries and resources are looked at one by one, so that a bad one is lost alone. A `description`
# says what to send instead; messages never quote what was sent.
_TEXT = {"type": "string", "minLength": 1}
_ENVELOPE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["hook", "hookInstance", "context"],
    # CDS Hooks 2.0: fhirServer is required where fhirAuthorization is sent
    "dependentRequired": {"fhirAuthorization": ["fhirServer"]},
    "properties": {
        "hook": {**_TEXT, "description": "the name of the hook, such as order-sign"},
        "hookInstance": {**_TEXT, "description": "an id of this call, as a string"},
        "fhirServer": {**_TEXT, "description": "the base address of the FHIR server"},
        "fhirAuthorization": {"type": "object", "description": "an object with the access token"},
        "prefetch": {"type": "object", "description": "an object with one member for each key"},
        "context": {
            "type": "object",
            "description": "an object with userId, patientId and draftOrders",
            "required": ["userId", "patientId", "draftOrders"],
            "properties": {
                "userId": {**_TEXT, "description": "who signs, such as Practitioner/123"},
                "patientId": {**_TEXT, "pattern": "[^/]$", "description": "the patient's id, as a string"},
                "encounterId": {"type": ["string", "null"], "description": "the encounter's id, as a string"},
                "draftOrders": {
                    "type": "object",
                    "description": "a Bundle with the orders to be signed",
                    "required": ["resourceType"],
                    "properties": {
                        "resourceType": {"const": "Bundle", "description": '"Bundle"'},
                        "entry": {"type": "array", "description": "a list of Bundle entries"},
                    },
                },
            },
        },
    },
}
_VALIDATOR = Draft202012Validator(_ENVELOPE)


def _fault(document: dict[str, Any], hook: str) -> Problem | None:
    called = document.get("hook")
    if isinstance(called, str) and called and called != hook:
        # not quoted: the name is the caller's, and any text can stand there
        return Problem("invalid", "hook", f"this service answers {hook} only", "call the service of the hook")
    if _plainly_right(document):
        return None
    error = next(_VALIDATOR.iter_errors(document), None)
    return None if error is None else _as_problem(error)


def _plainly_right(document: dict[str, Any]) -> bool:
    """Whether nothing can be wrong with the envelope: what the schema says of a call that has all it needs.

    The schema is the judge, and names the fault; it costs more than the rest of reading a call, so a call like most
    is not sent there. What this passes the schema passes too (a test tries it on calls of every kind).
    """
    context = document.get("context")
    if context.__class__ is not dict:
        return False
    draft = context.get("draftOrders")
    texts = (document.get("hook"), document.get("hookInstance"), context.get("userId"), context.get("patientId"))
    return (
        draft.__class__ is dict
        and draft.get("resourceType") == "Bundle"
        and draft.get("entry", _NO_LIST).__class__ is list
        and all(text.__class__ is str and text for text in texts)
        and not context["patientId"].endswith(("/", "\n"))
        and context.get("encounterId", "").__class__ is str
        and document.get("prefetch", _NO_OBJECT).__class__ is dict
        and document.get("fhirServer", "-").__class__ is str
        and document.get("fhirServer", "-") != ""
        and ("fhirAuthorization" not in document or _authorized(document))
    )


def _authorized(document: dict[str, Any]) -> bool:
    return "fhirServer" in document and document["fhirAuthorization"].__class__ is dict


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
