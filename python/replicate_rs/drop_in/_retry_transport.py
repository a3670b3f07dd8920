"""1.0.7's `RetryTransport`, for programs that make clients of httpx with it; this library does not
use it.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import httpx

from .._core import retry_after

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable


class RetryTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """A transport of httpx that repeats requests which may be repeated, after a pause that doubles
    each time.
    """

    RETRYABLE_METHODS = frozenset(("HEAD", "GET", "PUT", "DELETE", "OPTIONS", "TRACE"))
    RETRYABLE_STATUS_CODES = frozenset((429, 503, 504))
    MAX_BACKOFF_WAIT = 60

    def __init__(
        self,
        wrapped_transport: Any,
        *,
        max_attempts: int = 10,
        max_backoff_wait: float = MAX_BACKOFF_WAIT,
        backoff_factor: float = 0.1,
        jitter_ratio: float = 0.1,
        retryable_methods: Iterable[str] | None = None,
        retry_status_codes: Iterable[int] | None = None,
    ) -> None:
        if not 0 <= jitter_ratio <= 0.5:
            raise ValueError(f"jitter ratio should be between 0 and 0.5, actual {jitter_ratio}")
        self._wrapped_transport = wrapped_transport
        self.max_attempts = max_attempts
        self.max_backoff_wait = max_backoff_wait
        self.backoff_factor = backoff_factor
        self.jitter_ratio = jitter_ratio
        self.retryable_methods: frozenset[str] = frozenset(
            retryable_methods or self.RETRYABLE_METHODS
        )
        self.retry_status_codes: frozenset[int] = frozenset(
            retry_status_codes or self.RETRYABLE_STATUS_CODES
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, again if it has to be."""
        attempt = 1
        response: httpx.Response = self._wrapped_transport.handle_request(request)
        while self._repeats(request, response, attempt):
            response.close()
            time.sleep(self._pause(response, attempt))
            attempt += 1
            response = self._wrapped_transport.handle_request(request)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, again if it has to be."""
        attempt = 1
        response: httpx.Response = await self._wrapped_transport.handle_async_request(request)
        while self._repeats(request, response, attempt):
            await response.aclose()
            await asyncio.sleep(self._pause(response, attempt))
            attempt += 1
            response = await self._wrapped_transport.handle_async_request(request)
        return response

    def close(self) -> None:
        """Close the transport that was given."""
        self._wrapped_transport.close()

    async def aclose(self) -> None:
        """Close the transport that was given."""
        await self._wrapped_transport.aclose()

    def _repeats(self, request: httpx.Request, response: httpx.Response, attempt: int) -> bool:
        may_be = (
            request.method in self.retryable_methods
            and response.status_code in self.retry_status_codes
        )
        return may_be and attempt < self.max_attempts

    def _pause(self, response: httpx.Response, attempt: int) -> float:
        """Return the seconds to wait: what the server says, else a pause with jitter."""
        said = retry_after(response.headers.get("retry-after"), response.headers.get("date"), b"")
        if said is not None:
            return min(said, self.max_backoff_wait)
        backoff = self.backoff_factor * 2.0 ** (attempt - 1)
        jitter = backoff * self.jitter_ratio * random.choice((1, -1))  # noqa: S311 - nothing is kept secret with it
        return min(backoff + jitter, self.max_backoff_wait)
