"""`Mapper` on real engines, against the local Replicate.

The engines start once, and their workers have the environment that they start with: the server and
the token of all tests.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.conditions import until
from support.engines import ROWS, Server, create_server, find_worker, variables


def pytest_configure(config: pytest.Config) -> None:
    """Ignore warnings of engines; warnings of this package are errors, as in all tests."""
    config.addinivalue_line("filterwarnings", "default")
    config.addinivalue_line("filterwarnings", r"error:::replicate_rs(\.|$)")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with create_server() as server:
        os.environ |= variables(server)
        yield server


@pytest.fixture(autouse=True)
def clean_environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test the variables that workers have, and a working directory of its own."""
    for name, value in variables(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Return what the texts of a test begin with."""
    return f"{request.node.name} "


@pytest.fixture
def killed(server: Server) -> Callable[..., Any]:
    """Return a function that calls another one, and meanwhile kills a worker that runs inputs."""

    def run(journal: Any, call: Callable[[], Any]) -> Any:
        pids: list[int] = []
        before = len(server.calls)

        def kill() -> None:
            # In the middle, when the worker has runs in flight.
            until(lambda: len(server.calls) - before > ROWS // 3, 120)
            pids.append(find_worker(journal))
            os.kill(pids[0], signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            return call()
        finally:
            thread.join()
            assert pids

    return run
