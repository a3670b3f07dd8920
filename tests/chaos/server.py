"""A server that misbehaves on purpose: per connection, before anything is read, and per request."""

from __future__ import annotations

import atexit
import contextlib
import select
import shutil
import socket
import ssl
import struct
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from support.wire import Answer, Seen, Wire, prediction, reply

# Not written out anywhere, so that no line of a traceback has it.
TOKEN = "_".join(("r8", "c" * 20))


@cache
def folder() -> Path:
    """A folder for as long as this process lives."""
    made = tempfile.mkdtemp(prefix="chaos-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


Opening = Callable[["Server", socket.socket], socket.socket | None]
"""What is done with a new connection; what it returns is then served."""


class Server(Wire):
    """Opens the n-th connection by the n-th of `openings`, and those after them as the last; None
    is as usual.
    """

    def __init__(
        self, script: Callable[[Seen], Answer | None], openings: Iterable[Opening | None] = ()
    ) -> None:
        self.openings = list(openings)
        self.partial: list[bytes] = []
        self._accepted = 0
        super().__init__(script)

    @property
    def posts(self) -> int:
        """How many times something was asked to be made, wholly or in part."""
        whole = sum(
            each.method == "POST" and not each.path.endswith("/cancel") for each in self.seen
        )
        return whole + sum(each.startswith(b"POST") for each in self.partial)

    def _serve(self, connection: socket.socket) -> None:
        with self._change:
            turn = min(self._accepted, len(self.openings) - 1)
            self._accepted += 1
        opening = self.openings[turn] if self.openings else None
        if opening is not None:
            try:
                opened = opening(self, connection)
            except OSError:
                opened = None
            if opened is None:
                connection.close()
                with self._change:
                    self.closed += 1
                    self._change.notify_all()
                return
            connection = opened
        super()._serve(connection)


class Stage(NamedTuple):
    """The API, and somebody else's server, which nobody's token may reach."""

    home: Server
    other: Server

    @classmethod
    def of(
        cls, script: Callable[[Stage, Seen], Answer | None], openings: Iterable[Opening | None] = ()
    ) -> Self:
        stage: Stage

        def answer(seen: Seen) -> Answer | None:
            return script(stage, seen)

        stage = cls(Server(answer, openings), Server(answer))
        return stage

    def close(self) -> None:
        for each in self:
            each.__exit__()


# What is done to a connection before its first request is read.


def reset(connection: socket.socket) -> None:
    """End it as a crashed machine does; an SSL socket is ended below its encryption."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reset_at_once(server: Server, connection: socket.socket) -> None:
    reset(connection)


def close_at_once(server: Server, connection: socket.socket) -> None:
    connection.close()


def say_nothing(server: Server, connection: socket.socket) -> None:
    until_left(connection)


def say(greeting: bytes) -> Opening:
    """Speak before being spoken to."""

    def opening(server: Server, connection: socket.socket) -> None:
        connection.sendall(greeting)
        while connection.recv(65536):
            pass

    return opening


def take(
    most: int | None = None,
    *,
    until: bytes = b"\r\n\r\n",
    then: Callable[[socket.socket], Any] = reset,
) -> Opening:
    """Take so many bytes of a request, or all up to some, and then no more."""

    def opening(server: Server, connection: socket.socket) -> None:
        came = b""
        while len(came) < most if most else until not in came:
            part = connection.recv(65536 if most is None else most - len(came))
            if not part:
                return
            came += part
        server.partial.append(came)
        then(connection)

    return opening


def encrypted(context: Callable[[], ssl.SSLContext]) -> Opening:
    """Speak TLS."""

    def opening(server: Server, connection: socket.socket) -> socket.socket:
        return context().wrap_socket(connection, server_side=True)

    return opening


# What is done instead of answering.


def until_left(connection: socket.socket) -> None:
    """Neither read nor write until the client goes away."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    poll.poll(10_000)


def cut(
    content: bytes, size: int | None = None, end: Callable[[socket.socket], Any] | None = reset
) -> Answer:
    """Send the first bytes of an answer, and then end the connection, or close it."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(content[:size])
        if end is not None:
            end(connection)

    return answer


def stall(content: bytes) -> Answer:
    """Send this, and then nothing more."""
    return cut(content, end=until_left)


def drip(head: bytes, drop: bytes = b" ", seconds: float = 0.02, most: int = 10_000) -> Answer:
    """Send a little, again and again."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(most):
            connection.sendall(drop)
            time.sleep(seconds)

    return answer


def flood(head: bytes, piece: bytes, times: int) -> Answer:
    """Send very much."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(times):
            connection.sendall(piece)

    return answer


# Well-behaved answers, and their parts.

OUTPUT = "whole"


def good(**more: Any) -> bytes:
    """A prediction that has succeeded."""
    return reply(prediction(**({"output": OUTPUT} | more)))


def raw(head: str, body: bytes = b"") -> bytes:
    """An answer of these header lines, as they are."""
    return head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body
