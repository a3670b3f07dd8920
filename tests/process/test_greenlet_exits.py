"""Greenlets that are killed or interrupted, and programs and forks that end among them."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest

from conftest import script
from support.greenlets import KINDS, MAX_WAIT, PRELUDE, Endless, environment, greenlets
from support.wire import Seen, Wire, hang, prediction, reply


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


# What a greenlet waits in, how many predictions are cancelled when it is ended there, and the
# request that shows that it waits.
LEAVING = {
    "run": ("client.run('acme/run', {}, wait=False)", 1, "GET /v1/predictions/run"),
    "use": ("client.use('acme/use')()", 1, "GET /v1/predictions/use"),
    "wait": ("client.predictions.wait('wait')", 0, "GET /v1/predictions/wait"),
    "stream": ("list(client.stream('acme/stream', {}))", 1, "GET /stream/stream"),
    "text": ("list(client.text_stream('acme/text', {}))", 1, "GET /stream/text"),
    "relay": ("list(client.relay('acme/relay', {}))", 1, "GET /stream/relay"),
    "read": ("file('read').read()", 0, "GET /file/read"),
    "iterate": ("list(file('iterate'))", 0, "GET /file/iterate"),
    "open": ("file('open').open().read()", 0, "GET /file/open"),
    "save": ("file('save').save(os.path.join(folder, 'saved'))", 0, "GET /file/save"),
    "save_all": ("replicate.save_all([file('save_all')], folder)", 0, "GET /file/save_all"),
    "upload": ("client.files.create(bytes(100))", 0, "POST /v1/files"),
    "report": ("client.files.create(bytes(100), progress=lambda *_: None)", 0, "POST /v1/files"),
    "input": (
        "client.run('acme/input', {'a': bytes(100)}, file_encoding_strategy='upload')",
        0,
        "POST /v1/files",
    ),
}


@pytest.mark.parametrize("way", ["timeout", "kill"])
def test_what_is_thrown_into_a_greenlet_ends_its_call(kind, way, tmp_path):
    calls = ", ".join(f"{name!r}: lambda: {call}" for name, (call, _, _) in LEAVING.items())
    code = f"""
        folder = sys.argv[3]

        def file(name):
            return replicate.FileOutput(base_url.removesuffix("/v1") + "/file/" + name, client)

        def left(name, call):
            try:
                with Timeout({3 if way == "timeout" else 40}):
                    call()
            except BaseException as error:
                print(name, type(error).__name__)

        leaving = [spawn(left, name, call) for name, call in {{{calls}}}.items()]
        client.predictions.get("ready")
        for each in leaving:
            if {way == "kill"}:
                kill(each)
        join(leaving)
        client.predictions.get("ready")
    """
    with Endless(*(route for _, _, route in LEAVING.values())) as wire:
        lines = greenlets(kind, code, wire.base_url, str(tmp_path))
        error = "Timeout" if way == "timeout" else "GreenletExit"
        assert sorted(lines) == sorted(f"{name} {error}" for name in LEAVING)
        wire.until(lambda: wire.open_now == 0)
        assert wire.canceled == sorted(name for name, (_, cancels, _) in LEAVING.items() if cancels)
        assert list(tmp_path.iterdir()) == []


def test_a_greenlet_that_leaves_need_not_wait_for_the_cancel(kind):
    """It may be ended once more meanwhile; the program's end waits instead."""
    code = """
        try:
            with Timeout(0.3):
                client.run("acme/x", {}, wait=False)
        except Timeout:
            print(client.predictions.get("last").status)
    """
    told = threading.Event()

    def answer(seen: Seen) -> Any:
        if seen.path.endswith("/cancel"):
            # Not before the program went on.
            return lambda _: reply(prediction("canceled")) if told.wait(MAX_WAIT) else None
        if seen.path.endswith("/last"):
            told.set()
            return reply(prediction())
        return reply(prediction("processing"))

    with Wire(answer) as wire:
        assert greenlets(kind, code, wire.base_url) == ["succeeded"]
        assert wire.routes.count("POST /v1/predictions/p1/cancel") == 1


