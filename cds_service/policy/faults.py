"""All that is wrong with a definition, gathered: where, what, how to mend it. One run shows every fault."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from cds_service.fhir.problem import Problem

BASE = "https://cds-service.example.org/fhir"
STRUCTURE = f"{BASE}/StructureDefinition/"
POLICY_PART = f"{BASE}/CodeSystem/policy-part"
CQF_EXPRESSION = "http://hl7.org/fhir/StructureDefinition/cqf-expression"


class Faults:
    """Collects Problems of one file."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[Problem] = []

    def add(self, path: str, what: str, fix: str) -> None:
        self.problems.append(Problem("invalid", f"{self.where}: {path}" if path else self.where, what, fix))


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else otherwise


def check_shape(resource: Mapping[str, Any], faults: Faults) -> bool:
    """Validate against FHIR R4's elements (fhir.resources R4B, and what R4B has and R4 has not). True when sound."""
    # imported here: validation is of load time only and the classes are heavy
    from fhir.resources.R4B import get_fhir_model_class

    before = len(faults.problems)
    kind = resource.get("resourceType", "")
    try:
        model = get_fhir_model_class(kind)
        model.model_validate(resource)
    except KeyError:
        faults.add("resourceType", f"{kind!r} is not a FHIR R4 resource type", "write a resource type of FHIR R4")
    except ValidationError as error:
        for one in error.errors():
            path = _path(one["loc"])
            if one["type"] == "extra_forbidden":
                known = _siblings(model, one["loc"])
                name = str(one["loc"][-1])
                faults.add(path, "unknown element", did_you_mean(name, known, "FHIR R4 has no such element here"))
            else:
                faults.add(path, str(one["msg"]), f"see {kind} in FHIR R4")
    _refuse(resource, "", faults)
    return len(faults.problems) == before


def _refuse(node: Any, path: str, faults: Faults) -> None:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == "subjectCanonical":
                faults.add(f"{path}{name}", "is of R4B, not of R4", "leave it out")
            _refuse(value, f"{path}{name}.", faults)
    elif isinstance(node, list):
        for n, value in enumerate(node):
            _refuse(value, f"{path.rstrip('.')}[{n}].", faults)


def _path(loc: tuple[int | str, ...]) -> str:
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else str(step))
    return text


def _siblings(model: Any, loc: tuple[int | str, ...]) -> list[str]:
    from cds_service.fhir.elements import ElementTable

    table, name = ElementTable(), model.__name__
    for step in loc[:-1]:
        if isinstance(step, int):
            continue
        element = table.element(name, step)
        if element is None:
            return []
        name = min(element.types)
    return list(table.names(name))
