"""The rare parts of `model_methods`: selections of fields, their descriptions, JSON schemas.

Loaded when it is first needed.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from .checks import wrong_type
from .package import evaluate
from .typing import is_array, is_object, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Options of pydantic that have no effect on records.
WITHOUT_EFFECT = {
    *("by_alias", "context", "exclude_computed_fields", "exclude_unset", "fallback", "mode"),
    *("models_as_dict", "round_trip", "serialize_as_any", "skip_defaults", "use_api_names"),
    "warnings",
}
# The key that stands for all items of a list.
_ALL = "__all__"


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that pydantic does not have.

    Raises:
        TypeError: An option does not exist.

    """
    if unknown := options.keys() - WITHOUT_EFFECT:
        raise TypeError(f"unexpected keyword argument {unknown.pop()!r}")


def dump(
    kind: type[Any], data: dict[str, Any], include: Any, exclude: Any, *, without_none: bool
) -> dict[str, Any]:
    """Return the selected fields of a record.

    Args:
        kind: The record's class.
        data: The record's fields.
        include: Names of fields, or of each what to include: a set, or a dict of sets and dicts;
            for lists positions, or ``__all__``.
        exclude: What to leave out, in the same form.
        without_none: Leave out fields that are None.

    """
    dumped: dict[str, Any] = {}
    records = nested_records(kind)
    for name, value, within, without in _select(data.items(), len(data), include, exclude):
        if value is None and without_none:
            continue
        if name in records and is_object(value):
            dumped[name] = dump(records[name], value, within, without, without_none=without_none)
        elif name in records and is_array(value):
            items = _select(enumerate(value), len(value), within, without)
            dumped[name] = [
                dump(records[name], item, *selection, without_none=without_none)
                if is_object(item)
                else item
                for _, item, *selection in items
            ]
        else:
            dumped[name] = _dump_plain(value, within, without)
    return dumped


def _dump_plain(value: Any, include: Any, exclude: Any) -> Any:
    if is_object(value):
        items = _select(value.items(), len(value), include, exclude)
        return {key: _dump_plain(*item) for key, *item in items}
    if is_array(value):
        items = _select(enumerate(value), len(value), include, exclude)
        return [_dump_plain(*item) for _, *item in items]
    return value


def _select(items: Any, length: int, include: Any, exclude: Any) -> list[tuple[Any, Any, Any, Any]]:
    """Return the selected items, each with the selection within it: what to include, to exclude."""
    included = _selection("include", include, length)
    excluded = _selection("exclude", exclude, length)
    selected: list[tuple[Any, Any, Any, Any]] = []
    for name, value in items:
        within = None if included is None else included.get(name, included.get(_ALL, False))
        without = None if excluded is None else excluded.get(name, excluded.get(_ALL))
        if within is not False and not (without is True or without is ...):
            within = None if within is True or within is ... else within
            selected.append((name, value, within, without or None))
    return selected


def _selection(argument: str, selection: Any, length: int) -> dict[Any, Any] | None:
    """Return a selection as a dict; positions from the end of a list become ordinary ones."""
    if selection is None:
        return None
    if isinstance(selection, (set, frozenset)):
        by_name: dict[Any, Any] = dict.fromkeys(selection, True)  # pyright: ignore[reportUnknownArgumentType] - names or positions
    elif is_object(selection):
        by_name = selection
    else:
        raise wrong_type(
            argument, "a set of names, or a dict of names and what is chosen of each", selection
        )
    return {
        key + length if isinstance(key, int) and key < 0 else key: value
        for key, value in by_name.items()
    }


