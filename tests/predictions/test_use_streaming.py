"""Functions that return iterators over their output."""

import _thread
import asyncio
import threading

import pytest

import replicate_rs as replicate
from replicate_rs import FileOutput, exceptions
from replicate_rs.use import AsyncOutputIterator, OutputIterator
from support.functions import (  # noqa: F401 - fixtures are found by their names
    create_client,
    record_requests,
    scripted,
    serve_functions,
)
from support.wire import HEAD, hang, output, prediction

DONE = b"event: done\ndata: {}\n\n"


def parts(both, iterator):
    return both(lambda: aiter(iterator) if both.is_async else iter(iterator))


def test_a_stream_gives_parts_as_they_come(both):
    gate = threading.Event()

    def stream(connection):
        connection.sendall(HEAD + output("a"))
        gate.wait(10)
        connection.sendall(output("b") + DONE)

    with scripted(stream) as wire:
        iterator = both(lambda: both.client(wire.base_url).use("acme/x", streaming=True)(text="t"))
        assert "prefer" not in wire.seen[0].headers
        assert wire.routes == ["POST /v1/models/acme/x/predictions"]
        each = aiter(iterator) if both.is_async else iter(iterator)
        following = (lambda: anext(each)) if both.is_async else (lambda: next(each))
        assert both(following) == "a"
        gate.set()
        assert both(following) == "b"
        with pytest.raises(StopAsyncIteration if both.is_async else StopIteration):
            both(following)


def test_a_stream_is_kept(both, client, asked):
    iterator = both(lambda: client.use("acme/poem", streaming=True)(about="a b c"))
    assert isinstance(iterator, AsyncOutputIterator if both.is_async else OutputIterator)
    assert iterator.prediction.id in repr(iterator)
    assert parts(both, iterator) == ["a ", "b ", "c "]
    assert parts(both, iterator) == ["a ", "b ", "c "]
    assert [each.split("/")[2] for each in asked()] == ["models", "streams"]
    if not both.is_async:
        assert str(iterator) == f"{iterator}" == "a b c "


def test_an_awaited_iterator_is_what_the_function_gives_without_streaming(server):
    client = replicate.AsyncReplicate(
        base_url=server.base_url, api_token="r8_secret", poll_interval=0.005
    )

    async def whole(name, **inputs):
        return await (await client.use(name, streaming=True)(**inputs))

    async def main():
        assert await whole("acme/poem", about="a b") == "a b "
        assert await whole("acme/words", about="a b") == ["a", "b"]
        assert await whole("acme/numbers", to=2) == [0, 1]
        assert await whole("acme/shout", text="hi") == "HI"
        assert await (await whole("acme/picture")).aread() == b"picture "
        iterator = await client.use("acme/poem", streaming=True)(about="a b")
        assert await iterator == await iterator == "a b "

    asyncio.run(main())


def test_files_of_a_stream_are_files(both, client, server):
    for name in ("acme/pictures", "acme/picture"):
        files = parts(both, both(lambda: client.use(name, streaming=True)()))
        assert {type(each) for each in files} == {FileOutput}
    client = both.client(server.base_url, use_file_output=False)
    assert {
        type(each)
        for each in parts(both, both(lambda: client.use("acme/pictures", streaming=True)()))
    } == {str}


def test_leaving_early_closes_the_stream_and_cancels_nothing(both):
    def stream(connection):
        connection.sendall(HEAD + output("a", "b"))
        hang(connection)

    with scripted(stream, output("a", "b", "c") + DONE) as wire:
        iterator = both(lambda: both.client(wire.base_url).use("acme/x", streaming=True)())

        async def first():
            each = aiter(iterator)
            assert await anext(each) == "a"
            await each.aclose()

        if both.is_async:
            both(first)
        else:
            for each in iterator:
                assert each == "a"
                break
        wire.until(lambda: wire.closed == 1)
        assert parts(both, iterator) == ["a", "b", "c"]
    assert wire.routes == ["POST /v1/models/acme/x/predictions", "GET /stream", "GET /stream"]


def test_a_stream_that_was_cut_is_gone_on_with(both):
    with scripted(output("a", "b"), output("a", "b", "c") + DONE) as wire:
        iterator = both(lambda: both.client(wire.base_url).use("acme/x", streaming=True)())
        assert parts(both, iterator) == ["a", "b", "c"]
        assert parts(both, iterator) == ["a", "b", "c"]


