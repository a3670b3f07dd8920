"""Routes that ask for a token and obey the rate limits."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..problem import Problem
from ..state import State
from ..traffic.rate_limits import RateLimiter

Endpoint = Callable[[Request], Awaitable[Response]]


class AccessControl:
    """Checks tokens and rate limits."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._rate_limiter = RateLimiter(state.clock)

    def check(self, request: Request) -> dict[str, str]:
        """Check a request, and return the rate limit headers for its response.

        Raises `Problem` 401 or 429.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        is_valid = scheme.lower() in ("bearer", "token") and any(
            secrets.compare_digest(token.encode(), each.encode()) for each in self._state.tokens
        )
        if self._state.tokens and not is_valid:
            raise Problem(
                401, "You did not pass a valid authentication token", title="Unauthenticated"
            )
        path, settings = request.scope["path"], self._state.settings
        return self._rate_limiter.take(request.method, path, settings.rate_limits, settings.advice)

    def route(self, path: str, **endpoints: Endpoint) -> Route:
        """Return the route of a path, with an endpoint for each method."""

        async def dispatch(request: Request) -> Response:
            headers = self.check(request)
            method = "GET" if request.method == "HEAD" else request.method
            response = await endpoints[method](request)
            # The service's file endpoints have no rate limit headers.
            if not path.startswith("/files"):
                response.headers.update(headers)
            return response

        return Route(path, dispatch, methods=list(endpoints))
