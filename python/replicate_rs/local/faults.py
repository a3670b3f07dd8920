"""Faults that a test asks for: how the server misbehaves, where, and how often."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import advise
from .problem import Problem
from .settings import Advice

_TITLES = {401: "Unauthenticated", 402: "Insufficient credit"}
_DETAILS = {
    401: "You did not pass a valid authentication token",
    402: "You have insufficient credit to run this model.",
    404: "The requested resource could not be found.",
    429: "Request was throttled.",
}
_PATTERN = re.compile(r"(\*|[A-Z]+) (/\S*)\Z")


class Cut(Exception):
    """The connection was cut on purpose."""


@dataclass(slots=True)
class Fault:
    """A fault, as `LocalReplicate.fault` describes it. `hits` counts how often it has struck."""

    method: str
    path: str
    left: int | None
    status: int | None
    body: bytes | None
    headers: Mapping[str, str] | None
    delay: float
    reset: bool | Literal["after"]
    truncate: int | None
    drop_stream: int | None
    retry_after: float | None
    advice: tuple[Advice, ...]
    hits: int = field(default=0)

    def matches(self, method: str, path: str) -> bool:
        """Whether it strikes this request."""
        return self.left != 0 and self.method in ("*", method) and fnmatchcase(path, self.path)

    def strike(self) -> None:
        """Count it."""
        self.hits += 1
        if self.left is not None:
            self.left -= 1

    @property
    def answers(self) -> bool:
        """Whether it answers in the place of the server."""
        return not (self.status is None and self.body is None and self.headers is None and self.retry_after is None)

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, transport: asyncio.Transport | None) -> None:
        """Serve a request in this fault's way."""
        await asyncio.sleep(self.delay)
        if self.reset is True:
            _abort(transport)
            return
        if self.answers:
            app = self._answer
        elif self.reset == "after":
            await app(scope, receive, _swallow)
            _abort(transport)
            return
        if self.truncate is not None:
            send = _Truncated(send, self.truncate, transport)
        elif self.drop_stream is not None:
            send = _Dropped(send, self.drop_stream, transport)
        with contextlib.suppress(Cut):
            await app(scope, receive, send)

    async def _answer(self, _: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        status = self.status or (429 if self.retry_after is not None else 200)
        problem = Problem(status, _DETAILS.get(status, "An injected fault."), title=_TITLES.get(status))
        if self.retry_after is not None:
            advise(problem, self.retry_after, self.advice)
        headers = {"content-type": "application/problem+json" if status >= 400 else "application/json"}
        headers |= {name.lower(): value for name, value in {**(problem.headers or {}), **(self.headers or {})}.items()}
        body = json.dumps(problem.body).encode() if self.body is None else self.body
        headers["content-length"] = str(len(body))
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body})


def parse(pattern: str) -> tuple[str, str]:
    """Split `METHOD /path`; `*` stands for anything, and `/v1` may be left out."""
    match = _PATTERN.match(pattern)
    if match is None:
        raise ValueError(f"a fault's pattern is like 'GET /predictions/*' or '* /files', not {pattern!r}")
    method, path = match.groups()
    return method, path.removeprefix("/v1")


class _Truncated:
    """Sends the head, and the first bytes of the body."""

    def __init__(self, send: Send, left: int, transport: asyncio.Transport | None) -> None:
        self._send, self._left, self._transport = send, left, transport

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body: bytes = message.get("body", b"")
        if len(body) <= self._left and message.get("more_body"):
            self._left -= len(body)
            await self._send(message)
            return
        await self._send({"type": "http.response.body", "body": body[: self._left], "more_body": True})
        _close(self._transport)
        raise Cut


class _Dropped:
    """Sends the first events of a stream; comments do not count."""

    def __init__(self, send: Send, left: int, transport: asyncio.Transport | None) -> None:
        self._send, self._left, self._transport = send, left, transport

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        frames = (message.get("body", b"") or b"").split(b"\n\n")
        kept: list[bytes] = []
        for frame in frames[:-1]:
            if not frame.startswith(b":"):
                if self._left == 0:
                    break
                self._left -= 1
            kept.append(frame + b"\n\n")
        await self._send({"type": "http.response.body", "body": b"".join(kept), "more_body": True})
        if self._left == 0:
            _close(self._transport)
            raise Cut


async def _swallow(_: Message) -> None:
    pass


def _abort(transport: asyncio.Transport | None) -> None:
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # Without lingering, closing sends a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _close(transport: asyncio.Transport | None) -> None:
    if transport is not None:
        transport.close()
