"""What a worker is asked to measure, what it returns, and how it repeats and meters work."""

from __future__ import annotations

import asyncio
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from machine import cpu_seconds, peak_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Seconds after which a slice of CPU time ends with the next operation.
SLICE = 0.05
# Operations that end in a slice at least, for each that is in flight: the time of those that began
# before the slice, or end after it, is then a small part of it.
MIN_TURNS = 3


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
    slices: list[float] = field(default_factory=list)
    """The same in each slice of the round; what cannot be cut is one slice."""
    server: float | None = None
    """CPU seconds that the server used per second."""
    bare: float | None = None
    """Milliseconds that Python itself needs to start."""
    more: dict[str, float] = field(default_factory=dict)
    """Further figures, by the heads of their columns."""
    late: float | None = None
    """The 99th percentile of the server's own delay in sending an event, in milliseconds."""

    def scale_cpu(self, factor: float) -> None:
        """Change the unit of the CPU time."""
        self.cpu = None if self.cpu is None else self.cpu * factor
        self.slices = [cost * factor for cost in self.slices]


class Slices:
    """CPU time of one operation, slice by slice, since its creation.

    A virtual machine that shares its processor is slow for parts of a second; slices show what an
    operation takes between them.
    """

    def __init__(self, in_flight: int = 1) -> None:
        self._least = in_flight * MIN_TURNS if in_flight > 1 else 1
        self.costs: list[float] = []
        """CPU microseconds of one operation, in each slice that has ended."""
        self._lock = threading.Lock()
        self._operations = 0
        self._cpu = own_cpu_seconds()
        self._end = time.perf_counter() + SLICE

    def add(self, operations: int) -> float:
        """Count operations that have ended, in any thread; return the time."""
        now = time.perf_counter()
        with self._lock:
            self._operations += operations
            if now >= self._end and self._operations >= self._least:
                cpu = own_cpu_seconds()
                self.costs.append((cpu - self._cpu) / self._operations * 1e6)
                self._operations, self._cpu, self._end = 0, cpu, now + SLICE
        return now


def load(work: Callable[[], object], seconds: float, slices: Slices, operations: int = 1) -> int:
    """Repeat `work`, which is that many operations; return the number of operations."""
    count, now = 0, time.perf_counter()
    end = now + seconds
    while now < end:
        work()
        count += operations
        now = slices.add(operations)
    return count


async def load_async(
    work: Callable[[], Awaitable[object]], in_flight: int, seconds: float, slices: Slices
) -> int:
    """Repeat `work` in that many tasks at a time; return the number of operations."""
    end = time.perf_counter() + seconds

    async def repeat() -> int:
        count, now = 0, end - seconds
        while now < end:
            await work()
            count += 1
            now = slices.add(1)
        return count

    return sum(await asyncio.gather(*(repeat() for _ in range(in_flight))))


def measure(work: Callable[[], object], task: Task, operations: int = 1) -> Sample:
    """Warm up, then repeat `work` for the task's seconds."""
    load(work, task.warm_up, Slices())
    meter = Meter(task.server)
    return meter.sample(load(work, task.seconds, meter.slices, operations))


def measure_threads(work: Callable[[], object], task: Task) -> Sample:
    """Warm up, then repeat `work` in each of `size` threads for the task's seconds."""
    with ThreadPoolExecutor(task.size) as threads:

        def all_threads(seconds: float, slices: Slices) -> int:
            return sum(threads.map(lambda _: load(work, seconds, slices), range(task.size)))

        all_threads(task.warm_up, Slices())
        meter = Meter(task.server, task.size)
        return meter.sample(all_threads(task.seconds, meter.slices))


async def measure_async(work: Callable[[], Awaitable[object]], task: Task) -> Sample:
    """Warm up, then repeat `work` in `size` tasks at a time for the task's seconds."""
    await load_async(work, task.size, task.warm_up, Slices())
    meter = Meter(task.server, task.size)
    return meter.sample(await load_async(work, task.size, task.seconds, meter.slices))


def own_cpu_seconds() -> float:
    """Return the CPU time that this process has used, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """Measures time, and the CPU time of this process and the server, since its creation."""

    def __init__(self, server: int, in_flight: int = 1) -> None:
        self._server = server
        self._server_cpu = cpu_seconds(server)
        self._cpu = own_cpu_seconds()
        self._clock = time.perf_counter()
        self.slices = Slices(in_flight)
        """For jobs that count operations as they end; otherwise the whole time is one slice."""

    def sample(self, operations: int) -> Sample:
        """Return operations per second, CPU microseconds of one, and this process's peak memory."""
        seconds = time.perf_counter() - self._clock
        cost = (own_cpu_seconds() - self._cpu) / operations * 1e6
        server_cpu = cpu_seconds(self._server)
        share = (
            None
            if server_cpu is None or self._server_cpu is None
            else (server_cpu - self._server_cpu) / seconds
        )
        # Since the process started, including the interpreter and the libraries.
        peak = {"peak MB": peak_bytes() / 1e6}
        return Sample(
            operations / seconds,
            cpu=cost,
            slices=self.slices.costs or [cost],
            server=share,
            more=peak,
        )
