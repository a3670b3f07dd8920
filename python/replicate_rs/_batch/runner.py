"""Run a model on many inputs: one event loop, a journal, and as many runs as the pace allows."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime
from json import dumps, loads
from time import monotonic, time
from typing import TYPE_CHECKING, cast

from .._base.logging import logger
from .._base.operation import unchecked
from .._base.session import Async
from .._core import write_json
from .._files.inputs import encode_input
from .._files.upload import DataURIs
from .._predictions.polling import Poller
from ..exceptions import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    BadRequestError,
    FileError,
    JournalError,
    ModelError,
    NotFoundError,
    PayloadTooLargeError,
    PredictionTimeout,
    RateLimitError,
    TooManyFailures,
    UnprocessableEntityError,
)
from ..prediction import Prediction, Predictions
from ..run import MAX_FIRST_WAIT, create_prediction
from .keys import BadInput, Input, read_input, target_digest
from .lookup import Lookup
from .pace import Pace
from .plan import AHEAD
from .results import Result, to_paths
from .saving import Saver, place_of
from .store import (
    AGAIN,
    CONFLICT,
    CREATED,
    DONE,
    HEARTBEAT,
    HELD,
    NEW,
    UNCERTAIN,
    Outcome,
    Store,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._base.resource import Resource
    from .._base.session import Session
    from .feed import Feed
    from .handoff import Handoff
    from .plan import Plan
    from .store import Claim, Row

# Seconds for which what happened is collected, and written in one transaction.
WRITE_DELAY = 0.02
# Inputs that are claimed at once, and inputs that are looked up at once while they are done.
CLAIMED = 64
SKIPPED = 900
# Seconds in which the inputs that are claimed at once are sent.
CLAIM_TIME = 0.1
# Seconds between two looks at inputs that other processes have.
HELD_INTERVAL = 1.0
# Seconds for which requests may fail one after another before the error is raised.
OUTAGE = 600.0
# Seconds between two warnings meanwhile.
OUTAGE_WARNING = 60.0
# Failures of the network, of the server or of something between them, which may pass.
PASSING = (APIConnectionError, APIResponseValidationError, APIStatusError)
# Results of the journal that wait for their consumer.
MAX_JOURNALED = 4 * SKIPPED
# The longest pause between two attempts, in seconds.
MAX_BACKOFF = 30
# Ended inputs from which on a share of failures counts.
MIN_SHARE = 20


class Job:
    """An input that this process runs."""

    __slots__ = ("attempts", "claim", "found", "has_turn", "input", "number", "sent")

    def __init__(self, item: Input, claim: Claim) -> None:
        self.input = item
        self.claim = claim
        self.number = claim.number
        row = claim.row
        self.attempts = (
            1
            if row is None
            else row.attempts
            if claim.kind in (UNCERTAIN, CREATED)
            else row.attempts + 1
        )
        # Whether its create may be sent without waiting for a turn.
        self.has_turn = False
        # What was found to have been created for it.
        self.found: Prediction[Async] | None = None
        # The input as it is sent, once it is known.
        self.sent: dict[str, Any] | None = None if item.has_files else item.value


class Runner:
    """One call of `map`, on an event loop of its own."""

    def __init__(
        self, client: Resource[Async], session: Session, plan: Plan, handoff: Handoff
    ) -> None:
        root: Any = client
        self.client = client
        # `map` repeats creates itself: it must know of each refusal, and of each request that may
        # have been accepted.
        self.creator: Resource[Async] = root.with_options(max_retries=0)._in(root._mode)
        self.session = session
        self.plan = plan
        self.handoff = handoff
        self.pace = Pace(plan.concurrency, plan.rate)
        self.begun_at = time()
        self.taken = 0
        """Inputs taken so far."""
        self.done = 0
        self.failed = 0
        self.ended = 0
        """Inputs that ended in this call, and not before."""
        self.predict_time = 0.0
        self._target_digest = target_digest(plan.target.name)
        self._saver: Saver | None = None
        # Numbers of claimed inputs for which nothing was sent.
        self._unsent: set[int] = set()
        self._ready: deque[Job] = deque()
        self._hungry: deque[asyncio.Future[Job | None]] = deque()
        self._wanted = asyncio.Event()
        # Whether all inputs were claimed.
        self._is_fed = False
        self._has_all = False
        # Inputs that were read and not claimed yet.
        self._pending: deque[Input] = deque()
        # Whether the journal may know the next inputs, so that many are looked up at once.
        self._is_skipping = False
        # Whether the last inputs that were claimed were not in the journal.
        self._expects_new = True
        self._has_turn = False
        # By key, inputs that are not done yet: the one that is run, and those that equal it.
        self._open: dict[str, list[Input]] = {}
        # Those of them that other processes run.
        self._held: dict[str, Input] = {}
        self._is_watching = False
        # Inputs that were taken, and whose results were not, or are not counted yet.
        self._outstanding = 0
        self._room = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[None]] = set()
        # What happened since the journal was written.
        self._created: list[tuple[str, int]] = []
        self._outcomes: list[Outcome] = []
        self._files: list[tuple[str, int]] = []
        self._results: list[Result] = []
        self._has_flush = False
        self._ordered: dict[int, Result] = {}
        self._next_index = 0
        self._error: BaseException | None = None
        self._failing_since: float | None = None
        self._warned_at = 0.0
        self._failed_at = 0.0
        self._is_ending = False
        self._main: asyncio.Task[None] | None = None
        self.on_progress: Callable[[Runner], object] | None = None

    async def run(self, feed: Feed) -> None:
        """Run all inputs, and hand over their results; raise what ended the run early."""
        self._main = asyncio.current_task()
        loop = asyncio.get_running_loop()
        self.store = Store.open(self.plan.journal, self.plan.target.name)
        self._is_skipping = not self.store.is_empty()
        target = self.plan.target
        model = None if target.model is None else target.model.partition(":")[0]
        self.lookup = Lookup(
            self.client, (model, target.version, target.deployment), self.store.find_known
        )
        limit = None
        try:
            if self.plan.save_to is not None:
                self._saver = Saver(place_of(self.plan.save_to))
                await self._saver.prepare()
            if self.plan.timeout is not None:
                limit = loop.call_later(self.plan.timeout, self._on_deadline)
            self._spawn(self._beat(), is_background=True)
            self._spawn(self._feed_workers(feed))
            workers = [self._spawn(self._work()) for _ in range(self.plan.concurrency)]
            await asyncio.gather(*workers)
            while waiting := [each for each in self._tasks if not each.done()]:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            self._write()
        except asyncio.CancelledError:
            if self._error is not None:
                raise self._error from None
            raise
        finally:
            feed.close()
            if limit is not None:
                limit.cancel()
            await self._end()

    async def _end(self) -> None:
        """Stop what runs, and write what happened."""
        # What fails from here on must not interrupt this.
        self._is_ending = True
        tasks = [*self._tasks, *self._background]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        try:
            self._write()
            self.store.release([*self._unsent])
        finally:
            self.store.close()

    # Tasks.

    def _spawn(self, coroutine: Any, *, is_background: bool = False) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        tasks = self._background if is_background else self._tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the run with an error."""
        if self._error is None and self._main is not None and not self._is_ending:
            self._error = error
            self._main.cancel()

    def _on_deadline(self) -> None:
        self.fail(
            PredictionTimeout(
                f"map did not end within {self.plan.timeout} s:"
                f" {self.done} inputs are done, {self.pace.in_flight} are running"
            )
        )

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            self.store.renew()

    # Inputs.

    def read_item(self, item: Any, index: int) -> Input | BadInput:
        """Check one of the caller's inputs; on the feed's thread."""
        return read_input(item, index, self._target_digest)

    def made_room(self) -> None:
        """Look again how many results were taken, since that was asked for."""
        self._room.set()

    async def _work(self) -> None:
        while True:
            await self.pace.enter()
            try:
                job = None if self._error is not None else await self._get_job()
                if job is None:
                    return
                if not job.has_turn:
                    await self.pace.wait_turn()
                await self._run(job)
            except Exception as error:
                # Before another worker may send the next input.
                self.fail(error)
                raise
            finally:
                self.pace.leave()

    async def _get_job(self) -> Job | None:
        """Return a claimed input; None if there are no more."""
        if self._ready:
            return self._ready.popleft()
        if self._is_fed:
            return None
        turn: asyncio.Future[Job | None] = asyncio.get_running_loop().create_future()
        self._hungry.append(turn)
        self._wanted.set()
        return await turn

    async def _feed_workers(self, feed: Feed) -> None:
        """Claim inputs while workers wait for some, until there are no more."""
        while not self._has_all or self._pending:
            while not self._hungry:
                self._wanted.clear()
                await self._wanted.wait()
            await self._fill(feed)
            while self._hungry and self._ready:
                self._serve(self._ready.popleft)
        self._is_fed = True
        while self._hungry:
            self._serve(lambda: None)

    def _serve(self, get_job: Callable[[], Job | None]) -> None:
        turn = self._hungry.popleft()
        if not turn.done():
            turn.set_result(get_job())

    async def _fill(self, feed: Feed) -> None:
        """Read and claim inputs for the workers that wait."""
        room = AHEAD * self.plan.concurrency + (MAX_JOURNALED if self._is_skipping else 0)
        # Inputs that were read already need no room.
        while not self._pending and self._outstanding >= room:
            taken = self.handoff.collect_taken()
            self._outstanding -= taken
            if not taken:
                self._room.clear()
                await self._room.wait()
        if not self._has_turn:
            await self.pace.wait_turn()
            self._has_turn = True
        # More than the workers that wait now, since a claim costs as much as several inputs; but no
        # more than are sent soon.
        count = int(max(min(CLAIMED, room - self._outstanding, self.pace.limit * CLAIM_TIME), 1))
        if not self._pending:
            items = await feed.read(SKIPPED if self._is_skipping else count)
            if not items:
                self._has_all = True
                return
            self.taken += len(items)
            self._outstanding += len(items)
            self._pending.extend(self._sort_out(items))
            if self._is_skipping:
                self._skip_done()
        if self._pending:
            self._claim([self._pending.popleft() for _ in range(min(count, len(self._pending)))])
            if self._ready:
                self._ready[0].has_turn, self._has_turn = True, False

    def _sort_out(self, items: list[Any]) -> list[Input]:
        """Return the inputs that can be sent, and that do not equal one that is not done."""
        good: list[Input] = []
        for item in items:
            if isinstance(item, BadInput):
                self._reject(item.index, item.key, item.value, item.error)
            elif (same := self._open.get(item.key)) is None:
                self._open[item.key] = [item]
                good.append(item)
            elif same[0].digest == item.digest:
                same.append(item)
            else:
                self._reject(item.index, item.key, item.value, _conflict(item, same[0].index))
        return good

    def _skip_done(self) -> None:
        """Deliver the results of inputs that are done, as the journal says."""
        rows = self.store.rows([each.key for each in self._pending])
        self._is_skipping = bool(rows)
        retries = self.plan.retry_failed
        left: deque[Input] = deque()
        for item in self._pending:
            row = rows.get(item.key)
            if (
                row is not None
                and row.is_done
                and row.digest == item.digest
                and (row.status == "succeeded" or not retries)
            ):
                self._give_journaled(item, row)
            else:
                left.append(item)
        self._pending = left

    def _claim(self, items: list[Input]) -> None:
        retry_before = self.begun_at if self.plan.retry_failed else None
        claims = self.store.claim(items, retry_before=retry_before, expect_new=self._expects_new)
        self._expects_new = all(claim.kind == NEW for claim in claims)
        for item, claim in zip(items, claims, strict=True):
            row = claim.row
            if claim.kind == DONE and row is not None:
                self._give_journaled(item, row)
            elif claim.kind == CONFLICT and row is not None:
                del self._open[item.key]
                self._reject(item.index, item.key, item.value, _conflict(item, row.position))
            elif claim.kind == HELD:
                self._hold(item)
            elif claim.kind == UNCERTAIN:
                self._spawn(self._run_uncertain(Job(item, claim)))
            else:
                if claim.kind != CREATED:
                    self._unsent.add(claim.number)
                self._ready.append(Job(item, claim))

    def _hold(self, item: Input) -> None:
        """Wait for an input that another process runs, or run it if that process ends."""
        # It takes no room: another process may have more of them than this one may take.
        self._outstanding -= 1
        self._room.set()
        self._held[item.key] = item
        if not self._is_watching:
            self._is_watching = True
            self._spawn(self._watch_held())

    async def _watch_held(self) -> None:
        while self._held:
            await asyncio.sleep(HELD_INTERVAL)
            items = [*self._held.values()][:SKIPPED]
            self._held = {key: self._held[key] for key in [*self._held][SKIPPED:]}
            self._outstanding += len(items)
            claimed = len(self._ready)
            self._claim(items)
            for _ in range(len(self._ready) - claimed):
                self._spawn(self._run_in_turn(self._ready.pop()))
        self._is_watching = False

    async def _run_uncertain(self, job: Job) -> None:
        """Run an input that may have a prediction already: look for it first."""
        row = job.claim.row
        # An input with files is in the journal as it was sent; else it was not sent.
        if row is not None and (row.sent_input is not None or not job.input.has_files):
            sent = loads(row.sent_input or row.input)
            job.found = await self._look_up(sent, row.sent_at or self.begun_at)
            if job.found is not None:
                self._note_created(job, job.found)
        await self._run_in_turn(job)

    async def _run_in_turn(self, job: Job) -> None:
        await self.pace.enter()
        try:
            await self._run(job)
        finally:
            self.pace.leave()

    # Runs.

    async def _run(self, job: Job) -> None:
        """Run an input until it is done, whatever fails on the way."""
        tries = 0
        while True:
            prediction: Prediction[Async] | None = None
            error: Exception | None = None
            try:
                prediction = await self._begin(job)
                prediction = await self._follow(prediction)
            except (
                BadRequestError,
                FileError,
                NotFoundError,
                PayloadTooLargeError,
                TypeError,
                UnprocessableEntityError,
                ValueError,
            ) as caught:
                if isinstance(caught, NotFoundError) and prediction is None:
                    # The model, and not this input, is at fault.
                    if job.claim.kind != CREATED:
                        raise
                    error = caught
                error = caught
            result = self._result_of(job, prediction, error)
            if (
                prediction is None
                or result.succeeded
                or tries >= self.plan.retries
                or not (self.plan.retry_if is None or self.plan.retry_if(result))
            ):
                break
            tries += 1
            job.attempts += 1
            self._write()
            self.store.send_again(job.number)
            job.claim, job.found = job.claim._replace(kind=AGAIN), None
            await self.pace.wait_turn()
        await self._finish(job, prediction, error, result)

    async def _begin(self, job: Job) -> Prediction[Async]:
        """Return the prediction of an input: create it, unless it exists already."""
        kind, row = job.claim.kind, job.claim.row
        if kind == CREATED and row is not None and row.prediction is not None:
            return await self._fetch(row.prediction)
        if job.found is not None:
            return job.found
        sent = job.sent
        if sent is None:
            self._unsent.add(job.number)
            sent = job.sent = await encode_input(self.client, job.input.value, DataURIs())
            self.store.set_sent_input(job.number, _to_json(sent) or "")
        return await self._create(job, sent)

    async def _create(self, job: Job, sent: dict[str, Any]) -> Prediction[Async]:
        attempt, begun_at = 0, time()
        while True:
            if not self.store.has_lease:
                self.store.renew_for(job.number)
            self._unsent.discard(job.number)
            try:
                prediction = await self._send(sent)
            except RateLimitError as error:
                # It was not accepted.
                if not attempt:
                    self._unsent.add(job.number)
                self.pace.refused(error.retry_after)
            except PASSING as error:
                self._check_outage(error)
                self.pace.failed(attempt)
                attempt += 1
                if error._sent or error.status is not None:
                    found = await self._look_up(sent, begun_at)
                    if found is not None:
                        self._note_created(job, found)
                        return found
            else:
                if self.lookup.has_given(prediction.id):
                    # An equal input, whose answer was lost, has it. So its own is this one's.
                    prediction = await self._look_up(sent, begun_at) or prediction
                self.pace.accepted(self.creator._core.create_rate())
                self._failing_since = None
                self._note_created(job, prediction)
                return prediction
            await self.pace.wait_turn()

    async def _send(self, sent: dict[str, Any]) -> Prediction[Async]:
        options: dict[str, Any] = {**self.plan.options}
        if "wait" not in options and "prefer" not in options:
            options["wait"] = MAX_FIRST_WAIT
        target, cancels = self.plan.target, self.plan.cancels
        if target.deployment is not None:
            prediction: Any = await unchecked(Predictions[Async].create)(
                self.creator,
                None,
                sent,
                deployment=target.deployment,
                cancel_on_exit=cancels,
                **options,
            )
            return cast("Prediction[Async]", prediction)
        ref = target.version or target.model or ""
        return await create_prediction(self.creator, ref, sent, options, cancel_on_exit=cancels)

    async def _look_up(self, sent: object, sent_at: float) -> Prediction[Async] | None:
        attempt = 0
        while True:
            try:
                return await self.lookup.find(sent, sent_at)
            except PASSING as error:
                self._check_outage(error)
            await asyncio.sleep(_backoff(attempt))
            attempt += 1

    async def _fetch(self, id: str) -> Prediction[Async]:
        attempt = 0
        while True:
            try:
                prediction: Any = await unchecked(Predictions[Async].get)(self.client, id)
            except PASSING as error:
                self._check_outage(error)
            else:
                return cast("Prediction[Async]", prediction)
            await asyncio.sleep(_backoff(attempt))
            attempt += 1

    async def _follow(self, prediction: Prediction[Async]) -> Prediction[Async]:
        """Wait until a prediction has ended."""
        if prediction.is_done:
            return prediction
        poller = Poller(
            self.client,
            cancel_on_exit=self.plan.cancels,
            signal=self.plan.options.get("signal"),
        )
        attempt = 0
        while True:
            try:
                return await poller.run_until_done(prediction)
            except PASSING as error:
                self._check_outage(error)
            try:
                await asyncio.sleep(_backoff(attempt))
            except BaseException as error:
                poller.on_exit(error, prediction)
                raise
            attempt += 1

    def _check_outage(self, error: APIError) -> None:
        """Raise an error that will not pass, or that has not passed for `OUTAGE` seconds."""
        status = error.status
        if status is not None and 400 <= status < 500 and status not in (408, 409, 429):
            raise error
        now = monotonic()
        if self._failing_since is None or now - self._failed_at > OUTAGE / 2:
            # None failed for so long: what failed before was another outage.
            self._failing_since = now
            self._warned_at = now
            logger.info("map: a request failed, and is repeated: %s", error)
        elif now - self._warned_at > OUTAGE_WARNING:
            self._warned_at = now
            logger.warning(
                "map: requests have failed for %.0f s, and are repeated: %s",
                now - self._failing_since,
                error,
            )
        self._failed_at = now
        if now - self._failing_since > OUTAGE:
            raise error

    # Results.

    def _note_created(self, job: Job, prediction: Prediction[Async]) -> None:
        self._created.append((prediction.id, job.number))
        self._touch()

    def _result_of(
        self, job: Job, prediction: Prediction[Async] | None, error: Exception | None
    ) -> Result:
        row = job.claim.row
        if prediction is None:
            id = row.prediction if job.claim.kind == CREATED and row is not None else None
            return Result(
                key=job.input.key,
                index=job.input.index,
                input=job.input.value,
                status="failed",
                error=f"{type(error).__name__}: {error}",
                prediction=id,
                attempts=job.attempts,
            )
        metrics = prediction.metrics or {}
        predict_time = metrics.get("predict_time")
        status, text = prediction.status, prediction.error
        if error is not None:
            # It could not be followed to its end, for example because it was deleted.
            status, text = "failed", f"{type(error).__name__}: {error}"
        elif prediction.status == "succeeded" and getattr(prediction, "data_removed", None):
            text = "the API has removed the output, an hour after the prediction ended"
        return Result(
            key=job.input.key,
            index=job.input.index,
            input=job.input.value,
            status=status,
            output=prediction.output,
            error=None if text is None else str(text),
            prediction=prediction.id,
            attempts=job.attempts,
            predict_time=predict_time if isinstance(predict_time, (int, float)) else None,
            ended_at=_to_time(prediction.completed_at),
            session=self._get_session(),
        )

    def _get_session(self) -> Session | None:
        """Return the session of files in outputs; None if these are text."""
        wanted = self.plan.use_file_output
        is_wanted = self.session.use_file_output if wanted is None else wanted
        return self.session if is_wanted else None

    async def _finish(
        self,
        job: Job,
        prediction: Prediction[Async] | None,
        error: Exception | None,
        result: Result,
    ) -> None:
        """Write what became of an input, save its files, and give its result."""
        output = None if prediction is None else _to_json(prediction.output)
        ended_at = result.ended_at or datetime.now(UTC)
        self._outcomes.append(
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
        self.ended += 1
        self.predict_time += result.predict_time or 0.0
        if not result.succeeded:
            self.failed += 1
            self._touch()
            if self.plan.on_error == "raise":
                if prediction is not None:
                    error = ModelError(prediction)
                self._stop_after(error or ModelError(result.error or ""))
            self._check_failures()
        if self._saver is not None and prediction is not None and result.succeeded:
            files = prediction.files()
            if files:
                self._touch()
                # A disk that is slower than the runs holds these up, at a bounded number.
                await self._saver.enter()
                self._spawn(self._save(self._saver, job.number, result, files))
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
            self._files.append((dumps(saved), number))
        finally:
            saver.leave()
        self._give(result)

    def _give_journaled(self, item: Input, row: Row) -> None:
        result = Result.of_row(row, item.index, self._get_session())
        if (
            self._saver is not None
            and row.files is None
            and row.status == "succeeded"
            and row.output is not None
            and (files := files_in(loads(row.output), self.client))
        ):
            self._spawn(self._save_late(self._saver, row.number, result, files))
        else:
            self._give(result)

    async def _save_late(self, saver: Saver, number: int, result: Result, files: list[Any]) -> None:
        await saver.enter()
        await self._save(saver, number, result, files)

    def _reject(self, index: int, key: str | None, value: object, error: Exception) -> None:
        """Deliver the result of an input that cannot be sent."""
        self.ended += 1
        self.failed += 1
        if self.plan.on_error == "raise":
            self._stop_after(error)
        self._deliver(
            Result(
                key=key,
                index=index,
                input=value,
                status="failed",
                error=f"{type(error).__name__}: {error}",
                attempts=0,
            )
        )
        self._check_failures()

    def _stop_after(self, error: BaseException) -> None:
        """End the run with an error once what happened is written."""
        asyncio.get_running_loop().call_soon(self.fail, error)

    def _check_failures(self) -> None:
        most = self.plan.max_failures
        if most is None:
            return
        is_share = isinstance(most, float) and most < 1
        allowed = most * max(self.ended, MIN_SHARE) if is_share else most
        if self.failed > allowed:
            of = f"{most:.0%} of {max(self.ended, MIN_SHARE)}" if is_share else f"{most:.0f}"
            self._stop_after(
                TooManyFailures(f"{self.failed} inputs failed, more than max_failures={of}")
            )

    def _give(self, result: Result) -> None:
        """Deliver a result for its input, and for those that equal it."""
        same = self._open.pop(result.key or "", ())
        self._deliver(result)
        for item in same:
            if item.index != result.index:
                self._deliver(result.at(item.index))

    def _deliver(self, result: Result) -> None:
        self.done += 1
        if not self.plan.ordered:
            self._results.append(result)
        else:
            self._ordered[result.index] = result
            while (due := self._ordered.pop(self._next_index, None)) is not None:
                self._next_index += 1
                self._results.append(due)
        self._touch()

    # The journal.

    def _touch(self) -> None:
        """Write what happened in a moment, together with what happens until then."""
        if not self._has_flush:
            self._has_flush = True
            asyncio.get_running_loop().call_later(WRITE_DELAY, self._flush)

    def _flush(self) -> None:
        self._has_flush = False
        try:
            self._write()
        except JournalError as error:
            self.fail(error)
            return
        if self.on_progress is not None:
            try:
                self.on_progress(self)
            except Exception as error:  # noqa: BLE001 - the caller's function, raised to the caller
                self.fail(error)

    def _write(self) -> None:
        """Write what happened, and hand over the results: they are safe then."""
        if self._created or self._outcomes or self._files:
            self.store.write(self._created, self._outcomes, self._files)
            self._created, self._outcomes, self._files = [], [], []
        if self._results:
            results, self._results = self._results, []
            self.handoff.put(results)


def _conflict(item: Input, position: int) -> ValueError:
    return ValueError(
        f"the key {item.key!r} of inputs[{item.index}] belongs to another input, inputs[{position}]"
        " when it was taken: give each input a key of its own"
    )


def _to_json(value: object) -> str | None:
    if value is None:
        return None
    plain = write_json(value)
    return dumps(value) if plain is None else plain.decode()


def _to_time(timestamp: str | None) -> datetime:
    """Return when a prediction ended; now, if the API does not say so."""
    try:
        time = datetime.fromisoformat(timestamp or "")
    except ValueError:
        return datetime.now(UTC)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _backoff(attempt: int) -> float:
    """Return the seconds to wait after so many failures."""
    return float(min(2**attempt, MAX_BACKOFF))


def files_in(output: object, client: Resource[Async]) -> list[Any]:
    """Return the files of an output from a journal."""
    found = cast("Any", Prediction[Async]._of({"output": output}, client._session))
    return cast("list[Any]", found.files())
