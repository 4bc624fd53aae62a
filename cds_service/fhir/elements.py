"""The elements of R4 types, and of the views laid over them: what expressions may name. Holds no values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, TypeAlias, get_args, get_origin

# `fhir.resources` ships R4B; these came with R4B and are unknown to R4 (R4B, differences from R4).
_R4B_ONLY_KEYS = frozenset({"subjectCanonical"})
_R4B_ONLY_TYPES = frozenset({"CodeableReference", "RatioRange"})
_PYTHON_TYPES = {bool: "boolean", int: "integer", str: "string"}
_TYPES_BY_MARK = {"UuidVersion": "uuid"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a view: the name of its type, or of several where it is one of them."""

    type: str | tuple[str, ...]
    many: bool = False

    @property
    def types(self) -> tuple[str, ...]:
        return (self.type,) if isinstance(self.type, str) else self.type


@dataclass(frozen=True, slots=True)
class View:
    """A typed shape laid over a resource: its own fields, and behind them the elements of the resource.

    `over` names the resource types that may lie behind; at run time the raw JSON is the view's `.resource`.
    """

    fields: Mapping[str, Field]
    over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """One element as FHIRPath names it. A choice element (`value[x]`) has one JSON key for each type."""

    name: str
    keys: tuple[tuple[str, str], ...]  # (JSON key, type name)
    many: bool
    choice: bool = False

    @property
    def types(self) -> frozenset[str]:
        return frozenset(kind for _, kind in self.keys)


Elements: TypeAlias = Mapping[str, Element]


class ElementTable:
    """What a type name and an element name lead to. R4's types come from `fhir.resources`.

    A backbone element's type is named by its path: `Observation.component`.
    """

    def __init__(self, views: Mapping[str, Mapping[str, Field] | View] | None = None) -> None:
        self._views = {
            name: view if isinstance(view, View) else View(dict(view)) for name, view in (views or {}).items()
        }

    def is_view(self, type_name: str) -> bool:
        return type_name in self._views

    def over(self, type_name: str) -> tuple[str, ...]:
        """The resource types whose raw elements stand behind a view."""
        view = self._views.get(type_name)
        return view.over if view is not None else ()

    def is_type(self, type_name: str) -> bool:
        return type_name in PRIMITIVES or type_name in self._views or _model_at(type_name) is not None

    def is_resource(self, type_name: str) -> bool:
        """Whether this is the name of a resource type (`Resource` and `DomainResource` included)."""
        model = _model_at(type_name)
        return model is not None and any(base.__name__ == "Resource" for base in model.__mro__)

    def field(self, type_name: str, name: str) -> Field | None:
        """The field that a view itself has under this name."""
        view = self._views.get(type_name)
        return view.fields.get(name) if view is not None else None

    def element(self, type_name: str, name: str) -> Element | None:
        """The R4 element of this name; for a view, only through `over`."""
        if type_name in self._views or type_name in PRIMITIVES:
            return None
        return _elements(type_name).get(name)

    def names(self, type_name: str) -> tuple[str, ...]:
        """Everything that may be named on this type, in alphabetical order."""
        view = self._views.get(type_name)
        if view is None:
            return tuple(sorted(() if type_name in PRIMITIVES else _elements(type_name)))
        behind = (name for one in view.over for name in _elements(one))
        return tuple(sorted({*view.fields, *behind}))

    def label(self, type_name: str) -> str:
        """The type in words, for messages: `an order line`, `a DeviceRequest`."""
        words = type_name
        if type_name in self._views:
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type_name.removesuffix("View")).lower()
        return f"{'an' if words[:1].lower() in 'aeio' else 'a'} {words}"

    def explain_missing(self, type_name: str, name: str) -> str:
        """Why `name` cannot be read on this type, and what can: the words of a load error."""
        missing = f"{self.label(type_name)} has no '{name}'"
        names = self.names(type_name)
        if not names:
            return f"{missing}; it has no elements"
        for candidate in names:
            element = self.element(type_name, candidate)
            if element is not None and element.choice and any(key == name for key, _ in element.keys):
                kind = next(kind for key, kind in element.keys if key == name)
                return f"{missing}; write '{candidate}', or '{candidate}.ofType({kind})'"
        near = near_names(name, names)
        return f"{missing}; it has {quoted(near or names)}"