def test_a_fork_among_waiting_greenlets(kind):
    """A child has greenlets that wait for its parent's answers: it must not take them, and its own
    calls work.
    """
    code = """
        if kind == "eventlet":
            fork = os.fork
        else:
            import gevent.os
            fork = gevent.os.fork
        waiting = [spawn(client.predictions.get, "held") for _ in range(5)]
        sleep(0.1)
        for _ in range(3):
            pid = fork()
            if pid == 0:
                if kind == "eventlet":
                    hubs.use_hub()
                join([spawn(client.predictions.get, "x") for _ in range(5)])
                os._exit(0)
            while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
                sleep(0.01)
            print(os.waitstatus_to_exitcode(ended[1]))
        client.predictions.get("go")
        join(waiting)
    """
    go = threading.Event()

    def answer(seen: Seen) -> Any:
        if seen.path.endswith("/held"):
            return lambda _: reply(prediction()) if go.wait(30) else None
        if seen.path.endswith("/go"):
            go.set()
        return reply(prediction())

    with Wire(answer) as wire:
        assert greenlets(kind, code, wire.base_url) == ["0"] * 3
        assert wire.routes.count("GET /v1/predictions/held") == 5


ENDS = {
    "the end": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exit handler that calls": (
        "import atexit; atexit.register(client.predictions.get, 'ready')",
        0,
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_that_ends_while_greenlets_wait(kind, end):
    how, code = ENDS[end]
    program = f"""
        waiting = [
            spawn(client.run, "acme/run", {{}}, wait=False),
            spawn(lambda: list(client.stream("acme/stream", {{}}))),
            spawn(lambda: replicate.FileOutput(base_url.removesuffix("/v1") + "/file/read",
                client).read()),
            spawn(client.files.create, bytes(100)),
        ]
        client.predictions.get("ready")
        {how}
    """
    with Endless(
        "GET /v1/predictions/run", "GET /stream/stream", "GET /file/read", "POST /v1/files"
    ) as wire:
        ran = script(PRELUDE + textwrap.dedent(program), kind, wire.base_url, env=environment(kind))
        assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", "")
        assert wire.canceled == ["run", "stream"]


def test_a_program_that_ends_while_a_function_of_the_caller_waits(kind, local):
    """The core has called it, and it never returns."""
    code = """
        client.run("acme/shout", {"text": "a"})
        spawn(replicate.Replicate(lambda: sleep(100), base_url=base_url).predictions.list)
        sleep(0.1)
    """
    assert greenlets(kind, code, local.base_url) == []


INTERRUPTED = {
    "the main greenlet": "client.run('acme/x', {}, wait=False)",
    "the main greenlet, which waits for others": (
        "join([spawn(client.run, 'acme/x', {}, wait=False)])"
    ),
}


@pytest.mark.parametrize("who", INTERRUPTED)
# gevent on libuv loses an interrupt that comes just when a descriptor is ready, whose ever it is.
@pytest.mark.parametrize("kind", ["gevent", "eventlet"])
def test_ctrl_c(kind, who):
    code = f"""
        try:
            {INTERRUPTED[who]}
        except KeyboardInterrupt:
            print("interrupted")
    """
    with Endless() as wire:
        command = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), kind, wire.base_url]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(kind),
        ) as process:
            wire.until(lambda: len(wire.seen) > 5)
            process.send_signal(signal.SIGINT)
            written, _ = process.communicate(timeout=10)
        assert (process.returncode, written) == (0, "interrupted\n")
        wire.until(lambda: wire.canceled == ["x"])


def test_ctrl_c_where_only_threads_are_patched():
    """There a greenlet blocks its thread, and is not what `threading` calls the main thread."""
    code = """
        import sys
        from gevent import monkey
        monkey.patch_thread()
        import gevent
        import replicate_rs as replicate
        client = replicate.Replicate("r8_secret", base_url=sys.argv[1], poll_interval=0.01)
        def use():
            try:
                client.predictions.get("x")
            except KeyboardInterrupt:
                print("interrupted")
        gevent.spawn(use).join()
    """
    with Wire(lambda _: hang) as wire:
        command = [sys.executable, "-c", textwrap.dedent(code), wire.base_url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            wire.until(lambda: len(wire.seen) == 1)
            process.send_signal(signal.SIGINT)
            wire.until(lambda: wire.open_now == 0)
            assert process.communicate(timeout=10)[0] == "interrupted\n"
