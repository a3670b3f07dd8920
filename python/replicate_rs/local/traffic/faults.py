"""Faults that a test asks for: how the server misbehaves, where, and how often."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..problem import Problem
from ..settings import Advice
from .patterns import Pattern
from .rate_limits import advise

_TITLES = {401: "Unauthenticated", 402: "Insufficient credit"}
_DETAILS = {
    401: "You did not pass a valid authentication token",
    402: "You have insufficient credit to run this model.",
    404: "The requested resource could not be found.",
    429: "Request was throttled.",
}
# Where streams are, without `/v1`.
STREAMS = ("/streams/", "/files/local-")
# Answers without a body.
_EMPTY = (204, 304)


class Cut(Exception):
    """The connection was cut on purpose."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """A fault, as `LocalReplicate.fault` describes it.

    Args:
        hits: How often it has struck.
        met: How many requests it was meant for; `truncate` and `drop_stream` do not strike what
            ends before.

    Raises:
        TypeError: An argument is of another kind.
        ValueError: An argument has no effect, or one that cannot be.

    """

    pattern: Pattern
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
    optional: bool
    hits: int = field(default=0)
    met: int = field(default=0)

    def __post_init__(self) -> None:
        _check_options(self)
        _check_effect(self)

    def __str__(self) -> str:
        met = "1 request" if self.met == 1 else f"{self.met} requests"
        unused = f"{met} met it, and was over before" if self.met else "no request met it"
        return str(self.pattern) if self.hits else f"{self.pattern} ({unused})"

    def matches(self, method: str, path: str) -> bool:
        """Return whether it is meant for this request."""
        fits = self.drop_stream is None or path.startswith(STREAMS)
        return self.left != 0 and fits and self.pattern.matches(method, path)

    def take(self) -> None:
        """Note that a request has met it."""
        self.met += 1
        if self.left is not None:
            self.left -= 1
        if self.answers or self.delay or self.reset:
            self.hits += 1

    def cut(self, transport: asyncio.Transport | None) -> None:
        """Close the connection in the middle of an answer."""
        if not (self.answers or self.delay):
            self.hits += 1
        if transport is not None:
            transport.close()
        raise Cut

    @property
    def answers(self) -> bool:
        """Whether it answers in the place of the server."""
        return not (
            self.status is None
            and self.body is None
            and self.headers is None
            and self.retry_after is None
        )

    async def serve(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        transport: asyncio.Transport | None,
    ) -> None:
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
            send = _Truncated(send, self, self.truncate, transport)
        elif self.drop_stream is not None:
            send = _Dropped(send, self, self.drop_stream, transport)
        with contextlib.suppress(Cut):
            await app(scope, receive, send)

    async def _answer(self, _: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        status = self.status or (429 if self.retry_after is not None else 200)
        problem = Problem(
            status, _DETAILS.get(status, "An injected fault."), title=_TITLES.get(status)
        )
        if self.retry_after is not None:
            advise(problem, self.retry_after, self.advice)
        headers = {
            "content-type": "application/problem+json" if status >= 400 else "application/json"
        }
        headers |= {
            name.lower(): value
            for name, value in {**(problem.headers or {}), **(self.headers or {})}.items()
        }
        body = json.dumps(problem.body).encode() if self.body is None else self.body
        if status in _EMPTY:
            body = b""
            del headers["content-type"]
        else:
            headers["content-length"] = str(len(body))
        lines = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body})


# What options of a fault must be, and which types these are.
_KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "left": ("a number", (int,)),
    "status": ("a number", (int,)),
    "body": ("bytes or str", (bytes,)),
    "headers": ("a mapping", (Mapping,)),
    "delay": ("a number of seconds", (int, float)),
    "truncate": ("a number of bytes", (int,)),
    "drop_stream": ("a number of events", (int,)),
    "retry_after": ("a number of seconds", (int, float)),
}


def _check_options(fault: Fault) -> None:
    for name, (kind, types) in _KINDS.items():
        value = getattr(fault, name)
        if value is None:
            continue
        if not isinstance(value, types) or isinstance(value, bool):
            raise TypeError(
                f"{'times' if name == 'left' else name} must be {kind}, not {type(value).__name__}"
            )
        if isinstance(value, (int, float)) and name != "left" and not value >= 0:
            raise ValueError(f"{name} must be at least 0, not {value}")
    if fault.left is not None and fault.left < 1:
        raise ValueError(f"times must be at least 1, or None for always, not {fault.left}")
    if fault.reset not in (False, True, "after"):
        raise ValueError(f"reset must be True or 'after', not {fault.reset!r}")
    if fault.status is not None and not 200 <= fault.status <= 599:
        raise ValueError(f"status must be from 200 to 599, not {fault.status}")
    if unknown := [each for each in fault.advice if each not in get_args(Advice)]:
        raise ValueError(
            f"advice must be some of {', '.join(map(repr, get_args(Advice)))}, not {unknown[0]!r}"
        )


def _check_effect(fault: Fault) -> None:
    truncates, drops = fault.truncate is not None, fault.drop_stream is not None
    if not (fault.answers or fault.delay or fault.reset or truncates or drops):
        raise ValueError(
            "a fault needs an effect: status, body, headers, bad_json, delay, reset, truncate,"
            " drop_stream or retry_after"
        )
    if fault.status in _EMPTY and fault.body:
        raise ValueError(f"an answer {fault.status} has no body: leave out body, or status")
    if fault.reset and (fault.answers or truncates or drops):
        raise ValueError("reset leaves no answer: leave out what the answer would be")
    if truncates and drops:
        raise ValueError("truncate and drop_stream are two faults: one or the other")
    if drops and fault.answers:
        raise ValueError(
            "drop_stream is for the server's own streams: leave out what the answer would be, or"
            " use truncate"
        )


class _Truncated:
    """Sends the head, and the first bytes of the body."""

    def __init__(
        self, send: Send, fault: Fault, left: int, transport: asyncio.Transport | None
    ) -> None:
        self._send, self._fault, self._left, self._transport = send, fault, left, transport

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body: bytes = message.get("body", b"")
        if len(body) <= self._left:
            self._left -= len(body)
            await self._send(message)
            return
        await self._send(
            {"type": "http.response.body", "body": body[: self._left], "more_body": True}
        )
        self._fault.cut(self._transport)


class _Dropped:
    """Sends the first events of a stream; comments do not count."""

    def __init__(
        self, send: Send, fault: Fault, left: int, transport: asyncio.Transport | None
    ) -> None:
        self._send, self._fault, self._left, self._transport = send, fault, left, transport

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
        is_over = self._left == 0
        await self._send(
            {
                "type": "http.response.body",
                "body": b"".join(kept),
                "more_body": is_over or message.get("more_body", False),
            }
        )
        if is_over:
            self._fault.cut(self._transport)


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
