"""The only place where blocking and suspending differ.

Every verb of the core gives a `Pending`. `Blocking` waits for it on this thread; `Suspending` lets the event loop go on. Both
have one async-shaped face, `Transport`, so that an endpoint is stated once.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Protocol, TypeVar

    from ._core import Core, Pending

    T = TypeVar("T")

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
        def each(items: AsyncIterator[T], function: Callable[[T], object]) -> Awaitable[None]:
            """Run a function that may block on each item of a caller's async iterator."""
            ...

        @staticmethod
        def part(core: Core, method: str, target: tuple[str, ...]) -> None:
            """Send a last request on the way out: best effort, bounded, never raising."""
            ...


# Seconds for a last request: a caller that is leaving must not be held up for longer.
PARTING = 5.0


class Blocking:
    """Async in form only: no await in here ever suspends."""

    @staticmethod
    async def finish(pending: Pending[T]) -> T:
        """Wait on this thread."""
        return pending.wait()

    @staticmethod
    async def call(function: Callable[..., T], *args: object) -> T:
        """Call it right here."""
        return function(*args)

    @staticmethod
    async def each(items: AsyncIterator[T], function: Callable[[T], object]) -> None:  # noqa: ARG004 - as the other has it
        """Refuse: there is nobody to await them."""
        raise TypeError("an async file needs an AsyncReplicate or an async_ method: or pass its content as bytes")

    @staticmethod
    def part(core: Core, method: str, target: tuple[str, ...]) -> None:
        """Send it and wait for the answer: the program may end right after."""
        try:
            from ._core import Expect

            core.send(method, target, Expect.STATUS, total=PARTING, last=True).wait()
        except Exception:  # noqa: BLE001, S110 - best effort: the caller is leaving with an exception of its own, or Python itself
            pass


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
    async def each(items: AsyncIterator[T], function: Callable[[T], object]) -> None:
        """Call it on a thread of the loop's executor."""
        async for item in items:
            await Suspending.call(function, item)

    @staticmethod
    def part(core: Core, method: str, target: tuple[str, ...]) -> None:
        """Hand it to the core and go: a cancelled task must not wait. The interpreter's end waits for it."""
        try:
            attend_the_end()
            core.detach(method, target, PARTING)
        except Exception:  # noqa: BLE001, S110 - best effort: the caller is leaving with an exception of its own, or Python itself
            pass


def hold(holder: object, core: Core, leave: Callable[[], object]) -> None:
    """Have `leave` called when the client of this core is closed, or the program ends; unless its holder is released before."""
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


def attend_the_end() -> None:
    """Have what is under way cancelled, and waited for, when the program ends."""
    global _attends
    if not _attends:
        from atexit import register

        _attends = True
        register(_end)


def _end() -> None:
    from ._core import finish_detached

    for holder in list(_held):
        _leave(holder)
    finish_detached(PARTING)


# What is under way, and what is to be done if its client is closed or the program ends before it.
_held: dict[object, tuple[Core, Callable[[], object]]] = {}
_attends = False
