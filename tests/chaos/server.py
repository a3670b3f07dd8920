"""Servers that misbehave on purpose, per connection and per request."""

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

# Composed at run time, so that no source line in a traceback contains it.
TOKEN = "_".join(("r8", "c" * 20))


@cache
def folder() -> Path:
    """Return a temporary folder that is removed when the process ends."""
    path = tempfile.mkdtemp(prefix="chaos-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


Opening = Callable[["Server", socket.socket], socket.socket | None]
"""Handles a new connection, and returns the one to serve, if any."""


class Server(Wire):
    """Uses `openings` in turn for new connections, the last one for all further ones."""

    def __init__(
        self, script: Callable[[Seen], Answer | None], openings: Iterable[Opening | None] = ()
    ) -> None:
        self.openings = list(openings)
        self.partial: list[bytes] = []
        self._accepted = 0
        super().__init__(script)

    @property
    def posts(self) -> int:
        """The number of POSTs that create something, including incomplete requests."""
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
    """The API's server, and one at another origin, which must not receive the token."""

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


# Openings: what happens to a connection before its first request is read.


def reset(connection: socket.socket) -> None:
    """Close with a TCP reset, as a crashed machine does; without a TLS close."""
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
    """Send this before the request arrives."""

    def opening(server: Server, connection: socket.socket) -> None:
        connection.sendall(greeting)
        while connection.recv(65536):
            pass

    return opening


def take(
    limit: int | None = None,
    *,
    until: bytes = b"\r\n\r\n",
    then: Callable[[socket.socket], Any] = reset,
) -> Opening:
    """Read `limit` bytes of a request, or up to and including `until`; then call `then`."""

    def opening(server: Server, connection: socket.socket) -> None:
        received = b""
        while len(received) < limit if limit else until not in received:
            block = connection.recv(65536 if limit is None else limit - len(received))
            if not block:
                return
            received += block
        server.partial.append(received)
        then(connection)

    return opening


def encrypted(context: Callable[[], ssl.SSLContext]) -> Opening:
    """Speak TLS."""

    def opening(server: Server, connection: socket.socket) -> socket.socket:
        return context().wrap_socket(connection, server_side=True)

    return opening


# Responses that misbehave.


def until_left(connection: socket.socket) -> None:
    """Neither read nor write until the client closes the connection."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    poll.poll(10_000)


def cut(
    content: bytes, size: int | None = None, end: Callable[[socket.socket], Any] | None = reset
) -> Answer:
    """Send the first `size` bytes of a response, then call `end`; without `end`, close."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(content[:size])
        if end is not None:
            end(connection)

    return answer


def stall(content: bytes) -> Answer:
    """Send this, then nothing more."""
    return cut(content, end=until_left)


def drip(head: bytes, drop: bytes = b" ", seconds: float = 0.02, times: int = 10_000) -> Answer:
    """Send a few bytes again and again."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(times):
            connection.sendall(drop)
            time.sleep(seconds)

    return answer


def flood(head: bytes, piece: bytes, times: int) -> Answer:
    """Send `piece` many times, without a pause."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(times):
            connection.sendall(piece)

    return answer


# Responses without a fault, and their parts.

OUTPUT = "whole"


def good(**more: Any) -> bytes:
    """Return a response with a prediction that has succeeded."""
    return reply(prediction(**({"output": OUTPUT} | more)))


def raw(head: str, body: bytes = b"") -> bytes:
    """Return a response with these header lines, unchanged."""
    return head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body
