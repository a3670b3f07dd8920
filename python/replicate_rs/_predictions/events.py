"""One prediction's stream of events, over as many connections as needed."""

from __future__ import annotations

from .._base.cleanup import EXIT_REQUEST_TIMEOUT, unregister
from .._base.transport import Suspending
from .._base.typing import TYPE_CHECKING, Generic, TypeVar, is_object
from .._core import Expect, ServerSentEvent, StreamPosition
from .._files.output import FileOutput
from .._files.urls import is_file_url
from ..exceptions import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    ModelError,
    PredictionCanceled,
    RateLimitError,
    ReplicateError,
    StreamError,
    StreamInterrupted,
)
from .job import CANCELED, Job
from .polling import Poller, output_items, raise_if_failed, raise_timeout

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Any, NoReturn

    from .._base.resource import Resource
    from .._base.session import Async, Sync
    from .._base.streaming import Form
    from .._core import AbortSignal, Pending, ResponseStream

J = TypeVar("J", bound="Job[Any]")
T = TypeVar("T")

# Connections in a row without an event, after which the rest is taken from the prediction itself.
MAX_EMPTY_CONNECTIONS = 5


class EventStream(Generic[J]):
    """The events of one prediction, from the first to the last.

    When a connection ends before the stream does, the next one continues after the last event. If
    the server cannot prove that it does, or no longer has the stream, the rest is what the
    prediction's output has beyond the events received so far.
    """

    prediction: J
    """As last seen; not set before the prediction was created."""

    def __init__(
        self,
        poller: Poller,
        prediction: J | Callable[[], Awaitable[J]],
        form: Form,
        *,
        files: bool = False,
    ) -> None:
        self.poller = poller
        self.form: Form = form
        self.files: bool = files
        self.position: StreamPosition = StreamPosition()
        self._core = poller.client._session.config.core
        self._create: Callable[[], Awaitable[J]] | None = None
        self._source: ResponseStream[Any] | None = None
        self._is_first_connection = True
        self._is_started = False
        self._url = ""
        if isinstance(prediction, Job):
            self.prediction = prediction  # pyright: ignore[reportAttributeAccessIssue] - it is a J, as mypy knows
        else:
            self._create = prediction

    def in_mode(self, mode: type[Sync | Async]) -> None:
        """Read the rest in this mode."""
        client = self.poller.client
        if client._mode is not mode:
            self.poller.client = client._in(mode)

    async def open(self) -> None:
        """Create the prediction, and open its stream."""
        try:
            await self._start()
            source = self._source = self._connect()
            try:
                await self._finish(source.opened())
            except (APITimeoutError, RateLimitError) as error:
                raise_timeout(error, self.poller.timeout, self.prediction)
        except BaseException as error:
            if self._source is not None:
                self._source.close()
            self.on_exit(error)
            raise

    async def _start(self) -> None:
        """Create the prediction, unless there is one, and have it cancelled at exit."""
        if self._is_started:
            return
        self._is_started = True
        self.poller.start_clock()
        if self._create is not None:
            try:
                self.prediction = await self._create()
            except (APITimeoutError, RateLimitError) as error:
                raise_timeout(
                    error,
                    self.poller.timeout,
                    error.prediction,
                    cancel_on_exit=self.poller.cancel_on_exit,
                )
        if self.poller.cancel_on_exit:
            self.poller.register(self.prediction)
        self._url = self._get_url()
        # Text that looks like a URL is text; only streams under this path carry files.
        path = self._url.partition("://")[2].partition("/")[2]
        self.files = self.files and path.startswith("v1/files/")

    def _get_url(self) -> str:
        urls: object = self.prediction.urls
        url: object = urls.get("stream") if is_object(urls) else None
        if url is None:
            raise StreamError(
                "this model does not support streaming: run() returns its output at the end",
                self.prediction,
            )
        if not isinstance(url, str):
            raise self._bad_url(repr(url))
        return url

    def _bad_url(self, problem: str) -> StreamError:
        return StreamError(
            f"the API gave a stream address that is not a URL: {problem}", self.prediction
        )

    async def batches(self) -> AsyncGenerator[list[Any], None]:
        """Yield events in lists of those that are ready at a time.

        With `cancel_on_exit`, leaving early cancels the prediction.
        """
        empty_connections = 0
        # Looked up once, because a stream has many batches.
        finish = self.poller.client._transport.finish
        try:
            await self._start()
            while True:
                count = self.position.count
                source = self._source or self._connect()
                try:
                    while batch := await finish(source.next()):
                        yield self._with_files(batch) if self.files else batch
                    ending: str | None = source.ended
                except APIError as error:
                    ending = self._classify(error, source)
                finally:
                    source.close()
                if ending == "complete":
                    await self._raise_failure()
                    return
                self._source, self._is_first_connection = None, False
                is_empty = self.position.count == count
                empty_connections = empty_connections + (ending != "silent") if is_empty else 0
                if await self._is_over(ending, empty_connections):
                    break
                if not await self._pause(empty_connections):
                    break
            rest = self._rest()
            try:
                async for batch in rest:
                    yield batch
            finally:
                await rest.aclose()
        except BaseException as error:
            self.on_exit(error)
            raise
        finally:
            unregister(self.poller)

    def on_exit(self, error: BaseException) -> None:
        """Cancel the prediction of a reader who leaves, or of a stream that cannot be read further.

        A forked child leaves the prediction to its parent.
        """
        prediction: J | None = getattr(self, "prediction", None)
        # In a forked child, a thread of the parent may have held the position's lock, which is then
        # locked for ever.
        if prediction is None or self.poller.is_inherited:
            return
        if isinstance(error, ReplicateError) and error.prediction is None:
            error.prediction = prediction
        unregister(self.poller)
        if (
            self.position.end is None
            and not prediction.is_done
            and not isinstance(error, ModelError)
        ):
            self.poller.cancel(prediction, self.poller.client._transport)

    def abandon(self) -> None:
        """Cancel a stream that was not read, without waiting: this may be a destructor."""
        if self._source is not None:
            self._source.close()
        unregister(self.poller)
        prediction: J | None = getattr(self, "prediction", None)
        if prediction is not None and not prediction.is_done:
            self.poller.cancel(prediction, Suspending)

    def _finish(self, pending: Pending[T]) -> Awaitable[T]:
        return self.poller.client._transport.finish(pending)

    def _connect(self) -> ResponseStream[Any]:
        poller = self.poller
        remaining = None if poller.deadline is None else poller.remaining(self.prediction)
        try:
            return self._core.events(
                self._url, self.form, self.position, total=remaining, signal=poller.signal
            )
        except ValueError as error:
            raise self._bad_url(str(error)) from error

    def _classify(self, error: APIError, source: ResponseStream[Any]) -> str:
        """Classify a failed connection; raise if the caller must handle it."""
        if isinstance(error, (APITimeoutError, RateLimitError)) and error.is_deadline:
            raise_timeout(error, self.poller.timeout, self.prediction)
        if not isinstance(error, (APIConnectionError, APIStatusError)) or (
            self._is_first_connection and not source.is_open
        ):
            raise error
        return "closed" if source.is_open else "refused"

    async def _is_over(self, ending: str | None, empty_connections: int) -> bool:
        """Whether another connection would bring nothing.

        The prediction tells if the server was silent, or sent no event.
        """
        if ending in ("unproven", "refused") or empty_connections > MAX_EMPTY_CONNECTIONS:
            return True
        if ending != "silent" and not empty_connections:
            return False
        await self._fetch()
        return self.prediction.is_done

    async def _pause(self, empty_connections: int) -> bool:
        """Wait before the next connection; return False if the server asks for too long a wait."""
        seconds = self.position.pause(empty_connections)
        if seconds is None:
            return False
        remaining = self.poller.remaining(self.prediction)
        await self.poller.sleep(seconds if remaining is None else min(seconds, remaining))
        return True

    async def _fetch(self) -> None:
        """Fetch the prediction's present state."""
        try:
            self.prediction = await self.poller.fetch(self.prediction)
        except APIError as error:
            self._raise_interrupted("and the prediction cannot be fetched", error)

    async def _rest(self) -> AsyncGenerator[list[Any], None]:
        """Yield what the prediction has beyond the events received, until it has ended."""
        await self._fetch()
        while True:
            if events := self._missing_events():
                yield events
            if self.prediction.is_done:
                break
            await self.poller.wait_interval(self.prediction)
            await self._fetch()
        if self.prediction.status != "failed":
            reason = '{"reason": "canceled"}' if self.prediction.status in CANCELED else "{}"
            yield self._create_events([("done", reason)])
        raise_if_failed(self.prediction)

    def _missing_events(self) -> list[Any]:
        prediction: Any = self.prediction
        items = output_items(prediction)
        rest = None
        if not prediction.data_removed and all(isinstance(item, str) for item in items):
            rest = self.position.rest_of_output(items)
        if rest is None:
            if prediction.is_done and prediction.status != "failed":
                self._raise_interrupted(
                    "and the prediction's output does not begin with what came before", None
                )
            return []
        logs = self.position.rest_of_logs(prediction.logs or "")
        events = [("logs", logs)] if logs else []
        return self._create_events([*events, *(("output", text) for text in rest)])

    def _create_events(self, fields: list[tuple[str, str]]) -> list[Any]:
        """Return events that the stream did not bring, in this stream's form."""
        if self.form == "text":
            return [data for name, data in fields if name == "output"]
        events = [ServerSentEvent(name, data) for name, data in fields]
        if self.form == "frames":
            return [event.encode() for event in events]
        return self._with_files(events) if self.files else events

    def _with_files(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        session = self.poller.client._session
        return [
            ServerSentEvent(event.event, FileOutput(data, session), event.id, event.retry)
            if event.event == "output" and is_file_url(data := str(event.data))
            else event
            for event in events
        ]

    def _raise_interrupted(self, reason: str, cause: ReplicateError | None) -> NoReturn:
        last_id = self.position.last_event_id
        place = (
            "before the first event" if self.position.count == 0 else f"after the event {last_id!r}"
        )
        raise StreamInterrupted(
            f"the stream broke off {place}, {reason}", self.prediction, last_id
        ) from cause

    async def _raise_failure(self) -> None:
        """Raise if the stream's last events report a failure or a cancellation."""
        if self.position.end is None or self.form == "frames":
            return
        name, data = self.position.end
        if name == "error":
            await self._fail("failed", str(_parse(data).get("detail", data)))
        reason = parse_reason(data)
        if reason == "canceled":
            await self._fail("canceled", None)
        elif reason == "error":
            await self._fail("failed", None)

    async def _fail(self, status: str, error: str | None) -> NoReturn:
        """Raise what the stream reported, with the prediction as fetched, for its logs.

        The API may not show the end yet; then the stream's report is filled in.
        """
        path = ("predictions", self.prediction.id)
        try:
            fetched = await self._finish(
                self._core.send("GET", path, Expect.OBJECT, total=EXIT_REQUEST_TIMEOUT, retries=0)
            )
        except ReplicateError:
            fetched = {}
        prediction: Any = self.prediction.copy(update=fetched)
        if error and prediction.status == "succeeded":
            raise StreamError(error, prediction)
        update: dict[str, Any] = {} if prediction.is_done else {"status": status}
        if error:
            update["error"] = error
        prediction = prediction.copy(update=update)
        raise (PredictionCanceled if prediction.status in CANCELED else ModelError)(prediction)


def open_stream(
    client: Resource[Any],
    prediction: J | Callable[[], Awaitable[J]],
    form: Form,
    *,
    files: bool = False,
    cancel_on_exit: bool = False,
    signal: AbortSignal | None = None,
    timeout: float | None = None,
) -> EventStream[J]:
    """Return the stream of a prediction, or of one that is created when the stream is first read.

    Args:
        client: What requests go through.
        prediction: The prediction, or a function that creates it.
        form: What the stream yields.
        files: Whether to yield files as `FileOutput`.
        cancel_on_exit: Whether leaving early cancels the prediction.
        signal: Stops the stream.
        timeout: Seconds for the create and the stream together.

    """
    poller = Poller(
        client, cancel_on_exit=cancel_on_exit, signal=signal, timeout=timeout, is_watched=True
    )
    return EventStream(poller, prediction, form, files=files)


def parse_reason(data: str) -> str | None:
    """Return why a stream ended, by the data of its ``done`` event: ``canceled``, ``error``."""
    reason: object = _parse(data).get("reason")
    return reason if isinstance(reason, str) else None


def _parse(data: str) -> dict[str, Any]:
    from json import loads

    try:
        fields: object = loads(data)
    except ValueError:
        return {}
    return fields if is_object(fields) else {}
