"""Circles through the core's objects: the collector finds each of them, so that nothing is kept
with its connections.
"""

import asyncio
import gc
import weakref

import pytest

import replicate_rs as replicate
from replicate_rs import AbortController, AbortSignal, FileOutput, _core
from replicate_rs._core import Expect
from support.wire import Wire, prediction, reply

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjSw"


class Node:
    """Something of a caller's that a core's object leads back to."""


def client(node, **options):
    return replicate.Replicate(
        base_url="http://127.0.0.1:1/v1", **{"api_token": lambda: node and "r8_x", **options}
    )


def of_a_core(node):
    node.own = client(node)._core


def of_a_client(node):
    node.own = client(node)


def of_a_signal(node):
    node.own = AbortSignal.abort(node)


def of_a_controller(node):
    node.own = AbortController()
    node.own.abort(node)


def of_a_pending(node):
    node.own = client(None)._core.sleep(1, signal=AbortSignal.abort(node))


def of_a_pending_that_was_asked_for_its_error(node):
    async def ask():
        pending = client(None)._core.send("GET", ("x",), Expect.STATUS, retries=0)
        await asyncio.wait([pending])
        node.own = pending
        node.own.exception().node = node

    asyncio.run(ask())


def of_a_pending_whose_loop_is_closed(node):
    async def begin():
        node.own = client(None)._core.sleep(30)
        node.own.add_done_callback(lambda _: node)

    asyncio.run(begin())


def source(node):
    return client(None)._core.pieces(
        "https://127.0.0.1:1/x", ahead=False, signal=AbortSignal.abort(node)
    )


def of_a_source(node):
    node.own = source(node)


def of_what_a_source_has_next(node):
    node.own = source(node).next()


def of_what_is_filled(node):
    class Buffer(bytearray):
        pass

    buffer = Buffer(10)
    buffer.node = node
    node.own = (
        client(None)._core.pieces("https://127.0.0.1:1/x", ahead=False).fill(memoryview(buffer))
    )


def of_an_event_s_file(node):
    node.own = client(node)
    node.event = _core.ServerSentEvent("output", FileOutput("https://127.0.0.1:1/x", node.own))


def of_an_object_of_a_page(node):
    page = Expect.PAGE.of(_core.Response(body=b'{"results": [{}]}'))
    [node.own] = page["results"]
    node.own.decode()["node"] = node


def of_a_field_of_a_page(node):
    page = Expect.PAGE.of(_core.Response(body=b'{"results": [{"a": []}]}'))
    [node.own] = page["results"]
    node.own.get("a").append(node)


def of_a_verifier(node):
    class Seen:
        def __call__(self, _):
            return False

    seen = Seen()
    seen.node = node
    node.own = _core.Verifier(SECRET, seen=seen)


def of_a_verifier_s_own_kind(node):
    class Verifier(_core.Verifier):
        pass

    node.own = Verifier(SECRET, seen=lambda _: node is None)
    node.own.node = node


def test_a_circle_is_collected_every_time():
    """A service that keeps its client, whose token is a method of its own: 100 of 100."""

    class Service:
        def __init__(self):
            self.client = replicate.Replicate(base_url=wire.base_url, api_token=self.token)

        def token(self):
            return "r8_x"

    with Wire(lambda _: reply(prediction())) as wire:
        gone = []
        for _ in range(100):
            service = Service()
            service.client.predictions.get("x")
            gone.append(weakref.ref(service))
        del service
        gc.collect()
        assert [each() for each in gone] == [None] * 100
        wire.until(lambda: wire.open_now == 0)


CIRCLES = {
    "AbortController": [of_a_controller],
    "AbortSignal": [of_a_signal],
    "Core": [of_a_core, of_a_client],
    "JsonObject": [of_an_object_of_a_page, of_a_field_of_a_page],
    "Pending": [
        of_a_pending,
        of_a_pending_that_was_asked_for_its_error,
        of_a_pending_whose_loop_is_closed,
        of_what_is_filled,
    ],
    "ServerSentEvent": [of_an_event_s_file],
    "ResponseStream": [of_a_source, of_what_a_source_has_next],
    "Verifier": [of_a_verifier, of_a_verifier_s_own_kind],
}
# They hold numbers, text, and bytes objects, which lead nowhere.
WITHOUT_OBJECTS = {
    "DownloadCounters",
    "EventDecoder",
    "Expect",
    "HubPort",
    "Part",
    "StreamPosition",
    "Response",
    "Upload",
}


@pytest.mark.parametrize("make", [each for makers in CIRCLES.values() for each in makers])
def test_a_circle_through_each_class_is_collected(make):
    gone = []
    for _ in range(10):
        node = Node()
        make(node)
        gone.append(weakref.ref(node))
    del node
    gc.collect()
    assert [each() for each in gone] == [None] * 10


def test_every_class_is_looked_at():
    """A class that is new is to be named here, with a circle if it holds Python objects."""
    classes = {
        name
        for name, each in vars(_core).items()
        if isinstance(each, type) and each.__module__.startswith("replicate_rs")
    }
    assert classes == {*CIRCLES, *WITHOUT_OBJECTS}


def test_what_somebody_still_has_is_not_taken_apart():
    """Two objects of the core may hold one Python object: only one of them may tell the collector
    of it.
    """
    reason = Node()
    signal = AbortSignal.abort(reason)
    source = client(None)._core.pieces("https://127.0.0.1:1/x", ahead=False, signal=signal)
    kept = source.next()
    circle = Node()
    circle.own, circle.source = circle, source
    gone = weakref.ref(circle)
    del circle, source, signal
    gc.collect()
    assert gone() is None
    with pytest.raises(replicate.AbortError) as caught:
        kept.wait()
    assert caught.value.args[0] is reason or caught.value.reason is reason
