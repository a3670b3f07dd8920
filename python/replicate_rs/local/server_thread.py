"""The thread that serves both origins with uvicorn."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

import uvicorn

from .app import Apps
from .clock import monotonic
from .state import State
from .traffic.faults import Fault
from .traffic.middleware import Connections, TrafficMiddleware

T = TypeVar("T")

# Seconds that `stop` allows for requests in progress, and seconds that it waits for the thread.
SHUTDOWN_TIMEOUT = 1
JOIN_TIMEOUT = 10
_ENDED_EARLY = "the server ended before it had started"


class _UvicornServer(uvicorn.Server):
    """Resolves a future when it has started."""

    def __init__(self, config: uvicorn.Config, on_start: concurrent.futures.Future[None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            raise RuntimeError(_ENDED_EARLY)
        self._on_start.set_result(None)


class ServerThread:
    """A thread that serves requests from its construction until `stop`.

    Args:
        state: The server's state, which is closed at the end.
        faults: The faults, to which more may be added.
        listeners: The listening sockets of the API and of the output origin, which are closed at
            the end.
        apps: The applications of both.

    Raises:
        BaseException: The server could not start. The sockets are closed.

    """

    def __init__(
        self, state: State, faults: list[Fault], listeners: list[socket.socket], apps: Apps
    ) -> None:
        self.state = state
        self._apps = apps
        self._faults = faults
        self._listeners = listeners
        self._server: uvicorn.Server | None = None
        self._loop = asyncio.new_event_loop()
        # The server runs on when a test freezes Python's clocks.
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
            # The constructor raises an error at the start; `threading.excepthook` reports others.
            if self._started.done():
                raise
            self._started.set_exception(
                error
                if isinstance(error, Exception)
                else RuntimeError(f"{_ENDED_EARLY}: {error!r}")
            )
        else:
            self._close()
            if not self._started.done():
                self._started.set_exception(RuntimeError(_ENDED_EARLY))

    def _close(self) -> None:
        # Clients of a socket that is open but not served would wait until they time out.
        for each in self._listeners:
            each.close()
        self._loop.close()
        self.state.close()

    async def _serve(self) -> None:
        connections = Connections()
        app = TrafficMiddleware(
            self.state,
            self._faults,
            connections,
            *self._apps,
        )
        config = uvicorn.Config(
            app,
            http=connections.protocol(),
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
            # Faults find a connection by the client's own address, not by that of a header.
            proxy_headers=False,
            # A response that is passed on or replayed has these of its own.
            date_header=self._apps.redact_log is None,
            server_header=self._apps.redact_log is None,
        )
        self._server = _UvicornServer(config, self._started)
        await self._server.serve(sockets=self._listeners)
        await connections.close()

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on the thread, and return its result.

        Raises `RuntimeError` if the thread has ended.
        """
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def call() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
                future.set_exception(error)

        self._loop.call_soon_threadsafe(call)
        while True:
            try:
                return future.result(1)
            except concurrent.futures.TimeoutError:
                if not self._thread.is_alive() and not future.done():
                    raise RuntimeError("the server has ended") from None

    def stop(self) -> None:
        """Cancel all predictions, and stop listening."""
        with contextlib.suppress(RuntimeError):
            self.call(self.state.stop)
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(JOIN_TIMEOUT)
