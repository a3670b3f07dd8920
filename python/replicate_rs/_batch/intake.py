"""The caller's inputs on their way to the workers: read, compared with the journal, and claimed."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from .job import Job
from .keys import BadInput
from .known import KnownRows
from .plan import AHEAD
from .rows import CONFLICT, CREATED, DONE, HELD, NEW, UNCERTAIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .async_store import AsyncStore
    from .feed import Feed
    from .handoff import Handoff
    from .keys import Input
    from .outcomes import Outcomes
    from .pace import Pace
    from .plan import Plan
    from .tasks import Tasks

# Inputs that are claimed at once, and inputs that are looked up at once while they are done.
CLAIMED = 64
SKIPPED = 900
# Seconds in which the latter are collected: a look-up costs as much as many inputs.
COLLECT_TIME = 0.005
# Seconds in which the inputs that are claimed at once are sent.
CLAIM_TIME = 0.1
# Seconds between two looks at inputs that other processes have.
HELD_INTERVAL = 1.0
# Results of the journal that wait for their consumer.
MAX_JOURNALED = 4 * SKIPPED


class Intake:
    """Gives inputs to workers that ask for some, and takes no more than these need soon.

    Args:
        unsent: Receives the numbers of claimed inputs for which nothing was sent yet.
        start: Starts a task that runs an input which no worker asked for.

    """

    def __init__(
        self,
        plan: Plan,
        pace: Pace,
        store: AsyncStore,
        handoff: Handoff,
        outcomes: Outcomes,
        unsent: set[int],
        tasks: Tasks,
        start: Callable[[Job], object],
    ) -> None:
        self._plan = plan
        self._pace = pace
        self._store = store
        self._handoff = handoff
        self._outcomes = outcomes
        self._unsent = unsent
        self._tasks = tasks
        self._start = start
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
        self._known = KnownRows(store)
        # Whether the last inputs that were claimed were not in the journal.
        self._expects_new = True
        self._has_turn = False
        # By key, open inputs that other processes run.
        self._held: dict[str, Input] = {}
        self._is_watching = False
        # Inputs that were taken, and whose results were not, or are not counted yet.
        self._outstanding = 0
        self._room = asyncio.Event()

    def made_room(self) -> None:
        """Look again how many results were taken, since that was asked for."""
        self._room.set()

    async def get_job(self) -> Job | None:
        """Return a claimed input; None if there are no more."""
        if self._ready:
            return self._ready.popleft()
        if self._is_fed:
            return None
        turn: asyncio.Future[Job | None] = asyncio.get_running_loop().create_future()
        self._hungry.append(turn)
        self._wanted.set()
        return await turn

    async def run(self, feed: Feed) -> None:
        """Claim inputs while workers wait for some, until there are no more."""
        self._is_skipping = not await self._store.call(self._store.store.is_empty)
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
        ahead = AHEAD * self._plan.concurrency
        room = ahead + (MAX_JOURNALED if self._is_skipping else 0)
        await self._wait_for_room(room)
        if not self._has_turn:
            await self._pace.wait_turn()
            self._has_turn = True
            # Inputs of another process may have become this one's meanwhile.
            await self._wait_for_room(room)
        # More than the workers that wait now, since a claim costs as much as several inputs; but no
        # more than are sent soon.
        most = max(int(min(CLAIMED, ahead, self._pace.limit * CLAIM_TIME)), 1)
        if not self._pending:
            items = (
                await feed.read(SKIPPED, COLLECT_TIME)
                if self._is_skipping
                else await feed.read(min(most, room - self._outstanding))
            )
            if not items:
                self._has_all = True
                return
            self._outstanding += len(items)
            self._pending.extend(self._sort_out(items))
            if self._is_skipping:
                await self._skip_done()
        if self._pending:
            jobs = await self._claim(
                [self._pending.popleft() for _ in range(min(most, len(self._pending)))]
            )
            if jobs:
                jobs[0].has_turn, self._has_turn = True, False
            self._ready.extend(jobs)

    async def _wait_for_room(self, room: int) -> None:
        """Wait until fewer inputs than `room` are outstanding, or some were read already."""
        while not self._pending and self._outstanding >= room:
            taken = self._handoff.collect_taken()
            self._outstanding -= taken
            if not taken:
                self._room.clear()
                await self._room.wait()

    def _sort_out(self, items: list[Any]) -> list[Input]:
        """Return the inputs that can be sent, and that do not equal one that is not done."""
        good: list[Input] = []
        is_open = self._outcomes.open
        for item in items:
            if isinstance(item, BadInput):
                self._outcomes.reject(item, item.error)
            elif (same := is_open.get(item.key)) is None:
                is_open[item.key] = [item]
                good.append(item)
            elif same[0].digest == item.digest:
                same.append(item)
            else:
                self._outcomes.reject(item, _conflict(item, same[0].index))
        return good

    async def _skip_done(self) -> None:
        """Give the results of inputs that are done, as the journal says."""
        rows = await self._known.find([each.key for each in self._pending])
        self._is_skipping = bool(rows)
        retries = self._plan.retry_failed
        left: deque[Input] = deque()
        for item in self._pending:
            row = rows.get(item.key)
            if (
                row is not None
                and row.is_done
                and row.digest == item.digest
                and (row.status == "succeeded" or not retries)
            ):
                self._outcomes.give_journaled(item, row)
            else:
                left.append(item)
        self._pending = left

    async def _claim(self, items: list[Input]) -> list[Job]:
        """Claim inputs; return those that a worker can run at once."""
        retry_before = self._outcomes.counts.begun_at if self._plan.retry_failed else None
        claims = await self._store.call(
            self._store.store.claim,
            items,
            retry_before=retry_before,
            expect_new=self._expects_new,
        )
        self._expects_new = all(claim.kind == NEW for claim in claims)
        jobs: list[Job] = []
        for item, claim in zip(items, claims, strict=True):
            row = claim.row
            if claim.kind == DONE and row is not None:
                self._outcomes.give_journaled(item, row)
            elif claim.kind == CONFLICT and row is not None:
                del self._outcomes.open[item.key]
                self._outcomes.reject(item, _conflict(item, row.position))
            elif claim.kind == HELD:
                self._hold(item)
            elif claim.kind == UNCERTAIN:
                self._start(Job(item, claim))
            else:
                if claim.kind != CREATED:
                    self._unsent.add(claim.number)
                jobs.append(Job(item, claim))
        return jobs

    def _hold(self, item: Input) -> None:
        """Wait for an input that another process runs, or run it if that process ends."""
        # It takes no room: another process may have more of them than this one may take.
        self._outstanding -= 1
        self._room.set()
        self._held[item.key] = item
        if not self._is_watching:
            self._is_watching = True
            self._tasks.spawn(self._watch_held())

    async def _watch_held(self) -> None:
        while self._held:
            await asyncio.sleep(HELD_INTERVAL)
            items = [*self._held.values()][:SKIPPED]
            self._held = {key: self._held[key] for key in [*self._held][SKIPPED:]}
            self._outstanding += len(items)
            for job in await self._claim(items):
                self._start(job)
        self._is_watching = False


def _conflict(item: Input, position: int) -> ValueError:
    return ValueError(
        f"the key {item.key!r} of inputs[{item.index}] belongs to another input, inputs[{position}]"
        " when it was taken: give each input a key of its own"
    )
