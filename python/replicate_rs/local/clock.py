"""The server's clock: real time, and as much further as a test has moved it."""

from __future__ import annotations

import asyncio
import heapq
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count


def monotonic() -> float:
    """Return seconds that go on even where a test has stopped Python's clocks."""
    return time.clock_gettime(time.CLOCK_MONOTONIC) if sys.platform != "win32" else time.monotonic()


class Timer:
    """Something to be done at a moment."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not do it."""
        self._callback = None

    def fire(self) -> None:
        """Do it now."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Clock:
    """Tells the time, and does things at theirs.

    Everything but `time` belongs to the server's own thread.
    """

    def __init__(self) -> None:
        # A system clock that is set while the server runs must not fire or hold back a timer.
        self._start = time.time() - monotonic()
        self._timers: list[tuple[float, int, Timer]] = []
        self._number = count()
        self._alarm: asyncio.TimerHandle | None = None

    def time(self) -> float:
        """Give the present, in seconds since 1970."""
        return self._start + monotonic()

    def call_at(self, moment: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` at `moment`."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (moment, next(self._number), timer))
        if self._timers[0][2] is timer:
            self._set_alarm()
        return timer

    async def sleep(self, seconds: float) -> None:
        """Suspend for some of this clock's seconds."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        timer = self.call_at(self.time() + seconds, wake)
        try:
            await over
        finally:
            timer.cancel()

    def advance(self, seconds: float) -> None:
        """Move on, and do at once what comes due on the way, in its order."""
        self._start += seconds
        self._fire()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        wait = max(0.0, self._timers[0][0] - self.time())
        self._alarm = asyncio.get_running_loop().call_later(wait, self._fire)

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= self.time():
            heapq.heappop(self._timers)[2].fire()
        if self._timers:
            self._set_alarm()


def text(moment: float) -> str:
    """Write a moment as the API does."""
    return (
        datetime.fromtimestamp(moment, UTC)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z")
    )


def read(moment: str) -> float:
    """Read an ISO 8601 moment; one without a zone is in UTC. Raises `ValueError`."""
    parsed = datetime.fromisoformat(moment)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
