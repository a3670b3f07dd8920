"""Entries of the request log."""

from __future__ import annotations

from dataclasses import dataclass

# Bytes of a request body that an entry keeps.
MAX_LOGGED_BODY = 1 << 20


@dataclass(slots=True)
class LoggedRequest:
    """A request to the server.

    Args:
        method: The HTTP method.
        path: The path with `/v1`, without the query.
        query: The query string, undecoded.
        headers: The headers, with lower-case names.
        body: The first MiB of the body.
        size: The length of the whole body, in bytes.
        time: When the request arrived, in seconds since 1970 on the server's clock.
        status: The status code of the response; 0 before it was sent, or if the connection was cut.

    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    size: int
    time: float
    status: int = 0
