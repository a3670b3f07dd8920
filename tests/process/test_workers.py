"""Processes that servers and task queues make: each worker has a client that works, whatever its
parent did with it before.
"""

import pickle
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import replicate_rs as replicate
from conftest import script
from support.serving import answers, ask, asked_of_all, environment, started
from support.wire import HEAD, Wire, done, hang, output, prediction, reply, streaming

APP = """
import asyncio, os
import replicate_rs as replicate

client = replicate.Replicate()
# With preloading this happens before the fork.
assert client.run("acme/shout", {"text": "imported"}) == "IMPORTED"


def wsgi(environ, start_response):
    text = environ["PATH_INFO"][1:]
    given = {client.run("acme/shout", {"text": text}), asyncio.run(client.async_run("acme/shout", {"text": text}))}
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{'|'.join(given)} {os.getpid()}".encode()]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    given = {await client.async_run("acme/shout", {"text": scope["path"][1:]})}
    stream = client.async_text_stream("acme/tokens", {"text": scope["path"][1:].upper()})
    given |= {"".join([each async for each in stream]).strip()}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
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
    """Rows 5 and 13."""
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
    "data_folder_in": folders["queue"], "data_folder_out": folders["queue"], "control_folder": folders["control"]
}
client = replicate.Replicate()
assert client.run("acme/shout", {"text": "imported"}) == "IMPORTED"


@app.task
def shout(text):
    given = {client.run("acme/shout", {"text": text}), asyncio.run(client.async_run("acme/shout", {"text": text}))}
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
    """Rows 5 and 13."""
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
    given = {client.run("acme/shout", {"text": text}), asyncio.run(client.async_run("acme/shout", {"text": text}))}
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
    """Row 13."""
    program = tmp_path / "pools.py"
    program.write_text(POOLS)
    command = [sys.executable, "-X", "dev", "-W", "error", str(program), method]
    ran = subprocess.run(
        command, env=environment(local.base_url), capture_output=True, text=True, timeout=50
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr


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
    """Rows 4 and 13."""
    program = tmp_path / "given.py"
    program.write_text(GIVEN)
    with Wire(lambda _: reply(prediction())) as wire:
        env = environment(wire.base_url) | {"REPLICATE_API_TOKEN": "r8_environment"}
        command = [sys.executable, "-X", "dev", "-W", "error", str(program), wire.base_url]
        ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
        assert [each.headers["authorization"] for each in wire.seen] == [
            "Bearer r8_parent",
            "Bearer r8_environment",
        ]


def test_a_pickled_client_has_no_token():
    """Row 4."""
    client = replicate.Replicate("r8_parent", base_url="http://127.0.0.1:1", max_connections=3)
    assert b"r8_parent" not in pickle.dumps(client)
    assert pickle.loads(pickle.dumps(client))._options["max_connections"] == 3


@pytest.mark.parametrize(
    "way", ["output.save(path)", "inline.save(path)", "asyncio.run(output.asave(path))"]
)
def test_children_that_save_into_one_folder_do_not_meet(way, tmp_path):
    """Forked, they have the same state of everything, random numbers included, and begin at the
    same moment.
    """
    code = f"""
        import asyncio, os, signal, sys
        from replicate_rs import FileOutput, Replicate
        client = Replicate("t")
        output, inline = FileOutput(sys.argv[1], client), FileOutput("data:,content", client)
        path = os.path.join(sys.argv[2], "before")
        {way}
        wait, go = os.pipe()
        children = []
        for number in range(30):
            children.append(os.fork())
            if children[-1] == 0:
                signal.alarm(20)
                os.close(go)
                os.read(wait, 1)
                try:
                    path = os.path.join(sys.argv[2], str(number))
                    {way}
                except Exception as error:
                    print(error, flush=True)
                    os._exit(1)
                os._exit(0)
        os.close(go)
        print(sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children), "failures")
    """
    with Wire(lambda _: reply(b"content")) as wire:
        ran = script(code, f"{wire.origin}/file", str(tmp_path))
    assert (ran.stdout, ran.stderr) == ("0 failures\n", "")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == dict.fromkeys(
        ["before", *map(str, range(30))], b"content"
    )


def test_children_draw_numbers_of_their_own(tmp_path):
    """What they draw is seen in the names of files that are on their way, each in a folder of its
    own.
    """
    code = """
        import os, signal, sys
        from replicate_rs import FileOutput, Replicate
        output = FileOutput(sys.argv[1] + "/small", Replicate("t"))
        output.save(os.path.join(sys.argv[2], "before"))
        children = []
        for number in range(5):
            folder = os.path.join(sys.argv[2], str(number))
            os.mkdir(folder)
            children.append(os.fork())
            if children[-1] == 0:
                FileOutput(sys.argv[1] + "/held", Replicate("t")).save(os.path.join(folder, "x"))
        sys.stdin.read()
        for child in children:
            os.kill(child, signal.SIGKILL)
    """
    with Wire(lambda seen: hang if seen.path == "/held" else reply(b"content")) as wire:
        command = [
            sys.executable,
            "-X",
            "dev",
            "-c",
            textwrap.dedent(code),
            wire.origin,
            str(tmp_path),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as parent:
            wire.until(lambda: wire.routes.count("GET /held") == 5)
            drawn = [each.name for each in tmp_path.glob("*/.*.part")]
    assert parent.returncode == 0
    assert len(set(drawn)) == len(drawn) == 5


def seen_before(path):
    """A server that never answers `path`, and says of `/v1/predictions/seen` whether it was asked
    for that.
    """

    def answer(seen):
        if seen.path == path:
            return hang
        met = any(each.path == path for each in wire.seen)
        return reply(prediction("succeeded" if met else "processing"))

    wire = Wire(answer)
    return wire


@pytest.mark.parametrize(
    "way", ["client.predictions.get('x')", "asyncio.run(client.predictions.async_get('x'))"]
)
def test_a_child_does_not_wait_for_a_connection_that_its_parent_uses(way):
    """Row 13: the parent's thread, which has the only connection, is not there to give it back."""
    code = f"""
        import asyncio, os, signal, sys, threading
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1], max_connections=1)
        other = replicate.Replicate(base_url=sys.argv[1])
        threading.Thread(target=client.predictions.get, args=("held",), daemon=True).start()
        while other.predictions.get("seen").status != "succeeded":
            pass
        pid = os.fork()
        if pid == 0:
            signal.alarm(5)
            os._exit(0 if {way}.id == "p1" else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    with seen_before("/v1/predictions/held") as wire:
        ran = script(code, wire.base_url)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def test_the_limit_of_connections_holds_in_a_child_too():
    """Row 13."""
    code = """
        import os, signal, sys, threading
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1], max_connections=2)
        client.predictions.get("x")
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            threads = [threading.Thread(target=client.predictions.get, args=("x",)) for _ in range(20)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    lock = threading.Lock()
    counts = {"now": 0, "most": 0}

    def slow(_):
        with lock:
            counts["now"] += 1
            counts["most"] = max(counts.values())
        time.sleep(0.01)
        with lock:
            counts["now"] -= 1
        return reply(prediction())

    with Wire(slow) as wire:
        ran = script(code, wire.base_url)
        assert (ran.stdout, ran.stderr) == ("0\n", "")
        assert len(wire.seen) == 21
    assert counts["most"] == 2


def paused_stream():
    """A stream whose second half comes when somebody asks for `/v1/predictions/go`."""
    go = threading.Event()

    def rest(connection):
        go.wait(20)
        connection.sendall(output("b") + done())

    wire = streaming(output("a"), rest)
    scripted = wire.script

    def answer(seen):
        if seen.path.endswith("/go"):
            go.set()
        return scripted(seen)

    wire.script = answer
    return wire


CHILD = """
            signal.alarm(10)
            {does}
            ok = client.predictions.get("x").status == "starting"
            ok = ok and asyncio.run(client.predictions.async_get("x")).status == "starting"
            os._exit(0 if ok else 1)
"""


@pytest.mark.parametrize("does", ["pass", "stream.close()", "del stream, first; gc.collect()"])
def test_a_fork_while_a_stream_is_open(does):
    """Row 13: the child has a client that works, and nothing that it does ends its parent's stream."""
    code = f"""
        import asyncio, gc, os, signal, sys
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        stream = client.stream("acme/x", {{}}, cancel_on_exit=False)
        first = next(stream)
        pid = os.fork()
        if pid == 0:
{CHILD.format(does=does)}
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        client.predictions.get("go")
        print("".join(map(str, [first, *stream])))
    """
    with paused_stream() as wire:
        ran = script(code, wire.base_url)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ab\n", "")
        assert wire.routes.count("GET /stream") == 1


def test_a_child_that_leaves_does_not_cancel_its_parents_prediction():
    """Rows 7 and 13."""
    code = """
        import os, sys
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        parent, text = os.getpid(), ""
        for event in client.stream("acme/x", {}):
            text += str(event)
            if not text[1:]:
                pid = os.fork()
                if pid == 0:
                    sys.exit(0)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
                client.predictions.get("go")
        print(text)
    """
    with paused_stream() as wire:
        ran = script(code, wire.base_url)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ab\n", "")
        assert [each for each in wire.routes if each.endswith("cancel")] == []


def test_a_fork_while_an_event_loop_has_calls_under_way():
    """Row 13."""
    code = f"""
        import asyncio, gc, os, signal, sys
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        def child():
{CHILD.format(does="gc.collect()")}
        async def main():
            first, read = None, []
            stream = client.async_stream("acme/x", {{}}, cancel_on_exit=False)
            read.append(str(await anext(stream)))
            calls = [asyncio.create_task(client.predictions.async_get("x")) for _ in range(50)]
            await asyncio.sleep(0)
            for _ in range(10):
                pid = os.fork()
                if pid == 0:
                    child()
                assert await asyncio.to_thread(lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])) == 0
            assert len(await asyncio.gather(*calls)) == 50
            await client.predictions.async_get("go")
            read += [str(event) async for event in stream]
            print("".join(read))
        asyncio.run(main())
    """
    with paused_stream() as wire:
        ran = script(code, wire.base_url)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ab\n", "")


def test_forks_in_the_middle_of_a_busy_stream():
    """Row 13: a child that lets go of its parent's streams must not wait for what the parent's
    threads held when it was made.
    """
    code = """
        import os, signal, sys
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        streams = [client.stream("acme/x", {}, cancel_on_exit=False) for _ in range(4)]
        for _ in range(200):
            for stream in streams:
                for _ in range(100):
                    next(stream)
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                for stream in streams:
                    stream.close()
                del stream, streams
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        print(str(next(streams[0])))
    """

    def endless(connection):
        connection.sendall(HEAD)
        while True:
            connection.sendall(output("a") * 50)

    def answer(seen):
        if seen.path == "/stream":
            return endless
        return reply({**prediction("starting"), "urls": {"stream": f"{wire.origin}/stream"}}, 201)

    with Wire(answer) as wire:
        ran = script(code, wire.base_url)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "a\n", "")


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
