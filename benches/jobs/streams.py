"""The jobs of one stream at a time: its decoder, its events per second, its first event, an event
that is big.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from contenders.decoders import DECODERS
from contenders.streams import FOLLOW, FOLLOW_ASYNC
from jobs.sampling import Meter, Sample, Task
from machine import PARSER

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from contenders.streams import AsyncFollow, Follow

# What the server sends, and ends with.
TOKEN, END = " token", "{}"
# Events of one stream, when it is measured: as many as are read in the time, within these.
FEWEST, MOST = 10_000, 200_000
# Bytes that are decoded at once.
PIECE = 16 * 1024

# How many events there were, and the characters of their data.
Read = tuple[int, int]


def read(events: Iterable[Any]) -> Read:
    """Read events to the end."""
    count = size = 0
    for event in events:
        count += 1
        size += len(event.data)
    return count, size


async def read_async(events: AsyncIterable[Any]) -> Read:
    """Read events to the end."""
    count = size = 0
    async for event in events:
        count += 1
        size += len(event.data)
    return count, size


def check_events(found: Read, tokens: int) -> None:
    """Raise unless these were so many tokens, and the end."""
    if found != (tokens + 1, tokens * len(TOKEN) + len(END)):
        raise ValueError(f"wrong answer: {found} for {tokens} tokens")


def _check_all(found: list[str], tokens: int) -> None:
    if found != [TOKEN] * tokens + [END]:
        raise ValueError(
            f"wrong answer: {len(found)} events for {tokens} tokens, the last {found[-3:]}"
        )


def parser(task: Task) -> Sample:
    """Give the nanoseconds that the Rust parser takes for a token's event, and how fast it reads
    long ones; or copying them.
    """
    answer = subprocess.run([PARSER, task.contender], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return Sample(found["token_ns"], more={"GB/s of long events": found["long_gb_per_s"]})


def decode(task: Task) -> Sample:
    """Decode the bytes of many events, in pieces."""
    decoder = DECODERS[task.contender]
    # Byte by byte: whatever can be cut in two is.
    _check_all([event.data for event in decoder(in_pieces(100, 1))], 100)
    pieces = in_pieces(FEWEST, PIECE)
    began = time.perf_counter()
    check_events(read(decoder(pieces)), FEWEST)
    tokens = _fitting(time.perf_counter() - began, task.seconds)
    pieces = in_pieces(tokens, PIECE)
    count, end = 0, time.perf_counter() + task.seconds
    meter = Meter(task.server)
    while not count or time.perf_counter() < end:
        check_events(read(decoder(pieces)), tokens)
        count += tokens
    return meter.sample(count)


def in_pieces(tokens: int, size: int) -> list[bytes]:
    """Give what the server would send."""
    events = [
        f"id: 1690212292:{number}\nevent: output\ndata: {TOKEN}\n\n" for number in range(tokens)
    ]
    whole = "".join([*events, f"id: end\nevent: done\ndata: {END}\n\n"]).encode()
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def chunks_or_blocks(task: Task) -> Sample:
    """Read streams whose events come as fast as they are read."""
    path = f"/stream/{task.job.removeprefix('sse_')}"
    if task.variant == "async":
        return asyncio.run(_many_events_async(task, path))
    with FOLLOW[task.contender](task.origin) as follow:
        _check_all([event.data for event in follow(f"{path}/100")], 100)
        began = time.perf_counter()
        check_events(read(follow(f"{path}/{FEWEST}")), FEWEST)
        tokens = _fitting(time.perf_counter() - began, task.seconds)
        count, end = 0, time.perf_counter() + task.seconds
        meter = Meter(task.server)
        while not count or time.perf_counter() < end:
            check_events(read(follow(f"{path}/{tokens}")), tokens)
            count += tokens
        return meter.sample(count)


async def _many_events_async(task: Task, path: str) -> Sample:
    async with FOLLOW_ASYNC[task.contender](task.origin) as follow:
        _check_all([event.data async for event in follow(f"{path}/100")], 100)
        began = time.perf_counter()
        check_events(await read_async(follow(f"{path}/{FEWEST}")), FEWEST)
        tokens = _fitting(time.perf_counter() - began, task.seconds)
        count, end = 0, time.perf_counter() + task.seconds
        meter = Meter(task.server)
        while not count or time.perf_counter() < end:
            check_events(await read_async(follow(f"{path}/{tokens}")), tokens)
            count += tokens
        return meter.sample(count)


def _fitting(took: float, seconds: float) -> int:
    """Give how many events are read in so many seconds, if the fewest took so long."""
    return max(FEWEST, min(MOST, int(FEWEST / took * seconds)))


def first(task: Task) -> Sample:
    """Give the microseconds from the call to the first event."""
    times: list[float] = []
    if task.variant == "async":
        return asyncio.run(_first_async(task, times))
    with FOLLOW[task.contender](task.origin) as follow:
        _check_all([event.data for event in follow("/stream/first")], 1)
        _first(follow, task.warm_up, times)
        times.clear()
        meter = Meter(task.server)
        _first(follow, task.seconds, times)
        return _median_sample(meter, times)


def _first(follow: Follow, seconds: float, times: list[float]) -> None:
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        events = iter(follow("/stream/first"))
        token = next(events)
        times.append(time.perf_counter() - began)
        count, size = read(events)
        check_events((count + 1, size + len(token.data)), 1)


async def _first_async(task: Task, times: list[float]) -> Sample:
    async with FOLLOW_ASYNC[task.contender](task.origin) as follow:
        _check_all([event.data async for event in follow("/stream/first")], 1)
        await _each_first(follow, task.warm_up, times)
        times.clear()
        meter = Meter(task.server)
        await _each_first(follow, task.seconds, times)
        return _median_sample(meter, times)


async def _each_first(follow: AsyncFollow, seconds: float, times: list[float]) -> None:
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        events = aiter(follow("/stream/first"))
        token = await anext(events)
        times.append(time.perf_counter() - began)
        count, size = await read_async(events)
        check_events((count + 1, size + len(token.data)), 1)


def _median_sample(meter: Meter, times: list[float]) -> Sample:
    sample = meter.sample(len(times))
    sample.value = median(times) * 1e6
    return sample


def big(task: Task) -> Sample:
    """Give the milliseconds until an event of so many bytes is there."""
    return asyncio.run(_big(task))


async def _big(task: Task) -> Sample:
    async with FOLLOW_ASYNC[task.contender](task.origin) as follow:
        # Once for what is made on first use.
        _check_all([event.data async for event in follow("/stream/first")], 1)
        times: list[float] = []
        end = time.perf_counter() + task.seconds
        meter = Meter(task.server)
        while not times or time.perf_counter() < end:
            gc.collect()
            began = time.perf_counter()
            events = aiter(follow(f"/stream/big/{task.size}"))
            event = await anext(events)
            times.append(time.perf_counter() - began)
            if len(event.data) != task.size or event.data.count("x") != task.size:
                raise ValueError(f"wrong answer: {len(event.data)} characters for {task.size}")
            await read_async(events)
        sample = meter.sample(len(times))
    sample.value = median(times) * 1e3
    sample.cpu = None if sample.cpu is None else sample.cpu / 1e3
    return sample
