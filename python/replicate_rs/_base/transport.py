"""How operations wait: on the calling thread, or on an event loop.

Every method of the core that sends a request returns a `Pending`. `Blocking` waits for it on this
thread, `Suspending` lets the event loop go on. Both have the async interface `Transport`, so that
each operation is written once.
"""

from __future__ import annotations

from sys import modules

from .._core import Pending

TYPE_CHECKING = False

if TYPE_CHECKING:
    from asyncio import Lock
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any, Protocol, TypeVar

    T = TypeVar("T")
    T_co = TypeVar("T_co", covariant=True)

    class Waitable(Protocol[T_co]):
        """A result that can be waited for on a thread, or awaited; most often a `Pending`."""

        def wait(self) -> T_co:
            """Wait on this thread, and return the result."""
            ...

        def __await__(self) -> Generator[Any, Any, T_co]:
            """Wait on an event loop."""
            ...

    class Transport(Protocol):
        """How an operation waits."""

        @staticmethod
        def finish(pending: Waitable[T]) -> Awaitable[T]:
            """Wait for a result of the core."""
            ...

        @staticmethod
        def call(function: Callable[..., T], *args: object) -> Awaitable[T]:
            """Run a function that may block (on a caller's file, or a disk)."""
            ...

        @staticmethod
        def each(
            items: AsyncGenerator[T, None], function: Callable[[T], object], *, holder: object
        ) -> Awaitable[None]:
            """Run a function that may block on each item of an async iterator.

            Tasks with the same `holder` do so one after another.
            """
            ...


def wait(pending: Waitable[T]) -> T:
    """Wait on this thread; with gevent or eventlet, other greenlets run meanwhile."""
    # Both import `greenlet`, at any time. A request through a caller's `fetch` is no `Pending`; it
    # waits for one in turn.
    if "greenlet" in modules and isinstance(pending, Pending):
        from .greenlets import find_event_loop

        loop = find_event_loop()
        if loop is not None:
            result: T = loop.wait(pending)
            return result
    return pending.wait()


async def _wait(pending: Waitable[T]) -> T:
    return wait(pending)


class Blocking:
    """Waits on the calling thread: these coroutines never suspend."""

    @staticmethod
    def finish(pending: Waitable[T]) -> Awaitable[T]:
        """Return what waits on this thread when it is awaited."""
        if isinstance(pending, Pending) and "greenlet" not in modules:
            return pending.blocking()
        return _wait(pending)

    @staticmethod
    async def call(function: Callable[..., T], *args: object) -> T:
        """Call the function on this thread."""
        return function(*args)

    @staticmethod
    async def each(
        items: AsyncGenerator[T, None],  # noqa: ARG004 - as in `Transport`
        function: Callable[[T], object],  # noqa: ARG004 - as above
        *,
        holder: object,  # noqa: ARG004 - as above
    ) -> None:
        """Raise `TypeError`: blocking code cannot await."""
        raise TypeError(
            "an async file needs an AsyncReplicate or an async_ method: or pass its content as"
            " bytes"
        )


class Suspending:
    """Waits on an event loop."""

    @staticmethod
    def finish(pending: Waitable[T]) -> Waitable[T]:
        """Return the core's awaitable, which does not block the loop."""
        return pending

    @staticmethod
    async def call(function: Callable[..., T], *args: object) -> T:
        """Call the function on a thread of the loop's executor."""
        from asyncio import to_thread

        return await to_thread(function, *args)

    @staticmethod
    async def each(
        items: AsyncGenerator[T, None], function: Callable[[T], object], *, holder: object
    ) -> None:
        """Call the function for each item on a thread of the loop's executor."""
        from asyncio import Lock, get_running_loop

        key = (id(get_running_loop()), id(holder))
        while True:
            lock = _turns.setdefault(key, Lock())
            await lock.acquire()
            # The task that held the lock may have removed it.
            if _turns.get(key) is lock:
                break
            lock.release()
        try:
            async for item in items:
                await Suspending.call(function, item)
        finally:
            try:
                # The iterator must restore its file before the next task reads it.
                await items.aclose()
            finally:
                _turns.pop(key).release()


# Locks of callers' async files, by the ids of the loop and the file.
_turns: dict[tuple[int, int], Lock] = {}
