"""gevent and eventlet: a call that waits lets the other greenlets run, and what is thrown into a greenlet ends its call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import pytest

from conftest import script
from wire import HEAD, Seen, Wire, done, hang, output, prediction, reply

# The same names for both libraries: `spawn`, `sleep`, `Timeout`, `join`, `kill`.
PRELUDE = """
import os, sys, threading, time, warnings

kind, base_url = sys.argv[1:3]
if kind.startswith("gevent"):
    from gevent import monkey
    monkey.patch_all()
    import gevent
    from gevent import Timeout, kill, sleep, spawn
    join = gevent.joinall
    gevent.get_hub().NOT_ERROR += (Timeout,)
else:
    warnings.filterwarnings("ignore", message=r"\\s*Eventlet is deprecated")
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
PATIENCE = 10
SIZE = 3 << 20


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def environment(kind: str) -> dict[str, str]:
    return {**os.environ, "GEVENT_LOOP": "libuv"} if "libuv" in kind else dict(os.environ)


def greenlets(kind: str, code: str, base_url: str, *arguments: str) -> list[str]:
    """Run code among greenlets, and give the lines that it wrote."""
    ran = script(PRELUDE + textwrap.dedent(code), kind, base_url, *arguments, env=environment(kind), timeout=50)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    return ran.stdout.splitlines()


class Gate(Wire):
    """Holds every answer back, whole or in part, until another request is made, for ``/v1/predictions/go``."""

    def __init__(self) -> None:
        self.gate = threading.Condition()
        self.held = self.opened_gates = 0
        super().__init__(self._answer)

    def hold(self) -> None:
        with self.gate:
            before = self.opened_gates
            self.held += 1
            self.gate.notify_all()
            went = self.gate.wait_for(lambda: self.opened_gates > before, PATIENCE)
            self.held -= 1
        if not went:
            raise OSError("nobody else could make a request")

    def let_go(self) -> None:
        with self.gate:
            self.gate.wait_for(lambda: self.held > 0, 0.05)
            self.opened_gates += 1
            self.gate.notify_all()

    def _answer(self, seen: Seen) -> Any:
        path = seen.path.partition("?")[0].removeprefix("/v1")
        if path == "/predictions/go":
            self.let_go()
            return reply(prediction())
        self.hold()
        if path == "/stream":
            return self.parts(HEAD + output("a"), output("b") + done())
        if path == "/file":
            content = bytes(SIZE)
            return self.parts(reply(content[: SIZE // 2], length=SIZE, kind="image/png"), content[SIZE // 2 :])
        if path == "/files":
            return reply({"id": "f1", "urls": {"get": f"{self.origin}/file"}}, 201)
        if path == "/webhooks/default/secret":
            return reply({"key": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"})
        if path == "/predictions" and seen.method == "GET":
            return reply({"results": [prediction()], "next": None if "cursor" in seen.path else f"{self.base_url}/predictions?cursor=2"})
        is_created = seen.method == "POST" and not path.endswith("/cancel")
        is_held = is_created and "prefer" in seen.headers
        more = {"output": ["hello"], "urls": {"stream": f"{self.origin}/stream"}}
        return reply(prediction("succeeded" if is_held or not is_created else "starting", **more), 201 if is_created else 200)

    def parts(self, *parts: bytes) -> Callable[[Any], None]:
        def send(connection: Any) -> None:
            for part in parts[:-1]:
                connection.sendall(part)
                self.hold()
            connection.sendall(parts[-1])

        return send


OPERATIONS = """
import io
from pathlib import Path
from replicate_rs import FileOutput, save_all
from replicate_rs.webhook import Webhooks

folder = Path(sys.argv[3])
(folder / "upload").write_bytes(bytes(100_000))
address = base_url.removesuffix("/v1") + "/file"

def size_of(chunks):
    return sum(map(len, chunks))

def opened(file):
    with file.open() as reader:
        return len(reader.read())

def uploaded(client):
    sent = []
    client.files.create(folder / "upload", progress=lambda *numbers: sent.append(numbers))
    return sent[-1]

OPERATIONS = {
    "run": (lambda client, file: client.run("acme/x", {}), ["hello"]),
    "run, polling": (lambda client, file: client.run("acme/x", {}, wait=False), ["hello"]),
    "use": (lambda client, file: client.use("acme/x")(), ["hello"]),
    "create and wait": (lambda client, file: client.predictions.wait(client.predictions.create(model="acme/x", input={}).id).status, "succeeded"),
    "stream": (lambda client, file: "".join(map(str, client.stream("acme/x", {}))), "ab"),
    "text": (lambda client, file: list(client.text_stream("acme/x", {})), ["a", "b"]),
    "relay": (lambda client, file: b"".join(client.relay("acme/x", {})).count(b"event: output"), 2),
    "pages": (lambda client, file: len(list(client.predictions.list().auto())), 2),
    "next page": (lambda client, file: client.predictions.list().get_next_page().next, None),
    "read": (lambda client, file: len(file.read()), SIZE),
    "read a part": (lambda client, file: len(file.read(10)), 10),
    "iterate": (lambda client, file: size_of(file), SIZE),
    "open": (lambda client, file: opened(file), SIZE),
    "save": (lambda client, file: file.save(folder / "saved").stat().st_size, SIZE),
    "path": (lambda client, file: Path(file).stat().st_size, SIZE),
    "save all": (lambda client, file: len(save_all([file, file], folder / "all")), 2),
    "upload": (lambda client, file: client.files.create(folder / "upload").id, "f1"),
    "upload with progress": (lambda client, file: uploaded(client)[0] >= 100_000, True),
    "upload an open file": (lambda client, file: client.files.create(io.BytesIO(bytes(100_000))).id, "f1"),
    "input with files": (lambda client, file: client.run("acme/x", {"a": folder / "upload", "b": io.BytesIO(b"b")}), ["hello"]),
    "request": (lambda client, file: client.request("/predictions/p1").json()["id"], "p1"),
    "webhook secret": (lambda client, file: client.webhooks.default.secret.get().key[:6], "whsec_"),
}

done, failed = [], {}

def go():
    while not done:
        other.predictions.get("go")

def check(name, call, client, expected):
    try:
        assert (given := call(client, FileOutput(address, client))) == expected, given
    except Exception as error:
        failed[name] = error
    finally:
        done.append(name)

other = replicate.Replicate("r8_secret", base_url=base_url)
for more in ({}, {"fetch": lambda request, send: send(request)}):
    client = replicate.Replicate("r8_secret", base_url=base_url, poll_interval=0.01, max_retries=0, **more)
    for name, (call, expected) in OPERATIONS.items():
        done.clear()
        join([spawn(check, name, call, client, expected), spawn(go)])
        print(name)
assert not failed, failed
""".replace("SIZE", str(SIZE))


def test_whatever_waits_lets_other_greenlets_run(kind, tmp_path):
    with Gate() as gate:
        names = greenlets(kind, OPERATIONS, gate.base_url, str(tmp_path))
    assert len(names) == 2 * len(set(names)) == 44
