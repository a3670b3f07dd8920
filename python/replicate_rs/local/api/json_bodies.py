"""JSON in requests and responses."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..._base.typing import is_array, is_object
from ..problem import Problem, unprocessable
from ..validation import Schema

# Levels of nesting in a request. Responses nest it deeper, and must not exceed Python's recursion
# limit.
MAX_NESTING = 256


def as_json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response, in ASCII, which can carry lone surrogates."""
    body = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(body, status, headers, media_type="application/json")


async def read_object(request: Request, schema: Schema | None = None) -> dict[str, Any]:
    """Return a request's body, a JSON object that is valid by `schema`.

    Raises `Problem` 400 or 422.
    """
    try:
        body = read_json(await request.body())
    except ValueError:
        raise Problem(
            400, "The request body is not valid JSON.", title="Malformed request body"
        ) from None
    if not is_object(body):
        raise unprocessable("The request body must be an object.")
    if schema is not None:
        schema.check(body)
    return body


def read_json(text: bytes | str) -> object:
    """Parse JSON that can be serialized again. Raises `ValueError`."""
    try:
        value: object = json.loads(text, parse_constant=_refuse, parse_float=_parse_float)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            child
            for each in level
            for child in children(each)
            if is_array(child) or is_object(child)
        ]
        if not level:
            return value
    raise ValueError("nested too deeply")


def children(value: object) -> Iterable[object]:
    """Return the items of a JSON array, or the values of a JSON object."""
    return value.values() if is_object(value) else value if is_array(value) else ()


def _parse_float(number: str) -> float:
    # A number in JSON may be too large for a float, which is then infinite.
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
