"""Faults of downloads: broken connections, wrong lengths, ranges and digests, other content."""

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


def rest(
    start: int,
    first: int | None = None,
    total: int = len(CONTENT),
    etag: str = "v1",
    status: int = 206,
) -> bytes:
    """Return the content from `start`, with a Content-Range that begins at `first`."""
    first = start if first is None else first
    return reply(
        CONTENT[start:],
        status,
        headers=f'ETag: "{etag}"\r\nContent-Range: bytes {first}-{total - 1}/{total}\r\n',
    )


def both(name: str, what: str, *answers, expected=USUAL, **more) -> list[Fault]:
    """Return the fault twice: for a file that is read, and for one that is saved."""
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
    """Return faults in which a broken download is continued with this response."""
    return both(
        name,
        f"the connection is reset halfway, then {what}",
        cut(WHOLE, HEAD + HALF),
        answer,
        expected=expected,
    )


FAULTS = [
    *both(
        "reset-before", "the connection is reset before the response, then success", reset, WHOLE
    ),
    *both(
        "reset-halfway",
        "the connection is reset halfway; the next response is the whole file",
        cut(WHOLE, HEAD + HALF),
        WHOLE,
    ),
    *both(
        "truncated",
        "every response is half of the file",
        cut(WHOLE, HEAD + HALF, None),
        expected=BROKEN,
        options=NONE,
    ),
    *both(
        "checksum",
        "a digest that does not match the content",
        reply(
            CONTENT,
            headers="Repr-Digest: sha-256=:" + base64.b64encode(bytes(32)).decode() + ":\r\n",
        ),
        expected=Error("APIConnectionError", "checksum"),
    ),
    *both(
        "right-checksum",
        "no fault: a digest that matches the content",
        reply(
            CONTENT, headers="Repr-Digest: sha-256=:" + base64.b64encode(RIGHT).decode() + ":\r\n"
        ),
    ),
    *again(
        "range-ignored",
        "the whole file without an ETag",
        reply(CONTENT),
        expected=(USUAL, ANOTHER),
    ),
    *again(
        "range-of-another",
        "the rest of another version",
        rest(HALF, etag="v2"),
        expected=(ANOTHER, USUAL),
    ),
    *again("range-wrong-start", "a wrong range", rest(HALF + 10)),
    *again("range-wrong-total", "the rest of a longer file", rest(HALF, total=len(CONTENT) + 10)),
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
    one(
        "206-unasked",
        "206 to a request without a range",
        rest(0),
        Error("APIConnectionError", "206"),
    ),
    one(
        "page-for-picture",
        "a web page instead of an image",
        reply(b"<html>", kind="text/html"),
        Error("APIConnectionError", "web page"),
        argument="/a.png",
    ),
    one("empty", "an empty file", reply(b""), Value([0, hashlib.sha256(b"").hexdigest()[:12]])),
    one(
        "204",
        "204",
        raw("HTTP/1.1 204 No Content"),
        (Value([0, hashlib.sha256(b"").hexdigest()[:12]]), Error("APIError", "204")),
    ),
    one(
        "403",
        "403 for an expired URL",
        reply(b"<Error>expired</Error>", 403, kind="application/xml"),
        Error("PermissionDeniedError", "expired"),
    ),
    one("404", "404 for a file that is gone", reply(b"gone", 404), Error("NotFoundError", "gone")),
    one("500-once", "500, then success", (reply(b"", 500), WHOLE), USUAL, options=ONE),
    one(
        "length-short",
        "a Content-Length smaller than the file",
        cut(reply(CONTENT, length=HALF), end=None),
        Value([HALF, hashlib.sha256(CONTENT[:HALF]).hexdigest()[:12]]),
    ),
    one(
        "length-huge",
        "a Content-Length of 10^15 before one byte",
        cut(raw("HTTP/1.1 200 OK\nContent-Length: 1000000000000000", b"x"), end=None),
        grows=True,
    ),
    one(
        "bad-chunk",
        "an invalid chunk size",
        cut(raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"5\r\nabcde\r\nzz\r\n"), end=None),
        Error("APIConnectionError", "(?i)chunk|connection|invalid"),
    ),
    one(
        "gzip",
        "a file declared as gzip that is not gzip",
        reply(CONTENT, headers="Content-Encoding: gzip\r\n"),
        (USUAL, Error("APIError", "(?i)gzip|decod|coding")),
    ),
    one(
        "crc",
        "a CRC that does not match the content",
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
        "a digest that cannot be read",
        reply(CONTENT, headers="x-goog-hash: md5=!!!, crc32c=\r\n"),
        USUAL,
    ),
    one(
        "redirect-to-file",
        "a redirect to a file: URL",
        reply(status=302, headers="Location: file:///etc/passwd\r\n"),
        Error("APIConnectionError", "redirect"),
    ),
    one(
        "redirect-to-http",
        "a redirect to an http: URL of another host",
        reply(status=302, headers="Location: http://example.invalid/a\r\n"),
        Error("APIConnectionError", "not fetched|redirect"),
    ),
    one(
        "at-ftp",
        "a file with an ftp: URL",
        good(),
        Error("ReplicateError", "not fetched|https"),
        argument="ftp://127.0.0.1/a",
    ),
    one(
        "at-http",
        "a file with an http: URL of another host",
        good(),
        Error("ReplicateError", "not fetched"),
        argument="http://example.invalid/a",
    ),
]
