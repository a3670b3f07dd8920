"""Jobs that show how cost grows with the size of a page, an event or a file."""

from __future__ import annotations

from contenders import OURS, check_prediction
from contenders.files import FILES
from contenders.pages import SIZED_PAGES
from contenders.streams import STREAMS
from jobs.file_content import content
from jobs.sampling import Sample, Task, measure

# Bytes of the events of one stream (server/streams.rs).
STREAM_SIZE = 4 << 20
# What is compared at each size. Slow libraries are left out, as they would only take time.
IN_FLIGHT = [OURS, "pyreqwest", "wreq", "aiohttp"]
EVENT_SIZES = [OURS, "httpx-sse", "urllib3 + hand"]
BODY_SIZES = [OURS, "httpx", "requests", "pyreqwest"]


def scale_page(task: Task) -> Sample:
    """Fetch pages of `size` predictions."""
    with SIZED_PAGES[task.contender](task.origin) as get_page:

        def get() -> None:
            page = get_page(task.size)
            results = page["results"] if isinstance(page, dict) else page.results
            if len(results) != task.size:
                raise ValueError(f"wrong answer: {len(results)} predictions")
            check_prediction(results[-1])

        return measure(get, task)


def scale_event(task: Task) -> Sample:
    """Read streams of events of `size` bytes; an operation is one event."""
    events = STREAM_SIZE // task.size
    with STREAMS[task.contender](task.origin) as stream:

        def read() -> None:
            count = size = 0
            for event in stream(f"/stream/sized/{task.size}"):
                count += 1
                size += len(event.data)
            if (count, size) != (events + 1, events * task.size + len("{}")):
                raise ValueError(f"wrong answer: {count} events with {size} bytes")

        return measure(read, task, events)


def scale_body(task: Task) -> Sample:
    """Read files of `size` bytes."""
    url = f"{task.origin}/file/{task.size}"
    with FILES[task.contender](task.origin, None) as functions:
        if bytes(functions.read(url)) != content(task.size):
            raise ValueError("wrong answer")

        def read() -> None:
            length = len(functions.read(url))
            if length != task.size:
                raise ValueError(f"wrong answer: {length} bytes")

        return measure(read, task)
