"""Errors of the network as errors of httpx too, which 1.0.7 lets through; only in programs that have imported httpx."""

from __future__ import annotations

import sys

from ..exceptions import APIConnectionError, APITimeoutError, RequestError, StreamInterrupted

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


def adapt(error: RequestError) -> None:
    """Make an error of the network an instance of its counterpart in httpx too."""
    httpx: Any = sys.modules.get("httpx")
    # It may be half imported, by another thread.
    base: type[Any] | None = getattr(httpx, "TransportError", None)
    if base is None or isinstance(error, base) or not isinstance(error, (APIConnectionError, StreamInterrupted)):
        return
    kind: Any = type(error)
    error.__class__ = _class_of(kind, getattr(httpx, _counterpart(error)))
    given: Any = error
    # What `error.request` returns.
    given._request = httpx.Request(error.method, error.url) if isinstance(error, APIConnectionError) and error.url else None


def _counterpart(error: RequestError) -> str:
    if isinstance(error, APITimeoutError):
        detail = error.detail or ""
        return next((name for phase, name in _PHASES if phase in detail), "ReadTimeout")
    if isinstance(error, StreamInterrupted) or error._sent:
        return "ReadError"
    return "ConnectError"


def _class_of(kind: type[RequestError], base: type[Any]) -> type[Any]:
    found = _both.get((kind, base))
    if found is None:
        members: dict[str, Any] = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
        members["__reduce__"] = _reduced(kind)
        found = _both.setdefault((kind, base), type(kind.__name__, (kind, base), members))
    return found


def _reduced(kind: type[RequestError]) -> Any:
    """Return the `__reduce__` that pickles an error as this library's own: the process that reads it may not have httpx."""

    def reduce(error: RequestError) -> tuple[Any, ...]:
        reduced: Any = kind.__reduce__(error)
        return kind, reduced[1], {name: value for name, value in vars(error).items() if name != "_request"}

    return reduce
