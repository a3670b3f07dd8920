"""gevent's and eventlet's hubs as event loops, so that other greenlets run while one waits.

`_transport.wait` loads this module where a process may have greenlets, and asks it before each blocking wait.
"""

from __future__ import annotations

import sys
from os import getpid
from time import monotonic

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ._core import Pending

    T = TypeVar("T")

# Seconds after which a greenlet lets the others run once, though what it asks for is there already.
TURN = 0.01
# The attribute of a hub that keeps its `EventLoop`.
NAME = "_replicate_rs_loop"
# Neither library is ever imported from here.
MODULES: dict[str, Any] = sys.modules


def is_patched() -> bool:
    """Return whether one of the two has patched the socket module: whether this process has greenlets for threads."""
    return _patching() is not None


def running_hub() -> EventLoop | None:
    """Return the hub that this greenlet must give way to, as an event loop; None where a wait may block.

    It may block where the socket module is not patched, on a thread without a hub, in the hub's own greenlet, and when Python ends.
    """
    kind = _patching()
    hub = None if kind is None or sys.is_finalizing() else kind.this_hub()
    if kind is None or hub is None:
        return None
    loop: EventLoop | None = getattr(hub, NAME, None)
    if loop is None or loop.process != getpid():
        loop = kind(hub, loop)
        setattr(hub, NAME, loop)
    return loop


def _patching() -> type[EventLoop] | None:
    # Another thread may be importing them just now.
    if (gevent := MODULES.get("gevent.monkey")) is not None and hasattr(gevent, "is_module_patched"):
        if gevent.is_module_patched("socket"):
            return GeventLoop
    if (eventlet := MODULES.get("eventlet.patcher")) is not None and hasattr(eventlet, "is_monkey_patched"):
        if eventlet.is_monkey_patched("socket"):
            return EventletLoop
    return None


class EventLoop:
    """A hub as the core sees it: what it asks of an event loop, and `wait`."""

    def __init__(self, hub: Any, inherited: EventLoop | None) -> None:
        self.hub = hub
        self.process: int = getpid()
        # Of the process that this one was forked from, whose threads may have held its locks: it is kept and never touched.
        self.inherited = inherited
        self.waiting: set[Pending[Any]] = set()
        # When other greenlets last had a chance to run.
        self.turned: float = monotonic()

    def wait(self, pending: Pending[T]) -> T:
        """Wait for an answer while other greenlets run. Whatever is thrown into this greenlet meanwhile ends the work."""
        if monotonic() - self.turned > TURN:
            self.let_others_run()
            self.turned = monotonic()
        try:
            pending.start_on(self)
            next(pending)
            wake, sleep = self.waiter()
            pending.add_done_callback(wake)
            try:
                self.waiting.add(pending)
                self.start_listening()
                while True:
                    sleep()
                    self.turned = monotonic()
                    next(pending)
            finally:
                self.waiting.discard(pending)
                if not self.waiting:
                    self.stop_listening()
        except StopIteration as answer:
            value: T = answer.value
            return value
        except BaseException:
            pending.cancel()
            raise

    def listen(self, *_: object) -> None:
        """Hand out the answers that have come."""
        if self.process == getpid():
            self.callback()
        else:
            # A forked child must not take its parent's answers.
            self.stop_listening()

    callback: Callable[[], object]

    @staticmethod
    def this_hub() -> Any:
        """Return this thread's hub; None if it has none, or runs it just now."""
        raise NotImplementedError

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Have `callback` called when there is something to read, as long as a greenlet waits."""
        raise NotImplementedError

    def call_soon(self, callback: Callable[..., object], *args: object, context: object = None) -> None:
        """Have `callback` called by the hub."""
        raise NotImplementedError

    def let_others_run(self) -> None:
        """Switch to the hub for one turn."""
        raise NotImplementedError

    def waiter(self) -> tuple[Callable[[object], object], Callable[[], object]]:
        """Return a function that wakes this greenlet, and one that lets it sleep until then."""
        raise NotImplementedError

    def start_listening(self) -> None:
        """Watch the file descriptor, if it is not watched. A hub with something to watch has not come to its end."""
        raise NotImplementedError

    def stop_listening(self) -> None:
        """Watch the file descriptor no more."""
        raise NotImplementedError


class GeventLoop(EventLoop):
    """A hub of gevent."""

    watcher: Any = None

    @staticmethod
    def this_hub() -> Any:
        """Return this thread's hub; on the main thread create it, as whatever waits there first does."""
        local = MODULES["gevent._hub_local"]
        hub = local.get_hub_if_exists()
        if hub is None:
            from threading import current_thread, main_thread

            return local.get_hub() if current_thread() is main_thread() else None
        return None if hub is MODULES["greenlet"].getcurrent() else hub

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Have `callback` called when there is something to read, as long as a greenlet waits."""
        self.stop_listening()
        self.callback = callback
        self.watcher = self.hub.loop.io(fd, 1)

    def call_soon(self, callback: Callable[..., object], *args: object, context: object = None) -> None:  # noqa: ARG002 - asyncio's
        """Have `callback` called by the hub."""
        self.hub.loop.run_callback(callback, *args)

    def let_others_run(self) -> None:
        """Switch to the hub for one turn."""
        MODULES["gevent.hub"].sleep(0)

    def waiter(self) -> tuple[Callable[[object], object], Callable[[], object]]:
        """Return a function that wakes this greenlet, and one that lets it sleep until then."""
        waiter = MODULES["gevent.hub"].Waiter(self.hub)
        # The core, which wakes it, must have returned before: PyO3 counts how often its thread has entered.
        return lambda pending: self.hub.loop.run_callback(waiter.switch, pending), waiter.get

    def start_listening(self) -> None:
        """Watch the file descriptor, if it is not watched. A hub with something to watch has not come to its end."""
        if not self.watcher.active:
            self.watcher.start(self.listen)

    def stop_listening(self) -> None:
        """Watch the file descriptor no more."""
        if self.watcher is not None:
            self.watcher.stop()


class EventletLoop(EventLoop):
    """A hub of eventlet."""

    fd = -1
    listener: Any = None

    @staticmethod
    def this_hub() -> Any:
        """Return this thread's hub; patching creates the main thread's."""
        hub = getattr(MODULES["eventlet.hubs"]._threadlocal, "hub", None)
        return None if hub is None or hub.greenlet is MODULES["greenlet"].getcurrent() else hub

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Have `callback` called when there is something to read, as long as a greenlet waits."""
        self.stop_listening()
        self.callback = callback
        self.fd = fd
        # The hub may still know the number from a file that was closed without its knowledge.
        self.hub.mark_as_reopened(fd)

    def call_soon(self, callback: Callable[..., object], *args: object, context: object = None) -> None:  # noqa: ARG002 - asyncio's
        """Have `callback` called by the hub."""
        self.hub.schedule_call_global(0, callback, *args)

    def let_others_run(self) -> None:
        """Switch to the hub for one turn."""
        MODULES["eventlet.greenthread"].sleep(0)

    def waiter(self) -> tuple[Callable[[object], object], Callable[[], object]]:
        """Return a function that wakes this greenlet, and one that lets it sleep until then."""
        event = MODULES["eventlet.event"].Event()
        return event.send, event.wait

    def start_listening(self) -> None:
        """Watch the file descriptor, if it is not watched."""
        if self.listener is None:
            self.listener = self.hub.add(self.hub.READ, self.fd, self.listen, self.listen, None)

    def stop_listening(self) -> None:
        """Watch the file descriptor no more."""
        listener, self.listener = self.listener, None
        if listener is not None:
            self.hub.remove(listener)
