"""One step of a path: from an item to an element of it. Knows JSON, trusts no shape of it, and knows no expression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from cds_service.fhir.codings import UCUM
from cds_service.fhir.dates import FhirDate, parse_date
from cds_service.fhir.elements import Element, ElementTable
from cds_service.fhir.fhirpath.static_types import QUANTITIES, kind_of
from cds_service.fhir.quantities import Quantity, decimal_of

# A JSON value -> the FHIRPath value, or None where it has the wrong shape for its element.
Reader: TypeAlias = Callable[[Any], Any]
# An item -> what stands in one element of it: a value, a list where the element repeats, or None.
Step: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What a name leads to. `is_list`: to a list by design, and not merely to a repeating element."""

    types: frozenset[str]
    many: bool
    is_list: bool
    step: Step


def find(
    names: frozenset[str], name: str, elements: ElementTable, keep: Callable[[str], bool] | None = None
) -> Found | None:
    """The element `name` of items that have one of the types `names`; None where no type has it.

    Of a choice element only the types that `keep` admits are looked for.
    """
    fields = {kind: field for kind in names if (field := elements.field(kind, name)) is not None}
    behind = {kind: _behind(kind, name, elements) for kind in names if kind not in fields}
    raw = [element for found in behind.values() for element in found]
    if not fields and not raw:
        return None
    many = any(field.many for field in fields.values()) or any(element.many for element in raw)
    keys = [
        (key, kind, element.many)
        for element in raw
        for key, kind in element.keys
        if keep is None or not element.choice or keep(kind)
    ]
    step = _raw_step(keys, many)
    if not QUANTITIES.isdisjoint(kind for kind, found in behind.items() if found):
        step = _quantity_step(name, step)
    if any(elements.is_view(kind) for kind in names):
        step = _view_step(name, step, many, in_json=any(not elements.is_view(kind) for kind in names))
    plain = [kind for kind, found in behind.items() if not found and kind_of(kind) in _PLAIN_KINDS]
    types = frozenset(kind for field in fields.values() for kind in field.types) | {kind for _, kind, _ in keys}
    is_list = any(field.many for field in fields.values())
    return Found(types, many, is_list, _past_plain_values(step, plain) if plain else step)


def _behind(kind: str, name: str, elements: ElementTable) -> list[Element]:
    carriers = elements.over(kind) if elements.is_view(kind) else (kind,)
    return [element for one in carriers if (element := elements.element(one, name)) is not None]


# -- readers


def _text(value: Any) -> Any:
    return value if type(value) is str else None


def _truth(value: Any) -> Any:
    return value if value is True or value is False else None


def _whole(value: Any) -> Any:
    return value if type(value) is int else None


def _day(value: Any) -> Any:
    return parse_date(value) if type(value) is str else None


def _object(value: Any) -> Any:
    return value if isinstance(value, dict) else None


_READERS: dict[str, Reader] = {"string": _text, "time": _text, "boolean": _truth, "number": _whole, "date": _day}


def _reader(kinds: list[str]) -> Reader:
    """The reader for an element that may have these types; usually it is one."""
    readers = list(
        dict.fromkeys(decimal_of if kind == "decimal" else _READERS.get(kind_of(kind), _object) for kind in kinds)
    )
    if len(readers) == 1:
        return readers[0]

    def read(value: Any) -> Any:
        return next((found for reader in readers if (found := reader(value)) is not None), None)

    return read


# -- steps


def _raw_step(keys: list[tuple[str, str, bool]], many: bool) -> Step:
    """The step into JSON: the first of the keys that has a value of the right shape."""
    steps = []
    for key in dict.fromkeys(key for key, _, _ in keys):
        reader = _reader([kind for other, kind, _ in keys if other == key])
        repeats = {repeats for other, _, repeats in keys if other == key}
        steps.append(_key_step(key, reader) if not many else _list_step(key, reader, single=False in repeats))
    if len(steps) == 1:
        return steps[0]

    def step(item: Any) -> Any:
        for one in steps:
            value = one(item)
            if value is not None:
                return value
        return None

    return step


def _key_step(key: str, reader: Reader) -> Step:
    if reader is _text:

        def text_step(item: Any) -> Any:
            value = item.get(key)
            return value if type(value) is str else None

        return text_step

    def step(item: Any) -> Any:
        value = item.get(key)
        return None if value is None else reader(value)

    return step


def _list_step(key: str, reader: Reader, single: bool) -> Step:
    """For an element that repeats; with `single`, in some of the types it does not."""

    def step(item: Any) -> Any:
        values = item.get(key)
        if type(values) is not list:
            if not single or values is None:
                return None
            values = [values]
        # `null` stands in a list of primitives where only an extension is given
        return [value for raw in values if raw is not None and (value := reader(raw)) is not None]

    return step


def _quantity_step(name: str, raw: Step) -> Step:
    """A Quantity comes as JSON, or already read."""

    def step(item: Any) -> Any:
        if type(item) is not Quantity:
            return raw(item)
        if name == "value":
            return item.value
        if name in ("unit", "code"):
            return item.unit or None
        return UCUM if name == "system" and item.unit else None

    return step


def _view_step(name: str, raw: Step, many: bool, in_json: bool) -> Step:
    """A field of the view, else the element of that name in the resource behind it.

    With `in_json` items may also be raw JSON: it is told from a view by its class.
    """

    def step(item: Any) -> Any:
        if in_json and type(item) is dict:
            return raw(item)
        try:
            value = item[name]
        except KeyError:
            resource = getattr(item, "resource", None)
            return None if resource is None else raw(resource)
        if not many or value is None or type(value) is list:
            return value
        return list(value) if type(value) is tuple else [value]

    return step


_PLAIN_KINDS = frozenset({"string", "boolean", "number", "date", "time", "Quantity"})


def _past_plain_values(step: Step, kinds: list[str]) -> Step:
    """For one of several types, as in select() over a choice element: a plain value has no elements."""
    plain: tuple[type, ...] = (str, bool, int, Decimal, FhirDate)
    if any(kind in QUANTITIES for kind in kinds):
        plain = (*plain, Quantity)
    return lambda item: None if type(item) in plain else step(item)
