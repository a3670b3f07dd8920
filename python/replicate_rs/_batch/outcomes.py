"""What became of inputs: their outcomes for the journal, their files, and their results."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from json import loads
from time import time
from typing import TYPE_CHECKING, cast

from .._base.session import Async
from ..exceptions import FileError, ModelError, TooManyFailures
from ..prediction import Prediction
from .results import Result, to_paths
from .rows import CREATED, Outcome, to_json

if TYPE_CHECKING:
    from typing import Any

    from .._base.resource import Resource
    from .._base.session import Session
    from .delivery import Delivery
    from .job import Job
    from .keys import BadInput, Input
    from .plan import Plan
    from .rows import Row
    from .saving import Saver
    from .tasks import Tasks

# Ended inputs from which on a share of failures counts.
MIN_SHARE = 20


@dataclass(slots=True)
class Counts:
    """What a call of `map` has done so far."""

    failed: int = 0
    ended: int = 0
    """Inputs that ended in this call, and not before."""
    predict_time: float = 0.0
    begun_at: float = field(default_factory=time)
    """In seconds since 1970."""


class Outcomes:
    """Turns predictions that ended into results."""

    def __init__(
        self,
        client: Resource[Async],
        session: Session,
        plan: Plan,
        delivery: Delivery,
        tasks: Tasks,
        saver: Saver | None,
    ) -> None:
        self._client = client
        self._plan = plan
        self._delivery = delivery
        self._tasks = tasks
        self._saver = saver
        wanted = plan.use_file_output
        is_wanted = session.use_file_output if wanted is None else wanted
        # The session of files in outputs; None if these are text.
        self._session: Session | None = session if is_wanted else None
        self.counts: Counts = Counts()
        self.open: dict[str, list[Input]] = {}
        """By key, inputs that are not done yet: the one that is run, and those that equal it."""

    def result_of(
        self, job: Job, prediction: Prediction[Async] | None, error: Exception | None
    ) -> Result:
        """Return the result of an input.

        Args:
            job: The input.
            prediction: Its prediction, which has ended; None if none could be created.
            error: Why none could be created, or why it could not be followed to its end, for
                example because it was deleted.

        """
        item, text = job.input, None
        if error is not None:
            text = f"{type(error).__name__}: {error}"
        if prediction is None:
            row = job.claim.row
            id = row.prediction if job.claim.kind == CREATED and row is not None else None
            return Result(
                key=item.key,
                index=item.index,
                input=item.value,
                status="failed",
                error=text,
                prediction=id,
                attempts=job.attempts,
            )
        predict_time = (prediction.metrics or {}).get("predict_time")
        status = prediction.status
        if text is not None:
            status = "failed"
        elif prediction.error is not None:
            text = str(prediction.error)
        elif status == "succeeded" and getattr(prediction, "data_removed", None):
            text = "the API has removed the output, an hour after the prediction ended"
        return Result(
            key=item.key,
            index=item.index,
            input=item.value,
            status=status,
            output=prediction.output,
            error=text,
            prediction=prediction.id,
            attempts=job.attempts,
            predict_time=predict_time if isinstance(predict_time, (int, float)) else None,
            ended_at=_to_time(prediction.completed_at),
            session=self._session,
        )

    async def finish(
        self,
        job: Job,
        prediction: Prediction[Async] | None,
        error: Exception | None,
        result: Result,
    ) -> None:
        """Write what became of an input, save its files, and give its result."""
        output = None if prediction is None else to_json(prediction.output)
        ended_at = result.ended_at or datetime.now(UTC)
        self._delivery.add_outcome(
            Outcome(
                job.number,
                result.status,
                ended_at.timestamp(),
                result.predict_time,
                output,
                result.error,
                None,
            )
        )
        counts = self.counts
        counts.ended += 1
        counts.predict_time += result.predict_time or 0.0
        if not result.succeeded:
            if self._plan.on_error == "raise" and prediction is not None:
                error = ModelError(prediction)
            self._count_failure(error or ModelError(result.error or ""))
        elif self._saver is not None and prediction is not None:
            files = prediction.files()
            if files:
                # A disk that is slower than the runs holds these up, at a bounded number.
                await self._saver.enter()
                self._tasks.spawn(self._save(self._saver, job.number, result, files))
                return
        self._give(result)

    async def _save(self, saver: Saver, number: int, result: Result, files: list[Any]) -> None:
        try:
            saved = await saver.save(result.key or "", files)
        except FileError:
            # The disk is full, or may not be written: so it would be for all that follow.
            raise
        except Exception as error:  # noqa: BLE001 - a host, or a file system of fsspec
            result.error = f"its files could not be saved: {type(error).__name__}: {error}"
        else:
            result.files = to_paths(saved)
            self._delivery.add_files(saved, number)
        finally:
            saver.leave()
        self._give(result)

    def give_journaled(self, item: Input, row: Row) -> None:
        """Give the result of an input that is done, as the journal says."""
        result = Result.of_row(row, item.index, self._session)
        if (
            self._saver is not None
            and row.files is None
            and row.status == "succeeded"
            and row.output is not None
            and (files := files_in(loads(row.output), self._client))
        ):
            self._tasks.spawn(self._save_late(self._saver, row.number, result, files))
        else:
            self._give(result)

    async def _save_late(self, saver: Saver, number: int, result: Result, files: list[Any]) -> None:
        await saver.enter()
        await self._save(saver, number, result, files)

    def reject(self, item: Input | BadInput, error: Exception) -> None:
        """Give the result of an input that cannot be sent."""
        self.counts.ended += 1
        self._delivery.deliver(
            Result(
                key=item.key,
                index=item.index,
                input=item.value,
                status="failed",
                error=f"{type(error).__name__}: {error}",
                attempts=0,
            )
        )
        self._count_failure(error)

    def _count_failure(self, error: Exception) -> None:
        """Count an input that failed, and end the call if that is one too many."""
        counts = self.counts
        counts.failed += 1
        if self._plan.on_error == "raise":
            self._tasks.fail_soon(error)
        most = self._plan.max_failures
        if most is None:
            return
        is_share = isinstance(most, float) and most < 1
        allowed = most * max(counts.ended, MIN_SHARE) if is_share else most
        if counts.failed > allowed:
            of = f"{most:.0%} of {max(counts.ended, MIN_SHARE)}" if is_share else f"{most:.0f}"
            self._tasks.fail_soon(
                TooManyFailures(f"{counts.failed} inputs failed, more than max_failures={of}")
            )

    def _give(self, result: Result) -> None:
        """Deliver a result for its input, and for those that equal it."""
        same = self.open.pop(result.key or "", ())
        self._delivery.deliver(result)
        for item in same:
            if item.index != result.index:
                self._delivery.deliver(result.at(item.index))


def _to_time(timestamp: str | None) -> datetime:
    """Return when a prediction ended; now, if the API does not say so."""
    try:
        time = datetime.fromisoformat(timestamp or "")
    except ValueError:
        return datetime.now(UTC)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def files_in(output: object, client: Resource[Async]) -> list[Any]:
    """Return the files of an output from a journal."""
    found = cast("Any", Prediction[Async]._of({"output": output}, client._session))
    return cast("list[Any]", found.files())
