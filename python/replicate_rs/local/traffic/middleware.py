"""The application that every request goes through: it logs the request and applies faults."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..page.web_page import is_page
from ..problem import Problem
from ..request_log import MAX_LOGGED_BODY, LoggedRequest
from ..state import State
from .faults import Fault

# What precedes the path of a recorded output file or stream: its scheme and its host.
_RECORDED_HOST = re.compile(r"/https?/[^/]+(?=/)")
# Bytes of a multipart body beside the file.
_MULTIPART_OVERHEAD = 1 << 20


class Connections:
    """The open connections, by the client's address, so that a fault can close one."""

    def __init__(self) -> None:
        self.transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """Return uvicorn's protocol class, extended to add its connections here."""
        transports = self.transports

        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own signature
                super().connection_made(transport)
                # asyncio sets this only for sockets with a protocol number. Without it, each
                # response waits 40 ms for an ACK.
                transport.get_extra_info("socket").setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
                )
                if self.client is not None:
                    transports[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    transports.pop(self.client, None)
                super().connection_lost(exc)

        return Protocol

    async def close(self) -> None:
        """Close every connection, also one that was accepted just before the server stopped.

        The listening sockets must be closed. asyncio hands an accepted socket to a task, and would
        drop it open if its loop ended before that task began.
        """
        # The task begins, the protocol gets the connection, the task ends.
        for _ in range(3):
            await asyncio.sleep(0)
        for transport in list(self.transports.values()):
            transport.abort()
        # `abort` closes the socket in the loop's next round.
        await asyncio.sleep(0)


class TrafficMiddleware:
    """Passes requests to the application of their origin, with logging and faults.

    Args:
        state: The server's state.
        faults: The faults; the first that matches a request applies.
        connections: The open connections.
        api: The application of the API's origin.
        output: The application of the output origin.
        redact_log: Removes secrets from an entry of the request log.

    """

    def __init__(
        self,
        state: State,
        faults: list[Fault],
        connections: Connections,
        api: ASGIApp,
        output: ASGIApp,
        redact_log: Callable[[LoggedRequest], None] | None = None,
    ) -> None:
        self._state = state
        self._redact_log = redact_log
        self._faults = faults
        self._connections = connections
        self._api = api
        self._output = output

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        is_api = scope["server"][1] == self._state.addresses.ports[0]
        self._state.addresses.set_current(scope["headers"], is_api=is_api)
        if is_page(path):
            # Requests of the web page are not logged: the page shows the log.
            await self._api(scope, receive, send)
            return
        app = self._output
        if is_api:
            # The clients disagree whether a base URL ends in `/v1`: any number up to two works.
            stripped = path.removeprefix("/v1").removeprefix("/v1")
            app, scope["path"] = self._api, path if stripped == "/" else stripped
        logger = _RequestLogger(self._state, scope, path, receive, send, self._redact_log)
        fault = self._find_fault(scope)
        try:
            if fault is None:
                await app(scope, logger.receive, logger.send)
            else:
                fault.take()
                transport = self._connections.transports.get(tuple(scope["client"]))
                await fault.serve(app, scope, logger.receive, logger.send, transport)
        finally:
            logger.log()

    def _find_fault(self, scope: Scope) -> Fault | None:
        method = scope["method"]
        path = _without_host(scope["path"]).removeprefix("/v1")
        return next((each for each in self._faults if each.matches(method, path)), None)


def _without_host(path: str) -> str:
    match = _RECORDED_HOST.match(path)
    return path if match is None else path[match.end() :]


class _RequestLogger:
    """Logs a request when its body has arrived, or at the latest when it is answered."""

    def __init__(
        self,
        state: State,
        scope: Scope,
        path: str,
        receive: Receive,
        send: Send,
        redact_log: Callable[[LoggedRequest], None] | None,
    ) -> None:
        self._state = state
        self._redact_log = redact_log
        self._receive = receive
        self._send = send
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._max_size = state.settings.max_body
        if headers.get("content-type", "").startswith("multipart/"):
            self._max_size = state.settings.max_upload + _MULTIPART_OVERHEAD
        query = scope["query_string"].decode("latin-1")
        self._request = LoggedRequest(
            scope["method"], path, query, headers, b"", 0, state.clock.time()
        )
        self._body = bytearray()
        self._is_logged = False
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            self.log()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            body: bytes = message.get("body", b"")
            self._request.size += len(body)
            if len(self._body) < MAX_LOGGED_BODY:
                self._body += body[: MAX_LOGGED_BODY - len(self._body)]
            if self._request.size > self._max_size:
                await self._drain(message)
                raise Problem(413, _too_large(self._max_size, self._state.settings.max_upload))
            if not message.get("more_body"):
                self.log()
        return message

    async def _drain(self, message: Message) -> None:
        # A client reads no response while it still sends.
        while message.get("more_body"):
            message = await self._receive()
        self.log()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.log()
            self._request.status = message["status"]
        await self._send(message)

    def log(self) -> None:
        if not self._is_logged:
            self._is_logged = True
            self._request.body = bytes(self._body)
            if self._redact_log is not None:
                self._redact_log(self._request)
            self._state.requests.append(self._request)
            self._state.changes.notify()


def _too_large(max_size: int, max_upload: int) -> str:
    if max_size >= max_upload:
        return f"Files must be less than {max_upload // 1_000_000}MB in size"
    return f"The request body must be at most {max_size} bytes"
