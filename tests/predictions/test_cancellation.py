"""Leaving a call, in every way and from every point: nothing hangs, nothing is left, nothing runs
on that is paid for.
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
from support.leaving import PATIENCE, Scene, consume, consume_blocking
from support.points import POINTS
from support.wire import Wire, hang, output, prediction, reply, streaming

CANCELLED = "POST /v1/predictions/p1/cancel"


@pytest.fixture
def scene(both, request, tmp_path):
    made = Scene(both, tmp_path, POINTS[request.param])
    yield made
    made.close()


def points(mode=None, only=POINTS, **fields):
    """Parametrize with points of a mode, which have these names and fields."""
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
    """Wait until this is the only task: generators that nobody has any more are closed in tasks of
    their own.
    """
    async with asyncio.timeout(PATIENCE):
        # The loop makes such a task in its next turn.
        await asyncio.sleep(0.001)
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - nobody says when a task has gone
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
    """Rows 1, 7, 12: the task's own exception, no task, no connection, no file, and one cancelled
    prediction.
    """

    async def main():
        await way(scene)
        await settled()

    both(main)
    scene.gone()


def aborting(scene, controller, reason):
    """Abort from another thread when the scene has arrived."""

    def abort():
        scene.wait()
        controller.abort(reason)
        controller.abort("and again")

    thread = threading.Thread(target=abort)
    thread.start()
    return thread


@points(takes_signal=True)
def test_an_abort_from_another_thread_leaves_nothing(both, scene):
    """Rows 1, 7; J7."""
    if scene.pauses:
        pytest.skip(
            "a signal is heard where the library waits, and this waits in the caller's own code"
        )
    controller = AbortController()
    thread = aborting(scene, controller, "enough")
    with pytest.raises(exceptions.AbortError, match="enough"):
        take(both, scene, signal=controller.signal)
    thread.join()
    scene.gone()


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
    """Row 7; J7. A prediction that runs already is cancelled if that was asked for; it costs."""
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
    """Row 14: on the main thread, and on an event loop that runs there."""

    def interrupt():
        scene.wait()
        # What said that it is there is about to wait.
        time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        take(both, scene)
    thread.join()
    scene.gone()


# Iterators


def close(items):
    items.close()


def drop(items):
    """Nothing: the caller's own reference is the last."""


async def aclose(items):
    await items.aclose()


async def adrop(items):
    """The same."""


@points("sync", is_iterated=True)
@pytest.mark.parametrize("leave", [close, drop])
def test_an_iterator_that_is_left_leaves_nothing(both, scene, leave):
    """Rows 6, 7: `close`, or nobody has it any more."""
    items = scene.call()
    scene.given(next(items))
    scene.wait()
    leave(items)
    del items
    scene.gone()


@points("async", is_iterated=True)
@pytest.mark.parametrize("leave", [aclose, adrop])
def test_an_async_iterator_that_is_left_leaves_nothing(both, scene, leave):
    """Rows 6, 7: `aclose`, or nobody has it any more."""

    async def main():
        items = scene.call()
        scene.given(await anext(items))
        await arrival(scene)
        await leave(items)
        del items
        await settled()

    both(main)
    scene.gone()


@points("async", is_iterated=True)
def test_an_async_iterator_goes_with_its_loop(both, scene):
    """Row 7: `asyncio.run` ends while somebody still has the iterator."""

    async def main():
        kept.append(scene.call())
        scene.given(await anext(kept[0]))
        await arrival(scene)

    kept = []
    with asyncio.Runner() as runner:
        runner.run(main())
    scene.gone()


# Event loops


@points("async", only=("in_a_poll", "between_polls", "saving_a_file"))
def test_a_loop_that_is_closed_with_the_task_pending_leaves_nothing(both, scene):
    """Row 7: nobody cancels the task, it is only forgotten."""

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
    scene.gone()


def running_forever(cancel=None):
    """A prediction that never ends; `cancel` is the answer to being cancelled."""
    return Wire(
        lambda seen: (
            cancel if cancel and seen.path.endswith("/cancel") else reply(prediction("processing"))
        )
    )


