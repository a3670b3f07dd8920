"""JSON schemas of type annotations, as Cog writes them."""

from __future__ import annotations

import collections.abc
import types
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

_URI = {"type": "string", "format": "uri"}
_SCHEMAS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dict: {"type": "object"},
    type(None): {"nullable": True},
    Any: {},
    object: {},
    Path: _URI,
    bytes: _URI,
}
_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable)
_MAPPINGS = (dict, collections.abc.Mapping)
_FILES = (Path, bytes)
ITERATORS = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)
_INPUT_TYPES = (
    "str, int, float, bool, a Literal, a list or dict of these, Any, bytes or pathlib.Path"
)

Hint = Any


def origin_of(hint: Hint) -> Any:
    """Return `typing.get_origin`, which is typed as if annotations were only `ParamSpec`."""
    return get_origin(hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """Properties of an input beside its type: ``steps: Annotated[int, Input(ge=1, le=50)] = 20``.

    Args:
        description: A description of the input.
        ge: The minimum value.
        le: The maximum value.
        min_length: The minimum length of a string, or number of items of a list.
        max_length: The maximum length of a string, or number of items of a list.
        regex: A regular expression that a string must match.
        choices: The allowed values, as an alternative to `Literal`.

    """

    description: str | None = None
    ge: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    regex: str | None = None
    choices: collections.abc.Sequence[str | int | float] | None = None

    def keywords(self, type: str | None) -> dict[str, Any]:
        """Return the keywords of a JSON schema for a value of this type.

        Args:
            type: The JSON type of the value; None if it has none.

        """
        is_array = type == "array"
        keywords: dict[str, Any] = {
            "description": self.description,
            "minimum": self.ge,
            "maximum": self.le,
            "minItems" if is_array else "minLength": self.min_length,
            "maxItems" if is_array else "maxLength": self.max_length,
            "pattern": self.regex,
            "enum": None if self.choices is None else list(self.choices),
        }
        return {name: value for name, value in keywords.items() if value is not None}


def input_schema(model: str, parameter: str, hint: Hint) -> tuple[dict[str, Any], type | None]:
    """Return the schema of an input, and `Path` or `bytes` if it is a file or a list of files."""
    metadata: list[Any] = []
    if origin_of(hint) is Annotated:
        hint, *metadata = get_args(hint)
    is_nullable = False
    if origin_of(hint) in (Union, types.UnionType):
        options = [each for each in get_args(hint) if each is not type(None)]
        is_nullable = len(options) < len(get_args(hint))
        hint = options[0] if len(options) == 1 else Any
    schema = _json_schema(hint)
    if schema is None:
        raise TypeError(
            f"{model}: the parameter {parameter!r} is {type_name(hint)}, which the API cannot"
            f" carry: take {_INPUT_TYPES}"
        )
    for each in metadata:
        if isinstance(each, Input):
            schema = schema | each.keywords(schema.get("type"))
        elif isinstance(each, str):
            schema = schema | {"description": each}
    if is_nullable:
        schema = schema | {"nullable": True}
    item = get_args(hint)[0] if origin_of(hint) in _LISTS and get_args(hint) else hint
    return schema, item if item in _FILES else None


def output_schema(hint: Hint) -> dict[str, Any] | None:
    """Return the schema of an output, or None if the API cannot carry it."""
    if is_typeddict(hint):
        fields = {name: output_schema(each) for name, each in get_type_hints(hint).items()}
        return None if None in fields.values() else {"type": "object", "properties": fields}
    if isinstance(hint, type) and (
        hint.__module__.partition(".")[0] == "PIL" or issubclass(hint, Path)
    ):
        return _URI
    if origin_of(hint) in _LISTS:
        items = output_schema(get_args(hint)[0])
        return None if items is None else {"type": "array", "items": items}
    return _json_schema(hint)


def _json_schema(hint: Hint) -> dict[str, Any] | None:
    origin, arguments = origin_of(hint), get_args(hint)
    if origin is Annotated:
        return _json_schema(arguments[0])
    if origin is Literal:
        types_ = {_SCHEMAS.get(type(each), {}).get("type") for each in arguments}
        only_type = types_.pop() if len(types_) == 1 else None
        return ({"type": only_type} if only_type else {}) | {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        options = [_json_schema(each) for each in arguments if each is not type(None)]
        if None in options:
            return None
        nullable = {"nullable": True} if len(options) < len(arguments) else {}
        return (options[0] or {}) | nullable if len(options) == 1 else {}
    if hint in _LISTS or origin in _LISTS:
        items = _json_schema(arguments[0]) if arguments else {}
        return None if items is None else {"type": "array", "items": items}
    if origin in _MAPPINGS:
        return {"type": "object"}
    return _SCHEMAS.get(hint)


def type_name(hint: Hint) -> str:
    """Return an annotation as it is written, for error messages."""
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def to_draft_4(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an input schema with OpenAPI's `nullable` replaced by JSON Schema's null types."""

    def convert(property: dict[str, Any]) -> dict[str, Any]:
        if not property.get("nullable"):
            return property
        converted = {key: value for key, value in property.items() if key != "nullable"}
        if "type" in converted:
            converted["type"] = [converted["type"], "null"]
        if "enum" in converted:
            converted["enum"] = [*converted["enum"], None]
        return converted

    return schema | {
        "properties": {name: convert(property) for name, property in schema["properties"].items()}
    }
