"""The server's clock: real time, moved forward by a test on request."""

from __future__ import annotations

import asyncio
import heapq
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count


def monotonic() -> float:
    """Return monotonic seconds, unaffected by libraries that freeze Python's clocks."""
    return time.clock_gettime(time.CLOCK_MONOTONIC) if sys.platform != "win32" else time.monotonic()


class Timer:
    """A callback that a `Clock` calls once, unless it is cancelled before."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Drop the callback."""
        self._callback = None

    def fire(self) -> None:
        """Call the callback, the first time only."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Clock:
    """Returns the time and fires timers.

    Only `time` may be used outside of the server's thread.
    """

    def __init__(self) -> None:
        # Counting from a start keeps timers correct when the system clock is set meanwhile.
        self._start = time.time() - monotonic()
        self._timers: list[tuple[float, int, Timer]] = []
        self._timer_number = count()
        self._alarm: asyncio.TimerHandle | None = None

    def time(self) -> float:
        """Return the current time, in seconds since 1970."""
        return self._start + monotonic()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` at the time `when`."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (when, next(self._timer_number), timer))
        if self._timers[0][2] is timer:
            self._set_alarm()
        return timer

    async def sleep(self, seconds: float) -> None:
        """Suspend for this many seconds of this clock."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not done.done():
                done.set_result(None)

        timer = self.call_at(self.time() + seconds, wake)
        try:
            await done
        finally:
            timer.cancel()

    def advance(self, seconds: float) -> None:
        """Move the clock forward, and fire the timers that become due, in order."""
        self._start += seconds
        self._fire()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        delay = max(0.0, self._timers[0][0] - self.time())
        self._alarm = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= self.time():
            heapq.heappop(self._timers)[2].fire()
        if self._timers:
            self._set_alarm()


def format_time(timestamp: float) -> str:
    """Return seconds since 1970 in the API's format, ISO 8601 in UTC."""
    return (
        datetime.fromtimestamp(timestamp, UTC)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z")
    )


def parse_time(value: str) -> float:
    """Return an ISO 8601 time as seconds since 1970; without a zone, it is UTC.

    Raises `ValueError`.
    """
    parsed = datetime.fromisoformat(value)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
