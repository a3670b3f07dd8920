"""What the server was asked."""

from __future__ import annotations

from dataclasses import dataclass

# Bytes of a body that are kept.
MOST_KEPT = 1 << 20


@dataclass(slots=True)
class LoggedRequest:
    """A request that the server saw, in the order of arrival.

    Args:
        method: The method.
        path: The path, with `/v1`, without the query.
        query: The query, as it came.
        headers: The headers, with names in lower case.
        body: The body, or its first MiB.
        size: The body's length in bytes.
        time: The server's time, in seconds since 1970.
        status: What it was answered; 0 while it is not, or if the connection was cut.

    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    size: int
    time: float
    status: int = 0
