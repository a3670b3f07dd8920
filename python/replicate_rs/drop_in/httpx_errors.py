"""Turn network errors into httpx errors as well, as 1.0.7 raises, if a program has httpx loaded."""

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

# A part of a timeout's message, and the class of httpx for it.
_PHASES = (
    ("waiting for a free connection", "PoolTimeout"),
    ("connecting", "ConnectTimeout"),
    ("sending the request", "WriteTimeout"),
)
# A class of this library and its counterpart in httpx, and the class that is both.
_both: dict[tuple[type[RequestError], type[Any]], type[Any]] = {}


def adapt(error: RequestError, *, is_of_file: bool) -> None:
    """Change the class of an error to one that is also its counterpart in httpx, if it has one.

    Args:
        error: The error; its class is changed.
        is_of_file: Whether it concerns a file of an output.

    """
    httpx: Any = sys.modules.get("httpx")
    # Another thread may be importing it.
    base: type[Any] | None = getattr(httpx, "HTTPError", None)
    name = _find_counterpart(error, is_of_file=is_of_file)
    if base is None or name is None or isinstance(error, base):
        return
    kind: Any = type(error)
    error.__class__ = _combine(kind, getattr(httpx, name))
    adapted: Any = error
    # httpx returns these as `error.request` and `error.response`.
    adapted._request = _to_request(httpx, error)
    if isinstance(error, APIStatusError):
        headers = {key: value for key, value in error.headers.items() if key != "content-encoding"}
        adapted.response = httpx.Response(
            error.status, headers=headers, content=error.body, request=adapted._request
        )


def _to_request(httpx: Any, error: RequestError) -> Any:
    """Return the request of an error, or None if httpx cannot represent its URL."""
    if not isinstance(error, APIError) or not error.url:
        return None
    try:
        return httpx.Request(error.method, error.url)
    except (httpx.InvalidURL, ValueError):
        return None


def _find_counterpart(error: RequestError, *, is_of_file: bool) -> str | None:
    """Return the name of the httpx error that 1.0.7 raises, or None if it raises another error."""
    if isinstance(error, APITimeoutError):
        detail = error.detail or ""
        return next((name for phase, name in _PHASES if phase in detail), "ReadTimeout")
    if isinstance(error, APIConnectionError):
        return "ReadError" if error._sent else "ConnectError"
    if isinstance(error, StreamInterrupted):
        return "ReadError"
    return "HTTPStatusError" if is_of_file and isinstance(error, APIStatusError) else None


def _combine(kind: type[RequestError], base: type[Any]) -> type[Any]:
    """Return a class that is a subclass of both."""
    both = _both.get((kind, base))
    if both is None:
        members: dict[str, Any] = {
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
        }
        members["__reduce__"] = _make_reduce(kind)
        both = _both.setdefault((kind, base), type(kind.__name__, (kind, base), members))
    return both


def _make_reduce(kind: type[RequestError]) -> Any:
    """Return a `__reduce__` that pickles an error as one of this library's class.

    The process that unpickles it may not have httpx.
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
