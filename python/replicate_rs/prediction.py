"""Predictions, each of which is one run of a model."""

from __future__ import annotations

from ._base.checks import limit, resource_id, text
from ._base.operation import async_operation, operation, unchecked
from ._base.record import fetch, timestamp_property
from ._base.resource import M, Namespace
from ._base.streaming import async_streaming, streaming
from ._base.typing import defer_annotations, is_array, is_object
from ._core import Expect, is_plain
from ._predictions.job import Job, add_created
from ._predictions.params import (
    MAX_WAIT,
    WAIT_MARGIN,
    body_fields,
    create_headers,
    create_path,
    split_options,
)
from ._predictions.polling import Poller, increments, raise_timeout, wait_until_done
from .exceptions import APITimeoutError, RateLimitError, ReplicateError
from .identifier import id_of

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from datetime import datetime
    from types import EllipsisType
    from typing import Any, Final, Literal, Unpack

    from ._base.checks import Limit
    from ._base.resource import Options
    from ._base.session import Session
    from ._base.streaming import Streamed
    from ._core import AbortSignal, ServerSentEvent
    from ._files.output import FileOutput
    from ._predictions.params import PredictionOptions
    from ._predictions.progress import Progress as Progress
    from .identifier import HasId, Ref
    from .pagination import Page

# `_predictions.events.open_stream`, imported by the first stream. Kept, because an import statement
# costs as much as five calls even when it is loaded.
_open_stream: Callable[..., Any] | None = None


