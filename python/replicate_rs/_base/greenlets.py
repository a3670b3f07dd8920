"""Use gevent's and eventlet's hubs as event loops, so that other greenlets run while one waits.

`_base.transport.wait` loads this module in a process that may have greenlets. It imports neither
library: the one that has patched the socket module is loaded already.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from os import getpid
from time import monotonic

from .._core import HubPort

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .._core import Pending

    T = TypeVar("T")

# Seconds that a greenlet may run before it yields to others, even if it never has to wait.
MAX_TURN = 0.01
# The attribute of a hub that holds its `EventLoop`.
LOOP_ATTRIBUTE = "_replicate_rs_loop"

MODULES: dict[str, Any] = sys.modules


def is_patched() -> bool:
    """Return whether gevent or eventlet has patched the socket module."""
    return _find_loop_class() is not None


def find_event_loop() -> EventLoop | None:
    """Return this thread's hub as an event loop, or None if a call may block the thread.

    A call may block if the socket module is not patched, on threads without a hub, in the hub
    itself, on Windows, and while Python shuts down.
    """
    loop_class = _find_loop_class()
    # On Windows a hub cannot watch the file descriptor by which the core wakes it.
    if loop_class is None or sys.platform == "win32" or sys.is_finalizing():
        return None
    hub = loop_class.find_hub()
    if hub is None:
        return None
    loop: EventLoop | None = getattr(hub, LOOP_ATTRIBUTE, None)
    if loop is None or loop.process != getpid():
        loop = loop_class(hub, loop)
        setattr(hub, LOOP_ATTRIBUTE, loop)
    return loop


def _find_loop_class() -> type[EventLoop] | None:
    gevent: Any = MODULES.get("gevent.monkey")
    eventlet: Any = MODULES.get("eventlet.patcher")
    # Another thread may be importing them right now.
    if hasattr(gevent, "is_module_patched") and gevent.is_module_patched("socket"):
        return GeventLoop
    if hasattr(eventlet, "is_monkey_patched") and eventlet.is_monkey_patched("socket"):
        return EventletLoop
    return None


class EventLoop(ABC):
    """A hub with the methods of an event loop that the core calls, and a method to wait."""

    def __init__(self, hub: Any, inherited: EventLoop | None) -> None:
        self.hub = hub
        self.process: int = getpid()
        # In a forked child, the loop of the parent. It is never used nor freed: the parent's
        # threads may have held its locks.
        self.inherited = inherited
        self.waiting: set[Pending[Any]] = set()
        # When this thread last switched greenlets.
        self.last_switch: float = monotonic()
        self.port: HubPort = HubPort(self)

    def wait(self, pending: Pending[T]) -> T:
        """Wait for a result while other greenlets run.

        An exception that is thrown into this greenlet cancels the work.
        """
        if monotonic() - self.last_switch > MAX_TURN:
            self.yield_to_others()
            self.last_switch = monotonic()
        pending.start_on(self, self.port)
        try:
            next(pending)
            wake, sleep = self.waiter()
            pending.add_done_callback(wake)
            try:
                self.waiting.add(pending)
                self.start_listening()
                while True:
                    sleep()
                    self.last_switch = monotonic()
                    next(pending)
            finally:
                self.waiting.discard(pending)
                if not self.waiting:
                    self.stop_listening()
        except StopIteration as end:
            result: T = end.value
            return result
        except BaseException:
            pending.cancel()
            raise

    def on_readable(self, *_: object) -> None:
        """Deliver the results that are ready."""
        if self.process == getpid():
            self.callback()
        else:
            # A forked child must not take its parent's results.
            self.stop_listening()

    callback: Callable[[], object]

    @staticmethod
    @abstractmethod
    def find_hub() -> Any:
        """Return this thread's hub, or None if it has none or the hub itself is running."""

    @abstractmethod
    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Call `callback` when `fd` is readable, while a greenlet waits."""

    @abstractmethod
    def call_soon(
        self, callback: Callable[..., object], *args: object, context: object = None
    ) -> None:
        """Call `callback` from the hub."""

    @abstractmethod
    def yield_to_others(self) -> None:
        """Let the other greenlets run once."""

    @abstractmethod
    def waiter(self) -> tuple[Callable[[object], object], Callable[[], object]]:
        """Return a function that wakes this greenlet, and one that sleeps until then.

        The core calls the first, which must not switch greenlets: PyO3 counts per thread how deep
        calls into Python are nested.
        """

    @abstractmethod
    def start_listening(self) -> None:
        """Start to watch the file descriptor, which keeps the hub running."""

    @abstractmethod
    def stop_listening(self) -> None:
        """Stop watching the file descriptor."""


class GeventLoop(EventLoop):
    """A hub of gevent."""

    watcher: Any

    @staticmethod
    def find_hub() -> Any:
        """Return this thread's hub; create it on the main thread, whose first call this may be."""
        local = MODULES["gevent._hub_local"]
        hub = local.get_hub_if_exists()
        if hub is None:
            from threading import current_thread, main_thread

            return local.get_hub() if current_thread() is main_thread() else None
        return None if hub is MODULES["greenlet"].getcurrent() else hub

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Call `callback` when `fd` is readable, while a greenlet waits."""
        self.callback = callback
        self.watcher = self.hub.loop.io(fd, 1)

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: object,
        context: object = None,  # noqa: ARG002 - asyncio's
    ) -> None:
        """Call `callback` from the hub."""
        self.hub.loop.run_callback(callback, *args)

    def yield_to_others(self) -> None:
        """Let the other greenlets run once."""
        MODULES["gevent.hub"].sleep(0)

    def waiter(self) -> tuple[Callable[[object], object], Callable[[], object]]:
        """Return a function that wakes this greenlet, and one that sleeps until then."""
        waiter = MODULES["gevent.hub"].Waiter(self.hub)
        return lambda pending: self.call_soon(waiter.switch, pending), waiter.get

    def start_listening(self) -> None:
        """Start to watch the file descriptor, which keeps the hub running."""
        if not self.watcher.active:
            self.watcher.start(self.on_readable)

    def stop_listening(self) -> None:
        """Stop watching the file descriptor."""
        self.watcher.stop()


class EventletLoop(EventLoop):
    """A hub of eventlet."""

    fd: int
    listener: Any = None

    @staticmethod
    def find_hub() -> Any:
        """Return this thread's hub; on the main thread, patching has created it."""
        hub = getattr(MODULES["eventlet.hubs"]._threadlocal, "hub", None)
        return None if hub is None or hub.greenlet is MODULES["greenlet"].getcurrent() else hub

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Call `callback` when `fd` is readable, while a greenlet waits."""
        self.callback = callback
        self.fd = fd
        # The number may belong to a file that was closed without the hub's knowledge.
        self.hub.mark_as_reopened(fd)

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: object,
        context: object = None,  # noqa: ARG002 - asyncio's
    ) -> None:
        """Call `callback` from the hub."""
        self.hub.schedule_call_global(0, callback, *args)

    def yield_to_others(self) -> None:
        """Let the other greenlets run once."""
        MODULES["eventlet.greenthread"].sleep(0)

    def waiter(self) -> tuple[Callable[[object], object], Callable[[], object]]:
        """Return a function that wakes this greenlet, and one that sleeps until then."""
        event = MODULES["eventlet.event"].Event()
        return event.send, event.wait

    def start_listening(self) -> None:
        """Start to watch the file descriptor, which keeps the hub running."""
        if self.listener is None:
            self.listener = self.hub.add(
                self.hub.READ, self.fd, self.on_readable, self.on_readable, None
            )

    def stop_listening(self) -> None:
        """Stop watching the file descriptor."""
        listener, self.listener = self.listener, None
        if listener is not None:
            self.hub.remove(listener)
