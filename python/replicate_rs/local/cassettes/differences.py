"""Says how a request differs from a recorded one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..._base.typing import is_array, is_object
from .content import Content
from .exchange import RecordedRequest, content_key, json_value

MAX_DIFFERENCES = 8
_MAX_VALUE = 80
_MISSING = object()


def describe_differences(recorded: RecordedRequest, request: RecordedRequest) -> list[str]:
    """Return a line for each difference, the first ones only if there are many."""
    lines = [
        *_differing("method", recorded.method, request.method),
        *_differing("URL", recorded.target[1], request.target[1]),
        *_compare("query", dict(recorded.target[2]), dict(request.target[2])),
        *_compare_bodies(recorded, request),
    ]
    if len(lines) > MAX_DIFFERENCES:
        more = len(lines) - MAX_DIFFERENCES
        lines[MAX_DIFFERENCES:] = [f"and {more} more"]
    return lines


def _differing(what: str, recorded: object, asked: object) -> Iterator[str]:
    if recorded != asked:
        yield f"{what}: recorded {_show(recorded)}, requested {_show(asked)}"


def _compare_bodies(recorded: RecordedRequest, request: RecordedRequest) -> Iterator[str]:
    if recorded.body_key() == request.body_key():
        return
    if recorded.parts or request.parts:
        yield from _compare("form", _fields(recorded), _fields(request))
        return
    yield from _compare("body", _body(recorded), _body(request))


def _fields(request: RecordedRequest) -> dict[str, Any]:
    """Return the fields of a form, as values that can be compared."""
    if not request.parts:
        return {"": _body(request)}
    return {part.name: _value(part.content) for part in request.parts}


def _body(request: RecordedRequest) -> Any:
    value = request.json
    return _value(request.body) if value is None else value


def _value(content: Content) -> Any:
    value = json_value(content)
    if value is not None:
        return value
    if content.data is not None:
        try:
            return content.data.decode()
        except UnicodeDecodeError:
            pass
    return f"{content.size} bytes with the SHA-256 {content_key(content).rpartition(' ')[2]:.12}"


def _compare(where: str, recorded: Any, asked: Any) -> Iterator[str]:
    """Return the differences of two JSON values."""
    if is_object(recorded) and is_object(asked):
        for key in dict.fromkeys([*recorded, *asked]):
            yield from _compare(
                f"{where}.{key}" if key else where,
                recorded.get(key, _MISSING),
                asked.get(key, _MISSING),
            )
    elif is_array(recorded) and is_array(asked):
        for index in range(max(len(recorded), len(asked))):
            yield from _compare(
                f"{where}[{index}]",
                recorded[index] if index < len(recorded) else _MISSING,
                asked[index] if index < len(asked) else _MISSING,
            )
    elif recorded is _MISSING:
        yield f"{where}: not recorded, requested {_show(asked)}"
    elif asked is _MISSING:
        yield f"{where}: recorded {_show(recorded)}, not requested"
    else:
        yield from _differing(where, recorded, asked)


def _show(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}… ({len(text)} characters)"
