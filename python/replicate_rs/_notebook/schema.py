"""The inputs of a model as a table, by its schema."""

from __future__ import annotations

from json import dumps
from typing import TYPE_CHECKING

from .._base.record import shortened
from .._base.typing import is_array, is_object
from .html import cell, note, table

if TYPE_CHECKING:
    from typing import Any

HEAD = ("input", "type", "default", "limits", "description")
# Choices that are listed.
MAX_CHOICES = 30
# Schemas within each other.
MAX_DEPTH = 5
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches {}",
}


def inputs_of_schema(schema: dict[str, Any]) -> str:
    """Return a table of inputs.

    Args:
        schema: A version's schema, with references replaced by what they refer to.

    """
    declared = _get(_get(_get(schema, "components"), "schemas"), "Input")
    properties = _get(declared, "properties")
    if not properties:
        return note("It has no inputs.")
    required: Any = declared.get("required")
    names = set(required) if is_array(required) else set[object]()
    rows = [
        _row(name, merge(each), is_required=name in names)
        for name, each in sorted(properties.items(), key=_order)
    ]
    return table(rows, HEAD)


def _get(value: object, name: str) -> dict[str, Any]:
    found: object = value.get(name) if is_object(value) else None
    return found if is_object(found) else {}


def _order(item: tuple[str, Any]) -> float:
    place: Any = item[1].get("x-order") if is_object(item[1]) else None
    return place if isinstance(place, (int, float)) else float("inf")


def merge(declared: object, depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Return a schema with those that it is made of in one."""
    if not is_object(declared):
        return {}
    merged: dict[str, Any] = {}
    parts: Any = declared.get("allOf")
    for part in parts if is_array(parts) and depth else ():
        merged |= merge(part, depth - 1)
    return {**merged, **declared}


def _row(name: str, declared: dict[str, Any], *, is_required: bool) -> tuple[str, ...]:
    if "default" in declared:
        default = f"<code>{cell(_to_text(declared['default']))}</code>"
    else:
        default = "<em>required</em>" if is_required else ""
    description: Any = declared.get("description")
    return (
        f"<code>{cell(name)}</code>",
        cell(_to_type(declared)),
        default,
        cell(_to_limits(declared)),
        cell(description) if isinstance(description, str) else "",
    )


def _to_type(declared: dict[str, Any], depth: int = MAX_DEPTH) -> str:
    """Return the type of an input in words."""
    kind: Any = declared.get("type")
    if declared.get("format") == "uri":
        return "file"
    if declared.get("format") == "password" or declared.get("x-cog-secret"):
        return "secret"
    if kind == "array":
        item = _to_type(merge(declared.get("items")), depth - 1) if depth else ""
        return f"list of {item}" if item else "list"
    if isinstance(kind, str):
        return kind
    if is_array(kind):
        return " or ".join(str(each) for each in kind)
    for word in ("anyOf", "oneOf"):
        options: Any = declared.get(word)
        if is_array(options) and depth:
            kinds = [_to_type(merge(each), depth - 1) for each in options]
            return " or ".join(dict.fromkeys(each for each in kinds if each))
    return ""


def _to_limits(declared: dict[str, Any]) -> str:
    """Return what values an input takes."""
    choices: Any = declared.get("enum")
    if is_array(choices):
        listed = ", ".join(_to_text(each) for each in choices[:MAX_CHOICES])
        return listed if len(choices) <= MAX_CHOICES else f"{listed}, … ({len(choices)} in all)"
    limits = [
        text.format(_to_text(declared[word]))
        for word, text in LIMITS.items()
        if declared.get(word) is not None
    ]
    if not limits and declared.get("type") == "array":
        return _to_limits(merge(declared.get("items")))
    return ", ".join(limits)


def _to_text(value: object) -> str:
    """Return a value as JSON has it."""
    try:
        return dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return shortened(value)
