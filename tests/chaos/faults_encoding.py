"""Faults in content codings: compression bombs, nested, unknown and corrupt codings."""

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
    """Return 200 MB of spaces, compressed to 200 KB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * 1_000_000) for _ in range(200)) + packer.flush()


@cache
def _nested_bomb() -> bytes:
    """Return 200 MB of spaces, compressed twice, to less than 10 KB."""
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
    """Return a fault whose compressed body is created when it is requested."""
    return Fault(
        name,
        what,
        lambda stage, seen: reply(bomb(), headers=f"Content-Encoding: {coding}\r\n", **more),
        expected,
        options=NONE,
        # Decompressing takes seconds in a development build on a busy machine.
        lasts=(0.0, 20.0),
        grows=True,
    )


FAULTS = [
    coded("gzip", "no fault: gzip", "gzip", PACKED, USUAL),
    coded(
        "gzip-upper-case", "gzip, with the coding's name in capitals", "GZIP", PACKED, USUAL, BROKEN
    ),
    coded("gzip-by-another-name", "gzip, under the name x-gzip", "x-gzip", PACKED, USUAL, BROKEN),
    coded(
        "gzip-in-members",
        "gzip in two members",
        "gzip",
        gzip.compress(BODY[:20]) + gzip.compress(BODY[20:]),
        USUAL,
        BROKEN,
    ),
    coded("deflate", "no fault: deflate", "deflate", zlib.compress(BODY), USUAL),
    coded("identity", "no fault: the coding identity", "identity", BODY, USUAL),
    coded("gzip-truncated", "truncated gzip", "gzip", PACKED[:-20]),
    coded("gzip-without-checksum", "gzip without its last four bytes", "gzip", PACKED[:-4]),
    coded("gzip-wrong-checksum", "gzip with a wrong checksum", "gzip", PACKED[:-8] + bytes(8)),
    coded("gzip-garbage", "plain text declared as gzip", "gzip", BODY),
    coded(
        "gzip-corrupt",
        "gzip with one corrupt byte",
        "gzip",
        PACKED[:25] + bytes([PACKED[25] ^ 255]) + PACKED[26:],
    ),
    coded(
        "gzip-trailing",
        "extra bytes after the gzip data",
        "gzip",
        PACKED + b"garbage",
        USUAL,
        BROKEN,
    ),
    coded(
        "gzip-empty", "empty data declared as gzip", "gzip", b"", BROKEN, Error("APIError", "empty")
    ),
    coded("deflate-garbage", "random bytes declared as deflate", "deflate", b"\xff" * 50),
    coded("gzip-twice", "gzip within gzip", "gzip, gzip", gzip.compress(PACKED), USUAL, BROKEN),
    coded(
        "coding-unknown", "a coding that the client did not offer (br)", "br", b"\x0b\x02\x80{}\x03"
    ),
    coded(
        "coding-nonsense",
        "a coding that does not exist (rot13)",
        "rot13",
        b"{'ebg13'}",
        USUAL,
        BROKEN,
        Error("APIResponseValidationError", "not|no"),
    ),
    coded(
        "gzip-of-html",
        "a web page in gzip",
        "gzip",
        gzip.compress(b"<html>"),
        Error("APIResponseValidationError", "is not JSON"),
    ),
    exploding("gzip-bomb", "200 MB compressed to 200 KB", "gzip", _bomb, TOO_LARGE),
    exploding(
        "gzip-bomb-nested",
        "200 MB compressed to 10 KB by gzip within gzip",
        "gzip, gzip",
        _nested_bomb,
        (TOO_LARGE, BROKEN),
    ),
    exploding(
        "gzip-bomb-in-error",
        "status 500 with 200 MB compressed to 200 KB",
        "gzip",
        _bomb,
        Error("InternalServerError", "500"),
        status=500,
    ),
    Fault(
        "endless-json",
        "endless JSON",
        flood(raw("HTTP/1.1 200 OK"), b'{"id": "p1", "logs": "' + b"x" * 1_000_000, 400),
        TOO_LARGE,
        options=NONE,
        grows=True,
    ),
    Fault(
        "endless-blanks",
        "endless white space",
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
        "the connection closes within gzip data",
        cut(reply(PACKED, headers="Content-Encoding: gzip\r\n"), -10, None),
        BROKEN,
        options=NONE,
    ),
]
