"""Faults that could expose the token: echoed in responses, or malformed."""

from __future__ import annotations

from chaos.fault import USUAL, Error, Fault
from chaos.server import TOKEN, good
from support.wire import prediction, reply

NONE = {"max_retries": 0}
BAD_TOKEN = Error("ValueError", "(?i)token|header|character")
BAD_HEADER = Error("ValueError", "(?i)header|value|name|character")


def echoed(body, status: int = 401, kind: str = "application/json", headers: str = ""):
    """Return a script whose response contains the token of the request."""
    return lambda stage, seen: reply(
        body(seen.headers["authorization"]), status, kind=kind, headers=headers
    )


def refused(name: str, what: str, options, expected=BAD_TOKEN) -> Fault:
    return Fault(
        f"token-{name}",
        f"a token {what}",
        good(),
        expected,
        options=options,
        check=lambda stage: not stage.home.seen,
        posts=0,
    )


def echo(name: str, what: str, body, kind: str, words: str, **more) -> Fault:
    return Fault(
        f"echo-in-{name}",
        f"the token is echoed in {what}",
        echoed(body, **more),
        Error(kind, words),
        options=NONE,
    )


FAULTS = [
    echo(
        "detail",
        "the detail of an error",
        lambda text: {"detail": f"bad token: {text}"},
        "AuthenticationError",
        "bad token",
    ),
    echo(
        "title",
        "the title of an error",
        lambda text: {"title": f"bad token: {text}"},
        "AuthenticationError",
        "bad token",
    ),
    echo(
        "text",
        "an error that is not JSON",
        lambda text: f"bad token: {text}".encode(),
        "AuthenticationError",
        "bad token",
    ),
    echo(
        "page",
        "a web page as a success",
        lambda text: f"<pre>{text}</pre>".encode(),
        "APIResponseValidationError",
        "is not JSON",
        status=200,
    ),
    echo(
        "error",
        "the error of a prediction",
        lambda text: prediction("failed", error=text),
        "APIError",
        "x",
        status=500,
    ),
    Fault(
        "echo-in-header",
        "the token is echoed in a response header",
        lambda stage, seen: reply(
            {"detail": "who?"}, 401, headers=f"X-Request-Id: {seen.headers['authorization']}\r\n"
        ),
        Error("AuthenticationError", "who"),
        options=NONE,
    ),
    Fault(
        "echo-in-location",
        "the token is echoed in a redirect to another origin",
        lambda stage, seen: reply(
            status=302, headers=f"Location: ftp://127.0.0.1/{seen.headers['authorization'][7:]}\r\n"
        ),
        Error("APIConnectionError", "redirect"),
        options=NONE,
    ),
    refused("with-newline", "with a line break in it", {"api_token": f"{TOKEN}\r\nX-Evil: 1"}),
    refused("with-nul", "with a NUL in it", {"api_token": f"{TOKEN}\0"}),
    Fault(
        "token-in-unicode",
        "a token with characters above 255",
        good(),
        (USUAL, BAD_TOKEN),
        options={"api_token": f"{TOKEN}\u2603"},
    ),
    refused(
        "from-function-with-newline",
        "with a line break in it, from a function",
        {"api_token": lambda: f"{TOKEN}\n\nX-Evil: 1"},
    ),
    refused("of-bytes", "of bytes", {"api_token": b"x"}, Error("TypeError", "(?i)token|str")),
    Fault(
        "header-with-newline",
        "a default header with a line break in its value",
        good(),
        BAD_HEADER,
        options={"headers": {"X-A": "1\r\nX-Evil: 1"}},
        check=lambda stage: not stage.home.seen,
    ),
    Fault(
        "header-name-with-newline",
        "a default header with a line break in its name",
        good(),
        BAD_HEADER,
        options={"headers": {"X-A: 1\r\nX-Evil": "1"}},
        check=lambda stage: not stage.home.seen,
    ),
    Fault(
        "user-agent-with-newline",
        "a user agent with a line break",
        good(),
        Error("ValueError", "(?i)user|header|value|character"),
        options={"user_agent": "a\r\nX-Evil: 1"},
        check=lambda stage: not stage.home.seen,
    ),
    Fault(
        "no-way-with-password",
        "a base URL with a password in it",
        good(),
        Error("ValueError", "user name or password"),
        address=lambda stage: f"http://me:{TOKEN}@127.0.0.1/",
        check=lambda stage: not stage.home.seen,
    ),
    Fault(
        "lost-with-token-in-input",
        "no response to a POST with a secret in its input",
        None,
        Error("APIConnectionError", "may have taken"),
        "create",
        posts=1,
    ),
]