def test_iterations_at_the_same_time_do_not_disturb_each_other(server):
    client = replicate.AsyncReplicate(base_url=server.base_url, api_token="r8_secret")
    words = [f"{n} " for n in range(200)]

    async def main():
        iterator = await client.use("acme/poem", streaming=True)(about="".join(words))

        async def listed():
            return [each async for each in iterator]

        assert await asyncio.gather(*[listed() for _ in range(5)]) == [words] * 5
        assert await listed() == words

    asyncio.run(main())
    blocking = replicate.Replicate(base_url=server.base_url, api_token="r8_secret").use(
        "acme/poem", streaming=True
    )
    iterator = blocking(about="a b")
    assert [(one, other) for one in iterator for other in iterator] == [
        (x, y) for x in ("a ", "b ") for y in ("a ", "b ")
    ]


def test_a_failure_in_a_stream_is_the_model_s(both, client):
    iterator = both(lambda: client.use("acme/fail", streaming=True)())
    for _ in range(2):
        with pytest.raises(replicate.ModelError, match="OOM") as caught:
            parts(both, iterator)
        assert caught.value.prediction.status == "failed"
    assert iterator._parts == ["so far "]
    with pytest.raises(replicate.ModelError, match="OOM"):
        both(lambda: client.use("acme/shout")(text=iterator))


def test_an_error_of_the_stream_alone_stays_one(both):
    with scripted(
        output("a") + b"event: error\ndata: too slow\n\n", poll=[prediction(output=["a", "b"])]
    ) as wire:
        iterator = both(lambda: both.client(wire.base_url).use("acme/x", streaming=True)())
        with pytest.raises(exceptions.StreamError, match="too slow"):
            parts(both, iterator)


def test_a_canceled_stream_raises(both):
    canceled = b'event: done\ndata: {"reason":"canceled"}\n\n'
    with scripted(
        output("a") + canceled, poll=[prediction("processing"), prediction("canceled")]
    ) as wire:
        iterator = both(
            lambda: both.client(wire.base_url, poll_interval=0.001).use("acme/x", streaming=True)()
        )
        with pytest.raises(exceptions.PredictionCanceled):
            parts(both, iterator)


@pytest.mark.parametrize("owned", [True, False])
def test_a_cancelled_task_cancels_the_prediction_that_is_its_own(owned):
    def stream(connection):
        connection.sendall(HEAD + output("a"))
        hang(connection)

    async def main(wire):
        poem = replicate.AsyncReplicate(base_url=wire.base_url).use("acme/x", streaming=True)
        iterator = await poem() if owned else await (await poem.create()).output()

        async def consume():
            async for _ in iterator:
                came.set()

        came = asyncio.Event()
        task = asyncio.create_task(consume())
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wire.until, lambda: wire.closed >= 1)
        if owned:
            await asyncio.to_thread(
                wire.until, lambda: "POST /v1/predictions/p1/cancel" in wire.routes
            )

    with scripted(stream) as wire:
        asyncio.run(main(wire))
        assert ("POST /v1/predictions/p1/cancel" in wire.routes) == owned


def test_ctrl_c_cancels_the_prediction():
    def stream(connection):
        _thread.interrupt_main()
        hang(connection)

    with scripted(stream) as wire:
        iterator = replicate.Replicate(base_url=wire.base_url).use("acme/x", streaming=True)()
        with pytest.raises(KeyboardInterrupt):
            str(iterator)
        wire.until(lambda: "POST /v1/predictions/p1/cancel" in wire.routes)


def test_a_model_that_cannot_stream_is_polled(both):
    polls = [
        prediction("processing", output=["a"]),
        prediction("processing", output=["a", "b"]),
        prediction(output=["a", "b", "c"]),
    ]
    with scripted(urls="get", poll=polls) as wire:
        iterator = both(
            lambda: both.client(wire.base_url, poll_interval=0.001).use("acme/x", streaming=True)()
        )
        assert parts(both, iterator) == ["a", "b", "c"]
        assert parts(both, iterator) == ["a", "b", "c"]
    assert len(wire.seen) == 4


def test_what_a_poll_finds_there_already_is_given_too(both):
    done = prediction(output=["a", "https://replicate.delivery/b.png"])
    with scripted(urls="get", poll=[done]) as wire:
        run = both(lambda: both.client(wire.base_url).use("acme/x", streaming=True).create())
        both(run.logs)
        iterator = both(run.output)
        assert parts(both, iterator) == [
            "a",
            FileOutput("https://replicate.delivery/b.png", iterator.prediction._session),
        ]
