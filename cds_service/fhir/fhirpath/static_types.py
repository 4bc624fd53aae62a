"""What load knows of a value before there is one: its possible types, and whether there may be several."""

from __future__ import annotations

from dataclasses import dataclass

QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity"})

_KINDS = {
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt", "decimal"), "number"),
    **dict.fromkeys(("date", "dateTime", "instant"), "date"),
    **dict.fromkeys(
        (
            "string",
            "code",
            "id",
            "uri",
            "url",
            "canonical",
            "oid",
            "uuid",
            "markdown",
            "base64Binary",
            "xhtml",
        ),
        "string",
    ),
    **dict.fromkeys(QUANTITIES, "Quantity"),
    "boolean": "boolean",
    "time": "time",
}


@dataclass(frozen=True, slots=True)
class Type:
    """Static type: the names of the types a value may have (none: always `{}`), and whether it is a list."""

    names: frozenset[str]
    many: bool = False

    @staticmethod
    def of(*names: str, many: bool = False) -> Type:
        """`Type.of("Quantity")`, `Type.of("DeviceRequest", "ServiceRequest", many=True)`"""
        return Type(frozenset(names), many)

    @property
    def is_condition(self) -> bool:
        """Whether this is a boolean, or always empty."""
        return self.names <= {"boolean"}

    def __str__(self) -> str:
        if not self.names:
            return "{}"
        words = " or ".join(sorted(self.names))
        return f"a list of {words}" if self.many else words


NOTHING = Type(frozenset())
BOOLEAN = Type.of("boolean")


def kind_of(name: str) -> str:
    """Types of one kind compare with each other: every text is a `string`, every number a `number`."""
    return _KINDS.get(name, name)


def kinds_of(kind: Type) -> frozenset[str]:
    return frozenset(kind_of(name) for name in kind.names)


def is_or_specialises(name: str, wanted: str) -> bool:
    """R4 datatypes: Age, Count, Distance and Duration are Quantities."""
    return name == wanted or (wanted == "Quantity" and name in QUANTITIES)


def in_words(names: frozenset[str]) -> str:
    """Kinds for a message: `a string`, `a Quantity or a date`."""
    shown = sorted({kind_of(name) for name in names})
    return " or ".join(f"{'an' if one[:1] in 'aeioAEIO' else 'a'} {one}" for one in shown)
