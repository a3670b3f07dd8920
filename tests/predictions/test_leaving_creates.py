"""Leaving a call whose create has no answer yet: what it makes is cancelled, once, in every way and
at every moment.
"""

import asyncio
import contextlib
import gc
import json
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import replicate_rs as replicate
from conftest import script, without_slowness
from replicate_rs import AbortController, exceptions
from replicate_rs._base.operation import run
from replicate_rs._base.transport import Blocking, Suspending, settle
from support import passing
from support.creates import MOMENTS, Creates
from support.leaving import PATIENCE, full_port
from support.serving import environment
from support.wire import Wire, prediction, reply

# Calls that create, each as both clients have it.
CALLS = {
    "run": lambda client, **more: client.run("acme/x", {}, **more),
    "run with a hold": lambda client, **more: client.run("acme/x", {}, wait=2, **more),
    "run that polls": lambda client, **more: client.run("acme/x", {}, wait=False, **more),
    "run with progress": lambda client, **more: client.run(
        "acme/x", {}, progress=lambda _: None, **more
    ),
    "use": lambda client: client.use("acme/x")(),
    "use with streaming": lambda client: client.use("acme/x", streaming=True)(),
    "use and create": lambda client: client.use("acme/x").create(),
    "stream": lambda client, **more: client.stream("acme/x", {}, **more),
    "text_stream": lambda client, **more: client.text_stream("acme/x", {}, **more),
    "relay": lambda client, **more: client.relay("acme/x", {}, **more),
    "create": lambda client, **more: client.predictions.create("v", {}, **more),
    "create with a hold": lambda client, **more: client.predictions.create("v", {}, wait=3, **more),
    "create with a file": lambda client, **more: client.predictions.create(
        "v", {"text": "x" * 200_000}, **more
    ),
    "create of a deployment": lambda client, **more: client.deployments.predictions.create(
        "acme/d", {}, **more
    ),
    "create of a model": lambda client, **more: client.models.predictions.create(
        "acme/x", {}, **more
    ),
    "create of a training": lambda client, **more: client.trainings.create(
        "acme/x:v", {}, "acme/y", **more
    ),
}
# These do more than create, and say so with an error of their own when time has run out.
SPANNING = {name for name in CALLS if name.startswith(("run", "stream", "text", "relay"))}
TAKES_OPTIONS = {name: call for name, call in CALLS.items() if not name.startswith("use")}


async def consume(client, call, **more):
    """Take what a call gives, and everything in it."""
    thing = call(client, **more)
    if hasattr(thing, "__await__"):
        thing = await thing
    if hasattr(thing, "__aiter__"):
        async for _ in thing:
            pass


def consume_blocking(client, call, **more):
    thing = call(client, **more)
    if hasattr(thing, "__iter__") and hasattr(thing, "close"):
        for _ in thing:
            pass


def take(both, client, call, **more):
    if both.is_async:
        both(lambda: consume(client, call, **more))
    else:
        consume_blocking(client, call, **more)


async def arrival(wire):
    await asyncio.to_thread(wire.wait)


# Ways to leave an awaited call. None waits for the server, which goes on only afterwards.


async def cancel(wire, client, call):
    task = asyncio.create_task(consume(client, call))
    await arrival(wire)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def be_cancelled_by_timeout(wire, client, call):
    async def expire(scope):
        await arrival(wire)
        scope.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):  # noqa: PT012 - the scope raises
        async with asyncio.timeout(None) as scope:
            expiring = asyncio.create_task(expire(scope))
            await consume(client, call)
    await expiring


async def lose_a_sibling(wire, client, call):
    async def fail():
        await arrival(wire)
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the group raises
        async with asyncio.TaskGroup() as group:
            group.create_task(consume(client, call))
            group.create_task(fail())
    assert [type(each) for each in caught.value.exceptions] == [ZeroDivisionError]


async def lose_a_gathered_sibling(wire, client, call):
    """`gather` leaves the others to themselves: the end of the loop cancels them."""

    async def fail():
        await arrival(wire)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.gather(consume(client, call), fail())


