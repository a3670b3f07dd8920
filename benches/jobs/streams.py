"""Jobs: one stream at a time: decoding, throughput, the first event, a large event."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from contenders.decoders import DECODERS
from contenders.streams import ASYNC_STREAMS, STREAMS
from jobs.sampling import SLICE, Meter, Sample, Slices, Task
from machine import PARSER

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from contenders.streams import AsyncStream, Stream

# The data of the server's events, and of the last one.
TOKEN, END = " token", "{}"
# Events of one stream when throughput is measured.
MIN_EVENTS, MAX_EVENTS = 10_000, 200_000
# Bytes that are decoded at a time.
PIECE_SIZE = 16 * 1024

# The number of events, and of the characters of their data.
Totals = tuple[int, int]


def read(events: Iterable[Any]) -> Totals:
    """Read all events and return their totals."""
    count = size = 0
    for event in events:
        count += 1
        size += len(event.data)
    return count, size


async def read_async(events: AsyncIterable[Any]) -> Totals:
    """Read all events and return their totals."""
    count = size = 0
    async for event in events:
        count += 1
        size += len(event.data)
    return count, size


def check_events(totals: Totals, tokens: int) -> None:
    """Raise ValueError unless these were that many tokens and the last event."""
    if totals != (tokens + 1, tokens * len(TOKEN) + len(END)):
        raise ValueError(f"wrong answer: {totals} for {tokens} tokens")


def _check_all(found: list[str], tokens: int) -> None:
    if found != [TOKEN] * tokens + [END]:
        raise ValueError(
            f"wrong answer: {len(found)} events for {tokens} tokens, the last {found[-3:]}"
        )


def parser(task: Task) -> Sample:
    """Measure the nanoseconds that the Rust parser takes for a short event, and GB/s of long ones.

    The contender ``memcpy`` only copies the bytes.
    """
    process = subprocess.run([PARSER, task.contender], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(process.stdout)
    return Sample(result["token_ns"], more={"GB/s of long events": result["long_gb_per_s"]})


def decode(task: Task) -> Sample:
    """Decode the bytes of many events, `PIECE_SIZE` at a time."""
    decoder = DECODERS[task.contender]
    # Byte by byte, so that pieces end at every possible place.
    _check_all([event.data for event in decoder(encoded_events(100, 1))], 100)
    pieces = encoded_events(MIN_EVENTS, PIECE_SIZE)
    started = time.perf_counter()
    check_events(read(decoder(pieces)), MIN_EVENTS)
    tokens = _events_for(time.perf_counter() - started)
    pieces = encoded_events(tokens, PIECE_SIZE)
    meter = Meter(task.server)
    count, now = 0, time.perf_counter()
    end = now + task.seconds
    while now < end:
        check_events(read(decoder(pieces)), tokens)
        count += tokens
        now = meter.slices.add(tokens)
    return meter.sample(count)


def encoded_events(tokens: int, size: int) -> list[bytes]:
    """Return the bytes that the server sends for so many tokens, in pieces of `size` bytes."""
    events = [
        f"id: 1690212292:{number}\nevent: output\ndata: {TOKEN}\n\n" for number in range(tokens)
    ]
    body = "".join([*events, f"id: end\nevent: done\ndata: {END}\n\n"]).encode()
    return [body[start : start + size] for start in range(0, len(body), size)]


def chunks_or_blocks(task: Task) -> Sample:
    """Read streams at full speed."""
    path = f"/stream/{task.job.removeprefix('sse_')}"
    if task.variant == "async":
        return asyncio.run(_many_events_async(task, path))
    with STREAMS[task.contender](task.origin) as stream:
        _check_all([event.data for event in stream(f"{path}/100")], 100)
        started = time.perf_counter()
        check_events(read(stream(f"{path}/{MIN_EVENTS}")), MIN_EVENTS)
        tokens = _events_for(time.perf_counter() - started)
        meter = Meter(task.server)
        count, now = 0, time.perf_counter()
        end = now + task.seconds
        while now < end:
            check_events(read(stream(f"{path}/{tokens}")), tokens)
            count += tokens
            now = meter.slices.add(tokens)
        return meter.sample(count)


async def _many_events_async(task: Task, path: str) -> Sample:
    async with ASYNC_STREAMS[task.contender](task.origin) as stream:
        _check_all([event.data async for event in stream(f"{path}/100")], 100)
        started = time.perf_counter()
        check_events(await read_async(stream(f"{path}/{MIN_EVENTS}")), MIN_EVENTS)
        tokens = _events_for(time.perf_counter() - started)
        meter = Meter(task.server)
        count, now = 0, time.perf_counter()
        end = now + task.seconds
        while now < end:
            check_events(await read_async(stream(f"{path}/{tokens}")), tokens)
            count += tokens
            now = meter.slices.add(tokens)
        return meter.sample(count)


def _events_for(duration: float) -> int:
    """Return how many events take a slice of time, if `MIN_EVENTS` took `duration` seconds."""
    return max(MIN_EVENTS, min(MAX_EVENTS, int(MIN_EVENTS / duration * SLICE)))


def first(task: Task) -> Sample:
    """Measure the microseconds from the call to the first event."""
    times: list[float] = []
    if task.variant == "async":
        return asyncio.run(_first_async(task, times))
    with STREAMS[task.contender](task.origin) as stream:
        _check_all([event.data for event in stream("/stream/first")], 1)
        _first(stream, task.warm_up, times, Slices())
        times.clear()
        meter = Meter(task.server)
        _first(stream, task.seconds, times, meter.slices)
        return _median_sample(meter, times)


def _first(stream: Stream, seconds: float, times: list[float], slices: Slices) -> None:
    now = time.perf_counter()
    end = now + seconds
    while now < end:
        started = time.perf_counter()
        events = iter(stream("/stream/first"))
        token = next(events)
        times.append(time.perf_counter() - started)
        count, size = read(events)
        check_events((count + 1, size + len(token.data)), 1)
        now = slices.add(1)


async def _first_async(task: Task, times: list[float]) -> Sample:
    async with ASYNC_STREAMS[task.contender](task.origin) as stream:
        _check_all([event.data async for event in stream("/stream/first")], 1)
        await _each_first(stream, task.warm_up, times, Slices())
        times.clear()
        meter = Meter(task.server)
        await _each_first(stream, task.seconds, times, meter.slices)
        return _median_sample(meter, times)


async def _each_first(
    stream: AsyncStream, seconds: float, times: list[float], slices: Slices
) -> None:
    now = time.perf_counter()
    end = now + seconds
    while now < end:
        started = time.perf_counter()
        events = aiter(stream("/stream/first"))
        token = await anext(events)
        times.append(time.perf_counter() - started)
        count, size = await read_async(events)
        check_events((count + 1, size + len(token.data)), 1)
        now = slices.add(1)


def _median_sample(meter: Meter, times: list[float]) -> Sample:
    sample = meter.sample(len(times))
    sample.value = median(times) * 1e6
    return sample


def big(task: Task) -> Sample:
    """Measure the milliseconds until an event of `size` bytes has arrived."""
    return asyncio.run(_big(task))


async def _big(task: Task) -> Sample:
    async with ASYNC_STREAMS[task.contender](task.origin) as stream:
        # The first stream also creates what is created on first use.
        _check_all([event.data async for event in stream("/stream/first")], 1)
        times: list[float] = []
        meter = Meter(task.server)
        now = time.perf_counter()
        end = now + task.seconds
        while now < end:
            gc.collect()
            started = time.perf_counter()
            events = aiter(stream(f"/stream/big/{task.size}"))
            event = await anext(events)
            times.append(time.perf_counter() - started)
            if len(event.data) != task.size or event.data.count("x") != task.size:
                raise ValueError(f"wrong answer: {len(event.data)} characters for {task.size}")
            await read_async(events)
            now = meter.slices.add(1)
        sample = meter.sample(len(times))
    sample.value = median(times) * 1e3
    sample.scale_cpu(1e-3)
    return sample
