"""What a worker is asked for, and what it answers."""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from machine import cpu_seconds, peak_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass
class Task:
    """What to measure."""

    job: str
    contender: str
    origin: str
    secure_origin: str
    """Where files are over TLS."""
    certificate: str
    """The file with what to trust there."""
    folder: str
    """For files; all tasks of a run have the same."""
    server: int
    """Its process id."""
    warm_up: float
    """Seconds; also `seconds`, of the part that is timed.

    Work that was begun within them is finished, and counted.
    """
    seconds: float
    size: int = 1
    """Requests in flight, threads, clients, or streams; for a big event, for files and for
    webhooks, bytes.
    """
    variant: str = ""
    """For startup: ``import`` or ``first``; for clients: ``used`` or ``unused``; for streams and
    files: ``sync`` or ``async``; for receivers of webhooks: ``standard`` or ``plain``."""
    interval: int = 0
    """Milliseconds between a stream's events."""
    secure: bool = False
    """Over TLS."""


@dataclass
class Sample:
    """What was measured."""

    value: float
    """What the table shows."""
    cpu: float | None = None
    """Of this process, for one operation."""
    server: float | None = None
    """The share of its core that the server used."""
    bare: float | None = None
    """What bare Python took."""
    more: dict[str, float] = field(default_factory=dict)
    """What else the table shows, by the heads of its columns."""
    late: float | None = None
    """The milliseconds that the server was late with one event of a hundred."""


def load(work: Callable[[], object], seconds: float, each: int = 1) -> int:
    """Do something again and again; gives how often, times what each time counts for."""
    end, count = time.perf_counter() + seconds, 0
    while not count or time.perf_counter() < end:
        work()
        count += each
    return count


async def load_async(work: Callable[[], Awaitable[object]], in_flight: int, seconds: float) -> int:
    """Do something again and again, so many at a time; gives how often."""
    end = time.perf_counter() + seconds

    async def some() -> int:
        count = 0
        while not count or time.perf_counter() < end:
            await work()
            count += 1
        return count

    return sum(await asyncio.gather(*(some() for _ in range(in_flight))))


def own_cpu_seconds() -> float:
    """Give the CPU time this process has used, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """Clocks that run from its making."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._served = cpu_seconds(server)
        self._cpu = own_cpu_seconds()
        self._clock = time.perf_counter()

    def sample(self, operations: int) -> Sample:
        """Give operations per second, microseconds of CPU for one, and the most memory that this
        process had.
        """
        seconds = time.perf_counter() - self._clock
        cpu = own_cpu_seconds() - self._cpu
        served = cpu_seconds(self._server)
        share = (
            None if served is None or self._served is None else (served - self._served) / seconds
        )
        # What the process had at most since its start, the interpreter and the libraries included.
        peak = {"peak MB": peak_bytes() / 1e6}
        return Sample(operations / seconds, cpu=cpu / operations * 1e6, server=share, more=peak)
