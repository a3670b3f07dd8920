"""Streams of events: what they yield, in what form, and what happens when they are left."""

import asyncio
import contextlib
import copy
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import replicate_rs as replicate
from conftest import both_ways, script
from replicate_rs import ServerSentEvent
from replicate_rs._core import StreamPosition
from support.wire import HEAD, Wire, done, hang, output, prediction, reply, streaming


def test_events_come_in_order_and_end_with_done(both, client):
    events = both(lambda: client.stream("acme/tokens", {"text": "a b c"}))
    assert [event.event for event in events] == ["output"] * 3 + ["done"]
    assert "".join(map(str, events)) == "a b c "
    assert events[0].id


def test_a_prediction_streams_from_its_first_event_on(both, client):
    created = both(lambda: client.predictions.create(model="acme/tokens", input={"text": "a b c"}))
    for stream in (created.stream, lambda: client.predictions.stream(created.id)):
        assert "".join(map(str, both(stream))) == "a b c "
    assert both(lambda: client.predictions.stream(prediction_id=created.id))[-1].event == "done"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'id'"):
        both(lambda: client.predictions.stream())


def test_text_streams_give_text_alone(both, client):
    assert both(lambda: client.text_stream("acme/tokens", {"text": "a b c"})) == ["a ", "b ", "c "]
    assert both(lambda: client.text_stream("acme/tokens", {"text": "a b c"}).collect()) == "a b c "
    assert both(lambda: client.stream("acme/tokens", {"text": "a b c"}).collect()) == "a b c "


@both_ways
async def test_the_twins_of_either_client_stream_too(client):
    with_await = [
        str(event) async for event in await client.async_stream("acme/tokens", {"text": "a b"})
    ]
    without = [str(event) async for event in client.async_stream("acme/tokens", {"text": "a b"})]
    assert with_await == without == ["a ", "b ", ""]
    assert await client.async_text_stream("acme/tokens", {"text": "a b"}).collect() == "a b "
    created = await client.predictions.async_create(model="acme/tokens", input={"text": "a b"})
    assert await created.async_stream().collect() == "a b "
    assert await client.predictions.async_stream(created.id).collect() == "a b "
    assert [str(event) async for event in created.stream()] == ["a ", "b ", ""]


def test_the_first_event_does_not_wait_for_a_second():
    with streaming(output("a"), hang) as wire:
        events = replicate.Replicate(base_url=wire.base_url).stream("acme/x", {})
        assert next(events) == ServerSentEvent("output", "a")
        events.close()
        wire.until(lambda: "POST /v1/predictions/p1/cancel" in wire.routes)


def leave(events, way):
    if way == "with":
        with events:
            assert str(next(events)) == "a"
        return
    with contextlib.suppress(ZeroDivisionError):
        for _ in events:
            if way == "raise":
                raise ZeroDivisionError
            break
    if way == "close":
        events.close()


async def leave_async(events, way):
    if way == "with":
        async with events:
            assert str(await anext(events)) == "a"
        return
    with contextlib.suppress(ZeroDivisionError):
        async for _ in events:
            if way == "raise":
                raise ZeroDivisionError
            break
    if way == "close":
        await events.aclose()


@pytest.mark.parametrize("way", ["break", "close", "with", "raise"])
@pytest.mark.parametrize("cancels", [True, False])
def test_leaving_early_closes_and_cancels_if_asked(both, way, cancels):
    def seen():
        wire.until(lambda: wire.closed >= 1)
        if cancels:
            wire.until(lambda: "POST /v1/predictions/p1/cancel" in wire.routes)

    async def main(client):
        await leave_async(client.stream("acme/x", {}, cancel_on_exit=cancels), way)
        # Without `aclose`, the loop closes the generator when it is garbage.
        await asyncio.to_thread(seen)

    with streaming(output("a"), hang) as wire:
        client = both.client(wire.base_url)
        if both.is_async:
            both(lambda: main(client))
        else:
            leave(client.stream("acme/x", {}, cancel_on_exit=cancels), way)
            seen()
    assert wire.routes.count("POST /v1/predictions/p1/cancel") == cancels


