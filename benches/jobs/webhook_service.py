"""Job: a service receives webhooks; FastAPI and uvicorn on one core, the client on another."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI, Request, Response

from contenders import OURS, UNVERIFIED
from contenders.webhooks import SECRET, TOLERANCE, SignedWebhook, sign_webhook
from jobs.sampling import Meter, Sample, Task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Endpoint = Callable[[Request], Awaitable[Response]]

LOAD = Path(__file__).with_name("webhook_load.py")
CONNECTIONS = 16
# uvicorn's event loop and HTTP parser: by default it chooses "standard" if that is installed.
SERVER_OPTIONS: dict[str, dict[str, Any]] = {
    "standard": {"loop": "uvloop", "http": "httptools"},
    "plain": {"loop": "asyncio", "http": "h11"},
}
# Seconds for a service to start.
START_TIMEOUT = 10
# The path that verifies nothing, and the one on which the contender does. They are measured
# alternately, so that their ratio does not depend on other load.
OPEN, VERIFIED = "/open", "/verified"
# Of each path.
TURNS = 20
# Measured longer than other jobs, so that a difference of one percent is visible.
TIME_FACTOR = 8


async def _unverified(request: Request) -> Response:
    await request.body()
    return Response(status_code=204)


def _ours() -> Endpoint:
    from replicate_rs import WebhookVerifier
    from replicate_rs.webhook import WebhookValidationError

    verifier = WebhookVerifier(SECRET)

    async def receive(request: Request) -> Response:
        try:
            verifier.verify(request.headers, await request.body())
        except WebhookValidationError:
            return Response(status_code=400)
        return Response(status_code=204)

    return receive


def _1_0_7() -> Endpoint:
    from replicate.webhook import Webhooks, WebhookSigningSecret, WebhookValidationError

    # Untyped: the annotations of its arguments are wrong.
    validate: Any = Webhooks.validate
    secret = WebhookSigningSecret(key=SECRET)

    async def receive(request: Request) -> Response:
        body = (await request.body()).decode()
        try:
            validate(headers=request.headers, body=body, secret=secret, tolerance=TOLERANCE)
        except WebhookValidationError:
            return Response(status_code=400)
        return Response(status_code=204)

    return receive


RECEIVERS: dict[str, Callable[[], Endpoint]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    UNVERIFIED: lambda: _unverified,
}


def receive(task: Task) -> Sample:
    """Measure the webhooks received in a second, and their ratio to those without verification."""
    webhook = sign_webhook(task.size)
    apps = {OPEN: _app(OPEN, _unverified), VERIFIED: _app(VERIFIED, RECEIVERS[task.contender]())}
    with _running(apps, SERVER_OPTIONS[task.variant]) as port, _load(port) as load:
        _check(port, webhook, 204 if task.contender == UNVERIFIED else 400)

        def turn(path: str, seconds: float) -> Sample:
            assert load.stdin is not None
            assert load.stdout is not None
            meter = Meter(load.pid)
            load.stdin.write(json.dumps([_request(path, webhook), seconds]) + "\n")
            load.stdin.flush()
            return meter.sample(int(load.stdout.readline()))

        turn(OPEN, task.warm_up)
        turn(VERIFIED, task.warm_up)
        seconds = TIME_FACTOR * task.seconds / TURNS / 2
        pairs = [
            {path: turn(path, seconds) for path in order}
            for order in [(OPEN, VERIFIED), (VERIFIED, OPEN)] * (TURNS // 2)
        ]
    share = 100 * median(pair[VERIFIED].value / pair[OPEN].value for pair in pairs)
    # The ratio of CPU times varies less on a machine that others use.
    cpu_share = 100 * median((pair[OPEN].cpu or 0) / (pair[VERIFIED].cpu or 1) for pair in pairs)
    samples = [pair[VERIFIED] for pair in pairs]
    return Sample(
        median(sample.value for sample in samples),
        cpu=median(sample.cpu for sample in samples if sample.cpu is not None),
        slices=[cost for sample in samples for cost in sample.slices],
        server=median(sample.server for sample in samples if sample.server is not None),
        more={"% of unverified": share, "% by CPU": cpu_share},
    )


def _app(path: str, endpoint: Endpoint) -> FastAPI:
    """Create an app with one route, so that no time is spent on looking through others."""
    app = FastAPI()
    app.post(path)(endpoint)
    return app


def _request(path: str, webhook: SignedWebhook) -> str:
    lines = [f"{name}: {value}" for name, value in webhook.headers.items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", webhook.body.decode()])


def _check(port: int, webhook: SignedWebhook, status_of_forged: int) -> None:
    connection = HTTPConnection("127.0.0.1", port)
    for path, (headers, body), expected in (
        (OPEN, webhook, 204),
        (VERIFIED, webhook, 204),
        (VERIFIED, webhook.forged(), status_of_forged),
    ):
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        response.read()
        if response.status != expected:
            raise ValueError(f"wrong answer: {response.status} from {path}")
    connection.close()


@contextmanager
def _running(apps: dict[str, FastAPI], options: dict[str, Any]) -> Iterator[int]:
    """Run a service in a thread, and yield its port."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await apps[scope["path"]](scope, receive, send)

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        quiet: dict[str, Any] = {
            "access_log": False,
            "log_level": "warning",
            "lifespan": "off",
            "interface": "asgi3",
        }
        server = uvicorn.Server(uvicorn.Config(app, **quiet, **options))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        end = time.monotonic() + START_TIMEOUT
        while not server.started:
            if time.monotonic() > end:
                raise SystemExit("the service did not start")
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


@contextmanager
def _load(port: int) -> Iterator[subprocess.Popen[str]]:
    """Run the client that sends webhooks, on the cores that this process does not use."""
    command = [sys.executable, str(LOAD), str(port), str(CONNECTIONS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as load:
        if hasattr(os, "sched_setaffinity"):
            others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
            os.sched_setaffinity(load.pid, others or os.sched_getaffinity(0))
        yield load
        assert load.stdin is not None
        load.stdin.close()
