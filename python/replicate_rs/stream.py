"""Events of predictions as they happen, and their relay to other readers."""

from __future__ import annotations

from ._base.checks import limit
from ._base.resource import check_resource
from ._base.session import Async, Sync
from ._base.streaming import AsyncStream as AsyncStream
from ._base.streaming import Stream as Stream
from ._base.streaming import flatten, flatten_async
from ._base.typing import TYPE_CHECKING, defer_annotations
from ._core import EventDecoder as EventDecoder
from ._core import ServerSentEvent as ServerSentEvent
from ._predictions.params import with_cancel_after
from .exceptions import ModelError, ReplicateError
from .run import create_prediction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
    from typing import Any, ClassVar, Unpack

    from ._base.resource import Namespace, Resource
    from ._base.streaming import Form, Streamed
    from ._predictions.events import EventStream
    from ._predictions.params import PredictionOptions
    from .identifier import Ref
    from .prediction import Prediction


class EventType(str):
    """The type of an event: text, with the attributes of 1.0.7's enumeration."""

    __slots__ = ()

    OUTPUT: ClassVar[EventType]
    """A part of the output."""
    LOGS: ClassVar[EventType]
    """A part of the logs."""
    ERROR: ClassVar[EventType]
    """The prediction failed."""
    DONE: ClassVar[EventType]
    """The stream is complete."""

    def __new__(cls, value: str) -> EventType:  # noqa: PYI034 - a member is of this class, not of a subclass
        """Return the only member for a text, so that members can be compared with `is`."""
        return _MEMBERS.get(value) or super().__new__(cls, value)

    @property
    def name(self) -> str:
        """The text in capitals."""
        return self.upper()

    @property
    def value(self) -> str:
        """The text."""
        return str(self)


_MEMBERS: dict[str, EventType] = {}
for _name in ("output", "logs", "error", "done"):
    _MEMBERS[_name] = EventType(_name)
    setattr(EventType, _name.upper(), _MEMBERS[_name])


# 1.0.7 has it as an attribute.
ServerSentEvent.EventType = EventType


def stream(
    client: Namespace[Sync], ref: Ref, input: Mapping[str, Any] | None = None, **options: Any
) -> Stream[ServerSentEvent]:
    """Return `client.stream(ref, input, **options)`, as in 1.0.7.

    Args:
        client: A client.
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        input: The model's inputs; files in them are uploaded.
        options: The options of the client's method.

    """
    found: Any = check_resource("client", client)
    return found.stream(ref, input, **options)  # type: ignore[no-any-return]  # any client's


def async_stream(
    client: Namespace[Sync], ref: Ref, input: Mapping[str, Any] | None = None, **options: Any
) -> AsyncStream[ServerSentEvent]:
    """Return `client.async_stream(ref, input, **options)`, as in 1.0.7.

    Args:
        client: A client.
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        input: The model's inputs; files in them are uploaded.
        options: The options of the client's method.

    """
    found: Any = check_resource("client", client)
    return found.async_stream(ref, input, **options)  # type: ignore[no-any-return]  # any client's


def stream_model(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None = None,
    *,
    cancel_on_exit: bool = True,
    use_file_output: bool | None = None,
    **options: Unpack[PredictionOptions],
) -> Streamed[ServerSentEvent, Prediction]:
    """Run a model and return its stream of events; see `client.stream`."""
    files = client._session.use_file_output if use_file_output is None else use_file_output
    return _run(client, ref, input, "events", options, files=files, cancel_on_exit=cancel_on_exit)


def stream_text(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None = None,
    *,
    cancel_on_exit: bool = True,
    **options: Unpack[PredictionOptions],
) -> Streamed[str, Prediction]:
    """Run a model and iterate over the pieces of its text as they come.

    ``collect()`` returns the whole text. The pieces of a file stream are the files' URLs. See
    https://replicate.com/docs/topics/predictions/streaming.

    Args:
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        input: The model's inputs; files in it are uploaded.
        cancel_on_exit: Cancel the prediction when the loop over its text ends before it.
        options: What every prediction takes; `timeout`, in seconds, limits the whole call.

    Returns:
        A `Stream`, or an `AsyncStream`, of text.

    Raises:
        ModelError: The model failed; `PredictionCanceled` if it was canceled.
        StreamError: The model cannot stream; `StreamInterrupted` if the stream broke off and the
            rest is not known.
        PredictionTimeout: `timeout` seconds passed first.
        AbortError: The signal was aborted.

    """
    return _run(client, ref, input, "text", options, cancel_on_exit=cancel_on_exit)


