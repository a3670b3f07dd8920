"""Processes that servers and task queues make: each worker has a client that works, whatever its
parent did with it before.
"""

import pickle
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import replicate_rs as replicate
from conftest import without_slowness
from support.serving import answers, ask, asked_of_all, environment, started
from support.wire import Wire, prediction, reply

APP = """
import asyncio, os
import replicate_rs as replicate

client = replicate.Replicate()
# With preloading this happens before the fork.
assert client.run("acme/shout", {"text": "imported"}) == "IMPORTED"


def wsgi(environ, start_response):
    text = environ["PATH_INFO"][1:]
    given = {client.run("acme/shout", {"text": text}),
        asyncio.run(client.async_run("acme/shout", {"text": text}))}
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{'|'.join(given)} {os.getpid()}".encode()]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    given = {await client.async_run("acme/shout", {"text": scope["path"][1:]})}
    stream = client.async_text_stream("acme/tokens", {"text": scope["path"][1:].upper()})
    given |= {"".join([each async for each in stream]).strip()}
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": f"{'|'.join(given)} {os.getpid()}".encode()})
"""

SERVERS = {
    "gunicorn, sync, preloaded": [
        "gunicorn",
        "--preload",
        "-w",
        "2",
        "-k",
        "sync",
        "-b",
        "unix:{socket}",
        "app:wsgi",
    ],
    "gunicorn, threads, preloaded": [
        "gunicorn",
        "--preload",
        "-w",
        "2",
        "-k",
        "gthread",
        "--threads",
        "4",
        "-b",
        "unix:{socket}",
        "app:wsgi",
    ],
    "gunicorn, uvicorn, preloaded": [
        "gunicorn",
        "--preload",
        "-w",
        "2",
        "-k",
        "uvicorn_worker.UvicornWorker",
        "-b",
        "unix:{socket}",
        "app:asgi",
    ],
    "uvicorn": ["uvicorn", "--workers", "2", "--uds", "{socket}", "--lifespan", "off", "app:asgi"],
    "granian": [
        "granian",
        "--workers",
        "2",
        "--interface",
        "asgi",
        "--uds",
        "{socket}",
        "app:asgi",
    ],
    "granian, wsgi": [
        "granian",
        "--workers",
        "2",
        "--interface",
        "wsgi",
        "--uds",
        "{socket}",
        "app:wsgi",
    ],
}


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_a_server_with_two_workers_answers_and_ends_cleanly(command, local, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    socket = tmp_path / "socket"
    with started(
        [each.format(socket=socket) for each in command], tmp_path, local.base_url
    ) as server:
        server.until(lambda: answers(socket))
        assert len(asked_of_all(socket, 2)) == 2
        code, log = server.end()
    assert code == 0, log
    assert "Traceback" not in log, log


CELERY = """
import asyncio, os
from celery import Celery
import replicate_rs as replicate

here = os.path.dirname(__file__)
folders = {name: f"{here}/{name}" for name in ("queue", "control", "results")}
for folder in folders.values():
    os.makedirs(folder, exist_ok=True)
app = Celery("tasks", broker="filesystem://", backend=f"file://{folders['results']}")
app.conf.broker_transport_options = {
    "data_folder_in": folders["queue"],
    "data_folder_out": folders["queue"],
    "control_folder": folders["control"],
}
client = replicate.Replicate()
assert client.run("acme/shout", {"text": "imported"}) == "IMPORTED"


@app.task
def shout(text):
    given = {client.run("acme/shout", {"text": text}),
        asyncio.run(client.async_run("acme/shout", {"text": text}))}
    return ["|".join(given), os.getpid()]
"""

CALLER = """
from tasks import shout

waiting, pids = {}, set()
while len(pids) < 2:
    waiting = {text: shout.delay(text) for text in (f"n{n}" for n in range(8))}
    for text, result in waiting.items():
        answer, pid = result.get(timeout=30, interval=0.02)
        assert answer == text.upper(), answer
        pids.add(pid)
"""


def test_a_celery_worker_with_two_processes(local, tmp_path):
    (tmp_path / "tasks.py").write_text(CELERY)
    command = [
        "celery",
        "-A",
        "tasks",
        "worker",
        "-P",
        "prefork",
        "-c",
        "2",
        "-l",
        "info",
        "-Ofair",
    ]
    with started(
        [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
        tmp_path,
        local.base_url,
    ) as worker:
        asked = subprocess.run(
            [sys.executable, "-c", CALLER],
            env=environment(local.base_url, tmp_path),
            capture_output=True,
            text=True,
            timeout=40,
        )
        assert (asked.returncode, asked.stderr) == (0, ""), (asked.stderr, worker.log.read_text())
        code, log = worker.end()
    assert code == 0, log
    assert "Traceback" not in log, log


POOLS = """
import asyncio, concurrent.futures, multiprocessing, sys
import replicate_rs as replicate

client = replicate.Replicate()


def use(text):
    given = {client.run("acme/shout", {"text": text}),
        asyncio.run(client.async_run("acme/shout", {"text": text}))}
    assert given == {text.upper()}, given
    return text.upper()


if __name__ == "__main__":
    use("first")
    context, texts = multiprocessing.get_context(sys.argv[1]), [f"n{n}" for n in range(16)]
    shouted = [text.upper() for text in texts]
    with context.Pool(2) as pool:
        assert pool.map(use, texts) == shouted
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(use, texts)) == shouted
    processes = [context.Process(target=use, args=(text,)) for text in texts[:4]]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    use("last")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_and_processes(method, local, tmp_path):
    program = tmp_path / "pools.py"
    program.write_text(POOLS)
    # On 3.15, asyncio's debug mode warns of the module in which `spawn` runs a program.
    ignored = ["-W", "ignore:Module globals is missing a __spec__.loader:DeprecationWarning"]
    command = [sys.executable, "-X", "dev", "-W", "error", *ignored, program, method]
    ran = subprocess.run(
        command, env=environment(local.base_url), capture_output=True, text=True, timeout=50
    )
    assert (ran.returncode, without_slowness(ran.stderr)) == (0, ""), ran.stderr


GIVEN = """
import multiprocessing, os, sys
import replicate_rs as replicate


def use(client):
    assert client.predictions.get("x").id == "p1"


def refused(client):
    try:
        use(client)
    except replicate.exceptions.MissingTokenError:
        client.api_token = os.environ["REPLICATE_API_TOKEN"]
        use(client)


if __name__ == "__main__":
    client = replicate.Replicate("r8_parent", base_url=sys.argv[1])
    use(client)
    child = multiprocessing.get_context("spawn").Process(target=refused, args=(client,))
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


def test_a_client_given_to_a_spawned_process_takes_no_other_token_unless_it_is_told(tmp_path):
    program = tmp_path / "given.py"
    program.write_text(GIVEN)
    with Wire(lambda _: reply(prediction())) as wire:
        env = environment(wire.base_url) | {"REPLICATE_API_TOKEN": "r8_environment"}
        command = [sys.executable, "-X", "dev", "-W", "error", str(program), wire.base_url]
        ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
        assert (ran.returncode, without_slowness(ran.stderr)) == (0, ""), ran.stderr
        assert [each.headers["authorization"] for each in wire.seen] == [
            "Bearer r8_parent",
            "Bearer r8_environment",
        ]


def test_a_pickled_client_has_no_token():
    client = replicate.Replicate("r8_parent", base_url="http://127.0.0.1:1", max_connections=3)
    assert b"r8_parent" not in pickle.dumps(client)
    assert pickle.loads(pickle.dumps(client)).max_connections == 3


AT_ONCE = """
import os
import replicate_rs as replicate

client = replicate.Replicate()


def wsgi(environ, start_response):
    # Answered when as many as can be at once have come.
    given = client.run("acme/together", {"text": environ["PATH_INFO"][1:]}, wait=False)
    given = {given, "".join(client.text_stream("acme/tokens", {"text": given})).strip()}
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{'|'.join(given)} {os.getpid()}".encode()]
"""


# `asyncio.run` cannot be used in two greenlets at once: a running loop is its thread's.
AT_ONCE_IN_CELERY = """
@app.task
def shout(text):
    given = client.run("acme/together", {"text": text}, wait=False)
    return [given, os.getpid()]
"""


def accepts(path):
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


@pytest.fixture
def together(local):
    """A model that answers when four have asked it, which one thread can only do if its greenlets
    give way.
    """
    pytest.importorskip("gevent")
    gate = threading.Barrier(4, timeout=20)

    @local.model("acme/together")
    def together(text: str) -> str:
        gate.wait()
        return text.upper()

    return local


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preloaded"])
def test_a_gunicorn_worker_with_greenlets_serves_many_at_once(preload, together, tmp_path):
    (tmp_path / "app.py").write_text(AT_ONCE)
    path = tmp_path / "socket"
    command = ["gunicorn", *preload, "-w", "1", "-k", "gevent", "-b", f"unix:{path}", "app:wsgi"]
    with started(command, tmp_path, together.base_url) as server:
        server.until(lambda: accepts(path))
        with ThreadPoolExecutor(4) as threads:
            texts = [f"n{n}" for n in range(8)]
            given = list(threads.map(lambda text: ask(path, text), texts))
        assert [answer for answer, _ in given] == [text.upper() for text in texts]
        code, log = server.end()
    assert code == 0, log
    assert "Traceback" not in log, log


@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_a_celery_worker_with_greenlets_runs_many_at_once(pool, together, tmp_path):
    tasks = CELERY[: CELERY.index("@app.task")] + AT_ONCE_IN_CELERY
    (tmp_path / "tasks.py").write_text(tasks)
    command = ["celery", "-A", "tasks", "worker", "-P", pool, "-c", "4", "-l", "info", "-Ofair"]
    with started(
        [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
        tmp_path,
        together.base_url,
    ) as worker:
        asked = subprocess.run(
            [sys.executable, "-c", CALLER.replace("len(pids) < 2", "len(pids) < 1")],
            env=environment(together.base_url, tmp_path),
            capture_output=True,
            text=True,
            timeout=40,
        )
        assert (asked.returncode, asked.stderr) == (0, ""), (asked.stderr, worker.log.read_text())
        code, log = worker.end()
    assert code == 0, log
    assert "Traceback" not in log, log
