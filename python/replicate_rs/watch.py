"""One prediction's events, over as many connections as it takes."""

from __future__ import annotations

from ._core import Expect, ServerSentEvent, StreamPosition
from ._transport import PARTING, Suspending
from ._typing import TYPE_CHECKING, TypeVar, is_object
from .course import Course, give_up, items_of, raise_if_failed
from .exceptions import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    ModelError,
    PredictionCanceled,
    ReplicateError,
    StreamError,
    StreamInterrupted,
)
from .file_output import FileOutput, is_file
from .prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Any, NoReturn

    from ._core import AbortSignal, Pending, ResponseStream
    from ._operation import Async, Form, Resource, Sync

T = TypeVar("T")

CANCELED = ("canceled", "aborted")
# Connections in a row that brought nothing, after which the prediction itself is asked for the
# rest.
MOST_FRUITLESS = 5


class Watch:
    """One prediction's events, up to its end.

    A connection that ends before the stream is done is followed by another, which goes on after the
    last event. Where the server cannot prove that it does, or has the stream no more, the rest is
    what the prediction's output has beyond what was given.
    """

    prediction: Prediction[Any]
    """As far as is known here; there is none before it was started."""

    def __init__(
        self,
        course: Course,
        start: Prediction[Any] | Callable[[], Awaitable[Prediction[Any]]],
        form: Form,
        *,
        files: bool = False,
    ) -> None:
        self.course = course
        self.form: Form = form
        self.files: bool = files
        self.place: StreamPosition = StreamPosition()
        self._core = course.client._core
        self._start: Callable[[], Awaitable[Prediction[Any]]] | None = None
        self._source: ResponseStream[Any] | None = None
        self._is_first = True
        self._has_begun = False
        self._url = ""
        if isinstance(start, Prediction):
            self.prediction = start
        else:
            self._start = start

    def in_mode(self, mode: type[Sync | Async]) -> None:
        """Go on in this mode."""
        self.course.client = self.course.client._in(mode)

    async def begin(self) -> None:
        """Open the stream, and see that it is one, before anything is asked of it."""
        try:
            await self._begin()
            source = self._source = self._open()
            try:
                await self._finish(source.opened())
            except APITimeoutError as error:
                give_up(error, self.course.timeout, self.prediction)
        except BaseException as error:
            if self._source is not None:
                self._source.close()
            self.leave(error)
            raise

    async def _begin(self) -> None:
        """Create the prediction, if it has to be; from then on, whoever leaves cancels it."""
        if self._has_begun:
            return
        self._has_begun = True
        self.course.start()
        if self._start is not None:
            try:
                self.prediction = await self._start()
            except APITimeoutError as error:
                give_up(
                    error, self.course.timeout, error.prediction, is_cancelled=self.course.cancels
                )
        self.course.hold(self.prediction)
        self._url = self._stream_url(self.prediction)
        # Text that looks like a URL is text; only streams under this path carry files.
        self.files = self.files and self._url.partition("://")[2].partition("/")[2].startswith(
            "v1/files/"
        )

    def _stream_url(self, prediction: Prediction[Any]) -> str:
        urls: object = prediction.urls
        url: object = urls.get("stream") if is_object(urls) else None
        if url is None:
            raise StreamError("this model does not support streaming", prediction)
        if not isinstance(url, str):
            raise StreamError(
                f"the API gave a stream address that is not a URL: {url!r}", prediction
            )
        return url

    async def batches(self) -> AsyncGenerator[list[Any], None]:
        """Give everything, in lists of what is ready at a time; cancels the prediction if that is
        left early, and asked for.
        """
        fruitless, finish = 0, self.course.client._transport.finish
        try:
            await self._begin()
            while True:
                count = self.place.count
                source = self._source or self._open()
                try:
                    while batch := await finish(source.next()):
                        yield self._with_files(batch) if self.files else batch
                    ended: str | None = source.ended
                except APIError as error:
                    ended = self._broken(error, source)
                finally:
                    source.close()
                if ended == "complete":
                    await self._conclude()
                    return
                self._source, self._is_first = None, False
                fruitless = 0 if self.place.count > count else fruitless + (ended != "silent")
                if await self._is_over(ended, fruitless):
                    break
                pause = self.place.pause(fruitless)
                if pause is None:
                    break
                await self._sleep(pause)
            rest = self._rest()
            try:
                async for batch in rest:
                    yield batch
            finally:
                await rest.aclose()
        except BaseException as error:
            self.leave(error)
            raise
        finally:
            self.course.release()

    def leave(self, error: BaseException) -> None:
        """Do what is to be done when nobody wants more; a forked child leaves it to its parent.

        A stream that cannot be read, or not any further, is left too: nobody gets what the
        prediction still makes.
        """
        prediction: Prediction[Any] | None = getattr(self, "prediction", None)
        # In a forked child, a thread of the parent may have held the position's lock, which is then
        # held for ever.
        if prediction is None or self.course.is_inherited:
            return
        if isinstance(error, ReplicateError) and error.prediction is None:
            error.prediction = prediction
        self.course.release()
        if self.place.end is None and not prediction.is_done and not isinstance(error, ModelError):
            self.course.cancel(prediction, self.course.client._transport)

    def abandon(self) -> None:
        """Leave what was begun, and not read; without waiting for anything, since this may be a
        destructor.
        """
        if self._source is not None:
            self._source.close()
        self.course.release()
        self.course.cancel(self.prediction, Suspending)

    def _finish(self, pending: Pending[T]) -> Awaitable[T]:
        return self.course.client._transport.finish(pending)

    def _open(self) -> ResponseStream[Any]:
        left, signal = self.course.left(self.prediction), self.course.signal
        try:
            return self._core.events(self._url, self.form, self.place, total=left, signal=signal)
        except ValueError as error:
            raise StreamError(
                f"the API gave a stream address that is not a URL: {error}", self.prediction
            ) from error

    def _broken(self, error: APIError, source: ResponseStream[Any]) -> str:
        """Say how a connection ended that did not end well; raises if that is for the caller to
        know.
        """
        if isinstance(error, APITimeoutError) and error.is_deadline:
            give_up(error, self.course.timeout, self.prediction)
        if not isinstance(error, (APIConnectionError, APIStatusError)) or (
            self._is_first and not source.is_open
        ):
            raise error
        return "closed" if source.is_open else "refused"

    async def _is_over(self, ended: str | None, fruitless: int) -> bool:
        """Whether the stream will bring no more; of one that is silent, the prediction knows."""
        if ended in ("unproven", "refused") or fruitless > MOST_FRUITLESS:
            return True
        if ended != "silent" and not fruitless:
            return False
        self.prediction = await self._present()
        return self.prediction.is_done

    async def _sleep(self, seconds: float) -> None:
        left = self.course.left(self.prediction)
        await self.course.sleep(seconds if left is None else min(seconds, left))

    async def _present(self) -> Prediction[Any]:
        try:
            return await self.course.fetch(self.prediction)
        except APIError as error:
            self._interrupted("and the prediction cannot be fetched", error)

    async def _rest(self) -> AsyncGenerator[list[Any], None]:
        """Give what the prediction has that the stream did not bring, until it has ended."""
        self.prediction = await self._present()
        while True:
            if events := self._beyond(self.prediction):
                yield events
            if self.prediction.is_done:
                break
            await self.course.pause(self.prediction)
            self.prediction = await self._present()
        if self.prediction.status != "failed":
            yield self._made(
                [("done", '{"reason": "canceled"}' if self.prediction.status in CANCELED else "{}")]
            )
        raise_if_failed(self.prediction)

    def _beyond(self, prediction: Prediction[Any]) -> list[Any]:
        items = items_of(prediction)
        texts = [item for item in items if isinstance(item, str)]
        rest = (
            self.place.rest_of_output(texts)
            if len(texts) == len(items) and not prediction.data_removed
            else None
        )
        if rest is None:
            if prediction.is_done and prediction.status != "failed":
                self._interrupted(
                    "and the prediction's output does not begin with what came before", None
                )
            return []
        logs = self.place.rest_of_logs(prediction.logs or "")
        return self._made(
            [*([("logs", logs)] if logs else []), *(("output", text) for text in rest)]
        )

    def _made(self, parts: list[tuple[str, str]]) -> list[Any]:
        """Give events that the stream did not bring, in this watch's form."""
        if self.form == "text":
            return [data for name, data in parts if name == "output"]
        events = [ServerSentEvent(name, data) for name, data in parts]
        if self.form == "frames":
            return [event.encode() for event in events]
        return self._with_files(events) if self.files else events

    def _with_files(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        session = self.course.client._session
        return [
            ServerSentEvent(event.event, FileOutput(data, session), event.id, event.retry)
            if event.event == "output" and is_file(data := str(event.data))
            else event
            for event in events
        ]

    def _interrupted(self, why: str, cause: ReplicateError | None) -> NoReturn:
        last = self.place.last_event_id
        after = "before the first event" if self.place.count == 0 else f"after the event {last!r}"
        raise StreamInterrupted(
            f"the stream broke off {after}, {why}", self.prediction, last
        ) from cause

    async def _conclude(self) -> None:
        """Raise if the stream's last word was not one of success."""
        if self.place.end is None or self.form == "frames":
            return
        name, data = self.place.end
        said = _said(data)
        if name == "error":
            await self._fail("failed", str(said.get("detail", data)))
        elif said.get("reason") == "canceled":
            await self._fail("canceled", None)
        elif said.get("reason") == "error":
            await self._fail("failed", None)

    async def _fail(self, status: str, error: str | None) -> NoReturn:
        """Raise what the stream said; with the prediction, for its logs, which the API may be
        slower to know.
        """
        path = ("predictions", self.prediction.id)
        try:
            data = await self._finish(
                self._core.send("GET", path, Expect.OBJECT, total=PARTING, retries=0)
            )
        except ReplicateError:
            data = {}
        prediction = self.prediction.copy(update=data)
        if error and prediction.status == "succeeded":
            raise StreamError(error, prediction)
        said: dict[str, Any] = {} if prediction.is_done else {"status": status}
        if error:
            said["error"] = error
        prediction = prediction.copy(update=said)
        raise (PredictionCanceled if prediction.status in CANCELED else ModelError)(prediction)


def watched(
    resource: Resource[Any],
    start: Prediction[Any] | Callable[[], Awaitable[Prediction[Any]]],
    form: Form,
    *,
    files: bool = False,
    cancel_on_exit: bool,
    signal: AbortSignal | None,
    timeout: float | None,
) -> Watch:
    """Watch a prediction, or one that is started when it is first asked for something; the deadline
    is over both.
    """
    course = Course(
        resource,
        None,
        None,
        cancel_on_exit=cancel_on_exit,
        signal=signal,
        timeout=timeout,
        watched=True,
    )
    return Watch(course, start, form, files=files)


def _said(data: str) -> dict[str, Any]:
    from json import loads

    try:
        said: object = loads(data)
    except ValueError:
        return {}
    return said if is_object(said) else {}
