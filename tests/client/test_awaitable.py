"""What the core returns to be awaited, as asyncio's own tools use a future."""

import asyncio
import contextvars
import gc
import os
import random
import sys
import threading
import time
import weakref

import pytest
import uvloop

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs._core import Expect
from support.wire import Wire, hang, prediction, reply

MAX_WAIT = 10
# `make stress` sets it.
TASKS = int(os.environ.get("STRESS_TASKS", "20000"))

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class WithoutReaders(asyncio.SelectorEventLoop):
    """A loop without `add_reader` for its callers, as the proactor loop of Windows is."""

    ready = False

    def add_reader(self, fd, callback, *args):
        if self.ready:
            raise NotImplementedError
        return super().add_reader(fd, callback, *args)


class Failing(WithoutReaders):
    """A loop that cannot be called from another thread for a while."""

    failures = 0

    def call_soon_threadsafe(self, callback, *args, context=None):
        if self.failures:
            self.failures -= 1
            raise OSError("no buffer space")
        return super().call_soon_threadsafe(callback, *args, context=context)


@pytest.fixture
def core():
    client = replicate.AsyncReplicate("r8_x", base_url="http://127.0.0.1:1")
    yield client._core
    client.close()


@pytest.fixture(params=LOOPS)
def run(request):
    """Run a coroutine on a loop, which is told of nothing that went wrong in a callback."""
    problems = []

    async def watched(coroutine):
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: problems.append(context)
        )
        async with asyncio.timeout(MAX_WAIT):
            return await coroutine

    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield lambda coroutine: runner.run(watched(coroutine))
    gc.collect()
    assert problems == []


