"""Conditions over facts -> verdicts with their reasons. Pure. Knows nothing of hooks or HTTP.

Three answers throughout: a condition is true, false or unknown, and unknown is never read as no.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cds_service.policy import asking, words
from cds_service.policy.answered import fired_by, with_answer
from cds_service.policy.facts import MOST_ASKED, Facts
from cds_service.policy.kleene import all_of, any_of
from cds_service.policy.model import (
    DocumentVerdict,
    Evidence,
    ExclusionVerdict,
    Situation,
    Status,
    Verdict,
)
from cds_service.policy.plan import Condition, Criterion, Policy

MOST_SHOWN = 10  # candidates of one criterion
_NO_EVIDENCE: tuple[Evidence, ...] = ()


class Verdicts:
    """One policy's criteria, exclusions and documents for one situation, each judged when first read."""

    __slots__ = (
        "_applies",
        "_criteria",
        "_documents",
        "_exclusions",
        "_views",
        "facts",
        "policy",
        "situation",
    )

    def __init__(self, policy: Policy, situation: Situation) -> None:
        self.policy = policy
        self.situation = situation
        self.facts = Facts(policy, situation, self.view)
        self._applies: dict[str, bool | None] = {}
        self._criteria: dict[str, Verdict] = {}
        self._exclusions: dict[str, ExclusionVerdict] = {}
        self._documents: dict[str, DocumentVerdict] = {}
        self._views: dict[str, dict[str, Any]] = {}

    def release(self) -> None:
        """Let the facts forget their verdicts: no circle is left for the garbage collector."""
        self.facts.release()

    # -- what expressions read

    def view(self, name: str) -> Mapping[str, Any]:
        """`status` and, unless unknown, `met` of a criterion, exclusion or document."""
        found = self._views.get(name)
        if found is None:
            found = self._views[name] = self._view(name)
        return found

    def _view(self, name: str) -> dict[str, Any]:
        if name in self.policy.criteria:
            status = self.criterion(name).status
            if status is not Status.UNKNOWN:
                return {"status": status.value, "met": status is Status.MET}
            # what is open because a look-up failed says nothing, not even that it is not met (ADR 0004)
            return {} if self._unread(name) else {"status": status.value}
        if name in self.policy.exclusions:
            fired = self.exclusion(name).status == "fired"
            return {"status": self.exclusion(name).status, "met": fired} if fired or not self._unread(name) else {}
        document = self.document(name)
        settled = document.status in ("on-file", "not-applicable") or not self._unread(name)
        return {"status": document.status, "met": document.status == "on-file"} if settled else {}

    def _unread(self, name: str) -> bool:
        missing = self.situation.not_looked_up.keys()
        return bool(missing) and not missing.isdisjoint(self.policy.verdicts_rest_on.get(name, frozenset()))

    def truth(self, condition: Condition | None) -> bool | None:
        """A condition's plain answer; no condition is true."""
        return asking.truth(self.facts, condition)

    # -- criteria

    def criterion(self, name: str) -> Verdict:
        found = self._criteria.get(name)
        if found is None:
            found = self._judge(self.policy.criteria[name])
            if name == self.policy.root:
                found = self._excluded(found)
            self._criteria[name] = found
        return found

    def _judge(self, criterion: Criterion) -> Verdict:
        applies = True if criterion.always else self.criterion_applicability(criterion.id)
        if applies is False:
            return self._verdict(
                criterion,
                Status.NOT_APPLICABLE,
                words.does_not_apply(criterion),
                self._context_evidence(criterion.applicability),
            )
        judged = self._group(criterion) if criterion.group else self._leaf(criterion)
        if applies is None and judged.status is not Status.NOT_APPLICABLE:
            reason = f"Not known whether this applies: {criterion.title}"
            return judged._replace(status=Status.UNKNOWN, reason=reason, evidence=_NO_EVIDENCE, may_not_apply=True)
        return judged

    def criterion_applicability(self, name: str) -> bool | None:
        """False where a group, or one that it stands in, does not apply: its children inherit that."""
        if name not in self._applies:
            criterion = self.policy.criteria[name]
            inherited = self.criterion_applicability(criterion.parent) if criterion.parent is not None else True
            self._applies[name] = inherited if inherited is False else self.truth(criterion.applicability)
        return self._applies[name]

    def _group(self, criterion: Criterion) -> Verdict:
        children = [self.criterion(child) for child in criterion.children]
        statuses = [child.status for child in children if child.status is not Status.NOT_APPLICABLE]
        own = with_answer(self.facts, criterion, self._demand(criterion)) if criterion.start is not None else None
        if not statuses and own is None:
            return self._verdict(criterion, Status.NOT_APPLICABLE, None, _NO_EVIDENCE)
        below = (any_of(statuses) if criterion.any else all_of(statuses)) if statuses else Status.MET
        if own is None:
            return self._verdict(criterion, below, None, _NO_EVIDENCE)
        # a group's own demand is one more member of an implied *all*
        return own._replace(
            status=all_of([own.status, below]),
            reason=words.of_group(own, below, children),
            open_demand=own.status is Status.UNKNOWN,
        )

    def _leaf(self, criterion: Criterion) -> Verdict:
        if criterion.start is None:
            candidates = self._input_candidates(criterion)
            reason = words.not_recorded(criterion, candidates)
            chart = self._verdict(criterion, Status.UNKNOWN, reason, _NO_EVIDENCE, candidates)
        else:
            chart = self._demand(criterion)
        return with_answer(self.facts, criterion, chart)

    def _demand(self, criterion: Criterion) -> Verdict:
        """A `start` condition, judged on the chart alone."""
        condition = criterion.start
        assert condition is not None
        holds = asking.held(self.facts, condition)
        plain = asking.truth_of(self.facts, condition, holds)
        candidates, unsettled = asking.candidates(self.facts, condition, holds, plain)
        if plain is True and asking.doubted(self.facts, condition, holds):
            plain = None
        if plain is False and unsettled:
            # a value in range whose context is not recorded leaves it open (docs/how-it-decides.md, Values)
            plain = None
        if plain is None:
            reason = words.unknown(criterion, self.facts, holds, candidates)
            shown = tuple(dict.fromkeys(map(self._evidence, candidates)))[:MOST_SHOWN]
            return self._verdict(criterion, Status.UNKNOWN, reason, _NO_EVIDENCE, shown)
        items = asking.deciding(self.facts, condition, holds, plain)
        evidence = self._shown(condition, items)
        against = asking.conflicts(self.facts, condition, holds, plain, items)
        conflicts = tuple(dict.fromkeys(map(self._evidence, against)))
        read = [] if items else [self.criterion(one) for one in condition.reach.verdicts if one in self.policy.criteria]
        reason = words.of_verdicts(read) or words.decided(criterion, plain, items, evidence)
        # what could not be used may be newer than what was
        reason += words.not_used(holds)
        status = Status.MET if plain else Status.NOT_MET
        return self._verdict(criterion, status, reason, evidence, conflicts=conflicts)

    def _verdict(
        self,
        criterion: Criterion,
        status: Status,
        reason: str | None,
        evidence: tuple[Evidence, ...],
        candidates: tuple[Evidence, ...] = (),
        conflicts: tuple[Evidence, ...] = (),
    ) -> Verdict:
        return Verdict(
            id=criterion.id,
            title=criterion.title,
            status=status,
            parent=criterion.parent,
            reason=reason,
            evidence=evidence,
            candidates=candidates,
            conflicts=conflicts,
            group=criterion.group,
            hint=criterion.hint,
        )

    def _deciding(self, condition: Condition, plain: bool) -> list[Any]:
        return asking.deciding(self.facts, condition, asking.held(self.facts, condition), plain)

    def _shown(self, condition: Condition, items: list[Any]) -> tuple[Evidence, ...]:
        """The evidence that deciding items make. Where there are none, that of the verdicts which the condition
        reads; where these have none, the order, patient or encounter that it looks at."""
        if items:
            return tuple(dict.fromkeys(map(self._evidence, items)))
        read = [one for name in condition.reach.verdicts for one in self._decision(name)]
        return tuple(dict.fromkeys(read)) or self._context_evidence(condition)

    def _decision(self, name: str) -> tuple[Evidence, ...]:
        if name in self.policy.criteria:
            verdict = self.criterion(name)
            if verdict.status not in (Status.MET, Status.NOT_MET):
                return ()
            if verdict.evidence or not verdict.group:
                return verdict.evidence
            below = (self.criterion(child) for child in self.policy.criteria[name].children)
            return tuple(one for child in below if child.status is verdict.status for one in self._decision(child.id))
        if name in self.policy.exclusions:
            return self.exclusion(name).evidence
        return self.document(name).evidence

    def _evidence(self, item: Any) -> Evidence:
        return words.evidence(item, self.situation)

    def _context_evidence(self, condition: Condition | None) -> tuple[Evidence, ...]:
        return words.context_evidence(condition.reach.context, self.situation) if condition is not None else ()

    def _input_candidates(self, criterion: Criterion) -> tuple[Evidence, ...]:
        gathered = [self.facts.gathered(name) for name in criterion.own_inputs]
        items = [item for one in gathered for item in [*one.items, *one.candidates][:MOST_ASKED]]
        return tuple(dict.fromkeys(map(self._evidence, items)))[:MOST_SHOWN]

    # -- exclusions

    def exclusion(self, name: str) -> ExclusionVerdict:
        found = self._exclusions.get(name)
        if found is None:
            exclusion = self.policy.exclusions[name]
            # unknown does not fire, and neither does what a candidate would stop: what is open is no refusal
            if self.truth(exclusion.condition) is True and not self._stoppable(exclusion.condition):
                evidence = self._shown(exclusion.condition, self._deciding(exclusion.condition, True))
                reason = exclusion.words or exclusion.title
                found = ExclusionVerdict(name, exclusion.title, "fired", reason, evidence)
            elif (answer := self.situation.answers.get(name)) is not None and answer.value == "yes":
                found = fired_by(answer, name, exclusion.words or exclusion.title)
            else:
                found = ExclusionVerdict(name, exclusion.title, "not-fired")
            self._exclusions[name] = found
        return found

    def _stoppable(self, condition: Condition) -> bool:
        """Whether an item set aside, or a criterion left open by one, would keep an exclusion from firing."""
        for item, names in asking.holders(asking.set_aside(asking.held(self.facts, condition))):
            more = {name: [*self.facts[name], item] for name in names}
            if asking.ask(self.facts, condition, more) is not True:
                return True
        met = {"status": Status.MET.value, "met": True}
        return any(
            self._could_be_met(name) and asking.ask(self.facts, condition, {name: [met]}) is not True
            for name in condition.reach.verdicts
            if name in self.policy.criteria and self.criterion(name).status is Status.UNKNOWN
        )

    def _could_be_met(self, name: str) -> bool:
        """Whether what was set aside, all of it confirmed, would meet a criterion that is open now."""
        criterion, status = self.policy.criteria[name], self.criterion(name).status
        if status is not Status.UNKNOWN:
            return status is Status.MET
        if criterion.start is None and not criterion.group:
            return bool(self.criterion(name).candidates)  # the clinician may say so
        if criterion.start is not None:
            aside = asking.set_aside(asking.held(self.facts, criterion.start))
            everything = {one: [*self.facts[one], *held] for one, held in aside.items()}
            if not everything or asking.ask(self.facts, criterion.start, everything) is not True:
                return False
        if not criterion.group:
            return True
        members = [self._could_be_met(child) for child in criterion.children if self._counts(child)]
        return any(members) if criterion.any else all(members)

    def _counts(self, name: str) -> bool:
        return self.criterion(name).status is not Status.NOT_APPLICABLE

    def _excluded(self, root: Verdict) -> Verdict:
        fired = [one for name in self.policy.exclusions if (one := self.exclusion(name)).status == "fired"]
        if not fired:
            return root
        reason = "; ".join(f"Excluded: {one.title}" for one in fired)
        evidence = tuple(dict.fromkeys(item for one in fired for item in one.evidence))
        return root._replace(status=Status.NOT_MET, reason=reason, evidence=evidence)

    # -- documents

    def document(self, name: str) -> DocumentVerdict:
        found = self._documents.get(name)
        if found is None:
            found = self._documents[name] = self._document(name)
        return found

    def _document(self, name: str) -> DocumentVerdict:
        document = self.policy.documents[name]
        plain = DocumentVerdict(document.id, document.title, "missing", document.kind, document.counts)
        applies = self.truth(document.applicability)
        if applies is False:
            return plain._replace(status="not-applicable")
        if applies is None:
            # nobody is sent for a paper that may not be wanted
            plain = plain._replace(counts=False, reason="Not known whether this is wanted")
        gathered = [self.facts.gathered(one) for one in document.inputs]
        found = [item for one in gathered for item in one.items]
        signed = [item for item in found if not (isinstance(item, dict) and item.get("signed") is False)]
        if signed:
            return plain._replace(status="on-file", evidence=tuple(map(self._evidence, signed[:MOST_ASKED])))
        given = self.situation.answers.get(name)
        if given is not None and given.value == "yes":
            # attached to the answers, or said to be on file: it goes to the payer with them
            said = f"given with the answers of {words.answered_on(given, self.situation)}"
            source = Evidence(given.reference, said) if given.reference else None
            return plain._replace(
                status="on-file", reason=said.capitalize(), evidence=() if source is None else (source,)
            )
        if document.start is not None and self.truth(document.start) is True:
            # a paper that the order itself is: the order stands before whatever else shows it
            own = [name for name in document.start.reach.context if name in ("line", "order")]
            shown = self._shown(document.start, self._deciding(document.start, True))
            evidence = (*words.context_evidence(own, self.situation), *shown)
            return plain._replace(status="on-file", evidence=words.once_signed(evidence, self.situation))
        if found:
            reason = f"{words.evidence(found[0], self.situation).display}: preliminary, not yet signed"
            return plain._replace(status="unsigned", reason=reason, evidence=tuple(map(self._evidence, found)))
        beside = words.not_in_time(document, self.facts)
        if beside is not None:
            return plain._replace(reason=plain.reason or beside.reason, evidence=(beside.evidence,))
        stale = [item for one in gathered for item in one.stale] or self._too_old_for(document.start)
        if stale:
            reason = f"{words.evidence(stale[0], self.situation).display}: older than the payer accepts"
            return plain._replace(status="expired", reason=reason, evidence=tuple(map(self._evidence, stale)))
        unread = self.policy.verdicts_rest_on.get(name, frozenset()).intersection(self.situation.not_looked_up)
        unusable = [text for one in gathered for text in one.unusable]
        lacking = self._lacking(document.start)
        reason = plain.reason or lacking or words.no_document(document, unread, unusable, self.situation)
        return plain._replace(reason=reason)

    def _too_old_for(self, start: Condition | None) -> list[Any]:
        return asking.stale_behind(self.facts, start) if start is not None else []

    def _lacking(self, start: Condition | None) -> str | None:
        if start is None:
            return None
        read = [self.policy.criteria[name] for name in start.reach.verdicts if name in self.policy.criteria]
        lacking = [one.title for one in read if self.criterion(one.id).status is not Status.MET]
        return f"The order does not say: {'; '.join(lacking)}" if lacking and not self._on_chart(start) else None

    def _on_chart(self, start: Condition) -> bool:
        """Whether the criteria that a document stands on look at the chart, not at the order alone."""
        read = [self.policy.criteria[name] for name in start.reach.verdicts if name in self.policy.criteria]
        return any(one.group or one.start is None or one.start.reach.items for one in read)


def asked_about(policy: Policy, verdicts: Mapping[str, Verdict]) -> frozenset[str]:
    """The leaves, and groups' own demands, that are still open: unknown, in groups that are all still unknown.

    A branch that another branch already decided for is not asked about any more.
    """
    open_leaves: set[str] = set()
    waiting = [policy.root]
    while waiting:
        name = waiting.pop()
        verdict = verdicts[name]
        if verdict.status is Status.UNKNOWN:
            if verdict.open_demand or not verdict.group:
                open_leaves.add(name)
            waiting.extend(policy.criteria[name].children)
    return frozenset(open_leaves)
