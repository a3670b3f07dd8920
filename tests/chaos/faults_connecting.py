"""Connections that do not come about, or break before a request is read."""

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
    """A port that is taken, and where nobody listens."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    atexit.register(taken.close)
    return taken


def _refusing(stage: Stage) -> str:
    return f"http://127.0.0.1:{_closed().getsockname()[1]}"


@cache
def _full() -> tuple[socket.socket, list[socket.socket]]:
    """A port whose queue is full: the system answers nobody there any more."""
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
        "nobody listens",
        good(),
        Error("APIConnectionError", "refused"),
        address=_refusing,
        options=QUICK,
    ),
    Fault(
        "refused-create",
        "nobody listens, for a POST",
        good(),
        Error("APIConnectionError", "refused"),
        "create",
        address=_refusing,
        options=QUICK,
        posts=0,
    ),
    Fault(
        "unknown-name",
        "a name that does not resolve",
        good(),
        Error("APIConnectionError", "nowhere.invalid"),
        address=lambda stage: "http://nowhere.invalid",
        options=NONE,
    ),
    Fault(
        "black-hole",
        "no answer to a connection attempt",
        good(),
        Error("APITimeoutError", "connecting"),
        address=_black_hole,
        options={**NONE, "timeout": Timeout(connect=0.3)},
        lasts=(0.25, 0.6),
    ),
    Fault(
        "black-hole-create",
        "the same, for a POST, twice",
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
        "the same, with a deadline over the call",
        good(),
        Error("APITimeoutError", "over all attempts"),
        address=_black_hole,
        deadline=0.3,
        lasts=(0.2, 0.6),
    ),
    Fault(
        "reset-once",
        "the first connection is reset at once",
        good(),
        openings=(reset_at_once, None),
    ),
    Fault(
        "closed-once",
        "the first connection is closed at once",
        good(),
        openings=(close_at_once, None),
    ),
    Fault(
        "reset-always",
        "each connection is reset at once",
        good(),
        Error("APIConnectionError", BROKEN),
        openings=(reset_at_once,),
        options=QUICK,
    ),
    Fault(
        "closed-always",
        "each connection is closed at once",
        good(),
        Error("APIConnectionError", BROKEN),
        openings=(close_at_once,),
        options=QUICK,
    ),
    Fault(
        "reset-before-create",
        "the first connection of a POST is reset at once",
        good(),
        (Error("APIConnectionError", MAYBE), USUAL),
        "create",
        openings=(reset_at_once, None),
    ),
    Fault(
        "closed-before-create",
        "the first connection of a POST is closed at once",
        good(),
        (Error("APIConnectionError", MAYBE), USUAL),
        "create",
        openings=(close_at_once, None),
    ),
    Fault(
        "silent-connection",
        "a connection is accepted, and nothing read",
        good(),
        Error("APITimeoutError", "waiting for the response"),
        openings=(say_nothing,),
        options={**NONE, "timeout": Timeout(read=0.3)},
        lasts=(0.25, 0.6),
    ),
    Fault(
        "garbage-greeting",
        "bytes that are not HTTP before the request",
        good(),
        Error("APIConnectionError", "HTTP|connection"),
        openings=(say(b"\x00\xff\x17garbage\r\n\r\n"),),
        options=NONE,
    ),
    Fault(
        "ssh-greeting",
        "another protocol's greeting",
        good(),
        Error("APIConnectionError", "HTTP|connection"),
        openings=(say(b"SSH-2.0-OpenSSH_9.2\r\n"),),
        options=NONE,
    ),
    Fault(
        "answer-before-request",
        "a whole answer before the request",
        good(),
        (Error("APIConnectionError", "HTTP|connection|unexpected"), USUAL),
        openings=(say(good()), None),
        options=QUICK,
    ),
    Fault(
        "reset-in-head", "reset while the request's head is read", good(), openings=(take(10), None)
    ),
    Fault(
        "reset-in-head-of-create",
        "the same, for a POST",
        good(),
        Error("APIConnectionError", MAYBE),
        "create",
        openings=(take(10), None),
        posts=1,
    ),
    Fault(
        "reset-in-body-of-create",
        "reset while a POST's body is read",
        good(),
        Error("APIConnectionError", MAYBE),
        "create",
        openings=(take(), None),
        posts=1,
        argument="a" * 1_000_000,
    ),
    Fault(
        "close-in-body-of-create",
        "closed while a POST's body is read",
        good(),
        Error("APIConnectionError", MAYBE),
        "create",
        openings=(take(then=socket.socket.close), None),
        posts=1,
        argument="a" * 1_000_000,
    ),
    Fault(
        "reset-after-head",
        "reset when the request's head was read",
        good(),
        openings=(take(), None),
    ),
]
