"""A prediction's events as they happen."""

from __future__ import annotations

from ._typing import TYPE_CHECKING, is_object
from .exceptions import StreamError, StreamInterrupted
from .file_output import FileOutput, is_file
from .run import started

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from typing import Any, Unpack

    from ._core import AbortSignal
    from ._operation import Resource
    from .creation import CreateOptions
    from .identifier import Ref
    from .prediction import Prediction


class ServerSentEvent:
    """One event of a stream; ``str()`` gives the text of an output, and nothing for other events."""

    __slots__ = ("data", "event", "id", "retry")

    def __init__(self, event: str, data: str | FileOutput, id: str | None = None, retry: int | None = None) -> None:
        self.event = event
        """``output``, ``logs``, ``error``, ``done``, or what the API invents."""
        self.data = data
        self.id = id
        self.retry = retry
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


async def stream(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None = None,
    *,
    cancel_on_exit: bool = True,
    use_file_output: bool | None = None,
    **options: Unpack[CreateOptions],
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
