"""Jobs: fetch predictions and pages of them, and the memory of clients."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor

from contenders import OURS, PREDICTION_ID, TOKEN, check_prediction
from contenders.pages import PAGES, check_page
from contenders.predictions import ASYNC, ONE_THREAD
from jobs.sampling import Meter, Sample, Task, load, load_async, measure
from machine import resident_bytes


def get_async(task: Task) -> Sample:
    """Fetch predictions on an event loop, `size` in flight."""
    return asyncio.run(_get_async(task))


async def _get_async(task: Task) -> Sample:
    async with ASYNC[task.contender](task.origin) as get:
        check_prediction(await get())
        await load_async(get, task.size, task.warm_up)
        meter = Meter(task.server)
        return meter.sample(await load_async(get, task.size, task.seconds))


def get_sync(task: Task) -> Sample:
    """Fetch predictions one after another, in each of `size` threads with one client."""
    with ONE_THREAD[task.contender](task.origin) as get, ThreadPoolExecutor(task.size) as threads:

        def all_threads(seconds: float) -> int:
            if task.size == 1:
                return load(get, seconds)
            return sum(threads.map(lambda _: load(get, seconds), range(task.size)))

        check_prediction(get())
        all_threads(task.warm_up)
        meter = Meter(task.server)
        return meter.sample(all_threads(task.seconds))


def page(task: Task) -> Sample:
    """Fetch pages of 100 predictions, one after another."""
    with PAGES[task.contender](task.origin) as get:
        check_page(get())
        return measure(get, task)


def client_memory(task: Task) -> Sample:
    """Measure the KB of memory that one more client takes."""
    import replicate_rs

    assert task.contender == OURS

    def create() -> replicate_rs.Replicate:
        client = replicate_rs.Replicate(TOKEN, base_url=task.origin)
        if task.variant == "used":
            check_prediction(client.predictions.get(PREDICTION_ID))
        return client

    # The first client also creates what all clients share: the runtime and lazily loaded modules.
    clients = [create()]
    gc.collect()
    before = resident_bytes()
    clients += [create() for _ in range(task.size)]
    gc.collect()
    return Sample((resident_bytes() - before) / 1024 / task.size)
