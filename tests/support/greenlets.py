"""Run programs under gevent and eventlet."""

from __future__ import annotations

import os
import textwrap
from typing import Any

from conftest import script
from support.wire import HEAD, Seen, Wire, hang, output, prediction, reply

# The same names for both libraries: `spawn`, `sleep`, `Timeout`, `join`, `kill`.
PRELUDE = """
import os, sys, threading, time, warnings

kind, base_url = sys.argv[1:3]
if kind.startswith("gevent"):
    from gevent import monkey
    monkey.patch_all()
    warnings.filterwarnings("ignore", message="libuv only supports millisecond timer resolution")
    import gevent
    from gevent import Timeout, kill, sleep, spawn
    join = gevent.joinall
    gevent.get_hub().NOT_ERROR += (Timeout,)
else:
    warnings.filterwarnings("ignore", message=r"\\s*Eventlet is deprecated")
    warnings.filterwarnings("ignore", message="Using fork")
    import eventlet
    eventlet.monkey_patch()
    from eventlet import Timeout, greenthread, hubs, kill, sleep, spawn
    hubs.get_hub().debug_exceptions = False

    def join(greenlets):
        for each in greenlets:
            try:
                each.wait()
            except (eventlet.greenlet.GreenletExit, Timeout):
                pass

import replicate_rs as replicate

client = replicate.Replicate("r8_secret", base_url=base_url, poll_interval=0.01)
"""
KINDS = ("gevent", "gevent on libuv", "eventlet")
MAX_WAIT = 10
SIZE = 3 << 20


def environment(kind: str) -> dict[str, str]:
    return {**os.environ, "GEVENT_LOOP": "libuv"} if "libuv" in kind else dict(os.environ)


def greenlets(kind: str, code: str, base_url: str, *arguments: str) -> list[str]:
    """Run code among greenlets, and give the lines that it wrote."""
    ran = script(
        PRELUDE + textwrap.dedent(code),
        kind,
        base_url,
        *arguments,
        env=environment(kind),
        timeout=50,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    return ran.stdout.splitlines()


class Endless(Wire):
    """Has predictions that never end, named as their models, and streams, files and uploads that do
    not come to an end either.

    A request for ``/v1/predictions/ready`` is answered when all of `awaited` have come.
    """

    def __init__(self, *awaited: str) -> None:
        self.awaited = awaited
        super().__init__(self._answer)

    def _answer(self, seen: Seen) -> Any:
        *_, before, last = seen.path.split("/")
        if last == "cancel":
            return reply(prediction("canceled", id=before))
        if last == "ready":
            self.until(
                lambda: all(
                    self.routes.count(each) >= self.awaited.count(each) for each in self.awaited
                )
            )
            return reply(prediction())
        if last == "files":
            return hang
        if before == "stream" and last != "predictions":
            return lambda connection: (connection.sendall(HEAD + output("a")), hang(connection))[1]
        if before == "file":
            return lambda connection: (
                connection.sendall(reply(bytes(100_000), length=SIZE)),
                hang(connection),
            )[1]
        id = before if last == "predictions" else last
        return reply(prediction("processing", id=id, urls={"stream": f"{self.origin}/stream/{id}"}))

    @property
    def canceled(self) -> list[str]:
        return sorted(each.split("/")[3] for each in self.routes if each.endswith("/cancel"))
