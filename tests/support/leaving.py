"""Scenes of a caller who leaves: a client, a server that keeps it waiting, and what must be left of
both afterwards.
"""

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
from support.wire import Answer, Seen, Wire, hang, prediction, reply

# More than the buffers of both sockets take.
LARGE = 8 << 20
PATIENCE = 10


class Unread(Wire):
    """Leaves the request on its first connection unread until it is told to read on."""

    def __init__(self, script: Callable[[Seen], Answer | None], come: Callable[[], object]) -> None:
        self.come = come
        self.leaves_unread = False
        self.read_on = threading.Event()
        super().__init__(script)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

    def _serve(self, connection: socket.socket) -> None:
        if self.leaves_unread:
            self.leaves_unread = False
            connection.recv(1, socket.MSG_PEEK)
            self.come()
            self.read_on.wait(PATIENCE)
        super()._serve(connection)


def full_port() -> tuple[int, list[socket.socket]]:
    """A port at which nobody accepts a connection, and the sockets that keep it full."""
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
        self.answer: Callable[[Seen], Answer | None] = lambda _: self.stuck()
        self.wire = Unread(self._script, self.arrived.set)
        self.client = both.client(self.wire.base_url, **({"poll_interval": 0.01} | point.options))
        # What a process, a client or a loop makes once is there before anything is counted.
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

    # What points are made of

    def leave_unread(self) -> None:
        """Let what comes next be sent only as far as the sockets' buffers go."""
        self.is_half_sent = self.wire.leaves_unread = True

    def stuck(self, before: bytes = b"", *, is_arrival: bool = True) -> Answer:
        """An answer of which no more comes than this."""

        def answer(connection: socket.socket) -> None:
            connection.sendall(before)
            if is_arrival:
                self.arrived.set()
            hang(connection)

        return answer

    def known(self, **more: Any) -> Prediction:
        """A running prediction."""
        self.is_known = True
        data = prediction("processing", urls={"stream": f"{self.wire.origin}/stream"}, **more)
        return Prediction._of(data, self.client._session)._in(Async if self.both.is_async else Sync)

    def file(self, name: str, url: str | None = None) -> Callable[..., Any]:
        """A method of a file, in the scene's mode."""
        made = FileOutput(url or f"{self.wire.origin}/file", self.client)
        return getattr(made, f"a{name}" if self.both.is_async else name)

    def arrives_when(self, condition: Callable[[], bool]) -> None:
        """Say so when the server has seen something."""

        def wait() -> None:
            # Who leaves before that is not waited for.
            with contextlib.suppress(AssertionError):
                self.wire.until(condition, PATIENCE)
                self.arrived.set()

        threading.Thread(target=wait, daemon=True).start()

    def given(self, item: object) -> None:
        """Take an item of what is iterated over."""
        with self.wire._change:
            self.items.append(item)
            self.wire._change.notify_all()

    async def pause(self) -> None:
        """Be busy with an item."""
        self.arrived.set()
        await asyncio.sleep(PATIENCE)

    def release(self, let_go: Callable[[], object]) -> None:
        """Do this when the caller has left."""
        self._release.append(let_go)

    # What becomes of them

    def wait(self) -> None:
        assert self.arrived.wait(PATIENCE), self.wire.routes

    def use_again(self) -> None:
        assert self.both(lambda: self.client.predictions.get("good")).status == "succeeded"

    def assert_nothing_left(self) -> None:
        """Assert that nothing is left, on either side."""
        for let_go in self._release:
            let_go()
        cancelled = "POST /v1/predictions/p1/cancel"
        self.wire.until(lambda: self.wire.routes.count(cancelled) >= self.cancels)
        self.use_again()
        self.client.close()
        # Idle connections are closed with the client: any other would be one that was not given up.
        self.wire.until(lambda: self.wire.open_now == 0)
        assert self.wire.routes.count(cancelled) == self.cancels
        # What was left half sent must not come whole after all: it would be run, and paid for, for
        # nobody.
        assert not self.is_half_sent or not any(
            each.startswith("POST") for each in self.wire.routes
        )
        assert list(self.folder.iterdir()) == []

    def close(self) -> None:
        self.wire.__exit__()
        for each in self.full:
            each.close()


class Point(NamedTuple):
    """Where a caller may leave, and what is to be sent then."""

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
    """`cancels` is how many predictions are known to run, and are to be cancelled."""

    def add(prepare: Callable[[Scene], Callable[..., Any]]) -> None:
        POINTS[prepare.__name__] = Point(
            prepare, cancels, options, modes, takes_signal, is_iterated
        )

    return add


async def consume(scene: Scene, call: Callable[..., Any], **options: Any) -> None:
    """Take what a call gives, and everything in it."""
    thing = call(**options)
    try:
        if inspect.isawaitable(thing):
            thing = await thing
        if hasattr(thing, "__aiter__"):
            async for item in thing:
                scene.given(item)
                if scene.pauses:
                    await scene.pause()
    finally:
        # A traceback keeps variables alive.
        del thing


def consume_blocking(scene: Scene, call: Callable[..., Any], **options: Any) -> None:
    """Do the same without an event loop."""
    thing = call(**options)
    try:
        if hasattr(thing, "__iter__") and not isinstance(thing, bytes):
            for item in thing:
                scene.given(item)
    finally:
        del thing
