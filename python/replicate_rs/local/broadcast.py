"""A notification that any number of tasks can wait for."""

from __future__ import annotations

import asyncio


class Broadcast:
    """Wakes all waiting tasks on each change. For the server's thread only."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None

    def notify(self) -> None:
        """Wake all tasks that wait now."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait for the next `notify`."""
        if self._event is None:
            self._event = asyncio.Event()
        await self._event.wait()
