"""The server itself: a thread with uvicorn on a free port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Self, TypeVar

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .app import Api
from .models import Model, release

F = TypeVar("F", bound=Callable[..., Any])


class LoggedRequest(NamedTuple):
    """A request that the server saw."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class LocalReplicate:
    """A Replicate that runs on your machine.

    Args:
        token: The API token it asks for; None: any, or none.
        host: The address to listen on.
        port: The port; 0: a free one.

    """

    def __init__(self, *, token: str | None = "r8_local", host: str = "127.0.0.1", port: int = 0) -> None:  # noqa: S107 - not a secret
        self.token = token
        self.host = host
        self.port = port
        self.requests: list[LoggedRequest] = []
        self._api = Api(token)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def model(self, name: str) -> Callable[[F], F]:
        """Register a function as the model `name`."""

        def register(function: F) -> F:
            model = Model(name, function)
            self._api.models[model.full_name] = model
            return function

        return register

    def version(self, name: str) -> str:
        """Give the id of a model's version."""
        return self._api.models[name].version

    @property
    def base_url(self) -> str:
        """What to pass to a client."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def webhook_secret(self) -> str:
        """What webhooks are signed with."""
        return self._api.webhooks.secret

    @property
    def running(self) -> int:
        """How many predictions have not ended."""
        return sum(not run.is_done for run in self._api.runs.values())

    def start(self) -> Self:
        """Listen, and return when requests are answered."""
        listener = socket.create_server((self.host, self.port), backlog=4096)
        self.port = listener.getsockname()[1]
        self._api.base_url = self.base_url
        config = uvicorn.Config(
            self._logged(self._api.app), log_level="critical", lifespan="off", timeout_graceful_shutdown=1, ws="none"
        )
        self._server = server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="replicate-local", daemon=True)
        self._thread.start()
        # The socket listens already: the first request waits in its backlog until the loop runs.
        return self

    def stop(self) -> None:
        """Stop listening, and cancel what runs."""
        for run in list(self._api.runs.values()):
            run.job.cancelled.set()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
        self._api.executor.shutdown(wait=False, cancel_futures=True)
        release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _logged(self, app: ASGIApp) -> ASGIApp:
        async def logged(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            body = bytearray()
            seen = False

            async def listening() -> Message:
                message = await receive()
                if message["type"] == "http.request":
                    body.extend(message.get("body", b""))
                    if not message.get("more_body"):
                        log()
                return message

            def log() -> None:
                nonlocal seen
                if not seen:
                    seen = True
                    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
                    self.requests.append(LoggedRequest(scope["method"], scope["path"], headers, bytes(body)))

            if scope["method"] in ("GET", "DELETE"):
                log()
            await app(scope, listening, send)
            log()

        return logged
