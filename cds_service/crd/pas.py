"""Extensions of Da Vinci PAS, PDex and HRex on a payer's answer, read by name. Pure; judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cds_service.fhir.record_shapes import objects_in

# Da Vinci PAS 2.2.1 (extension-reviewAction and the others); PDex and HRex keep the names under their own address
_GUIDES = tuple(f"http://hl7.org/fhir/us/davinci-{name}/StructureDefinition/" for name in ("pas", "pdex", "hrex"))


def is_of_guides(extension: Mapping[str, Any], name: str) -> bool:
    """Whether an extension is the one of this name, of whichever of the guides."""
    return extension.get("url") in [f"{guide}{name}" for guide in _GUIDES]


def only_one(holder: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The extension of this name; None where there is none, or more than one."""
    held = [one for one in objects_in(holder.get("extension")) if is_of_guides(one, name)]
    return held[0] if len(held) == 1 else None


def guides_value(holder: Mapping[str, Any], name: str, value: str) -> Any:
    found = only_one(holder, name)
    return found.get(value) if found is not None else None


def value_of(extension: Mapping[str, Any], url: str, value: str) -> Any:
    """The value of the one part with this url."""
    held = [one for one in objects_in(extension.get("extension")) if one.get("url") == url]
    return held[0].get(value) if len(held) == 1 else None
