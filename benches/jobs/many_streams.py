"""Jobs: many streams at a time, their cost and latency, and the memory of an open stream."""

from __future__ import annotations

import asyncio
import gc
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from contenders.streams import ASYNC_STREAMS
from jobs.sampling import Meter, Sample, Task
from machine import resident_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from contenders.streams import AsyncStream

# Streams that are opened at a time.
MAX_OPENING = 50
# Seconds within which another stream must open.
OPEN_TIMEOUT = 2
# Seconds that streams have to end after the last event was due.
END_TIMEOUT = 1.5
CLOCK_READINGS = 200


class Server:
    """A connection to the server for control requests, which are not measured."""

    def __init__(self, origin: str) -> None:
        self._connection = HTTPConnection(origin.removeprefix("http://"))

    def ask(self, path: str) -> int:
        """Return the number that the server answers."""
        self._connection.request("GET", path)
        return int(self._connection.getresponse().read())

    def clock_offset(self) -> int:
        """Return the nanoseconds that the server's clock is behind `time.monotonic_ns`.

        The error is at most half of the shortest round trip.
        """
        readings: list[tuple[int, int]] = []
        for _ in range(CLOCK_READINGS):
            before = time.monotonic_ns()
            server = self.ask("/clock")
            after = time.monotonic_ns()
            readings.append((after - before, (before + after) // 2 - server))
        return min(readings)[1]


async def _open(
    stream: AsyncStream, path: str, count: int, streams: list[AsyncIterator[Any]]
) -> None:
    """Open streams until there are `count`, and read the first event of each."""
    semaphore = asyncio.Semaphore(MAX_OPENING)

    async def opened() -> None:
        async with semaphore:
            events = aiter(stream(path))
            await anext(events)
            streams.append(events)

    opening = {asyncio.ensure_future(opened()) for _ in range(count - len(streams))}
    while opening:
        before = len(streams)
        done, opening = await asyncio.wait(opening, timeout=OPEN_TIMEOUT)
        for each in done:
            each.result()
        if opening and len(streams) == before:
            for each in opening:
                each.cancel()
            await asyncio.wait(opening)
            raise TimeoutError(
                f"{before} of {count:,} streams opened, and no other within {OPEN_TIMEOUT} s"
            )


def memory(task: Task) -> Sample:
    """Measure the KB of memory that one more open stream takes."""
    return asyncio.run(_memory(task))


async def _memory(task: Task) -> Sample:
    async with ASYNC_STREAMS[task.contender](task.origin) as stream:
        _, kilobytes = await _open_and_weigh(stream, "/stream/idle", task.size)
        return Sample(kilobytes)


async def _open_and_weigh(
    stream: AsyncStream, path: str, count: int
) -> tuple[list[AsyncIterator[Any]], float]:
    """Open streams; return them, and the KB of memory of each."""
    # The first stream also creates what all streams share.
    streams: list[AsyncIterator[Any]] = []
    await _open(stream, path, 1, streams)
    gc.collect()
    before = resident_bytes()
    await _open(stream, path, count, streams)
    gc.collect()
    return streams, (resident_bytes() - before) / 1024 / (count - 1)


def many(task: Task) -> Sample:
    """Measure the CPU time and latency of an event; each stream has one per interval."""
    return asyncio.run(_many(task))


async def _many(task: Task) -> Sample:
    server = Server(task.origin)
    offset = server.clock_offset()
    written: list[str] = []
    arrived: list[int] = []

    async def listen(events: AsyncIterator[Any]) -> None:
        async for event in events:
            # Evaluated after the measurement, so that its cost is not measured.
            arrived.append(time.monotonic_ns())
            written.append(event.data)

    async with ASYNC_STREAMS[task.contender](task.origin) as stream:
        streams, kilobytes = await _open_and_weigh(stream, "/stream/paced", task.size)
        count = int(5 * task.seconds * 1000) // task.interval
        meter = Meter(task.server)
        start = server.ask(f"/pace/{task.interval}/{count}") + offset
        end = start + count * task.interval * 1_000_000
        listening = [asyncio.ensure_future(listen(events)) for events in streams]
        await asyncio.wait(listening, timeout=_seconds_until(end))
        sample = meter.sample(len(arrived))
        # The server ends the streams half a second after the last event.
        done, late = await asyncio.wait(listening, timeout=_seconds_until(end) + END_TIMEOUT)
        for each in late:
            each.cancel()
        for each in done:
            each.result()
        await asyncio.wait(listening)
    # Each stream has a last event, too.
    if not late and len(arrived) != task.size * (count + 1):
        raise ValueError(f"wrong answer: {len(arrived)} events of {task.size * (count + 1)}")
    _add_latencies(sample, written, arrived, offset, task.size * count, end)
    sample.more["KB each"] = kilobytes
    return sample


def _seconds_until(when: int) -> float:
    return (when - time.monotonic_ns()) / 1e9


def _add_latencies(
    sample: Sample, written: list[str], arrived: list[int], offset: int, due: int, end: int
) -> None:
    """Add latencies to a sample, and the share of the `due` events that arrived before `end`."""
    latencies: list[int] = []
    lateness: list[int] = []
    in_time = 0
    for text, when in zip(written, arrived, strict=True):
        # The last event of a stream has no times.
        if text == "{}":
            continue
        sent, planned = map(int, text.split())
        latencies.append(when - sent - offset)
        lateness.append(sent - planned)
        in_time += when <= end
    latencies.sort()
    lateness.sort()
    at_99 = len(latencies) * 99 // 100
    sample.more = {
        "p50 ms": latencies[len(latencies) // 2] / 1e6,
        "p99 ms": latencies[at_99] / 1e6,
        "in time %": 100 * in_time / due,
    }
    sample.late = lateness[at_99] / 1e6
    assert sample.cpu is not None
    sample.value, sample.cpu = sample.cpu, None
