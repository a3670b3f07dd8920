"""Leaving calls, in every way and at every point.

Nothing hangs, no task, connection or file is left, and the prediction is cancelled.
"""

import asyncio
import gc
import os
import signal
import threading
import time

import pytest

import replicate_rs as replicate
from conftest import script
from replicate_rs import AbortController, AbortSignal, exceptions
from support.hosts import until
from support.leaving import MAX_WAIT, Scene, consume, consume_blocking
from support.points import POINTS
from support.wire import Wire, hang, output, prediction, reply, streaming

CANCELLED = "POST /v1/predictions/p1/cancel"


@pytest.fixture
def scene(both, request, tmp_path):
    made = Scene(both, tmp_path, POINTS[request.param])
    yield made
    made.close()


def points(mode=None, only=POINTS, **fields):
    """Parametrize a test with the points of a mode that have these names and fields."""
    cases = [
        pytest.param(way, name, id=f"{name}-{way}")
        for name, each in POINTS.items()
        if name in only
        for way in ("sync", "async")
        if way in each.modes
        and mode in (None, way)
        and all(getattr(each, field) == value for field, value in fields.items())
    ]
    return pytest.mark.parametrize(("both", "scene"), cases, indirect=True)


async def arrival(scene):
    await asyncio.to_thread(scene.wait)


async def settled():
    """Wait until this is the only task: the loop closes forgotten generators in tasks."""
    async with asyncio.timeout(MAX_WAIT):
        # The loop creates such a task in its next turn.
        await asyncio.sleep(0.001)
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - no event tells that a task has ended
            await asyncio.sleep(0.001)


async def cancel(scene):
    task = asyncio.create_task(consume(scene, scene.call))
    await arrival(scene)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_twice(scene):
    task = asyncio.create_task(consume(scene, scene.call))
    await arrival(scene)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def run_out_of_time(scene):
    async def expire(scope):
        await arrival(scene)
        scope.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):  # noqa: PT012 - the scope raises
        async with asyncio.timeout(None) as scope:
            expiring = asyncio.create_task(expire(scope))
            await consume(scene, scene.call)
    await expiring


async def lose_a_sibling(scene):
    async def fail():
        await arrival(scene)
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the group raises
        async with asyncio.TaskGroup() as group:
            group.create_task(consume(scene, scene.call))
            group.create_task(fail())
    assert [type(each) for each in caught.value.exceptions] == [ZeroDivisionError]


@points("async")
@pytest.mark.parametrize("way", [cancel, cancel_twice, run_out_of_time, lose_a_sibling])
def test_a_task_that_is_left_leaves_nothing(both, scene, way):
    """The task raises its own exception; no task, connection or file is left, and one prediction
    is cancelled.
    """

    async def main():
        await way(scene)
        await settled()

    both(main)
    scene.assert_nothing_left()


def aborting(scene, controller, reason):
    """Abort from another thread when the call has reached its point."""

    def abort():
        scene.wait()
        controller.abort(reason)
        controller.abort("and again")

    thread = threading.Thread(target=abort)
    thread.start()
    return thread


@points(takes_signal=True)
def test_an_abort_from_another_thread_leaves_nothing(both, scene):
    if scene.pauses:
        pytest.skip("the library notices a signal while it waits; here the caller's own code waits")
    controller = AbortController()
    thread = aborting(scene, controller, "enough")
    with pytest.raises(exceptions.AbortError, match="enough"):
        take(both, scene, signal=controller.signal)
    thread.join()
    scene.assert_nothing_left()


def take(both, scene, **options):
    if not both.is_async:
        consume_blocking(scene, scene.call, **options)
        return

    async def main():
        try:
            await consume(scene, scene.call, **options)
        finally:
            await settled()

    both(main)


@points(takes_signal=True)
def test_a_signal_that_was_aborted_sends_nothing(both, scene):
    """But a prediction that runs already is cancelled, if that was asked for."""
    before, opened = list(scene.wire.routes), scene.wire.opened
    with pytest.raises(exceptions.AbortError, match="no need"):
        take(both, scene, signal=AbortSignal.abort("no need"))
    is_known = scene.is_known and scene.cancels == 1
    assert [each for each in scene.wire.routes if each not in before] in (
        [],
        [CANCELLED] * is_known,
    )
    if not is_known:
        assert scene.wire.opened == opened


