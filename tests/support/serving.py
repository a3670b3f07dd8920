"""Programs that the tests start as their users would: servers behind a Unix socket, and workers."""

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

# No wait of these tests is longer, however slow the machine.
LONGEST = 30.0


def environment(base_url: str, *folders: Path) -> dict[str, str]:
    """What a program needs to find this package, the modules in `folders`, and the server."""
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
    """A program that runs until it is told to end."""

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
        end = time.monotonic() + LONGEST
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)

    def end(self) -> tuple[int, str]:
        """Ask it to end, and give its exit code and what it wrote."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LONGEST), self.log.read_text()


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
    """To a server behind a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=LONGEST)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def ask(path: Path, text: str) -> tuple[str, int]:
    """Ask a server to shout; its answer, and the process that gave it."""
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
    """Ask many things at once, until so many processes have answered; all answers are right."""
    pids: set[int] = set()
    end = time.monotonic() + LONGEST
    with ThreadPoolExecutor(8) as threads:
        while len(pids) < workers:
            assert time.monotonic() < end, f"only {pids} ever answered"
            texts = [f"n{n}" for n in range(24)]
            given = list(threads.map(lambda text: ask(path, text), texts))
            assert [answer for answer, _ in given] == [text.upper() for text in texts]
            pids |= {pid for _, pid in given}
    return pids
