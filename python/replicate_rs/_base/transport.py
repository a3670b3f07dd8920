"""The only place where blocking and suspending differ.

Every verb of the core gives a `Pending`. `Blocking` waits for it on this thread; `Suspending` lets
the event loop go on. Both have one async-shaped face, `Transport`, so that an endpoint is stated
once.
"""

from __future__ import annotations

from sys import modules

from .._core import Pending

TYPE_CHECKING = False

if TYPE_CHECKING:
    from asyncio import Lock
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Protocol, TypeVar

    T = TypeVar("T")
    T_co = TypeVar("T_co", covariant=True)

    class Waitable(Protocol[T_co]):
        """What can be waited for on a thread."""

        def wait(self) -> T_co:
            """Wait for it."""
            ...

    class Transport(Protocol):
        """How an operation waits."""

        @staticmethod
        def finish(pending: Pending[T]) -> Awaitable[T]:
            """Wait for an answer of the core."""
            ...

        @staticmethod
        def call(function: Callable[..., T], *args: object) -> Awaitable[T]:
            """Run a function that may block (a caller's file, a disk) where it disturbs nobody."""
            ...

        @staticmethod
        def each(
            items: AsyncGenerator[T, None], function: Callable[[T], object], *, holder: object
        ) -> Awaitable[None]:
            """Run a function that may block on each item of a caller's async iterator, for one task
            at a time per holder.
            """
            ...


def wait(pending: Waitable[T]) -> T:
    """Wait on this thread; where greenlets share it, the others run meanwhile."""
    # gevent and eventlet both import it, at any time. What goes through a caller's `fetch` waits
    # for others in turn.
    if "greenlet" in modules and isinstance(pending, Pending):
        from .greenlets import running_hub

        hub = running_hub()
        if hub is not None:
            answer: T = hub.wait(pending)
            return answer
    return pending.wait()


class Blocking:
    """Async in form only: no await in here ever suspends."""

    @staticmethod
    async def finish(pending: Pending[T]) -> T:
        """Wait on this thread."""
        return pending.wait() if "greenlet" not in modules else wait(pending)

    @staticmethod
    async def call(function: Callable[..., T], *args: object) -> T:
        """Call it right here."""
        return function(*args)

    @staticmethod
    async def each(
        items: AsyncGenerator[T, None],  # noqa: ARG004 - as `Awaited.each` has it
        function: Callable[[T], object],  # noqa: ARG004
        *,
        holder: object,  # noqa: ARG004
    ) -> None:
        """Refuse: there is nobody to await them."""
        raise TypeError(
            "an async file needs an AsyncReplicate or an async_ method: or pass its content as"
            " bytes"
        )


class Suspending:
    """For event loops."""

    @staticmethod
    def finish(pending: Pending[T]) -> Pending[T]:
        """Wait without blocking the loop: the core's awaitable itself."""
        return pending

    @staticmethod
    async def call(function: Callable[..., T], *args: object) -> T:
        """Call it on a thread of the loop's executor."""
        from asyncio import to_thread

        return await to_thread(function, *args)

    @staticmethod
    async def each(
        items: AsyncGenerator[T, None], function: Callable[[T], object], *, holder: object
    ) -> None:
        """Call it on a thread of the loop's executor."""
        from asyncio import Lock, get_running_loop

        key = (id(get_running_loop()), id(holder))
        while True:
            lock = _turns.setdefault(key, Lock())
            await lock.acquire()
            # Whoever had it before has taken it away.
            if _turns.get(key) is lock:
                break
            lock.release()
        try:
            async for item in items:
                await Suspending.call(function, item)
        finally:
            try:
                # However this ended, the iterator puts its file back before the next task has it.
                await items.aclose()
            finally:
                _turns.pop(key).release()


# Who reads a caller's async file, by its loop and its identity.
_turns: dict[tuple[int, int], Lock] = {}
