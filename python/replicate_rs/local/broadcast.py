"""Tells any number of waiters that something has changed."""

from __future__ import annotations

import asyncio


class Broadcast:
    """A change that can be waited for; belongs to the server's own thread."""

    def __init__(self) -> None:
        self._next: asyncio.Event | None = None

    def notify(self) -> None:
        """Wake all who wait."""
        if self._next is not None:
            self._next.set()
            self._next = None

    async def changed(self) -> None:
        """Wait for the next change."""
        if self._next is None:
            self._next = asyncio.Event()
        await self._next.wait()