async def leave_at_the_loops_end(wire, client, call):
    kept.append(asyncio.create_task(consume(client, call)))
    await arrival(wire)


async def close_the_coroutine(wire, client, call):
    """As a framework does it that steps coroutines by itself."""
    coroutine = consume(client, call)
    coroutine.send(None)
    await arrival(wire)
    coroutine.close()


async def drop_the_coroutine(wire, client, call):
    coroutine = consume(client, call)
    coroutine.send(None)
    await arrival(wire)
    del coroutine
    gc.collect()


async def abort(wire, client, call):
    controller = AbortController()
    thread = threading.Thread(target=lambda: (wire.wait(), controller.abort("enough")))
    thread.start()
    with pytest.raises(exceptions.AbortError, match="enough"):
        await consume(client, call, signal=controller.signal)
    thread.join()


async def close_the_client(wire, client, call):
    task = asyncio.create_task(consume(client, call))
    await arrival(wire)
    closing = asyncio.create_task(client.aclose())
    with pytest.raises(exceptions.ClientClosedError):
        await task
    wire.go_on.set()
    assert await closing == 0


kept = []
AWAITED = [
    cancel,
    be_cancelled_by_timeout,
    lose_a_sibling,
    lose_a_gathered_sibling,
    leave_at_the_loops_end,
    close_the_coroutine,
    drop_the_coroutine,
    abort,
    close_the_client,
]


@pytest.mark.parametrize("way", AWAITED)
@pytest.mark.parametrize("name", CALLS)
def test_an_awaited_create_that_is_left_is_cancelled(name, way):
    if way is abort and name not in TAKES_OPTIONS:
        pytest.skip("takes no signal")
    for moment in MOMENTS:
        with Creates(moment) as wire:
            client = replicate.AsyncReplicate(
                "r8_secret", base_url=wire.base_url, poll_interval=0.01
            )
            with asyncio.Runner() as runner:
                runner.run(asyncio.wait_for(way(wire, client, CALLS[name]), PATIENCE / 2))
            kept.clear()
            wire.check(client)
            assert len(wire.made) == 1


# Ways to leave a blocking call.


def abort_from_a_thread(wire, client, call):
    controller = AbortController()
    thread = threading.Thread(target=lambda: (wire.wait(), controller.abort("enough")))
    thread.start()
    with pytest.raises(exceptions.AbortError, match="enough"):
        consume_blocking(client, call, signal=controller.signal)
    thread.join()


def press_ctrl_c(wire, client, call):
    def interrupt():
        wire.wait()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        consume_blocking(client, call)
    thread.join()


def close_the_client_in_a_thread(wire, client, call):
    left = []
    thread = threading.Thread(target=lambda: (wire.wait(), left.append(client.close())))
    thread.start()
    with pytest.raises(exceptions.ClientClosedError):
        consume_blocking(client, call)
    wire.go_on.set()
    thread.join()
    assert left == [0]


BLOCKING = [abort_from_a_thread, press_ctrl_c, close_the_client_in_a_thread]


@pytest.mark.parametrize("way", BLOCKING)
@pytest.mark.parametrize("name", CALLS)
def test_a_blocking_create_that_is_left_is_cancelled(name, way):
    if way is abort_from_a_thread and name not in TAKES_OPTIONS:
        pytest.skip("takes no signal")
    for moment in MOMENTS:
        with Creates(moment) as wire:
            client = replicate.Replicate("r8_secret", base_url=wire.base_url, poll_interval=0.01)
            way(wire, client, CALLS[name])
            wire.check(client)
            assert len(wire.made) == 1


@pytest.mark.parametrize("name", TAKES_OPTIONS)
def test_a_create_that_has_no_answer_at_the_deadline_is_cancelled(both, name):
    expected = exceptions.PredictionTimeout if name in SPANNING else exceptions.APITimeoutError
    for moment in MOMENTS:
        with Creates(moment) as wire:
            client = both.client(wire.base_url)
            with pytest.raises(expected) as caught:
                take(both, client, CALLS[name], timeout=0.1)
            if name in SPANNING:
                assert (
                    str(caught.value)
                    == "the create has no answer after 0.1 s: what it makes is cancelled as soon as"
                    " there is one"
                )
            assert caught.value.prediction is None
            wire.check(client)
            assert len(wire.made) == 1


