"""Sayings that are legal FHIRPath and wrong in a policy, each as (what, how to mend it). Load makes faults of them."""

from __future__ import annotations

from collections.abc import Iterator

from cds_service.fhir.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Literal,
    Member,
    Node,
    Variable,
    children,
    walk,
)

Lint = tuple[str, str]


def no_ops(node: Node) -> Iterator[Lint]:
    """`x or false` and `x and true` change nothing: `{} or false` is still empty."""
    for one in walk(node):
        if isinstance(one, Binary) and one.operator in ("or", "and"):
            neutral = one.operator == "and"
            if any(isinstance(side, Literal) and side.value is neutral for side in (one.left, one.right)):
                text = f"'{one.operator} {str(neutral).lower()}' changes nothing, an unknown stays unknown"
                yield text, "write exists(...) or contains where absence may count as no, else leave it out"


def ages_written_backwards(node: Node) -> Iterator[Lint]:
    """`%orderDate - 21 years > birthDate` is wrong by a day for those born on 29 February."""
    for one in walk(node):
        if not (isinstance(one, Binary) and one.operator in ("<", "<=", ">", ">=", "=", "!=")):
            continue
        born = any(isinstance(part, Member) and part.name == "birthDate" for part in walk(one))
        backwards = any(
            isinstance(part, Binary) and part.operator == "-" and _is_years(part.right) for part in walk(one)
        )
        if born and backwards:
            yield (
                "years are taken off a date and compared with a birth date",
                "write birthDate + n years > the date",
            )


def _is_years(node: Node) -> bool:
    unit = getattr(getattr(node, "value", None), "unit", None)
    return unit in ("year", "years", "a", "month", "months", "mo")


def absence_read_as_no(node: Node, open_facts: set[str]) -> Iterator[Lint]:
    """A start condition in which nothing-on-record would become *no*: charts never hold all there is."""
    yield from _absence(node, open_facts, guarded=False)


def _absence(node: Node, open_facts: set[str], guarded: bool) -> Iterator[Lint]:
    if isinstance(node, Binary) and node.operator == "or" and Empty in (type(node.left), type(node.right)):
        guarded = True  # `x or {}`: false becomes unknown
    if isinstance(node, Call):
        if node.name == "iif":
            # the criterion of an iif may ask whether there is anything; so may the branch that it guards
            for argument in node.arguments[1:]:
                yield from _absence(argument, open_facts, guarded=True)
            return
        name = _fact_behind(node.base)
        if name in open_facts:
            if node.name in ("empty", "count"):
                text = f"%{name}.{node.name}() takes what is on record for all there is"
                yield (
                    text,
                    f"ask for what would show it; absence in the chart proves nothing (%{name}.exists() or {{}})",
                )
            elif node.name in ("exists", "all") and not guarded:
                text = "absence would read as 'no'" if node.name == "exists" else "an empty record would read as 'yes'"
                yield (
                    f"{text} (%{name}.{node.name}())",
                    f"write '%{name}.exists() or {{}}', or guard it with iif",
                )
    for child in children(node):
        yield from _absence(child, open_facts, guarded)


def _fact_behind(node: Node | None) -> str | None:
    while isinstance(node, Member | Call):
        node = node.base
    if isinstance(node, Binary) and node.operator == "|":
        return _fact_behind(node.left) or _fact_behind(node.right)
    return node.name if isinstance(node, Variable) else None
