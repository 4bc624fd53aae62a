"""The patient's resources, read once per request: whose they are, whether they can be read, found by type and code.

Pure. Knows no policy. A resource of another patient is kept out here, so no later step can see it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds_service.fhir.codings import CodingKey, keys_of
from cds_service.fhir.record_shapes import shape_fault
from cds_service.fhir.references import literal_reference, own_reference, reference_key

Resource = Mapping[str, Any]

# R4: the element that says whose a resource is, for the types of the patient compartment that policies read
_OWNER = {
    "Appointment": "participant",
    "Claim": "patient",
    "ClaimResponse": "patient",
    "Coverage": "beneficiary",
    "ExplanationOfBenefit": "patient",
    "NutritionOrder": "patient",
    "VisionPrescription": "patient",
    "AllergyIntolerance": "patient",
    "Immunization": "patient",
    "RelatedPerson": "patient",
} | dict.fromkeys(
    (
        "CommunicationRequest",
        "Condition",
        "DeviceRequest",
        "DiagnosticReport",
        "DocumentReference",
        "Encounter",
        "MedicationAdministration",
        "MedicationRequest",
        "MedicationStatement",
        "Observation",
        "Procedure",
        "QuestionnaireResponse",
        "ServiceRequest",
    ),
    "subject",
)
# Whose a draft is, the hook's own context says where the resource itself is silent
_OWNER_OPTIONAL = {"Appointment", "CommunicationRequest", "QuestionnaireResponse"}


@dataclass(frozen=True, slots=True)
class RecordFault:
    """A resource that could not be read: it is lost, the rest is not."""

    resource_type: str | None
    where: str
    what: str


class Record:
    """One patient's resources, for the length of one request.

    Built by `Record.build`; never changed afterwards (look-up tables are filled when first asked for).
    """

    __slots__ = (
        "_by_key",
        "_by_type",
        "_codes",
        "_contained",
        "_foreign",
        "_keys",
        "_panels",
        "_whose",
        "base",
        "faults",
        "not_looked_up",
        "patient",
    )

    def __init__(self) -> None:
        self._by_key: dict[str, Resource] = {}
        self._by_type: dict[str, list[Resource]] = {}
        self._codes: dict[tuple[str, str], list[tuple[Resource, tuple[CodingKey, ...]]]] = {}
        self._contained: dict[int, dict[str, Resource]] = {}
        self._keys: dict[str, str | None] = {}
        self._whose: tuple[str, set[str]] = ("", set())
        self._panels: dict[int, Resource] | None = None
        self.base: str | None = None
        self.patient: Resource | None = None
        self.faults: tuple[RecordFault, ...] = ()
        self._foreign: tuple[tuple[str, Resource], ...] = ()
        self.not_looked_up: Mapping[str, str] = {}

    @classmethod
    def build(
        cls,
        resources: Iterable[Sequence[Any]],
        patient_id: str,
        not_looked_up: Mapping[str, str] | None = None,
        base: str | None = None,
    ) -> Record:
        """Index `resources`, an iterable of (where, resource) or (where, resource, fullUrl).

        `where` is a JSON path for messages. `not_looked_up` maps a resource type to the reason why nothing is known of
        it. `base` is the FHIR server that absolute references of this call belong to. The first of two resources with
        one id counts; where the second says something else, that is a fault. Nothing is raised: what cannot be read is
        in `faults`; of what is another patient's only the place is told (`foreign_to`).
        """
        record = cls()
        record.base = base
        record.not_looked_up = dict(not_looked_up or {})
        faults: list[RecordFault] = []
        readable: list[tuple[str, Resource]] = []
        patient_keys = {f"Patient/{patient_id}"}
        for item in resources:
            where, resource = item[0], item[1]
            fault = shape_fault(resource)
            if fault is not None:
                kind = resource.get("resourceType") if isinstance(resource, dict) else None
                faults.append(RecordFault(kind if isinstance(kind, str) else None, where, fault))
                continue
            full_url = item[2] if len(item) > 2 and isinstance(item[2], str) else None
            if full_url and resource["resourceType"] == "Patient" and resource.get("id") == patient_id:
                patient_keys.add(full_url)
            if full_url and full_url.startswith("urn:"):
                record._by_key.setdefault(full_url, resource)
            readable.append((where, resource))
        foreign: list[tuple[str, Resource]] = []
        record._whose = (patient_id, patient_keys)
        for where, resource in readable:
            whose = record._owner(resource, patient_id, patient_keys)
            if whose == "other":
                foreign.append((where, resource))
            elif whose == "unsaid":
                faults.append(RecordFault(resource["resourceType"], where, "does not say whose it is"))
            elif record._keep(resource) is False:
                faults.append(RecordFault(resource["resourceType"], where, "differs from another one of the same id"))
        kept = {id(one) for held in record._by_type.values() for one in held}
        for key in [key for key, one in record._by_key.items() if key.startswith("urn:") and id(one) not in kept]:
            del record._by_key[key]
        record.faults, record._foreign = tuple(faults), tuple(foreign)
        return record

    @classmethod
    def of_kept(
        cls,
        resources: Iterable[tuple[str | None, Resource]],
        whose: tuple[str, Collection[str]],
        not_looked_up: Mapping[str, str],
        base: str | None,
        faults: Sequence[RecordFault],
        foreign: Sequence[tuple[str, Resource]],
    ) -> Record:
        """A record again, from what was kept of one: nothing is looked at twice, all of it was found to be sound.

        `resources` come with the `urn:` that they were named by, if any. `whose`: see `whose_it_is`. `foreign`: of
        another patient's resources the place, and as a resource of that type the codes it bore.
        """
        record = cls()
        record.base, record.not_looked_up = base, dict(not_looked_up)
        record._whose = (whose[0], set(whose[1]))
        for urn, resource in resources:
            record._keep(resource)
            if urn is not None:
                record._by_key.setdefault(urn, resource)
        record.faults, record._foreign = tuple(faults), tuple(foreign)
        return record

    @property
    def whose_it_is(self) -> tuple[str, tuple[str, ...]]:
        """The patient's id, and every key by which a resource may name this patient as its own."""
        return self._whose[0], tuple(sorted(self._whose[1]))

    def urns(self) -> dict[int, str]:
        """`id()` of a resource -> the `urn:` by which the call named it."""
        return {id(one): key for key, one in self._by_key.items() if key.startswith("urn:")}

    def _owner(self, resource: Resource, patient_id: str, patient_keys: set[str]) -> str:
        kind = resource["resourceType"]
        if kind == "Patient":
            return "this" if resource.get("id") == patient_id else "other"
        element = _OWNER.get(kind)
        if element is None:
            return "nobody"
        owner = resource.get(element)
        actors = [one.get("actor") for one in owner if isinstance(one, dict)] if isinstance(owner, list) else [owner]
        references = [literal_reference(actor) for actor in actors]
        keys = {self._key(one) for one in references if one is not None}
        if keys & patient_keys:
            return "this"
        if kind == "Appointment" and not any(key and key.startswith("Patient/") for key in keys):
            return "nobody"
        if any(key is not None and _names_a_person(key) for key in keys):
            return "other"
        return "nobody" if kind in _OWNER_OPTIONAL and owner is None else "unsaid"

    def _keep(self, resource: Resource) -> bool:
        """Whether it is kept, or was before; False for a second one of the same id that says something else."""
        key = own_reference(resource)
        if "/" in key:
            held = self._by_key.get(key)
            if held is not None:
                # the same resource under two prefetch keys
                return held is resource or _content(held) == _content(resource)
            self._by_key[key] = resource
        if resource["resourceType"] == "Patient" and self.patient is None:
            self.patient = resource
        self._by_type.setdefault(resource["resourceType"], []).append(resource)
        return True

    def of_type(self, resource_type: str) -> Sequence[Resource]:
        """This patient's resources of a type, in the order in which they came."""
        return self._by_type.get(resource_type, ())

    @property
    def holds_foreign(self) -> bool:
        """Whether the call brought resources of another patient."""
        return bool(self._foreign)

    def foreign_to(self, resource_type: str, path: str, named: Collection[CodingKey] | None) -> list[str]:
        """Where in the call resources of another patient stand that are of this type and bear one of the codes
        `named` at `path` (all of the type, for None). The resources themselves are not to be had."""
        return [where for where, _ in self.foreign_codes(resource_type, path, named)]

    def foreign_codes(
        self, resource_type: str, path: str, named: Collection[CodingKey] | None
    ) -> list[tuple[str, tuple[CodingKey, ...]]]:
        """The same, each with those of the codes `named` that it bears (none, where all of the type are asked for)."""
        found: list[tuple[str, tuple[CodingKey, ...]]] = []
        for where, resource in self._foreign:
            if resource["resourceType"] != resource_type:
                continue
            borne = () if named is None else tuple(key for key in _keys_at(resource, path) if key in named)
            if borne or named is None:
                found.append((where, borne))
        return found

    def resolve(self, reference: object, within: Resource | None = None) -> Resource | None:
        """The resource that a reference string or Reference names, if the call holds it; `#id` looks in `within`."""
        text = reference if isinstance(reference, str) else literal_reference(reference)
        if text is None:
            return None
        if text.startswith("#"):
            return self._contained_in(within).get(text[1:]) if within is not None else None
        key = self._key(text)
        return self._by_key.get(key) if key is not None else None

    def _key(self, reference: str) -> str | None:
        """The key of a reference. Most of a chart names the one patient: the same text is read once."""
        if reference not in self._keys:
            self._keys[reference] = reference_key(reference, self.base)
        return self._keys[reference]

    def _contained_in(self, resource: Resource) -> dict[str, Resource]:
        """What a resource contains, by id: readable, and not another patient's. It needs no owner of its own."""
        found = self._contained.get(id(resource))
        if found is None:
            contained = resource.get("contained")
            found = self._contained[id(resource)] = {
                one["id"]: one
                for one in (contained if isinstance(contained, list) else ())
                if shape_fault(one) is None
                and isinstance(one.get("id"), str)
                and self._owner(one, *self._whose) != "other"
            }
        return found

    def coded(
        self, resource_type: str, path: str, named: Mapping[tuple[str, str], tuple[str, ...]]
    ) -> dict[str, list[Resource]]:
        """Name -> the resources of a type whose coding at `path` (an element, or a choice element's stem) bears it.

        `named` says which names a coding key bears. Observations are also found by the code of a component: it is a
        reading of its own. One look per coding of the record, however many names there are; resources stay in the
        order in which they came.
        """
        found: dict[str, list[Resource]] = {}
        for resource, keys in self._keyed(resource_type, path):
            for key in keys:
                for name in named.get(key, ()):
                    resources = found.setdefault(name, [])
                    if not resources or resources[-1] is not resource:
                        resources.append(resource)
        return found

    def _keyed(self, resource_type: str, path: str) -> list[tuple[Resource, tuple[CodingKey, ...]]]:
        keyed = self._codes.get((resource_type, path))
        if keyed is None:
            keyed = [(one, _keys_at(one, path)) for one in self._by_type.get(resource_type, ())]
            self._codes[(resource_type, path)] = keyed
        return keyed

    def panel_of(self, observation: Resource) -> Resource | None:
        """The Observation that has this one as a member, or None."""
        if self._panels is None:
            panels = (one for one in self._by_type.get("Observation", ()) if "hasMember" in one)
            self._panels = {id(member): panel for panel in panels for member in self.members_of(panel)}
        return self._panels.get(id(observation)) if self._panels else None

    def members_of(self, panel: Resource) -> list[Resource]:
        """The Observations that a panel names in `hasMember` and that the call holds."""
        members = panel.get("hasMember")
        found = [self.resolve(one, within=panel) for one in members] if isinstance(members, list) else []
        return [one for one in found if one is not None and one.get("resourceType") == "Observation"]


def _names_a_person(key: str) -> bool:
    """Whether an owner's key names a patient. A Group, or a `urn:` that nothing here bears, does not say which."""
    return not key.startswith(("urn:", "Group/"))


def _content(resource: Resource) -> dict[str, Any]:
    """What a resource says, without what servers add to each copy."""
    return {name: value for name, value in resource.items() if name not in ("meta", "text")}


def _keys_at(resource: Resource, path: str) -> tuple[CodingKey, ...]:
    value = resource.get(path)
    keys = keys_of(resource.get(f"{path}CodeableConcept") if value is None else value)
    if path == "code" and resource.get("component") and resource["resourceType"] == "Observation":
        keys += tuple(key for one in resource["component"] for key in keys_of(one.get("code")))
    return keys