@pytest.mark.parametrize("name", sorted(SPANNING))
def test_a_deadline_just_before_the_answer_names_the_prediction(name):
    """A blocking caller waits for a moment more; the error is raised in any case."""
    with Creates(pause=0.2) as wire:
        client = replicate.Replicate("r8_secret", base_url=wire.base_url)
        with pytest.raises(exceptions.PredictionTimeout) as caught:
            consume_blocking(client, CALLS[name], timeout=0.1)
        assert caught.value.prediction.id == "p1"
        assert str(caught.value) == "the prediction p1 is still processing after 0.1 s"
        wire.check(client)


@pytest.mark.parametrize("name", CALLS)
def test_what_ended_within_the_create_is_not_cancelled(name):
    with Creates(ended=True) as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        asyncio.run(cancel(wire, client, CALLS[name]))
        wire.go_on.set()
        client.close(1)
        wire.until(lambda: wire.open_now == 0, 5)
        assert (len(wire.made), wire.cancelled) == (1, [])


KEPT = {
    "run": lambda client, **more: client.run("acme/x", {}, cancel_on_exit=False, **more),
    "stream": lambda client, **more: client.stream("acme/x", {}, cancel_on_exit=False, **more),
    "text_stream": lambda client, **more: client.text_stream(
        "acme/x", {}, cancel_on_exit=False, **more
    ),
    "relay": lambda client, **more: client.relay("acme/x", {}, cancel_on_exit=False, **more),
    "create": lambda client, **more: client.predictions.create(
        "v", {}, cancel_on_exit=False, **more
    ),
    "create of a deployment": lambda client, **more: client.deployments.predictions.create(
        "acme/d", {}, cancel_on_exit=False, **more
    ),
    "create of a model": lambda client, **more: client.models.predictions.create(
        "acme/x", {}, cancel_on_exit=False, **more
    ),
}


def check_kept(wire, client):
    """Let the create be answered; what it makes is left alone, and the request was not given up."""
    assert wire.open_now == 1
    wire.go_on.set()
    client.close(5)
    wire.until(lambda: wire.open_now == 0, 5)
    assert (len(wire.made), wire.cancelled) == (1, [])


@pytest.mark.parametrize("way", [cancel, close_the_coroutine, abort, leave_at_the_loops_end])
@pytest.mark.parametrize("name", KEPT)
def test_an_awaited_create_of_what_is_to_go_on_is_finished(name, way):
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        asyncio.run(way(wire, client, KEPT[name]))
        kept.clear()
        check_kept(wire, client)


@pytest.mark.parametrize("way", [abort_from_a_thread, press_ctrl_c])
@pytest.mark.parametrize("name", KEPT)
def test_a_blocking_create_of_what_is_to_go_on_is_finished(name, way):
    with Creates() as wire:
        client = replicate.Replicate("r8_secret", base_url=wire.base_url)
        way(wire, client, KEPT[name])
        check_kept(wire, client)


def test_the_deadline_of_what_is_to_go_on_says_so(both):
    with Creates() as wire:
        client = both.client(wire.base_url)
        with pytest.raises(exceptions.PredictionTimeout, match="goes on, as was asked for"):
            both(lambda: client.run("acme/x", {}, cancel_on_exit=False, timeout=0.1))
        check_kept(wire, client)


# Tenths


