"""Failures of the network and of the server, which `map` waits for to pass."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from .._base.logging import logger
from ..exceptions import APIConnectionError, APIResponseValidationError, APIStatusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..exceptions import APIError

T = TypeVar("T")

# Seconds for which requests may fail one after another before the error is raised.
MAX_OUTAGE = 600.0
# Seconds between two warnings meanwhile.
WARNING_INTERVAL = 60.0
# Failures of the network, of the server or of something between them, which may pass.
PASSING = (APIConnectionError, APIResponseValidationError, APIStatusError)
# The longest pause between two attempts, in seconds.
MAX_BACKOFF = 30
# Statuses of requests that are refused for the time being.
TEMPORARY = (408, 409, 429)


class Outage:
    """For how long requests have failed."""

    def __init__(self) -> None:
        self.failing_since: float | None = None
        """By the monotonic clock; None while requests succeed."""
        self._failed_at = 0.0
        self._warned_at = 0.0

    def end(self) -> None:
        """Note that a request succeeded."""
        self.failing_since = None

    def check(self, error: APIError) -> None:
        """Raise an error that will not pass, or that has not passed for `MAX_OUTAGE` seconds."""
        status = error.status
        if status is not None and 400 <= status < 500 and status not in TEMPORARY:
            raise error
        now = monotonic()
        if self.failing_since is None or now - self._failed_at > MAX_OUTAGE / 2:
            # None failed for so long: what failed before was another outage.
            self.failing_since = now
            self._warned_at = now
            logger.info("map: a request failed, and is repeated: %s", error)
        elif now - self._warned_at > WARNING_INTERVAL:
            self._warned_at = now
            logger.warning(
                "map: requests have failed for %.0f s, and are repeated: %s",
                now - self.failing_since,
                error,
            )
        self._failed_at = now
        if now - self.failing_since > MAX_OUTAGE:
            raise error

    async def outlast(
        self,
        request: Callable[[], Awaitable[T]],
        on_exit: Callable[[BaseException], object] | None = None,
    ) -> T:
        """Send a request until it succeeds.

        Args:
            request: Sends it once.
            on_exit: Called with what interrupts a pause between two attempts.

        """
        attempt = 0
        while True:
            try:
                return await request()
            except PASSING as error:
                self.check(error)
            try:
                await asyncio.sleep(float(min(2**attempt, MAX_BACKOFF)))
            except BaseException as error:
                if on_exit is not None:
                    on_exit(error)
                raise
            attempt += 1
