"""A server that listens: a thread with uvicorn, on two ports."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

import uvicorn

from .app import api
from .endpoints.delivery import Delivery
from .execution import Execution
from .faults import Fault
from .state import State
from .traffic import Connections, Traffic

T = TypeVar("T")

# Seconds for requests that are under way when the server stops.
GRACE = 1


class Running:
    """Listens from its making until `stop`."""

    def __init__(self, state: State, faults: list[Fault], listeners: list[socket.socket]) -> None:
        self.state = state
        self._faults = faults
        self._listeners = listeners
        self._server: uvicorn.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="replicate-local", daemon=True)
        # The sockets listen already: the first request waits in their backlog until the loop runs.
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())
        self.state.close()

    async def _serve(self) -> None:
        connections = Connections()
        app = Traffic(self.state, self._faults, connections, api(self.state, Execution(self.state)), Delivery(self.state).app)
        config = uvicorn.Config(
            app,
            http=connections.protocol(),
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=GRACE,
        )
        self._server = uvicorn.Server(config)
        await self._server.serve(sockets=self._listeners)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on the server's thread, and give what it gives."""

        async def main() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(main(), self._loop).result()

    def stop(self) -> None:
        """End what runs, and stop listening."""
        with contextlib.suppress(RuntimeError):
            self.call(self.state.stop)
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(GRACE + 9)
