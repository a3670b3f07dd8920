"""Relays: a model's events as bytes, through FastAPI and uvicorn, through WSGI, and by hand."""

import asyncio
import gc
import http.client
import importlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import uvicorn
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.routing import Route

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs.local import LocalReplicate
from replicate_rs.stream import EventDecoder
from support.wire import Wire, done, hang, numbered, output, prediction, reply, streaming

EXAMPLES = Path(__file__).parents[2] / "examples"


def frames(both, client, **options):
    """Return all bytes of a relay."""

    async def read():
        return b"".join([frame async for frame in await client.relay("acme/x", {}, **options)])

    return both(read) if both.is_async else b"".join(client.relay("acme/x", {}, **options))


def events(body):
    return [(event.event, event.data, event.id) for event in EventDecoder().feed(body)]


def test_a_relay_gives_whole_events_in_plain_form(both):
    odd = (
        b"\xef\xbb\xbf: hi\r\n\r\nid: 5:0\revent: output\rdata: a\xff\rdata: b\r\rfoo: bar\nevent:"
        b" later\nretry: 7\ndata\n\n"
    )
    with streaming(odd + done() + b"data: after the end\n\n") as wire:
        body = frames(both, both.client(wire.base_url))
    plain = (
        "id: 5:0\nevent: output\ndata: a\ufffd\ndata: b\n\nretry: 7\nevent: later\ndata: \n\nevent:"
        " done\ndata: {}\n\n"
    )
    assert body.decode() == plain


def test_its_headers_keep_proxies_from_holding_it_back(both):
    with streaming(done()) as wire:
        client = both.client(wire.base_url)
        relay = both(lambda: client.relay("acme/x", {}))
        assert relay.headers["Content-Type"] == "text/event-stream"
        assert relay.headers["Cache-Control"] == "no-store"
        assert relay.prediction.id == "p1"
        with pytest.raises(RuntimeError, match="once"):
            [*relay], [*relay]


def test_a_relay_outlives_a_broken_connection(both):
    with streaming(numbered("a"), numbered("b", first=1) + done()) as wire:
        found = events(frames(both, both.client(wire.base_url)))
    assert [each[1] for each in found] == ["a", "b", "{}"]
    with streaming(
        numbered("a"), output("z"), poll=prediction("succeeded", output=["a", "bc"])
    ) as wire:
        found = events(frames(both, both.client(wire.base_url)))
    assert [each[:2] for each in found] == [("output", "a"), ("output", "bc"), ("done", "{}")]


def test_what_is_not_a_stream_is_raised_before_anything_is_sent(both):
    with (
        streaming(lambda _: reply({"detail": "it is gone"}, 404)) as wire,
        pytest.raises(exceptions.NotFoundError),
    ):
        both(lambda: both.client(wire.base_url).relay("acme/x", {}))
    with (
        Wire(lambda seen: reply({"detail": "no such model"}, 404)) as wire,
        pytest.raises(exceptions.NotFoundError),
    ):
        both(lambda: both.client(wire.base_url).relay("acme/x", {}))


def test_a_failure_is_told_in_the_stream(both):
    failed = b'event: error\ndata: {"detail": "OOM"}\n\n'
    with streaming(output("a") + failed) as wire:
        found = events(frames(both, both.client(wire.base_url)))
    assert [each[:2] for each in found] == [
        ("output", "a"),
        ("error", '{"detail": "OOM"}'),
        ("done", '{"reason": "error"}'),
    ]
    with streaming(
        output("a"), output("z"), poll=prediction("failed", error="OOM", output=["a"])
    ) as wire:
        found = events(frames(both, both.client(wire.base_url)))
    assert [each[:2] for each in found] == [
        ("output", "a"),
        ("error", '{"detail": "OOM"}'),
        ("done", '{"reason": "error"}'),
    ]
    for stop, poll in ((done("canceled"), None), (b"", prediction("canceled", output=["a"]))):
        with streaming(output("a") + stop, b"", poll=poll) as wire:
            found = events(frames(both, both.client(wire.base_url)))
        assert [each[:2] for each in found] == [("output", "a"), ("done", '{"reason": "canceled"}')]


