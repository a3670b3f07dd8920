"""Files of models: hosts that break off, lie about length or digest, or give something else."""

from __future__ import annotations

import base64
import hashlib
import zlib

from chaos.fault import USUAL, Error, Fault, Value
from chaos.operations import CONTENT, FILE
from chaos.server import cut, good, raw, reset
from support.wire import reply

NONE = {"max_retries": 0}
ONE = {"max_retries": 1}
HALF = len(CONTENT) // 2
WHOLE = reply(CONTENT, headers='ETag: "v1"\r\n')
HEAD = len(WHOLE) - len(CONTENT)
BROKEN = Error("APIConnectionError", "(?i)connection|closed|reset|ended after|end of file")
ANOTHER = Error(
    "APIConnectionError", "another part|changed|broke|different|connection|closed|reset|anew|again"
)
RIGHT = hashlib.sha256(CONTENT).digest()


def part(
    start: int,
    first: int | None = None,
    total: int = len(CONTENT),
    etag: str = "v1",
    status: int = 206,
) -> bytes:
    """The rest from `start`, said to be from `first`."""
    said = start if first is None else first
    return reply(
        CONTENT[start:],
        status,
        headers=f'ETag: "{etag}"\r\nContent-Range: bytes {said}-{total - 1}/{total}\r\n',
    )


def both(name: str, what: str, *answers, expected=USUAL, **more) -> list[Fault]:
    """Into memory, and to disk."""
    return [
        Fault(
            f"{operation}-{name}",
            f"{what}, {where}",
            answers,
            expected,
            operation,
            **{"options": ONE, **more},
        )
        for operation, where in (("download", "read"), ("save", "saved"))
    ]


def one(name: str, what: str, answer, expected=BROKEN, argument=FILE, **more) -> Fault:
    return Fault(
        f"download-{name}",
        what,
        answer,
        expected,
        "download",
        argument,
        **{"options": NONE, **more},
    )


def again(name: str, what: str, answer, expected=ANOTHER) -> list[Fault]:
    """A file that breaks off, and then this."""
    return both(name, f"{what} after a break", cut(WHOLE, HEAD + HALF), answer, expected=expected)


FAULTS = [
    *both("reset-before", "reset before the answer, and then well", reset, WHOLE),
    *both("reset-halfway", "reset halfway, and the whole again", cut(WHOLE, HEAD + HALF), WHOLE),
    *both(
        "truncated",
        "half of it, always",
        cut(WHOLE, HEAD + HALF, None),
        expected=BROKEN,
        options=NONE,
    ),
    *both(
        "checksum",
        "a digest that is not the content's",
        reply(
            CONTENT,
            headers="Repr-Digest: sha-256=:" + base64.b64encode(bytes(32)).decode() + ":\r\n",
        ),
        expected=Error("APIConnectionError", "checksum"),
    ),
    *both(
        "right-checksum",
        "a digest that is the content's",
        reply(
            CONTENT, headers="Repr-Digest: sha-256=:" + base64.b64encode(RIGHT).decode() + ":\r\n"
        ),
    ),
    *again(
        "range-ignored",
        "the whole file without a version",
        reply(CONTENT),
        expected=(USUAL, ANOTHER),
    ),
    *again(
        "range-of-another", "another file's rest", part(HALF, etag="v2"), expected=(ANOTHER, USUAL)
    ),
    *again("range-wrong-start", "another part", part(HALF + 10)),
    *again("range-wrong-total", "the rest of a longer file", part(HALF, total=len(CONTENT) + 10)),
    *again("range-without-range", "206 without a Content-Range", reply(CONTENT[HALF:], 206)),
    *again("range-416", "416", reply(b"", 416), expected=Error("APIError", "416|connection|reset")),
    *again(
        "range-404", "404", reply({"detail": "gone"}, 404), expected=Error("NotFoundError", "gone")
    ),
    *again(
        "range-shorter",
        "a shorter file",
        reply(CONTENT[:100], headers='ETag: "v2"\r\n'),
        expected=(ANOTHER, Value([100, hashlib.sha256(CONTENT[:100]).hexdigest()[:12]])),
    ),
    one("206-unasked", "206 that nobody asked for", part(0), Error("APIConnectionError", "206")),
    one(
        "page-for-picture",
        "a web page instead of a picture",
        reply(b"<html>", kind="text/html"),
        Error("APIConnectionError", "web page"),
        argument="/a.png",
    ),
    one("empty", "nothing", reply(b""), Value([0, hashlib.sha256(b"").hexdigest()[:12]])),
    one(
        "204",
        "204",
        raw("HTTP/1.1 204 No Content"),
        (Value([0, hashlib.sha256(b"").hexdigest()[:12]]), Error("APIError", "204")),
    ),
    one(
        "403",
        "an address that has expired",
        reply(b"<Error>expired</Error>", 403, kind="application/xml"),
        Error("PermissionDeniedError", "expired"),
    ),
    one("404", "a file that is gone", reply(b"gone", 404), Error("NotFoundError", "gone")),
    one("500-once", "500, and then well", (reply(b"", 500), WHOLE), USUAL, options=ONE),
    one(
        "length-short",
        "a length within the file",
        cut(reply(CONTENT, length=HALF), end=None),
        Value([HALF, hashlib.sha256(CONTENT[:HALF]).hexdigest()[:12]]),
    ),
    one(
        "length-huge",
        "a length of 10^15, and little of it",
        cut(raw("HTTP/1.1 200 OK\nContent-Length: 1000000000000000", b"x"), end=None),
        grows=True,
    ),
    one(
        "bad-chunk",
        "a chunk of a wrong size",
        cut(raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"5\r\nabcde\r\nzz\r\n"), end=None),
        Error("APIConnectionError", "(?i)chunk|connection|invalid"),
    ),
    one(
        "gzip",
        "a file that says it is gzip, and is not",
        reply(CONTENT, headers="Content-Encoding: gzip\r\n"),
        (USUAL, Error("APIError", "(?i)gzip|decod|coding")),
    ),
    one(
        "crc",
        "a CRC that is not the content's",
        reply(
            CONTENT,
            headers=(
                f"x-goog-hash: crc32c={base64.b64encode(zlib.crc32(b'x').to_bytes(4)).decode()}\r\n"
            ),
        ),
        Error("APIConnectionError", "checksum"),
    ),
    one(
        "garbled-checksum",
        "a digest that is garbage",
        reply(CONTENT, headers="x-goog-hash: md5=!!!, crc32c=\r\n"),
        USUAL,
    ),
    one(
        "redirect-to-file",
        "a file that moves to one of this machine",
        reply(status=302, headers="Location: file:///etc/passwd\r\n"),
        Error("APIConnectionError", "redirect"),
    ),
    one(
        "redirect-to-http",
        "a file that moves elsewhere over http",
        reply(status=302, headers="Location: http://example.invalid/a\r\n"),
        Error("APIConnectionError", "not fetched|redirect"),
    ),
    one(
        "at-ftp",
        "a file at ftp",
        good(),
        Error("ReplicateError", "not fetched|https"),
        argument="ftp://127.0.0.1/a",
    ),
    one(
        "at-http",
        "a file elsewhere over http",
        good(),
        Error("ReplicateError", "not fetched"),
        argument="http://example.invalid/a",
    ),
]