@pytest.mark.parametrize("tenth", range(1, 13))
def test_tasks_that_are_cancelled_at_every_tenth_of_a_create(tenth):
    """The answer takes half a second; the last tenths are when it is there, or being read."""

    async def main():
        tasks = {name: asyncio.create_task(consume(client, call)) for name, call in CALLS.items()}
        await asyncio.to_thread(wire.until, lambda: len(wire.made) == len(CALLS))
        await asyncio.sleep(0.05 * tenth - 0.02)
        for task in tasks.values():
            task.cancel()
        await asyncio.wait(tasks.values())
        # A create that was answered in time is its caller's.
        return sum(not task.cancelled() and task.exception() is None for task in tasks.values())

    with Creates(pause=0.5) as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url, poll_interval=0.01)
        with asyncio.Runner() as runner:
            answered = runner.run(main())
        # What is an output that nobody reads belongs to whoever has it.
        wire.until(lambda: len(wire.cancelled) >= len(wire.made) - answered, 5)
        client.close()
        wire.until(lambda: wire.open_now == 0, 5)
        assert len(wire.cancelled) == len(set(wire.cancelled)) == len(wire.made) - answered


@pytest.mark.parametrize("tenth", range(1, 13))
def test_blocking_runs_that_are_aborted_at_every_tenth_of_a_create(tenth):
    def leave(name):
        with contextlib.suppress(exceptions.AbortError):
            consume_blocking(client, TAKES_OPTIONS[name], signal=controller.signal)
            answered.append(name)

    answered, controller = [], AbortController()
    with Creates(pause=0.5) as wire:
        client = replicate.Replicate("r8_secret", base_url=wire.base_url, poll_interval=0.01)
        threads = [threading.Thread(target=leave, args=(name,)) for name in TAKES_OPTIONS]
        for thread in threads:
            thread.start()
        wire.until(lambda: len(wire.made) == len(threads))
        time.sleep(0.05 * tenth - 0.02)
        controller.abort()
        for thread in threads:
            thread.join(PATIENCE)
        wire.until(lambda: len(wire.cancelled) >= len(wire.made) - len(answered), 5)
        client.close()
        wire.until(lambda: wire.open_now == 0, 5)
        assert len(wire.cancelled) == len(set(wire.cancelled)) == len(wire.made) - len(answered)


# Many at once


@pytest.mark.parametrize("count", [20, 200])
def test_many_tasks_that_are_cancelled_during_their_creates(count):
    async def main():
        tasks = [
            asyncio.create_task(client.predictions.create("v", {"n": n})) for n in range(count)
        ]
        await asyncio.to_thread(wire.until, lambda: len(wire.made) == count)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)

    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        asyncio.run(main())
        assert client.stats().in_flight == count
        wire.check(client)
        assert len(wire.made) == count


@pytest.mark.parametrize("name", ["relay", "stream"])
def test_readers_of_a_streaming_response_who_leave_during_the_create(name):
    """Starlette cancels what is under way when a reader disconnects."""
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def chat(_):
        async def body():
            if name == "relay":
                async for frame in await client.relay("acme/x", {}):
                    yield frame
            else:
                async for event in client.stream("acme/x", {}):
                    yield event.encode()

        return StreamingResponse(body())

    app = Starlette(routes=[Route("/", chat)])

    async def read(leave):
        """Ask as a server would that speaks ASGI, and disconnect."""
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": [],
        }
        scope |= {
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "raw_path": b"/",
            "root_path": "",
            "scheme": "http",
        }

        async def receive():
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(_):
            pass

        await app(scope, receive, send)

    async def main():
        leave = asyncio.Event()
        readers = [asyncio.create_task(read(leave)) for _ in range(200)]
        await asyncio.to_thread(wire.until, lambda: len(wire.made) == 200)
        leave.set()
        await asyncio.wait_for(asyncio.gather(*readers, return_exceptions=True), PATIENCE)

    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        asyncio.run(main())
        wire.check(client)
        assert len(wire.made) == 200


def busy(seconds):
    """A server that always asks to come again."""
    return Wire(lambda _: reply({"detail": "later"}, 429, headers=f"Retry-After: {seconds}\r\n"))


@pytest.mark.parametrize("name", CALLS)
def test_a_create_that_waits_to_be_tried_again_is_not_tried_again(name):
    async def main():
        task = asyncio.create_task(consume(client, CALLS[name]))
        await asyncio.to_thread(wire.until, lambda: len(wire.seen) == 1)
        # The answer has to have come.
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client._core.unattended == 0 or await settle(Suspending, client._core, 1) == 0

    with busy(1) as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        asyncio.run(main())
        time.sleep(1.2)
        client.close()
        wire.until(lambda: wire.open_now == 0)
        assert len(wire.seen) == 1


