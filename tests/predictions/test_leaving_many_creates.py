"""Leaving many creates at once, at any time of their answer, and creates that are being retried."""

import asyncio
import contextlib
import threading
import time

import pytest

import replicate_rs as replicate
from replicate_rs import AbortController, exceptions
from replicate_rs._base.cleanup import drain
from replicate_rs._base.operation import run_blocking
from replicate_rs._base.transport import Blocking, Suspending
from support.creates import Creates
from support.leaving import MAX_WAIT, full_port
from support.leaving_creates import (
    CALLS,
    SPANNING,
    TAKES_OPTIONS,
    cancel,
    consume,
    consume_blocking,
    take,
)
from support.wire import Wire, reply


@pytest.mark.parametrize("tenth", range(1, 13))
def test_tasks_that_are_cancelled_at_every_tenth_of_a_create(tenth):
    """The answer takes half a second: at the last tenths it is being read, or has been read."""

    async def main():
        tasks = {name: asyncio.create_task(consume(client, call)) for name, call in CALLS.items()}
        await asyncio.to_thread(wire.until, lambda: len(wire.made) == len(CALLS))
        await asyncio.sleep(0.05 * tenth - 0.02)
        for task in tasks.values():
            task.cancel()
        await asyncio.wait(tasks.values())
        # These were answered in time.
        return sum(not task.cancelled() and task.exception() is None for task in tasks.values())

    with Creates(pause=0.5) as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url, poll_interval=0.01)
        with asyncio.Runner() as runner:
            answered = runner.run(main())
        # A call that was answered has returned its prediction to its caller.
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
            thread.join(MAX_WAIT)
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
        wire.assert_all_cancelled(client)
        assert len(wire.made) == count


@pytest.mark.parametrize("name", ["relay", "stream"])
def test_readers_of_a_streaming_response_who_leave_during_the_create(name):
    """Starlette cancels the response when its reader disconnects."""
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
        """Request the page as an ASGI server does, and disconnect."""
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
        await asyncio.wait_for(asyncio.gather(*readers, return_exceptions=True), MAX_WAIT)

    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        asyncio.run(main())
        wire.assert_all_cancelled(client)
        assert len(wire.made) == 200


# Retries


def rate_limited(seconds):
    """Return a server that always asks to retry later."""
    return Wire(lambda _: reply({"detail": "later"}, 429, headers=f"Retry-After: {seconds}\r\n"))


@pytest.mark.parametrize("name", CALLS)
def test_a_create_that_waits_to_be_tried_again_is_not_tried_again(name):
    async def main():
        task = asyncio.create_task(consume(client, CALLS[name]))
        await asyncio.to_thread(wire.until, lambda: len(wire.seen) == 1)
        # Let the answer arrive.
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client._core.unattended == 0 or await drain(client._core, Suspending, 1) == 0

    with rate_limited(1) as wire:
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
        assert run_blocking(drain(client._core, Blocking, 2)) == 0
        assert len(wire.seen) == 1
        client.close()


@pytest.mark.parametrize("name", ["run", "relay", "create of a training"])
def test_a_create_that_never_left_is_not_sent(both, name):
    """No server accepted the request, so closing the client waits for nothing."""
    port, sockets = full_port()
    client = both.client(f"http://127.0.0.1:{port}/v1")
    with pytest.raises(TimeoutError) as caught:
        take(both, client, CALLS[name], timeout=0.1)
    if name in SPANNING:
        assert "the prediction was not created" in str(caught.value)
    assert both(lambda: client.aclose() if both.is_async else client.close()) == 0
    for each in sockets:
        each.close()


# Event loops


def test_an_event_loop_goes_on_while_creates_are_finished():
    async def main():
        tasks = [asyncio.create_task(consume(client, call)) for call in CALLS.values()]
        await asyncio.to_thread(wire.until, lambda: len(wire.made) == len(CALLS))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        # The server has answered none of them, and the loop has no task for them.
        assert len(asyncio.all_tasks()) == 1
        assert client._core.unattended == len(CALLS)

    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url, poll_interval=0.01)
        asyncio.run(main())
        wire.assert_all_cancelled(client)