@pytest.mark.parametrize("loop", LOOPS)
def test_tasks_that_are_cancelled_as_their_answers_arrive_are_all_woken(loop, core):
    at_once, kinds = 64, {"answered": 0, "cancelled": 0}
    source = random.Random(1)

    async def main():
        for _ in range(TASKS // len(LOOPS) // at_once):
            wait = source.choice((0, 0.0005, 0.001))
            tasks = [asyncio.ensure_future(finished(core.sleep(wait))) for _ in range(at_once)]
            await asyncio.sleep(0)
            if wait:
                await asyncio.sleep(wait)
            for task in tasks:
                task.cancel("why")
            done, waiting = await asyncio.wait(tasks, timeout=MAX_WAIT)
            assert not waiting, f"{len(waiting)} of {at_once} were never woken; {kinds}"
            for task in done:
                kinds["cancelled" if task.cancelled() else "answered"] += 1

    async def finished(pending):
        await pending

    with asyncio.Runner(debug=False, loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
    assert all(kinds.values()), f"never at the same time: {kinds}"


def test_a_cancellation_keeps_its_message(run, core):
    async def main():
        task = asyncio.ensure_future(waiting(core.sleep(30)))
        await asyncio.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("why",)
        # Without one it has none.
        task = asyncio.ensure_future(waiting(core.sleep(30)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ()

    async def waiting(pending):
        await pending

    run(main())


def test_a_cancelled_wait_says_so_as_a_future_does(run, core):
    async def main():
        pending = core.sleep(30)
        told = []
        pending.add_done_callback(told.append)
        assert not pending.done()
        assert pending.cancel("why")
        assert not pending.cancel("again")
        assert (pending.done(), pending.cancelled()) == (True, True)
        for ask in (pending.result, pending.exception):
            with pytest.raises(asyncio.CancelledError, match="why"):
                ask()
        # Callbacks are never called from within `cancel`.
        assert told == []
        await asyncio.sleep(0)
        assert told == [pending]
        # One that comes later is called too.
        pending.add_done_callback(told.append)
        await asyncio.sleep(0)
        assert told == [pending, pending]

    run(main())


def test_a_future_that_is_not_done_has_no_answer(run, core):
    async def main():
        pending = core.sleep(0.05)
        for ask in (pending.result, pending.exception):
            with pytest.raises(asyncio.InvalidStateError):
                ask()
        assert not pending.done()
        assert not pending.cancelled()
        # Nothing has begun that could be cancelled.
        assert not pending.cancel()
        await pending
        assert pending.done()
        assert not pending.cancelled()
        assert not pending.cancel()
        # The answer was handed over, and is not kept.
        for ask in (pending.result, pending.exception):
            with pytest.raises(asyncio.InvalidStateError, match="taken"):
                ask()

    run(main())


def test_an_answer_can_be_looked_at_again_and_again(run):
    async def main():
        answered = core.send("GET", ("x",), Expect.OBJECT)
        failed = core.send("GET", ("y",), Expect.OBJECT)
        await asyncio.wait([answered, failed])
        for _ in range(3):
            assert answered.result()["id"] == "p1"
            assert answered.exception() is None
            assert isinstance(failed.exception(), exceptions.NotFoundError)
            with pytest.raises(exceptions.NotFoundError):
                failed.result()
        assert failed.exception() is failed.exception()
        # And can be awaited still.
        assert (await answered)["id"] == "p1"
        with pytest.raises(exceptions.NotFoundError):
            await failed

    with Wire(
        lambda seen: reply(prediction()) if seen.path.endswith("/x") else reply({}, 404)
    ) as wire:
        core = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)._core
        run(main())


def test_callbacks_are_called_in_order_in_their_context_and_once(run, core):
    variable = contextvars.ContextVar("variable")
    told = []

    def callback(name):
        return lambda pending: told.append((name, variable.get(None), pending))

    async def main():
        pending = core.sleep(0.01)
        removed = callback("removed")
        pending.add_done_callback(callback("first"))
        pending.add_done_callback(removed)
        context = contextvars.copy_context()
        context.run(variable.set, "own")
        pending.add_done_callback(callback("second"), context=context)
        pending.add_done_callback(removed)
        assert pending.remove_done_callback(removed) == 2
        assert pending.remove_done_callback(removed) == 0
        done = asyncio.Event()
        pending.add_done_callback(lambda _: done.set())
        await done.wait()
        assert told == [("first", None, pending), ("second", "own", pending)]
        # After the end it is called in a later turn.
        pending.add_done_callback(callback("late"), context=context)
        late = callback("never")
        pending.add_done_callback(late)
        assert pending.remove_done_callback(late) == 1
        assert len(told) == 2
        while len(told) == 2:  # noqa: ASYNC110 - the callbacks are what is tested
            await asyncio.sleep(0)
        assert told[2:] == [("late", "own", pending)]
        assert pending.result() is None

    run(main())


def test_a_bound_method_is_removed_as_a_callback(run, core):
    class Listener:
        def hear(self, _):
            raise AssertionError

    async def main():
        listener, pending = Listener(), core.sleep(0.01)
        pending.add_done_callback(listener.hear)
        assert pending.remove_done_callback(listener.hear) == 1
        await pending

    run(main())


def test_a_callback_that_fails_costs_the_others_nothing(core):
    problems, told = [], []

    def fail(_):
        raise ZeroDivisionError

    async def main():
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: problems.append(context["exception"])
        )
        pendings = [core.sleep(0.01) for _ in range(3)]
        for pending in pendings:
            pending.add_done_callback(told.append)
            pending.add_done_callback(fail)
            pending.add_done_callback(told.append)
        async with asyncio.timeout(MAX_WAIT):
            while len(told) < 6:  # noqa: ASYNC110 - the callbacks are what is tested
                await asyncio.sleep(0.001)

    asyncio.run(main())
    assert [type(each) for each in problems] == [ZeroDivisionError] * 3


def test_its_loop_is_the_one_that_runs(run, core):
    async def main():
        pending = core.sleep(0)
        assert pending.get_loop() is asyncio.get_running_loop()
        assert asyncio.isfuture(pending)
        assert asyncio.ensure_future(pending) is pending
        await pending

    run(main())


def test_it_is_awaited_once(run, core):
    async def main():
        pending = core.sleep(0.01)
        pending.__await__()
        with pytest.raises(RuntimeError, match="awaited already"):
            pending.__await__()
        with pytest.raises(RuntimeError, match="awaited already"):
            await pending

    run(main())


async def tool_wait(core):
    quick, slow = core.sleep(0.01), core.sleep(30)
    done, waiting = await asyncio.wait([quick, slow], return_when=asyncio.FIRST_COMPLETED)
    assert (done, waiting) == ({quick}, {slow})
    assert slow.cancel()
    done, waiting = await asyncio.wait([slow])
    assert (done, waiting) == ({slow}, set())


async def tool_gather(core):
    assert await asyncio.gather(core.sleep(0), core.sleep(0.01), core.sleep(0)) == [None] * 3


async def tool_shield(core):
    pending = core.sleep(0.05)
    task = asyncio.ensure_future(shielded(pending))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not pending.cancelled()
    await asyncio.wait([pending])
    assert pending.result() is None


async def shielded(pending):
    await asyncio.shield(pending)


async def tool_wait_for(core):
    assert await asyncio.wait_for(core.sleep(0), MAX_WAIT) is None
    pending = core.sleep(30)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pending, 0.01)
    assert pending.cancelled()


async def tool_as_completed(core):
    for each in asyncio.as_completed([core.sleep(0.01), core.sleep(0)]):
        assert await each is None


async def tool_cancelled_in_gather(core):
    pending = core.sleep(30)
    everything = asyncio.gather(pending, core.sleep(0))
    await asyncio.sleep(0)
    pending.cancel("why")
    with pytest.raises(asyncio.CancelledError):
        await everything
    kept = core.sleep(30)
    everything = asyncio.gather(kept, core.sleep(0), return_exceptions=True)
    kept.cancel("why")
    error, answer = await everything
    assert (type(error), error.args, answer) == (asyncio.CancelledError, ("why",), None)


async def tool_gather_cancelled(core):
    pendings = [core.sleep(30), core.sleep(30)]
    everything = asyncio.gather(*pendings)
    everything.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await everything
    assert all(each.cancelled() for each in pendings)


TOOLS = [
    tool_wait,
    tool_gather,
    tool_shield,
    tool_wait_for,
    tool_as_completed,
    tool_cancelled_in_gather,
    tool_gather_cancelled,
]


@pytest.mark.parametrize("use", TOOLS, ids=lambda each: each.__name__)
def test_asyncio_s_own_tools_take_it(use, run, core):
    run(use(core))


@pytest.mark.parametrize("failures", [1, 5])
def test_a_loop_that_cannot_be_called_for_a_while_is_called_again(failures, core):
    """One failed call must not close the way to a loop, nor lose an answer."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.ready = True
        await core.sleep(0)
        loop.failures = failures
        async with asyncio.timeout(MAX_WAIT):
            await asyncio.gather(*(core.sleep(0.001 * n) for n in range(20)))
            assert loop.failures == 0
            await core.sleep(0)

    with asyncio.Runner(loop_factory=Failing) as runner:
        runner.run(main())


@pytest.mark.parametrize("kind", [*LOOPS, "without readers"])
def test_the_first_task_s_context_does_not_live_as_long_as_its_loop(kind, core):
    variable = contextvars.ContextVar("variable")

    class Value:
        pass

    async def first():
        value = Value()
        variable.set(value)
        await core.sleep(0)
        await core.sleep(0.001)
        return weakref.ref(value)

    async def main():
        asyncio.get_running_loop().ready = True
        return await asyncio.ensure_future(first())

    async def later(value):
        await asyncio.sleep(0.01)
        gc.collect()
        return value()

    class Settable(uvloop.Loop):
        ready = False

    loops = {
        "asyncio": WithoutReaders.__base__,
        "uvloop": Settable,
        "without readers": WithoutReaders,
    }
    with asyncio.Runner(loop_factory=loops[kind]) as runner:
        assert runner.run(later(runner.run(main()))) is None


# Streams and files: what is waited for again and again


def silent_stream():
    def answer(connection):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length:"
            b" 200000\r\n\r\n" + bytes(70_000)
        )
        hang(connection)

    return Wire(lambda _: answer)


@pytest.mark.parametrize("where", ["same loop", "another thread"])
def test_a_source_that_is_closed_beside_a_waiter_ends_it(where, run):
    async def main():
        source = core.pieces(f"{wire.origin}/file")
        assert len(b"".join(await source.next())) >= 65536
        waiting = asyncio.ensure_future(taken(source))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        if where == "same loop":
            source.close()
        else:
            thread = threading.Thread(target=source.close)
            thread.start()
            await asyncio.to_thread(thread.join)
        await waiting
        assert await source.next() == []
        # The bell of this loop goes on.
        for _ in range(10):
            await core.sleep(0.001)

    async def taken(source):
        return await source.next()

    with silent_stream() as wire:
        core = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)._core
        run(main())
        wire.until(lambda: wire.open_now == 0)


def test_a_source_that_is_closed_beside_a_thread_ends_it():
    with silent_stream() as wire, replicate.Replicate("r8_x", base_url=wire.base_url) as client:
        for ahead in (True, False):
            source = client._core.pieces(f"{wire.origin}/file", ahead=ahead)
            given = []
            source.next().wait()
            thread = threading.Thread(
                target=lambda source=source, given=given: given.append(source.next().wait())
            )
            thread.start()
            is_waiting(source)
            source.close()
            thread.join(MAX_WAIT)
            assert not thread.is_alive()
            assert len(b"".join(given[0])) <= 70_000 - 65536
        wire.until(lambda: wire.open_now == 0)


def is_waiting(source):
    """Return once a thread waits for a source: another one is refused."""
    while True:
        pending = source.next()
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(asyncio.wait_for(pending, 0.001))
        except TimeoutError:
            pass
        except exceptions.StreamError:
            return
        finally:
            loop.close()


def test_a_second_task_on_a_source_is_refused_and_the_first_goes_on(run):
    async def main():
        source = core.pieces(f"{wire.origin}/file")
        first = asyncio.ensure_future(all_of(source))
        # The request was begun with the source: the task must have begun to read, too.
        await asyncio.sleep(0)
        await asyncio.to_thread(wire.until, lambda: len(wire.seen) == 1)
        for again in (
            source.next,
            source.whole,
            source.opened,
            lambda: source.fill(memoryview(bytearray(10))),
        ):
            with pytest.raises(exceptions.StreamError, match="one task or thread at a time"):
                await again()
        # A thread is refused as well.
        with pytest.raises(exceptions.StreamError, match="one task or thread at a time"):
            await asyncio.to_thread(source.next().wait)
        go_on.set()
        assert await first == bytes(200_000)

    go_on = threading.Event()
    with when_told(go_on) as wire:
        core = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)._core
        run(main())


async def all_of(source):
    content = b""
    while parts := await source.next():
        content += b"".join(parts)
    return content


def when_told(go_on):
    def answer(connection):
        go_on.wait(MAX_WAIT)
        return reply(bytes(200_000))

    return Wire(lambda _: answer)


@pytest.mark.parametrize("ahead", [True, False])
def test_a_task_and_a_thread_beside_a_thread_on_a_source_are_refused(ahead):
    go_on, given = threading.Event(), []

    def read():
        while parts := source.next().wait():
            given.extend(parts)

    with when_told(go_on) as wire, replicate.Replicate("r8_x", base_url=wire.base_url) as client:
        source = client._core.pieces(f"{wire.origin}/file", ahead=ahead)
        first = threading.Thread(target=read)
        first.start()
        wire.until(lambda: len(wire.seen) == 1)
        with pytest.raises(exceptions.StreamError, match="one task or thread at a time"):
            source.next().wait()
        with pytest.raises(exceptions.StreamError, match="one task or thread at a time"):
            asyncio.run(asyncio.wait_for(source.next(), MAX_WAIT))
        go_on.set()
        first.join()
    assert b"".join(given) == bytes(200_000)


def test_what_another_reader_has_taken_is_not_mistaken_for_the_end(run):
    """A part that was there when a task began to take it may be gone when it comes to it: that is
    no end of the stream.
    """

    async def main():
        source = core.pieces(f"{wire.origin}/file")
        while not source.is_open:  # noqa: ASYNC110 - it reads ahead
            await asyncio.sleep(0.001)
        late, wakes = source.next(), asyncio.Event()
        late.add_done_callback(lambda _: wakes.set())
        await wakes.wait()
        assert len(b"".join(await source.next())) >= 65536
        with pytest.raises(exceptions.StreamError, match="one task or thread at a time"):
            await late

    with silent_stream() as wire:
        core = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)._core
        run(main())


def answer_after(go_on):
    """Answer a create once an event is set, and its cancel at once."""

    def answer(seen):
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))

        def later(_):
            go_on.wait(MAX_WAIT)
            return reply(prediction("starting"), 201)

        return later

    return answer


@pytest.mark.parametrize("keeps_traceback", [False, True])
def test_a_create_whose_task_is_cancelled_as_its_response_is_there_is_cancelled(keeps_traceback):
    """The task's exception holds the frames, and with them the call, for as long as it is kept."""
    kept = []

    async def main(client, wire):
        task = asyncio.ensure_future(client.predictions.create("v" * 64, {}))
        await asyncio.to_thread(wire.until, lambda: len(wire.seen) == 1)
        # The response arrives while this task has the loop, and is not read before the next turn.
        go_on.set()
        time.sleep(0.2)  # noqa: ASYNC251 - the loop must not run
        asyncio.get_running_loop().call_soon(task.cancel)
        done, _ = await asyncio.wait([task])
        if keeps_traceback:
            kept.extend(done)
        if task.cancelled():
            await asyncio.to_thread(
                wire.until, lambda: "POST /v1/predictions/p1/cancel" in wire.routes
            )

    go_on = threading.Event()
    with Wire(answer_after(go_on)) as wire:
        client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)
        asyncio.run(main(client, wire))