class Field:
    """The description of a record's field, with the attributes that pydantic's have."""

    __slots__ = ("annotation", "default", "name", "required")

    def __init__(self, name: str, annotation: Any) -> None:
        self.name: str = name
        self.annotation: Any = annotation
        self.required: bool = annotation is not Any and NoneType not in _members(annotation)
        self.default: None = None

    @property
    def alias(self) -> str:
        """The same as `name`."""
        return self.name

    @property
    def outer_type_(self) -> Any:
        """The field's type without None."""
        members = tuple(kind for kind in _members(self.annotation) if kind is not NoneType)
        return Union[members]  # noqa: UP007 - of a tuple

    type_ = outer_type_

    def is_required(self) -> bool:
        """Return whether the API promises the field."""
        return self.required

    def __repr__(self) -> str:
        return (
            f"Field(name={self.name!r}, annotation={self.annotation!r}, required={self.required})"
        )


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def fields(kind: type[Any]) -> dict[str, Field]:
    """Return the documented fields of a class of records."""
    found: dict[str, Field] = {}
    for base in reversed(kind.__mro__):
        annotations: dict[str, Any] = vars(base).get("__annotations__") or {}
        found |= {
            name: Field(name, annotation)
            for name, annotation in annotations.items()
            if name in kind.fields
        }
    return found | {name: Field(name, annotation) for name, annotation in _views(kind)}


def _views(kind: type[Any]) -> list[tuple[str, Any]]:
    """Return the properties of a class whose values are records, and their types."""
    found: list[tuple[str, Any]] = []
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, property) and "[M]" in (
                text := texts(member.fget).get("return", "")
            ):
                annotation = evaluate(text, base.__module__, base)
                if any(hasattr(_item(each), "parse_obj") for each in _members(annotation)):
                    found.append((name, annotation))
    return found


def _item(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is list else annotation


_NESTED: dict[type[Any], dict[str, type[Any]]] = {}


def nested_records(kind: type[Any]) -> dict[str, type[Any]]:
    """Return the classes of the fields that are records, or lists of records."""
    if kind not in _NESTED:
        _NESTED[kind] = {
            name: next(_item(each) for each in _members(annotation) if each is not NoneType)
            for name, annotation in _views(kind)
        }
    return _NESTED[kind]


_JSON_TYPES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
}


def schema(kind: type[Any], ref_template: str) -> dict[str, Any]:
    """Return the JSON schema of a class of records."""
    definitions: dict[str, Any] = {}
    found = _schema(kind, ref_template, definitions)
    definitions.pop(kind.__name__, None)
    return {**found, "definitions": definitions} if definitions else found


def _schema(kind: type[Any], ref_template: str, definitions: dict[str, Any]) -> dict[str, Any]:
    definitions.setdefault(kind.__name__, {})

    def reference(record: type[Any]) -> dict[str, Any]:
        if record.__name__ not in definitions:
            definitions[record.__name__] = _schema(record, ref_template, definitions)
        return {"$ref": ref_template.format(model=record.__name__)}

    documented = fields(kind)
    properties = {
        name: {"title": name.replace("_", " ").title(), **_schema_of(field.outer_type_, reference)}
        for name, field in documented.items()
    }
    required = [name for name, field in documented.items() if field.required]
    schema = {
        "title": kind.__name__,
        "description": kind.__doc__,
        "type": "object",
        "properties": properties,
    }
    return {**schema, "required": required} if required else schema


def _schema_of(annotation: Any, reference: Callable[[type[Any]], dict[str, Any]]) -> dict[str, Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "parse_obj"):
        return reference(annotation)
    if origin is Literal:
        return {"enum": [*arguments], "type": "string"}
    if origin is Annotated:
        return _schema_of(arguments[0], reference)
    if origin in (Union, UnionType):
        return {"anyOf": [_schema_of(each, reference) for each in arguments]}
    name = _JSON_TYPES.get(origin or annotation)
    if name is None:
        return {}
    if origin is list:
        return {"type": name, "items": _schema_of(arguments[0], reference)}
    values = _schema_of(arguments[1], reference) if origin is dict else {}
    return {"type": name, "additionalProperties": values} if values else {"type": name}
