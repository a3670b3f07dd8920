"""`Client(transport=…)`: send requests through a transport of httpx, as tests for 1.0.7 do."""

from __future__ import annotations

from typing import Any

import httpx

from .._base.checks import is_async_function
from .._base.credentials import find_token, read_token, reveal
from .._base.encoding import header_pairs
from .._client.options import USER_AGENT
from .._core import Response
from ._retry_transport import RetryTransport

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .._client.http import Request


class TransportFetch:
    """A `fetch` function that sends requests through a transport of httpx.

    It adds the token and the client's headers, which the core does otherwise.
    """

    __slots__ = ("_base_url", "_options", "_transport")

    def __init__(
        self, transport: RetryTransport, base_url: str = "", options: dict[str, Any] | None = None
    ) -> None:
        self._transport = transport
        self._base_url = base_url
        self._options = options or {}

    def bound_to(self, base_url: str, options: dict[str, Any]) -> TransportFetch:
        """Return the function for a client with these options."""
        return TransportFetch(self._transport, base_url, options)

    def __call__(self, request: Request, send: object) -> Response | Awaitable[Response]:
        """Send a request."""
        content = request.body if request._upload is None else request._upload.read()
        converted = httpx.Request(
            request.method, request.url, headers=self._get_headers(request), content=content
        )
        # `send` is async exactly if the response is awaited.
        return self._asend(converted) if is_async_function(send) else self._send(converted)

    def _get_headers(self, request: Request) -> httpx.Headers:
        headers = httpx.Headers(request.headers)
        origin, url = httpx.URL(self._base_url), httpx.URL(request.url)
        if (url.scheme, url.netloc) == (origin.scheme, origin.netloc):
            pairs = [
                (name, value)
                for name, value in header_pairs(self._options["headers"])
                if name not in headers
            ]
            headers = httpx.Headers([*headers.multi_items(), *pairs])
            if "Authorization" not in headers and (token := _get_token(self._options["api_token"])):
                headers["Authorization"] = f"Bearer {token}"
        headers.setdefault("User-Agent", self._options["user_agent"] or USER_AGENT)
        return headers

    def _send(self, request: httpx.Request) -> Response:
        response = self._transport.handle_request(request)
        return _convert(request, response, response.read())

    async def _asend(self, request: httpx.Request) -> Response:
        response = await self._transport.handle_async_request(request)
        return _convert(request, response, await response.aread())


def fetch_through(transport: Any) -> TransportFetch:
    """Return a `fetch` function that sends requests through a transport of httpx."""
    return TransportFetch(RetryTransport(transport))


def _get_token(token: Any) -> str | None:
    if token is None:
        return find_token()
    token = reveal(token)
    return read_token("the API token", token() if callable(token) else token)


def _convert(request: httpx.Request, response: httpx.Response, body: bytes) -> Response:
    # httpx has decoded the body already.
    headers = {
        name: value for name, value in response.headers.items() if name != "content-encoding"
    }
    return Response(response.status_code, headers=headers, body=body, url=str(request.url))
