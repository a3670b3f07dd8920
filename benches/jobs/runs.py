"""The jobs of whole runs: a model is run, so many at a time, and its output is read."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from contenders.predictions import OURS, TOKEN
from contenders.run_sockets import together
from contenders.runs import INPUT, MODEL, RUN, RUN_ASYNC, SIZE, predictions
from jobs.files import content
from jobs.sampling import Meter, Sample, Task, load, load_async
from machine import resident_bytes

NODE, BARE = "Node", "bare sockets"
NODE_SOURCE = Path(__file__).parents[1] / "contenders" / "node_runs.mjs"
# Seconds between two polls of a run that waits: none is made while its memory is measured.
NEVER = 3600


def check(output: Any) -> None:
    """Raise unless this is the file that the model made."""
    if bytes(output) != content(SIZE):
        raise ValueError(f"wrong answer: {len(output)} bytes")


def run_sync(task: Task) -> Sample:
    """Run a model, one run after another."""
    if task.contender == NODE:
        return _node(task)
    with RUN[task.contender](task.secure_origin, task.certificate) as run:
        check(run())

        def checked() -> None:
            check_length(run())

        load(checked, task.warm_up)
        meter = Meter(task.server)
        return meter.sample(load(checked, task.seconds))


def run_async(task: Task) -> Sample:
    """Run a model, so many runs at a time on an event loop."""
    if task.contender == NODE:
        return _node(task)
    return _bare(task) if task.contender == BARE else asyncio.run(_run_async(task))


async def _run_async(task: Task) -> Sample:
    async with RUN_ASYNC[task.contender](task.secure_origin, task.certificate) as run:
        check(await run())

        async def checked() -> None:
            check_length(await run())

        # So many connections are made before anything is timed.
        await load_async(checked, task.size, task.warm_up)
        meter = Meter(task.server)
        return meter.sample(await load_async(checked, task.size, task.seconds))


def check_length(output: Any) -> None:
    """Raise unless this has the length of that file."""
    if len(output) != SIZE:
        raise ValueError(f"wrong answer: {len(output)} bytes")


def _bare(task: Task) -> Sample:
    """Do the same without a library and without an event loop of asyncio's."""
    where = predictions(task.secure_origin)
    with together(where, INPUT, SIZE, task.size, task.certificate) as runs:
        runs.load(task.warm_up)
        meter = Meter(task.server)
        return meter.sample(runs.load(task.seconds))


def _node(task: Task) -> Sample:
    """Have Node's official client do the same."""
    node = shutil.which("node")
    if node is None:
        raise SystemExit("there is no Node")
    given = {
        "base": f"{task.secure_origin}/v1",
        "token": TOKEN,
        "model": MODEL,
        "input": INPUT,
        "size": SIZE,
    }
    given |= {"in_flight": task.size, "warm_up": task.warm_up, "seconds": task.seconds}
    meter = Meter(task.server)
    done = subprocess.run(
        [node, str(NODE_SOURCE)],
        input=json.dumps(given),
        env={"NODE_EXTRA_CA_CERTS": task.certificate},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr or f"exit code {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout)
    # The share of the server's core is over its start, too, and so a lower bound.
    peak = {"peak MB": found["peak_mb"]}
    return Sample(
        found["per_second"], cpu=found["cpu_us"], server=meter.sample(1).server, more=peak
    )


def run_memory(task: Task) -> Sample:
    """Give the KB of memory that one more run takes that waits for its model."""
    assert task.contender == OURS
    return asyncio.run(_run_memory(task))


async def _run_memory(task: Task) -> Sample:
    import replicate_rs

    async with replicate_rs.AsyncReplicate(TOKEN, base_url=task.origin) as client:

        def waiting() -> asyncio.Task[Any]:
            wait: Any = {"mode": "poll", "interval": NEVER}
            return asyncio.ensure_future(
                client.run("slow/model", INPUT, wait=wait, cancel_on_exit=False)
            )

        async def until_all_wait(count: int) -> None:
            # All are between two polls when no more requests are under way.
            while client.stats().requests < count or client.stats().in_flight:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

        # The first brings what all share.
        runs = [waiting() for _ in range(10)]
        await until_all_wait(len(runs))
        gc.collect()
        before = resident_bytes()
        runs += [waiting() for _ in range(task.size)]
        await until_all_wait(len(runs))
        gc.collect()
        sample = Sample((resident_bytes() - before) / 1024 / task.size)
        for run in runs:
            run.cancel()
        await asyncio.wait(runs)
        return sample
