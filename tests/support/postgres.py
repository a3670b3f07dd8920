"""A PostgreSQL server in a temporary folder; `make engines` starts one for people."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

# Where Debian keeps the programs of each version, which are not on PATH.
DEBIAN = Path("/usr/lib/postgresql")
# PostgreSQL refuses to run as root.
USER = "postgres"
PASSWORD = "pg_secret"
MAX_WAIT = 30.0


def find_programs() -> Path | None:
    """Return the folder with `initdb` and `postgres`; None if PostgreSQL is not installed."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda each: int(each.parts[-3]))
    return folders[-1].parent if folders else None


def _find_port() -> int:
    """Return a free port that the system gives to nobody who asks for any: it stays free."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


class PostgresServer:
    """A server on a free port, whose user `postgres` has a password."""

    def __init__(self) -> None:
        programs = find_programs()
        if programs is None:
            raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="replicate-postgres-"))
        self._options: dict[str, Any] = {}
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            shutil.chown(self._folder, USER, USER)
            self._options = {"user": USER, "group": USER, "extra_groups": []}
        self._server: subprocess.Popen[bytes] | None = None
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        initdb = ("initdb", "-D", "data", "-U", USER, "-A", "scram-sha-256", "--no-sync")
        self._run(*initdb, "--pwfile", "password", "-E", "UTF8", "--locale=C")
        self.port = _find_port()

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / name, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            **self._options,
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stdout}{done.stderr}")

    @property
    def address(self) -> str:
        """The address of its database."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    @property
    def process(self) -> int:
        """The server's process."""
        assert self._server is not None
        return self._server.pid

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        arguments = [part for item in settings.items() for part in ("-c", "=".join(item))]
        log = (self._folder / "log").open("ab")
        with log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", "data", "-p", str(self.port), *arguments],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                **self._options,
            )
        self._wait(lambda: b"ready to accept connections" in self._read_end())

    def _read_end(self) -> bytes:
        text = (self._folder / "log").read_bytes()
        return text[text.rfind(b"starting PostgreSQL") :]

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + MAX_WAIT
        while not condition():
            has_ended = self._server is not None and self._server.poll() is not None
            if has_ended or time.monotonic() > end:
                raise RuntimeError(f"no server: {self._read_end().decode()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server at once, as a crash does."""
        if self._server is not None:
            # SIGQUIT: immediate shutdown.
            self._server.send_signal(3)
            self._server.wait(MAX_WAIT)
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


if __name__ == "__main__":
    with PostgresServer() as server:
        print(f"journal={server.address!r}; Ctrl-C ends it and deletes it", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
