"""uvicorn with two worker processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request

import pytest

APP = """
import json
import os

import replicate


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    text = await replicate.async_run("acme/shout", input={"prompt": scope["path"]})
    body = json.dumps({"pid": os.getpid(), "text": text, "version": replicate.__version__}).encode()
    headers = [(b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture
def service(server, tmp_path):
    (tmp_path / "service.py").write_text(textwrap.dedent(APP))
    command = [sys.executable, "-m", "replicate_rs.drop_in", "-m", "uvicorn", "service:app"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        (tmp_path / "log").open("w") as log,
    ):
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [*command, "--workers", "2", "--fd", str(listener.fileno())],
            cwd=tmp_path,
            env=environment,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    try:
        yield lambda path: fetch(port, path, process, tmp_path / "log")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in {0, -signal.SIGTERM}
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def fetch(port, path, process, log):
    """Send a request to the service once it listens."""
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
                return json.load(response)
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError(log.read_text()[-2000:]) from None
            time.sleep(0.1)


def test_both_workers_answer(server, service):
    pids, count = set(), 0
    until = time.monotonic() + 30
    while len(pids) < 2:
        assert time.monotonic() < until, "only one worker answers"
        answer = service(f"/{count}")
        assert answer == {"pid": answer["pid"], "text": f"/{count}", "version": "1.0.7"}
        pids.add(answer["pid"])
        count += 1
    assert len(server.created) == count
