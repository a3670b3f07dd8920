"""The types of a model's inputs, for the values of tables."""

from __future__ import annotations

from typing import Any

from .._base.typing import is_array, is_object

# The Python types of JSON Schema's.
KINDS: dict[str, type] = {
    "integer": int,
    "number": float,
    "boolean": bool,
    "string": str,
    "array": list,
    "object": dict,
}


def input_types(openapi_schema: dict[str, Any] | None) -> dict[str, type]:
    """Return the type of each input, as `read_inputs` takes them in `types`.

    Inputs without a single type are left out, and so are files, whose values may be URLs, paths or
    bytes.

    Args:
        openapi_schema: The `openapi_schema` of a version; None has no inputs.

    """
    schemas = _get(_get(openapi_schema, "components"), "schemas")
    result: dict[str, type] = {}
    for name, declared in _get(_get(schemas, "Input"), "properties").items():
        kinds = _find_kinds(declared, schemas)
        if len(kinds) == 1 and kinds <= KINDS.keys():
            result[name] = KINDS[kinds.pop()]
    return result


def _get(value: object, name: str) -> dict[str, Any]:
    """Return an object within another; empty if it is missing."""
    found: object = value.get(name) if is_object(value) else None
    return found if is_object(found) else {}


def _find_kinds(declared: Any, schemas: dict[str, Any], depth: int = 3) -> set[str]:
    """Return the types that a schema, or one that it refers to, names; "file" for a file."""
    if not is_object(declared) or not depth:
        return set()
    if declared.get("format") == "uri":
        return {"file"}
    named: Any = declared.get("type")
    listed = named if is_array(named) else [named]
    kinds = {each for each in listed if isinstance(each, str) and each in KINDS}
    reference: Any = declared.get("$ref")
    if isinstance(reference, str):
        kinds |= _find_kinds(_get(schemas, reference.rpartition("/")[2]), schemas, depth - 1)
    for word in ("allOf", "anyOf", "oneOf"):
        options: Any = declared.get(word)
        for each in options if is_array(options) else ():
            kinds |= _find_kinds(each, schemas, depth - 1)
    return kinds
