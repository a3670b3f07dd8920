"""Many calls at once, and many one after another: nothing fails, nothing stalls, nothing is left
over.
"""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import replicate_rs as replicate
from conftest import script
from support.serving import environment
from support.wire import Wire, done, output, prediction, reply

RUNS = 2_000
# Requests of the soak; the bar is set for 100,000.
SOAK = int(os.environ.get("SOAK", "5000"))

KILOBYTE = 1 << 10
MEGABYTE = 1 << 20


class Crowd(Wire):
    """Holds every `POST` until `gate` opens."""

    def __init__(self):
        self.gate = threading.Event()
        super().__init__(self._answer)

    def _answer(self, seen):
        if seen.method == "POST" and seen.body:
            self.gate.wait(30)
        return reply(prediction(output=seen.path))

    def posts(self):
        return sum(each.method == "POST" for each in list(self.seen))


@contextmanager
def program(code, *arguments, base_url):
    """A program that is spoken with by lines."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-X",
            "faulthandler",
            "-W",
            "error",
            "-c",
            textwrap.dedent(code),
            *arguments,
        ],
        env=environment(base_url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def memory_of(pid):
    """The bytes of memory that a process has touched."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_two_thousand_runs_at_once_and_what_each_takes():
    code = f"""
        import asyncio, sys
        import replicate_rs as replicate
        client = replicate.AsyncReplicate()
        async def main():
            await asyncio.gather(*(client.predictions.get("x") for _ in range(20)))
            print("ready", flush=True)
            sys.stdin.readline()
            outputs = await asyncio.gather(*(client.run("acme/x", {{"n": n}})
                for n in range({RUNS})))
            assert len(outputs) == {RUNS}
        asyncio.run(main())
    """
    with Crowd() as wire, program(code, base_url=wire.base_url) as process:
        assert process.stdout.readline() == "ready\n", process.communicate()
        before = memory_of(process.pid)
        go(process)
        wire.until(lambda: wire.opened >= RUNS, 30)
        wire.until(lambda: wire.posts() == RUNS, 30)
        each = (memory_of(process.pid) - before) / RUNS
        wire.gate.set()
        written, errors = process.communicate(timeout=30)
    assert (process.returncode, written, errors) == (0, "", "")
    assert each < 60 * KILOBYTE, f"{each / KILOBYTE:.1f} KB for each"


