"""Processes that run `map` over one journal, and what they use meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit

from machine import clean_environment

PROGRAM = Path(__file__).parents[1] / "map_worker.py"
# Seconds between two looks at what is measured while workers run.
INTERVAL = 0.25
ESTABLISHED = "01"


class Load(NamedTuple):
    """What workers are told to do."""

    origin: str
    model: str
    journal: str
    inputs: int
    """Of all workers together."""
    concurrency: int
    """Of each worker."""
    rate: int = 0
    """Creates a minute of all workers together; 0: no limit."""


class Used(NamedTuple):
    """What workers have used."""

    seconds: float
    """Of the worker that took longest."""
    cpu: float
    """Seconds, of all workers."""
    api_connections: int
    """Of all workers, at most."""
    database_connections: int
    samples: list[tuple[float, float]]
    """Times, and what was measured then."""


def count_connections(port: int) -> int:
    """Return how many connections lead to a port of this machine."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = (line.split()[2:4] for line in lines)
    return sum(
        state == ESTABLISHED and int(remote.partition(":")[2], 16) == port for remote, state in ends
    )


def run_workers(
    count: int, load: Load, database_port: int, sample: Callable[[], float] = lambda: 0.0
) -> Used:
    """Run a part of the inputs in each of `count` processes, with one journal."""
    share = load.inputs // count
    port = urlsplit(load.origin).port or 0
    # Whoever simulates has connections of its own.
    own = count_connections(database_port)
    workers = [_start(load, number * share, share) for number in range(count)]
    for worker in workers:
        _read(worker.stdout)
    ended = threading.Event()
    api, database, samples = [0], [0], []

    def watch() -> None:
        while not ended.wait(INTERVAL):
            api.append(count_connections(port))
            database.append(count_connections(database_port) - own)
            samples.append((time.perf_counter(), sample()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for worker in workers:
            print(file=worker.stdin, flush=True)
        reports = [tuple(map(float, _read(worker.stdout).split())) for worker in workers]
    finally:
        ended.set()
        watcher.join()
    for worker in workers:
        worker.communicate()
        if worker.returncode:
            raise SystemExit(f"a worker ended with {worker.returncode}")
    cpu, seconds = zip(*reports, strict=True)
    return Used(max(seconds), sum(cpu), max(api), max(database), samples)


def _start(load: Load, first: int, share: int) -> subprocess.Popen[str]:
    numbers = (first, share, load.concurrency, load.rate)
    return subprocess.Popen(
        [sys.executable, PROGRAM, load.origin, load.model, load.journal, *map(str, numbers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )


def _read(stream: IO[str] | None) -> str:
    assert stream is not None
    line = stream.readline()
    if not line:
        raise SystemExit("a worker has ended")
    return line
