"""1.0.7's `RetryTransport`, for programs that create clients of httpx with it."""

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
    """A transport of httpx that retries requests, with exponential backoff.

    Args:
        wrapped_transport: The transport that sends the requests.
        max_attempts: The number of attempts in all.
        max_backoff_wait: Seconds between two attempts at most.
        backoff_factor: Seconds before the second attempt; doubled with each further one.
        jitter_ratio: The random part of the wait, from 0 to 0.5.
        retryable_methods: The methods to retry.
        retry_status_codes: The status codes to retry.

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
        """Send a request, and retry it if necessary."""
        attempt = 1
        response: httpx.Response = self._wrapped_transport.handle_request(request)
        while self._should_retry(request, response, attempt):
            response.close()
            time.sleep(self._get_wait(response, attempt))
            attempt += 1
            response = self._wrapped_transport.handle_request(request)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and retry it if necessary."""
        attempt = 1
        response: httpx.Response = await self._wrapped_transport.handle_async_request(request)
        while self._should_retry(request, response, attempt):
            await response.aclose()
            await asyncio.sleep(self._get_wait(response, attempt))
            attempt += 1
            response = await self._wrapped_transport.handle_async_request(request)
        return response

    def close(self) -> None:
        """Close the wrapped transport."""
        self._wrapped_transport.close()

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._wrapped_transport.aclose()

    def _should_retry(self, request: httpx.Request, response: httpx.Response, attempt: int) -> bool:
        return (
            request.method in self.retryable_methods
            and response.status_code in self.retry_status_codes
            and attempt < self.max_attempts
        )

    def _get_wait(self, response: httpx.Response, attempt: int) -> float:
        """Return the seconds to wait: as the server says, else exponential backoff with jitter."""
        seconds = retry_after(
            response.headers.get("retry-after"), response.headers.get("date"), b""
        )
        if seconds is not None:
            return min(seconds, self.max_backoff_wait)
        backoff = self.backoff_factor * 2.0 ** (attempt - 1)
        jitter = backoff * self.jitter_ratio * random.choice((1, -1))  # noqa: S311 - not for security
        return min(backoff + jitter, self.max_backoff_wait)
