"""Faults in message framing: wrong, missing, duplicate or contradictory lengths and chunks."""

from __future__ import annotations

from chaos.fault import USUAL, Error, Fault
from chaos.server import cut, flood, good, raw, stall
from replicate_rs import Timeout

NONE = {"max_retries": 0}
BODY = good().partition(b"\r\n\r\n")[2]
SIZE = len(BODY)
SHORT = Error("APIConnectionError", "(?i)connection|closed|end of file|before message")
BROKEN = Error(
    "APIConnectionError",
    "(?i)content-length|header|chunk|connection|invalid|body|http|transfer|size|end of file",
)
CUT_JSON = Error("APIResponseValidationError", "is not JSON")


def fault(name: str, what: str, lines: str, body: bytes = BODY, *expected) -> Fault:
    """Return a fault whose response ends with a closed connection."""
    answer = cut(raw(f"HTTP/1.1 200 OK\n{lines}", body), end=None)
    return Fault(name, what, answer, expected or BROKEN, options=NONE)


def chunks(name: str, what: str, body: bytes, *expected) -> Fault:
    return fault(name, what, "Transfer-Encoding: chunked", body, *expected)


def chunk(content: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(content), extension, content)


END = b"0\r\n\r\n"

FAULTS = [
    fault(
        "length-too-long",
        "a Content-Length larger than the body",
        f"Content-Length: {SIZE + 10}",
        BODY,
        SHORT,
    ),
    fault(
        "length-too-short",
        "a Content-Length smaller than the body",
        f"Content-Length: {SIZE - 10}",
        BODY,
        CUT_JSON,
    ),
    fault(
        "length-zero",
        "a Content-Length of 0 before a body",
        "Content-Length: 0",
        BODY,
        Error("APIResponseValidationError", "empty"),
    ),
    fault("length-negative", "a negative Content-Length", "Content-Length: -5"),
    fault("length-of-letters", "a Content-Length that is not a number", "Content-Length: many"),
    fault("length-plus", "a Content-Length with a plus sign", f"Content-Length: +{SIZE}"),
    fault("length-hexadecimal", "a hexadecimal Content-Length", f"Content-Length: 0x{SIZE:x}"),
    fault(
        "length-overflow",
        "a Content-Length beyond 64 bits",
        "Content-Length: 99999999999999999999999",
    ),
    Fault(
        "length-huge",
        "a Content-Length of 10^18 before a short body",
        cut(raw("HTTP/1.1 200 OK\nContent-Length: 1000000000000000000", BODY), end=None),
        Error("APIResponseValidationError", "larger than"),
        options=NONE,
        grows=True,
    ),
    Fault(
        "length-near-limit",
        "a Content-Length of 60 MB before a short body",
        cut(raw("HTTP/1.1 200 OK\nContent-Length: 60000000", BODY), end=None),
        SHORT,
        options=NONE,
        grows=True,
    ),
    fault(
        "lengths-equal",
        "the same Content-Length twice",
        f"Content-Length: {SIZE}\nContent-Length: {SIZE}",
        BODY,
        USUAL,
        BROKEN,
    ),
    fault(
        "lengths-different",
        "two different Content-Length headers",
        f"Content-Length: {SIZE}\nContent-Length: {SIZE - 10}",
    ),
    fault(
        "lengths-in-one",
        "two different lengths in one Content-Length header",
        f"Content-Length: {SIZE}, {SIZE - 10}",
    ),
    fault(
        "length-and-chunks",
        "both a Content-Length and chunks",
        "Content-Length: 5\nTransfer-Encoding: chunked",
        chunk(BODY) + END,
        USUAL,
        BROKEN,
    ),
    fault(
        "unknown-transfer",
        "an unknown Transfer-Encoding",
        "Transfer-Encoding: zip",
        BODY,
        USUAL,
        BROKEN,
    ),
    fault(
        "chunks-not-last",
        "a Transfer-Encoding after chunked",
        "Transfer-Encoding: chunked, gzip",
        chunk(BODY) + END,
        BROKEN,
        Error("APIResponseValidationError", "is not JSON"),
    ),
    fault(
        "no-length",
        "no length: the body ends with the connection",
        "Connection: close",
        BODY,
        USUAL,
    ),
    fault(
        "no-length-cut",
        "no length, and the connection closes halfway",
        "Connection: close",
        BODY[:-10],
        CUT_JSON,
    ),
    chunks(
        "chunks",
        "a chunk for each byte",
        b"".join(chunk(BODY[n : n + 1]) for n in range(SIZE)) + END,
        USUAL,
    ),
    chunks(
        "chunk-extension", "chunk extensions", chunk(BODY, b';name="value"') + END, USUAL, BROKEN
    ),
    chunks(
        "chunk-trailer", "trailers after the chunks", chunk(BODY) + b"0\r\nX-A: b\r\n\r\n", USUAL
    ),
    chunks("chunk-missing-last", "the last chunk is missing", chunk(BODY)),
    chunks("chunk-cut", "the connection closes within a chunk", chunk(BODY)[:-30]),
    chunks(
        "chunk-size-garbage",
        "a chunk size that is not a number",
        b"zz\r\n" + BODY + b"\r\n" + END,
    ),
    chunks("chunk-size-empty", "a chunk without a size", b"\r\n" + BODY + b"\r\n" + END),
    chunks("chunk-size-negative", "a negative chunk size", b"-5\r\n" + BODY + b"\r\n" + END),
    chunks(
        "chunk-size-overflow",
        "a chunk size beyond 64 bits",
        b"fffffffffffffffff\r\n" + BODY + b"\r\n" + END,
    ),
    chunks("chunk-size-short", "a chunk longer than its size", b"5\r\n" + BODY + b"\r\n" + END),
    chunks(
        "chunk-size-long",
        "a chunk shorter than its size",
        b"%x\r\n" % (SIZE + 20) + BODY + b"\r\n" + END,
    ),
    Fault(
        "chunk-endless-extension",
        "an endless chunk extension",
        flood(raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked") + b"5;", b"x" * 100_000, 1000),
        BROKEN,
        options=NONE,
        grows=True,
    ),
    Fault(
        "chunk-endless-trailer",
        "endless trailers",
        flood(
            raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked") + b"0\r\n",
            b"X-A: b\r\n" * 10_000,
            1000,
        ),
        BROKEN,
        options=NONE,
        grows=True,
    ),
    Fault(
        "chunk-stalled-last",
        "the last chunk never arrives; the connection stays open",
        stall(raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", chunk(BODY))),
        Error("APITimeoutError", "reading the response body"),
        options={"max_retries": 0, "timeout": Timeout(read=0.3)},
        lasts=(0.2, 0.6),
    ),
]
