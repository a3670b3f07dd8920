"""Forked and spawned children of a program that uses a client."""

import subprocess
import sys
import textwrap
import threading
import time

import pytest

from conftest import script
from support.wire import HEAD, Wire, done, hang, output, prediction, reply, streaming


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
        print(sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
            for child in children), "failures")
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
    """The parent's thread, which has the only connection, is not there to give it back."""
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
        ran = script(code, wire.base_url, forks_with_threads=True)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def test_the_limit_of_connections_holds_in_a_child_too():
    code = """
        import os, signal, sys, threading
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1], max_connections=2)
        client.predictions.get("x")
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            threads = [threading.Thread(target=client.predictions.get, args=("x",))
                for _ in range(20)]
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
    """The child has a client that works, and nothing that it does ends its parent's stream."""
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
                _, status = await asyncio.to_thread(os.waitpid, pid, 0)
                assert os.waitstatus_to_exitcode(status) == 0
            assert len(await asyncio.gather(*calls)) == 50
            await client.predictions.async_get("go")
            read += [str(event) async for event in stream]
            print("".join(read))
        asyncio.run(main())
    """
    with paused_stream() as wire:
        ran = script(code, wire.base_url, forks_with_threads=True)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ab\n", "")


def test_forks_in_the_middle_of_a_busy_stream():
    """A child that lets go of its parent's streams must not wait for what the parent's
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