def test_a_stream_that_is_done_is_not_cancelled(both):
    with streaming(output("a") + done()) as wire:
        assert both(lambda: both.client(wire.base_url).stream("acme/x", {}).collect()) == "a"
    assert wire.routes == ["POST /v1/models/acme/x/predictions", "GET /stream"]


def test_a_stream_leaves_its_connection_to_the_next_request(both):
    with streaming(output("a") + done(), chunked=True) as wire:
        client = both.client(wire.base_url)
        for _ in range(3):
            created = both(lambda: client.predictions.get("p1"))
            both(created.stream)
            # The end of the body may come after the last event.
            time.sleep(0.05)
    # Blocking calls may use a connection of their own.
    assert wire.opened <= 2


def test_what_a_cancelled_task_waits_for_is_closed():
    async def main(wire):
        client = replicate.AsyncReplicate(base_url=wire.base_url)

        async def read():
            async for _ in client.stream("acme/x", {}):
                pass

        task = asyncio.create_task(read())
        await asyncio.to_thread(wire.until, lambda: "GET /stream" in wire.routes)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wire.until, lambda: "POST /v1/predictions/p1/cancel" in wire.routes)

    with streaming(output("a"), hang) as wire:
        asyncio.run(main(wire))


def test_a_wait_that_is_given_up_loses_nothing():
    go = threading.Event()

    def later(connection):
        go.wait(10)
        connection.sendall(output("b") + done())

    async def main(wire):
        client = replicate.AsyncReplicate(base_url=wire.base_url)
        source = client._core.events(f"{wire.origin}/stream", "text", StreamPosition())
        assert await source.next() == ["a"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await source.next()
        go.set()
        assert await source.next() == ["b"]
        assert await source.next() == []
        assert source.ended == "complete"

    with streaming(output("a"), later) as wire:
        asyncio.run(main(wire))


def test_many_streams_at_once_in_many_threads_and_loops_keep_apart(local):
    """Through one client: some are read to the end, some are left after an event."""
    client = replicate.Replicate("r8_secret", base_url=local.base_url)

    def text(name):
        return "".join(f"{name}.{n} " for n in range(40))

    async def read(name):
        if name.endswith("7"):
            async for event in client.async_stream("acme/tokens", {"text": text(name)}):
                assert str(event) == f"{name}.0 "
                return True
        return await client.async_text_stream(
            "acme/tokens", {"text": text(name)}
        ).collect() == text(name)

    async def loop(name):
        return all(await asyncio.gather(*(read(f"{name}-{n}") for n in range(20))))

    def work(name):
        if name % 2:
            return asyncio.run(loop(name))
        return all(
            client.text_stream("acme/tokens", {"text": text(f"{name}-{n}")}).collect()
            == text(f"{name}-{n}")
            for n in range(8)
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))


def test_a_part_is_awaited_once():
    async def main(wire):
        client = replicate.AsyncReplicate(base_url=wire.base_url)
        part = client._core.events(f"{wire.origin}/stream", "text", StreamPosition()).next()
        assert await part == ["a"]
        with pytest.raises(RuntimeError, match="awaited already"):
            await part

    with streaming(output("a"), hang) as wire:
        asyncio.run(main(wire))


def test_the_interpreter_ends_silently_with_streams_open():
    code = """
        import asyncio, sys, threading
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        prediction = client.predictions.get("p1")
        kept = prediction.stream()
        assert next(kept).data == "a"
        unread = client.relay("acme/x", {})
        threading.Thread(target=lambda: list(prediction.stream()), daemon=True).start()
        async def main():
            kept = prediction.async_stream()
            assert (await anext(kept)).data == "a"
            tasks = [asyncio.create_task(anext(prediction.async_stream())) for _ in range(3)]
            await asyncio.sleep(0)
        asyncio.run(main())
    """
    with streaming(output("a"), hang, poll=prediction("processing")) as wire:
        ended = script(code, wire.base_url)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_forked_child_has_streams_of_its_own():
    code = """
        import os, sys
        import replicate_rs as replicate
        client = replicate.Replicate(base_url=sys.argv[1])
        stream = client.predictions.get("p1").stream()
        assert next(stream).data == "a"
        pid = os.fork()
        if pid == 0:
            assert next(client.predictions.get("p1").stream()).data == "a"
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        stream.close()
    """
    with streaming(output("a"), hang, poll=prediction("processing")) as wire:
        ended = script(code, wire.base_url)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_only_file_streams_carry_files(both):
    events = output("https://replicate.delivery/a.png") + done()
    with streaming(events) as wire:
        assert type(both(lambda: both.client(wire.base_url).stream("acme/x", {}))[0].data) is str
    with streaming(events, path="/v1/files/x") as wire:
        client = both.client(wire.base_url)
        first = both(lambda: client.stream("acme/x", {}))[0]
        assert isinstance(first.data, replicate.FileOutput)
        assert str(first) == "https://replicate.delivery/a.png"
        assert type(both(lambda: client.stream("acme/x", {}, use_file_output=False))[0].data) is str
        assert both(lambda: client.text_stream("acme/x", {})) == [
            "https://replicate.delivery/a.png"
        ]


