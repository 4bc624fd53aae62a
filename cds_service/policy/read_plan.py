"""PlanDefinition JSON -> a Policy, or every fault in it. Load time only; the format is docs/plan-format.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Literal

from cds_service.policy import table_rules
from cds_service.policy.action_reader import Action, ActionReader, code_of, codes_of
from cds_service.policy.fact_graph import elements_named
from cds_service.policy.fact_reader import FactReader, RawFact
from cds_service.policy.faults import (
    POLICY_PART,
    Faults,
    check_shape,
    did_you_mean,
)
from cds_service.policy.plan import (
    AdviceItem,
    Criterion,
    Document,
    Exclusion,
    Fact,
    Policy,
    Row,
    Trigger,
)
from cds_service.policy.read_advice import AdviceReader
from cds_service.policy.read_table import TableReader
from cds_service.policy.remembered import Remembered
from cds_service.terminology.value_sets import Key, ValueSets

_PARTS = ("authorization", "criteria", "exclusions", "documents", "advice")
_NAME = re.compile(r"^[A-Z]([A-Za-z0-9_]){0,254}$")
_CRD_CODES = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
# CRD, value set DocReason, less OTH, which is of another code system
_DOCUMENT_PURPOSES = ("withpa", "withclaim", "withorder", "retain-doc")


def read_plan(
    resource: Mapping[str, Any],
    where: str,
    folder: str,
    libraries: Mapping[str, Mapping[str, Any]],
    value_sets: ValueSets,
    payers: Mapping[str, str],
    remembered: Remembered | None = None,
) -> tuple[Policy | None, Faults]:
    """Read one PlanDefinition.

    `folder` is the name of the folder it stands in (its version). `libraries` are Library resources and `value_sets`
    the sets held, by `url|version`; `payers` maps payer ids to names; `remembered` holds the expressions of
    plans read before. Returns the Policy, or None with the faults.
    """
    faults = Faults(where)
    if not check_shape(resource, faults):
        return None, faults
    return compile_plan(resource, where, folder, libraries, value_sets, payers, remembered)


def compile_plan(
    resource: Mapping[str, Any],
    where: str,
    folder: str,
    libraries: Mapping[str, Mapping[str, Any]],
    value_sets: ValueSets,
    payers: Mapping[str, str],
    remembered: Remembered | None = None,
) -> tuple[Policy | None, Faults]:
    """As `read_plan`, for a resource whose FHIR elements are known to be sound."""
    faults = Faults(where)
    reader = _PlanReader(resource, folder, libraries, value_sets, payers, faults, remembered or Remembered())
    policy = reader.read()
    return (None if faults.problems else policy), faults


class _PlanReader:
    def __init__(
        self,
        resource: Mapping[str, Any],
        folder: str,
        libraries: Mapping[str, Mapping[str, Any]],
        value_sets: ValueSets,
        payers: Mapping[str, str],
        faults: Faults,
        remembered: Remembered,
    ) -> None:
        self.resource, self.folder, self.faults = resource, folder, faults
        self.payers = payers
        self.actions = ActionReader(faults)
        self.parts = self._parts()
        raw = list(self._raw_facts(libraries))
        self.facts = FactReader(raw, value_sets, self._order_types(), faults, remembered)
        self.actions.facts = self.facts
        # names must be known before the first condition is compiled: conditions read each other's verdicts
        self.facts.verdicts = {
            name: part for part in ("criteria", "exclusions", "documents") for name, _, _ in self._walk(part)
        }

    # -- the parts of the file

    def _parts(self) -> dict[str, tuple[str, Action]]:
        parts: dict[str, tuple[str, Action]] = {}
        for n, action in enumerate(self.resource.get("action", [])):
            path = f"action[{n}]"
            code = code_of(action, POLICY_PART)
            if code not in _PARTS:
                self.faults.add(f"{path}.code", f"{code!r} is no part of a policy", f"write one of {', '.join(_PARTS)}")
            elif code in parts:
                self.faults.add(f"{path}.code", f"a second '{code}' action", "put its children into the first")
            else:
                parts[code] = (path, action)
                allowed = "authorization" if code == "authorization" else "part"
                self.actions.only(action, path, allowed)
        for code in ("authorization", "criteria"):
            if code not in parts:
                self.faults.add("action", f"no '{code}' action", f"add one with code {POLICY_PART}#{code}")
        return parts

    def _walk(self, part: str, action: Action | None = None, path: str = "") -> Iterator[tuple[str, Action, str]]:
        """(id, action, path) of every child below a part, in plan order."""
        if action is None:
            if part not in self.parts:
                return
            path, action = self.parts[part]
        for n, child in enumerate(action.get("action", [])):
            below = f"{path}.action[{n}]"
            yield child.get("id", ""), child, below
            if part == "criteria":
                yield from self._walk(part, child, below)

    def _raw_facts(self, libraries: Mapping[str, Mapping[str, Any]]) -> Iterator[RawFact]:
        for canonical in self.resource.get("library", []):
            library = libraries.get(canonical)
            if library is None:
                fix = did_you_mean(canonical, libraries, "put the Library beside the plans, pinned with |version")
                self.faults.add("library", f"'{canonical}' is not held", fix)
                continue
            for n, requirement in enumerate(library.get("dataRequirement", [])):
                yield RawFact(requirement, f"library {canonical}: dataRequirement[{n}]", None, shared=True)
        for part in _PARTS:
            if part not in self.parts:
                continue
            path, action = self.parts[part]
            yield from _inputs(action, path, None)
            for name, child, below in self._walk(part):
                yield from _inputs(child, below, name)

    def _order_types(self) -> frozenset[str]:
        _, action = self.parts.get("authorization", ("", {}))
        return frozenset(
            data.get("type", "") for trigger in action.get("trigger", []) for data in trigger.get("data", [])
        )

    # -- the whole

    def read(self) -> Policy | None:
        start, version = self._versions()
        payer = self._payer()
        title = self._wanted("title")
        criteria = self._criteria()
        exclusions = {one.id: one for one in self._exclusions()}
        documents = {one.id: one for one in self._documents()}
        triggers, rows = self._table()
        advice = self._advice()
        source, source_url = self._source()
        facts = self.facts.finish()
        table_rules.check_table(rows, self.faults)
        table_rules.check_reads(rows, exclusions, criteria, self.facts, self.faults)
        if self.faults.problems or start is None:
            return None
        rests_on = self.facts.rests_on()
        policy = Policy(
            id=self.resource["id"],
            url=self.resource["url"],
            version=version,
            title=title,
            payer=payer,
            payer_name=self.payers.get(payer, payer),
            source=source,
            source_url=source_url,
            start=start,
            retired=self.resource["status"] == "retired",
            urgent=self.parts["authorization"][1].get("priority") == "urgent",
            caution=self.parts["authorization"][1].get("textEquivalent"),
            triggers=triggers,
            rows=rows,
            criteria=criteria,
            exclusions=exclusions,
            documents=documents,
            advice=advice,
            facts=facts,
            questionnaire=self.parts["criteria"][1].get("definitionCanonical"),
            contact=tuple(self.resource.get("contact", ())),
            where=self.faults.where,
            resource=self.resource,
            rests_on=rests_on,
            verdicts_rest_on=table_rules.rests_of_verdicts(criteria, exclusions, documents, self.facts, rests_on),
            coded=_coded(facts.values()),
            value_sets=frozenset(self.facts.used_value_sets),
        )
        return replace(policy, elements=elements_named(policy))

    def _wanted(self, name: str) -> str:
        value = self.resource.get(name)
        if not isinstance(value, str):
            self.faults.add(name, "missing", f"give the policy a {name}")
            return ""
        return value

    def _versions(self) -> tuple[date | None, str]:
        version, starts = self._wanted("version"), self.resource.get("effectivePeriod", {}).get("start", "")
        identity = self._wanted("id")
        url = self._wanted("url")
        if version != self.folder:
            self.faults.add("version", f"'{version}' but the folder is '{self.folder}'", "they are one string")
        if version != starts:
            self.faults.add(
                "effectivePeriod.start", f"'{starts}' but the version is '{version}'", "they are one string"
            )
        if "end" in self.resource.get("effectivePeriod", {}):
            self.faults.add("effectivePeriod.end", "not used", "a successor's start ends it; or add a retired version")
        if self.resource.get("status") not in ("active", "retired"):
            self.faults.add(
                "status", f"{self.resource.get('status')!r}", "write 'active', or 'retired' to end the policy"
            )
        if url and not url.endswith(f"/PlanDefinition/{identity}"):
            self.faults.add("url", f"'{url}' does not end with the id", f"end it with /PlanDefinition/{identity}")
        if not _NAME.match(self.resource.get("name", "")):
            self.faults.add("name", f"{self.resource.get('name')!r}", "a capital, then letters, digits, underscores")
        if code_of({"code": [self.resource.get("type", {})]}, None) != "eca-rule":
            self.faults.add("type", "not eca-rule", "a policy answers an event: write eca-rule")
        try:
            return date.fromisoformat(version), version
        except ValueError:
            self.faults.add("version", f"'{version}' is no day", "write the first day in force, e.g. 2024-06-01")
            return None, version

    def _payer(self) -> str:
        for context in self.resource.get("useContext", []):
            reference = context.get("valueReference", {}).get("reference", "")
            if context.get("code", {}).get("code") == "program" and reference.startswith("InsurancePlan/"):
                payer = str(reference.removeprefix("InsurancePlan/"))
                if payer not in self.payers:
                    fix = did_you_mean(payer, self.payers, "add plans/payers/<payer>.json")
                    self.faults.add("useContext", f"payer '{payer}' is not held", fix)
                return payer
        self.faults.add("useContext", "names no payer", "code 'program', valueReference InsurancePlan/<payer>")
        return ""

    def _source(self) -> tuple[str, str | None]:
        for artifact in self.resource.get("relatedArtifact", []):
            if artifact.get("type") == "documentation" and artifact.get("display"):
                return artifact["display"], artifact.get("url")
        self.faults.add(
            "relatedArtifact", "does not name the payer's document", "type documentation, display = its title"
        )
        return "", None

    # -- criteria

    def _criteria(self) -> dict[str, Criterion]:
        if "criteria" not in self.parts:
            return {}
        path, action = self.parts["criteria"]
        children = action.get("action", [])
        if not children:
            self.faults.add(path, "no criteria", "the first child is the root of the criteria tree")
            return {}
        found: dict[str, Criterion] = {}
        root = children[0].get("id", "")
        for n, child in enumerate(children):
            self._criterion(child, f"{path}.action[{n}]", None, f"{root}." if n else "", root, found)
        return found

    def _criterion(
        self,
        action: Action,
        path: str,
        parent: str | None,
        prefix: str,
        root: str,
        found: dict[str, Criterion],
    ) -> None:
        self.actions.only(action, path, "criterion")
        name, title = self.actions.identity(action, path, prefix)
        children = action.get("action", [])
        any_of = self._grouping(action, path, name, bool(children))
        conditions = self.actions.conditions(action, path, name, ("applicability", "start"))
        criterion = Criterion(
            id=name,
            title=title,
            parent=parent,
            met_by=action.get("textEquivalent"),
            hint=action.get("description"),
            applicability=conditions["applicability"],
            start=conditions["start"],
            always=conditions["applicability"] is None and (parent is None or found[parent].always),
            children=tuple(child.get("id", "") for child in children),
            any=any_of,
            own_inputs=tuple(one["id"] for one in action.get("input", []) if "id" in one),
            citations=self.actions.citations(action, path),
            reads_own_answer=self.facts.weighs_answer(conditions["start"], name),
        )
        found[name] = criterion
        for n, child in enumerate(children):
            self._criterion(child, f"{path}.action[{n}]", name, f"{root}.", root, found)

    def _grouping(self, action: Action, path: str, name: str, group: bool) -> bool:
        behavior = action.get("selectionBehavior")
        if not group:
            if behavior is not None or "groupingBehavior" in action:
                self.faults.add(path, f"'{name}' has no children but a selectionBehavior", "only groups have one")
            return False
        if behavior == "any":
            fix = "write 'one-or-more'"
            self.faults.add(f"{path}.selectionBehavior", "'any' means zero or more in R4", fix)
        elif behavior not in ("all", "one-or-more"):
            fix = "a group needs selectionBehavior 'all' or 'one-or-more'"
            self.faults.add(f"{path}.selectionBehavior", f"{behavior!r} on '{name}'", fix)
        if action.get("groupingBehavior") not in (None, "logical-group"):
            self.faults.add(f"{path}.groupingBehavior", f"{action['groupingBehavior']!r}", "write 'logical-group'")
        return bool(behavior == "one-or-more")

    # -- exclusions, documents, triggers

    def _exclusions(self) -> Iterator[Exclusion]:
        for _, action, path in self._walk("exclusions"):
            self.actions.only(action, path, "exclusion")
            name, title = self.actions.identity(action, path, "excl.")
            condition = self.actions.conditions(action, path, name, ("applicability",))["applicability"]
            if condition is None:
                self.faults.add(path, f"'{name}' has no condition", "say when it excludes (kind applicability)")
                continue
            yield Exclusion(name, title, action.get("description"), condition, self.actions.citations(action, path))

    def _documents(self) -> Iterator[Document]:
        for _, action, path in self._walk("documents"):
            self.actions.only(action, path, "document")
            name, title = self.actions.identity(action, path, "doc.")
            if code_of(action, POLICY_PART) != "document":
                self.faults.add(f"{path}.code", "not marked as a document", f"add code {POLICY_PART}#document")
            conditions = self.actions.conditions(action, path, name, ("applicability", "start"))
            inputs = tuple(one["id"] for one in action.get("input", []) if "id" in one)
            if not inputs and conditions["start"] is None:
                self.faults.add(
                    path,
                    f"'{name}' can never be on file",
                    "add input (what is looked for) or a start condition",
                )
            kind, purposes = self._kind_and_purposes(action, path)
            counts = action.get("requiredBehavior") != "could"
            yield Document(
                name, title, kind, purposes, counts, inputs, conditions["applicability"], conditions["start"],
                self.actions.citations(action, path),
            )  # fmt: skip

    def _kind_and_purposes(
        self, action: Action, path: str
    ) -> tuple[Literal["clinical", "admin"] | None, tuple[str, ...]]:
        """CRD's code for the kind of a document, and those for what it is for: they share a code system."""
        codes = codes_of(action, _CRD_CODES)
        kinds = [one for one in codes if one not in _DOCUMENT_PURPOSES]
        if kinds not in ([], ["clinical"], ["admin"]):
            fix = (
                f"clinical or admin, or none where the order cures it; what it is for: {', '.join(_DOCUMENT_PURPOSES)}"
            )
            self.faults.add(f"{path}.code", ", ".join(map(repr, kinds)), fix)
        kind: Literal["clinical", "admin"] | None = (
            "clinical" if kinds == ["clinical"] else "admin" if kinds == ["admin"] else None
        )
        return kind, tuple(one for one in codes if one in _DOCUMENT_PURPOSES)

    # -- authorization, advice

    def _table(self) -> tuple[tuple[Trigger, ...], tuple[Row, ...]]:
        if "authorization" not in self.parts:
            return (), ()
        path, action = self.parts["authorization"]
        table = TableReader(action, path, self.actions)
        return tuple(table.triggers()), tuple(table.rows())

    def _advice(self) -> tuple[AdviceItem, ...]:
        if "advice" not in self.parts:
            return ()
        path, action = self.parts["advice"]
        return tuple(AdviceReader(action, path, self.actions).items())


def _coded(facts: Iterable[Fact]) -> dict[tuple[str, str], dict[Key, tuple[str, ...]]]:
    found: dict[tuple[str, str], dict[Key, tuple[str, ...]]] = {}
    for fact in facts:
        for key in fact.keys or ():
            names = found.setdefault((fact.type, fact.code_path or "code"), {})
            names[key] = (*names.get(key, ()), fact.name)
    return found


def _inputs(action: Action, path: str, owner: str | None) -> Iterator[RawFact]:
    for n, requirement in enumerate(action.get("input", [])):
        yield RawFact(requirement, f"{path}.input[{n}]", owner, shared=False)
