"""Jobs: run a model and read its output."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

from contenders import BARE_SOCKETS, NODE, OURS, TOKEN
from contenders.run_sockets import concurrent_runs
from contenders.runs import INPUT, MODEL, OUTPUT_SIZE, RUN, RUN_ASYNC, predictions_url
from jobs.file_content import content
from jobs.sampling import Meter, Sample, Task, load_async, measure
from machine import resident_bytes

NODE_PROGRAM = Path(__file__).parents[1] / "contenders" / "node_runs.mjs"
# Between two polls of a waiting run: no poll happens while memory is measured.
POLL_INTERVAL = timedelta(hours=1)


def check_output(output: Any) -> None:
    """Raise ValueError unless this is the content of the model's output."""
    if bytes(output) != content(OUTPUT_SIZE):
        raise ValueError(f"wrong answer: {len(output)} bytes")


def run_sync(task: Task) -> Sample:
    """Run a model, one run after another."""
    if task.contender == NODE:
        return _node(task)
    with RUN[task.contender](task.secure_origin, task.certificate) as run:
        check_output(run())

        def run_once() -> None:
            check_length(run())

        return measure(run_once, task)


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

        # Opens the connections.
        await load_async(run_once, task.size, task.warm_up)
        meter = Meter(task.server)
        return meter.sample(await load_async(run_once, task.size, task.seconds))


def check_length(output: Any) -> None:
    """Raise ValueError unless this has the length of the model's output."""
    if len(output) != OUTPUT_SIZE:
        raise ValueError(f"wrong answer: {len(output)} bytes")


def _bare_sockets(task: Task) -> Sample:
    """Run a model without a library and without asyncio."""
    url = predictions_url(task.secure_origin)
    with concurrent_runs(url, INPUT, OUTPUT_SIZE, task.size, task.certificate) as runs:
        runs.load(task.warm_up)
        meter = Meter(task.server)
        return meter.sample(runs.load(task.seconds))


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
    assert task.contender == OURS
    return asyncio.run(_run_memory(task))


async def _run_memory(task: Task) -> Sample:
    import replicate_rs

    async with replicate_rs.AsyncReplicate(TOKEN, base_url=task.origin) as client:

        def start() -> asyncio.Task[Any]:
            wait: Any = {"mode": "poll", "interval": POLL_INTERVAL}
            return asyncio.ensure_future(
                client.run("slow/model", INPUT, wait=wait, cancel_on_exit=False)
            )

        async def until_all_wait(runs: list[asyncio.Task[Any]]) -> None:
            # A run waits when its requests are complete.
            while client.stats().requests < len(runs) or client.stats().in_flight:
                ended, _ = await asyncio.wait(runs, timeout=0.01)
                for run in ended:
                    raise ValueError(f"wrong answer: a run returned {run.result()}")

        # The first runs also create what all runs share.
        runs = [start() for _ in range(10)]
        await until_all_wait(runs)
        gc.collect()
        before = resident_bytes()
        runs += [start() for _ in range(task.size)]
        await until_all_wait(runs)
        gc.collect()
        sample = Sample((resident_bytes() - before) / 1024 / task.size)
        for run in runs:
            run.cancel()
        await asyncio.wait(runs)
        return sample
