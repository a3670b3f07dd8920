"""Running a model to its end: several requests in a row."""

from __future__ import annotations

from time import monotonic

from ._core import Expect
from .exceptions import AbortError, APITimeoutError, ModelError, PredictionCanceled, PredictionTimeout, ReplicateError
from .file_output import outputs
from .identifier import resolve
from .prediction import LONGEST_HOLD, Prediction, Predictions, hold

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any, Literal, TypeAlias, TypedDict

    from ._core import AbortSignal
    from ._operation import FileEncodingStrategy, Resource
    from .identifier import Ref
    from .prediction import WebhookEvent

    class WaitOptions(TypedDict, total=False):
        """How `run` waits."""

        mode: Literal["block", "poll"]
        """Hold the first request open, or poll from the start."""
        interval: float
        """Seconds between polls."""
        timeout: float
        """Seconds to hold the first request open; 60 at most, and if not given."""

    Wait: TypeAlias = bool | float | WaitOptions
    OnProgress: TypeAlias = Callable[[Prediction], Awaitable[object] | object]

# Seconds below which a poll is not worth its own round trip; also what keeps `interval=0` from flooding the API.
SHORTEST_INTERVAL = 0.001


async def run(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None = None,
    progress: OnProgress | None = None,
    *,
    wait: Wait | None = None,
    webhook: str | None = None,
    webhook_events_filter: Sequence[WebhookEvent] | None = None,
    cancel_after: str | float | None = None,
    cancel_on_exit: bool = True,
    use_file_output: bool | None = None,
    file_encoding_strategy: FileEncodingStrategy | None = None,
    signal: AbortSignal | None = None,
    timeout: float | None = None,
) -> Any:
    """Run a model and return its output.

    Args:
        ref: ``owner/name`` or ``owner/name:version``.
        input: The model's inputs; files in it are uploaded.
        progress: Called with the prediction when it is created, after each poll, and when it is done; may be async on an
            async client.
        wait: True (the default) or seconds: hold the first request open that long for the output, then poll. False: poll.
            Or a dict of ``mode`` ("block", "poll"), ``interval`` and ``timeout`` in seconds.
        webhook: An https URL to be told of changes.
        webhook_events_filter: Which changes.
        cancel_after: Seconds, or a duration as ``1h30m``, after which the API cancels the prediction.
        cancel_on_exit: Cancel the prediction when this call ends before it: aborted, cancelled, interrupted or out of time.
        use_file_output: Give files as `FileOutput` (the default), or as text.
        file_encoding_strategy: How files are sent; the client's if not given.
        signal: Stops the call.
        timeout: Seconds for all of it.

    Raises:
        ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
        PredictionTimeout: `timeout` passed first.
        AbortError: The signal was aborted; if it was beforehand, nothing was sent.

    """
    model = resolve(ref)
    block, interval = _waiting(wait)
    course = _Course(client, interval, progress, cancel_on_exit=cancel_on_exit, signal=signal, timeout=timeout)
    held = monotonic()
    try:
        prediction = await Predictions.create(
            Predictions(client._session, client._mode),
            model.version,
            input,
            model=None if model.version else f"{model.owner}/{model.name}",
            wait=block,
            webhook=webhook,
            webhook_events_filter=webhook_events_filter,
            cancel_after=cancel_after,
            file_encoding_strategy=file_encoding_strategy,
            signal=signal,
            timeout=timeout,
        )
    except APITimeoutError as error:
        if not error.is_deadline:
            raise
        raise _too_late(timeout, None) from error
    # The blocking create may answer before the output is committed: what it has is all there is, if the hold had not run out.
    whole = prediction.output is not None and monotonic() - held < (LONGEST_HOLD if block is True else block or 0)
    prediction = await course.follow(prediction, done=whole)
    _raise_if_failed(prediction)
    files = client._session.use_file_output if use_file_output is None else use_file_output
    return outputs(prediction.output, client._session) if files else prediction.output


async def wait(
    client: Resource[Any],
    prediction: Prediction,
    *,
    interval: float | None = None,
    progress: OnProgress | None = None,
    cancel_on_exit: bool = False,
    signal: AbortSignal | None = None,
    timeout: float | None = None,
) -> Prediction:
    """Poll until a prediction has ended.

    Args:
        prediction: What to wait for; it is not changed.
        interval: Seconds between polls; the client's `poll_interval` if not given.
        progress: Called with the prediction after each poll.
        cancel_on_exit: Cancel the prediction when this call ends before it.
        signal: Stops the call.
        timeout: Seconds for all of it.

    Returns:
        The prediction as it ended.

    Raises:
        ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
        PredictionTimeout: `timeout` passed first.
        AbortError: The signal was aborted.

    """
    course = _Course(client, interval, progress, cancel_on_exit=cancel_on_exit, signal=signal, timeout=timeout)
    prediction = await course.follow(prediction)
    _raise_if_failed(prediction)
    return prediction


