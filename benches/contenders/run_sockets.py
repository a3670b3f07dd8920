"""How models are run without an HTTP library, over TLS: bytes are sent, and bytes come back, into
memory that is there.

What it takes is the system's, OpenSSL's, and that of the few lines of Python around them: the floor
of a program in Python.
"""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import time
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from contenders.request_sockets import END, LENGTH

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# Bytes of the largest head.
HEAD = 4096


class Exchanges:
    """The two requests of a run, over one connection; `size` is the output's length in bytes."""

    def __init__(self, url: str, given: dict[str, Any], size: int) -> None:
        self.place = urlsplit(url)
        body = json.dumps({"input": given}).encode()
        self._create = (
            f"POST {self.place.path} HTTP/1.1\r\nHost: {self.place.netloc}\r\nAuthorization: Bearer"
            " bench\r\nPrefer: wait\r\nContent-Type: application/json\r\nContent-Length:"
            f" {len(body)}\r\n\r\n"
        ).encode() + body
        self._room = memoryview(bytearray(HEAD + size))

    def run(self, connection: ssl.SSLSocket) -> Generator[int, None, memoryview]:
        """Run the model and read its output; gives what to wait for on a connection that does not
        block.
        """
        prediction = json.loads((yield from self._exchange(connection, self._create)))
        path = urlsplit(prediction["output"]).path
        return (
            yield from self._exchange(
                connection, f"GET {path} HTTP/1.1\r\nHost: {self.place.netloc}\r\n\r\n".encode()
            )
        )

    def _exchange(self, connection: ssl.SSLSocket, request: bytes) -> Generator[int, None, Any]:
        connection.sendall(request)
        room, came, end = self._room, 0, 0
        while not end or came < end:
            try:
                came += connection.recv_into(room[came:])
            except ssl.SSLWantReadError:
                yield selectors.EVENT_READ
                continue
            if not end:
                head, found, _ = bytes(room[:came]).partition(END)
                if found:
                    begin = len(head) + len(END)
                    end = begin + int(head.lower().partition(LENGTH.lower())[2].partition(b"\r")[0])
        return room[begin:end] if end > HEAD else bytes(room[begin:end])


@contextmanager
def connected(exchanges: Exchanges, trusted: str) -> Iterator[ssl.SSLSocket]:
    """Connect over TLS."""
    place, context = exchanges.place, ssl.create_default_context(cafile=trusted)
    with socket.create_connection((place.hostname, place.port)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname=place.hostname) as connection:
            yield connection


def finished(work: Generator[int, None, memoryview]) -> memoryview:
    """Do what never has to wait for a socket that blocks."""
    try:
        next(work)
    except StopIteration as stop:
        content: memoryview = stop.value
        return content
    raise RuntimeError("a socket that blocks would have blocked")


class Together:
    """So many runs at a time, on as many connections that do not block."""

    def __init__(
        self, exchanges: list[Exchanges], connections: list[ssl.SSLSocket], size: int
    ) -> None:
        self._size = size
        self._exchanges = exchanges
        self._connections = connections
        for connection in connections:
            connection.setblocking(False)

    def load(self, seconds: float) -> int:
        """Run for some seconds; gives how many runs there were."""
        end, count = time.perf_counter() + seconds, 0
        with closing(selectors.DefaultSelector()) as ready:
            for exchange, connection in zip(self._exchanges, self._connections, strict=True):
                work = exchange.run(connection)
                next(work)
                ready.register(connection, selectors.EVENT_READ, (exchange, connection, [work]))
            while ready.get_map():
                for key, _ in ready.select():
                    exchange, connection, current = key.data
                    try:
                        next(current[0])
                    except StopIteration as stop:
                        if len(stop.value) != self._size:
                            raise ValueError(f"wrong answer: {len(stop.value)} bytes") from None
                        count += 1
                        if time.perf_counter() >= end:
                            ready.unregister(connection)
                            continue
                        current[0] = exchange.run(connection)
                        next(current[0])
        return count


@contextmanager
def together(
    url: str, given: dict[str, Any], size: int, count: int, trusted: str
) -> Iterator[Together]:
    """Connect so many times."""
    exchanges = [Exchanges(url, given, size) for _ in range(count)]
    with ExitStack() as stack:
        yield Together(
            exchanges, [stack.enter_context(connected(each, trusted)) for each in exchanges], size
        )