def test_five_hundred_calls_share_ten_connections(both):
    lock, busy, full = threading.Lock(), {"now": 0, "most": 0}, threading.Event()

    def answer(_):
        with lock:
            busy["now"] += 1
            busy["most"] = max(busy.values())
            if busy["now"] == 10:
                full.set()
        # The first ten are answered together.
        full.wait(10)
        time.sleep(0.002)
        with lock:
            busy["now"] -= 1
        return reply(prediction())

    def threads(client):
        threads = [
            threading.Thread(target=lambda: [client.predictions.get("x") for _ in range(25)])
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    async def tasks(client):
        await asyncio.gather(*(client.predictions.get("x") for _ in range(500)))

    with Wire(answer) as wire:
        client = both.client(wire.base_url, max_connections=10)
        both(lambda: tasks(client) if both.is_async else threads(client))
        assert len(wire.seen) == 500
    assert busy["most"] == 10


def forget_the_crowd():
    """Call until blocking calls have a connection of their own again: they share one after several
    threads called at once.
    """
    # A stream that was not closed has the connections of blocking calls.
    gc.collect()
    with (
        Wire(lambda _: reply(prediction())) as other,
        replicate.Replicate(base_url=other.base_url) as client,
    ):
        for _ in range(257):
            client.predictions.get("x")


def test_a_hundred_loops_one_after_another_with_blocking_calls_between():
    # A process of its own: blocking calls share a connection after threads that called at once.
    code = """
        import asyncio, sys
        import replicate_rs as replicate
        client = replicate.Replicate("r8_x", base_url=sys.argv[1])
        for _ in range(100):
            assert asyncio.run(client.predictions.async_get("x")).id == "p1"
            assert client.predictions.get("x").id == "p1"
    """
    with Wire(lambda _: reply(prediction())) as wire:
        ran = script(code, wire.base_url)
        assert (ran.returncode, ran.stderr) == (0, "")
        # Blocking and awaited calls have a connection each.
        assert (len(wire.seen), wire.opened) == (200, 2)


def test_many_loops_in_many_threads_on_one_client():
    counts, lock = [], threading.Lock()

    async def some(client):
        given = await asyncio.gather(*(client.predictions.get(f"p{n}") for n in range(10)))
        return [each.id for each in given]

    def work(client):
        for _ in range(20):
            ids = asyncio.run(some(client))
            assert ids == [f"p{n}" for n in range(10)]
            with lock:
                counts.append(len(ids))

    with Wire(lambda seen: reply(prediction(id=seen.path.rpartition("/")[2]))) as wire:
        client = replicate.AsyncReplicate(base_url=wire.base_url)
        threads = [threading.Thread(target=work, args=(client,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(counts) == len(wire.seen) == 1_600


STREAMS, EVENTS = 300, 200


def test_three_hundred_streams_do_not_stall_a_loop():
    """The streams are in a process of their own, as the threads of the server would stall
    it too.
    """
    code = f"""
        import asyncio, time
        import replicate_rs as replicate
        client = replicate.AsyncReplicate()
        longest = 0.0
        async def beat():
            global longest
            while True:
                # The loop's own time, which other programs on the machine do not lengthen.
                start = time.thread_time()
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - start)
        async def read():
            return sum([str(event) == "text" async for event in client.stream("acme/x", {{}})])
        async def main():
            heart = asyncio.create_task(beat())
            counts = await asyncio.gather(*(read() for _ in range({STREAMS})))
            assert counts == [{EVENTS}] * {STREAMS}, counts
            heart.cancel()
        start = time.thread_time()
        asyncio.run(main())
        print(longest / (time.thread_time() - start))
    """
    events = output(*["text"] * EVENTS) + done()
    middle = len(events) // 2

    def answer(seen):
        if seen.path != "/stream":
            return reply(
                {**prediction("starting"), "urls": {"stream": f"{wire.origin}/stream"}}, 201
            )

        def send(connection):
            connection.sendall(
                b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n" + events[:middle]
            )
            time.sleep(0.02)
            connection.sendall(events[middle:])

        return send

    with Wire(answer) as wire, program(code, base_url=wire.base_url) as process:
        share, errors = process.communicate(timeout=50)
    assert (process.returncode, errors) == (0, "")
    # A fifth is usual. Of the loop's whole time, so that the machine's speed does not count.
    assert float(share) < 1 / 2


SOAKING = """
    import asyncio, gc, os, sys, threading, time
    from pathlib import Path
    import replicate_rs as replicate
    from replicate_rs import FileOutput

    origin = os.environ["REPLICATE_BASE_URL"].removesuffix("/v1")
    rounds, target = int(sys.argv[1]), sys.argv[2]

    def blocking(client):
        for n in range(20):
            assert client.predictions.get("x").id == "p1"
        try:
            client.predictions.get("missing")
        except replicate.NotFoundError:
            pass
        for _ in range(4):
            assert len(list(client.stream("acme/stream", {}))) == 21
        for event in client.stream("acme/stream", {}):
            break
        for _ in range(5):
            assert len(FileOutput(f"{origin}/file", client).read()) == 100_000
        FileOutput(f"{origin}/file", client).save(target, overwrite=True)
        assert client.run("acme/run", {"file": b"x" * 1000}) == "done"

    async def awaiting(client):
        await asyncio.gather(*(client.predictions.async_get("x") for _ in range(30)))
        for _ in range(4):
            assert len([event async for event in client.async_stream("acme/stream", {})]) == 21
        async for event in client.async_stream("acme/stream", {}):
            break
        for _ in range(5):
            assert len(await FileOutput(f"{origin}/file", client).aread()) == 100_000
        task = asyncio.create_task(client.predictions.async_get("x"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await client.async_run("acme/run", {"file": b"x" * 1000}) == "done"
        # A client of a moment, as programs that make one per request have it.
        with replicate.Replicate() as other:
            await other.predictions.async_get("x")

    def left_after(rounds):
        with replicate.Replicate() as client:
            for _ in range(rounds):
                blocking(client)
                asyncio.run(awaiting(client))
        # Connections are closed on another thread: the server tells when that has happened.
        print("closed", flush=True)
        sys.stdin.readline()
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), *settled(), len(gc.get_objects())

    def settled():
        # What a thread is about to close is still there for a moment.
        now, before = None, ()
        while now != before:
            time.sleep(0.1)
            counts = (len(os.listdir(f"/proc/self/{what}")) for what in ("fd", "task"))
            now, before = tuple(counts), now
        return now

    before = left_after(10)
    after = left_after(rounds)
    print(*(now - then for then, now in zip(before, after)))
"""


def soak_server():
    events = output(*["text"] * 20) + done()
    content = bytes(100_000)

    def answer(seen):
        if seen.path == "/stream":
            return lambda connection: connection.sendall(
                b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n" + events
            )
        if seen.path == "/file":
            return reply(content, kind="application/octet-stream")
        if seen.path.endswith("/missing"):
            return reply({"detail": "no such prediction"}, 404)
        if seen.path.endswith("/files"):
            return reply({"id": "f1", "urls": {"get": f"{wire.base_url}/files/f1"}}, 201)
        if "stream" in seen.path:
            return reply(
                {**prediction("starting"), "urls": {"stream": f"{wire.origin}/stream"}}, 201
            )
        return reply(prediction(output="done"), 201 if seen.method == "POST" else 200)

    wire = Wire(answer)
    return wire


# Requests that a round of `SOAKING` makes, but for its cancellations.
ROUND = 84


@pytest.mark.timeout(60 + SOAK // 200)
def test_a_soak_leaves_nothing_behind(tmp_path):
    """Memory may grow by 5 MB, whatever the number of requests: try `SOAK=100000` too."""
    rounds = max(SOAK // ROUND, 1)
    target = str(tmp_path / "file")
    with (
        soak_server() as wire,
        program(SOAKING, str(rounds), target, base_url=wire.base_url) as process,
    ):
        for _ in range(2):
            assert process.stdout.readline() == "closed\n", process.communicate()
            wire.until(lambda: wire.open_now == 0)
            go(process)
        written, errors = process.communicate(timeout=30)
        requests = len(wire.seen)
    assert (process.returncode, errors) == (0, "")
    memory, descriptors, threads, objects = map(int, written.split())
    left = (
        f"{memory / KILOBYTE:+.0f} KB, {descriptors:+} descriptors, {threads:+} threads,"
        f" {objects:+} objects"
    )
    print(f"\n{requests} requests: {left}")
    assert requests >= SOAK
    assert (descriptors, threads) == (0, 0)
    assert memory < 5 * MEGABYTE
    assert objects < 100


@pytest.mark.parametrize("way", ["stream", "file", "both drivers"])
def test_the_last_reference_to_a_client_is_the_last_of_its_sockets(way):
    """Whatever it was used for, and whichever of its two sets of connections they belong
    to.
    """
    forget_the_crowd()
    with soak_server() as wire:
        client = replicate.Replicate("r8_secret", base_url=wire.base_url)
        if way == "stream":
            stream = client.stream("acme/stream", {})
            next(stream)
            stream.close()
        elif way == "file":
            output = replicate.FileOutput(f"{wire.origin}/file", client)
            assert len(output.read()) == 100_000
            output = None
        else:
            client.predictions.get("x")
            asyncio.run(client.predictions.async_get("x"))
            wire.until(lambda: wire.open_now == 2)
        client = stream = None
        gc.collect()
        wire.until(lambda: wire.open_now == 0)


def test_a_client_that_is_dropped_while_it_is_called_finishes_first():
    with Crowd() as wire:
        given = []
        thread = threading.Thread(
            target=lambda: given.append(
                replicate.Replicate("r8_secret", base_url=wire.base_url).run("acme/x", {"n": 1})
            )
        )
        thread.start()
        wire.until(lambda: wire.posts() == 1)
        gc.collect()
        wire.gate.set()
        thread.join()
        assert given == ["/v1/models/acme/x/predictions"]
        wire.until(lambda: wire.open_now == 0)
