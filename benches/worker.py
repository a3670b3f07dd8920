"""Measures one contender at one thing, in a process of its own: ``worker.py '{"job": …}'`` prints a
sample as a line of JSON.

Anything that goes wrong ends the process with a traceback.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from contenders.predictions import (
    ALONE,
    ASYNC,
    OURS,
    PAGE,
    PREDICTION_ID,
    PROGRAMS,
    TOKEN,
    check,
    check_page,
)
from jobs.files import data_uri, read, save, save_all, stalls, upload
from jobs.growth import scale_body, scale_event, scale_page
from jobs.many_streams import many, memory
from jobs.runs import run_async, run_memory, run_sync
from jobs.sampling import Meter, Sample, Task, load, load_async
from jobs.streams import big, chunks_or_blocks, decode, first, parser
from jobs.webhooks import fastapi, many_webhooks, rust, unwrap, verify
from machine import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

# Fresh processes for one sample, at least: the median of fewer tells nothing.
FEWEST_STARTS = 3
# Seconds after which a started program is taken to hang.
PATIENCE = 10


def get_async(task: Task) -> Sample:
    """Await predictions, so many in flight."""
    return asyncio.run(_get_async(task))


async def _get_async(task: Task) -> Sample:
    async with ASYNC[task.contender](task.origin) as get:
        check(await get())
        await load_async(get, task.size, task.warm_up)
        meter = Meter(task.server)
        return meter.sample(await load_async(get, task.size, task.seconds))


def get_sync(task: Task) -> Sample:
    """Get predictions one after another, in one thread or in each of several on one client."""
    with ALONE[task.contender](task.origin) as get, ThreadPoolExecutor(task.size) as threads:

        def all_threads(seconds: float) -> int:
            if task.size == 1:
                return load(get, seconds)
            return sum(threads.map(lambda _: load(get, seconds), range(task.size)))

        check(get())
        all_threads(task.warm_up)
        meter = Meter(task.server)
        return meter.sample(all_threads(task.seconds))


def page(task: Task) -> Sample:
    """List pages of 100 predictions, one after another."""
    with PAGE[task.contender](task.origin) as get:
        check_page(get())
        load(get, task.warm_up)
        meter = Meter(task.server)
        return meter.sample(load(get, task.seconds))


def startup(task: Task) -> Sample:
    """Give the milliseconds that a program takes above bare Python, which is started in turn with
    it.
    """
    program = PROGRAMS[task.contender]
    source = program.imports
    if task.variant == "first":
        assert program.first is not None
        source = (
            f"{source}\norigin, prediction_id = {task.origin!r}, {PREDICTION_ID!r}\n{program.first}"
        )
        source += f"\nassert (status, id) == ('succeeded', {PREDICTION_ID!r})"
    clocks = "import time\nprint(time.monotonic_ns(), time.process_time_ns(), flush=True)"
    source += f"\n{clocks}"
    # Once for the bytecode and the file cache, and to see that it works.
    _start(clocks)
    _start(source)
    bare: list[tuple[float, float]] = []
    whole: list[tuple[float, float]] = []
    end = time.monotonic() + task.seconds
    while len(whole) < FEWEST_STARTS or time.monotonic() < end:
        bare.append(_start(clocks))
        whole.append(_start(source))
    bare_wall, bare_cpu = (median(each) for each in zip(*bare, strict=True))
    wall, cpu = (median(each) for each in zip(*whole, strict=True))
    return Sample(wall - bare_wall, cpu=cpu - bare_cpu, bare=bare_wall)


def _start(source: str) -> tuple[float, float]:
    """Run a program in a new interpreter; gives the milliseconds, by the clock and of CPU, until it
    prints.
    """
    # The monotonic clock is one for all processes of a system, so the end of the interpreter is not
    # counted.
    started = time.monotonic_ns()
    try:
        answer = subprocess.run(
            [sys.executable, "-I", "-c", source],
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SystemExit(
            f"the program {'did not end' if error.stdout else 'printed nothing'} within"
            f" {PATIENCE} s"
        ) from None
    if not answer.stdout:
        # It has said why.
        raise SystemExit(1)
    printed, cpu = map(int, answer.stdout.split())
    return (printed - started) / 1e6, cpu / 1e6


def clients(task: Task) -> Sample:
    """Give the KB of memory that one more client takes."""
    import replicate_rs

    assert task.contender == OURS

    def client() -> replicate_rs.Replicate:
        new = replicate_rs.Replicate(TOKEN, base_url=task.origin)
        if task.variant == "used":
            check(new.predictions.get(PREDICTION_ID))
        return new

    # The first brings what all share: the runtime, and modules imported on first use.
    kept = [client()]
    gc.collect()
    before = resident_bytes()
    kept += [client() for _ in range(task.size)]
    gc.collect()
    return Sample((resident_bytes() - before) / 1024 / (len(kept) - 1))


def relay(task: Task) -> Sample:
    """Pass streams on to readers."""
    # Imported here, for it takes longer than some jobs do.
    from jobs.relays import fast, paced

    return paced(task) if task.interval else fast(task)


JOBS: dict[str, Callable[[Task], Sample]] = {
    "get_async": get_async,
    "get_sync": get_sync,
    "page": page,
    "run_async": run_async,
    "run_sync": run_sync,
    "run_memory": run_memory,
    "scale_flight": get_async,
    "scale_page": scale_page,
    "scale_event": scale_event,
    "scale_body": scale_body,
    "import": startup,
    "clients": clients,
    "sse_parser": parser,
    "sse_decode": decode,
    "sse_blocks": chunks_or_blocks,
    "sse_chunks": chunks_or_blocks,
    "sse_first": first,
    "sse_many": many,
    "sse_big": big,
    "sse_memory": memory,
    "relay_paced": relay,
    "relay_fast": relay,
    "files_save": save,
    "files_read": read,
    "files_upload": upload,
    "files_ticker": stalls,
    "files_data_uri": data_uri,
    "files_save_all": save_all,
    "webhook_verify": verify,
    "webhook_unwrap": unwrap,
    "webhook_many": many_webhooks,
    "webhook_fastapi": fastapi,
    "webhook_rust": rust,
}


def main() -> None:
    """Do the task in the first argument."""
    arguments: dict[str, Any] = json.loads(sys.argv[1])
    task = Task(**arguments)
    print(json.dumps(asdict(JOBS[task.job](task))), flush=True)


if __name__ == "__main__":
    main()
