"""Calls that create predictions and trainings, and the ways to leave them before the answer."""

import asyncio
import gc
import signal
import threading

import pytest

from replicate_rs import AbortController, exceptions

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
# These do more than create; at the deadline they raise `PredictionTimeout`.
SPANNING = {name for name in CALLS if name.startswith(("run", "stream", "text", "relay"))}
TAKES_OPTIONS = {name: call for name, call in CALLS.items() if not name.startswith("use")}


async def consume(client, call, **more):
    """Await a call, and iterate over its result if that is possible."""
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


# Ways to leave an awaited call, while the server does not answer.


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
    """`gather` does not cancel the others; the end of the loop does."""

    async def fail():
        await arrival(wire)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.gather(consume(client, call), fail())


async def leave_at_the_loops_end(wire, client, call):
    unfinished.append(asyncio.create_task(consume(client, call)))
    await arrival(wire)


async def close_the_coroutine(wire, client, call):
    """As a framework does that steps coroutines itself."""
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


unfinished = []
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
