"""DataRequirements and expressions of one plan -> compiled facts and conditions, or every fault in them. Load time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from cds_service.fhir.elements import ElementTable
from cds_service.fhir.fhirpath import Expression, FhirPathError, Scope, Type
from cds_service.fhir.fhirpath.syntax import Literal, walk
from cds_service.policy.extensions import extension, extensions, known_extensions
from cds_service.policy.fact_graph import joined, reach, reads_of, rests_on
from cds_service.policy.facts import CONTEXT
from cds_service.policy.faults import CQF_EXPRESSION, STRUCTURE, Faults, did_you_mean
from cds_service.policy.lints import absence_read_as_no, ages_written_backwards, no_ops
from cds_service.policy.plan import Condition, Fact, Measurement, Reach, Window
from cds_service.policy.remembered import Remembered
from cds_service.policy.variables import Variables
from cds_service.policy.views import DOCUMENTS, REQUESTS, VALUE_TYPES, views
from cds_service.terminology.value_sets import Key, ValueSets

_CAMEL = re.compile(r"^[a-z][A-Za-z0-9]*$")
# R4: what a search by date goes by, for the types whose window or order a fact may state
_DATED = {
    "Observation": "effective",
    "DocumentReference": "date",
    "DiagnosticReport": "effective",
    "DeviceRequest": "occurrence",
    "ServiceRequest": "occurrence",
    "MedicationRequest": "authoredOn",
    "Condition": "recordedDate",
    "Procedure": "performed",
}
# of these a chart never holds all there is: absence proves nothing (requests are closed once read)
OPEN_WORLD = frozenset({"Condition", "Observation", "Procedure", *DOCUMENTS})


@dataclass(frozen=True, slots=True)
class RawFact:
    """A DataRequirement as it stands in a plan or library. `owner` is the action that it belongs to."""

    requirement: Mapping[str, Any]
    path: str
    owner: str | None
    shared: bool


class FactReader:
    """Compiles what a plan's expressions need, on demand, so that facts may stand in any order."""

    def __init__(
        self,
        raw: Iterable[RawFact],
        value_sets: ValueSets,
        order_types: frozenset[str],
        faults: Faults,
        remembered: Remembered,
    ) -> None:
        self.value_sets, self.order_types, self.faults = value_sets, order_types, faults
        self._remembered = remembered
        self.raw: dict[str, RawFact] = {}
        self.verdicts: Mapping[str, str] = {}
        self._facts: dict[str, Fact] = {}
        self._types: dict[str, Type] = {}
        self._compiling: list[str] = []
        self._expressions: list[Expression] = []
        self.used_value_sets: set[str] = set()
        for fact in raw:
            self._register(fact)
        qualifiers = {
            one["valueExpression"].get("name", "")
            for fact in self.raw.values()
            for measurement in extensions(fact.requirement, f"{STRUCTURE}measurement")
            for one in measurement.get("extension", [])
            if one.get("url") == "qualifier" and "valueExpression" in one
        }
        self._qualifiers = tuple(sorted(qualifiers))
        self._elements = ElementTable(views(self._qualifiers))
        self._variables = Variables(order_types, self.raw, self.type_of, lambda: self.verdicts)

    def _register(self, fact: RawFact) -> None:
        name = fact.requirement.get("id")
        if not name:
            self.faults.add(fact.path, "no id", "a fact's id is its name in expressions; give one in camelCase")
        elif "-" in name:
            camel = re.sub(r"-(.)", lambda match: match[1].upper(), name)
            self.faults.add(f"{fact.path}.id", f"'{name}': a hyphen is minus in FHIRPath", f"write '{camel}'")
        elif not _CAMEL.match(name):
            self.faults.add(f"{fact.path}.id", f"'{name}' is not camelCase", "letters and digits, a small letter first")
        elif name in CONTEXT:
            self.faults.add(f"{fact.path}.id", f"'{name}' is reserved", "choose another name")
        elif name in self.raw:
            self.faults.add(f"{fact.path}.id", f"'{name}' is used twice (also {self.raw[name].path})", "choose another")
        else:
            self.raw[name] = fact

    # -- expressions

    def condition(self, expression: Any, path: str, owner: str, chart_open: bool) -> Expression | None:
        """A condition: one boolean. With `chart_open`, absence in the chart may not be read as no."""
        compiled = self._compile(expression, path, owner, None)
        if compiled is None:
            return None
        if compiled.type.many:
            self.faults.add(path, f"'{owner}' yields a list, not one boolean", "use exists(...) or all(...)")
        elif not compiled.type.is_condition:
            self.faults.add(path, f"'{owner}' yields {compiled.type}", "a condition yields true, false or nothing")
        if chart_open:
            self._lint_absence(compiled, path, owner)
        return compiled

    def value(self, expression: Any, path: str, owner: str) -> Expression | None:
        """An expression that yields words or codes."""
        return self._compile(expression, path, owner, None)

    def _compile(self, expression: Any, path: str, owner: str, focus: Type | None) -> Expression | None:
        expression = expression or {}
        language, text = expression.get("language"), expression.get("expression")
        if language != "text/fhirpath":
            self.faults.add(path, f"language {language!r}", "write 'text/fhirpath'; CQL is not run here")
            return None
        if not text:
            self.faults.add(path, "no expression", "write the condition inline")
            return None
        try:
            scope = Scope(focus, self._variables, self.value_sets, self._elements)
            compiled = self._remembered.compile(text, scope, self.value_sets, self.order_types, self._qualifiers)
        except FhirPathError as error:
            self.faults.add(path, f"'{owner}', column {error.column}: {error.message}", "mend the expression")
            return None
        for what, fix in (*no_ops(compiled.ast), *ages_written_backwards(compiled.ast)):
            self.faults.add(path, f"'{owner}': {what}", fix)
        self._expressions.append(compiled)
        self.used_value_sets |= compiled.value_sets
        return compiled

    def _lint_absence(self, compiled: Expression, path: str, owner: str) -> None:
        open_facts = {name for name in self.raw if self._is_open(name)}
        for what, fix in absence_read_as_no(compiled.ast, open_facts):
            self.faults.add(path, f"'{owner}': {what}", fix)

    def _is_open(self, name: str) -> bool:
        kind = self.raw[name].requirement.get("type")
        return kind in OPEN_WORLD

    # -- facts

    def type_of(self, name: str) -> Type:
        """The static type of a fact, compiled if need be; nothing where it reads itself (reported with the circles)."""
        if name in self._types:
            return self._types[name]
        if name in self._compiling:
            return Type(frozenset())
        self._compiling.append(name)
        try:
            self._read(name)
        finally:
            self._compiling.pop()
        return self._types[name]

    def _read(self, name: str) -> None:
        raw = self.raw[name]
        requirement, path = raw.requirement, raw.path
        known_extensions(
            requirement,
            {CQF_EXPRESSION, f"{STRUCTURE}measurement", f"{STRUCTURE}selection"},
            path,
            self.faults,
        )
        kind = requirement.get("type", "")
        is_value = kind in VALUE_TYPES
        derived = extension(requirement, CQF_EXPRESSION)
        filtered = self.code_filter(requirement, path)
        where, per = self._selection_parts(requirement, path)
        limit = requirement.get("limit")
        single = limit == 1 and not per
        measurement = None
        if derived is None:
            if is_value:
                self.faults.add(path, f"'{name}' is a {kind} without an expression", "add a cqf-expression")
            measurement = self._measurement(requirement, path, name)
            item = Type.of(_view_of(kind, measurement))
            self._types[name] = Type(item.names, many=not single)
            expression = None
        else:
            expression = self._compile(derived.get("valueExpression"), path, name, None)
            if filtered is not None:
                self.faults.add(path, f"'{name}' is retrieved and derived", "a codeFilter or an expression, not both")
            item = Type(expression.type.names) if expression else Type.of(kind)
            many = (expression.type.many if expression else False) and not single
            if is_value and expression is not None:
                self._check_value(name, kind, expression, path)
            self._types[name] = Type(item.names, many=many)
        sort = (requirement.get("sort") or [None])[0]
        fact = Fact(
            name=name,
            type=kind,
            is_value=is_value,
            code_path=filtered[0] if filtered else None,
            keys=filtered[1] if filtered else None,
            value_set=requirement["codeFilter"][0]["valueSet"] if filtered else None,
            expression=expression,
            measurement=measurement,
            window=self._window(requirement, path, name, kind),
            where=self._where(where, path, name, item),
            per=per,
            sort_path=sort.get("path") if sort else None,
            descending=not sort or sort.get("direction") == "descending",
            limit=limit,
            sources=self._sources(expression),
        )
        self._check_order(fact, path)
        self._facts[name] = fact

    def _sources(self, expression: Expression | None) -> tuple[str, ...]:
        reads = sorted(expression.reads) if expression is not None else ()
        return tuple(
            name for name in reads if name in self.raw and self.raw[name].requirement.get("type") not in VALUE_TYPES
        )

    def _check_value(self, name: str, kind: str, expression: Expression, path: str) -> None:
        wanted = Type.of(kind)
        if expression.type.many:
            self.faults.add(
                path, f"'{name}' is one {kind}, but the expression yields a list", "use first() or exists()"
            )
        elif expression.type.names and not _kinds(expression.type) <= _kinds(wanted):
            self.faults.add(
                path, f"'{name}' is a {kind}, but the expression yields {expression.type}", "mend one of them"
            )

    def _check_order(self, fact: Fact, path: str) -> None:
        if fact.per and fact.limit is None:
            self.faults.add(path, f"input '{fact.name}': 'per' counts within 'limit'", "add limit")
        if fact.limit is not None and fact.sort_path is None and fact.retrieved:
            self.faults.add(
                path, f"input '{fact.name}': limit without sort", "say which ones: sort by date, descending"
            )
        for one in (fact.sort_path, fact.window.path if fact.window else None):
            expected = _DATED.get(fact.type)
            if one is not None and one != expected:
                fix = f"write '{expected}'" if expected else f"a {fact.type} has no date to go by"
                self.faults.add(path, f"input '{fact.name}': '{one}' is no date to search by", fix)

    def code_filter(self, requirement: Mapping[str, Any], path: str) -> tuple[str, frozenset[Key]] | None:
        """(path, codes) of a DataRequirement's one codeFilter; None where it has none or it is faulty."""
        filters = requirement.get("codeFilter", [])
        if not filters:
            return None
        if len(filters) > 1 or "searchParam" in filters[0] or "code" in filters[0]:
            self.faults.add(f"{path}.codeFilter", "more than one path and value set", "one filter: path and valueSet")
            return None
        canonical, element = filters[0].get("valueSet", ""), filters[0].get("path", "")
        if canonical not in self.value_sets:
            what = f"value set '{canonical}' is not held" if "|" in canonical else f"'{canonical}' is not pinned"
            fix = did_you_mean(canonical, self.value_sets, "add it to valuesets/ and pin it with |version")
            self.faults.add(f"{path}.codeFilter", what, fix)
            return None
        kind = requirement.get("type", "")
        if kind and self._elements.element(kind, element) is None:
            self.faults.add(f"{path}.codeFilter.path", f"{kind} has no '{element}'", "name the coded element")
            return None
        self.used_value_sets.add(canonical)
        return element, self.value_sets[canonical].keys

    def _measurement(self, requirement: Mapping[str, Any], path: str, name: str) -> Measurement | None:
        found = extension(requirement, f"{STRUCTURE}measurement")
        if found is None:
            return None
        parts = found.get("extension", [])
        plausible = next((one.get("valueRange") for one in parts if one.get("url") == "plausible"), None)
        display = next((one.get("valueString") for one in parts if one.get("url") == "display"), None)
        for one in parts:
            if one.get("url") not in ("plausible", "display", "qualifier"):
                fix = did_you_mean(str(one.get("url")), ("plausible", "display", "qualifier"), "leave it out")
                self.faults.add(path, f"measurement of '{name}': unknown part '{one.get('url')}'", fix)
        low, high = (plausible or {}).get("low", {}), (plausible or {}).get("high", {})
        if "value" not in low or "value" not in high or not low.get("code") or low.get("code") != high.get("code"):
            self.faults.add(path, f"measurement of '{name}' has no plausible range", "low and high in one UCUM unit")
            return None
        if not display:
            self.faults.add(path, f"measurement of '{name}' has no display", "say how the value is named on a card")
        if requirement.get("type") != "Observation":
            self.faults.add(path, f"measurement on a {requirement.get('type')}", "it describes Observations")
        qualifiers = []
        for one in parts:
            if one.get("url") == "qualifier":
                stated = one.get("valueExpression", {})
                compiled = self._compile(stated, path, f"{name}.{stated.get('name')}", Type.of("Reading"))
                if compiled is not None:
                    qualifiers.append((str(stated.get("name")), compiled))
        return Measurement(
            display=display or name,
            unit=low["code"],
            low=Decimal(str(low["value"])),
            high=Decimal(str(high["value"])),
            qualifiers=tuple(qualifiers),
        )

    def _selection_parts(self, requirement: Mapping[str, Any], path: str) -> tuple[Any, tuple[str, ...]]:
        found = extension(requirement, f"{STRUCTURE}selection") or {}
        where, per = None, []
        for one in found.get("extension", []):
            if one.get("url") == "where":
                where = one.get("valueExpression")
            elif one.get("url") == "per":
                per.append(one.get("valueString", ""))
            else:
                fix = did_you_mean(str(one.get("url")), ("where", "per"), "leave it out")
                self.faults.add(path, f"selection: unknown part '{one.get('url')}'", fix)
        return where, tuple(per)

    def _where(self, expression: Any, path: str, name: str, item: Type) -> Expression | None:
        if expression is None:
            return None
        compiled = self._compile(expression, path, f"{name}.where", item)
        if compiled is not None and (compiled.type.many or not compiled.type.is_condition):
            self.faults.add(
                path, f"'{name}': where yields {compiled.type}", "it yields true, false or nothing per item"
            )
        return compiled

    def _window(self, requirement: Mapping[str, Any], path: str, name: str, kind: str) -> Window | None:
        filters = requirement.get("dateFilter", [])
        if not filters:
            return None
        period = filters[0].get("valuePeriod", {})
        ends: dict[str, Expression | None] = {}
        for end in ("start", "end"):
            if end in period:
                self.faults.add(path, f"'{name}': a fixed {end} of a window", "windows are counted from %orderDate")
            found = extension(period.get(f"_{end}", {}), CQF_EXPRESSION)
            ends[end] = None
            if found is not None:
                ends[end] = self._compile(found.get("valueExpression"), f"{path}.dateFilter", f"{name}.{end}", None)
        if len(filters) > 1 or (ends["start"] is None and ends["end"] is None):
            self.faults.add(f"{path}.dateFilter", f"'{name}': no window", "one dateFilter with start, end or both")
        return Window(filters[0].get("path", ""), ends["start"], ends["end"])

    # -- the whole

    def finish(self) -> dict[str, Fact]:
        """Every fact that the plan reads, and faults for those of its own that nothing reads."""
        for name, raw in self.raw.items():
            if not raw.shared:
                self.type_of(name)
        read = {name for expression in self._expressions for name in expression.reads}
        owned = {name for name, raw in self.raw.items() if raw.owner in self.verdicts}
        for name, raw in self.raw.items():
            if not raw.shared and name not in read and name not in owned:
                self.faults.add(raw.path, f"input '{name}' is read by no condition", "remove it or use it")
        for name, fact in self._facts.items():
            if fact.is_value and fact.expression is not None:
                self._facts[name] = replace(fact, behind=frozenset(self.reach([fact.expression]).items))
        return dict(self._facts)

    def joined(self, expressions: Sequence[Expression]) -> Condition:
        """The expressions as one condition, with all that they rest on."""
        return joined(expressions, self._facts, self.verdicts)

    def reach(self, expressions: Iterable[Expression]) -> Reach:
        """What conditions rest on, through their value facts down to items, verdicts and context."""
        return reach(expressions, self._facts, self.verdicts)

    def weighs_answer(self, condition: Condition | None, name: str) -> bool:
        """Whether a condition, or a value fact behind it, looks for a yes or no to `name` in %answers."""
        if condition is None or "answers" not in condition.reach.context:
            return False
        behind = (self._facts[one].expression for one in condition.reach.values)
        for expression in (*condition.expressions, *behind):
            if expression is not None and "answers" in expression.reads:
                named = {node.value for node in walk(expression.ast) if isinstance(node, Literal)}
                # what is compared with the codes of a choice alone leaves a yes or no to be weighed as always
                if name in named and not named.isdisjoint({"yes", "no"}):
                    return True
        return False

    def rests_on(self) -> dict[str, frozenset[str]]:
        """Fact or context name -> the resource types whose failed look-up leaves it empty."""
        return rests_on(self._facts)

    def fact_reads(self) -> dict[str, frozenset[str]]:
        return {name: reads_of(fact) for name, fact in self._facts.items()}


def _view_of(kind: str, measurement: Measurement | None) -> str:
    if measurement is not None:
        return "Reading"
    if kind in REQUESTS:
        return "OrderLine"
    return "Document" if kind in DOCUMENTS else kind


def _kinds(kind: Type) -> frozenset[str]:
    numbers, texts, dates = (
        {"integer", "decimal", "positiveInt", "unsignedInt"},
        {"string", "code", "id", "uri"},
        {"date", "dateTime", "instant"},
    )
    return frozenset(
        "number" if one in numbers else "string" if one in texts else "date" if one in dates else one
        for one in kind.names
    )