class Prediction(Job[M]):
    """One run of a model (https://replicate.com/docs/reference/http#predictions.get)."""

    __slots__ = ()

    _path = "predictions"
    _is_prediction = True

    output: Any
    """Of the type that the model declares; None until there is output.

    The API removes it an hour after the end, with `input` and `logs`.
    """
    deadline: str | None
    """When `cancel_after` takes effect; ISO 8601, in UTC."""
    data_removed: bool | None
    """Whether the API has removed the input, the output and the logs."""
    deployment: str | None
    """``owner/name``, if it ran on one."""
    urls: dict[str, str] | None
    """``get``, ``cancel``, ``web``, and ``stream`` where the model can stream."""
    due: Final = timestamp_property("deadline")

    def files(self) -> list[FileOutput[M]]:
        """Return every file of `output`, at any depth, in order; none if there is no output yet."""
        return _files(self.output, self._session)

    def _find_files(self) -> list[FileOutput[M]]:
        return self.files()

    @streaming
    def stream(
        self,
        use_file_output: bool | None = None,
        *,
        cancel_on_exit: bool = False,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> Streamed[ServerSentEvent[M], Prediction[M]]:
        """Iterate over its events as they happen, from the first to ``done``.

        A connection that breaks is replaced by another, which continues after the last event. See
        https://replicate.com/docs/topics/predictions/streaming.

        Args:
            use_file_output: Return files of file streams as `FileOutput` (the default), or as text.
            cancel_on_exit: Cancel the prediction when the loop over its events ends before it.
            signal: Stops the stream.
            timeout: Seconds for the whole stream.

        Returns:
            A `Stream`, or an `AsyncStream`, of `ServerSentEvent`.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled.
            StreamError: The model cannot stream; `StreamInterrupted` if the stream broke off and
                the rest is not known.
            PredictionTimeout: `timeout` seconds passed first.
            AbortError: The signal was aborted.

        """
        global _open_stream
        if _open_stream is None:
            from ._predictions.events import open_stream

            _open_stream = open_stream
        return _open_stream(
            self,
            self._as_given(),
            "events",
            files=self._session.use_file_output if use_file_output is None else use_file_output,
            cancel_on_exit=cancel_on_exit,
            signal=signal,
            timeout=None if timeout is None else limit("timeout", timeout),
        )

    async_stream: Final = async_streaming(stream)

    @streaming
    def output_iterator(
        self, *, signal: AbortSignal | None = None, timeout: Limit | None = None
    ) -> AsyncGenerator[list[Any], None]:
        """Poll, and iterate over the items that are added to the output's list from now on.

        Args:
            signal: Stops the polling.
            timeout: Seconds for all of it.

        Returns:
            A `Stream`, or an `AsyncStream`, of the model's items; files as `FileOutput`.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
            PredictionTimeout: `timeout` seconds passed first.
            AbortError: The signal was aborted.

        """
        return increments(self, self._as_given(), signal=signal, timeout=limit("timeout", timeout))

    async_output_iterator: Final = async_streaming(output_iterator)
    wait: Final = operation(wait_until_done)
    async_wait: Final = async_operation(wait)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name != "Progress":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ._predictions.progress import Progress

        return Progress

    class _ProgressClass:
        """`Progress`, imported when the attribute is read."""

        def __get__(self, prediction: object, kind: type) -> type[Progress]:
            return __getattr__("Progress")

    # An attribute of 1.0.7. Inside the class body, the name would hide the type.
    Prediction.Progress = _ProgressClass()


class Predictions(Namespace[M]):
    """`client.predictions`."""

    __slots__ = ()

    @operation
    async def create(
        self,
        version: str | HasId | None = None,
        input: Mapping[str, Any] | None = None,
        *,
        model: Ref | tuple[str, str] | None = None,
        deployment: Ref | tuple[str, str] | None = None,
        cancel_on_exit: bool = True,
        **options: Unpack[PredictionOptions],
    ) -> Prediction[M]:
        """Run a model; return at once, or with `wait` when there is output.

        API: https://replicate.com/docs/reference/http#predictions.create

        Args:
            version: A version, its id, ``owner/name:version``, or ``owner/name`` of an official
                model. Give `version`, `model` or `deployment`.
            input: The model's inputs; files among them are uploaded.
            model: ``owner/name``, a pair of both, or a model.
            deployment: ``owner/name``, a pair of both, or a deployment.
            cancel_on_exit: Cancel the prediction if the caller stops waiting for the response.

        Raises:
            ValueError: Not exactly one of `version`, `model` and `deployment` is given.
            NotFoundError: The model, the version or the deployment does not exist.
            UnprocessableEntityError: The inputs do not fit the model.

        """
        if version is not None:
            version = id_of(version)
        path = create_path(version, model, deployment)
        params, request_options = split_options(options)
        headers = create_headers(params)
        body: dict[str, Any] = {} if version is None else {"version": version}
        body |= body_fields(params)
        inputs: Mapping[str, Any] = {} if input is None else input
        inlined = None
        if params.get("file_encoding_strategy") is None and is_plain(inputs):
            # The fast path for most inputs.
            body["input"] = inputs
        else:
            from ._files.inputs import put_input

            inlined = await put_input(self, body, inputs, params, request_options)
        is_held_open = bool(headers) and headers[0][0] == "Prefer"
        pending = self._send(
            "POST",
            path,
            Expect.RECORD,
            request_options,
            body=body,
            headers=headers,
            read=MAX_WAIT + WAIT_MARGIN if is_held_open else None,
            inlined=inlined,
            creates="predictions",
            keeps=not cancel_on_exit,
        )
        try:
            return Prediction._of(await self._transport.finish(pending), self._session)
        except ReplicateError as error:
            add_created(error, Prediction, self._session)
            if version is not None and error.status in (404, 422):
                # The version is in the body, so the error does not find it in the path.
                error._subject = f"version {version}"
            raise
        except BaseException:
            pending.cancel_created()
            raise

    async_create: Final = async_operation(create)

    @operation
    def get(self, id: str | HasId, **options: Unpack[Options]) -> Awaitable[Prediction[M]]:
        """Fetch a prediction.

        API: https://replicate.com/docs/reference/http#predictions.get

        Args:
            id: The prediction's id, or a prediction.

        Raises:
            NotFoundError: The prediction does not exist.

        """
        id = id if isinstance(id, str) else resource_id("id", id)
        # Written with its parameter, it would be a call, in what programs do most often.
        kind: type[Prediction[M]] = Prediction  # pyright: ignore[reportAssignmentType] - it is
        return fetch(self, kind, "GET", ("predictions", id), options, expect=Expect.RECORD)

    async_get: Final = async_operation(get)

    @operation
    def cancel(self, id: str | HasId, **options: Unpack[Options]) -> Awaitable[Prediction[M]]:
        """Cancel a running prediction.

        API: https://replicate.com/docs/reference/http#predictions.cancel

        Args:
            id: The prediction's id, or a prediction.

        Returns:
            The prediction, which may still be running for a moment.

        Raises:
            NotFoundError: The prediction does not exist.

        """
        target = ("predictions", resource_id("id", id), "cancel")
        return fetch(self, Prediction[M], "POST", target, options, expect=Expect.RECORD)

    async_cancel: Final = async_operation(cancel)

    @operation
    async def wait(
        self,
        id: str | HasId,
        *,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> Prediction[M]:
        """Poll until a prediction has ended, whatever its status is then.

        API: https://replicate.com/docs/reference/http#predictions.get

        Args:
            id: The prediction's id, or a prediction.
            signal: Stops waiting.
            timeout: Seconds to wait, or a `timedelta`.

        Raises:
            PredictionTimeout: `timeout` passed first.
            NotFoundError: The prediction does not exist.

        """
        total = limit("timeout", timeout)
        poller = Poller(self, signal=signal, timeout=total)
        try:
            prediction = await unchecked(Predictions[M].get)(self, id, signal=signal, timeout=total)
        except (APITimeoutError, RateLimitError) as error:
            raise_timeout(error, total, None)
        return await poller.run_until_done(prediction)

    async_wait: Final = async_operation(wait)

    @streaming
    def stream(
        self,
        id: str | HasId,
        use_file_output: bool | None = None,
        *,
        cancel_on_exit: bool = False,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> Streamed[ServerSentEvent[M], Prediction[M]]:
        """Yield the events of a prediction from the first on; see `Prediction.stream`.

        API: https://replicate.com/docs/topics/predictions/streaming

        Args:
            id: The prediction's id, or a prediction.
            use_file_output: Yield files of file streams as `FileOutput` (the default), or as text.
            cancel_on_exit: Cancel the prediction if the loop over its events ends before it does.
            signal: Stops the stream.
            timeout: Seconds for the whole stream, or a `timedelta`.

        Raises:
            ModelError: The prediction failed; `PredictionCanceled` if it was canceled.
            StreamError: The prediction cannot be streamed; `StreamInterrupted` if the stream broke
                off and cannot be resumed.
            PredictionTimeout: `timeout` passed first.

        """
        from ._predictions.events import open_stream

        total = limit("timeout", timeout)
        return open_stream(
            self,
            lambda: unchecked(Predictions[M].get)(self, id, signal=signal, timeout=total),
            "events",
            files=self._session.use_file_output if use_file_output is None else use_file_output,
            cancel_on_exit=cancel_on_exit,
            signal=signal,
            timeout=total,
        )

    async_stream: Final = async_streaming(stream)

    @operation
    def list(
        self,
        cursor: str | EllipsisType = ...,
        *,
        created_after: str | datetime | None = None,
        created_before: str | datetime | None = None,
        source: Literal["web"] | None = None,
        **options: Unpack[Options],
    ) -> Awaitable[Page[Prediction[M]]]:
        """Fetch a page of your predictions, newest first, 100 to a page.

        API: https://replicate.com/docs/reference/http#predictions.list

        Args:
            cursor: The `next` or `previous` of another page.
            created_after: The earliest creation time: ISO 8601, or a `datetime`.
            created_before: The latest creation time, in the same form.
            source: ``web``: only predictions made on the website, within the last 14 days.

        Raises:
            ReplicateError: The request failed.

        """
        from .pagination import page_of

        query = {"created_after": created_after, "created_before": created_before, "source": source}
        return page_of(self, Prediction[M], ("predictions",), cursor, options, query=query)

    async_list: Final = async_operation(list)


def parse_progress_from_logs(logs: str | Prediction[Any] | None) -> Progress | None:
    """Return the last progress bar in some logs; None if they have none.

    Args:
        logs: The text, or a prediction.

    Raises:
        TypeError: `logs` is something else.

    """
    from ._predictions.progress import Progress

    if isinstance(logs, Prediction):
        logs = logs.logs
    return Progress.parse(None if logs is None else text("logs", logs))


def _files(value: object, session: Session) -> list[FileOutput[Any]]:
    """Return every file in a model's output, at any depth, in order."""
    from ._files.output import FileOutput
    from ._files.urls import is_file_url

    if isinstance(value, str):
        return [FileOutput(value, session)] if is_file_url(value) else []
    items = value if is_array(value) else value.values() if is_object(value) else ()
    return [file for each in items for file in _files(each, session)]


defer_annotations(globals())
