"""The only place where blocking and suspending differ.

Every verb of the core gives a `Pending`. `Blocking` waits for it on this thread; `Suspending` lets the event loop go on. Both
have one async-shaped face, `Transport`, so that an endpoint is stated once.
"""

from __future__ import annotations

from sys import modules

from ._core import Core, Pending

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any, Protocol, TypeVar

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
        def each(items: AsyncIterator[T], function: Callable[[T], object]) -> Awaitable[None]:
            """Run a function that may block on each item of a caller's async iterator."""
            ...

        @staticmethod
        def part(core: Core, method: str, target: tuple[str, ...]) -> None:
            """Send a last request on the way out: best effort, bounded, never raising."""
            ...


# Seconds for a last request: a caller that is leaving must not be held up for longer.
PARTING = 5.0


def wait(pending: Waitable[T]) -> T:
    """Wait on this thread; where greenlets share it, the others run meanwhile."""
    # gevent and eventlet both import it, at any time. What goes through a caller's `fetch` waits for others in turn.
    if "greenlet" in modules and isinstance(pending, Pending):
        from ._greenlets import running_hub

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
    async def each(items: AsyncIterator[T], function: Callable[[T], object]) -> None:  # noqa: ARG004 - as the other has it
        """Refuse: there is nobody to await them."""
        raise TypeError("an async file needs an AsyncReplicate or an async_ method: or pass its content as bytes")

    @staticmethod
    def part(core: Core, method: str, target: tuple[str, ...]) -> None:
        """Send it and wait for the answer: the program may end right after. A greenlet goes, as a task does."""
        try:
            from ._core import Expect

            if _has_greenlets() and type(core) is Core:
                # Whoever ends a greenlet must not be held up, and may end it once more meanwhile.
                Suspending.part(core, method, target)
                return
            wait(core.send(method, target, Expect.STATUS, total=PARTING, retries=0))
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
            _attend_the_end()
            core.detach(method, target, PARTING)
        except Exception:  # noqa: BLE001, S110 - best effort: the caller is leaving with an exception of its own, or Python itself
            pass


def hold(holder: object, leave: Callable[[], object]) -> None:
    """Have something done at the program's end, unless its holder is released before."""
    _attend_the_end()
    _held[holder] = leave


def release(holder: object) -> None:
    """Have nothing done at the program's end."""
    _held.pop(holder, None)


def _has_greenlets() -> bool:
    if "greenlet" not in modules:
        return False
    from ._greenlets import is_patched

    return is_patched()


def _attend_the_end() -> None:
    global _attends
    if not _attends:
        from atexit import register

        _attends = True
        register(_end)


def _end() -> None:
    from ._core import finish_detached

    for holder in list(_held):
        # Threads that nobody waits for go on meanwhile, and may be done with theirs.
        leave = _held.pop(holder, None)
        if leave is not None:
            leave()
    finish_detached(PARTING)


def later(work: Awaitable[Any]) -> None:
    """Let something go on by itself on this thread's event loop; nobody is told how it ends."""
    from asyncio import ensure_future

    async def main() -> None:
        try:  # noqa: SIM105 - contextlib is not worth its import here
            await work
        except Exception:  # noqa: BLE001, S110 - best effort, as above
            pass

    task = ensure_future(main())
    _going.add(task)
    task.add_done_callback(_going.discard)


# The loop keeps its tasks only weakly.
_going: set[Any] = set()
# What is under way, and what is to be done if the program ends before it.
_held: dict[object, Callable[[], object]] = {}
_attends = False
