"""PlanDefinition JSON -> a Policy, or every fault in it. Load time only; the format is docs/plan-format.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal

from cds_service.fhir.fhirpath import Expression
from cds_service.policy import table_rules
from cds_service.policy.fact_reader import FactReader, RawFact, extension, extensions, known_extensions
from cds_service.policy.faults import (
    CQF_EXPRESSION,
    POLICY_PART,
    STRUCTURE,
    Faults,
    check_shape,
    did_you_mean,
)
from cds_service.policy.plan import (
    AdviceItem,
    Citation,
    Condition,
    Criterion,
    Document,
    Exclusion,
    Fact,
    Outcome,
    Policy,
    Row,
    SuggestedAction,
    SuggestedChange,
    Trigger,
)
from cds_service.policy.views import REQUESTS
from cds_service.terminology.value_sets import Key, ValueSets

Action = Mapping[str, Any]

_PARTS = ("authorization", "criteria", "exclusions", "documents", "advice")
_ID = re.compile(r"^[a-z0-9]+([.-][a-z0-9]+)*$")
_NAME = re.compile(r"^[A-Z]([A-Za-z0-9_]){0,254}$")
_COVERED = ("covered", "not-covered", "conditional")
# not `satisfied`: CRD q5 wants the id of the authorization then, and nothing here knows one yet
_PA_NEEDED = ("auth-needed", "no-auth", "conditional")
_INFO_NEEDED = ("performer", "location", "timeframe", "contract-window", "detail-code", "OTH")
_DOCUMENT_KIND = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
_WRITABLE = ("code", "modifier")
_COMMON = ("id", "title", "description", "documentation")
_ACTION_ELEMENTS = {
    kind: {*_COMMON, *more.split()}
    for kind, more in {
        "authorization": "code trigger selectionBehavior groupingBehavior action priority input textEquivalent",
        "row": "extension condition dynamicValue",
        "part": "code input action textEquivalent definitionCanonical",
        "criterion": "textEquivalent condition groupingBehavior selectionBehavior input action",
        "exclusion": "condition input",
        "document": "code condition input requiredBehavior",
        "advice": "code condition input dynamicValue action",
        "suggestion": "type dynamicValue",
    }.items()
}


def read_plan(
    resource: Mapping[str, Any],
    where: str,
    folder: str,
    libraries: Mapping[str, Mapping[str, Any]],
    value_sets: ValueSets,
    payers: Mapping[str, str],
) -> tuple[Policy | None, Faults]:
    """Read one PlanDefinition.

    `folder` is the name of the folder it stands in (its version). `libraries` are Library resources and `value_sets`
    the sets held, by `url|version`; `payers` maps payer ids to names. Returns the Policy, or None with the faults.
    """
    faults = Faults(where)
    if not check_shape(resource, faults):
        return None, faults
    reader = _PlanReader(resource, folder, libraries, value_sets, payers, faults)
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
    ) -> None:
        self.resource, self.folder, self.faults = resource, folder, faults
        self.payers = payers
        self.ids: dict[str, str] = {}
        self.parts = self._parts()
        self.facts = FactReader(list(self._raw_facts(libraries)), value_sets, self._order_types(), faults)
        # names must be known before the first condition is compiled: conditions read each other's verdicts
        self.facts.verdicts = {
            name: part for part in ("criteria", "exclusions", "documents") for name, _, _ in self._walk(part)
        }

    # -- the parts of the file

    def _parts(self) -> dict[str, tuple[str, Action]]:
        parts: dict[str, tuple[str, Action]] = {}
        for n, action in enumerate(self.resource.get("action", [])):
            path = f"action[{n}]"
            code = _code(action, POLICY_PART)
            if code not in _PARTS:
                self.faults.add(f"{path}.code", f"{code!r} is no part of a policy", f"write one of {', '.join(_PARTS)}")
            elif code in parts:
                self.faults.add(f"{path}.code", f"a second '{code}' action", "put its children into the first")
            else:
                parts[code] = (path, action)
                allowed = "authorization" if code == "authorization" else "part"
                self._only(action, path, allowed)
        for code in ("authorization", "criteria"):
            if code not in parts:
                self.faults.add("action", f"no '{code}' action", f"add one with code {POLICY_PART}#{code}")
        return parts

    def _only(self, action: Action, path: str, kind: str) -> None:
        allowed = _ACTION_ELEMENTS[kind]
        for name in action:
            if name not in allowed and not (name == "extension" and kind != "row"):
                fix = did_you_mean(name, allowed, f"an action of this kind has {', '.join(sorted(allowed))}")
                self.faults.add(f"{path}.{name}", f"not used on {_article(kind)}", fix)
        if kind != "row" and extensions(action, f"{STRUCTURE}determination"):
            self.faults.add(path, "determination does not belong here", "it stands on a row of the authorization table")
        known_extensions(action, {f"{STRUCTURE}determination"} if kind == "row" else set(), path, self.faults)

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
        triggers = tuple(self._triggers())
        rows = tuple(self._rows())
        advice = tuple(self._advice())
        source, source_url = self._source()
        facts = self.facts.finish()
        table_rules.check_table(rows, self.faults)
        table_rules.check_reads(rows, exclusions, criteria, self.facts, self.faults)
        if self.faults.problems or start is None:
            return None
        rests_on = self.facts.rests_on()
        return Policy(
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
            triggers=triggers,
            rows=rows,
            criteria=criteria,
            exclusions=exclusions,
            documents=documents,
            advice=advice,
            facts=facts,
            questionnaire=self.parts["criteria"][1].get("definitionCanonical"),
            where=self.faults.where,
            resource=self.resource,
            rests_on=rests_on,
            verdicts_rest_on=table_rules.rests_of_verdicts(criteria, exclusions, documents, self.facts, rests_on),
            coded=_coded(facts.values()),
            value_sets=frozenset(self.facts.used_value_sets),
        )

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
        if _code({"code": [self.resource.get("type", {})]}, None) != "eca-rule":
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

    def _identity(self, action: Action, path: str, prefix: str) -> tuple[str, str]:
        name = action.get("id", "")
        if not name:
            self.faults.add(path, "no id", "ids are the criteria's stable names; give one")
        elif not _ID.match(name) or len(name) > 64:
            self.faults.add(f"{path}.id", f"'{name}'", "lower-case letters, digits, hyphens and dots, 64 at most")
        elif name in self.ids:
            self.faults.add(
                f"{path}.id", f"'{name}' is used twice (also {self.ids[name]})", "ids are stable and unique"
            )
        elif prefix and not name.startswith(prefix):
            self.faults.add(f"{path}.id", f"'{name}' does not begin with '{prefix}'", "ids carry their part's prefix")
        self.ids.setdefault(name, path)
        title = action.get("title")
        if not isinstance(title, str):
            self.faults.add(path, f"'{name}' has no title", "say it in words")
            return name, name
        return name, title

    def _citations(self, action: Action, path: str) -> tuple[Citation, ...]:
        found = []
        for one in action.get("documentation", []):
            label, words = one.get("label", ""), one.get("citation")
            if one.get("type") == "documentation" and label:
                found.append(Citation(label, words, ours=False))
            elif one.get("type") == "justification" and label:
                found.append(Citation(label, words, ours=True))
            else:
                self.faults.add(
                    f"{path}.documentation", "no section", "type documentation with label, or justification"
                )
        if not found:
            self.faults.add(
                path, "no citation", "add documentation (section of the source, or justification 'ours: ...')"
            )
        return tuple(found)

    def _conditions(self, action: Action, path: str, name: str, kinds: Sequence[str]) -> dict[str, Condition | None]:
        compiled: dict[str, list[Expression]] = {kind: [] for kind in kinds}
        for n, one in enumerate(action.get("condition", [])):
            at = f"{path}.condition[{n}]"
            if one.get("kind") not in kinds:
                self.faults.add(f"{at}.kind", f"'{one.get('kind')}' here", f"write {' or '.join(kinds)}")
                continue
            closed = any(str(d.get("label", "")).startswith("closed-world") for d in action.get("documentation", []))
            expression = self.facts.condition(
                one.get("expression"), at, name, chart_open=one["kind"] == "start" and not closed
            )
            if expression is not None:
                compiled[one["kind"]].append(expression)
        return {
            kind: Condition(tuple(ones), self.facts.reach(ones)) if ones else None for kind, ones in compiled.items()
        }

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
        self._only(action, path, "criterion")
        name, title = self._identity(action, path, prefix)
        children = action.get("action", [])
        any_of = self._grouping(action, path, name, bool(children))
        conditions = self._conditions(action, path, name, ("applicability", "start"))
        criterion = Criterion(
            id=name,
            title=title,
            parent=parent,
            met_by=action.get("textEquivalent"),
            hint=action.get("description"),
            applicability=conditions["applicability"],
            start=conditions["start"],
            children=tuple(child.get("id", "") for child in children),
            any=any_of,
            own_inputs=tuple(one["id"] for one in action.get("input", []) if "id" in one),
            citations=self._citations(action, path),
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
            self._only(action, path, "exclusion")
            name, title = self._identity(action, path, "excl.")
            condition = self._conditions(action, path, name, ("applicability",))["applicability"]
            if condition is None:
                self.faults.add(path, f"'{name}' has no condition", "say when it excludes (kind applicability)")
                continue
            yield Exclusion(name, title, action.get("description"), condition, self._citations(action, path))

    def _documents(self) -> Iterator[Document]:
        for _, action, path in self._walk("documents"):
            self._only(action, path, "document")
            name, title = self._identity(action, path, "doc.")
            if _code(action, POLICY_PART) != "document":
                self.faults.add(f"{path}.code", "not marked as a document", f"add code {POLICY_PART}#document")
            conditions = self._conditions(action, path, name, ("applicability", "start"))
            inputs = tuple(one["id"] for one in action.get("input", []) if "id" in one)
            if not inputs and conditions["start"] is None:
                self.faults.add(
                    path,
                    f"'{name}' can never be on file",
                    "add input (what is looked for) or a start condition",
                )
            code = _code(action, _DOCUMENT_KIND)
            if code not in (None, "clinical", "admin"):
                self.faults.add(f"{path}.code", f"'{code}'", "clinical or admin, or none where the order cures it")
            kind: Literal["clinical", "admin"] | None = (
                "clinical" if code == "clinical" else "admin" if code == "admin" else None
            )
            counts = action.get("requiredBehavior") != "could"
            yield Document(
                name, title, kind, counts, inputs, conditions["applicability"], conditions["start"],
                self._citations(action, path),
            )  # fmt: skip

    def _triggers(self) -> Iterator[Trigger]:
        if "authorization" not in self.parts:
            return
        path, action = self.parts["authorization"]
        if not action.get("trigger"):
            self.faults.add(path, "no trigger", "say which orders the policy speaks of")
        for n, trigger in enumerate(action.get("trigger", [])):
            at = f"{path}.trigger[{n}]"
            if trigger.get("type") != "data-changed":
                self.faults.add(f"{at}.type", f"'{trigger.get('type')}'", "write 'data-changed'")
            condition = None
            if "condition" in trigger:
                expression = self.facts.condition(trigger["condition"], f"{at}.condition", "trigger", chart_open=False)
                if expression is not None:
                    condition = Condition((expression,), self.facts.reach([expression]))
            for m, data in enumerate(trigger.get("data", [])):
                kind = data.get("type", "")
                if kind not in REQUESTS:
                    self.faults.add(
                        f"{at}.data[{m}].type",
                        f"'{kind}' is no order",
                        did_you_mean(kind, REQUESTS, "see CRD"),
                    )
                keys = self.facts.code_filter(data, f"{at}.data[{m}]")
                if keys is None:
                    self.faults.add(f"{at}.data[{m}]", "no codes", "add a codeFilter with a pinned value set")
                    continue
                yield Trigger(kind, keys[1], condition)

    # -- the authorization table

    def _rows(self) -> Iterator[Row]:
        if "authorization" not in self.parts:
            return
        path, action = self.parts["authorization"]
        if action.get("selectionBehavior") != "exactly-one":
            self.faults.add(
                f"{path}.selectionBehavior",
                f"{action.get('selectionBehavior')!r}",
                "a table is 'exactly-one'",
            )
        for _, child, at in self._walk("authorization"):
            self._only(child, at, "row")
            name, title = self._identity(child, at, "auth.")
            found = extensions(child, f"{STRUCTURE}determination")
            if len(found) != 1:
                self.faults.add(at, f"'{name}' gives nothing", "add one determination extension")
                continue
            gives, unknown, criteria = self._determination(found[0], f"{at}.extension", name)
            condition = self._conditions(child, at, name, ("applicability",))["applicability"]
            yield Row(
                name,
                title,
                condition,
                gives,
                unknown,
                criteria,
                self._words(child, at, name),
                self._citations(child, at),
            )

    def _determination(self, found: Mapping[str, Any], path: str, name: str) -> tuple[Outcome, Outcome | None, bool]:
        parts = found.get("extension", [])
        for one in parts:
            if one.get("url") not in ("covered", "paNeeded", "infoNeeded", "reason", "criteria", "unknown"):
                known = ("covered", "paNeeded", "infoNeeded", "reason", "criteria", "unknown")
                self.faults.add(
                    path,
                    f"unknown part '{one.get('url')}'",
                    did_you_mean(str(one.get("url")), known, "leave it out"),
                )
        nested = [one for one in parts if one.get("url") == "unknown"]
        gives = self._outcome(parts, path, name)
        unknown = self._outcome(nested[0].get("extension", []), f"{path}.unknown", name) if nested else None
        criteria = all(one.get("valueBoolean") is not False for one in parts if one.get("url") == "criteria")
        return gives, unknown, criteria

    def _outcome(self, parts: Sequence[Mapping[str, Any]], path: str, name: str) -> Outcome:
        def codes(url: str, allowed: Sequence[str]) -> tuple[str, ...]:
            values = tuple(one.get("valueCode", "") for one in parts if one.get("url") == url)
            for value in values:
                if value not in allowed:
                    self.faults.add(
                        path, f"{url} '{value}'", did_you_mean(value, allowed, f"one of {', '.join(allowed)}")
                    )
            return values

        covered, pa_needed = codes("covered", _COVERED), codes("paNeeded", _PA_NEEDED)
        info = codes("infoNeeded", _INFO_NEEDED)
        reasons = [one.get("valueCodeableConcept", {}) for one in parts if one.get("url") == "reason"]
        texts = tuple(one["text"] for one in reasons if one.get("text"))
        if "conditional" in covered + pa_needed and not info:
            self.faults.add(path, f"'{name}': 'conditional' needs infoNeeded", "CRD q3: say what would settle it")
        return Outcome(covered[0] if covered else None, pa_needed[0] if pa_needed else None, info, texts)

    def _words(self, action: Action, path: str, name: str) -> str | Expression | None:
        values = action.get("dynamicValue", [])
        if not values:
            return action.get("description")
        if len(values) > 1 or values[0].get("path") != "%action.description":
            self.faults.add(
                f"{path}.dynamicValue",
                "only %action.description is written here",
                "write one, with that path",
            )
        return self.facts.value(values[0].get("expression"), f"{path}.dynamicValue[0]", name)

    # -- advice

    def _advice(self) -> Iterator[AdviceItem]:
        for _, action, path in self._walk("advice"):
            self._only(action, path, "advice")
            name, title = self._identity(action, path, "advice.")
            if len(title) >= 140:
                self.faults.add(f"{path}.title", "140 characters or more", "a card's summary is shorter than 140")
            condition = self._conditions(action, path, name, ("applicability",))["applicability"]
            actions = tuple(
                one
                for n, child in enumerate(action.get("action", []))
                if (one := self._suggestion(child, f"{path}.action[{n}]", name))
            )
            detail = self._words(action, path, name)
            yield AdviceItem(name, title, detail, condition, actions, self._citations(action, path))

    def _suggestion(self, action: Action, path: str, advice: str) -> SuggestedAction | None:
        self._only(action, path, "suggestion")
        name, title = self._identity(action, path, f"{advice}.")
        kind = _code({"code": [action.get("type", {})]}, None)
        if kind not in ("update", "create"):
            self.faults.add(f"{path}.type", f"'{kind}'", "write update or create (action-type)")
            return None
        changes = []
        for n, value in enumerate(action.get("dynamicValue", [])):
            at, target = f"{path}.dynamicValue[{n}]", value.get("path", "")
            if target not in (*_WRITABLE, "$this"):
                fix = did_you_mean(target, _WRITABLE, f"write one of {', '.join(_WRITABLE)}")
                self.faults.add(f"{at}.path", f"'{target}' is no field of an order line that can be written", fix)
                continue
            expression = self.facts.value(value.get("expression"), at, name)
            if expression is not None:
                changes.append(SuggestedChange(target, expression))
        paths = [change.path for change in changes]
        if kind == "create" and paths[:1] != ["$this"]:
            self.faults.add(
                path, f"'{name}' creates an order from nothing", "begin with path '$this', expression %order"
            )
        if kind == "update" and "$this" in paths:
            self.faults.add(path, f"'{name}' updates and begins anew", "leave '$this' to create")
        return SuggestedAction(name, title, "update" if kind == "update" else "create", tuple(changes))


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


def _code(action: Mapping[str, Any], system: str | None) -> str | None:
    for concept in action.get("code", []):
        for coding in concept.get("coding", []):
            if system is None or coding.get("system") == system:
                return coding.get("code")  # type: ignore[no-any-return]
    return None


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


__all__ = ["CQF_EXPRESSION", "extension", "read_plan"]
