"""What happens to every request before an endpoint sees it: it is logged, measured, and may meet a
fault.
"""

from __future__ import annotations

import asyncio
import socket

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..problem import Problem
from ..request_log import MOST_KEPT, LoggedRequest
from ..state import State
from .faults import Fault

# What a multipart body needs beside its file.
_ENVELOPE = 1 << 20


class Connections:
    """The open connections, by the peer's address: a fault cuts one."""

    def __init__(self) -> None:
        self.transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """Give uvicorn's protocol, made to note its connection here."""
        transports = self.transports

        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own signature
                super().connection_made(transport)
                # asyncio does so only for sockets that name their protocol: without it each answer
                # waits 40 ms for an ACK.
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


class Traffic:
    """An application around the two others."""

    def __init__(
        self,
        state: State,
        faults: list[Fault],
        connections: Connections,
        api: ASGIApp,
        delivery: ASGIApp,
    ) -> None:
        self._state = state
        self._faults = faults
        self._connections = connections
        self._api = api
        self._delivery = delivery

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        is_api = scope["server"][1] == self._state.addresses.ports[0]
        self._state.addresses.ask(scope["headers"], is_api=is_api)
        if path == "/" or path.startswith(("/p/", "/-/")):
            # The web page shows the log; it is not in it.
            await self._api(scope, receive, send)
            return
        app = self._delivery
        if is_api:
            # 1.0.7 adds `/v1` to its base URL, 2.0 and Node do not: with and without it is right
            # here for all of them.
            stripped = path.removeprefix("/v1").removeprefix("/v1")
            app, scope["path"] = self._api, path if stripped == "/" else stripped
        logged = _Logged(self._state, scope, path, receive, send)
        fault = next(
            (
                each
                for each in self._faults
                if each.matches(scope["method"], scope["path"].removeprefix("/v1"))
            ),
            None,
        )
        try:
            if fault is None:
                await app(scope, logged.receive, logged.send)
            else:
                fault.take()
                transport = self._connections.transports.get(tuple(scope["client"]))
                await fault.serve(app, scope, logged.receive, logged.send, transport)
        finally:
            logged.note()


class _Logged:
    """A request that is noted down when all of it is here, at the latest when it is answered."""

    def __init__(self, state: State, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        self._state = state
        self._receive = receive
        self._send = send
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._most = state.settings.max_body
        if headers.get("content-type", "").startswith("multipart/"):
            self._most = state.settings.max_upload + _ENVELOPE
        query = scope["query_string"].decode("latin-1")
        self._entry = LoggedRequest(
            scope["method"], path, query, headers, b"", 0, state.clock.time()
        )
        self._kept = bytearray()
        self._noted = False
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            self.note()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            body: bytes = message.get("body", b"")
            self._entry.size += len(body)
            if len(self._kept) < MOST_KEPT:
                self._kept += body[: MOST_KEPT - len(self._kept)]
            if self._entry.size > self._most:
                await self._drain(message)
                raise Problem(413, _too_large(self._most, self._state.settings.max_upload))
            if not message.get("more_body"):
                self.note()
        return message

    async def _drain(self, message: Message) -> None:
        # A client that is still sending would not read the answer.
        while message.get("more_body"):
            message = await self._receive()
        self.note()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.note()
            self._entry.status = message["status"]
        await self._send(message)

    def note(self) -> None:
        if not self._noted:
            self._noted = True
            self._entry.body = bytes(self._kept)
            self._state.requests.append(self._entry)
            self._state.changes.notify()


def _too_large(most: int, upload: int) -> str:
    if most >= upload:
        return f"Files must be less than {upload // 1_000_000}MB in size"
    return f"The request body must be at most {most} bytes"
