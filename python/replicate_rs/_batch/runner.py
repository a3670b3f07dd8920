"""Run a model on many inputs: one event loop, a journal, and as many runs as the pace allows."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from json import loads
from typing import TYPE_CHECKING

from ..exceptions import (
    BadRequestError,
    FileError,
    JournalError,
    NotFoundError,
    PayloadTooLargeError,
    PredictionTimeout,
    UnprocessableEntityError,
)
from .async_store import AsyncStore
from .connect import open_store
from .delivery import Delivery
from .intake import Intake
from .leases import HEARTBEAT
from .outcomes import Outcomes
from .pace import Pace
from .postgres import PostgresStore
from .progress import State
from .rows import AGAIN, CREATED, UNCERTAIN
from .saving import Saver, place_of
from .sending import Sender
from .shared_pace import SharedPace
from .tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._base.resource import Resource
    from .._base.session import Async, Session
    from ..prediction import Prediction
    from .feed import Feed
    from .handoff import Handoff
    from .job import Job
    from .plan import Plan

# Seconds for which a database that is away is waited for at the end.
MAX_END = 5.0
# Predictions that an error names.
MAX_NAMED = 100
# Errors of one input, and not of all.
ERRORS_OF_INPUT = (
    BadRequestError,
    FileError,
    NotFoundError,
    PayloadTooLargeError,
    TypeError,
    UnprocessableEntityError,
    ValueError,
)


class Runner:
    """One call of `map`, on the event loop on which it is created."""

    def __init__(
        self, client: Resource[Async], session: Session, plan: Plan, handoff: Handoff
    ) -> None:
        self._plan = plan
        self._tasks = Tasks()
        self._saver = None if plan.save_to is None else Saver(place_of(plan.save_to))
        store = open_store(plan.journal, plan.target.name)
        self._store = AsyncStore(store)
        self._pace = (
            SharedPace(plan.concurrency, plan.rate, store, self._store)
            if isinstance(store, PostgresStore)
            else Pace(plan.concurrency, plan.rate)
        )
        self._delivery = Delivery(self._store, handoff, self._tasks, is_ordered=plan.ordered)
        self._outcomes = Outcomes(client, session, plan, self._delivery, self._tasks, self._saver)
        self._sender = Sender(client, plan, self._pace, self._store, self._delivery)
        self._intake = Intake(
            plan,
            self._pace,
            self._store,
            handoff,
            self._outcomes,
            self._sender.unsent,
            self._tasks,
            self._start,
        )
        self.made_room = self._intake.made_room

    def get_state(self) -> State:
        """Return how far the call is."""
        counts = self._outcomes.counts
        return State(
            done=self._delivery.done,
            failed=counts.failed,
            running=max(self._pace.in_flight, 0),
            ended=counts.ended,
            predict_time=counts.predict_time,
        )

    async def run(self, feed: Feed, on_write: Callable[[], object] | None = None) -> None:
        """Run all inputs, and hand over their results; raise what ended the run early.

        Args:
            feed: The inputs.
            on_write: Called each time when results were handed over.

        """
        self._delivery.on_write = on_write
        limit = None
        try:
            if self._saver is not None:
                await self._saver.prepare()
            if self._plan.timeout is not None:
                loop = asyncio.get_running_loop()
                limit = loop.call_later(self._plan.timeout, self._on_deadline)
            self._tasks.spawn(self._beat(), is_background=True)
            self._tasks.spawn(self._intake.run(feed))
            for _ in range(self._plan.concurrency):
                self._tasks.spawn(self._work())
            await self._tasks.join()
            await self._delivery.write()
        except (asyncio.CancelledError, JournalError) as caught:
            error = caught if isinstance(caught, JournalError) else self._tasks.error
            if error is None:
                raise
            self._tasks.error = error
            if isinstance(error, JournalError):
                self._name_running(error)
            raise error from None
        finally:
            feed.close()
            if limit is not None:
                limit.cancel()
            await self._end_in_any_case()

    async def _end_in_any_case(self) -> None:
        """End the call, also if its caller leaves at this moment."""
        ending = asyncio.ensure_future(self._end())
        while not ending.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(ending)
        ending.result()

    async def _end(self) -> None:
        """Stop what runs, and write what happened."""
        self._delivery.stop()
        await self._tasks.end()
        # Its caller waits.
        self._store.store.patience = MAX_END
        # The first error says more than those that follow from it.
        with suppress(JournalError) if self._tasks.error is not None else nullcontext():
            try:
                await self._delivery.write()
                await self._store.call(self._store.store.release, [*self._sender.unsent])
            finally:
                await self._store.close()

    def _name_running(self, error: JournalError) -> None:
        """Say in an error which predictions the journal may not know, or not the end of."""
        running = [*self._delivery.open.values()]
        if running:
            names = ", ".join(running[:MAX_NAMED])
            more = f" and {len(running) - MAX_NAMED} more" if len(running) > MAX_NAMED else ""
            error.add_note(f"The journal may not know the end of the predictions {names}{more}.")

    def _on_deadline(self) -> None:
        state = self.get_state()
        self._tasks.fail(
            PredictionTimeout(
                f"map did not end within {self._plan.timeout} s:"
                f" {state.done} inputs are done, {state.running} are running"
            )
        )

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            await self._store.call(self._store.store.renew)

    async def _work(self) -> None:
        """Run one input after the other, until there are no more."""
        # A worker that waits for an input takes no place from those that run.
        while (job := await self._intake.get_job()) is not None:
            has_waited = await self._pace.enter()
            try:
                if self._tasks.error is not None:
                    return
                # Turns that are kept would be used all at once, as soon as more may be in flight.
                if has_waited or not job.has_turn:
                    await self._pace.wait_turn()
                await self._run(job)
            except Exception as error:
                # Before another worker may send the next input.
                self._tasks.fail(error)
                raise
            finally:
                self._pace.leave()

    def _start(self, job: Job) -> None:
        """Run an input for which no worker asked."""
        self._tasks.spawn(self._run_in_turn(job))

    async def _run_in_turn(self, job: Job) -> None:
        row = job.claim.row
        # An input with files is in the journal as it was sent; else it was not sent.
        if (
            job.claim.kind == UNCERTAIN
            and row is not None
            and (row.sent_input is not None or not job.input.has_files)
        ):
            sent_at = row.sent_at or self._outcomes.counts.begun_at
            await self._sender.find_lost(job, loads(row.sent_input or row.input), sent_at)
        await self._pace.enter()
        try:
            await self._run(job)
        finally:
            self._pace.leave()

    async def _run(self, job: Job) -> None:
        """Run an input until it is done, whatever fails on the way."""
        plan, tries = self._plan, 0
        while True:
            prediction: Prediction[Async] | None = None
            error: Exception | None = None
            try:
                prediction = await self._sender.begin(job)
                prediction = await self._sender.follow(prediction)
            except ERRORS_OF_INPUT as caught:
                is_created = prediction is not None or job.claim.kind == CREATED
                if isinstance(caught, NotFoundError) and not is_created:
                    # The model, and not this input, is at fault.
                    raise
                error = caught
            result = self._outcomes.result_of(job, prediction, error)
            if (
                prediction is None
                or result.succeeded
                or tries >= plan.retries
                or not (plan.retry_if is None or plan.retry_if(result))
            ):
                break
            tries += 1
            job.attempts += 1
            await self._delivery.write()
            await self._store.call(self._store.store.send_again, job.number)
            job.claim, job.found = job.claim._replace(kind=AGAIN), None
            await self._pace.wait_turn()
        await self._outcomes.finish(job, prediction, error, result)
