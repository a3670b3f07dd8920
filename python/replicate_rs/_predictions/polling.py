"""Polling of predictions and trainings until they end."""

from __future__ import annotations

from os import getpid
from time import monotonic

from .._base.checks import interval as check_interval
from .._base.checks import limit
from .._base.cleanup import register, send_on_exit, unregister
from .._base.transport import Suspending
from .._base.typing import TYPE_CHECKING, TypeVar, cast, is_array
from .._core import Expect
from ..exceptions import (
    AbortError,
    APITimeoutError,
    ClientClosedError,
    ModelError,
    PredictionCanceled,
    PredictionTimeout,
    RateLimitError,
    ReplicateError,
)
from .job import CANCELED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Any, NoReturn

    from .._base.checks import Limit, Seconds
    from .._base.progress_bar import ProgressBar
    from .._base.resource import Resource
    from .._base.transport import Transport
    from .._core import AbortSignal
    from .job import Job


J = TypeVar("J", bound="Job[Any]")

# Seconds. A shorter interval is not worth its round trip, and `interval=0` must not flood the API.
MIN_INTERVAL = 0.001
# The client's interval has not been read yet.
UNREAD = object()


class Poller:
    """Polls a prediction or training until it ends, within its caller's deadline and signal.

    With `cancel_on_exit` it is cancelled when its caller leaves first.
    """

    def __init__(
        self,
        client: Resource[Any],
        *,
        interval: float | None = None,
        progress: bool | Callable[[Any], object] | None = None,
        cancel_on_exit: bool = False,
        signal: AbortSignal | None = None,
        timeout: float | None = None,
        is_watched: bool = False,
        started_at: float | None = None,
    ) -> None:
        self.client = client
        # Read when it is needed: most streams, and runs that end soon, do not poll.
        self._interval: float | object | None = UNREAD if interval is None else interval
        self.is_watched: bool = is_watched or progress is not None
        self.process: int = getpid()
        self.progress = progress
        self._bar: ProgressBar | None = None
        self.cancel_on_exit: bool = cancel_on_exit
        # Emptied by whichever thread cancels first: the caller's, or one that closes the client.
        self._cancels: list[None] = [None] if cancel_on_exit else []
        self.signal = signal
        self.timeout = timeout
        self.start_clock(started_at)

    def start_clock(self, started_at: float | None = None) -> None:
        """Count `timeout` from now on, or from a time of the monotonic clock."""
        self.started_at: float = monotonic() if started_at is None else started_at
        self.deadline: float | None = (
            None if self.timeout is None else self.started_at + self.timeout
        )

    @property
    def interval(self) -> float | None:
        """Seconds between polls; None if the core paces all polls of this client."""
        if self._interval is UNREAD:
            self._interval = self.client._session.poll_interval
        interval = cast("float | None", self._interval)
        return None if interval is None else max(interval, MIN_INTERVAL)

    @property
    def is_inherited(self) -> bool:
        """Whether this was created before the process was forked."""
        return self.process != getpid()

    async def run_until_done(self, job: J) -> J:
        """Poll until the job has ended."""
        try:
            self.register(job)
            await self.notify(job)
            while not job.is_done:
                job = await self.poll(job)
                await self.notify(job)
        except BaseException as error:
            self.on_exit(error, job)
            raise
        finally:
            unregister(self)
            if self._bar is not None:
                self._bar.close()
        return job

    def register(self, job: Job[Any]) -> None:
        """Have the job cancelled if its client is closed or the program ends before it is done."""
        if self._cancels and not job.is_done:
            register(self, self.client._core, lambda: self.cancel(job, Suspending))

    def on_exit(self, error: BaseException, job: Job[Any]) -> None:
        """Cancel the job if its caller left; add the job to the error."""
        if isinstance(error, ReplicateError):
            if error.prediction is None:
                error.prediction = job
            if not isinstance(error, (AbortError, PredictionTimeout, ClientClosedError)):
                # The API or the model failed. The caller may still want the prediction.
                return
        if job.is_done:
            self._cancels.clear()
        else:
            self.cancel(job, self.client._transport)

    def cancel(self, job: Job[Any], transport: type[Transport]) -> None:
        """Cancel the job once, if that was asked for.

        A forked child does not cancel what its parent runs.
        """
        if self.is_inherited:
            return
        try:
            self._cancels.pop()
        except IndexError:
            return
        send_on_exit(transport, self.client._core, "POST", (job._path, job.id, "cancel"))

    async def notify(self, job: Job[Any]) -> None:
        """Call the caller's progress function, or update the progress bar, if there is one."""
        if not job._is_prediction:
            return
        if self.progress is True:
            self._draw(job)
        elif callable(self.progress):
            result: Any = self.progress(job)
            if hasattr(result, "__await__"):
                await result

    def _draw(self, job: Job[Any]) -> None:
        if self._bar is None:
            from .._base.progress_bar import ProgressBar

            self._bar = ProgressBar(100, "%", f"{job.model or job.id}")
        if job.status == "succeeded":
            percentage = 1.0
        else:
            percentage = 0.0 if (progress := job.progress) is None else progress.percentage
        self._bar.update(round(percentage * 100), status=job.status)

    async def poll(self, job: J) -> J:
        """Wait for an interval, and fetch the job's present state."""
        await self.wait_interval(job)
        return await self.fetch(job)

    async def wait_interval(self, job: Job[Any]) -> None:
        """Wait for the caller's interval, or until the core's pacing allows the next poll."""
        remaining, interval = self.remaining(job), self.interval
        if interval is None:
            turn = self.client._core.turn(
                job.id,
                age=monotonic() - self.started_at,
                watched=self.is_watched,
                list=job._is_prediction,
                limit=remaining,
                signal=self.signal,
            )
            await self.client._transport.finish(turn)
        else:
            await self.sleep(interval if remaining is None else min(remaining, interval))
        self.remaining(job)

    async def fetch(self, job: J) -> J:
        """Fetch the job's present state."""
        if getattr(self.client, "_namespaces", None):
            from .._base.replacements import get_replacement

            if (get := get_replacement(self.client, job._path, "get")) is not None:
                answer: Any = get(job.id)
                return cast("J", await answer if hasattr(answer, "__await__") else answer)
        total = None if self.deadline is None else max(self.deadline - monotonic(), MIN_INTERVAL)
        pending = self.client._core.send(
            "GET", (job._path, job.id), Expect.RECORD, total=total, signal=self.signal
        )
        try:
            data = await self.client._transport.finish(pending)
        except (APITimeoutError, RateLimitError) as error:
            raise_timeout(error, self.timeout, job)
        return type(job)._of(data, self.client._session)

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds, or until the signal is aborted."""
        await self.client._transport.finish(self.client._core.sleep(seconds, signal=self.signal))

    def remaining(self, job: Job[Any] | None) -> float | None:
        """Return the seconds until the deadline, None without one.

        Raises:
            PredictionTimeout: The deadline has passed.

        """
        if self.deadline is None:
            return None
        seconds = self.deadline - monotonic()
        if seconds <= 0:
            raise deadline_error(self.timeout, job)
        return seconds


def cancel_unreceived(client: Resource[Any], job: Job[Any]) -> None:
    """Cancel a job whose caller will not receive it, because a signal handler has raised."""
    if not job.is_done:
        Poller(client, cancel_on_exit=True).cancel(job, client._transport)


async def wait_until_done(
    self: Job[Any], *, signal: AbortSignal | None = None, timeout: Limit | None = None
) -> None:
    """Poll until it has ended, and update this object; does not raise if it failed.

    A method of predictions and of trainings.

    Args:
        signal: Stops the waiting, and does not cancel.
        timeout: Seconds for the whole call.

    Raises:
        PredictionTimeout: `timeout` seconds passed first.
        AbortError: The signal was aborted.

    """
    poller = Poller(self, signal=signal, timeout=limit("timeout", timeout))
    done = await poller.run_until_done(self._as_given())
    self._update(done.dict())


async def wait_for(
    client: Resource[Any],
    prediction: J,
    *,
    interval: Seconds | None = None,
    progress: bool | Callable[[Any], object] | None = None,
    cancel_on_exit: bool = False,
    signal: AbortSignal | None = None,
    timeout: Limit | None = None,
) -> J:
    """Poll until a prediction has ended, as `client.wait` does, and raise if it failed."""
    poller = Poller(
        client,
        interval=None if interval is None else check_interval("interval", interval),
        progress=progress,
        cancel_on_exit=cancel_on_exit,
        signal=signal,
        timeout=limit("timeout", timeout),
    )
    prediction = await poller.run_until_done(prediction)
    raise_if_failed(prediction)
    return prediction


async def increments(
    client: Resource[Any],
    prediction: Job[Any],
    *,
    signal: AbortSignal | None = None,
    timeout: float | None = None,
) -> AsyncGenerator[list[Any], None]:
    """Poll, and yield the items that each poll adds to the output's list."""
    poller = Poller(client, signal=signal, timeout=timeout, is_watched=True)
    count = len(output_items(prediction))
    while not prediction.is_done:
        prediction = await poller.poll(prediction)
        items = output_items(prediction)
        if added := items[count:]:
            if client._session.use_file_output:
                from .._files.output import wrap_files

                added = wrap_files(added, client._session)
            yield added
        count = max(count, len(items))
    raise_if_failed(prediction)


