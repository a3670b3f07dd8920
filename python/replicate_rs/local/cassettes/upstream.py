"""Requests to the upstream: one connection for each, nothing retried, bodies as they come."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import zlib
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import h11

RawHeaders = list[tuple[bytes, bytes]]

CONNECT_TIMEOUT = 30.0
_BLOCK = 256 * 1024
_MAX_HEAD = 256 * 1024


class UpstreamError(Exception):
    """The upstream cannot be reached, or its response broke off; the message says why."""


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request to send.

    Args:
        method: The HTTP method.
        url: The absolute URL.
        headers: The headers, without `Host`, and with one that says how long the body is.
        body: The blocks of the body.

    """

    method: str
    url: str
    headers: RawHeaders
    body: AsyncIterator[bytes]


class UpstreamResponse:
    """The response to a request, whose body is read as it comes."""

    def __init__(self, head: h11.Response, events: AsyncIterator[h11.Event]) -> None:
        self.status: int = head.status_code
        self.headers: RawHeaders = [(bytes(name), bytes(value)) for name, value in head.headers]
        self._events = events

    def header(self, name: str) -> str:
        """Return the first header of a name in lower case; empty without one."""
        key = name.encode()
        return next((value.decode("latin-1") for each, value in self.headers if each == key), "")

    async def raw_blocks(self) -> AsyncIterator[bytes]:
        """Return the body's blocks as they come. Raises `UpstreamError` if it breaks off."""
        async for event in self._events:
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    async def blocks(self) -> AsyncIterator[bytes]:
        """Return the body's blocks as they come, decompressed if they are gzip."""
        if not self.is_gzip:
            async for block in self.raw_blocks():
                yield block
            return
        decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        try:
            async for block in self.raw_blocks():
                if decompressed := decompressor.decompress(block):
                    yield decompressed
        except zlib.error as error:
            raise UpstreamError(f"the upstream's gzip is broken: {error}") from error
        if rest := decompressor.flush():
            yield rest

    @property
    def is_gzip(self) -> bool:
        """Whether the body is compressed in a way that `blocks` knows."""
        return self.header("content-encoding").strip().lower() in ("gzip", "x-gzip", "deflate")


@asynccontextmanager
async def send(request: UpstreamRequest) -> AsyncGenerator[UpstreamResponse]:
    """Send a request, and give the response when its head has come.

    Raises:
        UpstreamError: There is no response.

    """
    parts = urlsplit(request.url)
    reader, writer = await _connect(parts)
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    sending = asyncio.create_task(_send(connection, writer, parts, request))

    def on_sent(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, OSError):
            # No response can come to half a request.
            writer.transport.abort()

    sending.add_done_callback(on_sent)
    try:
        events = _receive(connection, reader)
        head = await _read_head(events, sending)
        yield UpstreamResponse(head, events)
    except OSError as error:
        raise UpstreamError(f"the connection to {parts.netloc} broke: {_reason(error)}") from error
    finally:
        sending.cancel()
        # An error of sending was raised with the response, or does not matter after it.
        await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _read_head(events: AsyncIterator[h11.Event], sending: asyncio.Task[None]) -> h11.Response:
    try:
        async for event in events:
            if isinstance(event, h11.Response):
                return event
    except (UpstreamError, OSError):
        # What reading the client's body raised is the cause.
        if sending.done() and (error := sending.exception()) and not isinstance(error, OSError):
            raise error from None
        raise
    raise UpstreamError("the upstream closed the connection without a response")


async def _send(
    connection: h11.Connection,
    writer: asyncio.StreamWriter,
    parts: SplitResult,
    request: UpstreamRequest,
) -> None:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [(b"host", parts.netloc.encode()), *request.headers, (b"connection", b"close")]
    head = h11.Request(method=request.method.encode(), target=target.encode(), headers=headers)
    writer.write(connection.send(head) or b"")
    async for block in request.body:
        writer.write(connection.send(h11.Data(data=block)) or b"")
        # A server that answers before it has read everything may close the connection: the
        # response counts.
        await writer.drain()
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()


async def _receive(
    connection: h11.Connection, reader: asyncio.StreamReader
) -> AsyncIterator[h11.Event]:
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_BLOCK))
            elif event is h11.PAUSED or isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                return
            elif isinstance(event, (h11.Response, h11.Data)):
                yield event
    except h11.RemoteProtocolError as error:
        raise UpstreamError(f"the upstream's response is broken: {error}") from error


async def _connect(parts: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    proxy = _find_proxy(parts) if is_tls else None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if proxy is not None:
                return await _connect_through(proxy, host, port)
            context = await asyncio.to_thread(_tls) if is_tls else None
            return await asyncio.open_connection(host, port, ssl=context, limit=_BLOCK)
    except TimeoutError:
        raise UpstreamError(f"{parts.netloc} did not answer within {CONNECT_TIMEOUT:g} s") from None
    except OSError as error:
        raise UpstreamError(f"cannot reach {parts.netloc}: {_reason(error)}") from error


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _find_proxy(parts: SplitResult) -> SplitResult | None:
    """Return the HTTP proxy that the environment names for a URL."""
    proxy = getproxies().get("https")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


async def _connect_through(
    proxy: SplitResult, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a TLS connection through a tunnel of an HTTP proxy."""
    if proxy.scheme != "http":
        raise OSError(f"a {proxy.scheme} proxy is not supported here")
    reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port or 80, limit=_BLOCK)
    try:
        headers = [(b"host", f"{host}:{port}".encode())]
        if proxy.username is not None:
            user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
            headers.append((b"proxy-authorization", b"Basic " + b64encode(user.encode())))
        connection = h11.Connection(h11.CLIENT)
        target = f"{host}:{port}".encode()
        writer.write(
            connection.send(h11.Request(method=b"CONNECT", target=target, headers=headers)) or b""
        )
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await reader.read(_BLOCK))
        if not isinstance(event, h11.Response) or not 200 <= event.status_code < 300:
            status = getattr(event, "status_code", "nothing")
            raise OSError(f"the proxy {proxy.hostname} answered {status}")
        await writer.start_tls(await asyncio.to_thread(_tls), server_hostname=host)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def _reason(error: OSError) -> str:
    # The text of asyncio's errors repeats the address. Name resolution has numbers of its own.
    if error.errno and not isinstance(error, (socket.gaierror, ssl.SSLError)):
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__
