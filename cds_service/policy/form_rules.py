"""Whether a plan and its questionnaire go together: what can be open is asked, what is asked is read. Load time only.

Every fault says where (the file, and the item's path and linkId), what, and how to mend it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cds_service.fhir.problem import Problem
from cds_service.policy.choices import choices, questions_read
from cds_service.policy.extensions import extension
from cds_service.policy.faults import Faults, did_you_mean
from cds_service.policy.form import Choice, Form, FormItem
from cds_service.policy.plan import Criterion, Policy
from cds_service.policy.read_form import CORE, at, placed

V2_YES_NO = "http://terminology.hl7.org/CodeSystem/v2-0136"
ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_YES_NO = {(V2_YES_NO, "Y"), (V2_YES_NO, "N"), (ABSENT_REASON, "asked-unknown")}
_DONT_KNOW = (ABSENT_REASON, "asked-unknown")
# what stands beside or in an item, by its suffix -> its type
_SUFFIXES = {"found": "text", "file": "attachment", "help": "display"}
_NO_QUESTION = "no question:"
_ATTESTED = f"{CORE}questionnaire-signatureRequired"


def form_problems(form: Form, policy: Policy, where: str) -> list[Problem]:
    """All that is wrong between a plan and its form."""
    rules = _Rules(form, policy, Faults(where))
    rules.check()
    return rules.faults.problems


def unasked(policy: Policy) -> frozenset[str]:
    """The criteria of which the plan says, with its reason, that no question is put."""
    return frozenset(name for name, one in policy.criteria.items() if _excuse(one) is not None)


def _excuse(criterion: Criterion) -> str | None:
    """Why a criterion has no question: a justification whose label begins with 'no question:'."""
    labels = (one.label for one in criterion.citations if one.ours and one.label.startswith(_NO_QUESTION))
    return next((label.removeprefix(_NO_QUESTION).strip() for label in labels), None)


class _Rules:
    def __init__(self, form: Form, policy: Policy, faults: Faults) -> None:
        self.form, self.policy, self.faults = form, policy, faults
        self.paths = {item["linkId"]: at(path, item) for path, item, _ in placed(form.resource.get("item", ()))}
        self.codes = choices(policy)
        self.read = questions_read(policy)
        self.known = {*policy.criteria, *policy.exclusions, *policy.documents}

    def check(self) -> None:
        self._identity()
        for item in self.form.items.values():
            self._item(item)
        for criterion in self.policy.criteria.values():
            self._criterion(criterion)
        for name in sorted(self.read - self.form.items.keys() - self.policy.criteria.keys()):
            self.faults.add("item", f"an expression of the plan reads '{name}', which is not asked", "ask it")
        if "form.attestation" not in self.form.items and extension(self.form.resource, _ATTESTED) is None:
            fix = "add an item form.attestation, or the extension questionnaire-signatureRequired"
            self.faults.add("item", "nobody stands for the answers", fix)

    def _identity(self) -> None:
        resource, plan = self.form.resource, self.policy
        status = "retired" if plan.retired else "active"
        if resource.get("status") != status:
            self.faults.add("status", f"'{resource.get('status')}' but the plan is {status}", f"write '{status}'")

    # -- what each item is

    def _item(self, item: FormItem) -> None:
        name, plan = item.link_id, self.policy
        base, _, suffix = name.rpartition(".")
        if name in plan.criteria:
            self._criterion_item(item, plan.criteria[name])
        elif name in plan.documents:
            self._document(item)
        elif name in plan.exclusions:
            self._exclusion(item)
        elif suffix in _SUFFIXES and (base in self.form.items or base in self.known):
            self._beside(item, base, suffix)
        elif name.startswith("ask.") or name in self.read:
            self._asked(item)
        elif not name.startswith("form."):
            known = self.known | self.read
            fix = did_you_mean(
                name, known, "a criterion, an exclusion, a document, one with .found, .file or .help, ask.* or form.*"
            )
            self._fault(item, f"'{name}' is nothing of the plan", fix)

    def _criterion_item(self, item: FormItem, criterion: Criterion) -> None:
        asks = (_can_be_asked(criterion) or criterion.id in self.codes) and _excuse(criterion) is None
        wanted = "choice" if asks else "group"
        if not criterion.group and not asks:
            self._fault(item, f"the plan says of '{criterion.id}' that no question is put", "take one of the two away")
            return
        if item.type != wanted:
            why = "it is a question" if asks else "it only gathers its members"
            self._fault(item, f"type '{item.type}'", f"write '{wanted}': {why}")
        elif asks:
            self._offers(item)
        above = self._criterion_above(item)
        expected = criterion.parent
        while expected is not None and expected not in self.form.items:
            expected = self.policy.criteria[expected].parent
        if above != expected:
            place = f"in '{above}'" if above else "at the top"
            fix = f"put it into '{expected}'" if expected else "it stands in no group of the plan"
            self._fault(item, f"stands {place}", f"{fix}: the form is nested as the plan is")

    def _criterion_above(self, item: FormItem) -> str | None:
        above = item.parent
        while above is not None and above not in self.policy.criteria:
            above = self.form.items[above].parent
        return above

    def _document(self, item: FormItem) -> None:
        if item.type == "choice":
            self._offers(item)
        elif item.type != "attachment":
            self._fault(item, f"type '{item.type}'", "a document is attached (attachment), or asked about (choice)")

    def _exclusion(self, item: FormItem) -> None:
        if item.type == "choice":
            self._offers(item)
        else:
            self._fault(item, f"type '{item.type}'", "ask whether it applies: a choice of yes, no and don't know")

    def _asked(self, item: FormItem) -> None:
        if item.link_id not in self.read:
            known = sorted(one for one in self.read if one.startswith("ask."))
            fix = did_you_mean(item.link_id, known, "let an expression read it (%answers), or call it form.<name>")
            self._fault(item, "no expression reads this answer", fix)
        elif item.type != "choice":
            self._fault(item, f"type '{item.type}'", "expressions compare codes: make it a choice")
        else:
            self._offers(item)

    def _beside(self, item: FormItem, base: str, suffix: str) -> None:
        if item.type != _SUFFIXES[suffix]:
            self._fault(item, f"type '{item.type}'", f"write '{_SUFFIXES[suffix]}'")
        owner = self.form.items.get(base)
        if owner is None:
            return
        if suffix == "help":
            if item.parent != base:
                self._fault(item, f"help for '{base}' stands elsewhere", f"put it into '{base}'")
        elif item.parent != owner.parent:
            # what stands below a question can be answered only where the question is (R4: item.answer.item)
            self._fault(
                item, f"not beside '{base}'", f"put it next to '{base}': below it, it could not be filled alone"
            )

    # -- options

    def _offers(self, item: FormItem) -> None:
        """Yes, no and don't know; or the codes that expressions read of a choice, and don't know."""
        offered = {(one.system, one.code) for one in item.choices}
        codes = self.codes.get(item.link_id)
        if codes is None:
            for system, code in sorted(_YES_NO - offered):
                self._fault(item, f"does not offer {code}", f"add the option {system}#{code}")
            for one in item.choices:
                if (one.system, one.code) not in _YES_NO:
                    self._fault(item, f"offers {_named(one)}, which nothing reads", "offer Y, N and asked-unknown")
            return
        kinds = {one.code: one for one in item.choices if (one.system, one.code) != _DONT_KNOW}
        for code in sorted(codes - kinds.keys()):
            self._fault(item, f"does not offer '{code}', which an expression reads", "add the option")
        for code in sorted(kinds.keys() - codes):
            fix = did_you_mean(code, codes, "take it away, or let an expression read it")
            self._fault(item, f"offers {_named(kinds[code])}, which nothing reads", fix)

    # -- what each criterion wants

    def _criterion(self, criterion: Criterion) -> None:
        if criterion.id in self.form.items:
            return
        fix = f"ask it, or say why not: a justification in the plan, label '{_NO_QUESTION} ...'"
        if _can_be_asked(criterion) and _excuse(criterion) is None:
            self.faults.add("item", f"no question for '{criterion.id}' ({criterion.title})", fix)
        elif criterion.group and any(name in self.form.items for name in self._below(criterion)):
            fix = f"add an item of type group with linkId '{criterion.id}' around them"
            self.faults.add("item", f"the group '{criterion.id}' is left out, some of its members are not", fix)

    def _below(self, criterion: Criterion) -> Iterator[str]:
        for name in criterion.children:
            yield name
            yield from self._below(self.policy.criteria[name])

    def _fault(self, item: FormItem, what: str, fix: str) -> None:
        self.faults.add(self.paths[item.link_id], what, fix)


def _can_be_asked(criterion: Criterion) -> bool:
    """A leaf, or a group's own demand: what can be unknown by itself."""
    return not criterion.group or criterion.start is not None


def _named(choice: Choice) -> str:
    return f"{choice.system}#{choice.code}"


def own_form(policy: Policy) -> str:
    """What the questionnaire of a plan is called: they differ in the type alone."""
    return f"{policy.url.replace('/PlanDefinition/', '/Questionnaire/')}|{policy.version}"


def wanted_form(resource: Mapping[str, Any]) -> str | None:
    """The questionnaire that a PlanDefinition names, as it was read: known even where the plan has faults."""
    named = (one.get("definitionCanonical") for one in resource.get("action", []))
    return next((one for one in named if isinstance(one, str)), None)
