"""The tasks of one call of `map`, of which the first that fails ends the call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any


class Tasks:
    """Tasks that belong to the task that creates this."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        """What ended the call."""
        self._main = asyncio.current_task()
        self._tasks: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._is_ending = False

    def spawn(self, coroutine: Coroutine[Any, Any, None], *, is_background: bool = False) -> None:
        """Start a task; `join` does not wait for one in the background."""
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        tasks = self._background if is_background else self._tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the call with an error, unless it is ending already."""
        if self.error is None and self._main is not None and not self._is_ending:
            self.error = error
            self._main.cancel()

    def fail_soon(self, error: BaseException) -> None:
        """End the call with an error after what the present task still does."""
        asyncio.get_running_loop().call_soon(self.fail, error)

    async def join(self) -> None:
        """Wait until all tasks have ended, those too that are started meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def end(self) -> None:
        """Cancel all tasks, and wait for their end. What fails from now on ends nothing."""
        self._is_ending = True
        tasks = [*self._tasks, *self._background]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