def near_names(name: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names that `name` may have been meant for, nearest first."""
    lower = name.lower()
    around = [one for one in names if len(one) > 2 and (one.lower() in lower or lower in one.lower())]
    close = [one for one in get_close_matches(name, names, n=3, cutoff=0.7) if one not in around]
    by_case = [one for one in names if one.lower() == lower]
    return tuple(dict.fromkeys([*by_case, *around, *close]))[:4]


def quoted(names: tuple[str, ...]) -> str:
    shown = [f"'{name}'" for name in names[:12]]
    return ", ".join(shown) + (" ..." if len(names) > 12 else "")


PRIMITIVES = frozenset(
    {
        "base64Binary",
        "boolean",
        "canonical",
        "code",
        "date",
        "dateTime",
        "decimal",
        "id",
        "instant",
        "integer",
        "markdown",
        "oid",
        "positiveInt",
        "string",
        "time",
        "unsignedInt",
        "uri",
        "url",
        "uuid",
        "xhtml",
    }
)


@lru_cache(maxsize=1024)
def _model_at(type_name: str) -> Any:
    """The model class of a type name or of a path to a backbone element; None where there is none."""
    root, *steps = type_name.split(".")
    model = _root_model(root)
    for step in steps:
        field = None if model is None else _fields(model).get(step)
        model = None if field is None else _model_behind(field)
    return model


@lru_cache(maxsize=256)
def _root_model(name: str) -> Any:
    # Imported on first use: the models cost tens of milliseconds, and only loading a plan needs them.
    from fhir.resources.R4B import get_fhir_model_class

    if name in _R4B_ONLY_TYPES or not name.isidentifier():
        return None
    try:
        model = get_fhir_model_class(name)
    except ValueError:
        return None
    return None if _is_backbone(model) or name.startswith("FHIR") else model


def _is_backbone(model: Any) -> bool:
    """`ObservationComponent` stands in the module `observation`: it is no type of its own."""
    return bool(model.__module__.rpartition(".")[2] != model.__name__.lower())


def _fields(model: Any) -> dict[str, Any]:
    return {
        field.alias or name: field
        for name, field in model.model_fields.items()
        if (field.json_schema_extra or {}).get("element_property")
    }


def _annotated(field: Any) -> tuple[Any, bool]:
    """What a model field holds, without Optional and List; and whether it is a list."""
    kind, many = field.annotation, False
    while True:
        origin = get_origin(kind)
        if origin is Annotated:
            return kind, many
        arguments = [one for one in get_args(kind) if one is not type(None)]
        if origin is list:
            many = True
        if not arguments:
            return kind, many
        kind = arguments[0]


def _model_behind(field: Any) -> Any:
    kind, _ = _annotated(field)
    return kind.get_model_klass() if hasattr(kind, "get_model_klass") else None


def _type_name(field: Any, path: str) -> str:
    kind, _ = _annotated(field)
    if get_origin(kind) is Annotated:
        # the last mark is FHIR's; one before it may say how the value is encoded
        mark = type(get_args(kind)[-1]).__name__
        return _TYPES_BY_MARK.get(mark, mark[0].lower() + mark[1:])
    if hasattr(kind, "get_model_klass"):
        model = kind.get_model_klass()
        return _backbone_name(model, path) if _is_backbone(model) else str(model.__name__)
    return _PYTHON_TYPES[kind]


def _backbone_name(model: Any, path: str) -> str:
    # An element that refers back to one above it (Questionnaire.item.item) has that one's type.
    above = path.rpartition(".")[0]
    while "." in above:
        if _model_at(above) is model:
            return above
        above = above.rpartition(".")[0]
    return path


@lru_cache(maxsize=1024)
def _elements(type_name: str) -> Elements:
    model = _model_at(type_name)
    if model is None:
        return {}
    found: dict[str, Element] = {}
    for key, field in _fields(model).items():
        if key in _R4B_ONLY_KEYS:
            continue
        stem = (field.json_schema_extra or {}).get("one_of_many")
        name = stem or key
        kind = _type_name(field, f"{type_name}.{name}")
        if kind in _R4B_ONLY_TYPES:
            continue
        before = found[name].keys if name in found else ()
        found[name] = Element(name, (*before, (key, kind)), _annotated(field)[1], choice=stem is not None)
    return found
