"""The end of a client: calls are refused, what it holds is cancelled, and the caller is told what
was left.
"""

import asyncio
import gc
import threading

import pytest

from replicate_rs import exceptions
from support.creates import Creates
from support.hosts import until
from support.leaving import MAX_WAIT
from support.wire import HEAD, Wire, done, hang, output, prediction, reply, streaming

CANCELLED = "POST /v1/predictions/p1/cancel"

STREAMS = {
    "stream": lambda client: client.stream("acme/x", {}),
    "text_stream": lambda client: client.text_stream("acme/x", {}),
    "relay": lambda client: client.relay("acme/x", {}),
    "use": lambda client: client.use("acme/x", streaming=True)(),
}


async def opened(client, call):
    """A stream of which one part was read."""
    stream = call(client)
    if asyncio.iscoroutine(stream):
        stream = await stream
    parts = aiter(stream)
    assert await anext(parts)
    return stream, parts


def close(both, client, *arguments):
    return both(lambda: (client.aclose if both.is_async else client.close)(*arguments))


def open_in(both, client, call, count):
    """As many streams, each with one part read."""
    if both.is_async:

        async def all_of_them():
            return [await opened(client, call) for _ in range(count)]

        return both(all_of_them)
    found = []
    for _ in range(count):
        stream = call(client)
        parts = iter(stream)
        assert next(parts)
        found.append((stream, parts))
    return found


@pytest.mark.parametrize("name", STREAMS)
def test_open_streams_are_cancelled(both, name):
    with Creates(pause=0) as wire:
        client = both.client(wire.base_url)
        kept = open_in(both, client, STREAMS[name], 20)
        assert client.stats().predictions == client.stats().streams == 20
        assert close(both, client) == 0
        assert sorted(wire.cancelled) == sorted(wire.made)
        assert client.stats().predictions == 0
        # And not once more, when those who read them notice.
        del kept
        gc.collect()
        both(lambda: None)
        assert close(both, client) == 0
        assert len(wire.cancelled) == len(wire.made) == 20
        wire.until(lambda: wire.open_now == 0)


def test_open_streams_of_what_is_to_go_on_are_left_alone(both):
    with Creates(pause=0) as wire:
        client = both.client(wire.base_url)
        kept = open_in(
            both, client, lambda client: client.stream("acme/x", {}, cancel_on_exit=False), 3
        )
        assert (client.stats().streams, client.stats().predictions) == (3, 0)
        assert close(both, client) == 0
        assert (wire.cancelled, len(kept)) == ([], 3)


@pytest.mark.parametrize("options", [{}, {"wait": False}, {"progress": lambda _: None}])
def test_runs_end_and_are_cancelled(both, options):
    with Creates(pause=0) as wire:
        client = both.client(wire.base_url, poll_interval=0.05)
        closer = threading.Thread(
            target=lambda: (wire.until(lambda: len(wire.seen) >= 3), left.append(client.close(5)))
        )
        left = []
        closer.start()
        with pytest.raises(exceptions.ClientClosedError) as caught:
            both(lambda: client.run("acme/x", {}, **options))
        closer.join()
        assert caught.value.prediction.id == "p1"
        assert (left, wire.cancelled) == ([0], ["predictions/p1"])


def unanswering(count):
    """A server that answers no cancel."""
    wire = Creates(pause=0)
    scripted = wire.script
    wire.script = lambda seen: hang if seen.path.endswith("/cancel") else scripted(seen)
    return wire


def test_requests_that_are_not_answered_in_time_are_counted(both):
    with unanswering(3) as wire:
        client = both.client(wire.base_url)
        kept = open_in(both, client, STREAMS["stream"], 3)
        assert close(both, client, 0.2) == 3
        assert sum(each.endswith("/cancel") for each in wire.routes) == len(kept)


def test_creates_that_are_not_answered_in_time_are_counted(both):
    with Creates() as wire:
        client = both.client(wire.base_url)
        if both.is_async:

            async def main():
                task = asyncio.create_task(client.run("acme/x", {}))
                await asyncio.to_thread(wire.wait)
                left = await client.aclose(0.1)
                with pytest.raises(exceptions.ClientClosedError):
                    await task
                wire.go_on.set()
                return left, await client.aclose()

            left = both(main)
        else:
            failed = []

            def run():
                try:
                    client.run("acme/x", {})
                except exceptions.ClientClosedError as error:
                    failed.append(error)

            thread = threading.Thread(target=run)
            thread.start()
            wire.wait()
            left = [client.close(0.1)]
            thread.join(MAX_WAIT)
            wire.go_on.set()
            left = (*left, client.close())
            assert len(failed) == 1
        assert left == (1, 0)
        wire.assert_all_cancelled()


def test_a_client_that_holds_nothing_closes_at_once(both):
    client = both.client("http://127.0.0.1:1")
    assert close(both, client) == 0
    assert close(both, client) == 0
    assert client.is_closed
    for call in (lambda: client.predictions.get("p1"), lambda: client.run("acme/x", {})):
        with pytest.raises(exceptions.ClientClosedError):
            both(call)


def test_the_end_of_a_with_cancels_what_is_open(both):
    with Creates(pause=0) as wire:
        client = both.client(wire.base_url)
        if both.is_async:

            async def main():
                async with client:
                    kept.append(await opened(client, STREAMS["relay"]))

            both(main)
        else:
            with client:
                kept.extend(open_in(both, client, STREAMS["relay"], 1))
        assert wire.cancelled == wire.made != []
        kept.clear()


kept = []


# Streams of a client that was closed


