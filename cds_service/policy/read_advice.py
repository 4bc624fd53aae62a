"""The advice part of a plan: notes, and suggestions that change or add an order. Load time."""

from __future__ import annotations

from collections.abc import Iterator

from cds_service.policy.action_reader import Action, ActionReader, children_of, code_of
from cds_service.policy.faults import did_you_mean
from cds_service.policy.plan import AdviceItem, SuggestedAction, SuggestedChange

_WRITABLE = ("code", "modifier")


class AdviceReader:
    """Reads the children of the `advice` action, which stands at `path`."""

    def __init__(self, action: Action, path: str, actions: ActionReader) -> None:
        self.action, self.path, self.actions = action, path, actions
        self.facts, self.faults = actions.facts, actions.faults

    def items(self) -> Iterator[AdviceItem]:
        """The notes, in plan order."""
        for action, path in children_of(self.action, self.path):
            self.actions.only(action, path, "advice")
            name, title = self.actions.identity(action, path, "advice.")
            if len(title) >= 140:
                self.faults.add(f"{path}.title", "140 characters or more", "a card's summary is shorter than 140")
            condition = self.actions.conditions(action, path, name, ("applicability",))["applicability"]
            actions = tuple(
                one
                for n, child in enumerate(action.get("action", []))
                if (one := self._suggestion(child, f"{path}.action[{n}]", name))
            )
            detail = self.actions.words(action, path, name)
            yield AdviceItem(name, title, detail, condition, actions, self.actions.citations(action, path))

    def _suggestion(self, action: Action, path: str, advice: str) -> SuggestedAction | None:
        self.actions.only(action, path, "suggestion")
        name, title = self.actions.identity(action, path, f"{advice}.")
        kind = code_of({"code": [action.get("type", {})]}, None)
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