def test_a_create_whose_coroutine_is_closed_is_cancelled_although_its_frames_are_kept():
    """A tracer or a traceback may keep them, and with them the call."""
    frames = []

    async def main(client, wire):
        coroutine = client.predictions.create("v" * 64, {})
        sys.setprofile(lambda frame, *_: frames.append(frame))
        try:
            coroutine.send(None)
        finally:
            sys.setprofile(None)
        await asyncio.to_thread(wire.until, lambda: len(wire.seen) == 1)
        coroutine.close()
        go_on.set()
        await asyncio.to_thread(wire.until, lambda: "POST /v1/predictions/p1/cancel" in wire.routes)

    go_on = threading.Event()
    with Wire(answer_after(go_on)) as wire:
        client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)
        asyncio.run(main(client, wire))
    assert frames


def test_the_collector_may_close_the_inner_one_of_two_coroutines_first():
    """It takes them in any order. Nothing else knows the task that waits in them."""

    async def outer(client, coroutines):
        coroutine = client.predictions.get("p1")
        coroutines.append(coroutine)
        await coroutine

    async def main(wire, coroutines):
        client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)
        task = asyncio.create_task(outer(client, coroutines))
        await asyncio.to_thread(wire.until, lambda: len(wire.seen) == 1)
        return weakref.ref(task)

    coroutines = []
    with Wire(lambda _: hang) as wire:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        task = loop.run_until_complete(main(wire, coroutines))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        # An error would be one in a destructor, which pytest reports.
        coroutines.pop().close()
        gc.collect()
        assert task() is None
        wire.until(lambda: wire.open_now == 0)
