"""The authorization part of a plan: which orders it speaks of, and the table of its answers. Load time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cds_service.policy.action_reader import Action, ActionReader, children_of
from cds_service.policy.extensions import extensions
from cds_service.policy.faults import STRUCTURE, did_you_mean
from cds_service.policy.plan import Outcome, Row, Trigger
from cds_service.policy.views import REQUESTS

_COVERED = ("covered", "not-covered", "conditional")
# not `satisfied`: CRD q5 wants the id of the authorization then, and nothing here knows one yet
_PA_NEEDED = ("auth-needed", "no-auth", "conditional")
_INFO_NEEDED = ("performer", "location", "timeframe", "contract-window", "detail-code", "OTH")


class TableReader:
    """Reads one `authorization` action, which stands at `path`."""

    def __init__(self, action: Action, path: str, actions: ActionReader) -> None:
        self.action, self.path, self.actions = action, path, actions
        self.facts, self.faults = actions.facts, actions.faults

    def triggers(self) -> Iterator[Trigger]:
        """The orders that the policy speaks of."""
        path, action = self.path, self.action
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
                    condition = self.facts.joined([expression])
            for m, data in enumerate(trigger.get("data", [])):
                kind = data.get("type", "")
                if kind not in REQUESTS:
                    self.faults.add(
                        f"{at}.data[{m}].type",
                        f"'{kind}' is no order",
                        did_you_mean(kind, REQUESTS, "see CRD"),
                    )
                filtered = self.facts.code_filter(data, f"{at}.data[{m}]")
                if filtered is None and ("codeFilter" in data or condition is None):
                    fix = "add a codeFilter with a pinned value set, or a condition that says which orders are meant"
                    self.faults.add(f"{at}.data[{m}]", "no codes", fix)
                    continue
                yield Trigger(kind, filtered[1] if filtered else None, condition)

    def rows(self) -> Iterator[Row]:
        """The rows of the table, from the top."""
        path, action = self.path, self.action
        if action.get("selectionBehavior") != "exactly-one":
            self.faults.add(
                f"{path}.selectionBehavior",
                f"{action.get('selectionBehavior')!r}",
                "a table is 'exactly-one'",
            )
        for child, at in children_of(action, path):
            self.actions.only(child, at, "row")
            name, title = self.actions.identity(child, at, "auth.")
            found = extensions(child, f"{STRUCTURE}determination")
            if len(found) != 1:
                self.faults.add(at, f"'{name}' gives nothing", "add one determination extension")
                continue
            gives, unknown, criteria = self._determination(found[0], f"{at}.extension", name)
            condition = self.actions.conditions(child, at, name, ("applicability",))["applicability"]
            yield Row(
                name,
                title,
                condition,
                gives,
                unknown,
                criteria,
                self.actions.words(child, at, name),
                self.actions.citations(child, at),
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
        if unknown is not None and unknown.pa_needed == "no-auth":
            self.faults.add(
                path, f"'{name}': unknown gives no-auth", "what is not known is never a no: write 'conditional'"
            )
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
        codings = dict(self._reason_codings(reasons, path, name))
        if "conditional" in covered + pa_needed and not info:
            self.faults.add(path, f"'{name}': 'conditional' needs infoNeeded", "CRD q3: say what would settle it")
        return Outcome(covered[0] if covered else None, pa_needed[0] if pa_needed else None, info, texts, codings)

    def _reason_codings(
        self, reasons: Sequence[Mapping[str, Any]], path: str, name: str
    ) -> Iterator[tuple[str, tuple[str, str]]]:
        """Text -> (system, code) of each reason that has a coding beside its text."""
        for one in reasons:
            for coding in one.get("coding", [])[:1]:
                system, code = coding.get("system"), coding.get("code")
                if not one.get("text"):
                    self.faults.add(path, f"'{name}': reason without text", "crd-ci-q7: every reason has words")
                elif not system or not code or len(one["coding"]) > 1:
                    self.faults.add(path, f"'{name}': reason's coding", "one coding, with system and code")
                else:
                    yield one["text"], (system, code)
