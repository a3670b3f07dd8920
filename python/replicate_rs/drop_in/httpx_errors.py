"""Errors of the network as errors of httpx too, which 1.0.7 lets through; only in programs that
have imported httpx.
"""

from __future__ import annotations

import sys

from ..exceptions import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    RequestError,
    StreamInterrupted,
)

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

# Part of the message of a timeout, and the class of httpx for it.
_PHASES = (
    ("waiting for a free connection", "PoolTimeout"),
    ("connecting", "ConnectTimeout"),
    ("sending the request", "WriteTimeout"),
)
# A class of this library and its counterpart, and the class that is both.
_both: dict[tuple[type[RequestError], type[Any]], type[Any]] = {}


def adapt(error: RequestError, *, is_of_file: bool) -> None:
    """Turn an error of the network, or the status of a file's host, into an instance of its
    counterpart in httpx too.
    """
    httpx: Any = sys.modules.get("httpx")
    # It may be half imported, by another thread.
    base: type[Any] | None = getattr(httpx, "HTTPError", None)
    name = _counterpart(error, is_of_file=is_of_file)
    if base is None or name is None or isinstance(error, base):
        return
    kind: Any = type(error)
    error.__class__ = _class_of(kind, getattr(httpx, name))
    given: Any = error
    # What `error.request` and `error.response` return.
    given._request = _request(httpx, error)
    if isinstance(error, APIStatusError):
        headers = {key: value for key, value in error.headers.items() if key != "content-encoding"}
        given.response = httpx.Response(
            error.status, headers=headers, content=error.body, request=given._request
        )


def _request(httpx: Any, error: RequestError) -> Any:
    """Return the request of an error, or None if httpx has no such addresses."""
    if not isinstance(error, APIError) or not error.url:
        return None
    try:
        return httpx.Request(error.method, error.url)
    except (httpx.InvalidURL, ValueError):
        return None


def _counterpart(error: RequestError, *, is_of_file: bool) -> str | None:
    """Return the name of what 1.0.7 raises instead, or None if that is none of httpx."""
    if isinstance(error, APITimeoutError):
        detail = error.detail or ""
        return next((name for phase, name in _PHASES if phase in detail), "ReadTimeout")
    if isinstance(error, APIConnectionError):
        return "ReadError" if error._sent else "ConnectError"
    if isinstance(error, StreamInterrupted):
        return "ReadError"
    return "HTTPStatusError" if is_of_file and isinstance(error, APIStatusError) else None


def _class_of(kind: type[RequestError], base: type[Any]) -> type[Any]:
    found = _both.get((kind, base))
    if found is None:
        members: dict[str, Any] = {
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
        }
        members["__reduce__"] = _reduced(kind)
        found = _both.setdefault((kind, base), type(kind.__name__, (kind, base), members))
    return found


def _reduced(kind: type[RequestError]) -> Any:
    """Return the `__reduce__` that pickles an error as this library's own: the process that reads
    it may not have httpx.
    """

    def reduce(error: RequestError) -> tuple[Any, ...]:
        reduced: Any = kind.__reduce__(error)
        return (
            kind,
            reduced[1],
            {
                name: value
                for name, value in vars(error).items()
                if name not in ("_request", "response")
            },
        )

    return reduce
