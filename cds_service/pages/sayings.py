"""FHIRPath syntax -> words. Pure. Never invents: what it has no words for stands in «» as it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cds_service.fhir.dates import FhirDate
from cds_service.fhir.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Literal,
    Member,
    Node,
    This,
    Total,
    Unary,
    Variable,
)
from cds_service.fhir.fhirpath.written import written
from cds_service.fhir.quantities import Quantity
from cds_service.pages.page import Saying
from cds_service.policy.items import unit_words

_CONTEXT = {
    "line": "the order",
    "order": "the order as it came",
    "draftOrders": "the other lines of the draft",
    "orderDate": "the order date",
    "onDate": "the day of the call",
    "patient": "the patient",
    "encounter": "the encounter",
    "coverage": "the coverage",
    "requester": "the requester",
    "performer": "the performer",
    "calendar": "the calendar",
    "answers": "the clinician's answers",
}
_MANY = frozenset({"draftOrders", "answers"})
_COMPARED = {"<=": "at or below", "<": "below", ">=": "at or above", ">": "above", "=": "is", "!=": "is not"}
_CALENDAR = frozenset({"year", "month", "week", "day", "hour", "minute", "second"})
_DATES = frozenset(
    {"authored", "authoredOn", "birthDate", "date", "end", "firstDay", "lastDay", "recordedDate", "start"}
)
_BY_DAY = {"<=": "on or before", "<": "before", ">=": "on or after", ">": "after"}
_DENIED = {
    " is of ": " is not of ",
    " is one of ": " is none of ",
    " includes ": " does not include ",
}
# statuses of criteria, exclusions and documents
_STATUS = {
    "not-met": "not met",
    "not-applicable": "not applicable",
    "on-file": "on file",
    "not-fired": "not fired",
    "unknown": "not known",
}
_LONGEST_TITLE = 60
_ARTICLE = re.compile(r"^(?:an?|any) ")


@dataclass(frozen=True, slots=True)
class Told:
    """What sayings know of a plan: facts with their phrase ("a Condition of ‘Asthma’ (asthma)"), titles by id."""

    facts: Mapping[str, str]
    values: frozenset[str]  # those facts that hold one value
    dates: frozenset[str]  # and of these, those that are dates
    verdicts: Mapping[str, str]  # criterion, exclusion or document -> its title
    value_sets: Mapping[str, str]  # url|version -> its title


@dataclass(frozen=True, slots=True)
class Speaker:
    """Puts expressions of one plan into words."""

    told: Told

    # -- conditions: true, false, not known

    def condition(self, node: Node) -> Saying:
        match node:
            case Binary(operator="and" | "or" as operator):
                return self._joined(node, operator)
            case Binary(operator="implies", left=left, right=right):
                return Saying(joined="any", parts=(self._denied(left), self.condition(right)))
            case Empty():
                return Saying("not known, whatever is on record")
            case Literal(value=bool() as value):
                return Saying("always" if value else "never")
            case Call(name="not", base=base, arguments=()) if base is not None:
                return self._denied(base)
            case Call(name="iif", arguments=arguments):
                return self._choice(arguments)
            case Call(name="exists", base=base, arguments=(asked,)) if base is not None:
                short = self._of_itself(base, asked)
                return (
                    Saying(short)
                    if short
                    else Saying(f"for one of {self._whole(base)}", "each", (self.condition(asked),))
                )
            case Call(name="all", base=base, arguments=(asked,)) if base is not None:
                return Saying(f"for every one of {self._whole(base)}, if any", "each", (self.condition(asked),))
            case _:
                return Saying(self._atom(node))

    def _of_itself(self, base: Node, asked: Node) -> str | None:
        """`exists` where each is asked about as a whole: "the programme includes ‘a’", "one of the codes is of ‘A’"."""
        match asked:
            case Binary(operator="=", left=This(), right=Literal(value=bool()) as right):
                return f"{self._whole(base)} is {self.value(right)}"
            case Binary(operator="=", left=This(), right=Literal() as right):
                return f"{self._whole(base)} includes {self.value(right)}"
            case Binary(operator="in", left=This(), right=right):
                return f"{self._whole(base)} includes {self._choices(right)}"
            case Call(name="memberOf", base=None | This(), arguments=(Literal(value=str() as canonical),)):
                return f"one of {self._whole(base)} is of {self._set(canonical)}"
            case Call(name="matches", base=None | This(), arguments=(Literal(value=str() as pattern),)):
                return f"one of {self._whole(base)} matches the pattern ‘{pattern}’"
        return None

    def _none_of_itself(self, base: Node, asked: Node) -> str | None:
        words = self._of_itself(base, asked)
        if words is None or words.startswith("one of "):
            return words and f"none {words.removeprefix('one ')}"
        verb, denied = (" includes ", " does not include ") if " includes " in words else (" is ", " is not ")
        return words.replace(verb, denied, 1)

    def _joined(self, node: Node, operator: str) -> Saying:
        nodes = list(_chain(node, operator))
        # `x or {}`: what is not so is not known
        is_open = operator == "or" and any(isinstance(one, Empty) for one in nodes)
        if is_open:
            nodes = [one for one in nodes if not isinstance(one, Empty)]
        parts = self._merged(nodes) if operator == "or" else tuple(map(self.condition, nodes))
        if len(parts) == 1:
            return self._opened(parts[0]) if is_open else parts[0]
        return Saying(joined="all" if operator == "and" else "any", parts=parts, open=is_open)

    @staticmethod
    def _opened(saying: Saying) -> Saying:
        """`x or {}`: opens the whole of x, not the last thing that is said in it."""
        if saying.joined in ("says", "any"):
            return replace(saying, open=True)
        return Saying(joined="any", parts=(saying,), open=True)

    def _merged(self, nodes: list[Node]) -> tuple[Saying, ...]:
        """The parts of an *or*; memberships of one thing in several sets are one saying: "it is of ‘A’ or ‘B’"."""
        found: list[Saying] = []
        sets: dict[str, list[str]] = {}
        place: dict[str, int] = {}
        for node in nodes:
            member = self._membership(node)
            if member is None:
                found.append(self.condition(node))
                continue
            subject, title = member
            if subject not in sets:
                place[subject] = len(found)
                found.append(Saying())
            sets.setdefault(subject, []).append(title)
            found[place[subject]] = Saying(f"{subject} is of {listed(sets[subject], 'or')}")
        return tuple(found)

    def _membership(self, node: Node) -> tuple[str, str] | None:
        match node:
            case Call(name="memberOf", base=base, arguments=(Literal(value=str() as canonical),)):
                return self._subject(base), self._set(canonical)
        return None

    def _choice(self, arguments: tuple[Node, ...]) -> Saying:
        condition, then, *rest = arguments
        otherwise = rest[0] if rest else None
        # "one qualifies; none does; there is none": the house's idiom for values
        match condition, then:
            case Call(name="exists", base=some, arguments=()), Call(name="exists", base=same, arguments=(asked,)) if (
                otherwise is None and some is not None and same is not None and written(some) == written(same)
            ):
                about = f"for one of {self._whole(some)} (not known where there is none)"
                return Saying(about, "each", (self.condition(asked),))
        match then, otherwise:
            case Literal(value=False), Literal(value=True):
                return Saying(f"unless {self.condition(condition).bracketed}")
            case Literal(value=True), Empty() | None:
                return self._opened(self.condition(condition))
        last = Saying("not known") if otherwise is None else self._held(otherwise)
        return Saying(joined="if", parts=(self.condition(condition), self._held(then), last))

    def _held(self, node: Node) -> Saying:
        match node:
            case Empty():
                return Saying("not known")
            case Literal(value=bool() as value):
                return Saying("yes" if value else "no")
        return self.condition(node)

    def _denied(self, node: Node) -> Saying:
        match node:
            case Binary(operator="or"):
                inner = self._joined(node, "or")
                if inner.joined == "any" and not inner.open:
                    return Saying(joined="none", parts=inner.parts)
                return self._not(inner)
            case Binary(operator="and"):
                return Saying(joined="not-all", parts=self._joined(node, "and").parts)
            case Call(name="exists", base=base, arguments=()) if base is not None:
                return Saying(self._absent(base))
            case Call(name="empty", base=base, arguments=()) if base is not None:
                return Saying(self._present(base))
            case Call(name="exists", base=base, arguments=(asked,)) if base is not None:
                short = self._none_of_itself(base, asked)
                return (
                    Saying(short)
                    if short
                    else Saying(f"for none of {self._whole(base)}", "each", (self.condition(asked),))
                )
            case Call(name="not", base=base, arguments=()) if base is not None:
                return self.condition(base)
            case _:
                return self._not(self.condition(node))

    @staticmethod
    def _not(saying: Saying) -> Saying:
        if saying.joined == "says" and not saying.open:
            for plain, denied in _DENIED.items():
                if saying.words.count(plain) == 1 and ":" not in saying.words:
                    return Saying(saying.words.replace(plain, denied))
            if saying.words.endswith(" is met"):
                return Saying(f"{saying.words.removesuffix(' met')} not met")
            if saying.words.endswith(" holds"):
                return Saying(f"{saying.words.removesuffix(' holds')} does not hold")
        return Saying(f"not so: {saying.line}")

    # -- one question

    def _atom(self, node: Node) -> str:
        match node:
            case Binary(operator="in", left=left, right=right):
                return f"{self._subject(left)} is one of {self._choices(right)}"
            case Binary(operator="contains", left=left, right=right):
                return f"{self._subject(left)} includes {self.value(right)}"
            case Binary(operator=operator, left=left, right=right) if operator in _COMPARED:
                return self._compared(operator, left, right)
            case Call(name="exists", base=base, arguments=()) if base is not None:
                return self._present(base)
            case Call(name="empty", base=base, arguments=()) if base is not None:
                return self._absent(base)
            case Call(name="memberOf"):
                member = self._membership(node)
                return _verbatim(node) if member is None else f"{member[0]} is of {member[1]}"
            case Call(name="matches", base=base, arguments=(Literal(value=str() as pattern),)):
                return f"{self._subject(base)} matches the pattern ‘{pattern}’"
            case Member(base=Variable(name=name), name="met") if name in self.told.verdicts:
                return f"{self._verdict(name)} is met"
            case Variable() | Member() | This():
                return f"{self.value(node)} holds"
            case _:
                return _verbatim(node)

    def _choices(self, node: Node) -> str:
        return listed([self.value(one) for one in _chain(node, "|")], "or")

    def _compared(self, operator: str, left: Node, right: Node) -> str:
        match left, right:
            case Member(base=Variable(name=name), name="status"), Literal(value=str() as status) if (
                name in self.told.verdicts and operator in ("=", "!=")
            ):
                verb = "is" if operator == "=" else "is anything but"
                return f"{self._verdict(name)} {verb} “{_STATUS.get(status, status)}”"
        age = _age(operator, left, right)
        if age is not None:
            return age
        words = self._subject(left)
        if operator in _BY_DAY and (self._is_day(left) or self._is_day(right)):
            return f"{words} is {_BY_DAY[operator]} {self._day(right)}"
        verb = _COMPARED[operator]
        return f"{words} {verb if operator in ('=', '!=') else f'is {verb}'} {self.value(right)}"

    def _day(self, node: Node) -> str:
        return f"the day {self.value(node)}" if isinstance(node, Binary) else self.value(node)

    def _present(self, base: Node) -> str:
        if self._is_given(base):
            return f"{self.value(base)} is given"
        return f"there is {self._some(base)}"

    def _absent(self, base: Node) -> str:
        if self._is_given(base):
            return f"{self.value(base)} is not given"
        some = self._some(base)
        if some.startswith("any of "):
            return f"there is none {some.removeprefix('any ')}"
        return f"there is no {_ARTICLE.sub('', some)}"

    def _is_given(self, base: Node) -> bool:
        """Whether what is asked about is a field (of the order, the patient, the item at hand) rather than items."""
        node: Node | None = base
        while isinstance(node, Member | Call):
            if isinstance(node, Call) and node.name in ("where", "select"):
                return False
            node = node.base
        if isinstance(node, Variable):
            return node.name in self.told.values or (node.name in _CONTEXT and node.name not in _MANY)
        return node is None or isinstance(node, This)

    def _some(self, base: Node) -> str:
        if isinstance(base, Variable):
            return self.told.facts.get(base.name, f"any {self.value(base)}")
        words = self._whole(base)
        return f"any of {words}" if words.startswith(("the ", "(")) else f"any {words}"

    def _inline(self, node: Node) -> str:
        return self.condition(node).line

    # -- values

    def yielded(self, node: Node) -> Saying:
        """Words for what an expression yields, a choice in its parts."""
        match node:
            case Call(name="iif", arguments=(asked, then, *rest)):
                last = self.yielded(rest[0]) if rest else Saying("nothing")
                return Saying(joined="if", parts=(self.condition(asked), self.yielded(then), last))
        return Saying(self.value(node))

    def value(self, node: Node) -> str:
        """Words for what an expression yields."""
        match node:
            case Literal():
                return literal_words(node)
            case Variable(name=name):
                return _CONTEXT.get(name) or (self._verdict(name) if name in self.told.verdicts else name)
            case This():
                return "it"
            case Total():
                return _verbatim(node)
            case Empty():
                return "nothing"
            case Member():
                return self._path(node)
            case Call():
                return self._called(node)
            case Unary(operator=operator, operand=operand):
                return f"{operator}{self.value(operand)}"
            case Binary(operator="+" | "-" as operator, left=left, right=right):
                return self._sum(operator, left, right)
            case Binary(operator="|"):
                return listed([self.value(one) for one in _chain(node, "|")], "and")
            case Binary(operator="&"):
                return f"“{''.join(self._piece(one) for one in _chain(node, '&'))}”"
            case Binary():
                return f"whether {self._inline(node)}"

    def _piece(self, node: Node) -> str:
        if isinstance(node, Literal) and isinstance(node.value, str):
            return node.value
        return f"[{self.value(node)}]"

    def _subject(self, base: Node | None) -> str:
        return "it" if base is None else self._whole(base)

    def _whole(self, node: Node) -> str:
        """A value in brackets where its parts would run into what is said of it: (a and b), not a and b."""
        return f"({self.value(node)})" if isinstance(node, Binary) else self.value(node)

    def _narrow(self, node: Node) -> str:
        """The same for one of which a part is taken: the first of (a where (...))."""
        narrowed = isinstance(node, Call) and node.name in ("where", "select")
        return f"({self.value(node)})" if narrowed else self._whole(node)

    def _path(self, node: Member) -> str:
        names: list[str] = []
        base: Node | None = node
        while isinstance(base, Member):
            names.insert(0, base.name)
            base = base.base
        # a Coding's code is what people call the code
        if names[-2:] in (["code", "code"], ["modifier", "code"]):
            names.pop()
        path = ".".join(map(_spelled, names))
        if base is None:
            return path
        if isinstance(base, Call | Binary):
            return f"the {path} of ({self.value(base)})"
        return f"{self.value(base)}’s {path}"

    def _called(self, node: Call) -> str:
        match node:
            case Call(name="where", base=base, arguments=(asked,)) if base is not None:
                return f"{self._whole(base)} where ({self._inline(asked)})"
            case Call(name="first", base=base, arguments=()) if base is not None:
                return f"the first of {self._narrow(base)}"
            case Call(name="count", base=base, arguments=()) if base is not None:
                return f"the number of {self._narrow(base)}"
            case Call(name="select", base=base, arguments=(each,)) if base is not None:
                return f"for each of {self._narrow(base)}: {self._whole(each)}"
            case Call(name="resolve", base=base, arguments=()):
                return f"what {self._subject(base)} refers to"
            case Call(name="ofType", base=base, arguments=(Member(name=kind),)):
                return f"{self._subject(base)} ({article(kind)} {kind})"
            case Call(name="lower", base=base, arguments=()):
                return f"{self._subject(base)} in any letter case"
            case Call(name="toString", base=base, arguments=()):
                return self._subject(base)
            case Call(name="replace", arguments=(Literal(value=str()), Literal(value=""))):
                return self._without(node)
            case Call(name="iif", arguments=(asked, then, *rest)):
                otherwise = self.value(rest[0]) if rest else "nothing"
                return f"(if {self._inline(asked)}: {self.value(then)}; otherwise: {otherwise})"
            case Call(name="exists" | "empty" | "all" | "memberOf" | "not"):
                return f"whether {self._inline(node)}"
            case _:
                return _verbatim(node)

    def _without(self, node: Call) -> str:
        """Texts taken out of a text, one after another."""
        taken: list[str] = []
        base: Node | None = node
        while isinstance(base, Call) and base.name == "replace":
            match base.arguments:
                case (Literal() as text, Literal(value="")):
                    taken.insert(0, literal_words(text))
                    base = base.base
                case _:
                    break
        return f"({self._subject(base)}, without {listed(taken, 'and')})"

    def _sum(self, operator: str, left: Node, right: Node) -> str:
        if isinstance(right, Literal) and isinstance(right.value, Quantity) and self._is_day(left):
            side = "after" if operator == "+" else "before"
            return f"{self.value(right)} {side} {self._whole(left)}"
        return f"{self._whole(left)} {'plus' if operator == '+' else 'minus'} {self._whole(right)}"

    def _is_day(self, node: Node) -> bool:
        """Whether a value is a date for all that its writing shows."""
        match node:
            case Literal(value=FhirDate()):
                return True
            case Variable(name=name):
                return name in ("orderDate", "onDate") or name in self.told.dates
            case Member(name=name):
                return name in _DATES
            case Binary(operator="+" | "-", left=left, right=Literal(value=Quantity(unit=unit))):
                return unit in _CALENDAR and self._is_day(left)
            case Call(name="iif", arguments=(_, then, *_)):
                return self._is_day(then)
            case Call(name="first", base=base) if base is not None:
                return self._is_day(base)
            case _:
                return False

    def _verdict(self, name: str) -> str:
        title = self.told.verdicts[name]
        return f"‘{title}’ ({name})" if len(title) <= _LONGEST_TITLE else name

    def _set(self, canonical: str) -> str:
        return f"‘{self.told.value_sets.get(canonical, canonical)}’"


def _spelled(name: str) -> str:
    """`lastDay`: last day."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _chain(node: Node, operator: str) -> Iterator[Node]:
    """The parts of a chain of one operator: a | b | c."""
    if isinstance(node, Binary) and node.operator == operator:
        yield from _chain(node.left, operator)
        yield from _chain(node.right, operator)
    else:
        yield node


