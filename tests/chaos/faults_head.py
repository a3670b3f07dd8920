"""Faults in the response head: invalid status lines and headers."""

from __future__ import annotations

from chaos.fault import USUAL, Error, Fault
from chaos.server import cut, flood, good, raw, stall
from support.wire import reply

NONE = {"max_retries": 0}
BROKEN = Error("APIConnectionError", "(?i)http|header|connection|status|version|message|invalid")
BODY = good().partition(b"\r\n\r\n")[2]
LENGTH = f"Content-Length: {len(BODY)}"


def fault(name: str, what: str, content: bytes, *expected, **more) -> Fault:
    return Fault(
        name, what, cut(content, end=None), expected or BROKEN, **{"options": NONE, **more}
    )


def odd(line: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return raw(f"{status}\nContent-Type: application/json\n{line}\n{LENGTH}", BODY)


FAULTS = [
    fault("garbage-status-line", "a status line that is not HTTP", b"garbage garbage\r\n\r\n"),
    fault("binary", "binary data instead of a response", bytes(range(256)) * 10),
    fault("empty-status-line", "an empty status line", b"\r\n\r\n" + BODY),
    fault("http-0.9", "a body without a head, as in HTTP/0.9", BODY),
    fault(
        "http-2-preface", "an HTTP/2 frame", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18
    ),
    fault("http-3.0", "the unknown version HTTP/3.0", raw(f"HTTP/3.0 200 OK\n{LENGTH}", BODY)),
    fault("status-of-two-digits", "a status of two digits", raw(f"HTTP/1.1 20 OK\n{LENGTH}", BODY)),
    fault("status-of-letters", "a status of letters", raw(f"HTTP/1.1 OK 200\n{LENGTH}", BODY)),
    fault(
        "status-zero",
        "status 000",
        raw(f"HTTP/1.1 000 X\n{LENGTH}", BODY),
        Error("APIError", "(?i)http|000|status|invalid"),
    ),
    fault(
        "http-1.0",
        "HTTP/1.0, whose body ends with the connection",
        raw("HTTP/1.0 200 OK", BODY),
        USUAL,
    ),
    fault(
        "no-reason", "a status without a reason phrase", raw(f"HTTP/1.1 200\n{LENGTH}", BODY), USUAL
    ),
    fault(
        "long-reason",
        "a reason phrase of 100 KB",
        raw(f"HTTP/1.1 200 {'x' * 100_000}\n{LENGTH}", BODY),
        USUAL,
        BROKEN,
    ),
    fault("obs-fold", "a header folded over two lines", odd("X-A: a\n  b"), USUAL, BROKEN),
    fault(
        "many-headers", "10,000 header lines", odd("\n".join(f"X-{n}: a" for n in range(10_000)))
    ),
    fault("large-header", "a header line of 1 MB", odd("X-A: " + "a" * 1_000_000)),
    Fault(
        "endless-header",
        "an endless header line",
        flood(b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 100_000, 1000),
        BROKEN,
        options=NONE,
        grows=True,
    ),
    Fault(
        "endless-headers",
        "endless header lines",
        flood(b"HTTP/1.1 200 OK\r\n", b"X-A: a\r\n" * 10_000, 1000),
        BROKEN,
        options=NONE,
        grows=True,
    ),
    fault(
        "bare-lf",
        "lines that end in LF alone",
        odd("X-A: a").replace(b"\r\n", b"\n"),
        USUAL,
        BROKEN,
    ),
    fault("bare-cr", "lines that end in CR alone", odd("X-A: a").replace(b"\r\n", b"\r")),
    fault("nul-in-header", "a NUL in a header", odd("X-A: a\0b")),
    fault("control-in-header", "a control character in a header", odd("X-A: a\x1bb")),
    fault(
        "bytes-in-header",
        "bytes above 127 in a header value",
        odd("X-Request-Id: \xe9\xff"),
        USUAL,
        BROKEN,
    ),
    fault("nameless-header", "a header without a name", odd(": a")),
    fault(
        "space-before-colon", "a space before the colon of a header", odd("X-A : a"), USUAL, BROKEN
    ),
    fault("no-colon", "a header without a colon", odd("X-A")),
    fault("head-cut", "the connection closes in the middle of the head", odd("X-A: a")[:40]),
    fault(
        "head-without-end",
        "a head without its final empty line",
        odd("X-A: a").partition(b"\r\n\r\n")[0],
    ),
    Fault(
        "cookies",
        "cookies, which must not be sent back",
        (reply({}, 503, headers="Set-Cookie: a=1; Path=/\r\n"), good()),
        check=lambda stage: all("cookie" not in each.headers for each in stage.home.seen),
    ),
    Fault(
        "authenticate",
        "401 with a WWW-Authenticate header",
        reply({"detail": "who?"}, 401, headers='WWW-Authenticate: Basic realm="x"\r\n'),
        Error("AuthenticationError", "who"),
        check=lambda stage: len(stage.home.seen) == 1,
    ),
    Fault(
        "trailing-answer",
        "a second response that was not requested",
        (good() + good(id="p2", output="smuggled"), good()),
        operation="reload",
    ),
    Fault(
        "trailing-garbage",
        "extra bytes after the response",
        (good() + b"garbage", good()),
        operation="reload",
    ),
    Fault(
        "keep-alive-cut",
        "a kept connection is closed before the next request",
        (cut(good(), end=None), good()),
        operation="reload",
    ),
    Fault(
        "wrong-type",
        "JSON with the media type of an image",
        reply({"id": "p1", "status": "succeeded", "output": "whole"}, kind="image/png"),
    ),
    Fault(
        "stalled-before-type",
        "the response head stalls halfway",
        stall(good()[:25]),
        Error("APITimeoutError", "waiting for the response"),
        options={"max_retries": 0, "timeout": 0.3},
        lasts=(0.2, 0.6),
    ),
]
