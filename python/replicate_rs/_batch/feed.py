"""The caller's inputs, read a few at a time while they are needed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from threading import Condition, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
    from typing import Any, Protocol

    from .keys import BadInput, Input

    Prepared = Input | BadInput

    class Feed(Protocol):
        """Reads inputs for an event loop."""

        async def read(self, count: int, patience: float = 0.0) -> list[Prepared]:
            """Wait for the next inputs; return none after the last one.

            Args:
                count: How many, at most.
                patience: Seconds for which more are waited for once there is one.

            """
            ...

        def close(self) -> None:
            """Read no more."""
            ...


class ThreadFeed:
    """Reads an iterable on a thread of its own, since its next item may take long.

    Items are handed over as they come: one that is late holds up none before it for long.
    """

    def __init__(
        self,
        inputs: Iterable[Any],
        read_item: Callable[[Any, int], Prepared],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._inputs = inputs
        self._read_item = read_item
        self._loop = loop
        self._changed = asyncio.Event()
        # The state that both threads share. The thread takes the lock only to wait and to wake.
        self._condition = Condition()
        self._items: deque[Prepared] = deque()
        # How many items were asked for in all, and how many were handed over.
        self._limit = 0
        self._given = 0
        self._is_waiting = False
        self._is_closed = False
        self._has_ended = False
        self._error: BaseException | None = None
        # Nothing ends an iterator that blocks, so the thread must not hold up the program's end.
        Thread(target=self._run, name="replicate-inputs", daemon=True).start()

    async def read(self, count: int, patience: float = 0.0) -> list[Prepared]:
        """Wait for the next inputs; return none after the last one."""
        with self._condition:
            # What is not taken now is read until the next call.
            self._limit = self._given + count
            self._condition.notify()
            self._changed.clear()
            # In this order: the thread adds an item, then looks whether it is waited for.
            self._is_waiting = True
            if self._items or self._has_ended:
                self._is_waiting = False
        while not self._items and not self._has_ended:
            await self._changed.wait()
            self._changed.clear()
        if patience and len(self._items) < count and not self._has_ended:
            await asyncio.sleep(patience)
        items = [self._items.popleft() for _ in range(min(len(self._items), count))]
        if not items and self._error is not None:
            raise self._error
        self._given += len(items)
        return items

    def close(self) -> None:
        """Read no more."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()

    def _run(self) -> None:
        try:
            iterator = iter(self._inputs)
            try:
                index = 0
                while self._may_read(index):
                    self._items.append(self._read_item(next(iterator), index))
                    index += 1
                    if self._is_waiting:
                        self._wake()
            except StopIteration:
                pass
            finally:
                close = getattr(iterator, "close", None)
                # A file is the caller's, a generator is not.
                if close is not None and hasattr(iterator, "gi_frame"):
                    close()
        except BaseException as error:  # noqa: BLE001 - raised to the caller
            self._error = error
        self._has_ended = True
        self._wake()

    def _may_read(self, count: int) -> bool:
        """Wait until more than `count` inputs are wanted; return False when none will be."""
        if count < self._limit:
            return not self._is_closed
        with self._condition:
            while count >= self._limit and not self._is_closed:
                self._condition.wait()
            return not self._is_closed

    def _wake(self) -> None:
        with self._condition:
            if self._is_waiting:
                self._is_waiting = False
                try:
                    self._loop.call_soon_threadsafe(self._changed.set)
                except RuntimeError:
                    # The loop was closed.
                    self._is_closed = True


class AsyncFeed:
    """Reads an async iterable on the event loop of its caller."""

    def __init__(
        self,
        inputs: AsyncIterable[Any],
        read_item: Callable[[Any, int], Prepared],
        home: asyncio.AbstractEventLoop,
    ) -> None:
        self._read_item = read_item
        self._index = 0
        self._inputs: AsyncIterator[Any] = aiter(inputs)
        self._home = home
        # What follows belongs to the caller's loop.
        self._items: deque[Any] = deque()
        self._wanted = 0
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._has_ended = False
        self._error: BaseException | None = None

    async def read(self, count: int, patience: float = 0.0) -> list[Prepared]:
        """Wait for the next inputs; return none after the last one."""
        if asyncio.get_running_loop() is self._home:
            items = await self._read(count, patience)
        else:
            items = await asyncio.wrap_future(
                asyncio.run_coroutine_threadsafe(self._read(count, patience), self._home)
            )
        # Files among the inputs are read.
        return await asyncio.to_thread(self._convert, items)

    def _convert(self, items: list[Any]) -> list[Prepared]:
        first, self._index = self._index, self._index + len(items)
        return [self._read_item(item, index) for index, item in enumerate(items, first)]

    async def _read(self, count: int, patience: float) -> list[Any]:
        # What is not taken now is read until the next call.
        self._wanted = count
        if self._reader is None or (self._reader.done() and not self._has_ended):
            self._reader = asyncio.create_task(self._fill())
        while not self._items and not self._reader.done():
            self._changed.clear()
            await self._changed.wait()
        # An item that is late does not hold up those before it.
        if patience:
            await asyncio.wait([self._reader], timeout=patience)
        items = [self._items.popleft() for _ in range(min(len(self._items), count))]
        if not items and self._error is not None:
            raise self._error
        self._wanted -= len(items)
        return items

    async def _fill(self) -> None:
        """Read what is wanted."""
        try:
            while len(self._items) < self._wanted:
                self._items.append(await anext(self._inputs))
                self._changed.set()
        except StopAsyncIteration:
            self._has_ended = True
        except BaseException as error:  # noqa: BLE001 - raised to the caller
            self._has_ended, self._error = True, error
        finally:
            self._changed.set()

    def close(self) -> None:
        """Read no more."""
        ending = self._end()
        try:
            asyncio.run_coroutine_threadsafe(ending, self._home)
        except RuntimeError:
            # The loop was closed, and its tasks with it.
            ending.close()

    async def _end(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        # Another iterator is the caller's, a generator is not.
        if isinstance(self._inputs, AsyncGenerator):
            await self._inputs.aclose()  # pyright: ignore[reportUnknownMemberType] - the caller's
