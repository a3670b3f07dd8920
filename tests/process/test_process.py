"""Processes: forks, signals, and the end of the interpreter."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from conftest import script
from support.wire import Wire, hang, prediction, reply


def answering():
    return Wire(lambda _: reply(prediction()))


def hanging():
    return Wire(lambda _: hang)


def test_a_client_works_in_forked_children():
    code = """
        import asyncio, os, sys
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        def use():
            assert client.predictions.get("x").status == "succeeded"
            assert asyncio.run(client.predictions.async_get("x")).status == "succeeded"
        use()
        children = []
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                try:
                    use()
                    grandchild = os.fork()
                    if grandchild == 0:
                        use()
                        os._exit(0)
                    os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
                except BaseException as error:
                    print(repr(error), file=sys.stderr, flush=True)
                    os._exit(1)
            children.append(pid)
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 20
        use()
    """
    with answering() as wire:
        done = script(code, wire.base_url)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_a_fork_while_other_threads_are_in_calls():
    code = """
        import os, sys, threading
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        stop = threading.Event()
        def work():
            while not stop.is_set():
                client.predictions.get("x")
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                ok = client.predictions.get("x").status == "succeeded"
                os._exit(0 if ok else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        stop.set()
        for thread in threads: thread.join()
    """
    with answering() as wire:
        done = script(code, wire.base_url, forks_with_threads=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent with os.kill")
def test_ctrl_c_ends_a_blocking_call():
    code = """
        import sys, time
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        try:
            client.predictions.get("x")
        except KeyboardInterrupt:
            print("interrupted")
    """
    with hanging() as wire:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), wire.base_url],
            stdout=subprocess.PIPE,
            text=True,
        )
        wire.until(lambda: len(wire.seen) == 1)
        start = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        wire.until(lambda: wire.open_now == 0)
        output, _ = process.communicate(timeout=10)
        # The promise is 0.2 s; the bound here only keeps a call that ignores signals from passing.
        assert time.monotonic() - start < 5
    assert output == "interrupted\n"


def test_ctrl_c_in_a_run_cancels_the_prediction():
    code = """
        import sys
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1], poll_interval=0.01)
        try:
            client.run("acme/x", {}, wait=False)
        except KeyboardInterrupt:
            print("interrupted")
    """
    with Wire(lambda _: reply(prediction("processing"))) as wire:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), wire.base_url],
            stdout=subprocess.PIPE,
            text=True,
        )
        wire.until(lambda: len(wire.seen) > 5)
        os.kill(process.pid, signal.SIGINT)
        assert process.communicate(timeout=10)[0] == "interrupted\n"
        assert wire.routes.count("POST /v1/predictions/p1/cancel") == 1


def test_a_handler_may_call_while_a_call_is_interrupted():
    code = """
        import signal, sys
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        def handler(*_):
            print(client.predictions.get("y").id, flush=True)
            raise SystemExit(3)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        client.predictions.get("x")
    """
    with Wire(lambda seen: hang if seen.path.endswith("/x") else reply(prediction(id="y"))) as wire:
        done = script(code, wire.base_url)
    assert (done.returncode, done.stdout, done.stderr) == (3, "y\n", "")


def test_the_interpreter_ends_silently_with_work_under_way():
    code = """
        import asyncio, sys, threading
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        threading.Thread(target=client.predictions.get, args=("x",), daemon=True).start()
        async def main():
            pending = client._core.sleep(30)
            pending.__await__()
            coroutine = client.predictions.async_get("x")
            coroutine.send(None)
            globals()["kept"] = coroutine, pending
            await asyncio.sleep(0.1)
        asyncio.run(main())
        kept[0].close()
    """
    with hanging() as wire:
        done = script(code, wire.base_url)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_cancelled_run_is_cancelled_even_if_the_program_ends_at_once():
    code = """
        import asyncio, sys
        import replicate_rs as replicate
        async def main():
            client = replicate.AsyncReplicate(base_url=sys.argv[1], poll_interval=0.01)
            async with asyncio.timeout(0.2):
                await client.run("acme/x", {}, wait=False)
        try:
            asyncio.run(main())
        except TimeoutError:
            pass
    """
    with Wire(lambda _: reply(prediction("processing"))) as wire:
        done = script(code, wire.base_url)
        assert (done.returncode, done.stderr) == (0, "")
        assert wire.routes.count("POST /v1/predictions/p1/cancel") == 1


@pytest.mark.parametrize("name", ["pypy", "graalpy"])
def test_other_implementations_are_refused_with_words(name):
    code = f"""
        import sys
        sys.implementation.name = {name!r}
        import replicate_rs
    """
    refused = script(code)
    assert f"replicate_rs needs CPython 3.11 or newer; this is {name}" in refused.stderr


def test_threads_share_a_client_while_they_switch_often():
    code = """
        import asyncio, sys, threading, time
        import replicate_rs as replicate
        from replicate_rs.stream import EventDecoder
        sys.setswitchinterval(1e-6)
        client = replicate.Replicate("r8_x", base_url=sys.argv[1])
        asynchronous = replicate.AsyncReplicate("r8_x", base_url=sys.argv[1])
        shared, decoder = client.predictions.get("x"), EventDecoder()
        end, failures = time.monotonic() + float(sys.argv[2]), []

        async def awaited():
            found = await asyncio.gather(*(asynchronous.predictions.get("x") for _ in range(8)))
            assert {each.id for each in found} == {"p1"}

        def work(number):
            try:
                while time.monotonic() < end:
                    assert client.predictions.get("x").id == shared.id == "p1"
                    shared.reload()
                    (event,) = decoder.feed(b"event: output\\ndata: x\\n\\n")
                    assert event.data == "x"
                    asyncio.run(awaited())
                    client.max_retries = number
                    asynchronous.user_agent = f"thread {number}"
                    assert client.with_options(max_retries=number).max_retries == number
                    assert client.stats().failures == 0
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert not failures, failures
        client.close()
    """
    seconds = float(os.environ.get("STRESS_SECONDS", "2"))
    with answering() as wire:
        done = script(code, wire.base_url, str(seconds), timeout=seconds + 50)
    assert (done.returncode, done.stderr) == (0, "")
