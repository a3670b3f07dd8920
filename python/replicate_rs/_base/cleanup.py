"""Requests that are sent when a caller leaves, its client is closed, or the program ends."""

from __future__ import annotations

from os import getpid
from sys import modules
from time import monotonic

from .transport import Suspending, wait

TYPE_CHECKING = False

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Generator
    from typing import Any, Protocol

    from .._core import Core
    from .transport import Transport

    class ExitRequest(Protocol):
        """A request that can be carried out on a thread and on an event loop."""

        @property
        def is_begun(self) -> bool:
            """Whether the request was handed to the core."""
            ...

        @property
        def is_in_core(self) -> bool:
            """Whether the core is carrying the request out, and counts it."""
            ...

        def wait(self) -> object:
            """Carry the request out on this thread."""
            ...

        def finished(self) -> Coroutine[Any, Any, object]:
            """Carry the request out on an event loop."""
            ...


# Seconds that a request on the way out may take, since its caller must not be held up for longer.
EXIT_REQUEST_TIMEOUT = 5.0
# Seconds between two checks whether all such requests have ended.
DRAIN_INTERVAL = 0.005

# What to call for each owner if its client is closed or the program ends before it is done.
_registered: dict[object, tuple[Core, Callable[[], object]]] = {}
_has_exit_handler = False


def register(owner: object, core: Core, cancel: Callable[[], object]) -> None:
    """Call `cancel` when the client of this core is closed or the program ends.

    `unregister` takes this back.
    """
    install_exit_handler()
    _registered[owner] = (core, cancel)


def unregister(owner: object) -> None:
    """Remove the callback of an owner, if it has one."""
    _registered.pop(owner, None)


def count_registered(core: Core) -> int:
    """Return how many owners have a callback for the client of this core."""
    return sum(each is core for each, _ in list(_registered.values()))


def cancel_registered(core: Core) -> None:
    """Call all callbacks for the client of this core."""
    for owner, (registered_core, _) in list(_registered.items()):
        if registered_core is core:
            _cancel(owner)


def _cancel(owner: object) -> None:
    # Other threads go on meanwhile, and may have unregistered it.
    entry = _registered.pop(owner, None)
    if entry is not None:
        entry[1]()


def install_exit_handler() -> None:
    """Have requests cancelled or finished when the program ends."""
    global _has_exit_handler
    if not _has_exit_handler:
        from atexit import register as register_at_exit

        _has_exit_handler = True
        register_at_exit(_on_program_exit)


def _on_program_exit() -> None:
    from .._core import finish_detached

    for owner in list(_registered):
        _cancel(owner)
    finish_detached(EXIT_REQUEST_TIMEOUT)


def send_on_exit(
    transport: type[Transport], core: Core, method: str, target: tuple[str, ...]
) -> None:
    """Send a request for a caller that leaves; never raise, and take 5 seconds at most.

    Blocking code waits for the answer, because the program may end right after. Tasks and greenlets
    do not: whoever ends them must not be held up. The end of the program waits for their requests.
    """
    try:
        if transport is Suspending or _has_greenlets():
            install_exit_handler()
            core.detach(method, target, EXIT_REQUEST_TIMEOUT)
            return
        from .._core import Expect

        wait(core.send(method, target, Expect.STATUS, total=EXIT_REQUEST_TIMEOUT, last=True))
    except Exception:  # noqa: BLE001, S110 - best effort: the caller is leaving with an exception of its own, or Python itself
        pass


def _has_greenlets() -> bool:
    if "greenlet" not in modules:
        return False
    from .greenlets import is_patched

    return is_patched()


class ExitRequests:
    """Requests on the way out that a caller's own `fetch` carries out and nobody waits for.

    They run as tasks of the event loop that is left. Without a loop, or when it ends first, they
    run on threads of their own.
    """

    def __init__(self, *, is_async: bool) -> None:
        self._is_async = is_async
        # The tasks that have begun: the loop keeps only weak references to them.
        self._tasks: set[object] = set()
        self._running: set[ExitRequest] = set()

    @property
    def outside_core(self) -> int:
        """How many requests the caller's function has, which the core does not count."""
        return sum(not request.is_in_core for request in list(self._running))

    def spawn(self, request: ExitRequest) -> None:
        """Begin a request."""
        loop = _running_loop() if self._is_async else None
        if loop is None:
            self._run_in_thread(request)
            return
        self._running.add(request)
        # Tasks call no other methods of a coroutine.
        coroutine: Any = _Unbegun(lambda: self._run(request), lambda: self._run_in_thread(request))
        task: Any = loop.create_task(coroutine)
        # The loop may end first, as `asyncio.run` does when it has cancelled all other tasks. No
        # warning is due then.
        task._log_destroy_pending = False

    async def _run(self, request: ExitRequest) -> None:
        from asyncio import current_task

        task: Any = current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await request.finished()
        except Exception:  # noqa: BLE001, S110 - best effort: nobody waits for the answer
            pass
        except BaseException:
            # The loop ends. The core finishes what was handed to it; what is still with the
            # caller's function is begun anew.
            self._running.discard(request)
            if not request.is_begun:
                self._run_in_thread(request)
            raise
        self._running.discard(request)

    def _run_in_thread(self, request: ExitRequest) -> None:
        from threading import Thread

        def run_request() -> None:
            try:
                if self._is_async:
                    from asyncio import run

                    run(request.finished())
                else:
                    request.wait()
            except Exception:  # noqa: BLE001, S110 - best effort, as above
                pass
            finally:
                self._running.discard(request)

        self._running.add(request)
        try:
            Thread(target=run_request, name="replicate_rs").start()
        except RuntimeError:
            # The interpreter is ending and starts no more threads.
            run_request()


class _Unbegun:
    """A coroutine that is created at its first step, for a task that may never come to it.

    A loop drops its tasks when it is closed, and one that is cancelled before its first step runs
    no code either.

    Args:
        create: Returns the coroutine.
        otherwise: Called if the task ends before its first step.

    """

    def __init__(
        self, create: Callable[[], Coroutine[Any, Any, None]], otherwise: Callable[[], object]
    ) -> None:
        self._create = create
        self._otherwise: Callable[[], object] | None = otherwise
        self._coroutine: Coroutine[Any, Any, None] | None = None
        self._process = getpid()

    def _begin(self) -> Coroutine[Any, Any, None]:
        if self._coroutine is None:
            self._otherwise = None
            self._coroutine = self._create()
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, None]:
        return self._begin().__await__()

    def send(self, value: Any) -> Any:
        """Step the coroutine."""
        return self._begin().send(value)

    def throw(self, error: BaseException) -> Any:
        """Raise an error where the coroutine waits."""
        if self._coroutine is None:
            self._give_up()
            raise error
        return self._coroutine.throw(error)

    def close(self) -> None:
        """End the coroutine."""
        if self._coroutine is None:
            self._give_up()
        else:
            self._coroutine.close()

    def _give_up(self) -> None:
        otherwise, self._otherwise = self._otherwise, None
        # In a forked child, the parent's loop is dropped.
        if otherwise is not None and self._process == getpid():
            otherwise()

    def __del__(self) -> None:
        self._give_up()


async def drain(core: Core, transport: type[Transport], timeout: float) -> int:
    """Wait for the requests that no caller waits for; return how many are not answered in time."""
    deadline = monotonic() + timeout
    while core.unattended and monotonic() < deadline:
        await transport.finish(core.sleep(DRAIN_INTERVAL, closed_too=True))
    return core.unattended


def _running_loop() -> AbstractEventLoop | None:
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        return None
