"""The module `replicate.stream`."""

from __future__ import annotations

from ..stream import AsyncStream as AsyncStream
from ..stream import EventDecoder as EventDecoder
from ..stream import EventType as EventType
from ..stream import ServerSentEvent as ServerSentEvent
from ..stream import Stream as Stream
from ..stream import async_stream as _async_stream
from ..stream import stream as stream

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any


def async_stream(client: Any, ref: Any, input: Any = None, **options: Any) -> Any:
    """Return the events of `client.async_stream`; as in 1.0.7, this function is not awaited."""
    events: Any = _async_stream(client, ref, input, **options)
    return events._items if hasattr(events, "__await__") else events
