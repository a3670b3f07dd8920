"""Between Rust and Python: event loops, threads, cancellation, connections."""

import asyncio
import contextvars
import gc
import threading
import time
import weakref

import pytest
import uvloop

import replicate_rs as replicate
from conftest import script
from replicate_rs import AbortController, exceptions
from replicate_rs._core import Expect
from support.wire import Wire, hang, prediction, reply


def answering():
    return Wire(lambda _: reply(prediction()))


def hanging():
    return Wire(lambda _: hang)


def test_a_hundred_loops_one_after_another_share_a_connection():
    with answering() as wire:
        client = replicate.AsyncReplicate(base_url=wire.base_url)
        for _ in range(100):
            assert asyncio.run(client.predictions.get("x")).status == "succeeded"
        assert (len(wire.seen), wire.opened) == (100, 1)


def test_sync_calls_share_a_connection():
    """In a process of its own: after calls of several threads, calls use a second driver too."""
    code = """
        import replicate_rs as replicate, sys
        client = replicate.Replicate("r8_x", base_url=sys.argv[1])
        for _ in range(100):
            client.predictions.get("x")
    """
    with answering() as wire:
        done = script(code, wire.base_url)
        assert (done.returncode, done.stderr) == (0, "")
        assert (len(wire.seen), wire.opened) == (100, 1)


