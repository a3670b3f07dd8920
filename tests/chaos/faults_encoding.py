"""Content codings: bombs, chains, unknown and broken ones."""

from __future__ import annotations

import gzip
import zlib
from functools import cache

from chaos.fault import USUAL, Error, Fault
from chaos.server import cut, flood, good, raw
from support.wire import reply

NONE = {"max_retries": 0}
BODY = good().partition(b"\r\n\r\n")[2]
PACKED = gzip.compress(BODY)
BROKEN = Error(
    "APIError",
    "(?i)gzip|CRC|decod|corrupt|deflate|is not JSON|coding|invalid|end of file|connection",
)
TOO_LARGE = Error("APIResponseValidationError", "larger than 67108864 bytes")


@cache
def _bomb() -> bytes:
    """200 MB of blanks in 200 KB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * 1_000_000) for _ in range(200)) + packer.flush()


@cache
def _nested_bomb() -> bytes:
    """The same in less than 10 KB, packed twice."""
    return gzip.compress(_bomb())


def coded(name: str, what: str, coding: str, body: bytes, *expected, **more) -> Fault:
    return Fault(
        name,
        what,
        reply(body, headers=f"Content-Encoding: {coding}\r\n"),
        expected or BROKEN,
        options=NONE,
        **more,
    )


def exploding(name: str, what: str, coding: str, bomb, expected, **more) -> Fault:
    """A bomb, made when it is asked for."""
    return Fault(
        name,
        what,
        lambda stage, seen: reply(bomb(), headers=f"Content-Encoding: {coding}\r\n", **more),
        expected,
        options=NONE,
        grows=True,
    )


FAULTS = [
    coded("gzip", "gzip", "gzip", PACKED, USUAL),
    coded("gzip-upper-case", "the same, in capitals", "GZIP", PACKED, USUAL, BROKEN),
    coded("gzip-by-another-name", "the same, as x-gzip", "x-gzip", PACKED, USUAL, BROKEN),
    coded(
        "gzip-in-members",
        "gzip in two members",
        "gzip",
        gzip.compress(BODY[:20]) + gzip.compress(BODY[20:]),
        USUAL,
        BROKEN,
    ),
    coded("deflate", "deflate", "deflate", zlib.compress(BODY), USUAL),
    coded("identity", "the coding that is none", "identity", BODY, USUAL),
    coded("gzip-truncated", "half of gzip", "gzip", PACKED[:-20]),
    coded("gzip-without-checksum", "gzip without its last bytes", "gzip", PACKED[:-4]),
    coded("gzip-wrong-checksum", "gzip with a wrong checksum", "gzip", PACKED[:-8] + bytes(8)),
    coded("gzip-garbage", "something else that says it is gzip", "gzip", BODY),
    coded(
        "gzip-corrupt",
        "gzip with a byte turned over",
        "gzip",
        PACKED[:25] + bytes([PACKED[25] ^ 255]) + PACKED[26:],
    ),
    coded(
        "gzip-trailing", "gzip, and garbage after it", "gzip", PACKED + b"garbage", USUAL, BROKEN
    ),
    coded("gzip-empty", "gzip of no bytes", "gzip", b"", BROKEN, Error("APIError", "empty")),
    coded("deflate-garbage", "something else that says it is deflate", "deflate", b"\xff" * 50),
    coded("gzip-twice", "gzip in gzip", "gzip, gzip", gzip.compress(PACKED), USUAL, BROKEN),
    coded("coding-unknown", "a coding that nobody asked for", "br", b"\x0b\x02\x80{}\x03"),
    coded(
        "coding-nonsense",
        "a coding that there is not",
        "rot13",
        b"{'ebg13'}",
        USUAL,
        BROKEN,
        Error("APIResponseValidationError", "not|no"),
    ),
    coded(
        "gzip-of-html",
        "gzip of a web page",
        "gzip",
        gzip.compress(b"<html>"),
        Error("APIResponseValidationError", "is not JSON"),
    ),
    exploding("gzip-bomb", "200 MB in 200 KB", "gzip", _bomb, TOO_LARGE),
    exploding(
        "gzip-bomb-nested",
        "200 MB in 10 KB, by gzip in gzip",
        "gzip, gzip",
        _nested_bomb,
        (TOO_LARGE, BROKEN),
    ),
    exploding(
        "gzip-bomb-in-error",
        "a status of 500 with such a body",
        "gzip",
        _bomb,
        Error("InternalServerError", "500"),
        status=500,
    ),
    Fault(
        "endless-json",
        "JSON without end",
        flood(raw("HTTP/1.1 200 OK"), b'{"id": "p1", "logs": "' + b"x" * 1_000_000, 400),
        TOO_LARGE,
        options=NONE,
        grows=True,
    ),
    Fault(
        "endless-blanks",
        "blanks without end",
        flood(
            raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked"),
            b"100000\r\n" + b" " * 0x100000 + b"\r\n",
            400,
        ),
        TOO_LARGE,
        options=NONE,
        grows=True,
    ),
    Fault(
        "gzip-cut",
        "gzip, and the connection closed",
        cut(reply(PACKED, headers="Content-Encoding: gzip\r\n"), -10, None),
        BROKEN,
        options=NONE,
    ),
]
