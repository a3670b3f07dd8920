"""Work that was begun before a fork and is awaited in the child: it says so at once; what is begun
in the child works.
"""

import textwrap
import threading

import pytest

from conftest import script
from support.wire import HEAD, Wire, done, output, prediction, reply

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
    "begun, waited for": (
        """
        pending = core.send("GET", ("held",), Expect.STATUS)
        pending.begin()
        in_child(lambda: refused(pending.wait))
        go_on()
        assert pending.wait() == 200
    """
    ),
    "begun, awaited": (
        """
        pending = core.send("GET", ("held",), Expect.STATUS)
        pending.begin()
        in_child(lambda: refused(lambda: run(pending)))
        go_on()
        assert run(pending) == 200
    """
    ),
    "begun, the first of": (
        """
        pending = core.send("GET", ("held",), Expect.STATUS)
        pending.begin()
        in_child(lambda: (refused(lambda: core.first([pending]).wait()),
            refused(lambda: run(core.first([pending])))))
        go_on()
        assert core.first([pending]).wait() == 0
    """
    ),
    "begun, given up": (
        """
        pending = core.send("GET", ("held",), Expect.STATUS)
        pending.begin()
        in_child(pending.give_up)
        go_on()
        assert pending.wait() == 200
    """
    ),
    "awaited": (
        """
        async def main():
            pending = core.send("GET", ("held",), Expect.STATUS)
            pending.add_done_callback(lambda _: None)
            ways = (run, next, type(pending).wait, type(pending).get_loop)
            in_child(lambda: [refused(lambda: way(pending)) for way in ways])
            go_on()
            return await pending
        assert asyncio.run(main()) == 200
    """
    ),
    "an open file": (
        """
        source = core.pieces(f"{origin}/half")
        assert len(b"".join(source.next().wait())) >= 65536
        def check():
            for take in (source.next, source.whole, source.opened,
                lambda: source.fill(memoryview(bytearray(9)))):
                refused(lambda: take().wait())
                refused(lambda: run(take()))
            assert (source.is_open, source.ended) == (False, None)
            source.close()
        in_child(check)
        go_on()
        assert len(b"".join(source.next().wait())) > 0
    """
    ),
    "chunks of a file": (
        """
        chunks = iter(FileOutput(f"{origin}/half", client))
        first = len(next(chunks))
        in_child(lambda: refused(lambda: [next(chunks) for _ in range(10)]))
        go_on()
        assert sum(map(len, chunks)) == 200_000 - first
    """
    ),
    "pages": (
        """
        items = iter(client.predictions.list().auto())
        next(items)
        def check():
            next(items)
            refused(lambda: next(items))
        in_child(check)
        go_on()
        assert len(list(items)) == 3
    """
    ),
    "a stream": (
        """
        stream = client.text_stream("acme/x", {})
        assert next(stream) == "a"
        def check():
            next(stream)
            refused(lambda: next(stream))
        in_child(check)
        go_on()
        assert "".join(stream) == "bc"
    """
    ),
    "a relay": (
        """
        relay = iter(client.relay("acme/x", {}))
        next(relay)
        in_child(lambda: refused(lambda: [next(relay) for _ in range(3)]))
        go_on()
        assert b"data: c" in b"".join(relay)
    """
    ),
}


class Halfway(Wire):
    """Answers by halves: the rest comes when `/tell` was asked for."""

    def __init__(self):
        self.told = threading.Event()
        super().__init__(self._answer)

    def _held(self, before, after):
        def answer(connection):
            connection.sendall(before)
            assert self.told.wait(20)
            connection.sendall(after)

        return answer

    def _answer(self, seen):
        page = {"results": [prediction(), prediction()], "next": None, "previous": None}
        whole = reply(bytes(200_000), kind="application/octet-stream")
        answers = {
            "GET /v1/held": self._held(b"", reply({})),
            "GET /half": self._held(whole[:70_000], whole[70_000:]),
            "GET /stream": self._held(HEAD + output("a", "b"), output("c") + done()),
            "GET /v1/predictions?cursor=2": self._held(b"", reply(page)),
            "GET /v1/predictions": reply({**page, "next": f"{self.base_url}/predictions?cursor=2"}),
        }
        if seen.path == "/tell":
            self.told.set()
        created = reply(prediction("processing", urls={"stream": f"{self.origin}/stream"}), 201)
        return answers.get(
            f"{seen.method} {seen.path}", created if seen.method == "POST" else reply(prediction())
        )


GO_ON = """
def go_on():
    import urllib.request
    urllib.request.urlopen(f"{origin}/tell").read()
"""


@pytest.mark.parametrize("way", WAYS)
def test_what_was_begun_before_a_fork_is_refused_in_the_child(way):
    with Halfway() as wire:
        finished = script(BEGIN + GO_ON + textwrap.dedent(WAYS[way]), wire.base_url, wire.origin)
    assert (finished.returncode, finished.stderr) == (0, ""), finished.stderr
