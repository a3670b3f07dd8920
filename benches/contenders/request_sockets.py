"""Fetching a prediction without an HTTP library: the least that the system and Python take."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

# What ends a response's head.
HEAD_END = b"\r\n\r\n"
CONTENT_LENGTH = b"Content-Length: "
# Bytes.
READ_SIZE = 256 << 10


def _request(url: str) -> tuple[str | None, int | None, bytes]:
    parts = urlsplit(url)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n"
    return parts.hostname, parts.port, request.encode()


def _body(response: bytes) -> bytes | None:
    """Return the body of a response, or None if it is incomplete."""
    head, end, body = response.partition(HEAD_END)
    if not end or len(body) < int(head.partition(CONTENT_LENGTH)[2].partition(b"\r")[0]):
        return None
    return body


@contextmanager
def socket_get(
    url: str, decode: Callable[[bytes], Any] = json.loads
) -> Iterator[Callable[[], Any]]:
    """Use one blocking socket."""
    host, port, request = _request(url)
    with socket.create_connection((host, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def get() -> Any:
            connection.sendall(request)
            response = connection.recv(READ_SIZE)
            while (body := _body(response)) is None:
                response += connection.recv(READ_SIZE)
            return decode(body)

        yield get


class _Connection(asyncio.Protocol):
    """A connection of the event loop, with one request at a time."""

    transport: asyncio.Transport
    waiter: asyncio.Future[bytes]
    response = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.response += data
        if (body := _body(self.response)) is not None:
            self.response = b""
            self.waiter.set_result(body)

    async def send(self, request: bytes) -> bytes:
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiter


@asynccontextmanager
async def transport_get(url: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Use transports of the event loop, each for one request at a time."""
    host, port, request = _request(url)
    loop = asyncio.get_running_loop()
    idle: list[_Connection] = []

    async def get() -> Any:
        connection = (
            idle.pop() if idle else (await loop.create_connection(_Connection, host, port))[1]
        )
        body = await connection.send(request)
        idle.append(connection)
        return json.loads(body)

    yield get
    for connection in idle:
        connection.transport.close()
