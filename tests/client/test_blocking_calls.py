"""Operations of one request: what they return, and how both clients wait for it."""

import asyncio
import gc
import inspect
import sys
import weakref

import pytest

import replicate_rs as replicate
from replicate_rs._base.operation import run_blocking, unchecked
from replicate_rs._core import Expect, Pending
from replicate_rs.exceptions import APIConnectionError
from support.wire import Wire, prediction, reply

CALLS = {
    "a record": lambda client: client.predictions.get,
    "a page": lambda client: client.predictions.list,
    "no content": lambda client: client.files.delete,
    "a list": lambda client: client.hardware.list,
}
ARGUMENTS = {"a record": ("p1",), "no content": ("f1",)}


def send(client, target="predictions/p1"):
    return client._core.send("GET", target, Expect.RECORD)


def fail(data, reason):
    raise LookupError(reason)


@pytest.fixture
def answering():
    with Wire(lambda seen: reply(prediction(output="text"))) as wire:
        yield wire


@pytest.mark.parametrize("kind", CALLS)
def test_no_coroutine_is_made(kind, monkeypatch):
    """An operation returns what the core waits for, where there are no greenlets."""
    monkeypatch.delitem(sys.modules, "greenlet", raising=False)
    with replicate.Replicate("r8_x", base_url="http://127.0.0.1:1") as client:
        method = CALLS[kind](client)
        function = unchecked(getattr(type(method.__self__), method.__name__))
        assert isinstance(function(method.__self__, *ARGUMENTS.get(kind, ())), Pending)


@pytest.mark.parametrize("kind", CALLS)
def test_annotations_name_the_result(kind):
    """Whether a method is a coroutine function, or returns an awaitable, is shown by its client."""
    for client in (replicate.Replicate("r8_x"), replicate.AsyncReplicate("r8_x")):
        method = CALLS[kind](client)
        assert "Awaitable" not in str(inspect.signature(method).return_annotation)
        is_async = isinstance(client, replicate.AsyncReplicate)
        assert inspect.iscoroutinefunction(method) is is_async
        client.close()


def test_a_blocking_result_can_be_awaited(answering):
    """So an operation that awaits others is the same for both clients."""
    client = replicate.Replicate("r8_x", base_url=answering.base_url)

    async def read():
        data = await send(client).blocking()
        return data["output"]

    assert run_blocking(read()) == "text"
    assert run_blocking(send(client).blocking())["output"] == "text"


def test_a_blocking_result_is_awaited_once(answering):
    client = replicate.Replicate("r8_x", base_url=answering.base_url)
    pending = send(client).blocking()

    async def read():
        return await pending

    run_blocking(read())
    with pytest.raises(RuntimeError, match="awaited already"):
        run_blocking(read())


def test_errors_are_raised_where_it_is_awaited():
    client = replicate.Replicate("r8_x", base_url="http://127.0.0.1:1", max_retries=0)
    pending = send(client).blocking()

    async def read():
        try:
            return await pending
        except APIConnectionError:
            return "caught"

    assert run_blocking(read()) == "caught"


def test_a_result_is_converted_where_it_is_received(both, answering):
    client = both.client(answering.base_url)

    async def read():
        pending = send(client).then(lambda data, name: data[name], "output")
        return await client._transport.finish(pending)

    assert both(lambda: read() if both.is_async else run_blocking(read())) == "text"


def test_an_error_of_the_conversion_is_that_of_the_call(both, answering):
    client = both.client(answering.base_url)

    async def read():
        await client._transport.finish(send(client).then(fail, "why"))

    with pytest.raises(LookupError, match="why"):
        both(lambda: read() if both.is_async else run_blocking(read()))


def test_a_future_s_result_is_converted_once(answering):
    client = replicate.AsyncReplicate("r8_x", base_url=answering.base_url)
    calls = []

    def convert(data, name):
        calls.append(name)
        return data[name]

    async def read():
        pending = send(client).then(convert, "output")
        done = asyncio.Event()
        pending.add_done_callback(lambda _: done.set())
        await done.wait()
        return pending.result(), pending.result(), await pending

    assert asyncio.run(read()) == ("text", "text", "text")
    assert calls == ["output"]


def test_a_result_has_one_conversion():
    client = replicate.Replicate("r8_x", base_url="http://127.0.0.1:1")
    pending = send(client).then(fail, "first")
    with pytest.raises(RuntimeError, match="a conversion already"):
        pending.then(fail, "second")


def test_a_conversion_that_refers_to_its_call_is_collected():
    class Holder:
        pending = None

        def convert(self, data, _):
            return data

    client = replicate.Replicate("r8_x", base_url="http://127.0.0.1:1")
    holder = Holder()
    holder.pending = send(client).then(holder.convert, None)
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None