def output_items(prediction: Job[Any]) -> list[Any]:
    """Return an output as a list: its items, itself alone, or nothing."""
    output = prediction.output
    if is_array(output):
        return output
    return [] if output is None else [output]


def raise_if_failed(prediction: Job[Any]) -> None:
    """Raise `ModelError` or `PredictionCanceled` if a prediction ended without success."""
    record: Any = prediction
    if record.status in CANCELED:
        raise PredictionCanceled(record)
    if record.status == "failed":
        raise ModelError(record)


def raise_timeout(
    error: APITimeoutError | RateLimitError,
    timeout: float | None,
    job: Job[Any] | None,
    *,
    cancel_on_exit: bool = True,
) -> NoReturn:
    """Raise `PredictionTimeout` if a request ended at its caller's deadline, else the error."""
    if not error.is_deadline or timeout is None:
        raise error
    if isinstance(error, RateLimitError):
        raise limited_error(error, timeout, job) from error
    raise deadline_error(
        timeout,
        job,
        was_sent=error._sent,
        cancel_on_exit=cancel_on_exit,
        last_failure=error._last,
    ) from error


def limited_error(error: RateLimitError, timeout: float, job: Job[Any] | None) -> PredictionTimeout:
    """Return the error for a rate limit that would not be over before the deadline."""
    what = "the prediction was not created" if job is None else f"the state of {job.id} is unknown"
    late = PredictionTimeout(
        f"{what}: the rate limit resets in {error.retry_after} s, after the {timeout} s that the"
        " call has",
        job,
    )
    late.retry_after = error.retry_after
    return late


def deadline_error(
    timeout: float | None,
    job: Job[Any] | None,
    *,
    was_sent: bool = False,
    cancel_on_exit: bool = True,
    last_failure: str | None = None,
) -> PredictionTimeout:
    """Return the error for a deadline that has passed.

    Args:
        timeout: Seconds.
        job: What was waited for, if it was created.
        was_sent: Whether the request to create it was sent.
        cancel_on_exit: Whether what is created later is cancelled.
        last_failure: What ended the last attempt of a request that was repeated.

    """
    if job is not None:
        text = f"the {type(job).__name__.lower()} {job.id} is still {job.status} after {timeout} s"
    elif was_sent:
        outcome = (
            "is cancelled as soon as there is one"
            if cancel_on_exit
            else "goes on, as was asked for"
        )
        text = f"the create has no answer after {timeout} s: what it makes {outcome}"
    else:
        text = (
            f"the prediction was not created after {timeout} s: nothing was sent, or nothing was"
            " accepted"
        )
    return PredictionTimeout(text if last_failure is None else f"{text} ({last_failure})", job)
