"""A model's function, described: its annotations become the version's OpenAPI schema, as Cog writes
it.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
from collections.abc import Callable, Iterable
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

from ..._typing import is_array, is_object
from ..validation import Schema

_URI = {"type": "string", "format": "uri"}
_PLAIN: dict[Any, dict[str, Any]] = {
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
_ITERATORS = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)
_MAPPINGS = (dict, collections.abc.Mapping)
_RETURNS = (
    "str, int, float, bool, a list or dict of these, Any, bytes, pathlib.Path, a PIL image, or an"
    " Iterator of one of these"
)
_TAKES = "str, int, float, bool, a Literal, a list or dict of these, Any, bytes or pathlib.Path"

Hint = Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """What an input's type does not say: ``steps: Annotated[int, Input(ge=1, le=50)] = 20``.

    Args:
        description: What it is for.
        ge: The least value.
        le: The greatest value.
        min_length: The least length of a string, or number of items of a list.
        max_length: The greatest length of a string, or number of items of a list.
        regex: What a string must match.
        choices: The allowed values; a `Literal` says the same.

    """

    description: str | None = None
    ge: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    regex: str | None = None
    choices: collections.abc.Sequence[str | int | float] | None = None

    def keywords(self, type: str | None) -> dict[str, Any]:
        """Give this as keywords of a JSON schema."""
        many = type == "array"
        named: dict[str, Any] = {
            "description": self.description,
            "minimum": self.ge,
            "maximum": self.le,
            "minItems" if many else "minLength": self.min_length,
            "maxItems" if many else "maxLength": self.max_length,
            "pattern": self.regex,
            "enum": None if self.choices is None else list(self.choices),
        }
        return {name: value for name, value in named.items() if value is not None}


class Signature:
    """What a function takes and gives.

    Args:
        name: The model's name, for errors.
        function: The function.
        stream: Whether its output is text that is to be joined.

    """

    def __init__(self, name: str, function: Callable[..., Any], *, stream: bool = False) -> None:
        try:
            hints = get_type_hints(function, include_extras=True)
        except NameError as error:
            raise TypeError(
                f"{name}: the annotation {error.name!r} cannot be found; import it at the top of"
                " the module"
            ) from None
        self.files: dict[str, type] = {}
        self.defaults: dict[str, Any] = {}
        self.input: dict[str, Any] = self._describe_input(name, inspect.signature(function), hints)
        if "return" not in hints:
            raise TypeError(
                f"{name} does not say what it returns: write `-> str`, or what it gives"
            )
        self._describe_output(name, function, hints["return"], stream=stream)
        self.schema: Schema = Schema(_nullable_for_draft_4(self.input), "input")

    def _describe_input(
        self, name: str, signature: inspect.Signature, hints: dict[str, Hint]
    ) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        described: dict[str, Any] = {"type": "object", "title": "Input", "properties": properties}
        self.takes_any: bool = False
        required: list[str] = []
        for order, (each, parameter) in enumerate(signature.parameters.items()):
            if parameter.kind is parameter.VAR_KEYWORD:
                self.takes_any = True
                continue
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise TypeError(
                    f"{name}: {each!r} has no name that an input could have; use ordinary"
                    " parameters"
                )
            if each not in hints:
                raise TypeError(
                    f"{name}: the parameter {each!r} is not annotated: write `{each}: str`, or what"
                    " it is"
                )
            schema, kind = _input_schema(name, each, hints[each])
            if kind is not None:
                self.files[each] = kind
            properties[each] = schema | {
                "title": each.replace("_", " ").capitalize(),
                "x-order": order,
            }
            if parameter.default is parameter.empty:
                required.append(each)
            else:
                self.defaults[each] = parameter.default
                default: object = parameter.default
                if (
                    isinstance(default, (str, int, float))
                    or is_array(default)
                    or is_object(default)
                ):
                    properties[each]["default"] = default
        # An empty `required` is not a schema.
        return described | ({"required": required} if required else {})

    def _describe_output(
        self, name: str, function: Callable[..., Any], hint: Hint, *, stream: bool
    ) -> None:
        self.iterates: bool = _origin(hint) in _ITERATORS
        item = get_args(hint)[0] if self.iterates else hint
        if not self.iterates and (
            inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        ):
            raise TypeError(
                f"{name} yields, so it returns an iterator: write `-> Iterator[{_spelled(item)}]`"
            )
        schema = _output_schema(item)
        if schema is None:
            raise TypeError(
                f"{name} returns {_spelled(item)}, which the API cannot carry: return {_RETURNS}"
            )
        if stream and not (self.iterates and item is str):
            raise TypeError(
                f"{name}: stream=True is for text: write a generator with `yield`, and `->"
                " Iterator[str]`"
            )
        self.output: dict[str, Any] = {"title": "Output"} | (
            {"type": "array", "items": schema, "x-cog-array-type": "iterator"}
            if self.iterates
            else schema
        )
        if stream:
            self.output["x-cog-array-display"] = "concatenate"
        self.gives_files: Any = (
            schema.get("items", schema) if schema.get("type") == "array" else schema
        ).get("format") == "uri"

    @property
    def openapi(self) -> dict[str, Any]:
        """Give the version's `openapi_schema`."""
        answer = {
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/PredictionResponse"}}
            }
        }
        request = {
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/PredictionRequest"}}
            }
        }
        output = {"$ref": "#/components/schemas/Output"}
        given = {"$ref": "#/components/schemas/Input"}
        return {
            "openapi": "3.0.2",
            "info": {"title": "Cog", "version": "0.1.0"},
            "paths": {
                "/predictions": {
                    "post": {
                        "requestBody": request,
                        "responses": {"200": {"description": "Prediction"} | answer},
                    }
                }
            },
            "components": {
                "schemas": {
                    "Input": self.input,
                    "Output": self.output,
                    "PredictionRequest": {"type": "object", "properties": {"input": given}},
                    "PredictionResponse": {
                        "type": "object",
                        "properties": {"input": given, "output": output},
                    },
                }
            },
        }

    def unknown(self, given: Iterable[str]) -> list[str]:
        """Return the names of inputs that the function does not take."""
        return (
            []
            if self.takes_any
            else [each for each in given if each not in self.input["properties"]]
        )

    def problems(
        self, given: dict[str, Any], unknown: Literal["drop", "refuse"]
    ) -> list[dict[str, str]]:
        """Return what is wrong with an input, as `invalid_fields` has it."""
        refused = self.unknown(given) if unknown == "refuse" else []
        return self.schema.problems(given) + [
            {
                "type": "additional_property_not_allowed",
                "field": "input",
                "description": f"Additional property {each} is not allowed",
            }
            for each in refused
        ]


