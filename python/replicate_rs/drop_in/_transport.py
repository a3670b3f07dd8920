"""`Client(transport=…)`: requests that go through a transport of httpx, as tests of programs for
1.0.7 have them.
"""

from __future__ import annotations

from typing import Any

import httpx

from .._base.checks import is_async_function
from .._base.credentials import find_token, read_token, reveal
from .._base.operation import header_pairs
from .._client.options import USER_AGENT
from .._core import Response
from ._retry_transport import RetryTransport

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .._client.middleware import Request


class TransportFetch:
    """The `fetch` of a client whose requests are carried out by a transport of httpx.

    It adds the client's own headers.
    """

    __slots__ = ("_base_url", "_options", "_transport")

    def __init__(
        self, transport: RetryTransport, base_url: str = "", options: dict[str, Any] | None = None
    ) -> None:
        self._transport = transport
        self._base_url = base_url
        self._options = options or {}

    def bound_to(self, base_url: str, options: dict[str, Any]) -> TransportFetch:
        """Return the same for a client with these options."""
        return TransportFetch(self._transport, base_url, options)

    def __call__(self, request: Request, send: object) -> Response | Awaitable[Response]:
        """Carry a request out."""
        content = request.body if request._upload is None else request._upload.read()
        sent = httpx.Request(
            request.method, request.url, headers=self._headers_of(request), content=content
        )
        # What the core offers for sending tells whether somebody awaits the answer.
        return self._suspending(sent) if is_async_function(send) else self._blocking(sent)

    def _headers_of(self, request: Request) -> httpx.Headers:
        headers = httpx.Headers(request.headers)
        origin, url = httpx.URL(self._base_url), httpx.URL(request.url)
        if (url.scheme, url.netloc) == (origin.scheme, origin.netloc):
            given = [
                (name, value)
                for name, value in header_pairs(self._options["headers"])
                if name not in headers
            ]
            headers = httpx.Headers([*headers.multi_items(), *given])
            token = self._options["api_token"]
            if "Authorization" not in headers and (found := _read(token)):
                headers["Authorization"] = f"Bearer {found}"
        headers.setdefault("User-Agent", self._options["user_agent"] or USER_AGENT)
        return headers

    def _blocking(self, request: httpx.Request) -> Response:
        response = self._transport.handle_request(request)
        return _answer(request, response, response.read())

    async def _suspending(self, request: httpx.Request) -> Response:
        response = await self._transport.handle_async_request(request)
        return _answer(request, response, await response.aread())


def fetch_through(transport: Any) -> TransportFetch:
    """Return the `fetch` of a client whose requests are carried out by a transport of httpx."""
    return TransportFetch(RetryTransport(transport))


def _read(token: Any) -> str | None:
    if token is None:
        return find_token()
    token = reveal(token)
    return read_token("the API token", token() if callable(token) else token)


def _answer(request: httpx.Request, response: httpx.Response, body: bytes) -> Response:
    # The body has been decoded, so what says how it was encoded must not be believed again.
    headers = {
        name: value for name, value in response.headers.items() if name != "content-encoding"
    }
    return Response(response.status_code, headers=headers, body=body, url=str(request.url))
