"""Jobs: run a model on many inputs."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from contenders import OURS, TOKEN
from contenders.maps import MAPS, MODEL
from jobs.sampling import Meter, Sample, Task
from machine import ROOT, peak_bytes, reset_peak, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

# 1.0.7 takes so much longer that it gets one of so many inputs.
SLOW = {"1.0.7": 20}
# Inputs before anything is measured, and before memory is.
WARM_UP, SETTLED = 500, 20_000
# Rows that are written to a journal at once.
BATCH = 900


def create_inputs(first: int, count: int) -> Iterator[dict[str, Any]]:
    """Create inputs, of which each has a text of its own."""
    for number in range(first, first + count):
        yield {
            "prompt": f"an iguana on the beach, pointillism, {number}",
            "num_outputs": 1,
            "seed": number,
        }


@contextmanager
def journal_folder() -> Iterator[Path]:
    """Create a folder on the disk: what a journal's syncs cost is a part of the result."""
    with tempfile.TemporaryDirectory(prefix="replicate-rs-bench-", dir=ROOT / ".bench") as folder:
        yield Path(folder)


def count_created(task: Task) -> int:
    """Return how many predictions the server has created."""
    with urlopen(f"{task.origin}/created") as response:
        return int(response.read())


def size_of(journal: Path) -> int:
    """Return the bytes of a journal, with what SQLite keeps beside it."""
    return sum(path.stat().st_size for path in journal.parent.glob(f"{journal.name}*"))


async def run_all(task: Task, first: int, count: int, journal: Path) -> None:
    """Run the model on inputs; raise ValueError unless each has its output, and one prediction."""
    created = count_created(task)
    inputs = create_inputs(first, count)
    seen: set[str] = set()
    async for prompt, output in MAPS[task.contender](
        task.origin, inputs, task.in_flight, str(journal)
    ):
        if output != prompt:
            raise ValueError(f"wrong answer: {output!r} for {prompt!r}")
        seen.add(prompt)
    if len(seen) != count:
        raise ValueError(f"wrong answer: {len(seen):,} of {count:,} outputs")
    if (created := count_created(task) - created) != count:
        raise ValueError(f"wrong answer: {created:,} predictions for {count:,} inputs")


def run_many(task: Task) -> Sample:
    """Run a model on `size` inputs."""
    count = task.size // SLOW.get(task.contender, 1)
    with journal_folder() as folder:
        asyncio.run(run_all(task, count, WARM_UP // SLOW.get(task.contender, 1), folder / "warm"))
        journal = folder / "runs.db"
        meter = Meter(task.server)
        asyncio.run(run_all(task, 0, count, journal))
        sample = meter.sample(count)
        if size := size_of(journal):
            sample.more["journal bytes/input"] = size / count
        return sample


def map_memory(task: Task) -> Sample:
    """Measure the MB by which this process grows while `size` inputs run, with a journal."""
    assert task.contender == OURS
    return asyncio.run(_map_memory(task))


async def _map_memory(task: Task) -> Sample:
    import replicate_rs

    created = count_created(task)
    before = done = 0
    with journal_folder() as folder:
        journal = folder / "runs.db"
        meter = Meter(task.server)
        async with replicate_rs.AsyncReplicate(TOKEN, base_url=task.origin) as client:
            async for result in client.map(
                MODEL, create_inputs(0, task.size), concurrency=task.in_flight, journal=journal
            ):
                if result.output != result.input["prompt"]:
                    raise ValueError(f"wrong answer: {result.output!r} for {result.input}")
                done += 1
                # Caches, connections and the modules that are imported late have their size then.
                if done == min(SETTLED, task.size // 10):
                    gc.collect()
                    reset_peak()
                    before = resident_bytes()
        if (done, count_created(task) - created) != (task.size, task.size):
            raise ValueError(f"wrong answer: {done:,} results, {task.size:,} inputs")
        sample = meter.sample(task.size)
        sample.more["inputs/s"] = sample.value
        sample.more["journal bytes/input"] = size_of(journal) / task.size
        sample.value = (peak_bytes() - before) / 1e6
        return sample


def map_reopen(task: Task) -> Sample:
    """Measure the seconds from `map` to its first new create, with a journal of `size` inputs."""
    assert task.contender == OURS
    import replicate_rs

    with journal_folder() as folder:
        journal = folder / "runs.db"
        write_journal(journal, task.size)
        size = size_of(journal)
        # The same inputs are taken again, or new ones alone.
        first = 0 if task.variant == "same" else task.size
        count = task.size + 1 if task.variant == "same" else 1
        created = count_created(task)
        with replicate_rs.Replicate(TOKEN, base_url=task.origin) as client:
            client.run(MODEL, {"prompt": "warm"})
            begun_at = time.perf_counter()
            for result in client.map(
                MODEL, create_inputs(first, count), concurrency=task.in_flight, journal=journal
            ):
                if not result.from_journal:
                    break
            seconds = time.perf_counter() - begun_at
        if result.from_journal or count_created(task) - created != 2:
            raise ValueError("wrong answer: not one new prediction")
        return Sample(seconds, more={"journal bytes/input": size / task.size})


def write_journal(path: Path, count: int) -> None:
    """Write a journal of inputs that are done, without their outputs and without a server."""
    from replicate_rs._batch.keys import Input, read_input, target_digest
    from replicate_rs._batch.rows import Outcome
    from replicate_rs._batch.sqlite import SqliteStore

    store = SqliteStore.open(str(path), MODEL)
    target = target_digest(MODEL)
    for first in range(0, count, BATCH):
        inputs = create_inputs(first, min(BATCH, count - first))
        items = [read_input(each, index, target) for index, each in enumerate(inputs, first)]
        claims = store.claim([item for item in items if isinstance(item, Input)])
        numbers = [claim.number for claim in claims]
        now = time.time()
        store.write(
            [(f"{number:026}", number) for number in numbers],
            [Outcome(number, "succeeded", now, 0.012683, None, None, None) for number in numbers],
        )
    store.release([])
    store.close()