@points()
def test_ctrl_c_leaves_nothing(both, scene):
    """On the main thread, and on an event loop that runs there."""

    def interrupt():
        scene.wait()
        # The call is about to wait at its point.
        time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        take(both, scene)
    thread.join()
    scene.assert_nothing_left()


# Iterators


def close(items):
    items.close()


def drop(items):
    """Do nothing: the caller's own reference is the last."""


async def aclose(items):
    await items.aclose()


async def adrop(items):
    """Do nothing, as `drop`."""


@points("sync", is_iterated=True)
@pytest.mark.parametrize("leave", [close, drop])
def test_an_iterator_that_is_left_leaves_nothing(both, scene, leave):
    """By `close`, or by dropping the last reference."""
    items = scene.call()
    scene.add_item(next(items))
    scene.wait()
    leave(items)
    del items
    scene.assert_nothing_left()


@points("async", is_iterated=True)
@pytest.mark.parametrize("leave", [aclose, adrop])
def test_an_async_iterator_that_is_left_leaves_nothing(both, scene, leave):
    """By `aclose`, or by dropping the last reference."""

    async def main():
        items = scene.call()
        scene.add_item(await anext(items))
        await arrival(scene)
        await leave(items)
        del items
        await settled()

    both(main)
    scene.assert_nothing_left()


@points("async", is_iterated=True)
def test_an_async_iterator_goes_with_its_loop(both, scene):
    """The loop ends while there is still a reference to the iterator."""

    async def main():
        kept.append(scene.call())
        scene.add_item(await anext(kept[0]))
        await arrival(scene)

    kept = []
    with asyncio.Runner() as runner:
        runner.run(main())
    scene.assert_nothing_left()


# Event loops


@points("async", only=("in_a_poll", "between_polls", "saving_a_file"))
def test_a_loop_that_is_closed_with_the_task_pending_leaves_nothing(both, scene):
    """The task is not cancelled, only forgotten."""

    async def main():
        kept.append(asyncio.create_task(consume(scene, scene.call)))
        await arrival(scene)

    kept = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    kept.clear()
    gc.collect()
    scene.assert_nothing_left()


def running_forever(cancel=None):
    """Return a server whose prediction never ends; `cancel` is its answer to the cancel."""
    return Wire(
        lambda seen: (
            cancel if cancel and seen.path.endswith("/cancel") else reply(prediction("processing"))
        )
    )


@pytest.mark.parametrize("both", ["sync"], indirect=True)
def test_a_cancel_that_is_not_answered_holds_blocking_code_up_for_five_seconds(both):
    """A blocking caller waits for the answer, but not for longer."""
    with running_forever(cancel=hang) as wire:
        start = time.monotonic()
        with pytest.raises(exceptions.PredictionTimeout):
            both.client(wire.base_url, poll_interval=0.01).run(
                "acme/x", {}, wait=False, timeout=0.1
            )
        assert 4.9 < time.monotonic() - start < 6
        assert wire.routes.count(CANCELLED) == 1


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_a_cancel_that_is_not_answered_does_not_hold_a_task_up(both):
    """The request goes on while the task has ended already."""

    async def main():
        async with asyncio.timeout(MAX_WAIT):
            with pytest.raises(exceptions.PredictionTimeout):
                await client.run("acme/x", {}, wait=False, timeout=0.1)

    with running_forever(cancel=hang) as wire:
        client = both.client(wire.base_url, poll_interval=0.01)
        both(main)
        assert client._core.unattended == 1
        wire.until(lambda: wire.routes.count(CANCELLED) == 1)


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_a_client_that_is_closed_while_a_prediction_is_cancelled_keeps_no_connection(both):
    """A caller that leaves may close the client at once."""

    async def main():
        with pytest.raises(exceptions.PredictionTimeout):
            await client.run("acme/x", {}, wait=False, timeout=0.02)
        client.close()

    # The cancelled poll closes its connection, so that the cancel needs another.
    with Wire(
        lambda seen: hang if seen.method == "GET" else reply(prediction("processing"))
    ) as wire:
        # Either of the two may come first.
        for _ in range(20):
            client = both.client(wire.base_url, poll_interval=0.005)
            both(main)
            # On a busy machine, the time may be over before the create is sent.
            created = "POST /v1/models/acme/x/predictions"
            wire.until(lambda: wire.routes.count(CANCELLED) == wire.routes.count(created))
            wire.until(lambda: wire.open_now == 0, 2)


