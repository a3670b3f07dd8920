"""How an operation waits: the only difference between blocking and async calls.

Every method of the core returns a `Pending`. `Blocking` waits for it on this thread; `Suspending`
awaits it. Both have the same async methods, those of `Transport`, so that an operation is written
once.
"""

from __future__ import annotations

from sys import modules
from time import monotonic

from .._core import Core, Pending

TYPE_CHECKING = False

if TYPE_CHECKING:
    from asyncio import Lock
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any, Protocol, TypeVar

    T = TypeVar("T")
    T_co = TypeVar("T_co", covariant=True)

    class Waitable(Protocol[T_co]):
        """A result that can be waited for on a thread, or awaited: most often a `Pending`."""

        def wait(self) -> T_co:
            """Wait on this thread."""
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
            """Call a function that may block, such as a read from a disk."""
            ...

        @staticmethod
        def each(
            items: AsyncGenerator[T, None], function: Callable[[T], object], *, holder: object
        ) -> Awaitable[None]:
            """Call a function that may block with each item of a caller's async iterator.

            Only one task at a time does so per holder.
            """
            ...

        @staticmethod
        def part(core: Core, method: str, target: tuple[str, ...]) -> None:
            """Send a last request on the way out: best effort, bounded, never raising."""
            ...


# Seconds for a last request: a caller that is leaving must not be held up for longer.
PARTING = 5.0
# Seconds between two checks of whether all background requests have ended.
SETTLE_INTERVAL = 0.005


def wait(pending: Waitable[T]) -> T:
    """Wait on this thread; greenlets that share it run meanwhile."""
    # gevent and eventlet import greenlet, at any time. A result that is not a `Pending` comes from
    # a client's `fetch`, and waits for one in turn.
    if "greenlet" in modules and isinstance(pending, Pending):
        from .greenlets import find_event_loop

        loop = find_event_loop()
        if loop is not None:
            result: T = loop.wait(pending)
            return result
    return pending.wait()


class Blocking:
    """Waits on the calling thread: the methods are async, but never suspend."""

    @staticmethod
    async def finish(pending: Waitable[T]) -> T:
        """Wait on this thread."""
        return pending.wait() if "greenlet" not in modules else wait(pending)

    @staticmethod
    async def call(function: Callable[..., T], *args: object) -> T:
        """Call the function on this thread."""
        return function(*args)

    @staticmethod
    async def each(
        items: AsyncGenerator[T, None],  # noqa: ARG004 - as in `Suspending`
        function: Callable[[T], object],  # noqa: ARG004
        *,
        holder: object,  # noqa: ARG004
    ) -> None:
        """Raise: a blocking call cannot await the items."""
        raise TypeError(
            "an async file needs an AsyncReplicate or an async_ method: or pass its content as"
            " bytes"
        )

    @staticmethod
    def part(core: Core, method: str, target: tuple[str, ...]) -> None:
        """Send it and wait for the answer: the program may end right after.

        A greenlet goes, as a task does.
        """
        try:
            from .._core import Expect

            if _has_greenlets():
                # Whoever ends a greenlet must not be held up, and may end it once more meanwhile.
                core.detach(method, target, PARTING)
                return
            wait(core.send(method, target, Expect.STATUS, total=PARTING, last=True))
        except Exception:  # noqa: BLE001, S110 - best effort: the caller is leaving with an exception of its own, or Python itself
            pass


class Suspending:
    """Awaits on the running event loop."""

    @staticmethod
    def finish(pending: Waitable[T]) -> Waitable[T]:
        """Return the result itself, which is awaitable."""
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
        """Call the function on threads of the loop's executor, one item at a time."""
        from asyncio import Lock, get_running_loop

        key = (id(get_running_loop()), id(holder))
        while True:
            lock = _locks.setdefault(key, Lock())
            await lock.acquire()
            # The task that held the lock before has removed it; another may have set a new one.
            if _locks.get(key) is lock:
                break
            lock.release()
        try:
            async for item in items:
                await Suspending.call(function, item)
        finally:
            try:
                # The iterator resets its file before the next task reads it.
                await items.aclose()
            finally:
                _locks.pop(key).release()

    @staticmethod
    def part(core: Core, method: str, target: tuple[str, ...]) -> None:
        """Hand it to the core and go: a cancelled task must not wait.

        The interpreter's end waits for it.
        """
        try:
            attend_the_end()
            core.detach(method, target, PARTING)
        except Exception:  # noqa: BLE001, S110 - best effort: the caller is leaving with an exception of its own, or Python itself
            pass


def hold(holder: object, core: Core, leave: Callable[[], object]) -> None:
    """Have `leave` called when the client of this core is closed, or the program ends; unless its
    holder is released before.
    """
    attend_the_end()
    _held[holder] = (core, leave)


def release(holder: object) -> None:
    """Have nothing done for a holder any more."""
    _held.pop(holder, None)


def held(core: Core) -> int:
    """Return how many holders the client of this core has."""
    return sum(each is core for each, _ in list(_held.values()))


def leave_all(core: Core) -> None:
    """Do for each holder of this core what is to be done when its caller leaves."""
    for holder, (owner, _) in list(_held.items()):
        if owner is core:
            _leave(holder)


def _leave(holder: object) -> None:
    # Threads go on meanwhile, and may be done with theirs.
    entry = _held.pop(holder, None)
    if entry is not None:
        entry[1]()


def _has_greenlets() -> bool:
    if "greenlet" not in modules:
        return False
    from .greenlets import is_patched

    return is_patched()


def attend_the_end() -> None:
    """Have what is under way cancelled, and waited for, when the program ends."""
    global _attends
    if not _attends:
        from atexit import register

        _attends = True
        register(_end)


def _end() -> None:
    from .._core import finish_detached

    for holder in list(_held):
        _leave(holder)
    finish_detached(PARTING)


# What is under way, and what is to be done if its client is closed or the program ends before it.
_held: dict[object, tuple[Core, Callable[[], object]]] = {}
_attends = False
# Held by the task that reads a caller's async file; by the ids of the event loop and the file.
_locks: dict[tuple[int, int], Lock] = {}


async def settle(transport: type[Transport], core: Core, limit: float) -> int:
    """Wait until all background requests of a core have ended; return how many have not in time.

    Args:
        transport: How to wait.
        core: The core.
        limit: Seconds to wait at most.

    """
    end = monotonic() + limit
    while core.unattended and monotonic() < end:
        await transport.finish(core.sleep(SETTLE_INTERVAL, closed_too=True))
    return core.unattended
