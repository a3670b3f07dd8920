"""How many runs are in flight, and how many predictions are created a minute.

Both are found by additive increase and multiplicative decrease, within the caller's limits: the
rate from refusals (status 429), the number in flight from failures of the server.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from time import monotonic

# Runs in flight at the beginning. Each accepted create adds one.
FIRST_WINDOW = 8.0
# Factors of the rate after a refusal, and of the runs in flight after a failure of the server.
RATE_DECREASE = 0.8
WINDOW_DECREASE = 0.5
# The most by which one refusal lowers the rate, where the server accepted much less.
MAX_DECREASE = 0.3
# The rate grows by this part a second, and at most by this part with each accepted create.
RATE_INCREASE = 0.006
# Until the first rate that was found is refused, and after so many creates and seconds without
# a refusal, it grows by this part with each accepted create.
PROBING_INCREASE = 0.05
PROBING_CREATES = 10
PROBING_TIME = 30.0
# The least rate, in creates a second.
MIN_RATE = 1 / 20
# Seconds that all creates pause after a refusal that names no delay, and after a failure.
DEFAULT_PAUSE = 1.0
# The longest pause.
MAX_PAUSE = 120.0
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
        self.rate: float | None = self.max_rate
        """Creates a second; None until the server has refused one."""
        self.window: float = min(FIRST_WINDOW, concurrency)
        """Runs in flight, at most, at present."""
        self.in_flight: int = 0
        self.refusals: int = 0
        self._allowed: float | None = None
        self._next_at = 0.0
        self._paused_until = 0.0
        # Creates that were accepted since then.
        self._accepted = 0
        self._measured_from = monotonic()
        self._entering: deque[asyncio.Future[None]] = deque()
        self._turns = asyncio.Lock()
        # Refusals until then are answers to creates that were sent before the rate was lowered.
        self._adapts_at = 0.0
        # Whether the server's rate is not known roughly yet.
        self._is_probing = False

    async def enter(self) -> None:
        """Wait until another run may be in flight; `leave` ends it."""
        if not self._entering and self.in_flight < int(self.window):
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._entering.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

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
        if self.rate is None and self._allowed is None and self._paused_until <= monotonic():
            return
        if not self._turns.locked() and self._is_due():
            self._take_turn()
            return
        async with self._turns:
            # A refusal meanwhile may move it.
            while not self._is_due():  # noqa: ASYNC110 - of time itself
                await asyncio.sleep(max(self._next_at, self._paused_until) - monotonic())
            self._take_turn()

    def _is_due(self) -> bool:
        now = monotonic()
        return now >= self._paused_until and now >= self._next_at - BURST

    @property
    def limit(self) -> float:
        """Creates a second, at most, at present."""
        return min(self.rate or math.inf, self._allowed or math.inf)

    def _take_turn(self) -> None:
        if (limit := self.limit) < math.inf:
            interval = 1 / limit
            # Creates that come late have no claim to the time before them.
            self._next_at = max(self._next_at + interval, monotonic())

    def accepted(self, allowed: float | None = None) -> None:
        """Count a create that the server accepted.

        Args:
            allowed: Creates a second that the server allows at present, if it says so.

        """
        self._allowed = allowed
        if self.window < self.concurrency:
            self.window = min(self.window + 1, self.concurrency)
            self._admit()
        self._accepted += 1
        if self.rate is not None and self.rate != self.max_rate:
            self.rate *= 1 + (
                PROBING_INCREASE
                if self._is_probing or self._is_below_limit()
                else min(RATE_INCREASE, RATE_INCREASE / self.rate)
            )
            if self.max_rate is not None:
                self.rate = min(self.rate, self.max_rate)

    def _is_below_limit(self) -> bool:
        """Whether the server has accepted creates for so long that it may accept many more."""
        return (
            self._accepted >= PROBING_CREATES and monotonic() - self._measured_from > PROBING_TIME
        )

    def refused(self, retry_after: float | None) -> None:
        """Slow down after a create that the server refused for its rate."""
        now = monotonic()
        self.refusals += 1
        delay = min(DEFAULT_PAUSE if retry_after is None else retry_after, MAX_PAUSE)
        self._pause(now + delay)
        if now < self._adapts_at:
            return
        # What the server accepted since it refused for the last time; at first, that includes what
        # it had saved up.
        measured = max(self._accepted, 1) / max(now - self._measured_from, DEFAULT_PAUSE)
        if self.rate is None:
            self.rate = measured * RATE_DECREASE
            self._is_probing = True
        else:
            lower = max(measured, self.rate * MAX_DECREASE)
            self.rate = min(self.rate * RATE_DECREASE, lower)
            self._is_probing = False
        self.rate = max(self.rate, MIN_RATE)
        self._accepted, self._measured_from = 0, now
        self._adapts_at = now + delay + DEFAULT_PAUSE

    def failed(self, attempt: int) -> None:
        """Slow down after a create that failed at the server or on the way."""
        now = monotonic()
        self._pause(now + min(DEFAULT_PAUSE * 2**attempt, MAX_PAUSE / 4))
        if now >= self._adapts_at:
            self._adapts_at = now + DEFAULT_PAUSE
            self.window = max(self.window * WINDOW_DECREASE, 1.0)

    def _pause(self, until: float) -> None:
        self._paused_until = max(self._paused_until, until)
        self._next_at = max(self._next_at, until)
