"""`Client(transport=…)`: requests that go through a transport of httpx, as tests of programs for 1.0.7 have them."""

from __future__ import annotations

import os
from typing import Any

import httpx

from .._checks import is_async_function
from .._core import Response
from ..credentials import read_token, token_from_surroundings
from ..options import DEFAULT_BASE_URL
from ._retry_transport import RetryTransport

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..middleware import Request
    from ..types import Token


def fetch_through(transport: Any, token: Token | None, base_url: str | None) -> Callable[[Request, Any], Any]:
    """Return the `fetch` of a client whose requests are carried out by a transport of httpx."""
    retrying = RetryTransport(transport)

    def fetch(request: Request, send: object) -> Response | Awaitable[Response]:
        sent = httpx.Request(request.method, request.url, headers=headers_of(request), content=request.body)
        # What the core offers for sending tells whether somebody awaits the answer.
        return suspending(sent) if is_async_function(send) else blocking(sent)

    def headers_of(request: Request) -> dict[str, str]:
        headers = dict(request.headers)
        origin = httpx.URL(base_url or os.environ.get("REPLICATE_BASE_URL") or DEFAULT_BASE_URL)
        url = httpx.URL(request.url)
        given = token_from_surroundings() if token is None else read_token("the API token", token() if callable(token) else token)
        if given and (url.scheme, url.netloc) == (origin.scheme, origin.netloc):
            headers.setdefault("Authorization", f"Bearer {given}")
        return headers

    def blocking(request: httpx.Request) -> Response:
        response = retrying.handle_request(request)
        return answer(request, response, response.read())

    async def suspending(request: httpx.Request) -> Response:
        response = await retrying.handle_async_request(request)
        return answer(request, response, await response.aread())

    def answer(request: httpx.Request, response: httpx.Response, body: bytes) -> Response:
        # The body has been decoded, so what says how it was encoded must not be believed again.
        headers = {name: value for name, value in response.headers.items() if name != "content-encoding"}
        return Response(response.status_code, headers=headers, body=body, url=str(request.url))

    return fetch
