"""What a worker is asked to measure, what it returns, and how it repeats and meters work."""

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
    """One job for one contender."""

    job: str
    contender: str
    origin: str
    secure_origin: str
    """The origin of the server's HTTPS port."""
    certificate: str
    """The file of the certificate to trust there."""
    folder: str
    """For files; the same for all tasks of a run."""
    server: int
    """The server's process id."""
    warm_up: float
    """Seconds of work before anything is measured."""
    seconds: float
    """Seconds that are measured. Work that was started within them is completed and counted."""
    size: int = 1
    """The number of requests in flight, threads, clients, streams or inputs; bytes of an event, a
    file or a webhook.
    """
    in_flight: int = 64
    """For many inputs: the runs at a time."""
    variant: str = ""
    """For startup: ``import`` or ``first``; for clients: ``used`` or ``unused``; for streams and
    files: ``sync`` or ``async``; for webhook services: ``standard`` or ``plain``; for a journal
    that is opened again: ``same`` or ``new``.
    """
    interval: int = 0
    """Milliseconds between a stream's events."""
    secure: bool = False
    """Whether to use HTTPS."""


@dataclass
class Sample:
    """What was measured in one round."""

    value: float
    """The main figure, in the section's unit."""
    cpu: float | None = None
    """CPU time of the client's process for one operation, in the section's CPU unit."""
    server: float | None = None
    """CPU seconds that the server used per second."""
    bare: float | None = None
    """Milliseconds that Python itself needs to start."""
    more: dict[str, float] = field(default_factory=dict)
    """Further figures, by the heads of their columns."""
    late: float | None = None
    """The 99th percentile of the server's own delay in sending an event, in milliseconds."""


def load(work: Callable[[], object], seconds: float, operations: int = 1) -> int:
    """Repeat `work`, which is that many operations; return the number of operations."""
    end, count = time.perf_counter() + seconds, 0
    while not count or time.perf_counter() < end:
        work()
        count += operations
    return count


async def load_async(work: Callable[[], Awaitable[object]], in_flight: int, seconds: float) -> int:
    """Repeat `work` in that many tasks at a time; return the number of operations."""
    end = time.perf_counter() + seconds

    async def repeat() -> int:
        count = 0
        while not count or time.perf_counter() < end:
            await work()
            count += 1
        return count

    return sum(await asyncio.gather(*(repeat() for _ in range(in_flight))))


def measure(work: Callable[[], object], task: Task, operations: int = 1) -> Sample:
    """Warm up, then repeat `work` for the task's seconds."""
    load(work, task.warm_up)
    meter = Meter(task.server)
    return meter.sample(load(work, task.seconds, operations))


def own_cpu_seconds() -> float:
    """Return the CPU time that this process has used, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """Measures time, and the CPU time of this process and the server, since its creation."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._server_cpu = cpu_seconds(server)
        self._cpu = own_cpu_seconds()
        self._clock = time.perf_counter()

    def sample(self, operations: int) -> Sample:
        """Return operations per second, CPU microseconds of one, and this process's peak memory."""
        seconds = time.perf_counter() - self._clock
        cpu = own_cpu_seconds() - self._cpu
        server_cpu = cpu_seconds(self._server)
        share = (
            None
            if server_cpu is None or self._server_cpu is None
            else (server_cpu - self._server_cpu) / seconds
        )
        # Since the process started, including the interpreter and the libraries.
        peak = {"peak MB": peak_bytes() / 1e6}
        return Sample(operations / seconds, cpu=cpu / operations * 1e6, server=share, more=peak)
