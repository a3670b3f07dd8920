"""A caller that leaves: a client, a server that keeps it waiting, and checks of what remains."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from conftest import Both
from replicate_rs import FileOutput, Prediction
from replicate_rs._base.session import Async, Sync
from support.conditions import until
from support.wire import Answer, Seen, Wire, hang, prediction, reply

# Bytes that exceed the buffers of both sockets.
LARGE = 8 << 20
# Seconds.
MAX_WAIT = 10


class Unread(Wire):
    """A server that can leave a request unread until `read_on` is set."""

    def __init__(
        self, script: Callable[[Seen], Answer | None], on_arrival: Callable[[], object]
    ) -> None:
        self.on_arrival = on_arrival
        self.leaves_unread = False
        self.read_on = threading.Event()
        super().__init__(script)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

    def _serve(self, connection: socket.socket) -> None:
        if self.leaves_unread:
            self.leaves_unread = False
            connection.recv(1, socket.MSG_PEEK)
            self.on_arrival()
            self.read_on.wait(MAX_WAIT)
        super()._serve(connection)


def full_port() -> tuple[int, list[socket.socket]]:
    """Return a port at which no connection is accepted, and the sockets that keep it full."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    sockets = [listener]
    for _ in range(4):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
        sockets.append(waiting)
    return listener.getsockname()[1], sockets


class Scene:
    """A client and a server that keeps it waiting."""

    def __init__(self, both: Both, folder: Path, point: Point) -> None:
        self.both = both
        self.folder = folder
        self.cancels = point.cancels
        self.arrived = threading.Event()
        self.pauses = False
        self.is_half_sent = self.is_known = False
        self.items: list[object] = []
        self.answer: Callable[[Seen], Answer | None] = lambda _: self.stall()
        self.wire = Unread(self._script, self.arrived.set)
        self.client = both.client(self.wire.base_url, **({"poll_interval": 0.01} | point.options))
        # Create first what a process, a client or a loop has once.
        self.use_again()
        self._release: list[Callable[[], object]] = [self.wire.read_on.set]
        self.full: list[socket.socket] = []
        self.call: Callable[..., Any] = point.prepare(self)

    def _script(self, seen: Seen) -> Answer | None:
        if seen.path.endswith("/good"):
            return reply(prediction(), headers="Connection: close\r\n")
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        return hang if seen.path.endswith("/held") else self.answer(seen)

    # Used by points

    def leave_unread(self) -> None:
        """Leave the next request unread, so that only the sockets' buffers are filled."""
        self.is_half_sent = self.wire.leaves_unread = True

    def stall(self, before: bytes = b"", *, is_arrival: bool = True) -> Answer:
        """Return an answer that stops after these bytes."""

        def answer(connection: socket.socket) -> None:
            connection.sendall(before)
            if is_arrival:
                self.arrived.set()
            hang(connection)

        return answer

    def running_prediction(self, **more: Any) -> Prediction:
        """Return a running prediction of the client."""
        self.is_known = True
        data = prediction("processing", urls={"stream": f"{self.wire.origin}/stream"}, **more)
        return Prediction._of(data, self.client._session)._in(Async if self.both.is_async else Sync)

    def file(self, name: str, url: str | None = None) -> Callable[..., Any]:
        """Return a method of an output file, in the scene's mode."""
        output = FileOutput(url or f"{self.wire.origin}/file", self.client)
        return getattr(output, f"a{name}" if self.both.is_async else name)

    def arrives_when(self, condition: Callable[[], bool]) -> None:
        """Set `arrived` when a condition on the server holds."""

        def wait() -> None:
            # A caller may leave earlier.
            with contextlib.suppress(AssertionError):
                self.wire.until(condition, MAX_WAIT)
                self.arrived.set()

        threading.Thread(target=wait, daemon=True).start()

    def add_item(self, item: object) -> None:
        """Add an item of the iteration."""
        with self.wire._change:
            self.items.append(item)
            self.wire._change.notify_all()

    async def pause(self) -> None:
        """Process an item for a long time."""
        self.arrived.set()
        await asyncio.sleep(MAX_WAIT)

    def release(self, function: Callable[[], object]) -> None:
        """Call a function when the caller has left."""
        self._release.append(function)

    # Used by tests

    def wait(self) -> None:
        assert self.arrived.wait(MAX_WAIT), self.wire.routes

    def use_again(self) -> None:
        assert self.both(lambda: self.client.predictions.get("good")).status == "succeeded"

    def assert_nothing_left(self) -> None:
        """Assert that nothing is left, on either side."""
        if self.is_half_sent:
            # Another thread ends the request; it may be sent to its end before, if it is read on.
            until(lambda: self.client.stats().in_flight == 0)
        for function in self._release:
            function()
        cancelled = "POST /v1/predictions/p1/cancel"
        self.wire.until(lambda: self.wire.routes.count(cancelled) >= self.cancels)
        self.use_again()
        self.client.close()
        # Closing the client closes idle connections. Any other was not given up.
        self.wire.until(lambda: self.wire.open_now == 0)
        assert self.wire.routes.count(cancelled) == self.cancels
        # A partly sent request must not be completed: its prediction would run for nobody.
        assert not self.is_half_sent or not any(
            each.startswith("POST") for each in self.wire.routes
        )
        assert list(self.folder.iterdir()) == []

    def close(self) -> None:
        self.wire.__exit__()
        for each in self.full:
            each.close()


class Point(NamedTuple):
    """A point in a call at which the caller may leave, and the cancels that must follow."""

    prepare: Callable[[Scene], Callable[..., Any]]
    cancels: int
    options: dict[str, Any]
    modes: tuple[str, ...]
    takes_signal: bool
    is_iterated: bool


POINTS: dict[str, Point] = {}


def point(
    cancels: int = 0,
    *,
    modes: tuple[str, ...] = ("sync", "async"),
    takes_signal: bool = True,
    is_iterated: bool = False,
    **options: Any,
) -> Callable[[Callable[[Scene], Callable[..., Any]]], None]:
    """Add a point; `cancels` is the number of predictions that must be cancelled."""

    def add(prepare: Callable[[Scene], Callable[..., Any]]) -> None:
        POINTS[prepare.__name__] = Point(
            prepare, cancels, options, modes, takes_signal, is_iterated
        )

    return add


async def consume(scene: Scene, call: Callable[..., Any], **options: Any) -> None:
    """Call, and iterate over its result."""
    result = call(**options)
    try:
        if inspect.isawaitable(result):
            result = await result
        if hasattr(result, "__aiter__"):
            async for item in result:
                scene.add_item(item)
                if scene.pauses:
                    await scene.pause()
    finally:
        # A traceback keeps variables alive.
        del result


def consume_blocking(scene: Scene, call: Callable[..., Any], **options: Any) -> None:
    """Call on a blocking client, and iterate over its result."""
    result = call(**options)
    try:
        if hasattr(result, "__iter__") and not isinstance(result, bytes):
            for item in result:
                scene.add_item(item)
    finally:
        del result
