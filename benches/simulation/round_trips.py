"""A way to a server that counts round trips."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 1 << 16


class RoundTrips:
    """Passes bytes on, and counts how often a client sends after the server has."""

    def __init__(self, port: int) -> None:
        self.count: int = 0
        self.port: int = 0
        self._target = port

    async def start(self) -> None:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1")
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", self._target)
        answered = True

        async def pass_requests() -> None:
            nonlocal answered
            while data := await reader.read(SIZE):
                self.count += answered
                answered = False
                requests.write(data)
            requests.close()

        async def pass_answers() -> None:
            nonlocal answered
            while data := await answers.read(SIZE):
                answered = True
                writer.write(data)
            writer.close()

        await asyncio.gather(pass_requests(), pass_answers(), return_exceptions=True)


@contextmanager
def counting_round_trips(port: int) -> Iterator[RoundTrips]:
    """Count round trips to a port of this machine, on a thread."""
    trips, loop = RoundTrips(port), asyncio.new_event_loop()
    loop.run_until_complete(trips.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield trips
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
