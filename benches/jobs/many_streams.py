"""The jobs of many streams at once: their latency and what they cost, and the memory of one that is
open.
"""

from __future__ import annotations

import asyncio
import gc
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from contenders.streams import FOLLOW_ASYNC
from jobs.sampling import Meter, Sample, Task
from machine import resident_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from contenders.streams import AsyncFollow

# Streams that are being opened at a time.
OPENING = 50
# Seconds in which one more must open, and for what is still to come when the last event was due.
PATIENCE, GRACE = 2, 1.5
# How often the clocks are compared.
COMPARISONS = 200


class Server:
    """A connection to the server, for what is not measured."""

    def __init__(self, origin: str) -> None:
        self._connection = HTTPConnection(origin.removeprefix("http://"))

    def ask(self, path: str) -> int:
        """Give the number that the server answers."""
        self._connection.request("GET", path)
        return int(self._connection.getresponse().read())

    def behind(self) -> int:
        """Give the nanoseconds that the server's clock is behind ours, to within half of what the
        quickest answer took.
        """
        found: list[tuple[int, int]] = []
        for _ in range(COMPARISONS):
            before = time.monotonic_ns()
            there = self.ask("/clock")
            after = time.monotonic_ns()
            found.append((after - before, (before + after) // 2 - there))
        return min(found)[1]


async def _open(
    follow: AsyncFollow, path: str, count: int, streams: list[AsyncIterator[Any]]
) -> None:
    """Open streams until there are so many, and read the first event of each."""
    turns = asyncio.Semaphore(OPENING)

    async def opened() -> None:
        async with turns:
            events = aiter(follow(path))
            await anext(events)
            streams.append(events)

    opening = {asyncio.ensure_future(opened()) for _ in range(count - len(streams))}
    while opening:
        before = len(streams)
        done, opening = await asyncio.wait(opening, timeout=PATIENCE)
        for stream in done:
            stream.result()
        if opening and len(streams) == before:
            for stream in opening:
                stream.cancel()
            await asyncio.wait(opening)
            raise TimeoutError(f"after {before} of {count:,} streams none opened for {PATIENCE} s")


def memory(task: Task) -> Sample:
    """Give the KB of memory that one more open stream takes."""
    return asyncio.run(_memory(task))


async def _memory(task: Task) -> Sample:
    async with FOLLOW_ASYNC[task.contender](task.origin) as follow:
        sample = Sample(0)
        kept = await _open_and_weigh(follow, "/stream/idle", task.size, sample)
        sample.value = sample.more.pop("KB each")
        del kept
        return sample


async def _open_and_weigh(
    follow: AsyncFollow, path: str, count: int, sample: Sample
) -> list[AsyncIterator[Any]]:
    # The first brings what all share.
    streams: list[AsyncIterator[Any]] = []
    await _open(follow, path, 1, streams)
    gc.collect()
    before = resident_bytes()
    await _open(follow, path, count, streams)
    gc.collect()
    sample.more["KB each"] = (resident_bytes() - before) / 1024 / (count - 1)
    return streams


def many(task: Task) -> Sample:
    """Read events of many streams as they come; what one costs, and how long after it was written
    it is there.
    """
    return asyncio.run(_many(task))


async def _many(task: Task) -> Sample:
    server = Server(task.origin)
    behind = server.behind()
    written: list[str] = []
    arrived: list[int] = []

    async def listen(events: AsyncIterator[Any]) -> None:
        async for event in events:
            # Taken apart when all is over: here it would be measured.
            arrived.append(time.monotonic_ns())
            written.append(event.data)

    async with FOLLOW_ASYNC[task.contender](task.origin) as follow:
        weighed = Sample(0)
        streams = await _open_and_weigh(follow, "/stream/paced", task.size, weighed)
        each = int(5 * task.seconds * 1000) // task.interval
        meter = Meter(task.server)
        start = server.ask(f"/pace/{task.interval}/{each}") + behind
        end = start + each * task.interval * 1_000_000
        listening = [asyncio.ensure_future(listen(events)) for events in streams]
        await asyncio.wait(listening, timeout=_until(end))
        sample = meter.sample(len(arrived))
        # The server ends the streams half a second after the last event.
        done, late = await asyncio.wait(listening, timeout=_until(end) + GRACE)
        for stream in late:
            stream.cancel()
        for stream in done:
            stream.result()
        await asyncio.wait(listening)
    # Each has an end, too.
    if not late and len(arrived) != task.size * (each + 1):
        raise ValueError(f"wrong answer: {len(arrived)} events of {task.size * (each + 1)}")
    sample.more = weighed.more
    _summarise(sample, written, arrived, behind, task.size * each, end)
    return sample


def _until(when: int) -> float:
    return (when - time.monotonic_ns()) / 1e9


def _summarise(
    sample: Sample, written: list[str], arrived: list[int], behind: int, due: int, end: int
) -> None:
    """Fill in the latencies, and the share that was there in time."""
    latencies: list[int] = []
    lateness: list[int] = []
    in_time = 0
    for text, when in zip(written, arrived, strict=True):
        # The end has no times.
        if text == "{}":
            continue
        at, planned = map(int, text.split())
        latencies.append(when - at - behind)
        lateness.append(at - planned)
        in_time += when <= end
    latencies.sort()
    lateness.sort()
    at_99 = len(latencies) * 99 // 100
    sample.more = {
        "p50 ms": latencies[len(latencies) // 2] / 1e6,
        "p99 ms": latencies[at_99] / 1e6,
        "in time %": 100 * in_time / due,
        **sample.more,
    }
    sample.late = lateness[at_99] / 1e6
    assert sample.cpu is not None
    sample.value, sample.cpu = sample.cpu, None
