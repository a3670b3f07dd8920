"""Write to the journal what happened, and hand over the results, which are safe then."""

from __future__ import annotations

import asyncio
from json import dumps
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .async_store import AsyncStore
    from .handoff import Handoff
    from .results import Result
    from .rows import Outcome
    from .tasks import Tasks

# Seconds for which what happened is collected, and written in one transaction.
WRITE_DELAY = 0.02


class Delivery:
    """What happened since the journal was written for the last time."""

    def __init__(
        self, store: AsyncStore, handoff: Handoff, tasks: Tasks, *, is_ordered: bool = False
    ) -> None:
        self._store = store
        self._handoff = handoff
        self._tasks = tasks
        self.done = 0
        """Results so far."""
        self.open: dict[int, str] = {}
        """Predictions whose end is not written yet, by the numbers of their inputs."""
        self.on_write: Callable[[], object] | None = None
        """Called after each time."""
        self._created: list[tuple[str, int]] = []
        self._outcomes: list[Outcome] = []
        self._files: list[tuple[str, int]] = []
        self._results: list[Result] = []
        self._is_ordered = is_ordered
        # Results that wait for those of earlier inputs, by index.
        self._waiting: dict[int, Result] = {}
        self._next_index = 0
        self._is_due = False
        self._writing = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None

    def add_created(self, prediction: str, number: int) -> None:
        """Note the prediction of an input."""
        self.open[number] = prediction
        self._created.append((prediction, number))
        self._touch()

    def add_outcome(self, outcome: Outcome) -> None:
        """Note what became of an input."""
        self._outcomes.append(outcome)
        self._touch()

    def add_files(self, files: list[str], number: int) -> None:
        """Note where the files of an output were saved."""
        self._files.append((dumps(files), number))
        self._touch()

    def deliver(self, result: Result) -> None:
        """Hand over a result once what was noted before is written."""
        self.done += 1
        if not self._is_ordered:
            self._results.append(result)
        else:
            self._waiting[result.index] = result
            while (due := self._waiting.pop(self._next_index, None)) is not None:
                self._next_index += 1
                self._results.append(due)
        self._touch()

    def _touch(self) -> None:
        """Write in a moment, together with what happens until then."""
        if not self._is_due:
            self._is_due = True
            self._timer = asyncio.get_running_loop().call_later(WRITE_DELAY, self._start_flush)

    def stop(self) -> None:
        """Write no more, except when asked to."""
        self._is_due = True
        if self._timer is not None:
            self._timer.cancel()

    def _start_flush(self) -> None:
        self._tasks.spawn(self._flush())

    async def _flush(self) -> None:
        self._is_due = False
        await self.write()
        if self.on_write is not None:
            self.on_write()

    async def write(self) -> None:
        """Write now."""
        # Results are handed over in the order in which they came, also if the first wait for the
        # journal and the next ones do not.
        async with self._writing:
            created, self._created = self._created, []
            outcomes, self._outcomes = self._outcomes, []
            files, self._files = self._files, []
            results, self._results = self._results, []
            if created or outcomes or files:
                await self._store.call(self._store.store.write, created, outcomes, files)
                for outcome in outcomes:
                    self.open.pop(outcome.number, None)
            if results:
                self._handoff.put(results)
