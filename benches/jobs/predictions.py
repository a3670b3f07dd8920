"""Jobs: fetch predictions and pages of them, and the memory of clients."""

from __future__ import annotations

import asyncio
import gc
from collections import deque

from contenders import OURS, PREDICTION_ID, TOKEN, check_found, check_prediction
from contenders.all_pages import ALL_PAGES
from contenders.pages import PAGE_SIZE, PAGES, check_page
from contenders.predictions import ASYNC, ONE_THREAD
from jobs.sampling import Sample, Task, measure, measure_async, measure_threads
from machine import resident_bytes


def get_async(task: Task) -> Sample:
    """Fetch predictions on an event loop, `size` in flight."""
    return asyncio.run(_get_async(task))


async def _get_async(task: Task) -> Sample:
    async with ASYNC[task.contender](task.origin) as get:
        check_prediction(await get())
        return await measure_async(get, task)


def get_sync(task: Task) -> Sample:
    """Fetch predictions one after another, in each of `size` threads with one client."""
    with ONE_THREAD[task.contender](task.origin) as get:
        check_prediction(get())
        return measure(get, task) if task.size == 1 else measure_threads(get, task)


def page(task: Task) -> Sample:
    """Fetch pages of 100 predictions, one after another."""
    with PAGES[task.contender](task.origin) as get:
        check_page(get())
        return measure(get, task)


def page_auto(task: Task) -> Sample:
    """Read the items of `size` pages, one page after another; an operation is one page."""
    with ALL_PAGES[task.contender](task.origin) as read_all:

        def read() -> None:
            found = enumerate(read_all(f"/v1/predictions?left={task.size - 1}"), 1)
            [(count, last)] = deque(found, maxlen=1)
            if count != task.size * PAGE_SIZE:
                raise ValueError(f"wrong answer: {count:,} predictions of {task.size} pages")
            check_found(last)

        return measure(read, task, task.size)


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