def test_two_loops_in_two_threads_and_sync_calls_on_one_client():
    errors = []

    async def many(client):
        await asyncio.gather(*(client.predictions.async_get(f"p{n}") for n in range(200)))

    def guarded(work):
        try:
            work()
        except BaseException as error:
            errors.append(error)

    with answering() as wire:
        client = replicate.Replicate(base_url=wire.base_url)
        work = [
            lambda: asyncio.run(many(client)),
            lambda: asyncio.run(many(client)),
            lambda: [client.predictions.get("x") for _ in range(200)],
            lambda: [client.predictions.get("x") for _ in range(200)],
        ]
        threads = [threading.Thread(target=guarded, args=(each,)) for each in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(wire.seen) == 800


def test_uvloop():
    async def main(client):
        return await asyncio.gather(*(client.predictions.get(f"p{n}") for n in range(500)))

    with answering() as wire:
        client = replicate.AsyncReplicate(base_url=wire.base_url)
        for _ in range(3):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                assert len(runner.run(main(client))) == 500


class WithoutReaders(asyncio.SelectorEventLoop):
    """Like Windows' proactor loop, for everybody but the loop itself."""

    ready = False

    def add_reader(self, fd, callback, *args):
        if self.ready:
            raise NotImplementedError
        return super().add_reader(fd, callback, *args)


def test_a_loop_without_add_reader():
    async def main(client):
        asyncio.get_running_loop().ready = True
        return await asyncio.gather(*(client.predictions.get(f"p{n}") for n in range(200)))

    with answering() as wire:
        client = replicate.AsyncReplicate(base_url=wire.base_url)
        for _ in range(3):
            with asyncio.Runner(loop_factory=WithoutReaders) as runner:
                assert len(runner.run(main(client))) == 200


def test_each_answer_reaches_its_own_caller():
    async def main(client):
        ids = [f"p{n}" for n in range(300)]
        answers = await asyncio.gather(*(client.predictions.get(id) for id in ids))
        assert [each.id for each in answers] == ids

    with Wire(lambda seen: reply(prediction(id=seen.path.rpartition("/")[2]))) as wire:
        asyncio.run(main(replicate.AsyncReplicate(base_url=wire.base_url)))


def test_a_task_keeps_its_context():
    variable = contextvars.ContextVar("variable")

    async def one(client, n):
        variable.set(n)
        await client.predictions.get("x")
        assert variable.get() == n

    async def main(client):
        await asyncio.gather(*(one(client, n) for n in range(50)))

    with answering() as wire:
        asyncio.run(main(replicate.AsyncReplicate(base_url=wire.base_url)))


def test_the_server_sees_a_cancelled_task_at_once():
    async def main(wire):
        client = replicate.AsyncReplicate(base_url=wire.base_url)
        task = asyncio.create_task(client.predictions.get("x"))
        await asyncio.to_thread(wire.until, lambda: len(wire.seen) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The promise is 100 ms; the bound here only keeps a hang from passing.
        assert await asyncio.to_thread(wire.until, lambda: wire.open_now == 0) < 5

    with hanging() as wire:
        asyncio.run(main(wire))


def test_the_server_sees_a_timeout_scope_that_ends():
    async def main(wire):
        client = replicate.AsyncReplicate(base_url=wire.base_url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.predictions.get("x")
        await asyncio.to_thread(wire.until, lambda: wire.open_now == 0)

    with hanging() as wire:
        asyncio.run(main(wire))


def test_a_coroutine_that_is_closed_gives_up_its_request():
    async def main(wire):
        client = replicate.AsyncReplicate(base_url=wire.base_url)
        coroutine = client.predictions.get("x")
        coroutine.send(None)
        await asyncio.to_thread(wire.until, lambda: len(wire.seen) == 1)
        coroutine.close()
        await asyncio.to_thread(wire.until, lambda: wire.open_now == 0)

    with hanging() as wire:
        asyncio.run(main(wire))


def test_cancelling_a_task_whose_answer_is_there_loses_nothing_else():
    async def main(client):
        tasks = [asyncio.create_task(client.predictions.get(f"p{n}")) for n in range(50)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(
            isinstance(each, (replicate.Prediction, asyncio.CancelledError)) for each in results
        )
        assert all(isinstance(each, replicate.Prediction) for each in results[1::2])

    with answering() as wire:
        asyncio.run(main(replicate.AsyncReplicate(base_url=wire.base_url)))


def test_an_abort_from_another_thread_ends_an_awaited_and_a_blocking_call(both):
    controller = AbortController()
    with hanging() as wire:
        threading.Thread(
            target=lambda: (wire.until(lambda: len(wire.seen) == 1), controller.abort("enough"))
        ).start()
        client = both.client(wire.base_url)
        with pytest.raises(replicate.AbortError, match="enough"):
            both(lambda: client.predictions.get("x", signal=controller.signal))
        wire.until(lambda: wire.open_now == 0)
    assert controller.signal.aborted
    assert controller.signal.reason == "enough"


def test_a_signal_is_told_once_and_raises_when_asked():
    controller = AbortController()
    controller.signal.throw_if_aborted()
    assert controller.signal.reason is None
    controller.abort(KeyError("a"))
    controller.abort("later")
    assert repr(controller.signal) == "<AbortSignal aborted=True>"
    with pytest.raises(replicate.AbortError) as caught:
        controller.signal.throw_if_aborted()
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(ValueError, match="seconds"):
        replicate.AbortSignal.timeout(-1)


def test_max_connections_queues_without_a_limit_in_time(both):
    busy, most, lock = 0, 0, threading.Lock()

    def slow(_):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.02)
        with lock:
            busy -= 1
        return reply(prediction())

    with Wire(slow) as wire:
        client = replicate.Replicate(base_url=wire.base_url, max_connections=3)
        if both.is_async:

            async def main():
                await asyncio.gather(*(client.predictions.async_get("x") for _ in range(30)))

            asyncio.run(main())
        else:
            threads = [
                threading.Thread(target=client.predictions.get, args=("x",)) for _ in range(30)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(wire.seen) == 30
        assert most == 3


def test_waiting_for_a_connection_may_have_a_limit(both):
    with hanging() as wire:
        client = both.client(wire.base_url, max_connections=1, timeout=replicate.Timeout(pool=0.1))
        controller = AbortController()
        held = threading.Thread(target=aborted, args=(client, controller.signal))
        held.start()
        wire.until(lambda: len(wire.seen) == 1)
        with pytest.raises(exceptions.APITimeoutError, match="waiting for a free connection"):
            both(lambda: client.predictions.get("y"))
        controller.abort()
        held.join()


def aborted(client, signal):
    with pytest.raises(replicate.AbortError):
        client._core.send("GET", ("held",), Expect.STATUS, signal=signal).wait()


def test_a_collected_client_frees_its_sockets(both):
    with answering() as wire:
        client = both.client(wire.base_url)
        both(lambda: client.predictions.get("x"))
        assert wire.open_now == 1
        gone = weakref.ref(client._core)
        # The name is also a variable of the function above, which goes with it.
        client = None
        gc.collect()
        assert gone() is None
        wire.until(lambda: wire.open_now == 0)


def test_five_hundred_runs_at_once(local):
    client = replicate.AsyncReplicate(base_url=local.base_url, api_token="r8_secret")

    async def main():
        return await asyncio.gather(
            *(client.run("acme/shout", {"text": f"n{n}"}) for n in range(500))
        )

    assert asyncio.run(main()) == [f"N{n}" for n in range(500)]


def test_a_stale_connection_is_not_mistaken_for_a_live_one(both):
    def closing(_):
        return lambda connection: connection.sendall(reply(prediction()))

    with Wire(closing) as wire:
        client = both.client(wire.base_url)
        for n in range(1, 6):
            both(lambda: client.predictions.create("v", {}))
            wire.until(lambda n=n: wire.closed == n)
        assert len(wire.seen) == 5


def test_awaiting_outside_of_a_loop_is_refused():
    client = replicate.AsyncReplicate(base_url="http://127.0.0.1:1")
    coroutine = client.predictions.get("x")
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


def test_an_answer_is_awaited_once():
    async def main():
        pending = replicate.Replicate(base_url="http://127.0.0.1:1")._core.sleep(0)
        await pending
        with pytest.raises(RuntimeError, match="awaited already"):
            await pending

    asyncio.run(main())


@pytest.mark.parametrize(
    ("expect", "body", "expected"),
    [
        (Expect.OBJECT, b'{"a": 1}', {"a": 1}),
        (Expect.RECORD, b'{"id": "a"}', {"id": "a"}),
        (Expect.PAGE, b'{"results": [], "next": null}', {"results": [], "next": None}),
        (Expect.ARRAY, b"[{}]", [{}]),
        (Expect.TEXT, b"h\xc3\xa9", "h\u00e9"),
        (Expect.BYTES, b"\xff", b"\xff"),
        (Expect.STATUS, b"", 200),
    ],
)
def test_an_answer_comes_as_what_the_endpoint_promises(expect, body, expected):
    with Wire(lambda _: reply(body)) as wire:
        assert (
            replicate.Replicate(base_url=wire.base_url)._core.send("GET", ("x",), expect).wait()
            == expected
        )


def test_a_whole_response_can_be_had():
    with Wire(lambda _: reply({"a": 1}, headers="X-Y: 1\r\nX-Y: 2\r\n")) as wire:
        response = (
            replicate.Replicate(base_url=wire.base_url)
            ._core.send("GET", "/x?y=z", Expect.RESPONSE)
            .wait()
        )
    assert (response.status, response.json(), response.text) == (
        200,
        {"a": 1},
        response.body.decode(),
    )
    assert response.headers["x-y"] == "1, 2"
    assert response.url == f"{wire.base_url}/x?y=z"
