"""The only place where blocking and suspending differ.

Every verb of the core gives a `Pending`. `Blocking` waits for it on this thread; `Suspending` lets
the event loop go on. Both have one async-shaped face, `Transport`, so that an endpoint is stated
once.
"""

from __future__ import annotations

from sys import modules
from time import monotonic

from .._core import Core, Pending

TYPE_CHECKING = False

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Lock
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
    from typing import Any, Protocol, TypeVar

    from .._client.middleware import Middleware

    T = TypeVar("T")
    T_co = TypeVar("T_co", covariant=True)

    class Waitable(Protocol[T_co]):
        """What can be waited for on a thread."""

        def wait(self) -> T_co:
            """Wait for it."""
            ...

    class Last(Protocol):
        """A request that can be carried out in both ways."""

        @property
        def is_begun(self) -> bool:
            """Whether the core was given it."""
            ...

        @property
        def is_in_core(self) -> bool:
            """Whether the core is at work on it, and counts it."""
            ...

        def wait(self) -> object:
            """Carry it out on this thread."""
            ...

        def finished(self) -> Coroutine[Any, Any, object]:
            """Carry it out on an event loop."""
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

        @staticmethod
        def part(core: Core, method: str, target: tuple[str, ...]) -> None:
            """Send a last request on the way out: best effort, bounded, never raising."""
            ...


# Seconds for a last request: a caller that is leaving must not be held up for longer.
PARTING = 5.0
# Seconds between two looks at whether the last requests are over.
SETTLING = 0.005


def wait(pending: Waitable[T]) -> T:
    """Wait on this thread; where greenlets share it, the others run meanwhile."""
    # gevent and eventlet both import it, at any time. What goes through a caller's `fetch` waits
    # for others in turn.
    if "greenlet" in modules and isinstance(pending, Pending):
        from .greenlets import find_event_loop

        hub = find_event_loop()
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
# Who reads a caller's async file, by its loop and its identity.
_turns: dict[tuple[int, int], Lock] = {}


class LastRequests:
    """Requests on the way out, which a caller's own function carries out and nobody waits for.

    They run as tasks of the event loop that is left; without one, or when that ends first, on
    threads of their own.
    """

    def __init__(self, *, is_async: bool) -> None:
        self._is_async = is_async
        # The loop keeps its tasks only weakly.
        self._tasks: set[object] = set()
        self._under_way: set[Last] = set()

    @property
    def outside_core(self) -> int:
        """How many are not counted by the core: the caller's function has them."""
        return sum(not request.is_in_core for request in list(self._under_way))

    def send(self, request: Last) -> None:
        """Begin a request."""
        loop = _running_loop() if self._is_async else None
        if loop is None:
            self._send_apart(request)
            return
        task: Any = loop.create_task(self._send_here(request))
        # The loop may end first, as `asyncio.run` does when it has cancelled all others: it is no
        # mistake to be told of.
        task._log_destroy_pending = False
        self._under_way.add(request)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_here(self, request: Last) -> None:
        try:
            await request.finished()
        except Exception:  # noqa: BLE001 - best effort: whoever cared has gone
            self._under_way.discard(request)
        except BaseException:
            # The loop ends. What the core has begun to send goes on; what the caller's function
            # still has is begun anew.
            self._under_way.discard(request)
            if not request.is_begun:
                self._send_apart(request)
            raise
        else:
            self._under_way.discard(request)

    def _send_apart(self, request: Last) -> None:
        from threading import Thread

        def send() -> None:
            try:
                if self._is_async:
                    from asyncio import run

                    run(request.finished())
                else:
                    request.wait()
            except Exception:  # noqa: BLE001, S110 - best effort, as above
                pass
            finally:
                self._under_way.discard(request)

        self._under_way.add(request)
        try:
            Thread(target=send, name="replicate_rs").start()
        except RuntimeError:
            # The interpreter is ending, and takes no more threads.
            send()


class Settling:
    """A wait for the requests that nobody waits for; gives how many are left in the end."""

    def __init__(self, core: Core | Middleware, limit: float) -> None:
        self._core = core
        self._end = monotonic() + limit

    def wait(self) -> int:
        """Wait on this thread."""
        while self._core.unattended and monotonic() < self._end:
            wait(self._core.sleep(SETTLING, closed_too=True))
        return self._core.unattended

    def __await__(self) -> Generator[Any, Any, int]:
        return self._settled().__await__()

    async def _settled(self) -> int:
        while self._core.unattended and monotonic() < self._end:
            await self._core.sleep(SETTLING, closed_too=True)
        return self._core.unattended


def _running_loop() -> AbstractEventLoop | None:
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        return None
