"""Running a model without an HTTP library, over TLS.

The cost is that of the system, of OpenSSL and of a few lines of Python: the least that a program
in Python can take.
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

from contenders import TOKEN
from contenders.request_sockets import CONTENT_LENGTH, HEAD_END

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

# Bytes.
MAX_HEAD = 4096


class RunRequests:
    """The two requests of a run, over one connection; `size` is the output's length in bytes."""

    def __init__(self, url: str, model_input: dict[str, Any], size: int) -> None:
        self.address = urlsplit(url)
        body = json.dumps({"input": model_input}).encode()
        head = [
            f"POST {self.address.path} HTTP/1.1",
            f"Host: {self.address.netloc}",
            f"Authorization: Bearer {TOKEN}",
            "Prefer: wait",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        self._create = "\r\n".join(head).encode() + HEAD_END + body
        self._buffer = memoryview(bytearray(MAX_HEAD + size))

    def run(self, connection: ssl.SSLSocket) -> Generator[int, None, memoryview]:
        """Run the model and return its output.

        Yields the event to wait for, if the connection does not block.
        """
        prediction = json.loads((yield from self._exchange(connection, self._create)))
        path = urlsplit(prediction["output"]).path
        return (
            yield from self._exchange(
                connection, f"GET {path} HTTP/1.1\r\nHost: {self.address.netloc}\r\n\r\n".encode()
            )
        )

    def _exchange(self, connection: ssl.SSLSocket, request: bytes) -> Generator[int, None, Any]:
        connection.sendall(request)
        buffer = self._buffer
        received = start = end = 0
        while not end or received < end:
            try:
                received += connection.recv_into(buffer[received:])
            except ssl.SSLWantReadError:
                yield selectors.EVENT_READ
                continue
            if not end:
                head, found, _ = bytes(buffer[:received]).partition(HEAD_END)
                if found:
                    length = head.lower().partition(CONTENT_LENGTH.lower())[2].partition(b"\r")[0]
                    start = len(head) + len(HEAD_END)
                    end = start + int(length)
        return buffer[start:end] if end > MAX_HEAD else bytes(buffer[start:end])


@contextmanager
def tls_connection(requests: RunRequests, trusted: str) -> Iterator[ssl.SSLSocket]:
    """Connect over TLS, trusting one certificate."""
    address, context = requests.address, ssl.create_default_context(cafile=trusted)
    with socket.create_connection((address.hostname, address.port)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname=address.hostname) as connection:
            yield connection


def finish(run: Generator[int, None, memoryview]) -> memoryview:
    """Complete a run whose connection blocks, and return its output."""
    try:
        next(run)
    except StopIteration as stop:
        output: memoryview = stop.value
        return output
    raise RuntimeError("a blocking socket raised SSLWantReadError")


class ConcurrentRuns:
    """Many runs at a time, each on a connection that does not block."""

    def __init__(
        self, requests: list[RunRequests], connections: list[ssl.SSLSocket], size: int
    ) -> None:
        self._size = size
        self._requests = requests
        self._connections = connections
        for connection in connections:
            connection.setblocking(False)

    def load(self, seconds: float, add: Callable[[int], float]) -> int:
        """Run the model for some seconds; return the number of runs.

        `add` counts runs that have ended, and returns the time.
        """
        end, count = time.perf_counter() + seconds, 0
        with closing(selectors.DefaultSelector()) as selector:

            def repeat(requests: RunRequests, connection: ssl.SSLSocket) -> Iterator[int]:
                """Run the model again and again; yield where the connection has nothing to read."""
                nonlocal count
                while True:
                    output = yield from requests.run(connection)
                    if len(output) != self._size:
                        raise ValueError(f"wrong answer: {len(output)} bytes")
                    count += 1
                    if add(1) >= end:
                        selector.unregister(connection)
                        return

            for requests, connection in zip(self._requests, self._connections, strict=True):
                runs = repeat(requests, connection)
                selector.register(connection, selectors.EVENT_READ, runs)
                next(runs, None)
            while selector.get_map():
                for key, _ in selector.select():
                    next(key.data, None)
        return count


@contextmanager
def concurrent_runs(
    url: str, model_input: dict[str, Any], size: int, count: int, trusted: str
) -> Iterator[ConcurrentRuns]:
    """Open `count` connections."""
    requests = [RunRequests(url, model_input, size) for _ in range(count)]
    with ExitStack() as stack:
        connections = [stack.enter_context(tls_connection(each, trusted)) for each in requests]
        yield ConcurrentRuns(requests, connections, size)
