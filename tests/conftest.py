"""One test body for both clients: they differ only in who drives the coroutine."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import replicate_rs as replicate
from replicate_rs._base.streaming import AsyncStream, Stream
from replicate_rs.local import LocalReplicate, sleep
from support import passing

# What this library, Python, the servers and the other clients of the tests read from the
# environment.
READ = re.compile(
    r"""(?: REPLICATE_.* | (?:HTTPS?|ALL|NO|FTP|WSS?)_PROXY | REQUEST_METHOD
    | SSL_CERT_(?:FILE|DIR) | SSLKEYLOGFILE | REQUESTS_CA_BUNDLE | CURL_CA_BUNDLE | NETRC
    | PYTHON(?!HOME$|PYCACHEPREFIX$|DONTWRITEBYTECODE$).*
    | (?:UVICORN|GRANIAN|CELERY|HTTPX|NODE)_.* | GUNICORN_CMD_ARGS | WEB_CONCURRENCY | FORWARDED_ALLOW_IPS
    | DJANGO_SETTINGS_MODULE | (?:NO|FORCE)_COLOR | CLICOLOR(?:_FORCE)? | COLUMNS | TZ )""",
    re.IGNORECASE | re.VERBOSE,
)


def inherited() -> list[str]:
    """The variables of the developer's environment that would change what tests see."""
    return [name for name in os.environ if READ.fullmatch(name)]


# Here, so that modules of tests, fixtures of a session and all processes that tests start have none
# of them either.
for _name in inherited():
    del os.environ[_name]
time.tzset()
if passing.IS_ON:
    passing.install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if reason := passing.reason_to_leave_out(item.name):
            item.add_marker(pytest.mark.skip(reason=f"with a fetch=: {reason}"))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's surroundings, or what another test has left in them."""
    for name in inherited():
        monkeypatch.delenv(name)
    vars(replicate).pop("default_client", None)


class Both:
    """A client of either kind, and a way to get a result out of it."""

    def __init__(self, mode: str) -> None:
        self.is_async = mode == "async"
        self.kind: Any = replicate.AsyncReplicate if self.is_async else replicate.Replicate
        self.runner = asyncio.Runner() if self.is_async else None

    def client(self, base_url: str, **options: Any) -> Any:
        return self.kind(base_url=base_url, **({"api_token": "r8_secret"} | options))

    def __call__(self, call: Callable[[], Any]) -> Any:
        """What `call` gives; a coroutine is run, an iterator of either kind is listed."""
        if self.runner is None:
            result = call()
            return (
                list(result)
                if isinstance(result, Stream) or inspect.isgenerator(result)
                else result
            )

        async def finish() -> Any:
            result = call()
            if isinstance(result, AsyncStream) or inspect.isasyncgen(result):
                return [each async for each in result]
            return await result if inspect.isawaitable(result) else result

        return self.runner.run(finish())

    def fill(self, given: list[Any], call: Callable[[], Any]) -> None:
        """Put what a stream gives into a list, as it comes: what came before an error is there."""
        if self.runner is None:
            given.extend(call())
            return

        async def fill() -> None:
            stream = call()
            async for each in await stream if inspect.iscoroutine(stream) else stream:
                given.append(each)  # noqa: PERF401 - not all at the end

        self.runner.run(fill())

    def close(self) -> None:
        if self.runner is not None:
            self.runner.close()


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    both = Both(request.param)
    yield both
    both.close()
    # What a test leaves behind is found in that test; what has survived is not looked through again
    # and again.
    gc.collect()
    gc.freeze()


def both_ways(test: Callable[..., Any]) -> Callable[..., Any]:
    """A test of async code that both clients have."""

    @pytest.mark.parametrize("kind", [replicate.Replicate, replicate.AsyncReplicate])
    def run(kind: Any, local: LocalReplicate) -> None:
        asyncio.run(test(kind("r8_secret", base_url=local.base_url, poll_interval=0.01)))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@pytest.fixture(scope="session")
def local() -> Iterator[LocalReplicate]:
    server = LocalReplicate(token="r8_secret")

    @server.model("acme/shout")
    def shout(text: str) -> str:
        return text.upper()

    @server.model("acme/slow")
    def slow(seconds: float = 30.0, steps: int = 10) -> str:
        for step in range(1, steps + 1):
            print(f"{100 * step // steps}%|###| {step}/{steps} [00:00<00:00]")
            sleep(seconds / steps)
        return "done"

    @server.model("acme/tokens")
    def tokens(text: str, pause: float = 0) -> Iterator[str]:
        for word in text.split():
            yield f"{word} "
            sleep(pause)

    @server.model("acme/fail")
    def fail() -> Iterator[str]:
        raise RuntimeError("OOM")

    @server.model("acme/reverse")
    def reverse(file: bytes) -> bytes:
        return file[::-1]

    @server.model("acme/copies")
    def copies(files: list[Any], one: bytes) -> dict[str, Any]:
        return {"files": files, "one": one}

    @server.model("acme/name")
    def name(file: Path) -> str:
        return f"{file.name} {len(file.read_bytes())}"

    with server:
        yield server


def script(code, *arguments, timeout=30, **options):
    """Run Python code in a fresh process that treats warnings as errors."""
    command = [
        sys.executable,
        "-X",
        "dev",
        "-W",
        "error",
        "-c",
        passing.PRELUDE + textwrap.dedent(code),
        *arguments,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, **options
    )
    done.stderr = without_slowness(done.stderr)
    return done


def without_slowness(told: str) -> str:
    """Leave out what asyncio's debug mode tells of a machine that has much to do."""
    return re.sub(r"^Executing <.* took [\d.]+ seconds\n", "", told, flags=re.MULTILINE)


@pytest.fixture
def client(both: Both, local: LocalReplicate) -> Any:
    return both.client(local.base_url, poll_interval=0.01)