def test_a_create_that_is_left_and_then_refused_is_not_tried_again():
    with Creates() as wire:
        answers = wire.script

        def refuse(seen):
            held = answers(seen)

            def hold(connection):
                held(connection)
                return reply({"detail": "later"}, 429, headers="Retry-After: 0.01\r\n")

            return hold

        wire.script = refuse
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        asyncio.run(cancel(wire, client, CALLS["run"]))
        wire.go_on.set()
        assert run(settle(Blocking, client._core, 2)) == 0
        assert len(wire.seen) == 1
        client.close()


@pytest.mark.parametrize("name", ["run", "relay", "create of a training"])
def test_a_create_that_never_left_is_not_sent(both, name):
    """Nothing was accepted, so nothing is waited for."""
    port, sockets = full_port()
    client = both.client(f"http://127.0.0.1:{port}/v1")
    with pytest.raises(TimeoutError) as caught:
        take(both, client, CALLS[name], timeout=0.1)
    if name in SPANNING:
        assert "the prediction was not created" in str(caught.value)
    assert both(lambda: client.aclose() if both.is_async else client.close()) == 0
    for each in sockets:
        each.close()


# Event loops and threads are not held up


def test_an_event_loop_goes_on_while_creates_are_finished():
    async def main():
        tasks = [asyncio.create_task(consume(client, call)) for call in CALLS.values()]
        await asyncio.to_thread(wire.until, lambda: len(wire.made) == len(CALLS))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        # The server answers none of them yet; the loop has nothing to do with it any more.
        assert len(asyncio.all_tasks()) == 1
        assert client._core.unattended == len(CALLS)

    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url, poll_interval=0.01)
        asyncio.run(main())
        wire.check(client)


# Programs

START = """
import asyncio, os, signal, sys, threading
import replicate_rs as replicate
client, awaited, watcher = replicate.Replicate(), replicate.AsyncReplicate(), replicate.Replicate()
def until_made():
    while watcher.predictions.get("made").status != "succeeded":
        pass
"""

BLOCKING_CALLS = {
    "run": "client.run('acme/x', {})",
    "run that polls": "client.run('acme/x', {}, wait=False)",
    "stream": "list(client.stream('acme/x', {}))",
    "relay": "list(client.relay('acme/x', {}))",
    "create": "client.predictions.create('v', {}, wait=2)",
    "training": "client.trainings.create('acme/x:v', {}, 'acme/y')",
}
AWAITED_CALLS = {
    "run": "await awaited.run('acme/x', {})",
    "stream": "[each async for each in awaited.stream('acme/x', {})]",
    "relay": "[each async for each in await awaited.relay('acme/x', {})]",
    "create": "await awaited.predictions.create('v', {}, wait=2)",
    "training": "await awaited.trainings.create('acme/x:v', {}, 'acme/y')",
}


class Told(Creates):
    """Says of `/v1/predictions/made` whether a create has come, and answers it a while later."""

    def __init__(self):
        super().__init__(pause=0.7)

    def _answer(self, seen):
        if seen.path.endswith("/made"):
            return reply(prediction("succeeded" if self.made else "processing"))
        return super()._answer(seen)

    def is_cancelled_once(self):
        self.until(lambda: self.open_now == 0)
        assert (len(self.made), self.cancelled) == (1, self.made)


@pytest.mark.parametrize("call", BLOCKING_CALLS.values(), ids=BLOCKING_CALLS)
def test_the_end_of_a_program_whose_thread_is_in_a_create(call):
    code = (
        f"threading.Thread(target=lambda: {call}, daemon=True).start(); until_made(); sys.exit(7)"
    )
    with Told() as wire:
        done = script(START + code, env=environment(wire.base_url))
        assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
        wire.is_cancelled_once()


