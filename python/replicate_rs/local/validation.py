"""Whether a body fits its JSON schema, in the API's words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jsonschema_rs import Draft4Validator, ValidationError

from .problem import invalid

# What the service calls a broken rule, and how it says so, by the JSON schema's keyword.
_WORDS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "minimum": ("number_gte", lambda rule: f"Must be greater than or equal to {rule['limit']}"),
    "maximum": ("number_lte", lambda rule: f"Must be less than or equal to {rule['limit']}"),
    "minLength": (
        "string_gte",
        lambda rule: f"String length must be greater than or equal to {rule['limit']}",
    ),
    "maxLength": (
        "string_lte",
        lambda rule: f"String length must be less than or equal to {rule['limit']}",
    ),
    "minItems": ("array_min_items", lambda rule: f"Array must have at least {rule['limit']} items"),
    "maxItems": ("array_max_items", lambda rule: f"Array must have at most {rule['limit']} items"),
    "pattern": ("pattern", lambda rule: f"Does not match pattern '{rule['pattern']}'"),
    "format": ("format", lambda rule: f"Does not match format '{rule['format']}'"),
}
_JSON_TYPES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


class Schema:
    """A JSON schema that bodies are held against."""

    def __init__(self, schema: dict[str, Any], root: str = "") -> None:
        self.root = root
        self._validator = Draft4Validator(schema, validate_formats=True)

    def problems(self, value: object) -> list[dict[str, str]]:
        """Give what is wrong with a value, as `invalid_fields` has it."""
        try:
            return self._problems(value)
        except UnicodeEncodeError:
            # The validator speaks UTF-8, which has nothing for half a surrogate pair.
            return self._problems(
                json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
            )

    def check(self, value: object) -> None:
        """Raise the API's 422 unless the value fits."""
        if problems := self.problems(value):
            raise invalid(problems)

    def _problems(self, value: object) -> list[dict[str, str]]:
        # The service names what is missing first, and an object's own problems before those of what
        # is in it.
        errors = sorted(
            self._validator.iter_errors(value),
            key=lambda error: (len(error.instance_path), error.kind.name != "required"),
        )
        return [each for error in errors for each in self._described(error)]

    def _described(self, error: ValidationError) -> list[dict[str, str]]:
        name, rule = error.kind.name, error.kind.as_dict()
        field = ".".join(
            [self.root, *map(str, error.instance_path)]
            if self.root
            else map(str, error.instance_path)
        )
        if name == "required":
            found = [("required", f"{rule['property']} is required")]
        elif name == "additionalProperties":
            found = [
                ("additional_property_not_allowed", f"Additional property {each} is not allowed")
                for each in rule["unexpected"]
            ]
        elif name == "enum":
            allowed = ", ".join(
                f'"{each}"' if isinstance(each, str) else str(each) for each in rule["options"]
            )
            found = [("enum", f"{field} must be one of the following: {allowed}")]
        elif name == "type":
            given = _JSON_TYPES.get(type(error.instance), "unknown")
            found = [
                (
                    "invalid_type",
                    f"Invalid type. Expected: {'/'.join(rule['types'])}, given: {given}",
                )
            ]
        elif name in _WORDS:
            found = [(_WORDS[name][0], _WORDS[name][1](rule))]
        else:
            found = [(name, error.message)]
        return [
            {"type": type_, "field": field, "description": description}
            for type_, description in found
        ]
