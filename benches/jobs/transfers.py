"""Meters the transfers of files: their time, CPU time and memory."""

from __future__ import annotations

import gc
import resource
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobs.sampling import SLICE, Sample, own_cpu_seconds
from machine import cpu_seconds, peak_bytes, reset_peak, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Slices into which a transfer is cut at least; a shorter one is a slice itself.
MIN_SLICES = 4


class TransferMeter:
    """Adds up the time, CPU time and memory of transfers, without what happens between them."""

    def __init__(self, server: int, peak: Callable[[], int] | None = None) -> None:
        self._server = server
        self._child_peak = peak
        self.times: list[float] = []
        self._cpu = self._server_cpu = 0.0
        self._extra = 0
        # CPU seconds and parts of a transfer.
        self._slices: list[tuple[float, float]] = []

    @property
    def seconds(self) -> float:
        """The time of all transfers."""
        return sum(self.times)

    @contextmanager
    def transfer(self, folder: Path | None = None) -> Iterator[None]:
        """Measure the transfer in the `with` statement's body.

        `folder` is where nothing but its file is written, if that shows how far it is.
        """
        gc.collect()
        reset_peak()
        before = resident_bytes()
        # Another process has its own CPU time, which is known when it has ended.
        watch = None if folder is None or self._child_peak is not None else Watch(folder)
        server_cpu, cpu = cpu_seconds(self._server) or 0, _cpu_seconds()
        clock = time.perf_counter()
        yield
        self.times.append(time.perf_counter() - clock)
        used = _cpu_seconds() - cpu
        self._cpu += used
        self._server_cpu += (cpu_seconds(self._server) or 0) - server_cpu
        self._extra = max(
            self._extra, peak_bytes() - before if self._child_peak is None else self._child_peak()
        )
        parts = [] if watch is None else watch.end()
        self._slices += parts if len(parts) >= MIN_SLICES else [(used, 1)]

    def sample(self, amount: float, cpu_amount: float) -> Sample:
        """Return the amount per second, and the CPU seconds for `cpu_amount`.

        `amount` is that of one transfer.
        """
        factor = cpu_amount / amount
        return Sample(
            amount * len(self.times) / self.seconds,
            cpu=self._cpu / len(self.times) * factor,
            slices=[cpu / part * factor for cpu, part in self._slices],
            server=self._server_cpu / self.seconds,
            more={"extra MB": self._extra / 1e6},
        )


class Watch:
    """Watches the file in a folder grow, and cuts its transfer into slices of CPU time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # CPU seconds of this process, and bytes of the file.
        self._found = [(own_cpu_seconds(), 0)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def end(self) -> list[tuple[float, float]]:
        """Return the CPU seconds of each slice, and which part of the file it moved."""
        self._ended.set()
        self._thread.join()
        size = self._size()
        pairs = zip(self._found, self._found[1:], strict=False)
        return [
            (later_cpu - cpu, (later_bytes - count) / size)
            for (cpu, count), (later_cpu, later_bytes) in pairs
        ]

    def _watch(self) -> None:
        while not self._ended.wait(SLICE):
            cpu, size = own_cpu_seconds(), self._size()
            # A slice in which nothing arrives is a part of the next.
            if size > self._found[-1][1]:
                self._found.append((cpu, size))

    def _size(self) -> int:
        return sum(path.stat().st_size for path in self._folder.iterdir())


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
