"""One package: the Questionnaire as a version of DTR wants it, the draft, and all that the form names. Pure.

Every canonical in it names its version (DTR 2.2, oper-16); what is named and not held is told, not passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from cds_service.dtr.dialects import PACKAGE_BUNDLE, STANDARD_QUESTIONNAIRE, Dialect
from cds_service.policy.form import Form

Resource = Mapping[str, Any]

CQF_LIBRARY = "http://hl7.org/fhir/StructureDefinition/cqf-library"
# DTR 2.2, oper-15, spec-163: fewer have to be expanded, more are left for $expand
MOST_EXPANDED = 40


class Issue(NamedTuple):
    """One issue of the outcome beside the packages."""

    severity: str
    code: str
    text: str

    def as_fhir(self) -> dict[str, Any]:
        return {"severity": self.severity, "code": self.code, "details": {"text": self.text}}


@dataclass(frozen=True, slots=True)
class Bundled:
    resource: dict[str, Any]
    issues: tuple[Issue, ...] = ()


class Maker(Protocol):
    """What a Bundle is made with."""

    @property
    def moment(self) -> datetime: ...

    @property
    def base(self) -> str: ...

    @property
    def new_id(self) -> Callable[[], str]: ...


def bundle_of(
    form: Form,
    questionnaire: Resource,
    draft: Resource,
    definitions: Sequence[Resource],
    dialect: Dialect,
    maker: Maker,
) -> Bundled:
    """The package of one form. `questionnaire`: as a client is to have it, or the adaptive one that stands for it.
    `definitions` are all that are held: value sets and libraries come from there."""
    named = _Named(definitions)
    full_url = f"{maker.base}/Questionnaire/{form.resource['id']}"
    entries = [{"fullUrl": full_url, "resource": named.rendered(questionnaire, dialect)}]
    entries.append({"fullUrl": f"urn:uuid:{maker.new_id()}", "resource": draft})
    for _, one in sorted(named.held.items()):
        full_url = f"{maker.base}/{one['resourceType']}/{one['id']}"
        entries.append({"fullUrl": full_url, "resource": _as_sent(one)})
    bundle = {
        "resourceType": "Bundle",
        "meta": {"profile": [PACKAGE_BUNDLE]},
        "type": "collection",
        "timestamp": maker.moment.isoformat(timespec="seconds"),
        "entry": entries,
    }
    missing = (
        Issue("warning", "not-found", f"{form.canonical} names {one}, which is not held here.") for one in named.missing
    )
    return Bundled(bundle, tuple(missing))


class _Named:
    """The definitions that a form names, found as it is written out: each once, libraries with all they depend on."""

    def __init__(self, definitions: Sequence[Resource]) -> None:
        self._definitions = definitions
        self.held: dict[str, Resource] = {}
        self.missing: list[str] = []

    def rendered(self, questionnaire: Resource, dialect: Dialect) -> dict[str, Any]:
        found: dict[str, Any] = {
            "resourceType": "Questionnaire",
            "id": questionnaire["id"],
            "meta": questionnaire.get("meta") or {"profile": [STANDARD_QUESTIONNAIRE]},
        }
        rest = {name: value for name, value in questionnaire.items() if name not in found}
        found |= self._pinned(rest, dialect.pinned_libraries)
        return found

    def _pinned(self, node: Any, pinned_libraries: bool) -> Any:
        """The node with each canonical in it naming its version."""
        if isinstance(node, list):
            return [self._pinned(one, pinned_libraries) for one in node]
        if not isinstance(node, dict):
            return node
        found = {name: self._pinned(value, pinned_libraries) for name, value in node.items()}
        if isinstance(node.get("answerValueSet"), str) and not node["answerValueSet"].startswith("#"):
            found["answerValueSet"] = self._take("ValueSet", node["answerValueSet"])
        if node.get("url") == CQF_LIBRARY and isinstance(node.get("valueCanonical"), str):
            pinned = self._take("Library", node["valueCanonical"])
            found["valueCanonical"] = pinned if pinned_libraries else pinned.partition("|")[0]
        return found

    def _take(self, kind: str, canonical: str) -> str:
        """The definition of that name among those that go along; its canonical with the version."""
        resource = self._find(kind, canonical)
        if resource is None:
            self.missing += [canonical] if canonical not in self.missing else []
            return canonical
        pinned = f"{resource['url']}|{resource['version']}"
        if pinned not in self.held:
            self.held[pinned] = resource
            for below, name in _depends_on(resource):
                self._take(below, name)
        return pinned

    def _find(self, kind: str, canonical: str) -> Resource | None:
        url, _, version = canonical.partition("|")
        held = [one for one in self._definitions if one["resourceType"] == kind and one.get("url") == url]
        held = [one for one in held if not version or one.get("version") == version]
        return max(held, key=lambda one: (len(str(one.get("version", ""))), str(one.get("version", ""))), default=None)


def _depends_on(resource: Resource) -> Iterator[tuple[str, str]]:
    """DTR 2.2, oper-12: what a Library depends on, and so on."""
    for one in resource.get("relatedArtifact", ()) if resource["resourceType"] == "Library" else ():
        canonical = one.get("resource")
        if one.get("type") == "depends-on" and isinstance(canonical, str):
            for kind in ("Library", "ValueSet"):
                if f"/{kind}/" in canonical:
                    yield kind, canonical


def _as_sent(resource: Resource) -> Resource:
    """A value set with its expansion where that is short, without where it is long."""
    if resource["resourceType"] != "ValueSet":
        return resource
    contains = resource.get("expansion", {}).get("contains", ())
    if len(contains) < MOST_EXPANDED:
        return resource
    return {name: value for name, value in resource.items() if name != "expansion"}