def test_a_slow_reader_holds_the_sender_back():
    sent = 0

    def endless(connection):
        nonlocal sent
        while True:
            sent += connection.send(output("x" * 50_000))

    with streaming(b"", endless) as wire:
        events = replicate.Replicate(base_url=wire.base_url).stream("acme/x", {})
        next(events)
        before = -1
        while before != sent:
            before = sent
            time.sleep(0.1)
        # Most of it is in the sockets' buffers.
        assert sent < 32 << 20
        for _ in range(2_000):
            next(events)
        assert sent > before
        events.close()


def test_the_request_asks_for_a_stream_and_has_no_token(both):
    with Wire(lambda seen: HEAD + done() if seen.path == "/s" else None) as other:
        with Wire(
            lambda seen: reply(prediction(urls={"stream": f"{other.origin}/s"}), 201)
        ) as wire:
            both(lambda: both.client(wire.base_url, headers={"X-Mine": "1"}).stream("acme/x", {}))
    (seen,) = other.seen
    assert (seen.headers["accept"], seen.headers["cache-control"]) == (
        "text/event-stream",
        "no-store",
    )
    assert "authorization" not in seen.headers
    assert "x-mine" not in seen.headers


def test_through_fetch_a_stream_is_like_any_other_request(both):
    seen = []

    def fetch(request, send):
        seen.append((request.method, request.url.rpartition("/")[2], dict(request.headers)))
        return send(request)

    def own(request, send):
        if request.url.endswith("/stream"):
            return replicate.Response(200, body=output("mine") + done())
        return send(request)

    with streaming(output("a"), output("a", "b") + done()) as wire:
        client = both.client(wire.base_url, fetch=fetch)
        assert both(lambda: client.stream("acme/x", {}).collect()) == "ab"
        assert [each[1] for each in seen] == ["predictions", "stream", "stream"]
        assert seen[1][2]["Accept"] == "text/event-stream"
        assert both(lambda: both.client(wire.base_url, fetch=own).text_stream("acme/x", {})) == [
            "mine"
        ]


def test_an_event_is_a_value():
    event = ServerSentEvent("output", "a", "1:2", 5)
    assert (
        event
        == ServerSentEvent(event="output", data="a", id="1:2", retry=5)
        != ServerSentEvent("output", "b", "1:2", 5)
    )
    assert event != "a"
    assert hash(event) == hash(ServerSentEvent("output", "a", "1:2", 5))
    assert pickle.loads(pickle.dumps(event)) == copy.deepcopy(event) == event
    assert repr(event) == "ServerSentEvent(event='output', data='a', id='1:2', retry=5)"
    assert (event.event, event.event.name, event.event is ServerSentEvent.EventType.OUTPUT) == (
        "output",
        "OUTPUT",
        True,
    )
    assert (str(event), str(ServerSentEvent("logs", "a"))) == ("a", "")
    match event:
        case ServerSentEvent(event="output", data=data):
            assert data == "a"
        case _:
            raise AssertionError
    with pytest.raises(AttributeError):
        event.data = "b"
    assert event.encode() == b"id: 1:2\nretry: 5\nevent: output\ndata: a\n\n"
    assert ServerSentEvent("message", "a\r\nb\rc").encode() == b"data: a\ndata: b\ndata: c\n\n"
    with pytest.raises(ValueError, match="line breaks"):
        ServerSentEvent("a\nb", "").encode()
