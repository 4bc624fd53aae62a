"""Published FHIR packages, read: profiles as tables of elements, value sets as codes. Nothing of them is kept here."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft6Validator

# CRD version -> its compiled package. Of 2.1 none is published in this form.
PACKAGES = {
    "2.0": "hl7.fhir.us.davinci-crd-2.0.1.tgz",
    "2.2": "hl7.fhir.us.davinci-crd-2.2.0-preview-20260304.tgz",
}
# DTR's, of which 2.0.1 alone is published in this form
DTR = "DTR 2.0"
_FILES = {**PACKAGES, DTR: "hl7.fhir.us.davinci-dtr-2.0.1.tgz"}


@dataclass(frozen=True)
class Package:
    """The definitions of a package by canonical, and its examples."""

    by_url: dict[str, dict[str, Any]]
    examples: dict[str, dict[str, Any]]

    def codes(self, canonical: str) -> frozenset[str] | None:
        """The codes of a value set, where the package alone tells them."""
        value_set = self.by_url.get(canonical.partition("|")[0], {})
        includes = value_set.get("compose", {}).get("include", [])
        found: set[str] = set()
        for include in includes:
            if "filter" in include or "valueSet" in include:
                return None
            if "concept" in include:
                found |= {one["code"] for one in include["concept"]}
                continue
            system = self.by_url.get(include.get("system", ""))
            if system is None or "concept" not in system:
                return None
            found |= {one["code"] for one in _concepts(system)}
        return frozenset(found) or None


def _concepts(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in node.get("concept", []):
        yield one
        yield from _concepts(one)


@cache
def package(folder: Path, version: str) -> Package:
    by_url: dict[str, dict[str, Any]] = {}
    examples: dict[str, dict[str, Any]] = {}
    with tarfile.open(folder / _FILES[version]) as archive:
        for member in archive:
            name = member.name.removeprefix("package/")
            if not name.endswith(".json") or name.split("/")[-1].startswith("."):
                continue
            content = archive.extractfile(member)
            assert content is not None
            if name.startswith("example/"):
                examples[name.removeprefix("example/").removesuffix(".json")] = json.loads(content.read())
            elif "/" not in name and name != "package.json":
                resource = json.loads(content.read())
                if "url" in resource:
                    by_url[resource["url"]] = resource
    return Package(by_url, examples)


@cache
def r4_schema(folder: Path) -> dict[str, Any]:
    path = folder / "hl7.fhir.r4.core-4.0.1-via-medplum" / "fhir.schema.json.gz"
    schema = dict(json.loads(gzip.decompress(path.read_bytes())))
    # it lists the codes of an extensible binding as if there were no others: DTR has some of its own
    schema["definitions"]["Expression"]["properties"]["language"].pop("enum")
    return schema


@cache
def _of_type(folder: Path, resource_type: str) -> Draft6Validator:
    schema = r4_schema(folder)
    return Draft6Validator({"$ref": f"#/definitions/{resource_type}", "definitions": schema["definitions"]})


def r4_faults(folder: Path, resource: dict[str, Any]) -> list[str]:
    """What the R4 JSON schema says against a resource."""
    validator = _of_type(folder, resource["resourceType"])
    return [f"{'.'.join(map(str, one.absolute_path))}: {one.message[:200]}" for one in validator.iter_errors(resource)]


def profile_faults(found: Package, profile: str, value: dict[str, Any]) -> list[str]:
    """What a profile's cardinalities, fixed values and required bindings say against a resource or JSON object.

    Slices are passed over, but for extensions, which are known by their url.
    """
    definition = found.by_url[profile]
    root = definition["snapshot"]["element"][0]["path"]
    faults: list[str] = []
    for element in definition["snapshot"]["element"][1:]:
        name, _, sliced = element["id"].rpartition(".")[2].partition(":")
        if ":" in element["id"].rpartition(".")[0] or (sliced and name not in ("extension", "modifierExtension")):
            continue
        parents = element["path"].removeprefix(f"{root}.").split(".")[:-1]
        for parent in _below(value, parents):
            values = _values(parent, name)
            if sliced:
                url = next((kind["profile"][0] for kind in element.get("type", []) if kind.get("profile")), None)
                values = [one for one in values if isinstance(one, dict) and one.get("url") == url]
            faults += _faults_of(found, element, values)
    return faults


def _faults_of(found: Package, element: dict[str, Any], values: list[Any]) -> Iterator[str]:
    most = element.get("max", "*")
    if len(values) < element.get("min", 0):
        yield f"{element['id']}: {len(values)} of at least {element['min']}"
    if most != "*" and len(values) > int(most):
        yield f"{element['id']}: {len(values)} of at most {most}"
    for name in element:
        if name.startswith("fixed") or name == "patternCode":
            yield from (f"{element['id']}: {one!r} is not {element[name]!r}" for one in values if one != element[name])
    binding = element.get("binding", {})
    if binding.get("strength") == "required":
        codes = found.codes(binding["valueSet"])
        yield from (
            f"{element['id']}: {one!r} is not of {binding['valueSet']}"
            for one in values
            if isinstance(one, str) and codes is not None and one not in codes
        )


def _below(value: Any, path: list[str]) -> Iterator[dict[str, Any]]:
    """The objects at a path, through lists."""
    if isinstance(value, list):
        for one in value:
            yield from _below(one, path)
    elif isinstance(value, dict):
        if not path:
            yield value
        else:
            yield from (found for one in _values(value, path[0]) for found in _below(one, path[1:]))


def _values(parent: dict[str, Any], name: str) -> list[Any]:
    if name.endswith("[x]"):
        stem = name.removesuffix("[x]")
        held = [parent[one] for one in parent if one.startswith(stem) and one[len(stem) :][:1].isupper()]
    else:
        held = [parent[name]] if name in parent else []
    return [each for one in held for each in (one if isinstance(one, list) else [one])]
