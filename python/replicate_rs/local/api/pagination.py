"""Pages of a list, with cursors."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response

from ..problem import bad_request
from ..state import State
from .json_bodies import as_json

T = TypeVar("T")

# The keys in cursors: the page after an item, and the page before it.
_AFTER, _BEFORE = "p", "r"


def paginate(
    request: Request,
    state: State,
    items: Iterable[T],
    key: Callable[[T], str],
    to_json: Callable[[T], Any],
    size: int = 100,
) -> Response:
    """Return a response with one page of items.

    Args:
        request: The request. Its query may have a `cursor`; the links keep its other parameters.
        state: The server's state.
        items: All items, in order.
        key: Returns what identifies an item in cursors, also after items were added or removed.
        to_json: Returns the API's object for an item.
        size: The number of items in a page.

    """
    all_items = list(items)
    keys = [key(item) for item in all_items]
    start = 0
    if cursor := request.query_params.get("cursor"):
        direction, item_key = _read_cursor(cursor)
        if item_key not in keys:
            raise bad_request("Invalid cursor")
        index = keys.index(item_key)
        start = max(0, index - size) if direction == _BEFORE else index + 1

    def link(direction: str, index: int) -> str:
        query = [
            (name, value) for name, value in request.query_params.multi_items() if name != "cursor"
        ]
        cursor = b64encode(urlencode({direction: keys[index]}).encode()).decode()
        query.append(("cursor", cursor))
        return f"{state.api_url}{request.scope['path']}?{urlencode(query)}"

    end = start + size
    return as_json(
        {
            "previous": link(_BEFORE, start) if 0 < start < len(all_items) else None,
            "next": link(_AFTER, end - 1) if end < len(all_items) else None,
            "results": [to_json(item) for item in all_items[start:end]],
        }
    )


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        ((direction, key),) = parse_qsl(
            b64decode(cursor, validate=True).decode(), strict_parsing=True
        )
    except ValueError:
        raise bad_request("Invalid cursor") from None
    return direction, key