async def follow(
    client: Resource[Any], prediction: Prediction, *, signal: AbortSignal | None, timeout: float | None
) -> Prediction:
    """Poll until a prediction has ended, however it ends."""
    course = _Course(client, None, None, cancel_on_exit=False, signal=signal, timeout=timeout)
    return await course.follow(prediction)


class _Course:
    """A prediction's way to its end, as seen by polling."""

    def __init__(
        self,
        client: Resource[Any],
        interval: float | None,
        progress: OnProgress | None,
        *,
        cancel_on_exit: bool,
        signal: AbortSignal | None,
        timeout: float | None,
    ) -> None:
        interval = client._session.poll_interval if interval is None else interval
        if not interval >= 0:
            raise ValueError(f"interval must be a number of seconds, 0 or more, not {interval!r}")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout must be a number of seconds above 0, not {timeout!r}")
        self.client = client
        self.interval = max(interval, SHORTEST_INTERVAL)
        self.progress = progress
        self.cancel_on_exit = cancel_on_exit
        self.signal = signal
        self.timeout = timeout
        self.deadline = None if timeout is None else monotonic() + timeout

    async def follow(self, prediction: Prediction, *, done: bool = False) -> Prediction:
        """Poll until the prediction has ended."""
        try:
            await self.report(prediction)
            while not (done or prediction.is_done):
                prediction = await self.poll(prediction)
                await self.report(prediction)
        except BaseException as error:
            if isinstance(error, ReplicateError) and not isinstance(error, (AbortError, PredictionTimeout)):
                # The way to the API failed, not the caller: the prediction may well be wanted.
                error.prediction = prediction
            elif self.cancel_on_exit and not prediction.is_done:
                self.client._transport.part(self.client._core, "POST", ("predictions", prediction.id, "cancel"))
            raise
        return prediction

    async def report(self, prediction: Prediction) -> None:
        if self.progress is not None:
            answer: Any = self.progress(prediction)
            if hasattr(answer, "__await__"):
                await answer

    async def poll(self, prediction: Prediction) -> Prediction:
        finish, core = self.client._transport.finish, self.client._core
        left = None if self.deadline is None else self.deadline - monotonic()
        if left is not None and left <= self.interval:
            await finish(core.sleep(max(left, 0.0), signal=self.signal))
            raise _too_late(self.timeout, prediction)
        await finish(core.sleep(self.interval, signal=self.signal))
        left = None if self.deadline is None else max(self.deadline - monotonic(), SHORTEST_INTERVAL)
        try:
            data = await finish(core.send("GET", ("predictions", prediction.id), Expect.OBJECT, total=left, signal=self.signal))
        except APITimeoutError as error:
            if not error.is_deadline:
                raise
            raise _too_late(self.timeout, prediction) from error
        return Prediction._of(data, self.client._session)


def _waiting(wait: Wait | None) -> tuple[bool | float | None, float | None]:
    """Give what to pass to `create`, and the interval of polls."""
    if wait is None:
        return True, None
    if not isinstance(wait, dict):
        hold(wait)
        return wait, None
    if unknown := set(wait) - {"mode", "interval", "timeout"}:
        raise TypeError(f"wait has no option {unknown.pop()!r}: mode, interval or timeout")
    mode = wait.get("mode", "block")
    if mode not in ("block", "poll"):
        raise ValueError(f"wait['mode'] must be 'block' or 'poll', not {mode!r}")
    interval = wait.get("interval")
    if mode == "poll":
        return None, interval
    timeout = wait.get("timeout")
    hold(timeout)
    return True if timeout is None else timeout, interval


def _raise_if_failed(prediction: Prediction) -> None:
    if prediction.status in ("canceled", "aborted"):
        raise PredictionCanceled(prediction)
    if prediction.status == "failed":
        raise ModelError(prediction)


def _too_late(timeout: float | None, prediction: Prediction | None) -> PredictionTimeout:
    what = f"the prediction {prediction.id} is still {prediction.status}" if prediction else "the prediction was not created"
    return PredictionTimeout(f"{what} after {timeout} s", prediction)