def test_a_prediction_that_ended_is_not_cancelled(both):
    """A caller that leaves while the end is reported leaves nothing that runs."""
    controller = AbortController()
    with Wire(lambda _: reply(prediction())) as wire:
        client = both.client(wire.base_url)

        def leave(_):
            controller.abort()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            both(lambda: client.run("acme/x", {}, progress=leave, signal=controller.signal))
        both(lambda: client.predictions.get("good"))
        assert CANCELLED not in wire.routes


def test_wait_for_leaves_nothing():
    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.run("acme/x", {}, wait=False), 0.2)
        await settled()

    with running_forever() as wire:
        client = replicate.AsyncReplicate(base_url=wire.base_url, poll_interval=0.01)
        asyncio.run(main())
        wire.until(lambda: wire.routes.count(CANCELLED) == 1)
        client.close()
        wire.until(lambda: wire.open_now == 0)


# Threads


def threads():
    """Return the number of threads that Python does not know."""
    return len(
        {int(each) for each in os.listdir("/proc/self/task")}
        - {each.native_id for each in threading.enumerate()}
    )


@pytest.mark.parametrize("name", ["in_a_poll", "between_events", "saving_a_file", "sending_a_file"])
def test_leaving_leaves_no_thread(both, name, tmp_path):
    """The runtime's threads, and those for files, are not more after ten calls than after one."""
    counts = []
    for _ in range(10):
        controller = AbortController()
        scene = Scene(both, tmp_path, POINTS[name])
        thread = aborting(scene, controller, "enough")
        with pytest.raises(exceptions.AbortError):
            take(both, scene, signal=controller.signal)
        thread.join()
        scene.assert_nothing_left()
        scene.close()
        counts.append(threads())
    until(lambda: threads() <= counts[0] + 1)


# Programs

ENDS = """
import asyncio, sys
import replicate_rs as replicate

async def run():
    client = replicate.AsyncReplicate(base_url=sys.argv[1], poll_interval=30)
    await client.run("acme/x", {}, wait=False)

async def stream():
    async for _ in replicate.AsyncReplicate(base_url=sys.argv[1]).stream("acme/x", {}):
        return

def blocking():
    for _ in replicate.Replicate(base_url=sys.argv[1]).stream("acme/x", {}):
        return

async def main(work):
    task = asyncio.create_task(work())
    watcher = replicate.AsyncReplicate(base_url=sys.argv[1])
    while (await watcher.predictions.get("seen")).status != "succeeded":
        pass
"""


DAEMON = """
import sys, threading
import replicate_rs as replicate

def run():
    client = replicate.Replicate(base_url=sys.argv[1], poll_interval=0.01)
    client.run("acme/x", {}, wait=False, timeout=1)

threading.excepthook = lambda _: None
threading.Thread(target=run, daemon=True).start()
watcher = replicate.Replicate(base_url=sys.argv[1])
while watcher.predictions.get("seen").status != "succeeded":
    pass
"""


def test_a_thread_that_is_late_while_its_program_ends_does_not_cancel_again():
    """What the exit handler has cancelled is not cancelled again by its caller's thread."""
    polled = threading.Event()

    def answer(seen):
        if seen.path.endswith("/cancel"):
            # The exit handler waits for this answer. Meanwhile the thread's deadline passes.
            time.sleep(2)
            return reply(prediction("canceled"))
        if seen.path.endswith("/seen"):
            return reply(prediction("succeeded" if polled.is_set() else "processing"))
        if seen.method == "GET":
            polled.set()
        return reply(prediction("processing"))

    with Wire(answer) as wire:
        done = script(DAEMON, wire.base_url)
        assert (done.returncode, done.stderr) == (0, "")
        assert wire.routes.count(CANCELLED) == 1


@pytest.mark.parametrize(
    "last",
    ["asyncio.run(main(run))", "asyncio.run(main(stream))", "asyncio.run(stream())", "blocking()"],
)
def test_a_program_that_ends_cancels_what_it_ran(last):
    """Silently, and once."""
    awaited = "GET /stream" if "stream" in last else "POST /v1/models/acme/x/predictions"
    with streaming(output("a"), hang, poll=prediction("processing")) as wire:
        answer = wire.script

        def answer_seen(seen):
            if not seen.path.endswith("/seen"):
                return answer(seen)
            return reply(prediction("succeeded" if awaited in wire.routes else "processing"))

        wire.script = answer_seen
        done = script(ENDS + last, wire.base_url)
        assert (done.returncode, done.stderr) == (0, "")
        wire.until(lambda: wire.open_now == 0)
        assert wire.routes.count(CANCELLED) == 1
