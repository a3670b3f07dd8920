"""Work that was begun before a fork and is awaited in the child: it says so at once; what is begun in the child works."""

import textwrap
import threading

import pytest

from conftest import script
from wire import HEAD, Wire, done, output, prediction, reply

BEGIN = """
import asyncio, os, sys, threading
import replicate_rs as replicate
from replicate_rs import FileOutput
from replicate_rs._core import Expect
from replicate_rs.exceptions import ForkedError

base_url, origin = sys.argv[1:]
client = replicate.Replicate("r8_x", base_url=base_url)
core = client._core
file = FileOutput(f"{origin}/file", client)

def refused(call):
    try:
        call()
    except ForkedError as error:
        assert "make it again in this process" in str(error), error
    else:
        raise AssertionError("not refused")

async def finished(awaitable):
    async with asyncio.timeout(10):
        return await awaitable

def run(awaitable):
    return asyncio.run(finished(awaitable))

def in_child(check):
    pid = os.fork()
    if pid == 0:
        try:
            check()
            assert client.predictions.get("new").id == "p1"
            assert run(client.predictions.async_get("new")).id == "p1"
            os._exit(0)
        except BaseException as error:
            import traceback
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""

WAYS = {
    "begun, waited for": """
        pending = core.send("GET", ("held",), Expect.STATUS)
        pending.begin()
        in_child(lambda: refused(pending.wait))
        go_on()
        assert pending.wait() == 200
    """,
    "begun, awaited": """
        pending = core.send("GET", ("held",), Expect.STATUS)
        pending.begin()
        in_child(lambda: refused(lambda: run(pending)))
        go_on()
        assert run(pending) == 200
    """,
    "begun, the first of": """
        pending = core.send("GET", ("held",), Expect.STATUS)
        pending.begin()
        in_child(lambda: (refused(lambda: core.first([pending]).wait()), refused(lambda: run(core.first([pending])))))
        go_on()
        assert core.first([pending]).wait() == 0
    """,
    "begun, given up": """
        pending = core.send("GET", ("held",), Expect.STATUS)
        pending.begin()
        in_child(pending.give_up)
        go_on()
        assert pending.wait() == 200
    """,
    "awaited": """
        async def main():
            pending = core.send("GET", ("held",), Expect.STATUS)
            pending.add_done_callback(lambda _: None)
            in_child(lambda: [refused(lambda: again(pending)) for again in (run, type(pending).wait, type(pending).get_loop, next)])
            go_on()
            return await pending
        assert asyncio.run(main()) == 200
    """,
    "an open file": """
        source = core.pieces(f"{origin}/half")
        assert len(b"".join(source.next().wait())) >= 65536
        def check():
            for take in (source.next, source.whole, source.opened, lambda: source.fill(memoryview(bytearray(9)))):
                refused(lambda: take().wait())
                refused(lambda: run(take()))
            assert (source.is_open, source.ended) == (False, None)
            source.close()
        in_child(check)
        go_on()
        assert len(b"".join(source.next().wait())) > 0
    """,
    "a file reader": """
        reader = FileOutput(f"{origin}/half", client).open()
        assert len(reader.read(10)) == 10
        def check():
            # What it has read ahead is there; the rest is not to be had from its parent's connection.
            refused(lambda: [reader.read(65536) for _ in range(10)])
        in_child(check)
        go_on()
        assert len(reader.read(100_000)) == 100_000
    """,
    "chunks of a file": """
        chunks = iter(FileOutput(f"{origin}/half", client))
        first = len(next(chunks))
        in_child(lambda: refused(lambda: [next(chunks) for _ in range(10)]))
        go_on()
        assert sum(map(len, chunks)) == 200_000 - first
    """,
    "pages": """
        items = iter(client.predictions.list().auto())
        next(items)
        def check():
            next(items)
            refused(lambda: next(items))
        in_child(check)
        go_on()
        assert len(list(items)) == 3
    """,
    "a stream": """
        stream = client.text_stream("acme/x", {})
        assert next(stream) == "a"
        def check():
            next(stream)
            refused(lambda: next(stream))
        in_child(check)
        go_on()
        assert "".join(stream) == "bc"
    """,
    "a relay": """
        relay = iter(client.relay("acme/x", {}))
        next(relay)
        in_child(lambda: refused(lambda: [next(relay) for _ in range(3)]))
        go_on()
        assert b"data: c" in b"".join(relay)
    """,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_was_begun_before_a_fork_is_refused_in_the_child(way):
    told = threading.Event()

    def held(before, after):
        def answer(connection):
            connection.sendall(before)
            assert told.wait(20)
            connection.sendall(after)

        return answer

    def answer(seen):
        route = f"{seen.method} {seen.path}"
        if seen.path.endswith("/tell"):
            told.set()
            return reply({})
        if seen.path.endswith("/held"):
            return held(b"", reply({}))
        if seen.path == "/half":
            whole = reply(bytes(200_000), kind="application/octet-stream")
            return held(whole[:70_000], whole[70_000:])
        if seen.path == "/stream":
            return held(HEAD + output("a", "b"), output("c") + done())
        if seen.path.startswith("/v1/predictions?"):
            return held(b"", reply({"results": [prediction(), prediction()], "next": None, "previous": None}))
        if route == "GET /v1/predictions":
            next = f"{wire.base_url}/predictions?cursor=2"
            return reply({"results": [prediction(), prediction()], "next": next, "previous": None})
        if seen.method == "POST" and seen.path.endswith("/predictions"):
            return reply(prediction("processing", urls={"stream": f"{wire.origin}/stream"}), 201)
        return reply(prediction())

    go_on = "def go_on():\n    import urllib.request\n    urllib.request.urlopen(f'{origin}/tell').read()\n"
    with Wire(answer) as wire:
        code = BEGIN + go_on + textwrap.dedent(WAYS[way])
        finished = script(code, wire.base_url, wire.origin)
    assert (finished.returncode, finished.stderr) == (0, ""), finished.stderr