@pytest.mark.parametrize("both", ["sync"], indirect=True)
def test_a_cancel_that_is_not_answered_holds_blocking_code_up_for_five_seconds(both):
    """Row 7: best effort, bounded."""
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
    """Row 7: a cancelled task waits for nothing."""

    async def main():
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(exceptions.PredictionTimeout):
                await client.run("acme/x", {}, wait=False, timeout=0.1)

    with running_forever(cancel=hang) as wire:
        client = both.client(wire.base_url, poll_interval=0.01)
        start = time.monotonic()
        both(main)
        assert time.monotonic() - start < 3
        wire.until(lambda: wire.routes.count(CANCELLED) == 1)


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_a_client_that_is_closed_while_a_prediction_is_cancelled_keeps_no_connection(both):
    """Rows 7, 18: whoever leaves may close the client at once."""

    async def main():
        with pytest.raises(exceptions.PredictionTimeout):
            await client.run("acme/x", {}, wait=False, timeout=0.02)
        client.close()

    # The poll takes its connection with it, so that the cancel needs one of its own.
    with Wire(
        lambda seen: hang if seen.method == "GET" else reply(prediction("processing"))
    ) as wire:
        # Which of the two comes first is decided anew each time.
        for n in range(1, 21):
            client = both.client(wire.base_url, poll_interval=0.005)
            both(main)
            wire.until(lambda n=n: wire.routes.count(CANCELLED) == n)
            wire.until(lambda: wire.open_now == 0, 2)


def test_a_prediction_that_ended_is_not_cancelled(both):
    """Row 7: a caller who goes while the end is reported leaves nothing that runs."""
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
    """Rows 1, 7."""

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
    """Threads of this process that are not Python's."""
    return len(
        {int(each) for each in os.listdir("/proc/self/task")}
        - {each.native_id for each in threading.enumerate()}
    )


@pytest.mark.parametrize("name", ["in_a_poll", "between_events", "saving_a_file", "sending_a_file"])
def test_leaving_leaves_no_thread(both, name, tmp_path):
    """Row 18: the runtime's own, and those that wait for its files, are not more after ten than
    after one.
    """
    counts = []
    for _ in range(10):
        controller = AbortController()
        scene = Scene(both, tmp_path, POINTS[name])
        thread = aborting(scene, controller, "enough")
        with pytest.raises(exceptions.AbortError):
            take(both, scene, signal=controller.signal)
        thread.join()
        scene.gone()
        scene.close()
        counts.append(threads())
    until(lambda: threads() <= counts[0] + 1)


# Processes

ENDS = """
import asyncio, sys
import replicate_rs as replicate

async def run():
    await replicate.AsyncReplicate(base_url=sys.argv[1], poll_interval=30).run("acme/x", {}, wait=False)

async def stream():
    async for _ in replicate.AsyncReplicate(base_url=sys.argv[1]).stream("acme/x", {}):
        return

def blocking():
    for _ in replicate.Replicate(base_url=sys.argv[1]).stream("acme/x", {}):
        return

async def main(work):
    task = asyncio.create_task(work())
    await asyncio.sleep(0.2)
"""


DAEMON = """
import sys, threading
import replicate_rs as replicate

def run():
    replicate.Replicate(base_url=sys.argv[1], poll_interval=0.01).run("acme/x", {}, wait=False, timeout=1)

threading.excepthook = lambda _: None
threading.Thread(target=run, daemon=True).start()
watcher = replicate.Replicate(base_url=sys.argv[1])
while watcher.predictions.get("seen").status != "succeeded":
    pass
"""


def test_a_thread_that_is_late_while_its_program_ends_does_not_cancel_again():
    """What the program's end has cancelled is not cancelled by the thread that waited for it."""
    polled = threading.Event()

    def answer(seen):
        if seen.path.endswith("/cancel"):
            # The program's end waits for this answer, and meanwhile the thread's deadline passes.
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
    """Rows 7, 14: silently, and once."""
    with streaming(output("a"), hang, poll=prediction("processing")) as wire:
        done = script(ENDS + last, wire.base_url)
        assert (done.returncode, done.stderr) == (0, "")
        wire.until(lambda: wire.open_now == 0)
        assert wire.routes.count(CANCELLED) == 1
