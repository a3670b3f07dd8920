"""A prediction's events as they happen."""

from __future__ import annotations

from ._base.checks import limit
from ._base.resource import check_resource
from ._base.streaming import AsyncStream as AsyncStream  # noqa: TC001 - to be imported from here
from ._base.streaming import Stream as Stream  # noqa: TC001 - as above
from ._base.typing import TYPE_CHECKING, defer_annotations
from ._core import EventDecoder as EventDecoder
from ._core import ServerSentEvent as ServerSentEvent
from ._predictions.params import guarded
from .run import started

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar, Unpack

    from ._base.operation import Form
    from ._base.resource import Resource
    from ._base.streaming import Streamed
    from ._predictions.events import Watch
    from ._predictions.params import PredictionOptions
    from ._predictions.relay import Relay
    from .client import Replicate
    from .identifier import Ref


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


# Where 1.0.7 has it.
ServerSentEvent.EventType = EventType


def stream(
    client: Replicate, ref: Ref, input: Mapping[str, Any] | None = None, **options: Any
) -> Stream[ServerSentEvent]:
    """Do the same as `client.stream`; 1.0.7 has it here."""
    found: Any = check_resource("client", client)
    return found.stream(ref, input, **options)  # type: ignore[no-any-return]  # any client's


def async_stream(
    client: Replicate, ref: Ref, input: Mapping[str, Any] | None = None, **options: Any
) -> AsyncStream[ServerSentEvent]:
    """Do the same as `client.async_stream`; 1.0.7 has it here."""
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
) -> Streamed[ServerSentEvent]:
    """Return what reads the events of a model that is run; takes and raises what `client.stream`
    does.
    """
    files = client._session.use_file_output if use_file_output is None else use_file_output
    return begun(client, ref, input, "events", options, files=files, cancel_on_exit=cancel_on_exit)


def stream_text(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None = None,
    *,
    cancel_on_exit: bool = True,
    **options: Unpack[PredictionOptions],
) -> Streamed[str]:
    """Run a model and give the pieces of its text as they come; ``collect()`` gives the whole.

    Takes and raises what `stream` does. Of a file stream, the pieces are the files' URLs.
    """
    return begun(client, ref, input, "text", options, cancel_on_exit=cancel_on_exit)


async def relay_model(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None = None,
    *,
    cancel_on_exit: bool = True,
    **options: Unpack[PredictionOptions],
) -> Relay:
    """Run a model whose events are passed on as bytes; the stream is open, and known to be one,
    when this returns.

    Args:
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        input: The model's inputs; files in it are uploaded.
        cancel_on_exit: Cancel the prediction when its reader leaves early.
        options: What every prediction takes; `timeout` is over all of it.

    Raises:
        StreamError: The model cannot stream.

    """
    from ._predictions.relay import Relay

    watch = begun(client, ref, input, "frames", options, cancel_on_exit=cancel_on_exit)
    await watch.begin()
    return Relay(watch)


def begun(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None,
    form: Form,
    options: PredictionOptions,
    *,
    files: bool = False,
    cancel_on_exit: bool,
) -> Watch:
    """Give what watches a model that is started when it is first asked for something; the deadline
    is over both.
    """
    from ._predictions.events import watched

    signal, timeout = options.get("signal"), limit("timeout", options.get("timeout"))
    return watched(
        client,
        lambda: started(
            client,
            ref,
            input,
            guarded(options, cancel_on_exit=cancel_on_exit),
            cancel_on_exit=cancel_on_exit,
        ),
        form,
        files=files,
        cancel_on_exit=cancel_on_exit,
        signal=signal,
        timeout=timeout,
    )


defer_annotations(globals())
