"""The end of a program with calls under way: by itself, by a signal, or in a place where the
package cannot work.
"""

import signal
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager

import pytest

from conftest import script, without_slowness
from support import passing
from support.serving import environment
from support.wire import CHUNKED, HEAD, Wire, hang, output, prediction, reply

# Calls that never end by themselves; `more` is what they are given besides.
BLOCKING = {
    "a request": "client.predictions.get('hold', **more)",
    "a create that is held open": "client.run('acme/hold', {}, **more)",
    "a wait between polls": "client.run('acme/slow', {}, wait=False, **more)",
    "a stream": "list(client.stream('acme/x', {}, **more))",
    "a text": "client.text_stream('acme/x', {}, **more).collect()",
    "a download into memory": "FileOutput(f'{origin}/file', client).read(**more)",
    "a download to a file": "FileOutput(f'{origin}/file', client).save(target, **more)",
    "an upload": "client.files.create(io.BytesIO(bytes(20_000_000)), filename='x', **more)",
}
AWAITED = {
    "a request": "await client.predictions.async_get('hold')",
    "a create that is held open": "await client.async_run('acme/hold', {})",
    "a wait between polls": "await client.async_run('acme/slow', {}, wait=False)",
    "a stream": "[each async for each in client.async_stream('acme/x', {})]",
    "a download into memory": "await FileOutput(f'{origin}/file', client).aread()",
    "a download to a file": "await FileOutput(f'{origin}/file', client).asave(target)",
    "an upload": "await client.files.async_create(io.BytesIO(bytes(20_000_000)), filename='x')",
}

START = """
import asyncio, io, os, signal, sys, threading
import replicate_rs as replicate
from replicate_rs import FileOutput

target, origin, more = sys.argv[1], os.environ["REPLICATE_BASE_URL"].removesuffix("/v1"), {}
client, watcher = replicate.Replicate(), replicate.Replicate()
def until_held():
    while watcher.predictions.get("held").status != "succeeded":
        pass
"""


class Holding(Wire):
    """Holds whatever the calls above ask for; `/v1/predictions/held` tells whether something is."""

    def __init__(self):
        self.held = threading.Event()
        self.over = threading.Event()
        super().__init__(self._answer)

    def __exit__(self, *error):
        self.over.set()
        super().__exit__(*error)

    def _answer(self, seen):
        if seen.path.endswith("/held"):
            return reply(prediction("succeeded" if self.held.is_set() else "processing"))
        if seen.path.endswith("/cancels"):
            return reply({**prediction(), "logs": str(len(cancels(self)))})
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        if seen.path.endswith("/p1"):
            self.held.set()
            return reply(prediction("processing"))
        if seen.path.endswith("/acme/slow/predictions"):
            return reply(prediction("processing"), 201)
        if seen.path.endswith("/acme/x/predictions"):
            return reply(
                {**prediction("processing"), "urls": {"stream": f"{self.origin}/stream"}}, 201
            )
        self.held.set()
        if seen.path == "/stream":
            return self._begun(HEAD + output("a"))
        if seen.path == "/whole":
            return reply(bytes(1_000_000), kind="image/png")
        if seen.path == "/file":
            return self._begun(
                CHUNKED.replace(b"text/event-stream", b"image/png") + b"4\r\nabcd\r\n"
            )
        return hang

    def _begun(self, content):
        def send(connection):
            connection.sendall(content)
            hang(connection)

        return send

    def _serve(self, connection):
        start = b"POST /v1/files"
        if connection.recv(len(start), socket.MSG_PEEK) == start:
            # Held in its middle: nothing more is read than the first part.
            connection.recv(4096)
            self.held.set()
            self.over.wait()
        super()._serve(connection)

    def run(self, code, tmp_path):
        """Run a program against this server; its exit code, and what it wrote."""
        done = script(
            START + textwrap.dedent(code), str(tmp_path / "file"), env=environment(self.base_url)
        )
        return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("call", BLOCKING.values(), ids=BLOCKING)
def test_a_program_ends_silently_while_daemon_threads_are_in(call, tmp_path):
    code = f"""
        for _ in range(3):
            threading.Thread(target=lambda: {call}, daemon=True).start()
        until_held()
        sys.exit(7)
    """
    with Holding() as wire:
        assert wire.run(code, tmp_path) == (7, "", "")


