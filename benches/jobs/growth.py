"""The jobs that show how cost grows: the same work with ever more, or ever larger, of what it is
about.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from contenders.files import FILES
from contenders.predictions import OURS, TOKEN, check
from contenders.streams import FOLLOW
from jobs.files import content
from jobs.sampling import Meter, Sample, Task, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    # Takes how many predictions a page has.
    Listing = Callable[[int], Any]

# Bytes of the events of one stream, as the server has them.
TOGETHER = 4 << 20
# What is compared at each size; those that are slow everywhere would only take time.
IN_FLIGHT = [OURS, "pyreqwest", "wreq", "aiohttp"]
OF_EVENTS = [OURS, "httpx-sse", "urllib3 + hand"]
OF_BODIES = [OURS, "httpx", "requests", "pyreqwest"]


@contextmanager
def _ours(origin: str) -> Iterator[Listing]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:
        yield lambda size: client.predictions.list(extra_query={"limit": size})


@contextmanager
def _httpx(origin: str) -> Iterator[Listing]:
    import httpx

    with httpx.Client() as client:
        yield lambda size: client.get(f"{origin}/v1/predictions", params={"limit": size}).json()


@contextmanager
def _pyreqwest(origin: str) -> Iterator[Listing]:
    from pyreqwest.client import SyncClientBuilder

    with SyncClientBuilder().build() as client:
        yield lambda size: client.get(f"{origin}/v1/predictions?limit={size}").build().send().json()


PAGES: dict[str, Callable[[str], AbstractContextManager[Listing]]] = {
    OURS: _ours,
    "httpx": _httpx,
    "pyreqwest": _pyreqwest,
}


def scale_page(task: Task) -> Sample:
    """List pages of so many predictions."""
    with PAGES[task.contender](task.origin) as listing:

        def page() -> None:
            found = listing(task.size)
            results = found["results"] if isinstance(found, dict) else found.results
            if len(results) != task.size:
                raise ValueError(f"wrong answer: {len(results)} predictions")
            check(results[-1])

        return _again_and_again(page, task)


def scale_event(task: Task) -> Sample:
    """Read streams of events that have so many bytes; what is counted is the events."""
    each = TOGETHER // task.size
    with FOLLOW[task.contender](task.origin) as follow:

        def stream() -> None:
            count = size = 0
            for event in follow(f"/stream/sized/{task.size}"):
                count += 1
                size += len(event.data)
            if (count, size) != (each + 1, each * task.size + len("{}")):
                raise ValueError(f"wrong answer: {count} events with {size} bytes")

        return _again_and_again(stream, task, each)


def scale_body(task: Task) -> Sample:
    """Read files of so many bytes."""
    url = f"{task.origin}/file/{task.size}"
    with FILES[task.contender](task.origin, None) as ways:
        if bytes(ways.read(url)) != content(task.size):
            raise ValueError("wrong answer")

        def read() -> None:
            found = ways.read(url)
            if len(found) != task.size:
                raise ValueError(f"wrong answer: {len(found)} bytes")

        return _again_and_again(read, task)


def _again_and_again(work: Callable[[], None], task: Task, each: int = 1) -> Sample:
    load(work, task.warm_up)
    meter = Meter(task.server)
    return meter.sample(load(work, task.seconds, each))
