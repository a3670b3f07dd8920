"""Hand results from the thread that runs predictions to the thread or task that asked for them."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import suppress
from functools import partial
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .results import Result

# Seconds after which a blocked thread looks for signals, where a lock cannot be interrupted.
WAIT = 0.5


class Handoff:
    """A queue of results between an event loop and their consumer, who takes all there are."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._results: deque[Result] = deque()
        self._has_ended = False
        self._error: BaseException | None = None
        self._wake: Callable[[], object] | None = None
        self._taken = 0
        self._is_room_wanted = False

    def put(self, results: list[Result]) -> None:
        """Add results."""
        with self._condition:
            self._results.extend(results)
            self._notify()

    def end(self, error: BaseException | None = None) -> None:
        """Add no more; the consumer gets the error after the last result."""
        with self._condition:
            if not self._has_ended:
                self._has_ended, self._error = True, error
            self._notify()

    @property
    def has_ended(self) -> bool:
        """Whether no more results will come."""
        return self._has_ended

    def take(self) -> deque[Result]:
        """Wait for results on this thread; return none after the last one."""
        with self._condition:
            while not self._results and not self._has_ended:
                self._condition.wait(WAIT)
            return self._take()

    async def take_async(self) -> deque[Result]:
        """Wait for results on an event loop; return none after the last one."""
        from asyncio import get_running_loop, wait

        while True:
            with self._condition:
                if self._results or self._has_ended:
                    return self._take()
                loop = get_running_loop()
                ready: asyncio.Future[None] = loop.create_future()
                self._wake = partial(_wake, loop, ready)
            # The loop of a notebook's kernel looks for an interrupt only when it wakes up.
            while "ipykernel" in sys.modules and not ready.done():
                await wait((ready,), timeout=WAIT)
            await ready

    def took(self, count: int) -> bool:
        """Count results that the consumer is done with; return whether that is waited for."""
        with self._condition:
            self._taken += count
            is_wanted, self._is_room_wanted = self._is_room_wanted, False
        return is_wanted

    def collect_taken(self) -> int:
        """Return how many results were taken since the last call; if none, ask to be told."""
        with self._condition:
            taken, self._taken = self._taken, 0
            self._is_room_wanted = not taken
        return taken

    def _take(self) -> deque[Result]:
        results, self._results = self._results, deque()
        if not results and self._error is not None:
            error, self._error = self._error, None
            raise error
        return results

    def _notify(self) -> None:
        self._condition.notify()
        if self._wake is not None:
            wake, self._wake = self._wake, None
            # The consumer's loop may have been closed.
            with suppress(RuntimeError):
                wake()


def _wake(loop: asyncio.AbstractEventLoop, ready: asyncio.Future[None]) -> None:
    loop.call_soon_threadsafe(_set, ready)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