@pytest.mark.parametrize("call", BLOCKING.values(), ids=BLOCKING)
def test_a_program_ends_when_the_thread_it_waits_for_is_aborted(call, tmp_path):
    """Python waits for threads that are not daemons; what runs before that may tell them to end."""
    code = f"""
        controller = replicate.AbortController()
        more = {{"signal": controller.signal}}
        def work():
            try:
                {call}
            except replicate.AbortError:
                print("aborted")
        threading.Thread(target=work).start()
        until_held()
        threading._register_atexit(controller.abort)
    """
    with Holding() as wire:
        assert wire.run(code, tmp_path) == (0, "aborted\n", "")


@pytest.mark.parametrize("call", AWAITED.values(), ids=AWAITED)
def test_a_program_ends_silently_while_a_task_is_in(call, tmp_path):
    code = f"""
        async def work():
            {call}
        async def main():
            task = asyncio.create_task(work())
            await asyncio.to_thread(until_held)
        asyncio.run(main())
    """
    with Holding() as wire:
        assert wire.run(code, tmp_path) == (0, "", "")


@pytest.mark.parametrize("call", AWAITED.values(), ids=AWAITED)
def test_a_program_ends_silently_whose_loop_runs_in_a_daemon_thread(call, tmp_path):
    code = f"""
        async def work():
            {call}
        threading.Thread(target=lambda: asyncio.run(work()), daemon=True).start()
        until_held()
    """
    with Holding() as wire:
        assert wire.run(code, tmp_path) == (0, "", "")


def test_a_call_in_an_exit_handler(tmp_path):
    code = """
        import atexit
        atexit.register(lambda: print(client.predictions.get("p1").id))
        atexit.register(lambda: print(asyncio.run(client.predictions.async_get("p1")).id))
    """
    with Holding() as wire:
        assert wire.run(code, tmp_path) == (0, "p1\np1\n", "")


# What a program began, and still has in a variable when it ends.
BEGUN = {
    "a stream": "kept = client.stream('acme/x', {}); next(kept)",
    "a text": "kept = client.text_stream('acme/x', {}); next(kept)",
    "a relay": "kept = client.relay('acme/x', {}); until_held()",
    "a file's pieces": "kept = iter(FileOutput(f'{origin}/whole', client)); next(kept)",
    "an open file": "kept = FileOutput(f'{origin}/whole', client).open(); kept.read(1)",
    "an awaited stream": "kept = client.async_stream('acme/x', {}); asyncio.run(anext(kept))",
    "a step of a coroutine": (
        "kept = client.predictions.async_get('hold')\nasync def go():"
        " kept.send(None)\nasyncio.run(go())"
    ),
    "an output": "kept = client.use('acme/x', streaming=True)(); next(iter(kept))",
}


@pytest.mark.parametrize("what", BEGUN.values(), ids=BEGUN)
def test_a_program_ends_silently_that_still_holds(what, tmp_path):
    """What a variable of a module holds goes when the interpreter is half gone."""
    with Holding() as wire:
        assert wire.run(what, tmp_path) == (0, "", "")


@pytest.mark.parametrize("name", ["a stream", "a text", "a relay"])
def test_the_end_of_a_program_cancels_what_it_still_reads(name, tmp_path):
    with Holding() as wire:
        wire.run(BEGUN[name], tmp_path)
        assert cancels(wire) == ["POST /v1/predictions/p1/cancel"]


SLOW = {name: BLOCKING[name] for name in ("a wait between polls", "a stream", "a text")}


@pytest.mark.parametrize("call", SLOW.values(), ids=SLOW)
def test_the_end_of_a_program_cancels_what_a_daemon_thread_waits_for(call, tmp_path):
    with Holding() as wire:
        wire.run(
            f"threading.Thread(target=lambda: {call}, daemon=True).start(); until_held()", tmp_path
        )
        assert cancels(wire) == ["POST /v1/predictions/p1/cancel"]


def test_the_end_of_a_forked_child_leaves_its_parents_alone(tmp_path):
    code = """
        kept = client.stream('acme/x', {})
        next(kept)
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            print(client.predictions.get('cancels').logs, end="")
    """
    with Holding() as wire:
        assert wire.run(code, tmp_path) == (0, "0", "")
        assert cancels(wire) == ["POST /v1/predictions/p1/cancel"]


