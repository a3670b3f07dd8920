"""Jobs: a service relays streams, with FastAPI and uvicorn on one core, all else on another.

The server (server/readers.rs) also has the service's readers.
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

# Seconds for a service to start, and for its readers to end.
START_TIMEOUT, END_TIMEOUT = 10, 40
# The readers of a first check, and the events of each.
CHECK_READERS, CHECK_EVENTS = 100, 200
# Events of one reader when throughput is measured.
MIN_EVENTS, MAX_EVENTS = 200, 5000
# The same as `Relay.headers` of this library.
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
# Measured longer than other jobs, so that each of 1,000 readers has its turn.
TIME_FACTOR = 5


class Readers:
    """Controls the service's readers, which run in the server's process."""

    def __init__(self, origin: str, port: int) -> None:
        self._connection = HTTPConnection(origin.removeprefix("http://"))
        self._port = port

    def ask(self, path: str) -> Any:
        """Return the number or object that the server answers."""
        self._connection.request("GET", path)
        return json.loads(self._connection.getresponse().read())

    def open(self, count: int, path: str) -> None:
        """Replace the readers by `count` new ones, and wait until each has its first event."""
        opened = self.ask(f"/readers/{self._port}/{count}/relay/{path}")
        if opened != count:
            raise TimeoutError(
                f"only {opened:,} of {count:,} readers received an event: {self.totals()['wrong']}"
            )

    def totals(self) -> dict[str, Any]:
        """Return what the readers have received so far."""
        totals: dict[str, Any] = self.ask("/read")
        return totals

    def end(self, count: int, events: int) -> dict[str, Any]:
        """Wait until all readers have ended, and return what they received.

        Raises ValueError unless each received that many events, the last of them ``done``.
        """
        end = time.monotonic() + END_TIMEOUT
        while (
            (totals := self.totals())["ended"] < count
            and not totals["wrong"]
            and time.monotonic() < end
        ):
            time.sleep(0.01)
        if (totals["ended"], totals["events"]) != (count, count * events):
            raise ValueError(f"wrong answer: {totals} for {count:,} readers of {events} events")
        return totals


def paced(task: Task) -> Sample:
    """Measure a service's CPU time for an event; each stream has one per interval."""
    with _service(task) as readers:
        _relay_at_full_speed(readers, task, CHECK_READERS, CHECK_EVENTS)
        readers.open(task.size, "paced/0")
        events = int(TIME_FACTOR * task.seconds * 1000) // task.interval
        server = Server(task.origin)
        offset = server.clock_offset()
        meter = Meter(task.server)
        start = server.ask(f"/pace/{task.interval}/{events}") + offset
        time.sleep((start + events * task.interval * 1_000_000 - time.monotonic_ns()) / 1e9)
        # Each reader received one event when it was opened.
        in_time = readers.totals()["events"] - task.size
        sample = meter.sample(in_time)
        # That event, the measured ones, and the last.
        totals = readers.end(task.size, events + 2)
    sample.more = {
        "events/s": sample.value,
        "p50 ms": totals["p50"] / 1e6,
        "p99 ms": totals["p99"] / 1e6,
        "in time %": 100 * in_time / (task.size * events),
    }
    sample.late = totals["late"] / 1e6
    assert sample.cpu is not None
    # Microseconds for one event are seconds for a million.
    sample.value, sample.cpu = sample.cpu, None
    return sample


def fast(task: Task) -> Sample:
    """Measure the events that a service relays in a second, with streams at full speed."""
    with _service(task) as readers:
        rate = _relay_at_full_speed(readers, task, CHECK_READERS, CHECK_EVENTS).value
        events = int(rate * TIME_FACTOR * task.seconds / task.size)
        events = max(MIN_EVENTS, min(MAX_EVENTS, events))
        return _relay_at_full_speed(readers, task, task.size, events)


def _relay_at_full_speed(readers: Readers, task: Task, count: int, events: int) -> Sample:
    """Open `count` readers, then relay that many events to each."""
    readers.open(count, "paced/0")
    meter = Meter(task.server)
    readers.ask(f"/pace/0/{events}")
    # One event opened each reader, and there is a last one.
    readers.end(count, events + 2)
    return meter.sample(count * events)


@contextmanager
def _service(task: Task) -> Iterator[Readers]:
    """Run a service in a thread."""
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
        end = time.monotonic() + START_TIMEOUT
        while not server.started:
            if time.monotonic() > end:
                raise SystemExit("the service did not start")
            time.sleep(0.01)
        yield Readers(task.origin, listener.getsockname()[1])
        server.should_exit = True
        thread.join(START_TIMEOUT)


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
