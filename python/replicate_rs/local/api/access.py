"""What endpoints share: routes, who may ask, bodies, answers and pages."""

from __future__ import annotations

import json
import math
import secrets
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..._typing import is_array, is_object
from ..problem import Problem
from ..state import State
from ..traffic.rate_limits import Limiter
from ..validation import Schema

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]

# Levels of nesting in what users send: it is written again within other objects, from further up
# the stack.
MOST_NESTED = 256


def as_json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Give a JSON answer, in ASCII: what came with half a surrogate pair can be echoed."""
    body = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(body, status, headers, media_type="application/json")


class Gate:
    """Lets requests in: with a token, and not too many."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._limiter = Limiter(state.clock)

    def enter(self, request: Request) -> dict[str, str]:
        """Refuse a request without the token, or over the limit. Gives headers of the answer."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        good = scheme.lower() in ("bearer", "token") and any(
            secrets.compare_digest(token.encode(), each.encode()) for each in self._state.tokens
        )
        if self._state.tokens and not good:
            raise Problem(
                401, "You did not pass a valid authentication token", title="Unauthenticated"
            )
        path, settings = request.scope["path"], self._state.settings
        return self._limiter.take(request.method, path, settings.rate_limits, settings.advice)

    def route(self, path: str, **methods: Endpoint) -> Route:
        """Give the route of one path, with an endpoint for each method."""

        async def dispatch(request: Request) -> Response:
            headers = self.enter(request)
            response = await methods["GET" if request.method == "HEAD" else request.method](request)
            # Recorded: the file endpoints do not count.
            if not path.startswith("/files"):
                response.headers.update(headers)
            return response

        return Route(path, dispatch, methods=list(methods))


async def read_object(request: Request, schema: Schema | None = None) -> dict[str, Any]:
    """Give a JSON body that fits its schema. Raises the API's 400 or 422."""
    try:
        body = read_json(await request.body())
    except ValueError:
        raise Problem(
            400, "The request body is not valid JSON.", title="Malformed request body"
        ) from None
    if not is_object(body):
        raise Problem(422, "The request body must be an object.", title="Input validation failed")
    if schema is not None:
        schema.check(body)
    return body


def read_json(text: bytes | str) -> object:
    """Read JSON that can be written again. Raises `ValueError`."""
    try:
        value: object = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(MOST_NESTED):
        level = [
            inner for each in level for inner in inside(each) if is_array(inner) or is_object(inner)
        ]
        if not level:
            return value
    raise ValueError("nested too deeply")


def inside(value: object) -> Iterable[object]:
    """Return what an object or an array of JSON holds."""
    return value.values() if is_object(value) else value if is_array(value) else ()


def _finite(number: str) -> float:
    # JSON has no word for infinity, but numbers that are as much to a float.
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def page(
    request: Request,
    state: State,
    items: Iterable[T],
    key: Callable[[T], str],
    describe: Callable[[T], Any],
    size: int,
) -> Response:
    """Give one page of items, with cursors on the server's own origin.

    Args:
        request: The request; a `cursor` in its query names where the page begins, other parameters
            are kept in the links.
        state: The server's state.
        items: All items, in their order.
        key: What an item's place is known by, also after others were added or removed.
        describe: The API's object for an item.
        size: How many items a page has.

    """
    everything = list(items)
    keys = [key(item) for item in everything]
    start, backwards = 0, False
    if cursor := request.query_params.get("cursor"):
        backwards, place = _read_cursor(cursor)
        start = next((n for n, each in enumerate(keys) if each == place), -1)
        if start < 0:
            raise Problem(400, "Invalid cursor", title="Bad request")
        start = max(0, start - size) if backwards else start + 1

    def link(mark: str, at: int) -> str:
        query = [
            (name, value) for name, value in request.query_params.multi_items() if name != "cursor"
        ]
        query.append(("cursor", b64encode(urlencode({mark: keys[at]}).encode()).decode()))
        return f"{state.api}{request.scope['path']}?{urlencode(query)}"

    end = start + size
    return as_json(
        {
            "previous": link("r", start) if 0 < start < len(everything) else None,
            "next": link("p", end - 1) if end < len(everything) else None,
            "results": [describe(item) for item in everything[start:end]],
        }
    )


def _read_cursor(cursor: str) -> tuple[bool, str]:
    try:
        ((mark, place),) = parse_qsl(b64decode(cursor, validate=True).decode(), strict_parsing=True)
    except ValueError:
        raise Problem(400, "Invalid cursor", title="Bad request") from None
    return mark == "r", place
