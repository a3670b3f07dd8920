"""The jobs of a service that passes streams on: FastAPI and uvicorn on one core, the model and the
readers on another.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from contenders.relays import RELAYS
from jobs.many_streams import Server
from jobs.sampling import Meter, Sample, Task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# Seconds after which a service is taken not to start, and after which its readers are taken not to
# end.
START, END = 10, 40
# At first, so many readers get so many events each: to see that they do, and how fast.
FEW, CHECKED = 100, 200
# Events of one reader, when it is measured how fast they go: as many as pass in the time, within
# these.
FEWEST, MOST = 200, 5000
# What ours has as a relay's `headers`.
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
# They take longer than other jobs do: a thousand readers are many to be fair to.
LONGER = 5


class Readers:
    """The service's readers, which are in the model's process: both must be cheap."""

    def __init__(self, origin: str, port: int) -> None:
        self._connection = HTTPConnection(origin.removeprefix("http://"))
        self._port = port

    def ask(self, path: str) -> Any:
        """Give what is answered, a number or an object."""
        self._connection.request("GET", path)
        return json.loads(self._connection.getresponse().read())

    def open(self, count: int, path: str) -> None:
        """Have so many readers, each with an event, in place of those that there were."""
        opened = self.ask(f"/readers/{self._port}/{count}/relay/{path}")
        if opened != count:
            raise TimeoutError(
                f"after {opened:,} of {count:,} readers none had an event: {self.seen()['wrong']}"
            )

    def seen(self) -> dict[str, Any]:
        """Give what they have seen so far."""
        seen: dict[str, Any] = self.ask("/read")
        return seen

    def end(self, count: int, events: int) -> dict[str, Any]:
        """Wait until all have ended; raises unless each got so many events, the last of them
        ``done``.
        """
        end = time.monotonic() + END
        while (
            (seen := self.seen())["ended"] < count and not seen["wrong"] and time.monotonic() < end
        ):
            time.sleep(0.01)
        if (seen["ended"], seen["events"]) != (count, count * events):
            raise ValueError(f"wrong answer: {seen} for {count:,} times {events} events")
        return seen


def paced(task: Task) -> Sample:
    """Give the CPU time that a service takes for an event, of many streams whose events come one by
    one.
    """
    with _service(task) as readers:
        _rush(readers, task, FEW, CHECKED)
        readers.open(task.size, "paced/0")
        each = int(LONGER * task.seconds * 1000) // task.interval
        model = Server(task.origin)
        behind = model.behind()
        meter = Meter(task.server)
        start = model.ask(f"/pace/{task.interval}/{each}") + behind
        time.sleep((start + each * task.interval * 1_000_000 - time.monotonic_ns()) / 1e9)
        # Each has had one already, to be open.
        in_time = readers.seen()["events"] - task.size
        sample = meter.sample(in_time)
        # That, the counted ones, and the end.
        seen = readers.end(task.size, each + 2)
    sample.more = {
        "events/s": sample.value,
        "p50 ms": seen["p50"] / 1e6,
        "p99 ms": seen["p99"] / 1e6,
        "in time %": 100 * in_time / (task.size * each),
    }
    sample.late = seen["late"] / 1e6
    assert sample.cpu is not None
    # A millionth of a second for each event is a second for a million of them.
    sample.value, sample.cpu = sample.cpu, None
    return sample


def fast(task: Task) -> Sample:
    """Give the events that a service passes on in a second, of streams that come as fast as they
    are read.
    """
    with _service(task) as readers:
        rate = _rush(readers, task, FEW, CHECKED).value
        each = int(rate * LONGER * task.seconds / task.size)
        return _rush(readers, task, task.size, max(FEWEST, min(MOST, each)))


def _rush(readers: Readers, task: Task, count: int, each: int) -> Sample:
    """Have so many readers get so many events each; they are all there before the first of these."""
    readers.open(count, "paced/0")
    meter = Meter(task.server)
    readers.ask(f"/pace/0/{each}")
    # Each has had one already, to be open; and there is the end.
    readers.end(count, each + 2)
    return meter.sample(count * each)


@contextmanager
def _service(task: Task) -> Iterator[Readers]:
    """Run a service in a thread; gives its readers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        quiet: dict[str, Any] = {
            "access_log": False,
            "log_level": "error",
            "timeout_graceful_shutdown": 1,
        }
        server = uvicorn.Server(
            uvicorn.Config(_app(task), loop="uvloop", http="httptools", lifespan="on", **quiet)
        )
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        end = time.monotonic() + START
        while not server.started:
            if time.monotonic() > end:
                raise SystemExit("the service did not start")
            time.sleep(0.01)
        yield Readers(task.origin, listener.getsockname()[1])
        server.should_exit = True
        thread.join(START)


def _app(task: Task) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with RELAYS[task.contender](task.origin) as relay:
            app.state.relay = relay
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/relay/{kind}/{size}", response_class=StreamingResponse)
    async def answer(kind: str, size: str) -> StreamingResponse:
        return StreamingResponse(await app.state.relay(f"{kind}/{size}"), headers=HEADERS)

    return app
