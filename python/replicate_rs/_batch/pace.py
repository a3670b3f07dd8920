"""How many runs are in flight, and when predictions are created.

Both are found out, within the caller's limits: the rate of creates from refusals, the number of
runs in flight from failures of the server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

from .rate import DEFAULT_PAUSE, MAX_PAUSE, CreateRate

# Runs in flight at the beginning. Each accepted create adds one.
FIRST_WINDOW = 8.0
# Factor of the runs in flight after a failure of the server.
WINDOW_DECREASE = 0.5
# Seconds by which a create may be sent before its turn, so that at a high rate one waits for many.
BURST = 0.02


class Pace:
    """Limits the runs in flight and the creates a second.

    Args:
        concurrency: Runs in flight, at most.
        rate: Creates a minute, at most; None for what the server accepts.

    """

    def __init__(self, concurrency: int, rate: float | None = None) -> None:
        self.concurrency: int = concurrency
        self.max_rate: float | None = None if rate is None else rate / 60
        self.window: float = min(FIRST_WINDOW, concurrency)
        """Runs in flight, at most, at present."""
        self.in_flight: int = 0
        self._rate = CreateRate(self.max_rate, measured_from=monotonic())
        self._allowed: float | None = None
        self._entering: deque[asyncio.Future[None]] = deque()
        self._turns = asyncio.Lock()
        # Failures until then are of creates that were sent before the window was lowered.
        self._adapts_at = 0.0

    @property
    def rate(self) -> float | None:
        """Creates a second; None until the server has refused one."""
        return self._rate.rate

    @property
    def limit(self) -> float:
        """Creates a second, at most, at present."""
        return self._rate.get_limit(self.max_rate, self._allowed)

    async def enter(self) -> bool:
        """Wait until another run may be in flight, and return whether that took any time.

        `leave` ends it.
        """
        if not self._entering and self.in_flight < int(self.window):
            self.in_flight += 1
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._entering.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise
        return True

    def leave(self) -> None:
        """Count a run as ended."""
        self.in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._entering and self.in_flight < int(self.window):
            turn = self._entering.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    async def wait_turn(self) -> None:
        """Wait until a create may be sent, first come, first served."""
        rate, now = self._rate, monotonic()
        if now >= rate.paused_until:
            if rate.rate is None and self._allowed is None:
                return
            if now >= rate.next_at - BURST and not self._turns.locked():
                rate.take(now, self.limit)
                return
        async with self._turns:
            # A refusal meanwhile may move it.
            while not self._is_due():  # noqa: ASYNC110 - of time itself
                await asyncio.sleep(max(rate.next_at, rate.paused_until) - monotonic())
            rate.take(monotonic(), self.limit)

    def _is_due(self) -> bool:
        now = monotonic()
        return now >= self._rate.paused_until and now >= self._rate.next_at - BURST

    def accepted(self, allowed: float | None = None) -> None:
        """Count a create that the server accepted.

        Args:
            allowed: Creates a second that the server allows at present, if it says so.

        """
        self._allowed = allowed
        if self.window < self.concurrency:
            self.window = min(self.window + 1, self.concurrency)
            self._admit()
        self._count_accepted()

    def _count_accepted(self) -> None:
        self._rate.accept(monotonic(), self.max_rate)

    def refused(self, retry_after: float | None) -> None:
        """Slow down after a create that the server refused for its rate."""
        self._rate.refuse(monotonic(), retry_after)

    def failed(self, attempt: int) -> None:
        """Slow down after a create that failed at the server or on the way."""
        now = monotonic()
        self._rate.pause(now + min(DEFAULT_PAUSE * 2**attempt, MAX_PAUSE / 4))
        if now >= self._adapts_at:
            self._adapts_at = now + DEFAULT_PAUSE
            self.window = max(self.window * WINDOW_DECREASE, 1.0)
