"""JSON schema validation with the API's error messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jsonschema_rs import Draft4Validator, ValidationError

from .problem import invalid_fields

# The API's error type and message for each JSON schema keyword.
_MESSAGES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
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
    """A JSON schema to validate values against.

    Args:
        schema: The schema.
        root: The name of the value in the `field` of errors; empty for a request body.

    """

    def __init__(self, schema: dict[str, Any], root: str = "") -> None:
        self.root = root
        self._validator = Draft4Validator(schema, validate_formats=True)

    def find_errors(self, value: object) -> list[dict[str, str]]:
        """Return the errors in a value, as items of `invalid_fields`."""
        try:
            return self._find_errors(value)
        except UnicodeEncodeError:
            # The validator needs UTF-8, which cannot encode a lone surrogate.
            return self._find_errors(
                json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
            )

    def check(self, value: object) -> None:
        """Raise the API's 422 if the value is invalid."""
        if errors := self.find_errors(value):
            raise invalid_fields(errors)

    def _find_errors(self, value: object) -> list[dict[str, str]]:
        # In the API's order: missing fields first, and an object's own errors before those of its
        # members.
        errors = sorted(
            self._validator.iter_errors(value),
            key=lambda error: (len(error.instance_path), error.kind.name != "required"),
        )
        return [each for error in errors for each in self._to_fields(error)]

    def _to_fields(self, error: ValidationError) -> list[dict[str, str]]:
        keyword, rule = error.kind.name, error.kind.as_dict()
        root = [self.root] if self.root else []
        field = ".".join([*root, *map(str, error.instance_path)])
        if keyword == "required":
            messages = [("required", f"{rule['property']} is required")]
        elif keyword == "additionalProperties":
            messages = [
                ("additional_property_not_allowed", f"Additional property {each} is not allowed")
                for each in rule["unexpected"]
            ]
        elif keyword == "enum":
            choices = ", ".join(
                f'"{each}"' if isinstance(each, str) else str(each) for each in rule["options"]
            )
            messages = [("enum", f"{field} must be one of the following: {choices}")]
        elif keyword == "type":
            actual = _JSON_TYPES.get(type(error.instance), "unknown")
            expected = "/".join(rule["types"])
            messages = [("invalid_type", f"Invalid type. Expected: {expected}, given: {actual}")]
        elif keyword in _MESSAGES:
            error_type, to_message = _MESSAGES[keyword]
            messages = [(error_type, to_message(rule))]
        else:
            messages = [(keyword, error.message)]
        return [
            {"type": error_type, "field": field, "description": description}
            for error_type, description in messages
        ]
