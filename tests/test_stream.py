"""Streams, as far as the foundation goes."""

import asyncio

import pytest

import replicate_rs as replicate
from replicate_rs import ServerSentEvent, exceptions
from wire import Wire, hang, prediction, reply

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def streaming(events, *, path="/stream", after=None):
    def script(seen):
        if seen.path == path:

            def send(connection):
                connection.sendall(HEAD + events)
                if after:
                    after(connection)

            return send
        return reply(prediction("starting", urls={"stream": f"{wire.origin}{path}"}), 201)

    wire = Wire(script)
    return wire


def test_events_come_in_order_and_end_with_done(both, client):
    events = both(lambda: client.stream("acme/tokens", {"text": "a b c"}))
    assert [event.event for event in events] == ["output"] * 3 + ["done"]
    assert "".join(map(str, events)) == "a b c "
    assert events[0].id


def test_the_first_event_does_not_wait_for_a_second():
    with streaming(b"event: output\ndata: a\n\n", after=hang) as wire:
        client = replicate.Replicate(base_url=wire.base_url)
        events = client.stream("acme/x", {})
        assert next(events) == ServerSentEvent("output", "a")
        events.close()
        wire.until(lambda: "POST /v1/predictions/p1/cancel" in wire.routes)


def test_leaving_early_closes_and_cancels():
    async def main(wire):
        client = replicate.AsyncReplicate(base_url=wire.base_url)
        events = client.stream("acme/x", {})
        async for _ in events:
            break
        await events.aclose()
        await asyncio.to_thread(wire.until, lambda: "POST /v1/predictions/p1/cancel" in wire.routes)

    with streaming(b"event: output\ndata: a\n\n", after=hang) as wire:
        asyncio.run(main(wire))


def test_an_end_without_done_is_an_interruption(both):
    with streaming(b"id: 5:1\nevent: output\ndata: a\n\nevent: output\ndata: unfinished") as wire:
        with pytest.raises(exceptions.StreamInterrupted, match="5:1") as caught:
            both(lambda: both.client(wire.base_url).stream("acme/x", {}))
    assert caught.value.prediction.id == "p1"


def test_an_error_event_is_raised_whether_or_not_it_has_an_id(both, client):
    with pytest.raises(exceptions.StreamError, match="OOM"):
        both(lambda: client.stream("acme/fail", {}))
    with (
        streaming(b'event: error\ndata: {"detail": "no memory"}\n\n') as wire,
        pytest.raises(exceptions.StreamError, match="no memory"),
    ):
        both(lambda: both.client(wire.base_url).stream("acme/x", {}))


def test_something_that_is_not_a_stream_is_refused(both):
    with Wire(lambda seen: reply(prediction(urls={"stream": f"{wire.origin}/s"}))) as wire:
        with pytest.raises(exceptions.APIConnectionError, match="expected an event stream.*application/json"):
            both(lambda: both.client(wire.base_url).stream("acme/x", {}))
    with Wire(lambda seen: reply(prediction())) as wire, pytest.raises(exceptions.StreamError, match="does not support"):
        both(lambda: both.client(wire.base_url).stream("acme/x", {}))


def test_only_file_streams_carry_files(both):
    events = b"event: output\ndata: https://replicate.delivery/a.png\n\nevent: done\ndata: {}\n\n"
    with streaming(events) as wire:
        assert type(both(lambda: both.client(wire.base_url).stream("acme/x", {}))[0].data) is str
    with streaming(events, path="/v1/files/x") as wire:
        first = both(lambda: both.client(wire.base_url).stream("acme/x", {}))[0]
        assert isinstance(first.data, replicate.FileOutput)
        assert str(first) == "https://replicate.delivery/a.png"


def test_a_slow_reader_holds_the_sender_back():
    sent = 0

    def endless(connection):
        nonlocal sent
        while True:
            sent += connection.send(b"event: output\ndata: " + b"x" * 50_000 + b"\n\n")

    with streaming(b"", after=endless) as wire:
        events = replicate.Replicate(base_url=wire.base_url).stream("acme/x", {})
        next(events)
        before = -1
        while before != sent:
            before = sent
            threading_wait(0.1)
        assert sent < 64 << 20
        events.close()


def threading_wait(seconds):
    import threading

    threading.Event().wait(seconds)
