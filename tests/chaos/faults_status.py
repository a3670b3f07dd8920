"""Faults in the response status, and in the bodies of error responses."""

from __future__ import annotations

from chaos.fault import Error, Fault
from chaos.server import cut, flood, good, raw
from support.wire import reply

NONE = {"max_retries": 0}
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>\x1b[31mnginx</body></html>"


def problem(status: int, kind: str) -> Fault:
    answer = reply(
        {"title": "Oh no", "detail": "it broke", "status": status},
        status,
        headers="X-Request-Id: r1\r\n",
    )
    return Fault(
        f"status-{status}",
        f"{status} with a problem document",
        answer,
        Error(kind, "it broke", lambda error: (error.status, error.request_id) == (status, "r1")),
        options=NONE,
    )


def body(
    name: str,
    what: str,
    content,
    words: str,
    kind: str = "InternalServerError",
    status: int = 500,
    **more,
) -> Fault:
    return Fault(
        f"error-{name}",
        f"{status} with {what}",
        reply(content, status, **more),
        Error(kind, words),
        options=NONE,
    )


FAULTS = [
    problem(400, "BadRequestError"),
    problem(401, "AuthenticationError"),
    problem(402, "InsufficientCreditError"),
    problem(403, "PermissionDeniedError"),
    problem(404, "NotFoundError"),
    problem(409, "ConflictError"),
    problem(413, "PayloadTooLargeError"),
    problem(418, "APIStatusError"),
    problem(422, "UnprocessableEntityError"),
    problem(501, "InternalServerError"),
    body(
        "html",
        "the web page of a gateway",
        HTML,
        "502 Bad Gateway",
        status=502,
        kind="InternalServerError",
    ),
    body("empty", "an empty body", None, "empty"),
    body("list", "a list", [1, 2], r"\[1, 2\]"),
    body("null", "null", b"null", "null"),
    body("text", "a JSON string", "broken", "broken"),
    body(
        "detail-list",
        "a list as its detail",
        {"detail": [{"loc": ["x"], "msg": "too large"}]},
        "too large",
    ),
    body("detail-number", "a number as its detail", {"detail": 7}, "7"),
    body(
        "escapes-in-detail",
        "terminal escapes in its detail",
        {"detail": "bad \x1b[2J\x1b]0;pwned\x07 \x00news"},
        "bad.*news",
    ),
    body(
        "escapes-in-title",
        "terminal escapes in its title",
        {"title": "bad \x1b[31m\x9b2Jtitle"},
        "bad.*title",
    ),
    body(
        "newlines-in-detail",
        "line breaks in its detail",
        {"detail": "bad\r\nstatus: 200\rnews"},
        "bad",
    ),
    body(
        "bidi-in-detail",
        "right-to-left override characters in its detail",
        {"detail": "bad \u202eslaved\u202c news"},
        "bad",
    ),
    body("latin-1", "text that is not UTF-8", b"caf\xe9", "caf"),
    body("deep", "arrays nested 100,000 deep", b"[" * 100_000, r"500"),
    Fault(
        "error-huge",
        "500 with a body of 200 MB",
        flood(raw("HTTP/1.1 500 X\nContent-Length: 200000000"), b"x" * 1_000_000, 200),
        Error("InternalServerError", "500"),
        options=NONE,
        grows=True,
    ),
    Fault(
        "error-half",
        "500 with half of its body",
        cut(reply(b"broken", 500, length=100), end=None),
        Error("APIError", "500|connection"),
        options=NONE,
    ),
    Fault(
        "error-garbled",
        "500 with a body that does not match its Content-Encoding",
        reply(b"plain", 500, headers="Content-Encoding: gzip\r\n"),
        Error("InternalServerError", "500"),
        options=NONE,
    ),
    Fault("status-999", "status 999", reply({}, 999), Error("APIError", "999"), options=NONE),
    Fault(
        "status-204",
        "204 to a GET that needs a body",
        raw("HTTP/1.1 204 No Content"),
        Error("APIResponseValidationError", "empty"),
        options=NONE,
    ),
    Fault(
        "status-204-with-body",
        "204 with a body, which is not the next response",
        (raw("HTTP/1.1 204 No Content\nContent-Length: 5", b"smugg"), good()),
        Error("APIResponseValidationError", "empty"),
        options=NONE,
    ),
    Fault(
        "status-304",
        "304 to a request without conditions",
        raw("HTTP/1.1 304 Not Modified"),
        Error("APIError", "304|empty"),
        options=NONE,
    ),
    Fault(
        "status-101",
        "101 to a request without an upgrade",
        raw("HTTP/1.1 101 Switching Protocols\nUpgrade: x\nConnection: upgrade"),
        Error("APIError", "101|connection|upgrade|empty|switch"),
        options=NONE,
    ),
    Fault(
        "status-103",
        "103 before the response",
        raw("HTTP/1.1 103 Early Hints\nLink: </a>") + good(),
    ),
    Fault(
        "status-206",
        "206 to a GET without a range",
        raw("HTTP/1.1 206 Partial Content\nContent-Length: 2\nContent-Range: bytes 0-1/9", b"{}"),
        Error("APIError", "206|id|not"),
        options=NONE,
    ),
    Fault(
        "login-page",
        "the login page of a Wi-Fi network, as a success",
        reply(HTML, kind="text/html"),
        Error("APIResponseValidationError", "is not JSON"),
        options=NONE,
    ),
    Fault(
        "created-without-body",
        "201 without a body",
        reply(None, 201),
        Error("APIResponseValidationError", "empty"),
        "create",
        posts=1,
    ),
]
