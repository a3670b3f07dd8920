"""Jobs: run a model and read its output."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders import BARE_SOCKETS, NODE, TOKEN
from contenders.run_sockets import concurrent_runs
from contenders.runs import (
    INPUT,
    MODEL,
    OUTPUT_SIZE,
    RUN_ASYNC,
    RUN_ONE_THREAD,
    predictions_url,
)
from contenders.waiting_runs import WAITING_RUNS
from jobs.file_content import content
from jobs.sampling import Meter, Sample, Slices, Task, measure, measure_async, measure_threads
from machine import resident_bytes

if TYPE_CHECKING:
    from contenders.waiting_runs import WaitingRuns

NODE_PROGRAM = Path(__file__).parents[1] / "contenders" / "node_runs.mjs"


def check_output(output: Any) -> None:
    """Raise ValueError unless this is the content of the model's output."""
    if bytes(output) != content(OUTPUT_SIZE):
        raise ValueError(f"wrong answer: {len(output)} bytes")


def run_sync(task: Task) -> Sample:
    """Run a model, one run after another, in each of `size` threads with one client."""
    if task.contender == NODE:
        return _node(task)
    with RUN_ONE_THREAD[task.contender](task.secure_origin, task.certificate) as run:
        check_output(run())

        def run_once() -> None:
            check_length(run())

        return measure(run_once, task) if task.size == 1 else measure_threads(run_once, task)


def run_async(task: Task) -> Sample:
    """Run a model, `size` runs at a time."""
    if task.contender == NODE:
        return _node(task)
    if task.contender == BARE_SOCKETS:
        return _bare_sockets(task)
    return asyncio.run(_run_async(task))


async def _run_async(task: Task) -> Sample:
    async with RUN_ASYNC[task.contender](task.secure_origin, task.certificate) as run:
        check_output(await run())

        async def run_once() -> None:
            check_length(await run())

        # The warm-up opens the connections.
        return await measure_async(run_once, task)


def check_length(output: Any) -> None:
    """Raise ValueError unless this has the length of the model's output."""
    if len(output) != OUTPUT_SIZE:
        raise ValueError(f"wrong answer: {len(output)} bytes")


def _bare_sockets(task: Task) -> Sample:
    """Run a model without a library and without asyncio."""
    url = predictions_url(task.secure_origin)
    with concurrent_runs(url, INPUT, OUTPUT_SIZE, task.size, task.certificate) as runs:
        runs.load(task.warm_up, Slices().add)
        meter = Meter(task.server, task.size)
        return meter.sample(runs.load(task.seconds, meter.slices.add))


def _node(task: Task) -> Sample:
    """Run a model with Replicate's client for Node."""
    node = shutil.which("node")
    if node is None:
        raise SystemExit("Node is not installed")
    options = {
        "base": f"{task.secure_origin}/v1",
        "token": TOKEN,
        "model": MODEL,
        "input": INPUT,
        "size": OUTPUT_SIZE,
        "in_flight": task.size,
        "warm_up": task.warm_up,
        "seconds": task.seconds,
    }
    meter = Meter(task.server)
    process = subprocess.run(
        [node, str(NODE_PROGRAM)],
        input=json.dumps(options),
        env={"NODE_EXTRA_CA_CERTS": task.certificate},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise SystemExit(process.stderr or f"exit code {process.returncode}")
    result: dict[str, float] = json.loads(process.stdout)
    return Sample(
        result["per_second"],
        cpu=result["cpu_us"],
        # A lower bound, for the time includes Node's start.
        server=meter.sample(1).server,
        more={"peak MB": result["peak_mb"]},
    )


def run_memory(task: Task) -> Sample:
    """Measure the KB of memory that one more waiting run takes."""
    return asyncio.run(_run_memory(task))


async def _run_memory(task: Task) -> Sample:
    async with WAITING_RUNS[task.contender](task.origin) as contender:
        # The first runs also create what all runs share.
        runs = await _started(contender, [], 10)
        before = resident_bytes()
        runs = await _started(contender, runs, task.size)
        sample = Sample((resident_bytes() - before) / 1024 / task.size)
        for run in runs:
            run.cancel()
        await asyncio.wait(runs)
        return sample


async def _started(
    contender: WaitingRuns, runs: list[asyncio.Task[Any]], count: int
) -> list[asyncio.Task[Any]]:
    """Start `count` runs more, and return all when all wait."""
    runs = [*runs, *(asyncio.ensure_future(contender.run()) for _ in range(count))]
    while contender.waiting() < len(runs):
        ended, _ = await asyncio.wait(runs, timeout=0.01)
        for run in ended:
            raise ValueError(f"wrong answer: a run returned {run.result()}")
    gc.collect()
    return runs