def _age(operator: str, left: Node, right: Node) -> str | None:
    """`%patient.birthDate + 21 years > %orderDate`: under 21."""
    match left, right:
        case (
            Binary(
                operator="+",
                left=Member(base=Variable(name="patient"), name="birthDate"),
                right=Literal(value=Quantity(unit="year") as years),
            ),
            Variable(name=day),
        ) if day in _CONTEXT:
            number = _number(years)
            told = _CONTEXT[day]
            return {
                ">": f"the patient is under {number} on {told}",
                ">=": f"the patient is under {number} on {told}, or turns {number} that day",
                "<=": f"the patient is {number} or older on {told}",
                "<": f"the patient turned {number} before {told}",
            }.get(operator)
    return None


def literal_words(node: Literal) -> str:
    """A literal as a person writes it: 88 %, 90 days, ‘at-rest’."""
    value = node.value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"‘{value}’"
    if isinstance(value, Quantity):
        calendar = value.unit in _CALENDAR
        plural = "s" if calendar and value.value != 1 else ""
        return f"{_number(value)} {unit_words(value.unit)}{plural}"
    return value.text if isinstance(value, FhirDate) else str(value)


def _number(quantity: Quantity) -> str:
    return f"{quantity.value:f}"


def article(noun: str) -> str:
    return "an" if noun[0] in "AEIOU" else "a"


def listed(names: list[str], joined: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joined} {names[-1]}"


def _verbatim(node: Node) -> str:
    return f"«{written(node)}»"
