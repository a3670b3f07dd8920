"""How predictions are fetched without an HTTP library, which is the best there can be: bytes are
sent, and bytes come back.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

# The end of a head, and the header with the length of what follows.
END, LENGTH = b"\r\n\r\n", b"Content-Length: "
# Bytes that are received at once.
LARGEST = 256 << 10


def _request(url: str) -> tuple[str | None, int | None, bytes]:
    place = urlsplit(url)
    return (
        place.hostname,
        place.port,
        f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode(),
    )


def _body(answer: bytes) -> bytes | None:
    """Give the body of an answer, if it is whole."""
    head, end, body = answer.partition(END)
    if not end or len(body) < int(head.partition(LENGTH)[2].partition(b"\r")[0]):
        return None
    return body


@contextmanager
def bare(url: str, made: Callable[[bytes], Any] = json.loads) -> Iterator[Callable[[], Any]]:
    """Send and receive on a socket; gives what is made of each body."""
    host, port, request = _request(url)
    with socket.create_connection((host, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def get() -> Any:
            connection.sendall(request)
            answer = connection.recv(LARGEST)
            while (body := _body(answer)) is None:
                answer += connection.recv(LARGEST)
            return made(body)

        yield get


class _Exchange(asyncio.Protocol):
    """One request at a time on a connection of an event loop."""

    transport: asyncio.Transport
    waiter: asyncio.Future[bytes]
    answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.answer += data
        if (body := _body(self.answer)) is not None:
            self.answer = b""
            self.waiter.set_result(body)

    async def ask(self, request: bytes) -> bytes:
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiter


@asynccontextmanager
async def bare_async(url: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Send and receive with transports of the event loop."""
    host, port, request = _request(url)
    loop, free = asyncio.get_running_loop(), list[_Exchange]()

    async def get() -> Any:
        exchange = free.pop() if free else (await loop.create_connection(_Exchange, host, port))[1]
        body = await exchange.ask(request)
        free.append(exchange)
        return json.loads(body)

    yield get
    for exchange in free:
        exchange.transport.close()
