"""The policies held: which of them is in force for a payer, a code and a day. Built at load, then only read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from cds_service.policy.determination import line_keys
from cds_service.policy.order_line import OrderLine
from cds_service.policy.payers import Payer
from cds_service.policy.plan import Policy
from cds_service.terminology.value_sets import Key, ValueSets


class Catalogue:
    """Policies, payers and value sets. The look-up for an order does not grow with the number of policies held."""

    def __init__(
        self,
        policies: Iterable[Policy],
        payers: Iterable[Payer],
        value_sets: ValueSets,
        resources: Sequence[Mapping[str, Any]] = (),
        disabled: frozenset[str] = frozenset(),
    ) -> None:
        self.policies = tuple(policies)
        self.payers = tuple(payers)
        self.value_sets = value_sets
        self.resources = tuple(resources)  # every definition as it was read, for those who ask for it
        self.disabled = disabled
        # Resource types that some policy reads from the chart
        self.has_forms = any(policy.form is not None for policy in self.policies)
        self.types_needed = frozenset(kind for policy in self.policies for kind in policy.types_read)
        self._versions: dict[str, list[Policy]] = {}
        self._by_code: dict[tuple[str, str, Key], set[str]] = {}
        self._by_type: dict[tuple[str, str], set[str]] = {}
        for policy in sorted(self.policies, key=lambda one: one.start):
            self._versions.setdefault(policy.url, []).append(policy)
            for trigger in policy.triggers:
                if trigger.keys is None:
                    self._by_type.setdefault((policy.payer, trigger.resource_type), set()).add(policy.url)
                for key in trigger.keys or ():
                    self._by_code.setdefault((policy.payer, trigger.resource_type, key), set()).add(policy.url)

    def in_force(self, payer: str, line: OrderLine, on: date) -> tuple[Policy, ...]:
        """The policies of `payer` that may speak of this line on the day `on` (the order date), by its type and codes.

        A policy that was ended by a retired version, or that is switched off, is not in force. Whether a policy does
        speak is for its trigger's condition to say: `determine` answers None where it does not.
        """
        if len(line.ordered) > 1:
            return ()  # which of them is ordered is not for a policy to choose
        kind = str(line.resource.get("resourceType"))
        urls = {url for key in line_keys(line) for url in self._by_code.get((payer, kind, key), ())}
        urls |= self._by_type.get((payer, kind), set())
        versions = [self._on(url, on) for url in sorted(urls)]
        return tuple(one for one in versions if one is not None and one.id not in self.disabled)

    def _on(self, url: str, on: date) -> Policy | None:
        current = None
        for policy in self._versions[url]:
            if policy.start <= on:
                current = policy
        return current if current is not None and not current.retired else None

    def holds_on(self, policy: Policy, on: date) -> bool:
        """Whether a version of a policy is the one that is in force on a day."""
        return self._on(policy.url, on) is policy

    def by_canonical(self, url: str, version: str | None = None) -> Policy | None:
        """One version of a policy; without `version` the newest."""
        versions = self._versions.get(url, [])
        if version is None:
            return versions[-1] if versions else None
        return next((one for one in versions if one.version == version), None)

    def by_form(self, url: str, version: str | None = None) -> Policy | None:
        """The policy whose questionnaire this is; without `version` the newest."""
        found = [one for one in self.policies if one.form is not None and one.form.url == url]
        if version is not None:
            return next((one for one in found if one.form is not None and one.form.version == version), None)
        return max(found, key=lambda one: one.start, default=None)
