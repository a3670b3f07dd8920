"""One rate of creates for the workers of several machines, kept in their journal."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from .pace import Pace

if TYPE_CHECKING:
    from .async_store import AsyncStore
    from .postgres import PostgresStore
    from .rate import CreateRate

# Seconds for which turns are taken at once; at most, and while no limit is known, so many turns.
TURNS_TIME = 0.1
MAX_TURNS = 64


class SharedPace(Pace):
    """A pace whose rate of creates is that of all workers together.

    Turns are taken from the journal, a few at a time. What the server accepted and refused since
    then is counted there with the next ones.
    """

    def __init__(
        self, concurrency: int, rate: float | None, store: PostgresStore, calls: AsyncStore
    ) -> None:
        super().__init__(concurrency, rate)
        self._store = store
        self._calls = calls
        # Turns that this worker has taken, by the monotonic clock.
        self._taken: deque[float] = deque()
        # What the journal does not know yet.
        self._accepted = 0
        self._refusals: list[float | None] = []

    async def wait_turn(self) -> None:
        """Wait until a create may be sent, first come, first served."""
        async with self._turns:
            while True:
                if not self._taken or self._refusals:
                    await self._take_turns()
                delay = max(self._taken[0], self._rate.paused_until) - monotonic()
                if delay <= 0:
                    self._taken.popleft()
                    return
                await asyncio.sleep(delay)

    async def _take_turns(self) -> None:
        """Count in the journal what happened, and take turns."""
        self._taken.clear()
        accepted, self._accepted = self._accepted, 0
        refusals, self._refusals = self._refusals, []

        def change(shared: CreateRate, now: float) -> tuple[float | None, list[float]]:
            shared.rate = shared.rate or self.max_rate
            for _ in range(accepted):
                shared.accept(now, self.max_rate)
            for retry_after in refusals:
                shared.refuse(now, retry_after)
            limit = shared.get_limit(self.max_rate, self._allowed)
            count = MAX_TURNS if limit == math.inf else int(limit * TURNS_TIME)
            count = min(max(count, 1), MAX_TURNS)
            # Taking turns takes time itself: without turns that are late, the rate would be lower.
            first = shared.take(now, limit, count, late=TURNS_TIME) - now + monotonic()
            return shared.rate, [first + at / limit for at in range(count)]

        rate, turns = await self._calls.call(self._store.share_rate, change)
        self._rate.rate = rate
        self._taken.extend(turns)

    def _count_accepted(self) -> None:
        self._accepted += 1

    def refused(self, retry_after: float | None) -> None:
        """Slow down after a create that the server refused for its rate."""
        self._refusals.append(retry_after)
