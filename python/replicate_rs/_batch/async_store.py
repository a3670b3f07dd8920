"""A journal's store for coroutines: one that may wait for another machine is used on a thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from .store import Store

P = ParamSpec("P")
T = TypeVar("T")


class AsyncStore:
    """Calls the methods of a store, one after the other, as they are asked for."""

    def __init__(self, store: Store) -> None:
        self.store: Store = store
        # A file of this machine is faster than a thread would be.
        self._thread = ThreadPoolExecutor(1, "replicate-journal") if store.is_remote else None

    async def call(self, method: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Call a method of the store, and return its result."""
        if self._thread is None:
            return method(*args, **options)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(method, *args, **options))

    async def close(self) -> None:
        """Close the store."""
        try:
            await self.call(self.store.close)
        finally:
            if self._thread is not None:
                self._thread.shutdown(wait=False)
