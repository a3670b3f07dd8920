"""Fixtures for all tests: both clients, a local server, and a clean environment."""

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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import replicate_rs as replicate
from replicate_rs._base.streaming import AsyncStream, Stream
from replicate_rs.local import LocalReplicate, sleep
from support import passing

# Environment variables that this library, Python, and the servers and clients of the tests read.
READ_VARIABLES = re.compile(
    r"""(?: REPLICATE_.* | (?:HTTPS?|ALL|NO|FTP|WSS?)_PROXY | REQUEST_METHOD
    | SSL_CERT_(?:FILE|DIR) | SSLKEYLOGFILE | REQUESTS_CA_BUNDLE | CURL_CA_BUNDLE | NETRC
    | PYTHON(?!_GIL$|HOME$|PYCACHEPREFIX$|DONTWRITEBYTECODE$).*
    | (?:UVICORN|GRANIAN|CELERY|HTTPX|NODE)_.* | GUNICORN_CMD_ARGS | WEB_CONCURRENCY
    | FORWARDED_ALLOW_IPS | DJANGO_SETTINGS_MODULE | (?:NO|FORCE)_COLOR | CLICOLOR(?:_FORCE)?
    | COLUMNS | TZ )""",
    re.IGNORECASE | re.VERBOSE,
)


def read_variables() -> list[str]:
    """Return the variables in the environment that could change the results of tests."""
    return [name for name in os.environ if READ_VARIABLES.fullmatch(name)]


# Removed at import, so that test modules, session fixtures and child processes do not see them.
for _name in read_variables():
    del os.environ[_name]
if sys.platform != "win32":
    time.tzset()
if passing.IS_ON:
    passing.install()


if find_spec("hypothesis"):
    from hypothesis import settings

    # How long an example takes is the machine's affair.
    settings.register_profile("any machine", deadline=None)
    settings.load_profile("any machine")


# Modules that are left out where what they are about is missing.
collect_ignore = []
if sys.platform == "win32":
    # Forks, signals, terminals, uvloop, sockets and files with POSIX's names and permissions.
    collect_ignore += [
        *("process", "chaos"),
        *(f"client/test_{name}.py" for name in ("awaitable", "bridge", "deadlines", "engine")),
        *(f"client/test_{name}.py" for name in ("load", "observability", "scopes")),
        *(f"client/test_progress_{name}.py" for name in ("arguments", "bar")),
        *("batch/test_map_command.py", "batch/test_export.py"),
        "compat/test_drop_in_processes.py",
        *(f"files/test_{name}.py" for name in ("file_output", "open_file", "save", "upload_paths")),
        "local/test_command.py",
        *(f"predictions/test_{name}.py" for name in ("cancellation", "leaving_programs")),
        *(f"predictions/test_{name}.py" for name in ("polls", "stream")),
        "project",
        *("security/test_certificates.py", "security/test_origins.py"),
    ]
if find_spec("gevent") is None:
    # It has no wheel for free-threaded Python.
    collect_ignore += ["process/test_greenlets.py", "process/test_greenlet_exits.py"]


def pytest_configure(config: pytest.Config) -> None:
    # Tests that run pytest in a process of its own do not need these plugins, which start slowly.
    # The processes of xdist do, and have the environment of the first one.
    if hasattr(config, "workerinput") or not config.getoption("tx", None):
        os.environ["PYTEST_ADDOPTS"] = " ".join(
            f"-p no:{name}" for name in ("faker", "fakefs", "hypothesispytest", "schemathesis")
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if reason := passing.reason_to_leave_out(item.name):
            item.add_marker(pytest.mark.skip(reason=f"with a fetch=: {reason}"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove variables, and the default client, that other tests or the developer have set."""
    for name in read_variables():
        monkeypatch.delenv(name)
    vars(replicate).pop("default_client", None)


class Both:
    """One of the two clients, so that one test body serves both."""

    def __init__(self, mode: str) -> None:
        self.is_async = mode == "async"
        self.kind: Any = replicate.AsyncReplicate if self.is_async else replicate.Replicate
        self.runner = asyncio.Runner() if self.is_async else None

    def client(self, base_url: str, **options: Any) -> Any:
        return self.kind(base_url=base_url, **({"api_token": "r8_secret"} | options))

    def __call__(self, call: Callable[[], Any]) -> Any:
        """Return the result of a call: of a coroutine when it is done, of an iterator as a list."""
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

    def fill(self, items: list[Any], call: Callable[[], Any]) -> None:
        """Append the items of a stream to a list, so that those before an error remain."""
        if self.runner is None:
            items.extend(call())
            return

        async def fill() -> None:
            stream = call()
            async for each in await stream if inspect.iscoroutine(stream) else stream:
                items.append(each)  # noqa: PERF401 - one by one, as they arrive

        self.runner.run(fill())

    def close(self) -> None:
        if self.runner is not None:
            self.runner.close()


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    both = Both(request.param)
    yield both
    both.close()
    # Collect the garbage of this test within it, and do not examine the rest again in later tests.
    gc.collect()
    gc.freeze()


def both_ways(test: Callable[..., Any]) -> Callable[..., Any]:
    """Run an async test with both clients."""

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


def script(code, *arguments, timeout=30, forks_with_threads=False, **options):
    """Run Python code in a fresh process that treats warnings as errors.

    CPython 3.12 and newer warn of a fork while threads of the program itself run.
    """
    ignored = ["-W", "ignore:This process:DeprecationWarning"] if forks_with_threads else []
    command = [
        sys.executable,
        "-X",
        "dev",
        "-W",
        "error",
        *ignored,
        "-c",
        passing.PRELUDE + textwrap.dedent(code),
        *arguments,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, **options
    )
    done.stderr = without_slowness(done.stderr)
    return done


def without_slowness(text: str) -> str:
    """Remove warnings of asyncio's debug mode about slow callbacks, which busy machines cause."""
    return re.sub(r"^Executing <.* took [\d.]+ seconds\n", "", text, flags=re.MULTILINE)


@pytest.fixture
def client(both: Both, local: LocalReplicate) -> Any:
    return both.client(local.base_url, poll_interval=0.01)
