"""gevent's and eventlet's hubs as event loops, so that other greenlets run while one waits.

`_transport.wait` loads this module where a process may have greenlets. It imports neither library:
the one that has patched the socket module is there.
"""

from __future__ import annotations

import sys
from os import getpid
from time import monotonic

from .._core import HubPort

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .._core import Pending

    T = TypeVar("T")

# Seconds after which a greenlet lets the others run once, even if what it asks for is there
# already.
TURN = 0.01
# The attribute of a hub that keeps its `EventLoop`.
NAME = "_replicate_rs_loop"

MODULES: dict[str, Any] = sys.modules


def is_patched() -> bool:
    """Return whether the socket module is patched: whether greenlets do here what threads do
    elsewhere.
    """
    return _patched_kind() is not None


def find_event_loop() -> EventLoop | None:
    """Return the hub that this greenlet must give way to, as an event loop; None where a wait may
    block.

    A wait may block where the socket module is not patched, on threads without a hub, in the hub
    itself, on Windows, and when Python ends.
    """
    kind = _patched_kind()
    # Windows cannot watch what the core wakes a hub by.
    if kind is None or sys.platform == "win32" or sys.is_finalizing():
        return None
    hub = kind.find_hub()
    if hub is None:
        return None
    loop: EventLoop | None = getattr(hub, NAME, None)
    if loop is None or loop.process != getpid():
        loop = kind(hub, loop)
        setattr(hub, NAME, loop)
    return loop


def _patched_kind() -> type[EventLoop] | None:
    gevent: Any = MODULES.get("gevent.monkey")
    eventlet: Any = MODULES.get("eventlet.patcher")
    # Another thread may be importing them just now.
    if hasattr(gevent, "is_module_patched") and gevent.is_module_patched("socket"):
        return GeventLoop
    if hasattr(eventlet, "is_monkey_patched") and eventlet.is_monkey_patched("socket"):
        return EventletLoop
    return None


class EventLoop:
    """A hub with what the core asks of an event loop, and a way to wait."""

    def __init__(self, hub: Any, inherited: EventLoop | None) -> None:
        self.hub = hub
        self.process: int = getpid()
        # The parent's, in a forked child. It is kept and never touched: the parent's threads may
        # have held its locks.
        self.inherited = inherited
        self.waiting: set[Pending[Any]] = set()
        # When other greenlets could last run.
        self.turned: float = monotonic()
        self.port: HubPort = HubPort(self)

    def wait(self, pending: Pending[T]) -> T:
        """Wait for an answer while other greenlets run; an exception that is thrown into this
        greenlet ends the work.
        """
        if monotonic() - self.turned > TURN:
            self.let_others_run()
            self.turned = monotonic()
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
                    self.turned = monotonic()
                    next(pending)
            finally:
                self.waiting.discard(pending)
                if not self.waiting:
                    self.stop_listening()
        except StopIteration as end:
            answer: T = end.value
            return answer
        except BaseException:
            pending.cancel()
            raise

    def on_readable(self, *_: object) -> None:
        """Hand out the answers that have come."""
        if self.process == getpid():
            self.callback()
        else:
            # A forked child must not take its parent's.
            self.stop_listening()

    callback: Callable[[], object]

    @staticmethod
    def find_hub() -> Any:
        """Return this thread's hub; None if it has none, or is running it just now."""
        raise NotImplementedError

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Have `callback` called when there is something to read, for as long as a greenlet waits."""
        raise NotImplementedError

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: object = None
    ) -> None:
        """Have `callback` called by the hub."""
        raise NotImplementedError

    def let_others_run(self) -> None:
        """Switch to the hub for one turn."""
        raise NotImplementedError

    def waiter(self) -> tuple[Callable[[object], object], Callable[[], object]]:
        """Return a function that has this greenlet woken, and one that sleeps until then.

        The first is called by the core and must not switch: PyO3 counts how often its thread has
        entered.
        """
        raise NotImplementedError

    def start_listening(self) -> None:
        """Watch the file descriptor, if it is not watched.

        While it is, the hub has something to wait for.
        """
        raise NotImplementedError

    def stop_listening(self) -> None:
        """Watch the file descriptor no more, if it is watched."""
        raise NotImplementedError


class GeventLoop(EventLoop):
    """A hub of gevent."""

    watcher: Any

    @staticmethod
    def find_hub() -> Any:
        """Return this thread's hub.

        The main thread gets one: its first call may come before anything else that needs it.
        """
        local = MODULES["gevent._hub_local"]
        hub = local.get_hub_if_exists()
        if hub is None:
            from threading import current_thread, main_thread

            return local.get_hub() if current_thread() is main_thread() else None
        return None if hub is MODULES["greenlet"].getcurrent() else hub

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Have `callback` called when there is something to read, for as long as a greenlet waits."""
        self.callback = callback
        self.watcher = self.hub.loop.io(fd, 1)

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: object,
        context: object = None,  # noqa: ARG002
    ) -> None:
        """Have `callback` called by the hub."""
        self.hub.loop.run_callback(callback, *args)

    def let_others_run(self) -> None:
        """Switch to the hub for one turn."""
        MODULES["gevent.hub"].sleep(0)

    def waiter(self) -> tuple[Callable[[object], object], Callable[[], object]]:
        """Return a function that has this greenlet woken, and one that sleeps until then."""
        waiter = MODULES["gevent.hub"].Waiter(self.hub)
        return lambda pending: self.call_soon(waiter.switch, pending), waiter.get

    def start_listening(self) -> None:
        """Watch the file descriptor, if it is not watched.

        While it is, the hub has something to wait for.
        """
        if not self.watcher.active:
            self.watcher.start(self.on_readable)

    def stop_listening(self) -> None:
        """Watch the file descriptor no more, if it is watched."""
        self.watcher.stop()


class EventletLoop(EventLoop):
    """A hub of eventlet."""

    fd: int
    listener: Any = None

    @staticmethod
    def find_hub() -> Any:
        """Return this thread's hub; patching has made the main thread's."""
        hub = getattr(MODULES["eventlet.hubs"]._threadlocal, "hub", None)
        return None if hub is None or hub.greenlet is MODULES["greenlet"].getcurrent() else hub

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Have `callback` called when there is something to read, for as long as a greenlet waits."""
        self.callback = callback
        self.fd = fd
        # The hub may know the number from another file, which was closed without its knowledge.
        self.hub.mark_as_reopened(fd)

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: object,
        context: object = None,  # noqa: ARG002
    ) -> None:
        """Have `callback` called by the hub."""
        self.hub.schedule_call_global(0, callback, *args)

    def let_others_run(self) -> None:
        """Switch to the hub for one turn."""
        MODULES["eventlet.greenthread"].sleep(0)

    def waiter(self) -> tuple[Callable[[object], object], Callable[[], object]]:
        """Return a function that has this greenlet woken, and one that sleeps until then."""
        event = MODULES["eventlet.event"].Event()
        return event.send, event.wait

    def start_listening(self) -> None:
        """Watch the file descriptor, if it is not watched."""
        if self.listener is None:
            self.listener = self.hub.add(
                self.hub.READ, self.fd, self.on_readable, self.on_readable, None
            )

    def stop_listening(self) -> None:
        """Watch the file descriptor no more, if it is watched."""
        listener, self.listener = self.listener, None
        if listener is not None:
            self.hub.remove(listener)
