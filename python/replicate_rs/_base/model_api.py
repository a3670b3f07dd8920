"""What records have of models of pydantic besides their data: a choice of fields, descriptions of
fields, a JSON schema.

Loaded when a program asks for it.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from .checks import wrong_type
from .package import evaluate
from .typing import is_array, is_object, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .record import Record

# What pydantic's methods take that changes nothing here: fields have one name, and are what the API
# sent.
WITHOUT_EFFECT = frozenset(
    (
        *(
            "by_alias",
            "context",
            "exclude_computed_fields",
            "exclude_unset",
            "fallback",
            "mode",
            "models_as_dict",
        ),
        *("round_trip", "serialize_as_any", "skip_defaults", "use_api_names", "warnings"),
    )
)
_EVERY = "__all__"


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what pydantic does not know either.

    Raises:
        TypeError: An option does not exist.

    """
    if unknown := options.keys() - WITHOUT_EFFECT:
        raise TypeError(f"unexpected keyword argument {unknown.pop()!r}")


def dumped(
    kind: type[Any], data: dict[str, Any], include: Any, exclude: Any, *, without_none: bool
) -> dict[str, Any]:
    """Return the chosen fields of a record.

    Args:
        kind: Its class.
        data: What it views.
        include: Names of fields, or what of each: a set, or a dict of sets and dicts; positions in
            lists, ``__all__`` for each.
        exclude: What is left out, in the same form.
        without_none: Leave out fields that are None.

    """
    chosen: dict[str, Any] = {}
    inner = nested(kind)
    for name, value, within, without in _chosen(data.items(), len(data), include, exclude):
        if value is None and without_none:
            continue
        if name in inner and is_object(value):
            chosen[name] = dumped(inner[name], value, within, without, without_none=without_none)
        elif name in inner and is_array(value):
            items = _chosen(enumerate(value), len(value), within, without)
            chosen[name] = [
                dumped(inner[name], item, some, others, without_none=without_none)
                if is_object(item)
                else item
                for _, item, some, others in items
            ]
        else:
            chosen[name] = _selected(value, within, without)
    return chosen


def _selected(value: Any, include: Any, exclude: Any) -> Any:
    if is_object(value):
        return {
            key: _selected(*each)
            for key, *each in _chosen(value.items(), len(value), include, exclude)
        }
    if is_array(value):
        return [
            _selected(*each) for _, *each in _chosen(enumerate(value), len(value), include, exclude)
        ]
    return value


def _chosen(items: Any, length: int, include: Any, exclude: Any) -> list[tuple[Any, Any, Any, Any]]:
    """Return what is chosen of some items, each with what is chosen of it."""
    kept, dropped = _by_name("include", include, length), _by_name("exclude", exclude, length)
    found: list[tuple[Any, Any, Any, Any]] = []
    for name, value in items:
        within = None if kept is None else kept.get(name, kept.get(_EVERY, False))
        without = None if dropped is None else dropped.get(name, dropped.get(_EVERY))
        if within is not False and not (without is True or without is ...):
            found.append(
                (name, value, None if within is True or within is ... else within, without or None)
            )
    return found


def _by_name(argument: str, choice: Any, length: int) -> dict[Any, Any] | None:
    if choice is None:
        return None
    if isinstance(choice, (set, frozenset)):
        named: dict[Any, Any] = dict.fromkeys(choice, True)  # pyright: ignore[reportUnknownArgumentType] - of whatever
    elif is_object(choice):
        named = {**choice}
    else:
        raise wrong_type(
            argument, "a set of names, or a dict of names and what is chosen of each", choice
        )
    # Of lists, positions from the end.
    return {
        key + length if isinstance(key, int) and key < 0 else key: each
        for key, each in named.items()
    }


class Field:
    """What is known of a record's field, as pydantic describes those of its models."""

    __slots__ = ("annotation", "default", "name", "required")

    def __init__(self, name: str, annotation: Any) -> None:
        self.name: str = name
        self.annotation: Any = annotation
        self.required: bool = annotation is not Any and NoneType not in _choices(annotation)
        self.default: None = None

    @property
    def alias(self) -> str:
        """The same as `name`."""
        return self.name

    @property
    def outer_type_(self) -> Any:
        """Its type, if it is not None."""
        others = tuple(each for each in _choices(self.annotation) if each is not NoneType)
        return Union[others]  # noqa: UP007 - of a tuple

    type_ = outer_type_

    def is_required(self) -> bool:
        """Whether the API promises it."""
        return self.required

    def __repr__(self) -> str:
        return (
            f"Field(name={self.name!r}, annotation={self.annotation!r}, required={self.required})"
        )


def _choices(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def fields(kind: type[Any]) -> dict[str, Field]:
    """Return the documented fields of a class of records."""
    found: dict[str, Field] = {}
    for each in reversed(kind.__mro__):
        annotations: dict[str, Any] = vars(each).get("__annotations__") or {}
        found |= {
            name: Field(name, annotations[name]) for name in annotations if name in kind.fields
        }
    for name, part in _views(kind):
        found[name] = Field(name, part)
    return found


def _views(kind: type[Record[Any]]) -> list[tuple[str, Any]]:
    """Return the fields that are shown as records, and their types."""
    found: list[tuple[str, Any]] = []
    for each in kind.__mro__:
        for name, member in vars(each).items():
            if isinstance(member, property) and "[M]" in (
                written := texts(member.fget).get("return", "")
            ):
                part = evaluate(written, each.__module__, each)
                if any(hasattr(_item(choice), "parse_obj") for choice in _choices(part)):
                    found.append((name, part))
    return found


def _item(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is list else annotation


_NESTED: dict[type[Any], dict[str, type[Record[Any]]]] = {}


def nested(kind: type[Record[Any]]) -> dict[str, type[Record[Any]]]:
    """Return the classes of the fields that are records, or lists of them."""
    if kind not in _NESTED:
        _NESTED[kind] = {
            name: next(_item(choice) for choice in _choices(part) if choice is not NoneType)
            for name, part in _views(kind)
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


def _schema(
    kind: type[Record[Any]], ref_template: str, definitions: dict[str, Any]
) -> dict[str, Any]:
    definitions.setdefault(kind.__name__, {})

    def reference(part: type[Record[Any]]) -> dict[str, Any]:
        if part.__name__ not in definitions:
            definitions[part.__name__] = _schema(part, ref_template, definitions)
        return {"$ref": ref_template.format(model=part.__name__)}

    known = fields(kind)
    properties = {
        name: {"title": name.replace("_", " ").title(), **_schema_of(field.outer_type_, reference)}
        for name, field in known.items()
    }
    required = [name for name, field in known.items() if field.required]
    about = {
        "title": kind.__name__,
        "description": kind.__doc__,
        "type": "object",
        "properties": properties,
    }
    return {**about, "required": required} if required else about


def _schema_of(
    annotation: Any, reference: Callable[[type[Record[Any]]], dict[str, Any]]
) -> dict[str, Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "parse_obj"):
        return reference(annotation)
    if origin is Literal:
        return {"enum": [*arguments], "type": "string"}
    if origin is Annotated:
        return _schema_of(arguments[0], reference)
    if origin in (Union, UnionType):
        return {"anyOf": [_schema_of(each, reference) for each in arguments]}
    known = _JSON_TYPES.get(origin or annotation)
    if known is None:
        return {}
    if origin is list:
        return {"type": known, "items": _schema_of(arguments[0], reference)}
    values = _schema_of(arguments[1], reference) if origin is dict else {}
    return {"type": known, "additionalProperties": values} if values else {"type": known}
