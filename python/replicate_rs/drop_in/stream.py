"""The module `stream` under the name `replicate`."""

from __future__ import annotations

from .. import identifier as identifier
from ..file_output import transform_output as transform_output
from ..stream import AsyncStream as AsyncStream
from ..stream import EventDecoder as EventDecoder
from ..stream import EventType as EventType
from ..stream import ServerSentEvent as ServerSentEvent
from ..stream import Stream as Stream
from ..stream import async_stream as _async_stream
from ..stream import stream as stream
from .exceptions import ReplicateError as ReplicateError

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any


def async_stream(client: Any, ref: Any, input: Any = None, **options: Any) -> Any:
    """Do the same as `client.async_stream`; this one is not awaited in 1.0.7."""
    events: Any = _async_stream(client, ref, input, **options)
    return events._items if hasattr(events, "__await__") else events


def __getattr__(name: str) -> object:
    if name == "EventSource":
        from .legacy import EventSource

        return EventSource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
