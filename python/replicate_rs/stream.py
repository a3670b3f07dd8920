"""A prediction's events as they happen."""

from __future__ import annotations

from ._typing import TYPE_CHECKING, is_object
from .exceptions import StreamError, StreamInterrupted
from .file_output import FileOutput, is_file
from .run import started

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Mapping
    from typing import Any, ClassVar, Unpack

    from ._core import AbortSignal
    from ._operation import Resource
    from .client import Replicate
    from .creation import PredictionOptions
    from .identifier import Ref
    from .prediction import Prediction


class EventType(str):
    """What an event is about: text, which also has what a member of 1.0.7's enumeration has."""

    __slots__ = ()

    OUTPUT: ClassVar[EventType]
    LOGS: ClassVar[EventType]
    ERROR: ClassVar[EventType]
    DONE: ClassVar[EventType]

    def __new__(cls, value: str) -> EventType:  # noqa: PYI034 - a member is of this class, not of a subclass
        """Give the one member for a text, so that `is` tells members apart too."""
        return _MEMBERS.get(value) or super().__new__(cls, value)

    @property
    def name(self) -> str:
        """In capitals."""
        return self.upper()

    @property
    def value(self) -> str:
        """The text."""
        return str(self)


_MEMBERS: dict[str, EventType] = {}
for _name in ("output", "logs", "error", "done"):
    _MEMBERS[_name] = EventType(_name)
    setattr(EventType, _name.upper(), _MEMBERS[_name])


class ServerSentEvent:
    """One event of a stream; ``str()`` gives the text of an output, and nothing for other events."""

    __slots__ = ("data", "event", "id", "retry")

    EventType = EventType

    def __init__(self, event: str, data: str | FileOutput, id: str | None = None, retry: int | None = None) -> None:
        self.event: EventType = _MEMBERS.get(event) or EventType(event)
        """``output``, ``logs``, ``error``, ``done``, or what the API invents."""
        self.data: str | FileOutput = data
        self.id: str | None = id
        self.retry: int | None = retry
        """Milliseconds to wait before reconnecting, if the event said so."""

    def __str__(self) -> str:
        return str(self.data) if self.event == "output" else ""

    def __repr__(self) -> str:
        return f"ServerSentEvent(event={self.event!r}, data={self.data!r}, id={self.id!r}, retry={self.retry!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServerSentEvent):
            return NotImplemented
        return (self.event, self.data, self.id, self.retry) == (other.event, other.data, other.id, other.retry)

    def __hash__(self) -> int:
        return hash((self.event, self.data, self.id, self.retry))


def stream(
    client: Replicate, ref: Ref, input: Mapping[str, Any] | None = None, **options: Any
) -> Generator[ServerSentEvent, None, None]:
    """Do the same as `client.stream`; 1.0.7 has it here."""
    return client.stream(ref, input, **options)


def async_stream(client: Replicate, ref: Ref, input: Mapping[str, Any] | None = None, **options: Any) -> Events:
    """Do the same as `client.async_stream`; 1.0.7 has it here."""
    return client.async_stream(ref, input, **options)


class Events:
    """Events for ``async for``, with or without an `await` before it: 1.0.7 asks for one."""

    __slots__ = ("_events",)

    def __init__(self, events: AsyncGenerator[ServerSentEvent, None]) -> None:
        self._events = events

    def __await__(self) -> Generator[None, None, AsyncGenerator[ServerSentEvent, None]]:
        yield from ()
        return self._events

    def __aiter__(self) -> AsyncIterator[ServerSentEvent]:
        return self._events

    def __anext__(self) -> Awaitable[ServerSentEvent]:
        return self._events.__anext__()

    def aclose(self) -> Awaitable[None]:
        """Leave the stream before its end."""
        return self._events.aclose()


async def stream_model(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None = None,
    *,
    cancel_on_exit: bool = True,
    use_file_output: bool | None = None,
    **options: Unpack[PredictionOptions],
) -> AsyncGenerator[ServerSentEvent, None]:
    """Run a model and give its events as they happen, up to and with ``done``.

    Args:
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        input: The model's inputs; files in it are uploaded.
        cancel_on_exit: Cancel the prediction when the loop over its events ends before it.
        use_file_output: Give files of file streams as `FileOutput` (the default), or as text.
        options: What every prediction takes; `timeout` is for each of the two requests.

    Raises:
        StreamError: The model failed, or cannot stream; `StreamInterrupted` if the stream ended before it was done.
        AbortError: The signal was aborted.

    """
    prediction = await started(client, ref, input, options)
    files = client._session.use_file_output if use_file_output is None else use_file_output
    done = False
    events = events_of(client, prediction, files=files, signal=options.get("signal"), timeout=options.get("timeout"))
    try:
        async for event in events:
            done = event.event in ("done", "error")
            yield event
    finally:
        if cancel_on_exit and not done:
            client._transport.part(client._core, "POST", ("predictions", prediction.id, "cancel"))
        await events.aclose()


async def events_of(
    client: Resource[Any], prediction: Prediction, *, files: bool, signal: AbortSignal | None, timeout: float | None
) -> AsyncGenerator[ServerSentEvent, None]:
    """Give the events of a prediction."""
    url = (prediction.urls or {}).get("stream")
    if url is None:
        raise StreamError("this model does not support streaming", prediction)
    # Text that looks like a URL is text; only streams under this path carry files.
    files = files and url.partition("://")[2].partition("/")[2].startswith("v1/files/")
    finish = client._transport.finish
    source = await finish(client._core.open(url, events=True, total=timeout, signal=signal))
    last = None
    try:
        while batch := await finish(source.next()):
            for name, data, id, retry in batch:
                last = id
                if name == "error":
                    raise StreamError(_detail(data), prediction)
                content = FileOutput(data, client._session) if files and name == "output" and is_file(data) else data
                yield ServerSentEvent(name, content, id, retry)
                if name == "done":
                    return
    finally:
        source.close()
    raise StreamInterrupted(f"the stream ended before it was done, after the event {last!r}", prediction)


def _detail(data: str) -> str:
    from json import loads

    try:
        error: object = loads(data)
    except ValueError:
        return data
    return str(error["detail"]) if is_object(error) and "detail" in error else data