SUBINTERPRETER = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters
{before}
inner = interpreters.create()
interpreters.run_string(inner, '''
try:
    import replicate_rs
    replicate_rs.Replicate()
except ImportError as error:
    print(error, flush=True)
''')
interpreters.destroy(inner)
import replicate_rs
replicate_rs.Replicate()
"""


@pytest.mark.parametrize(
    "before", ["", "import replicate_rs; replicate_rs.Replicate()"], ids=["first", "second"]
)
def test_a_subinterpreter_is_refused_with_words(before):
    done = script(SUBINTERPRETER.format(before=before))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("replicate_rs works in a process's main interpreter only")
    assert "WSGIApplicationGroup" in done.stdout


@contextmanager
def running(code, wire, tmp_path):
    """A program that is to be sent a signal when its call is held."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-c",
            passing.PRELUDE + START + textwrap.dedent(code),
            str(tmp_path / "file"),
        ],
        env=environment(wire.base_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert wire.held.wait(20)
            yield process
        finally:
            process.kill()


def told_by(process):
    """What it writes until it ends: its output, and its errors."""
    out, err = process.communicate(timeout=10)
    return out, without_slowness(err)


def cancels(wire):
    return [each for each in wire.routes if each.endswith("/cancel")]


@pytest.mark.parametrize("call", SLOW.values(), ids=SLOW)
def test_a_handler_of_sigterm_that_exits_cancels_the_prediction_once(call, tmp_path):
    code = f"""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        {call}
    """
    with Holding() as wire:
        with running(code, wire, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            written = told_by(process)
        assert (process.returncode, *written) == (5, "", "")
        assert cancels(wire) == ["POST /v1/predictions/p1/cancel"]


HELD = {
    name: BLOCKING[name]
    for name in ("a request", "a download into memory", "a download to a file", "an upload")
}


@pytest.mark.parametrize("call", HELD.values(), ids=HELD)
def test_a_handler_of_sigterm_that_exits_ends_every_call(call, tmp_path):
    code = f"""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        {call}
    """
    with Holding() as wire:
        with running(code, wire, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            written = told_by(process)
        assert (process.returncode, *written) == (5, "", "")
    # Half a file is not left behind.
    assert list(tmp_path.iterdir()) == []


def test_a_handler_that_returns_leaves_the_call_alone(tmp_path):
    code = """
        signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"handled\\n"))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        client.run('acme/slow', {}, wait=False)
    """
    with Holding() as wire:
        with running(code, wire, tmp_path) as process:
            for _ in range(3):
                process.send_signal(signal.SIGUSR1)
                line = process.stdout.readline()
                assert line == "handled\n", process.stderr.read()
            assert cancels(wire) == []
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 5


def test_a_loops_own_handler_of_ctrl_c_cancels_a_task_and_its_prediction(tmp_path):
    code = """
        async def main():
            task = asyncio.create_task(client.async_run('acme/slow', {}, wait=False))
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
            try:
                await task
            except asyncio.CancelledError:
                print("cancelled")
            assert (await client.predictions.async_get("p1")).id == "p1"
        asyncio.run(main())
    """
    with Holding() as wire:
        with running(code, wire, tmp_path) as process:
            process.send_signal(signal.SIGINT)
            written = told_by(process)
        assert (process.returncode, *written) == (0, "cancelled\n", "")
        assert cancels(wire) == ["POST /v1/predictions/p1/cancel"]


def test_ctrl_c_in_an_awaited_run_without_a_handler(tmp_path):
    """`asyncio.run` cancels its main task."""
    code = """
        try:
            asyncio.run(client.async_run('acme/slow', {}, wait=False))
        except KeyboardInterrupt:
            print("interrupted")
    """
    with Holding() as wire:
        with running(code, wire, tmp_path) as process:
            process.send_signal(signal.SIGINT)
            written = told_by(process)
        assert (process.returncode, *written) == (0, "interrupted\n", "")
        assert cancels(wire) == ["POST /v1/predictions/p1/cancel"]


def test_a_wakeup_descriptor_is_written_to_while_a_call_blocks(tmp_path):
    """Event loops and supervisors learn of signals this way, and the handler runs although
    the call is in Rust.
    """
    code = """
        import socket
        ours, pythons = socket.socketpair()
        pythons.setblocking(False)
        signal.set_wakeup_fd(pythons.fileno())
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        try:
            client.run('acme/slow', {}, wait=False)
        finally:
            print(ours.recv(8) == bytes([signal.SIGTERM]))
            signal.set_wakeup_fd(-1)
            ours.close()
            pythons.close()
    """
    with Holding() as wire:
        with running(code, wire, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            written = told_by(process)
        assert (process.returncode, *written) == (5, "True\n", "")
        assert cancels(wire) == ["POST /v1/predictions/p1/cancel"]