def _origin(hint: Hint) -> Any:
    return get_origin(hint)


def _input_schema(model: str, name: str, hint: Hint) -> tuple[dict[str, Any], type | None]:
    """Give an input's schema, and what its files are read as."""
    notes: list[Any] = []
    if _origin(hint) is Annotated:
        hint, *notes = get_args(hint)
    nullable = False
    if _origin(hint) in (Union, types.UnionType):
        options = [each for each in get_args(hint) if each is not type(None)]
        nullable = len(options) < len(get_args(hint))
        hint = options[0] if len(options) == 1 else Any
    schema = _json_schema(hint)
    if schema is None:
        raise TypeError(
            f"{model}: the parameter {name!r} is {_spelled(hint)}, which the API cannot carry: take"
            f" {_TAKES}"
        )
    item = get_args(hint)[0] if _origin(hint) in _LISTS and get_args(hint) else hint
    for note in notes:
        if isinstance(note, Input):
            schema = schema | note.keywords(schema.get("type"))
        elif isinstance(note, str):
            schema = schema | {"description": note}
    return schema | ({"nullable": True} if nullable else {}), (
        item
        if item
        in (
            Path,
            bytes,
        )
        else None
    )


def _json_schema(hint: Hint) -> dict[str, Any] | None:
    origin, arguments = _origin(hint), get_args(hint)
    if origin is Annotated:
        return _json_schema(arguments[0])
    if origin is Literal:
        kinds = {_PLAIN.get(type(each), {}).get("type") for each in arguments}
        kind = kinds.pop() if len(kinds) == 1 else None
        return ({"type": kind} if kind else {}) | {"enum": list(arguments)}
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
    return _PLAIN.get(hint)


def _output_schema(hint: Hint) -> dict[str, Any] | None:
    if is_typeddict(hint):
        fields = {name: _output_schema(each) for name, each in get_type_hints(hint).items()}
        return None if None in fields.values() else {"type": "object", "properties": fields}
    if isinstance(hint, type) and (
        hint.__module__.partition(".")[0] == "PIL" or issubclass(hint, Path)
    ):
        return _URI
    if _origin(hint) in _LISTS:
        items = _output_schema(get_args(hint)[0])
        return None if items is None else {"type": "array", "items": items}
    return _json_schema(hint)


def _spelled(hint: Hint) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _nullable_for_draft_4(schema: dict[str, Any]) -> dict[str, Any]:
    """Say OpenAPI's `nullable` as JSON Schema does."""

    def each(property: dict[str, Any]) -> dict[str, Any]:
        if not property.get("nullable"):
            return property
        rest = {key: value for key, value in property.items() if key != "nullable"}
        if "type" in rest:
            rest["type"] = [rest["type"], "null"]
        if "enum" in rest:
            rest["enum"] = [*rest["enum"], None]
        return rest

    return schema | {
        "properties": {name: each(property) for name, property in schema["properties"].items()}
    }