@pytest.mark.parametrize("name", ["stream", "text_stream", "relay"])
def test_a_stream_that_would_have_to_connect_again_ends(both, name):
    go_on = threading.Event()

    def broken(connection):
        go_on.wait(MAX_WAIT)

    with streaming(output("a"), broken, poll=prediction("processing")) as wire:
        client = both.client(wire.base_url)
        ((stream, parts),) = open_in(both, client, STREAMS[name], 1)
        assert close(both, client) == 0
        go_on.set()
        rest = []
        with pytest.raises(exceptions.ClientClosedError) as caught:
            take(both, parts, rest)
        assert caught.value.prediction.id == "p1"
        assert wire.routes.count(CANCELLED) == 1
        assert wire.routes.count("GET /stream") == 1
        # A relay's reader sees no more than bytes.
        assert [each.partition(b"\n")[0] for each in rest] == (
            [b"event: error", b"event: done"] if name == "relay" else []
        )
        del stream


def take(both, parts, given):
    """Read an iterator to its end."""
    if both.is_async:

        async def read():
            async for each in parts:
                given.append(each)

        both(read)
    else:
        given.extend(parts)


def test_a_stream_goes_on_to_its_end_after_the_close(both):
    """Of a prediction that is to go on, or that ends before it is cancelled."""
    go_on = threading.Event()

    def rest(connection):
        go_on.wait(MAX_WAIT)
        connection.sendall(output("b") + done())

    with streaming(output("a"), rest) as wire:
        client = both.client(wire.base_url)
        ((stream, parts),) = open_in(
            both, client, lambda client: client.text_stream("acme/x", {}, cancel_on_exit=False), 1
        )
        assert close(both, client) == 0
        go_on.set()
        given = []
        take(both, parts, given)
        assert (given, wire.routes.count(CANCELLED)) == (["b"], 0)
        del stream


# Streams that cannot be read


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_refused_is_cancelled(both, name, status):
    """When it is opened first: what the prediction makes, nobody gets."""
    with streaming(
        lambda _: reply({"detail": "no"}, status), poll=prediction("processing")
    ) as wire:
        client = both.client(wire.base_url, max_retries=0)
        given = []
        with pytest.raises(exceptions.APIStatusError) as caught:
            read(both, client, name, given)
        assert (caught.value.status, caught.value.prediction.id, given) == (status, "p1", [])
        assert close(both, client) == 0
        assert wire.routes.count(CANCELLED) == 1


def read(both, client, name, given):
    """Open a stream and read all of it."""
    call = STREAMS[name]
    if not both.is_async:
        given.extend(call(client))
        return

    async def main():
        stream = call(client)
        if asyncio.iscoroutine(stream):
            stream = await stream
        async for each in stream:
            given.append(each)

    both(main)


@pytest.mark.parametrize("name", ["stream", "text_stream", "relay"])
def test_a_stream_that_breaks_for_good_is_cancelled(both, name):
    """It can be taken up nowhere, and the prediction cannot be fetched either."""
    gone = reply({"detail": "gone"}, 404)

    def script(seen):
        if seen.path == "/stream":
            return (
                (lambda connection: connection.sendall(HEAD + output("a")))
                if wire.routes.count("GET /stream") == 1
                else gone
            )
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        if seen.method == "GET":
            return gone
        return reply(prediction("processing", urls={"stream": f"{wire.origin}/stream"}), 201)

    with Wire(script) as wire:
        client = both.client(wire.base_url, max_retries=0)
        given = []
        with pytest.raises(exceptions.StreamInterrupted) as caught:
            read(both, client, name, given)
        assert caught.value.prediction.id == "p1"
        assert close(both, client) == 0
        assert wire.routes.count(CANCELLED) == 1
        if name == "relay":
            assert b"".join(given).decode().split("\n\n") == [
                "event: output\ndata: a",
                'event: error\ndata: {"detail": "the stream broke off"}',
                'event: done\ndata: {"reason": "error"}',
                "",
            ]


@pytest.mark.parametrize("name", STREAMS)
def test_a_model_that_cannot_stream_is_cancelled(both, name):
    """Its address is missing, or none that is fetched."""
    for url in (None, 5, "ftp://x/y"):
        with Wire(
            lambda seen, url=url: reply(prediction("processing", urls={"stream": url}), 201)
        ) as wire:
            client = both.client(wire.base_url, max_retries=0, poll_interval=0.01)
            if name == "use" and url != 5:
                # It polls, or may try again.
                continue
            with pytest.raises(exceptions.ReplicateError) as caught:
                read(both, client, name, [])
            assert caught.value.prediction.id == "p1"
            assert close(both, client) == 0
            assert wire.routes.count(CANCELLED) == 1


# What is counted


def test_what_is_open_is_counted(both):
    def counts():
        stats = client.stats()
        return stats.streams, stats.predictions

    with Creates(pause=0) as wire:
        client = both.client(wire.base_url)
        assert counts() == (0, 0)
        ((stream, parts),) = open_in(both, client, STREAMS["stream"], 1)
        assert counts() == (1, 1)
        kept = open_in(both, client, STREAMS["relay"], 2)
        assert counts() == (3, 3)
        both(stream.close if not both.is_async else stream.aclose)
        until(lambda: counts() == (2, 2))
        other = client.with_options(max_retries=1)
        assert (other.stats().streams, other.stats().predictions) == (0, 0)
        both(
            lambda: (
                [each.close() for each, _ in kept]
                if not both.is_async
                else asyncio.gather(*(each.aclose() for each, _ in kept))
            )
        )
        wire.until(lambda: len(wire.cancelled) == 3)
        until(lambda: counts() == (0, 0))
        del parts
