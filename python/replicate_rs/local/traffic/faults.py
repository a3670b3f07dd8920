"""Faults: misbehaviour of the server that a test asks for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..problem import Problem
from ..settings import Advice
from .patterns import Pattern
from .rate_limits import add_retry_advice

_TITLES = {401: "Unauthenticated", 402: "Insufficient credit"}
_DETAILS = {
    401: "You did not pass a valid authentication token",
    402: "You have insufficient credit to run this model.",
    404: "The requested resource could not be found.",
    429: "Request was throttled.",
}
# Prefixes of the paths of streams, without `/v1`.
_STREAM_PATHS = ("/streams/", "/files/local-")
# Statuses of responses without a body.
_BODILESS = (204, 304)


class _ConnectionClosedError(Exception):
    """A fault has closed the connection in the middle of a response."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """A fault, as `LocalReplicate.fault` creates it.

    Args:
        left: How many requests it still applies to; None: any number.
        hits: How many requests it has struck.
        met: How many requests it has applied to. `truncate` and `drop_stream` do not strike a
            response that ends before.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range or has no effect.

    """

    pattern: Pattern
    """The requests that it applies to."""
    left: int | None
    status: int | None
    """The status code of a response that replaces the server's own."""
    body: bytes | None
    """The body of a response that replaces the server's own."""
    headers: Mapping[str, str] | None
    """Headers of a response that replaces the server's own."""
    delay: float
    """Seconds of real time before the response."""
    reset: bool | Literal["after"]
    """Whether it resets the connection; ``after``: after the request was carried out."""
    truncate: int | None
    """Bytes of a response's body after which it closes the connection."""
    drop_stream: int | None
    """Events of a stream after which it closes the connection."""
    retry_after: float | None
    """Seconds until a retry, as the response states them."""
    advice: tuple[Advice, ...]
    """Where the response states them."""
    optional: bool
    """Whether a test may pass in which it has not struck."""
    hits: int = field(default=0)
    met: int = field(default=0)

    def __post_init__(self) -> None:
        _check_options(self)
        _check_effect(self)

    def __str__(self) -> str:
        if self.hits:
            return str(self.pattern)
        met = "1 request" if self.met == 1 else f"{self.met} requests"
        reason = f"{met} met it, and was over before" if self.met else "no request met it"
        return f"{self.pattern} ({reason})"

    def matches(self, method: str, path: str) -> bool:
        """Return whether the fault applies to a request.

        Args:
            method: The request's method.
            path: The request's path.

        """
        is_applicable = self.drop_stream is None or path.startswith(_STREAM_PATHS)
        return self.left != 0 and is_applicable and self.pattern.matches(method, path)

    def take(self) -> None:
        """Count a request that the fault applies to."""
        self.met += 1
        if self.left is not None:
            self.left -= 1
        if self._strikes_at_once:
            self.hits += 1

    def cut(self, transport: asyncio.Transport | None) -> None:
        """Close the connection in the middle of a response.

        Args:
            transport: The connection; None if it is gone.

        """
        if not self._strikes_at_once:
            self.hits += 1
        if transport is not None:
            transport.close()
        raise _ConnectionClosedError

    @property
    def _strikes_at_once(self) -> bool:
        return bool(self.answers or self.delay or self.reset)

    @property
    def answers(self) -> bool:
        """Whether the fault answers instead of the server."""
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
        """Serve a request with this fault.

        Args:
            app: The application that would answer.
            scope: The request, as ASGI describes it.
            receive: The function that returns its body.
            send: The function that takes the response.
            transport: The connection; None if it is gone.

        """
        await asyncio.sleep(self.delay)
        if self.reset is True:
            _reset(transport)
            return
        if self.answers:
            app = self._respond
        elif self.reset == "after":
            await app(scope, receive, _discard)
            _reset(transport)
            return
        if self.truncate is not None:
            send = _TruncatingSend(send, self, self.truncate, transport)
        elif self.drop_stream is not None:
            send = _DroppingSend(send, self, self.drop_stream, transport)
        with contextlib.suppress(_ConnectionClosedError):
            await app(scope, receive, send)

    async def _respond(self, _: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        status = self.status or (429 if self.retry_after is not None else 200)
        problem = Problem(
            status, _DETAILS.get(status, "An injected fault."), title=_TITLES.get(status)
        )
        if self.retry_after is not None:
            add_retry_advice(problem, self.retry_after, self.advice)
        headers = {
            "content-type": "application/problem+json" if status >= 400 else "application/json"
        }
        headers |= {
            name.lower(): value
            for name, value in {**(problem.headers or {}), **(self.headers or {})}.items()
        }
        body = json.dumps(problem.body).encode() if self.body is None else self.body
        if status in _BODILESS:
            body = b""
            del headers["content-type"]
        else:
            headers["content-length"] = str(len(body))
        encoded = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})


# The types of options, in words and as classes.
_OPTION_TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
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
    for name, (description, types) in _OPTION_TYPES.items():
        value = getattr(fault, name)
        if value is None:
            continue
        if not isinstance(value, types) or isinstance(value, bool):
            argument = "times" if name == "left" else name
            raise TypeError(f"{argument} must be {description}, not {type(value).__name__}")
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
    if fault.status in _BODILESS and fault.body:
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


class _LimitedSend(ABC):
    """Sends the headers and a part of the body, then closes the connection."""

    def __init__(
        self, send: Send, fault: Fault, limit: int, transport: asyncio.Transport | None
    ) -> None:
        self._send = send
        self._fault = fault
        self._remaining = limit
        self._transport = transport

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            await self._send_body(message)
        else:
            await self._send(message)

    @abstractmethod
    async def _send_body(self, message: Message) -> None:
        """Send a message with a part of the body."""


class _TruncatingSend(_LimitedSend):
    """Sends the first bytes of the body."""

    async def _send_body(self, message: Message) -> None:
        body: bytes = message.get("body", b"")
        if len(body) <= self._remaining:
            self._remaining -= len(body)
            await self._send(message)
            return
        await self._send(
            {"type": "http.response.body", "body": body[: self._remaining], "more_body": True}
        )
        self._fault.cut(self._transport)


class _DroppingSend(_LimitedSend):
    """Sends the first events of a stream, not counting comments."""

    async def _send_body(self, message: Message) -> None:
        frames = (message.get("body", b"") or b"").split(b"\n\n")
        sent: list[bytes] = []
        for frame in frames[:-1]:
            if not frame.startswith(b":"):
                if self._remaining == 0:
                    break
                self._remaining -= 1
            sent.append(frame + b"\n\n")
        is_limit_reached = self._remaining == 0
        await self._send(
            {
                "type": "http.response.body",
                "body": b"".join(sent),
                "more_body": is_limit_reached or message.get("more_body", False),
            }
        )
        if is_limit_reached:
            self._fault.cut(self._transport)


async def _discard(_: Message) -> None:
    pass


def _reset(transport: asyncio.Transport | None) -> None:
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # With a linger time of 0, closing sends a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
