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

        async def read(self, count: int) -> list[Prepared]:
            """Wait for the next inputs, at most `count`; return none after the last one."""
            ...

        def close(self) -> None:
            """Read no more."""
            ...


class ThreadFeed:
    """Reads an iterable on a thread of its own, since its next item may take long.

    Items are handed over as they come: one that is late holds up none before it.
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
        # The state that both threads share.
        self._condition = Condition()
        self._items: deque[Prepared] = deque()
        self._wanted = 0
        self._is_waiting = False
        self._is_closed = False
        self._has_ended = False
        self._error: BaseException | None = None
        # Nothing ends an iterator that blocks, so the thread must not hold up the program's end.
        Thread(target=self._run, name="replicate-inputs", daemon=True).start()

    async def read(self, count: int) -> list[Prepared]:
        """Wait for the next inputs, at most `count`; return none after the last one."""
        while True:
            with self._condition:
                self._wanted = count
                self._condition.notify()
                if self._items:
                    items = [self._items.popleft() for _ in range(min(len(self._items), count))]
                    # The rest of what was asked for is read until the next call.
                    self._wanted -= len(items)
                    return items
                if self._error is not None:
                    raise self._error
                if self._has_ended:
                    return []
                self._is_waiting = True
                self._changed.clear()
            await self._changed.wait()

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
                while self._may_read():
                    self._put(self._read_item(next(iterator), index))
                    index += 1
            except StopIteration:
                pass
            finally:
                close = getattr(iterator, "close", None)
                # A file is the caller's, a generator is not.
                if close is not None and hasattr(iterator, "gi_frame"):
                    close()
        except BaseException as error:  # noqa: BLE001 - raised to the caller
            self._error = error
        with self._condition:
            self._has_ended = True
            self._wake()

    def _may_read(self) -> bool:
        """Wait until an input is wanted; return False when none will be."""
        with self._condition:
            while len(self._items) >= self._wanted and not self._is_closed:
                self._condition.wait()
            return not self._is_closed

    def _put(self, item: Prepared) -> None:
        with self._condition:
            self._items.append(item)
            self._wake()

    def _wake(self) -> None:
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
        self._next: asyncio.Future[Any] | None = None

    async def read(self, count: int) -> list[Prepared]:
        """Wait for the next inputs, at most `count`; return none after the last one."""
        if asyncio.get_running_loop() is self._home:
            items = await self._read(count)
        else:
            items = await asyncio.wrap_future(
                asyncio.run_coroutine_threadsafe(self._read(count), self._home)
            )
        # Files among the inputs are read.
        return await asyncio.to_thread(self._convert, items)

    def _convert(self, items: list[Any]) -> list[Prepared]:
        first, self._index = self._index, self._index + len(items)
        return [self._read_item(item, index) for index, item in enumerate(items, first)]

    async def _read(self, count: int) -> list[Any]:
        items: list[Any] = []
        while len(items) < count:
            if self._next is None:
                self._next = asyncio.ensure_future(self._get_next())
            # An item that is late does not hold up those before it.
            await asyncio.wait([self._next], timeout=0 if items else None)
            if not self._next.done():
                break
            done, self._next = self._next, None
            try:
                items.append(done.result())
            except StopAsyncIteration:
                self._next = done
                break
            except BaseException:
                if not items:
                    raise
                self._next = done
                break
        return items

    async def _get_next(self) -> Any:
        return await anext(self._inputs)

    def close(self) -> None:
        """Read no more."""
        ending = self._end()
        try:
            asyncio.run_coroutine_threadsafe(ending, self._home)
        except RuntimeError:
            # The loop was closed, and its tasks with it.
            ending.close()

    async def _end(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait([self._next])
            if not self._next.cancelled():
                # Nobody asks for it any more, and asyncio would report an error in it.
                self._next.exception()
        # Another iterator is the caller's, a generator is not.
        if isinstance(self._inputs, AsyncGenerator):
            await self._inputs.aclose()  # pyright: ignore[reportUnknownMemberType] - the caller's
