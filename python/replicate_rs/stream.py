"""A prediction's events as they happen."""

from __future__ import annotations

from ._typing import TYPE_CHECKING, is_object
from .exceptions import StreamError, StreamInterrupted
from .file_output import FileOutput, is_file
from .identifier import resolve
from .prediction import Predictions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from typing import Any

    from ._core import AbortSignal
    from ._operation import FileEncodingStrategy, Resource
    from .identifier import Ref
    from .prediction import Prediction, WebhookEvent


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
    webhook: str | None = None,
    webhook_events_filter: Sequence[WebhookEvent] | None = None,
    cancel_after: str | float | None = None,
    cancel_on_exit: bool = True,
    use_file_output: bool | None = None,
    file_encoding_strategy: FileEncodingStrategy | None = None,
    signal: AbortSignal | None = None,
    timeout: float | None = None,
) -> AsyncGenerator[ServerSentEvent, None]:
    """Run a model and give its events as they happen, up to and with ``done``.

    Args:
        ref: ``owner/name`` or ``owner/name:version``.
        input: The model's inputs; files in it are uploaded.
        webhook: An https URL to be told of changes.
        webhook_events_filter: Which changes.
        cancel_after: Seconds, or a duration as ``1h30m``, after which the API cancels the prediction.
        cancel_on_exit: Cancel the prediction when the loop over its events ends before it.
        use_file_output: Give files of file streams as `FileOutput` (the default), or as text.
        file_encoding_strategy: How files are sent; the client's if not given.
        signal: Stops the stream.
        timeout: Seconds for each of the two requests.

    Raises:
        StreamError: The model failed, or cannot stream; `StreamInterrupted` if the stream ended before it was done.
        AbortError: The signal was aborted.

    """
    model = resolve(ref)
    prediction = await Predictions.create(
        Predictions(client._session, client._mode),
        model.version,
        input,
        model=None if model.version else f"{model.owner}/{model.name}",
        webhook=webhook,
        webhook_events_filter=webhook_events_filter,
        cancel_after=cancel_after,
        file_encoding_strategy=file_encoding_strategy,
        signal=signal,
        timeout=timeout,
    )
    files = client._session.use_file_output if use_file_output is None else use_file_output
    done = False
    events = _events(client, prediction, files=files, signal=signal, timeout=timeout)
    try:
        async for event in events:
            done = event.event in ("done", "error")
            yield event
    finally:
        if cancel_on_exit and not done:
            client._transport.part(client._core, "POST", ("predictions", prediction.id, "cancel"))
        await events.aclose()


async def _events(
    client: Resource[Any], prediction: Prediction, *, files: bool, signal: AbortSignal | None, timeout: float | None
) -> AsyncGenerator[ServerSentEvent, None]:
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
