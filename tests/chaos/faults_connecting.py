"""Faults before a request is read: connections that fail, break or stay silent."""

from __future__ import annotations

import atexit
import contextlib
import socket
from functools import cache

from chaos.fault import USUAL, Error, Fault
from chaos.server import Stage, close_at_once, good, reset_at_once, say, say_nothing, take
from replicate_rs import Timeout

QUICK = {"max_retries": 1}
NONE = {"max_retries": 0}
MAYBE = "may have taken this request"
BROKEN = "connection|reset|closed"


@cache
def _closed() -> socket.socket:
    """Return a socket bound to a port at which no server listens."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    atexit.register(bound.close)
    return bound


def _refusing(stage: Stage) -> str:
    return f"http://127.0.0.1:{_closed().getsockname()[1]}"


@cache
def _full() -> tuple[socket.socket, list[socket.socket]]:
    """Return a listener with a full queue, so that the system drops further connection attempts."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    queue = []
    for _ in range(4):
        waiting = socket.socket()
        waiting.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            waiting.connect(listener.getsockname())
        queue.append(waiting)
    for each in (listener, *queue):
        atexit.register(each.close)
    return listener, queue


def _black_hole(stage: Stage) -> str:
    return f"http://127.0.0.1:{_full()[0].getsockname()[1]}"


FAULTS = [
    Fault(
        "refused",
        "no server listens at the port",
        good(),
        Error("APIConnectionError", "refused"),
        address=_refusing,
        options=QUICK,
    ),
    Fault(
        "refused-create",
        "no server listens at the port; the request is a POST",
        good(),
        Error("APIConnectionError", "refused"),
        "create",
        address=_refusing,
        options=QUICK,
        posts=0,
    ),
    Fault(
        "unknown-name",
        "the host name does not resolve",
        good(),
        Error("APIConnectionError", "nowhere.invalid"),
        address=lambda stage: "http://nowhere.invalid",
        options=NONE,
    ),
    Fault(
        "black-hole",
        "the connection attempt is never answered",
        good(),
        Error("APITimeoutError", "connecting"),
        address=_black_hole,
        options={**NONE, "timeout": Timeout(connect=0.3)},
        lasts=(0.25, 0.6),
    ),
    Fault(
        "black-hole-create",
        "two connection attempts of a POST are never answered",
        good(),
        Error("APITimeoutError", "connecting"),
        "create",
        address=_black_hole,
        options={**QUICK, "timeout": Timeout(connect=0.2)},
        posts=0,
        lasts=(0.35, 1.0),
    ),
    Fault(
        "black-hole-deadline",
        "the connection attempt is never answered; the call has a deadline",
        good(),
        Error("APITimeoutError", "over all attempts"),
        address=_black_hole,
        deadline=0.3,
        lasts=(0.2, 0.6),
    ),
    Fault(
        "reset-once",
        "the first connection is reset as soon as it opens",
        good(),
        openings=(reset_at_once, None),
    ),
    Fault(
        "closed-once",
        "the first connection is closed as soon as it opens",
        good(),
        openings=(close_at_once, None),
    ),
    Fault(
        "reset-always",
        "every connection is reset as soon as it opens",
        good(),
        Error("APIConnectionError", BROKEN),
        openings=(reset_at_once,),
        options=QUICK,
    ),
    Fault(
        "closed-always",
        "every connection is closed as soon as it opens",
        good(),
        Error("APIConnectionError", BROKEN),
        openings=(close_at_once,),
        options=QUICK,
    ),
    Fault(
        "reset-before-create",
        "the first connection of a POST is reset as soon as it opens",
        good(),
        (Error("APIConnectionError", MAYBE), USUAL),
        "create",
        openings=(reset_at_once, None),
    ),
    Fault(
        "closed-before-create",
        "the first connection of a POST is closed as soon as it opens",
        good(),
        (Error("APIConnectionError", MAYBE), USUAL),
        "create",
        openings=(close_at_once, None),
    ),
    Fault(
        "silent-connection",
        "the server accepts the connection and reads nothing",
        good(),
        Error("APITimeoutError", "waiting for the response"),
        openings=(say_nothing,),
        options={**NONE, "timeout": Timeout(read=0.3)},
        lasts=(0.25, 0.6),
    ),
    Fault(
        "garbage-greeting",
        "bytes that are not HTTP arrive before the request",
        good(),
        Error("APIConnectionError", "HTTP|connection"),
        openings=(say(b"\x00\xff\x17garbage\r\n\r\n"),),
        options=NONE,
    ),
    Fault(
        "ssh-greeting",
        "the greeting of another protocol (SSH) arrives before the request",
        good(),
        Error("APIConnectionError", "HTTP|connection"),
        openings=(say(b"SSH-2.0-OpenSSH_9.2\r\n"),),
        options=NONE,
    ),
    Fault(
        "answer-before-request",
        "a complete response arrives before the request",
        good(),
        (Error("APIConnectionError", "HTTP|connection|unexpected"), USUAL),
        openings=(say(good()), None),
        options=QUICK,
    ),
    Fault(
        "reset-in-head",
        "the connection is reset while the server reads the request head",
        good(),
        openings=(take(10), None),
    ),
    Fault(
        "reset-in-head-of-create",
        "the connection is reset while the server reads the head of a POST",
        good(),
        Error("APIConnectionError", MAYBE),
        "create",
        openings=(take(10), None),
        posts=1,
    ),
    Fault(
        "reset-in-body-of-create",
        "the connection is reset while the server reads the body of a POST",
        good(),
        Error("APIConnectionError", MAYBE),
        "create",
        openings=(take(), None),
        posts=1,
        argument="a" * 1_000_000,
    ),
    Fault(
        "close-in-body-of-create",
        "the connection is closed while the server reads the body of a POST",
        good(),
        Error("APIConnectionError", MAYBE),
        "create",
        openings=(take(then=socket.socket.close), None),
        posts=1,
        argument="a" * 1_000_000,
    ),
    Fault(
        "reset-after-head",
        "the connection is reset after the request head",
        good(),
        openings=(take(), None),
    ),
]
