"""Programs that tests start as users do: servers at a Unix socket, and workers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import replicate_rs as replicate

# Seconds; generous, for slow machines.
MAX_WAIT = 30.0


def environment(base_url: str, *folders: Path) -> dict[str, str]:
    """Return the environment with which a program finds this package, `folders` and the server."""
    package = Path(replicate.__file__).parents[1]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (package, *folders))),
        "PYTHONFAULTHANDLER": "1",
        "REPLICATE_BASE_URL": base_url,
        "REPLICATE_API_TOKEN": "r8_secret",
        "REPLICATE_POLL_INTERVAL": "0.01",
    }


class Program:
    """A program that runs until SIGTERM."""

    def __init__(self, command: Sequence[str], folder: Path, base_url: str) -> None:
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                env=environment(base_url, folder),
                stdout=log,
                stderr=log,
            )

    def until(self, condition) -> None:
        end = time.monotonic() + MAX_WAIT
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)

    def end(self) -> tuple[int, str]:
        """Send SIGTERM; return the exit code and the log."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(MAX_WAIT), self.log.read_text()


@contextmanager
def started(command: Sequence[str], folder: Path, base_url: str) -> Iterator[Program]:
    program = Program(command, folder, base_url)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()


class Connection(http.client.HTTPConnection):
    """A connection to a server at a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=MAX_WAIT)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def ask(path: Path, text: str) -> tuple[str, int]:
    """Send a text to a server; return its answer and its process id."""
    connection = Connection(path)
    try:
        connection.request("GET", f"/{text}")
        response = connection.getresponse()
        body = response.read().decode()
        assert response.status == 200, body
        answer, pid = body.split()
        return answer, int(pid)
    finally:
        connection.close()


def answers(path: Path) -> bool:
    try:
        ask(path, "hello")
    except OSError:
        return False
    return True


def asked_of_all(path: Path, workers: int) -> set[int]:
    """Send many requests at once until this many processes have answered; return their ids.

    Every answer must be right.
    """
    pids: set[int] = set()
    end = time.monotonic() + MAX_WAIT
    with ThreadPoolExecutor(8) as threads:
        while len(pids) < workers:
            assert time.monotonic() < end, f"only {pids} ever answered"
            texts = [f"n{n}" for n in range(24)]
            results = list(threads.map(lambda text: ask(path, text), texts))
            assert [answer for answer, _ in results] == [text.upper() for text in texts]
            pids |= {pid for _, pid in results}
    return pids
