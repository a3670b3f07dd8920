"""The signature of a model's function, as the OpenAPI schema of its version."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args, get_type_hints

from ..._base.typing import is_array, is_object
from ..validation import Schema
from .schema import ITERATORS, Hint, input_schema, origin_of, output_schema, to_draft_4, type_name

_OUTPUT_TYPES = (
    "str, int, float, bool, a list or dict of these, Any, bytes, pathlib.Path, a PIL image, or an"
    " Iterator of one of these"
)


class Signature:
    """The inputs and the output of a function.

    Args:
        name: The model's name, for errors.
        function: The function.
        stream: Whether the output is text in pieces.

    """

    def __init__(self, name: str, function: Callable[..., Any], *, stream: bool = False) -> None:
        try:
            hints = get_type_hints(function, include_extras=True)
        except NameError as error:
            raise TypeError(
                f"{name}: the annotation {error.name!r} cannot be found; import it at the top of"
                " the module"
            ) from None
        # The inputs that are files, and whether the function takes them as `Path` or `bytes`.
        self.file_types: dict[str, type] = {}
        self.input: dict[str, Any] = self._describe_input(name, inspect.signature(function), hints)
        if "return" not in hints:
            raise TypeError(f"{name} does not say what it returns: write `-> str`, or another type")
        self._describe_output(name, function, hints["return"], stream=stream)
        self._schema = Schema(to_draft_4(self.input), "input")

    def _describe_input(
        self, name: str, signature: inspect.Signature, hints: dict[str, Hint]
    ) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        described: dict[str, Any] = {"type": "object", "title": "Input", "properties": properties}
        self._accepts_any: bool = False
        required: list[str] = []
        for order, (each, parameter) in enumerate(signature.parameters.items()):
            if parameter.kind is parameter.VAR_KEYWORD:
                self._accepts_any = True
                continue
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise TypeError(
                    f"{name}: {each!r} has no name that an input could have; use ordinary"
                    " parameters"
                )
            if each not in hints:
                raise TypeError(
                    f"{name}: the parameter {each!r} is not annotated: write `{each}: str`, or"
                    " another type"
                )
            schema, file_type = input_schema(name, each, hints[each])
            if file_type is not None:
                self.file_types[each] = file_type
            properties[each] = schema | {
                "title": each.replace("_", " ").capitalize(),
                "x-order": order,
            }
            if parameter.default is parameter.empty:
                required.append(each)
                continue
            default: object = parameter.default
            if isinstance(default, (str, int, float)) or is_array(default) or is_object(default):
                properties[each]["default"] = default
        # JSON Schema does not allow `required` to be empty.
        return described | ({"required": required} if required else {})

    def _describe_output(
        self, name: str, function: Callable[..., Any], hint: Hint, *, stream: bool
    ) -> None:
        self.is_iterator: bool = origin_of(hint) in ITERATORS
        item = get_args(hint)[0] if self.is_iterator else hint
        if not self.is_iterator and (
            inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        ):
            raise TypeError(
                f"{name} yields, so it returns an iterator: write `-> Iterator[{type_name(item)}]`"
            )
        schema = output_schema(item)
        if schema is None:
            raise TypeError(
                f"{name} returns {type_name(item)}, which the API cannot carry: return"
                f" {_OUTPUT_TYPES}"
            )
        if stream and not (self.is_iterator and item is str):
            raise TypeError(
                f"{name}: stream=True is for text: write a generator with `yield`, and `->"
                " Iterator[str]`"
            )
        self.output: dict[str, Any] = {"title": "Output"} | (
            {"type": "array", "items": schema, "x-cog-array-type": "iterator"}
            if self.is_iterator
            else schema
        )
        if stream:
            self.output["x-cog-array-display"] = "concatenate"
        item_schema = schema.get("items", schema) if schema.get("type") == "array" else schema
        self.returns_files: bool = item_schema.get("format") == "uri"

    @property
    def openapi(self) -> dict[str, Any]:
        """The `openapi_schema` of the version."""

        def json_content(name: str) -> dict[str, Any]:
            return {
                "content": {
                    "application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}
                }
            }

        input, output = ({"$ref": f"#/components/schemas/{name}"} for name in ("Input", "Output"))
        return {
            "openapi": "3.0.2",
            "info": {"title": "Cog", "version": "0.1.0"},
            "paths": {
                "/predictions": {
                    "post": {
                        "requestBody": json_content("PredictionRequest"),
                        "responses": {
                            "200": {"description": "Prediction"}
                            | json_content("PredictionResponse")
                        },
                    }
                }
            },
            "components": {
                "schemas": {
                    "Input": self.input,
                    "Output": self.output,
                    "PredictionRequest": {"type": "object", "properties": {"input": input}},
                    "PredictionResponse": {
                        "type": "object",
                        "properties": {"input": input, "output": output},
                    },
                }
            },
        }

    def find_unknown(self, inputs: Iterable[str]) -> list[str]:
        """Return the names of inputs that the function does not have."""
        if self._accepts_any:
            return []
        return [each for each in inputs if each not in self.input["properties"]]

    def find_errors(
        self, inputs: dict[str, Any], unknown_inputs: Literal["drop", "refuse"]
    ) -> list[dict[str, str]]:
        """Return the errors in a prediction's inputs, as items of `invalid_fields`."""
        refused = self.find_unknown(inputs) if unknown_inputs == "refuse" else []
        return self._schema.find_errors(inputs) + [
            {
                "type": "additional_property_not_allowed",
                "field": "input",
                "description": f"Additional property {each} is not allowed",
            }
            for each in refused
        ]