def test_an_interruption_is_told_to_both_sides(both):
    given = []
    with streaming(numbered("a"), b"", poll=prediction("succeeded", output=["z"])) as wire:
        with pytest.raises(exceptions.StreamInterrupted):
            both.fill(given, lambda: both.client(wire.base_url).relay("acme/x", {}))
    found = events(b"".join(given))
    assert [each[0] for each in found] == ["output", "error", "done"]
    assert found[1][1] == '{"detail": "the stream broke off"}'


def test_a_relay_that_nobody_reads_is_cancelled(both):
    for way in ("close", "forget"):
        with streaming(output("a"), hang) as wire:

            async def leave():
                client = both.client(wire.base_url)
                relay = client.relay("acme/x", {})
                relay = await relay if both.is_async else relay
                if way == "close":
                    await relay.aclose() if both.is_async else relay.close()
                del relay
                gc.collect()
                await asyncio.to_thread(
                    wire.until, lambda: "POST /v1/predictions/p1/cancel" in wire.routes
                )

            asyncio.run(leave())
            wire.until(lambda: wire.open_now <= 1)


class Served:
    """An ASGI app behind uvicorn, on a thread of its own."""

    def __init__(self, app):
        self.server = uvicorn.Server(
            uvicorn.Config(app, port=0, log_level="critical", lifespan="off")
        )
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)
        return self.server.servers[0].sockets[0].getsockname()[1]

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.mark.parametrize("kind", [replicate.AsyncReplicate, replicate.Replicate])
def test_a_reader_of_starlette_who_leaves_stops_the_model(kind):
    async def endpoint(_):
        client = kind(base_url=wire.base_url)
        relay = (
            await client.relay("acme/x", {})
            if kind is replicate.AsyncReplicate
            else await client.async_relay("acme/x", {})
        )
        return StreamingResponse(relay, headers=relay.headers)

    with (
        streaming(output("a"), hang) as wire,
        Served(Starlette(routes=[Route("/", endpoint)])) as port,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.headers["content-type"] == "text/event-stream"
        assert response.readline() == b"event: output\n"
        response.close()
        connection.close()
        wire.until(lambda: "POST /v1/predictions/p1/cancel" in wire.routes)


def test_a_relay_is_the_body_of_a_wsgi_answer():
    class Quiet(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    def app(_, start_response):
        relay = replicate.Replicate(base_url=wire.base_url).relay("acme/x", {})
        start_response("200 OK", list(relay.headers.items()))
        return relay

    with (
        streaming(output("a") + done()) as wire,
        make_server("127.0.0.1", 0, app, handler_class=Quiet) as server,
    ):
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
        connection.request("GET", "/")
        body = connection.getresponse().read()
        connection.close()
        thread.join()
    assert events(body) == [("output", "a", None), ("done", "{}", None)]


@pytest.fixture(scope="module")
def chatty():
    server = LocalReplicate(token="r8_secret")

    @server.model("acme/chat")
    def chat(prompt: str) -> Iterator[str]:
        for word in prompt.split():
            yield f"{word} "

    with server:
        yield server


def test_the_example_service_streams_and_answers(chatty, monkeypatch):
    monkeypatch.setenv("REPLICATE_API_TOKEN", chatty.token)
    monkeypatch.setenv("REPLICATE_BASE_URL", chatty.base_url)
    monkeypatch.setenv("MODEL", "acme/chat")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    sys.modules.pop("streaming_service", None)
    service = importlib.import_module("streaming_service")
    with Served(service.app) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/chat?prompt=one+two")
        response = connection.getresponse()
        assert response.headers["x-accel-buffering"] == "no"
        found = events(response.read())
        assert [each[:2] for each in found] == [
            ("output", "one "),
            ("output", "two "),
            ("done", "{}"),
        ]
        connection.request("GET", "/answer?prompt=one+two")
        assert json.loads(connection.getresponse().read()) == "one two "
        chatty.fault("POST /models/acme/chat/predictions", status=402)
        connection.request("GET", "/chat?prompt=x")
        response = connection.getresponse()
        assert (response.status, "credit" in response.read().decode()) == (402, True)
        connection.close()


def test_a_relay_is_read_in_either_mode_whoever_made_it(both):
    async def frames(relay):
        return b"".join([frame async for frame in relay])

    with streaming(output("a"), output("a", "b") + done(), poll=prediction("processing")) as wire:
        relay = both(lambda: both.client(wire.base_url).relay("acme/x", {}))
        told = b"".join(relay) if both.is_async else asyncio.run(frames(relay))
    assert told.count(b"data: b") == 1
    assert told.count(b"event: done") == 1
