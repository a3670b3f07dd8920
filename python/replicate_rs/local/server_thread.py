"""A server that listens: a thread with uvicorn, on two ports."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

import uvicorn

from .api.output import Delivery
from .app import api
from .clock import monotonic
from .execution import Execution
from .state import State
from .traffic.faults import Fault
from .traffic.middleware import Connections, Traffic

T = TypeVar("T")

# Seconds for requests that are under way when the server stops.
GRACE = 1
_ENDED = "the server ended before it had started"


class _Server(uvicorn.Server):
    """Says when it has started."""

    def __init__(self, config: uvicorn.Config, started: concurrent.futures.Future[None]) -> None:
        super().__init__(config)
        self._has_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            raise RuntimeError(_ENDED)
        self._has_started.set_result(None)


class Running:
    """A server that answers requests, from its construction until `stop`.

    Raises:
        BaseException: Whatever ended it before it had started. The listening sockets are closed
            then.

    """

    def __init__(self, state: State, faults: list[Fault], listeners: list[socket.socket]) -> None:
        self.state = state
        self._faults = faults
        self._listeners = listeners
        self._server: uvicorn.Server | None = None
        self._loop = asyncio.new_event_loop()
        # A test that stops Python's clocks does not stop the server.
        self._loop.time = monotonic  # type: ignore[method-assign]
        self._started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name="replicate-local", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._close()
            raise
        self._started.result()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._close()
            # `start` raises it; later only the thread's own report can tell.
            if self._started.done():
                raise
            self._started.set_exception(
                error if isinstance(error, Exception) else RuntimeError(f"{_ENDED}: {error!r}")
            )
        else:
            self._close()
            if not self._started.done():
                self._started.set_exception(RuntimeError(_ENDED))

    def _close(self) -> None:
        # A socket that nobody accepts from would have its clients wait for their timeouts.
        for each in self._listeners:
            each.close()
        self._loop.close()
        self.state.close()

    async def _serve(self) -> None:
        connections = Connections()
        app = Traffic(
            self.state,
            self._faults,
            connections,
            api(self.state, Execution(self.state)),
            Delivery(self.state).app,
        )
        config = uvicorn.Config(
            app,
            http=connections.protocol(),
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=GRACE,
            # A fault finds its connection by the address of the peer.
            proxy_headers=False,
        )
        self._server = _Server(config, self._started)
        await self._server.serve(sockets=self._listeners)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on the server's thread, and return its result.

        Raises `RuntimeError` if that thread has ended.
        """
        result: concurrent.futures.Future[T] = concurrent.futures.Future()

        def call() -> None:
            try:
                result.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
                result.set_exception(error)

        self._loop.call_soon_threadsafe(call)
        while True:
            try:
                return result.result(1)
            except concurrent.futures.TimeoutError:
                if not self._thread.is_alive() and not result.done():
                    raise RuntimeError("the server has ended") from None

    def stop(self) -> None:
        """End what runs, and stop listening."""
        with contextlib.suppress(RuntimeError):
            self.call(self.state.stop)
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(GRACE + 9)