async def relay_model(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None = None,
    *,
    cancel_on_exit: bool = True,
    **options: Unpack[PredictionOptions],
) -> Relay:
    """Run a model and return its events as bytes, to be sent on to another reader.

    The stream is open when this returns. See
    https://replicate.com/docs/topics/predictions/streaming.

    Args:
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        input: The model's inputs; files in it are uploaded.
        cancel_on_exit: Cancel the prediction when its reader leaves early.
        options: What every prediction takes; `timeout`, in seconds, limits the whole call.

    Returns:
        A `Relay`, to be iterated over with ``for`` or ``async for``.

    Raises:
        StreamError: The model cannot stream.
        PredictionTimeout: `timeout` seconds passed first.
        AbortError: The signal was aborted.

    """
    events = _run(client, ref, input, "frames", options, cancel_on_exit=cancel_on_exit)
    # Made first: it cancels the prediction if nobody receives it.
    relay = Relay(events)
    await events.open()
    return relay


def _run(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None,
    form: Form,
    options: PredictionOptions,
    *,
    files: bool = False,
    cancel_on_exit: bool,
) -> EventStream[Prediction[Any]]:
    """Return the stream of a model that is run when the stream is first read."""
    from ._predictions.events import open_stream

    return open_stream(
        client,
        lambda: create_prediction(
            client,
            ref,
            input,
            with_cancel_after(options, cancel_on_exit=cancel_on_exit),
            cancel_on_exit=cancel_on_exit,
        ),
        form,
        files=files,
        cancel_on_exit=cancel_on_exit,
        signal=options.get("signal"),
        timeout=limit("timeout", options.get("timeout")),
    )


class Relay:
    """A model's events as bytes, for ``async for`` and for ``for``: the body of a response.

    In Starlette and FastAPI: ``StreamingResponse(relay, headers=relay.headers)``. In WSGI: ``return
    relay``. Leaving early closes the stream and cancels the prediction.

    The bytes are whole events in plain form: lines end in LF, text is UTF-8. While the model is
    silent, a comment every 15 seconds keeps the connection alive. The last event is ``done``. If
    the model failed, or its stream broke off and the rest is not known, an ``error`` event comes
    before it.
    """

    def __init__(self, events: EventStream[Prediction[Any]]) -> None:
        self._events = events
        self._blocking: Generator[bytes, None, None] | None = None
        self._suspending: AsyncGenerator[bytes, None] | None = None
        self._is_read = False
        # Proxies and browsers must neither keep a stream nor hold it back.
        self.headers: dict[str, str] = {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }

    @property
    def prediction(self) -> Prediction[Any]:
        """The prediction, as last seen."""
        return self._events.prediction

    def __iter__(self) -> Iterator[bytes]:
        self._blocking = flatten(self._frames(Sync))
        return self._blocking

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._suspending = flatten_async(self._frames(Async))
        return self._suspending

    def close(self) -> None:
        """Close the stream; WSGI servers call this at the end."""
        if self._blocking is not None:
            self._blocking.close()
        self._abandon()

    async def aclose(self) -> None:
        """Close the stream, from async code."""
        if self._suspending is not None:
            await self._suspending.aclose()
        self._abandon()

    async def _frames(self, mode: type[Sync | Async]) -> AsyncGenerator[list[bytes], None]:
        if self._is_read:
            raise RuntimeError("a relay can be iterated over once")
        self._is_read = True
        events = self._events
        batches: AsyncGenerator[list[bytes], None] | None = None
        try:
            # A relay may be created in one mode and read in the other.
            events.in_mode(mode)
            batches = events.batches()
            async for batch in batches:
                yield batch
            if events.position.end is not None and events.position.end[0] == "error":
                yield _failure(None)
        except ReplicateError as error:
            if (
                events.position.end is None
                and getattr(error.prediction, "status", None) != "canceled"
            ):
                # The reader gets the model's own error only. The service gets any other.
                yield _failure(
                    str(error) if isinstance(error, ModelError) else "the stream broke off"
                )
            if not isinstance(error, ModelError):
                raise
        except BaseException as error:
            # The events do this themselves once they are read.
            events.on_exit(error)
            raise
        finally:
            if batches is not None:
                await batches.aclose()

    def _abandon(self) -> None:
        """Cancel a prediction whose events nobody has begun to read."""
        if not self._is_read:
            self._is_read = True
            self._events.abandon()

    def __del__(self) -> None:
        self._abandon()


def _failure(detail: str | None) -> list[bytes]:
    """Return the events that end a failed stream; without a detail the ``error`` came already."""
    from json import dumps

    events = [] if detail is None else [("error", dumps({"detail": detail}, ensure_ascii=False))]
    events.append(("done", '{"reason": "error"}'))
    return [ServerSentEvent(name, data).encode() for name, data in events]


defer_annotations(globals())
