"""Blocking calls and reads that move their own bytes, on an engine that there is once: it never is
lost, nor waited for.
"""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import script
from replicate_rs import AbortController, FileOutput, Replicate, exceptions
from support.hosts import CONTENT, Host, sending
from support.wire import Wire, prediction, reply

HALF = reply(CONTENT, length=2 * len(CONTENT))


def answering():
    return Wire(lambda _: reply(prediction()))


@pytest.fixture
def stalled():
    """A host that gives half of its first file, and every other whole."""
    arrived, left = threading.Event(), threading.Event()

    def answer(_):
        if len(host.seen) > 1:
            return reply(CONTENT)

        def half(connection):
            connection.sendall(HALF)
            arrived.set()
            while connection.recv(4096):
                pass
            left.set()

        return half

    with Wire(answer) as host:
        host.arrived, host.left = arrived, left
        yield host


@pytest.fixture
def output(stalled):
    with Replicate("t", base_url=stalled.base_url) as client:
        yield FileOutput(f"{stalled.origin}/x", client)


def still_works(host, output):
    """Whether the connection of what was given up is closed, and the next read is as if nothing had
    been.
    """
    host.until(lambda: host.open_now == 0)
    return output.read() == CONTENT


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to a thread")
def test_a_read_that_is_interrupted_lets_go(stalled, output):
    main = threading.main_thread().ident

    def interrupt():
        stalled.arrived.wait()
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        output.read()
    assert still_works(stalled, output)


def test_a_read_that_is_aborted_lets_go(stalled, output):
    controller = AbortController()

    def abort():
        stalled.arrived.wait()
        controller.abort("enough")

    threading.Thread(target=abort).start()
    with pytest.raises(exceptions.AbortError, match="enough"):
        output.read(signal=controller.signal)
    assert still_works(stalled, output)


def test_a_read_that_is_late_lets_go(stalled, output):
    with pytest.raises(exceptions.APITimeoutError):
        output.read(timeout=0.05)
    assert still_works(stalled, output)


def test_an_open_file_that_is_closed_lets_go(stalled, output):
    assert output.read(10) == CONTENT[:10]
    output.close()
    assert still_works(stalled, output)


def test_a_read_that_waits_keeps_nobody_waiting(stalled, output):
    controller = AbortController()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(output.read, signal=controller.signal)
        stalled.arrived.wait()
        assert [output.read() for _ in range(3)] == [CONTENT] * 3
        assert not reading.done()
        controller.abort()
        assert isinstance(reading.exception(), exceptions.AbortError)
    # The other reads may have kept several connections.
    assert stalled.left.wait(10)
    assert output.read() == CONTENT


def test_a_file_that_breaks_off_is_read_to_its_end():
    with Host(cuts=(1000, 100_000)) as host, Replicate("t", base_url=host.base_url) as client:
        assert host.file(client).read() == CONTENT
        assert [each for each, _ in host.ranges] == [None, "bytes=1000-", "bytes=100000-"]


@pytest.mark.parametrize("size", [0, 1, 65_536, 786_432, 786_433, 3_000_000, 9_000_000])
def test_a_file_of_any_size_is_read_whole(both, size):
    content = os.urandom(1000) * (size // 1000 + 1)
    content = content[:size]
    whole = reply(content)
    unknown = b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n" + content
    for answer in (lambda _: whole, lambda _: sending(unknown, hang_up=True)):
        with Wire(answer) as host:
            output = FileOutput(f"{host.origin}/x", both.client("https://x.test"))
            assert both(output.aread if both.is_async else output.read) == content


def test_threads_that_read_and_call_get_what_is_theirs():
    with Host() as host, answering() as api, Replicate("t", base_url=api.base_url) as client:

        def work(number):
            output = host.file(client)
            for turn in range(20):
                if (turn + number) % 3:
                    assert output.read() == CONTENT
                else:
                    assert client.predictions.get("x").status == "succeeded"
            return number

        with ThreadPoolExecutor(8) as pool:
            assert [*pool.map(work, range(8))] == [*range(8)]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_fork_in_the_midst_of_a_read():
    code = """
        import os, sys, threading, time
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        file = replicate.FileOutput(sys.argv[2], client)
        threading.Thread(target=file.read, daemon=True).start()
        while not client.stats().requests:
            time.sleep(0.001)
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                ok = client.predictions.get("x").status == "succeeded"
                os._exit(0 if ok else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        print(client.predictions.get("x").status, flush=True)
        os._exit(0)
    """

    with answering() as api, Wire(lambda _: sending(HALF, hang_up=False)) as host:
        done = script(code, api.base_url, f"{host.origin}/x", forks_with_threads=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "succeeded\n", "")