@pytest.mark.parametrize("call", AWAITED_CALLS.values(), ids=AWAITED_CALLS)
def test_the_end_of_a_loop_and_its_program_in_a_create(call):
    code = f"""
async def work():
    {call}
async def main():
    task = asyncio.create_task(work())
    await asyncio.to_thread(until_made)
asyncio.run(main())
"""
    with Told() as wire:
        done = script(START + code, env=environment(wire.base_url))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        wire.is_cancelled_once()


def interrupted(code, wire):
    """What a program writes that gets Ctrl-C when its create has come."""
    command = [
        sys.executable,
        "-X",
        "dev",
        "-W",
        "error",
        "-c",
        passing.PRELUDE + START + textwrap.dedent(code),
    ]
    with subprocess.Popen(
        command,
        env=environment(wire.base_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wire.until(lambda: len(wire.made) == 1, 20)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
    return process.returncode, out, without_slowness(err)


@pytest.mark.parametrize("call", BLOCKING_CALLS.values(), ids=BLOCKING_CALLS)
def test_ctrl_c_in_a_create_of_a_program(call):
    code = f"""
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted")
    """
    with Told() as wire:
        assert interrupted(code, wire) == (0, "interrupted\n", "")
        wire.is_cancelled_once()


@pytest.mark.parametrize("call", AWAITED_CALLS.values(), ids=AWAITED_CALLS)
def test_ctrl_c_in_an_awaited_create_of_a_program(call):
    code = f"""
        async def main():
            {call}
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
    """
    with Told() as wire:
        assert interrupted(code, wire) == (0, "interrupted\n", "")
        wire.is_cancelled_once()


# Creates that are held open for long: what they made is looked for in the list of recent
# predictions

LONG = {
    "version": lambda client, **more: client.predictions.create("v", {"n": 1}, wait=True, **more),
    "model": lambda client, **more: client.models.predictions.create(
        "acme/x", {"n": 1}, wait=60, **more
    ),
    "deployment": lambda client, **more: client.deployments.predictions.create(
        "acme/d", {"n": 1}, prefer="wait=5", **more
    ),
}


def left(client, wire, *calls):
    """Begin calls and cancel them when the server has them."""

    async def main():
        before = len(wire.made)
        tasks = [asyncio.create_task(consume(client, call)) for call in calls]
        await asyncio.to_thread(wire.until, lambda: len(wire.made) == before + len(calls))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(main())


def looked(wire, times=2):
    """Wait until the list was looked at so many times, from now on."""
    before = wire.routes.count("GET /v1/predictions")
    wire.until(lambda: wire.routes.count("GET /v1/predictions") >= before + times)


@pytest.mark.parametrize("name", LONG)
def test_a_long_hold_that_is_left_is_looked_for(name):
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        left(client, wire, LONG[name])
        wire.until(lambda: wire.cancelled == wire.made, 5)
        wire.check(client)


@pytest.mark.parametrize("way", BLOCKING[:2])
def test_a_long_hold_that_is_left_by_blocking_code_is_looked_for(way):
    with Creates() as wire:
        client = replicate.Replicate("r8_secret", base_url=wire.base_url)
        way(wire, client, LONG["model"])
        wire.until(lambda: wire.cancelled == wire.made, 5)
        wire.check(client)


def test_equal_creates_that_are_left_together_are_all_found():
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        other = [
            lambda client, n=n: client.predictions.create("v", {"n": n}, wait=60)
            for n in range(2, 5)
        ]
        left(client, wire, *[LONG["version"]] * 5, *other)
        wire.until(lambda: len(wire.cancelled) == 8, 5)
        # One list told of all.
        assert wire.routes.count("GET /v1/predictions") == 1
        wire.check(client)


def test_what_may_be_anothers_is_left_alone():
    """An equal prediction of another program: only the answer tells which is whose."""
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        left(client, wire, LONG["version"])
        wire.listed.append({**wire.listed[0], "id": "q1"})
        looked(wire)
        assert wire.cancelled == []
        wire.check(client)


def test_one_that_is_still_waited_for_is_left_alone():
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)

        async def main():
            kept = asyncio.create_task(LONG["version"](client))
            await arrival(wire)
            task = asyncio.create_task(LONG["version"](client))
            await asyncio.to_thread(wire.until, lambda: len(wire.made) == 2)
            task.cancel()
            await asyncio.to_thread(looked, wire)
            assert wire.cancelled == []
            wire.go_on.set()
            made = await kept
            assert await settle(Suspending, client._core, 5) == 0
            return made.id

        id = asyncio.run(main())
        assert wire.cancelled == ["predictions/p2" if id == "p1" else "predictions/p1"]
        client.close()


@pytest.mark.parametrize(
    "change",
    [
        {"created_at": "2023-09-08T16:19:34.765994Z"},
        {"input": {"n": 2}},
        {"version": "w"},
        {"deployment": "acme/d"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_not_the_same_is_left_alone(change):
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        scripted = wire._described
        wire._described = lambda id, seen: scripted(id, seen) | change
        left(client, wire, LONG["version"])
        looked(wire)
        assert wire.cancelled == []
        wire.check(client)


@pytest.mark.parametrize(
    "answer",
    [reply({"detail": "no"}, 500), reply(b"<html>"), reply({"next": None, "results": []}), None],
)
def test_a_list_that_tells_nothing_leaves_it_to_the_answer(answer):
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        scripted = wire.script
        wire.script = lambda seen: answer if seen.method == "GET" else scripted(seen)
        left(client, wire, LONG["version"])
        looked(wire)
        assert wire.cancelled == []
        wire.check(client)


def test_a_short_hold_is_not_looked_for():
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        left(client, wire, CALLS["run"], CALLS["create with a hold"])
        time.sleep(1.5)
        wire.check(client)
        assert "GET /v1/predictions" not in wire.routes


def test_a_long_hold_of_what_is_to_go_on_is_not_looked_for():
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        left(client, wire, lambda client: LONG["version"](client, cancel_on_exit=False))
        time.sleep(1.5)
        check_kept(wire, client)
        assert "GET /v1/predictions" not in wire.routes


def test_the_end_of_a_program_that_is_in_a_long_hold():
    code = """
        async def main():
            task = asyncio.create_task(awaited.predictions.create("v", {}, wait=60))
            await asyncio.to_thread(until_made)
        asyncio.run(main())
    """
    with Told() as wire:
        wire.pause = None
        done = script(START + textwrap.dedent(code), env=environment(wire.base_url))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert wire.cancelled == wire.made == ["predictions/p1"]


# The local Replicate, which holds requests as the service does


@pytest.mark.parametrize("tenth", [1, 3, 5, 7, 9, 10, 11, 13])
def test_runs_that_are_left_at_every_tenth_of_their_hold(both, local, tenth):
    """The hold is a second long; the model would take 30."""
    about = {"seconds": 30.0, "steps": 1000 + tenth}

    client = both.client(local.base_url, poll_interval=0.05)
    controller = AbortController()
    timer = threading.Timer(tenth / 10, controller.abort)
    timer.start()
    with pytest.raises(exceptions.AbortError):
        both(lambda: client.run("acme/slow", about, wait=1, signal=controller.signal))
    timer.join()
    assert both(lambda: client.aclose(5) if both.is_async else client.close(5)) == 0
    watcher = replicate.Replicate("r8_secret", base_url=local.base_url)
    found = [each for each in watcher.predictions.list().results if each.input == about]
    assert [each.status for each in found[:1]] == ["canceled"], json.dumps(
        [each.dict() for each in found]
    )


def test_a_long_hold_of_the_local_server_that_is_left(both, local):
    about = {"seconds": 30.0, "steps": 2000 + both.is_async}
    client = both.client(local.base_url)
    controller = AbortController()
    timer = threading.Timer(0.5, controller.abort)
    timer.start()
    with pytest.raises(exceptions.AbortError):
        both(
            lambda: client.models.predictions.create(
                "acme/slow", about, wait=60, signal=controller.signal
            )
        )
    timer.join()
    assert both(lambda: client.aclose(5) if both.is_async else client.close(5)) == 0
    watcher = replicate.Replicate("r8_secret", base_url=local.base_url)
    found = [each for each in watcher.predictions.list().results if each.input == about]
    assert [each.status for each in found] == ["canceled"]
