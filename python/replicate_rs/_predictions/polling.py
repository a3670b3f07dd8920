"""A prediction's way to its end, as seen by polling."""

from __future__ import annotations

from os import getpid
from time import monotonic

from .._base.transport import Suspending, hold, release
from .._base.typing import TYPE_CHECKING, TypeVar, cast, is_array
from .._core import Expect
from ..exceptions import (
    AbortError,
    APITimeoutError,
    ClientClosedError,
    ModelError,
    PredictionCanceled,
    PredictionTimeout,
    ReplicateError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Any, NoReturn

    from .._base.resource import Resource
    from .._base.transport import Transport
    from .._core import AbortSignal
    from ..prediction import Prediction
    from .job import Job


J = TypeVar("J", bound="Job[Any]")

# Seconds below which a poll is not worth its own round trip; also what keeps `interval=0` from
# flooding the API.
SHORTEST_INTERVAL = 0.001


class Course:
    """A prediction's way to its end, as seen by polling."""

    def __init__(
        self,
        client: Resource[Any],
        interval: float | None,
        progress: Callable[[Any], object] | None,
        *,
        cancel_on_exit: bool,
        signal: AbortSignal | None,
        timeout: float | None,
        watched: bool = False,
        began: float | None = None,
    ) -> None:
        interval = client._session.poll_interval if interval is None else interval
        self.client = client
        # The caller's own, which is obeyed; without it the core paces all that this client waits
        # for.
        self.interval: float | None = None if interval is None else max(interval, SHORTEST_INTERVAL)
        self.watched: bool = watched or progress is not None
        # On the monotonic clock; `timeout` is from then on.
        self.began: float = monotonic() if began is None else began
        self.process: int = getpid()
        self.progress = progress
        self.cancels: bool = cancel_on_exit
        # Taken by whoever cancels first: a caller that leaves, or a client that is closed in
        # another thread.
        self._cancel: list[None] = [None] if cancel_on_exit else []
        self.signal = signal
        self.timeout = timeout
        self.deadline: float | None = None if timeout is None else self.began + timeout

    @property
    def is_inherited(self) -> bool:
        """Whether this was begun by the process that this one was forked from."""
        return self.process != getpid()

    async def follow(self, prediction: J) -> J:
        """Poll until the prediction has ended."""
        self.hold(prediction)
        try:
            await self.report(prediction)
            while not prediction.is_done:
                prediction = await self.poll(prediction)
                await self.report(prediction)
        except BaseException as error:
            self.leave(error, prediction, done=prediction.is_done)
            raise
        finally:
            self.release()
        return prediction

    def start(self) -> None:
        """Let the time begin to count."""
        self.began = monotonic()
        self.deadline = None if self.timeout is None else self.began + self.timeout

    def hold(self, job: Job[Any]) -> None:
        """Have the job cancelled if its client is closed first, or the program ends, in a thread
        that nobody waits for, say.
        """
        if self._cancel and not job.is_done:
            hold(self, self.client._core, lambda: self.cancel(job, Suspending))

    def release(self) -> None:
        """Leave the job alone when the program ends."""
        release(self)

    def leave(self, error: BaseException, job: Job[Any], *, done: bool) -> None:
        """Cancel what the caller no longer wants, on the way out."""
        if isinstance(error, ReplicateError) and error.prediction is None:
            error.prediction = job
        if isinstance(error, ReplicateError) and not isinstance(
            error, (AbortError, PredictionTimeout, ClientClosedError)
        ):
            # The way to the API failed, or the model, and not the caller: the prediction may well
            # be wanted.
            return
        if not done:
            self.cancel(job, self.client._transport)

    def cancel(self, job: Job[Any], transport: type[Transport]) -> None:
        """Cancel what the caller leaves, once, if that is wanted; a forked child that ends leaves
        its parent's alone.
        """
        if self.is_inherited:
            return
        try:
            self._cancel.pop()
        except IndexError:
            return
        transport.part(self.client._core, "POST", (job._path, job.id, "cancel"))

    async def report(self, job: Job[Any]) -> None:
        """Tell the caller how far it is, if that was asked for."""
        if self.progress is not None and job._is_prediction:
            answer: Any = self.progress(job)
            if hasattr(answer, "__await__"):
                await answer

    async def poll(self, prediction: J) -> J:
        """Wait for an interval, and fetch the prediction's present state."""
        await self.pause(prediction)
        return await self.fetch(prediction)

    async def pause(self, job: Job[Any]) -> None:
        """Wait for an interval: the caller's, or until the core finds that it is worth asking
        again.
        """
        left = self.left(job)
        if self.interval is None:
            listed, age = job._is_prediction, monotonic() - self.began
            core, signal = self.client._core, self.signal
            turn = core.turn(
                job.id, age=age, watched=self.watched, list=listed, limit=left, signal=signal
            )
            await self.client._transport.finish(turn)
        else:
            await self.sleep(self.interval if left is None else min(left, self.interval))
        self.left(job)

    async def fetch(self, prediction: J) -> J:
        """Fetch the prediction's present state."""
        left = (
            None if self.deadline is None else max(self.deadline - monotonic(), SHORTEST_INTERVAL)
        )
        path = (prediction._path, prediction.id)
        if getattr(self.client, "_namespaces", None):
            from .._base.replacements import get_replacement

            if (get := get_replacement(self.client, prediction._path, "get")) is not None:
                answer: Any = get(prediction.id)
                return cast("J", await answer if hasattr(answer, "__await__") else answer)
        pending = self.client._core.send("GET", path, Expect.RECORD, total=left, signal=self.signal)
        try:
            data = await self.client._transport.finish(pending)
        except APITimeoutError as error:
            give_up(error, self.timeout, prediction)
        return type(prediction)._of(data, self.client._session)

    async def sleep(self, seconds: float) -> None:
        """Let some time pass."""
        await self.client._transport.finish(self.client._core.sleep(seconds, signal=self.signal))

    def left(self, job: Job[Any] | None) -> float | None:
        """Give the seconds that are left; raises if there are none."""
        if self.deadline is None:
            return None
        left = self.deadline - monotonic()
        if left <= 0:
            raise too_late(self.timeout, job)
        return left


async def increments(
    client: Resource[Any],
    prediction: Prediction[Any],
    *,
    signal: AbortSignal | None,
    timeout: float | None,
) -> AsyncGenerator[list[Any], None]:
    """Poll, and give what the output's list has more each time."""
    course = Course(
        client, None, None, cancel_on_exit=False, signal=signal, timeout=timeout, watched=True
    )
    seen = len(items_of(prediction))
    while True:
        items = items_of(prediction)
        if fresh := items[seen:]:
            if client._session.use_file_output:
                from .._files.output import outputs

                fresh = outputs(fresh, client._session)
            yield fresh
        seen = max(seen, len(items))
        if prediction.is_done:
            break
        prediction = await course.poll(prediction)
    raise_if_failed(prediction)


def give_up(
    error: APITimeoutError,
    timeout: float | None,
    job: Job[Any] | None,
    *,
    is_cancelled: bool = True,
) -> NoReturn:
    """Raise what a request's timeout means: it may be the caller's own, over all of it, that has
    passed.
    """
    if error.is_deadline and timeout is not None:
        raise too_late(
            timeout, job, was_sent=error._sent, is_cancelled=is_cancelled, last=error._last
        ) from error
    raise error


def items_of(prediction: Prediction[Any]) -> list[Any]:
    """Give an output as a list of its parts."""
    return (
        prediction.output
        if is_array(prediction.output)
        else [prediction.output]
        if prediction.output is not None
        else []
    )


def raise_if_failed(prediction: Prediction[Any]) -> None:
    """Raise what a prediction's end means, unless it is success."""
    status = prediction.status
    if status in ("canceled", "aborted"):
        raise PredictionCanceled(prediction)
    if status == "failed":
        raise ModelError(prediction)


def too_late(
    timeout: float | None,
    job: Job[Any] | None,
    *,
    was_sent: bool = False,
    is_cancelled: bool = True,
    last: str | None = None,
) -> PredictionTimeout:
    """Return the error for a deadline that has passed; `last` is what ended the last attempt of a
    request that was repeated.
    """
    if job is not None:
        what = f"the {type(job).__name__.lower()} {job.id} is still {job.status} after {timeout} s"
    elif was_sent:
        then = (
            "is cancelled as soon as there is one" if is_cancelled else "goes on, as was asked for"
        )
        what = f"the create has no answer after {timeout} s: what it makes {then}"
    else:
        what = (
            f"the prediction was not created after {timeout} s: nothing was sent, or nothing was"
            " accepted"
        )
    return PredictionTimeout(what if last is None else f"{what} ({last})", job)
