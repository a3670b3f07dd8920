"""Spans and metrics of streams, in each way in which a stream can end."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from contextlib import suppress
from contextvars import copy_context

import pytest
from opentelemetry import context as otel
from opentelemetry.trace import StatusCode

import replicate_rs as replicate
from replicate_rs import exceptions
from support.hosts import until
from support.wire import HEAD, Wire, done, numbered, prediction, reply, streaming

pytest_plugins = ["support.telemetry_fixtures"]

PER_CHUNK = "replicate.client.stream.time_per_chunk"
FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
FIRST_TOKEN = "gen_ai.server.time_to_first_token"
TOKENS = "gen_ai.client.token.usage"
DURATION = "gen_ai.client.operation.duration"
CANCELED = "replicate_rs.exceptions.PredictionCanceled"
FAILED = "replicate_rs.exceptions.ModelError"
METRICS = {
    "predict_time": 0.5,
    "total_time": 2,
    "time_to_first_token": 0.25,
    "input_token_count": 7,
    "output_token_count": 3,
}


@pytest.fixture
def server(observed_server):
    return observed_server


@pytest.fixture
def client(both, server):
    return both.client(server.base_url, poll_interval=0.01)


@pytest.fixture(autouse=True)
def no_warnings(caplog):
    """OpenTelemetry logs what an instrumentation does wrong: a second end, a wrong context."""
    yield
    records = caplog.get_records("call")
    assert [r.message for r in records if r.name.startswith("opentelemetry")] == []


def story(recorded, name="generate_content acme/x"):
    span = recorded.span(name)
    found = dict(span.attributes)
    return span, {
        key: found.get(f"replicate.{key}")
        for key in ("prediction.status", "stream.is_complete", "stream.chunks")
    }


def counts(recorded, name):
    return sum(point.count for point in recorded.metrics().get(name, []))


def read(both, make, *, leave_at=None, close=True):
    """Read a stream; leave it at an event or after a number of items."""
    seen = []

    def is_last(item):
        seen.append(item)
        return leave_at in (getattr(item, "event", ""), len(seen))

    async def use():
        stream = make()
        async for item in stream:
            if is_last(item):
                break
        if close:
            await stream.aclose()

    if both.is_async:
        both(use)
        return seen
    stream = make()
    for item in stream:
        if is_last(item):
            break
    if close:
        stream.close()
    return seen


def calls(client, model="acme/words", text="a b c"):
    """Return a function for each of the ways to stream a prediction, by the operation's name."""

    def created():
        return client.predictions.create(model, {"text": text})

    return {
        "stream": lambda: client.stream(model, input={"text": text}),
        "text_stream": lambda: client.text_stream(model, input={"text": text}),
        "prediction.stream": created,
        "predictions.stream": created,
    }


WAYS = ["stream", "text_stream", "prediction.stream", "predictions.stream"]


def started(both, client, way, model="acme/words", text="a b c"):
    """Return a function that makes a stream, and the name of its span."""
    make = calls(client, model, text)[way]
    if "." not in way:
        return make, f"generate_content {model}"
    made = both(make)
    if way == "prediction.stream":
        return made.stream, f"{way} {model}"
    # It knows the id only.
    return lambda: client.predictions.stream(made), way


@pytest.mark.parametrize("way", WAYS)
class TestEnds:
    def test_complete(self, both, client, recorded, way):
        make, name = started(both, client, way)
        read(both, make)
        span, ended = story(recorded, name)
        assert ended == {
            "prediction.status": "succeeded",
            "stream.is_complete": True,
            "stream.chunks": 3,
        }
        assert span.status.status_code == StatusCode.UNSET
        assert span.attributes["gen_ai.request.stream"] is True
        assert 0 < span.attributes["gen_ai.response.time_to_first_chunk"] < 10
        assert len(span.attributes["gen_ai.response.id"]) > 10
        assert span.attributes["replicate.operation"] == way
        assert (counts(recorded, FIRST_CHUNK), counts(recorded, PER_CHUNK)) == (1, 1)
        durations = [
            point
            for point in recorded.metrics()[DURATION]
            if point.attributes["gen_ai.operation.name"] == span.attributes["gen_ai.operation.name"]
        ]
        assert sum(point.count for point in durations) == 1
        (point,) = recorded.metrics()[PER_CHUNK]
        last_chunk = span.attributes["gen_ai.response.time_to_first_chunk"] + 2 * point.sum
        assert last_chunk <= durations[0].sum + 1e-9

    def test_left(self, both, client, recorded, way):
        make, name = started(both, client, way, "acme/endless")
        read(both, make, leave_at=2)
        span, ended = story(recorded, name)
        assert ended["prediction.status"] == "processing"
        assert ended["stream.is_complete"] is False
        assert ended["stream.chunks"] >= 2
        assert span.status.status_code == StatusCode.UNSET
        assert "error.type" not in span.attributes

    def test_failed(self, both, client, recorded, way):
        make, name = started(both, client, way, "acme/fail")
        with pytest.raises(exceptions.ModelError):
            read(both, make)
        span, ended = story(recorded, name)
        assert ended == {
            "prediction.status": "failed",
            "stream.is_complete": True,
            "stream.chunks": 0,
        }
        assert span.status.status_code == StatusCode.ERROR
        assert span.attributes["error.type"] == FAILED
        # The library fetches a prediction that failed, for its logs.
        assert span.attributes["replicate.prediction.predict_time"] >= 0
        assert "gen_ai.response.time_to_first_chunk" not in span.attributes

    def test_broken_and_resumed(self, both, client, server, recorded, way):
        make, name = started(both, client, way, text="a b c d e f")
        server.fault("GET /v1/streams/*", drop_stream=2)
        assert "".join(map(str, read(both, make))) == "abcdef"
        span, ended = story(recorded, name)
        assert ended == {
            "prediction.status": "succeeded",
            "stream.is_complete": True,
            "stream.chunks": 6,
        }
        assert span.status.status_code == StatusCode.UNSET
        (event,) = span.events
        assert event.name == "replicate.stream.resume"
        assert event.attributes["replicate.stream.received"] == 2
        assert 0 <= event.attributes["replicate.stream.wait"] < 20
        assert span.start_time < event.timestamp < span.end_time
        connections = [
            each for each in recorded.spans("GET") if each.parent.span_id == span.context.span_id
        ]
        assert len(connections) == 2
        assert connections[0].end_time <= event.timestamp <= connections[1].start_time


def test_a_caller_that_leaves_at_the_last_event_has_all(both, client, recorded):
    read(both, lambda: client.stream("acme/words", input={"text": "a"}), leave_at="done")
    span, ended = story(recorded, "generate_content acme/words")
    assert ended == {
        "prediction.status": "succeeded",
        "stream.is_complete": True,
        "stream.chunks": 1,
    }
    assert span.status.status_code == StatusCode.UNSET


def test_a_prediction_that_is_canceled_elsewhere(both, client, server, recorded):
    stream = client.stream("acme/endless", input={"text": ""})
    other = replicate.Replicate("r8_secret", base_url=server.base_url)

    async def use():
        async for _ in stream:
            await other.predictions.async_cancel(stream.prediction.id)

    def use_blocking():
        for _ in stream:
            other.predictions.cancel(stream.prediction.id)

    with pytest.raises(exceptions.PredictionCanceled):
        both(use if both.is_async else use_blocking)
    span, ended = story(recorded, "generate_content acme/endless")
    assert ended["prediction.status"] == "canceled"
    assert ended["stream.is_complete"] is True
    assert span.status.status_code == StatusCode.ERROR
    assert span.attributes["error.type"] == CANCELED


def test_a_task_that_is_cancelled(server, recorded):
    async def main():
        client = replicate.AsyncReplicate("r8_secret", base_url=server.base_url)
        arrived = asyncio.Event()

        async def use():
            async for _ in client.stream("acme/endless", input={"text": ""}):
                arrived.set()

        task = asyncio.ensure_future(use())
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    span, ended = story(recorded, "generate_content acme/endless")
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert ended["prediction.status"] == "processing"
    assert ended["stream.is_complete"] is False
    # Its cancel request is a part of the operation.
    until(lambda: recorded.spans("POST /v1/predictions/{prediction_id}/cancel"))
    (cancel,) = recorded.spans("POST /v1/predictions/{prediction_id}/cancel")
    assert cancel.parent.span_id == span.context.span_id


def test_a_deadline(both, client, recorded):
    with pytest.raises(exceptions.PredictionTimeout):
        both(lambda: client.stream("acme/endless", input={"text": ""}, timeout=0.5))
    span, ended = story(recorded, "generate_content acme/endless")
    assert span.attributes["error.type"] == "replicate_rs.exceptions.PredictionTimeout"
    assert ended["stream.is_complete"] is False
    assert ended["prediction.status"] == "processing"


def test_a_stream_whose_rest_is_not_known(both, recorded):
    with streaming(numbered("a ", "b "), lambda seen: reply({"detail": "gone"}, 410)) as wire:
        answer = wire.script

        def lost(seen):
            is_poll = seen.path.startswith("/v1/predictions/")
            return reply({"detail": "lost"}, 500) if is_poll else answer(seen)

        wire.script = lost
        client = both.client(wire.base_url, max_retries=0)
        with pytest.raises(exceptions.StreamInterrupted):
            both(lambda: client.stream("acme/x", {}))
    span, ended = story(recorded)
    assert span.attributes["error.type"] == "replicate_rs.exceptions.StreamInterrupted"
    assert (ended["stream.is_complete"], ended["stream.chunks"]) == (False, 2)
    assert ended["prediction.status"] == "processing"
    assert {event.name for event in span.events} <= {"replicate.stream.resume"}


def test_a_caller_that_leaves_while_a_stream_waits(recorded):
    """The event is there with the wait so far."""

    async def main():
        stream = HEAD + b"retry: 30000\n" + numbered("a ")
        with streaming(stream) as wire:
            client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)
            events = client.stream("acme/x", {})
            await anext(events)
            task = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    span, _ = story(recorded)
    (event,) = span.events
    assert 0.1 < event.attributes["replicate.stream.wait"] < 10
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"


class TestMetrics:
    """What the prediction tells, once it is read; a stream does not ask for it."""

    def wire(self, *streams, status="succeeded", **more):
        return streaming(*streams, poll=prediction(status, metrics=METRICS, **more))

    def test_no_request_is_sent_for_them(self, both, recorded):
        with self.wire(numbered("a ", "b ") + done()) as wire:
            both(lambda: both.client(wire.base_url).stream("acme/x", {}))
            assert [seen.method for seen in wire.seen] == ["POST", "GET"]
        span = recorded.span("generate_content acme/x")
        assert "replicate.prediction.predict_time" not in span.attributes
        assert TOKENS not in recorded.metrics()

    @pytest.mark.parametrize("how", ["reload", "wait", "get", "client.wait"])
    def test_whoever_reads_the_prediction_afterwards_has_them_once(self, both, recorded, how):
        with self.wire(numbered("a ", "b ") + done()) as wire:
            client = both.client(wire.base_url, poll_interval=0.001)
            stream = client.stream("acme/x", {})
            both(lambda: stream)
            made = stream.prediction
            fetch = {
                "reload": lambda: made.reload(),
                "wait": lambda: made.wait(),
                "get": lambda: client.predictions.get("p1"),
                "client.wait": lambda: client.wait(made),
            }[how]
            for _ in range(3):
                both(fetch)
        spans = [span for span in recorded.spans() if span.parent is None][1:]
        assert len(spans) == 3
        for span in spans:
            assert span.attributes["replicate.prediction.status"] == "succeeded"
            assert span.attributes["replicate.prediction.predict_time"] == 0.5
            assert span.attributes["replicate.prediction.total_time"] == 2
            assert span.attributes["replicate.prediction.time_to_first_token"] == 0.25
            assert span.attributes["gen_ai.usage.input_tokens"] == 7
            assert span.attributes["gen_ai.usage.output_tokens"] == 3
        tokens = recorded.metrics()[TOKENS]
        assert {
            (point.attributes["gen_ai.token.type"], point.count, point.sum) for point in tokens
        } == {("input", 1, 7), ("output", 1, 3)}
        (first,) = recorded.metrics()[FIRST_TOKEN]
        assert (first.count, first.sum) == (1, 0.25)
        for point in (*tokens, first):
            # They are the run's, whatever operation brought them.
            assert point.attributes["gen_ai.operation.name"] == "generate_content"
            assert point.attributes["gen_ai.request.model"] == "acme/x"

    def test_a_stream_that_had_to_fetch_the_prediction_has_them(self, both, recorded):
        """Its server had no more events, so that the rest came from the prediction."""
        streams = numbered("a "), lambda seen: reply({"detail": "gone"}, 410)
        with self.wire(*streams, output=["a ", "b "]) as wire:
            client = both.client(wire.base_url, max_retries=0, poll_interval=0.001)
            events = both(lambda: client.stream("acme/x", {}))
        assert "".join(map(str, events)) == "a b "
        span, ended = story(recorded)
        assert ended["prediction.status"] == "succeeded"
        assert ended["stream.is_complete"] is True
        assert span.attributes["gen_ai.usage.output_tokens"] == 3
        assert counts(recorded, TOKENS) == 2

    def test_a_failed_stream_counts_them_once(self, both, recorded):
        failed = numbered("a ") + b'event: error\ndata: {"detail": "no"}\n\n' + done("error")
        with (
            self.wire(failed, status="failed", error="no") as wire,
            pytest.raises(exceptions.ModelError),
        ):
            both(lambda: both.client(wire.base_url).stream("acme/x", {}))
        span = recorded.span("generate_content acme/x")
        assert span.attributes["gen_ai.usage.output_tokens"] == 3
        assert counts(recorded, TOKENS) == 2

    def test_of_a_prediction_that_runs_they_are_not_counted_yet(self, both, recorded):
        metrics = {"output_token_count": 1}
        polls = [
            prediction("processing", metrics=metrics),
            prediction("succeeded", metrics=METRICS),
        ]
        with Wire(lambda seen: reply(polls.pop(0))) as wire:
            client = both.client(wire.base_url)
            both(lambda: client.predictions.get("p1"))
            assert TOKENS not in recorded.metrics()
            both(lambda: client.predictions.get("p1"))
        assert {point.sum for point in recorded.metrics()[TOKENS]} == {7, 3}

    def test_a_run_that_is_looked_at_again_is_counted_once(self, both, recorded):
        with Wire(lambda seen: reply(prediction(output="hi", metrics=METRICS))) as wire:
            client = both.client(wire.base_url)
            both(lambda: client.run("acme/x", {}))
            both(lambda: client.predictions.get("p1"))
        assert counts(recorded, TOKENS) == 2

    @pytest.mark.parametrize("status", ["succeeded", "failed"])
    def test_map_and_functions_count_them_once(self, both, recorded, status):
        done = prediction(status, output="hi", error="no", metrics=METRICS)
        with Wire(lambda seen: reply(done, 201)) as wire:
            client = both.client(wire.base_url, poll_interval=0.001)

            async def results():
                return [each async for each in client.map("acme/x", [{"a": 1}])]

            both(results if both.is_async else lambda: [*client.map("acme/x", [{"a": 1}])])
            assert counts(recorded, TOKENS) == 2
            done["id"] = "p2"

            async def use():
                run = await client.use("acme/x").create(a=1)
                return await run.output()

            with suppress(exceptions.ModelError):
                both(use if both.is_async else client.use("acme/x").create(a=1).output)
        assert counts(recorded, TOKENS) == 4
        assert counts(recorded, FIRST_TOKEN) == 2

    @pytest.mark.parametrize("value", [-1, 2**63, 2**70, 1e400, "7", None, True, [], float("nan")])
    def test_numbers_that_are_none(self, both, recorded, value):
        metrics = dict.fromkeys(METRICS, value)
        found = replicate.Prediction.parse_obj(prediction(metrics=metrics))
        from replicate_rs._telemetry.attributes import attributes_of_prediction

        assert not {"gen_ai.usage.input_tokens", "replicate.prediction.predict_time"} & set(
            attributes_of_prediction(found)
        )


class TestRelays:
    def test_logs_and_comments_are_no_output(self, both, recorded):
        body = b":\n\nid: 1:0\nevent: logs\ndata: event: output\n\n" + numbered("a ", "b ") + done()
        with streaming(body) as wire:
            client = both.client(wire.base_url)

            async def use():
                relay = await client.relay("acme/x", {})
                return [frame async for frame in relay]

            both(use if both.is_async else lambda: [*client.relay("acme/x", {})])
        _, ended = story(recorded)
        assert ended == {
            "prediction.status": "succeeded",
            "stream.is_complete": True,
            "stream.chunks": 2,
        }
        assert (counts(recorded, FIRST_CHUNK), counts(recorded, PER_CHUNK)) == (1, 1)

    def test_canceled(self, both, recorded):
        with streaming(numbered("a ") + done("canceled")) as wire:
            client = both.client(wire.base_url)

            async def use():
                relay = await client.relay("acme/x", {})
                return [frame async for frame in relay]

            both(use if both.is_async else lambda: [*client.relay("acme/x", {})])
        span, ended = story(recorded)
        assert ended["prediction.status"] == "canceled"
        assert span.attributes["error.type"] == CANCELED

    def test_never_read(self, both, client, recorded):
        relay = both(lambda: client.relay("acme/endless", input={"text": ""}))
        id = relay.prediction.id
        del relay
        gc.collect()
        until(lambda: recorded.spans("generate_content acme/endless"))
        span, ended = story(recorded, "generate_content acme/endless")
        assert span.attributes["gen_ai.response.id"] == id
        assert ended["stream.is_complete"] is False


class TestUse:
    def test_complete_left_and_failed(self, both, client, recorded):
        def run(model, leave_at=None):
            function = client.use(model, streaming=True)
            seen = []

            async def use():
                output = await function(text="a b c")
                async for part in output:
                    seen.append(part)
                    if len(seen) == leave_at:
                        break

            def use_blocking():
                for part in function(text="a b c"):
                    seen.append(part)
                    if len(seen) == leave_at:
                        break

            both(use if both.is_async else use_blocking)
            return seen

        assert run("acme/words") == ["a", "b", "c"]
        _, ended = story(recorded, "generate_content acme/words")
        assert ended == {
            "prediction.status": "succeeded",
            "stream.is_complete": True,
            "stream.chunks": 3,
        }
        run("acme/endless", leave_at=1)
        gc.collect()
        if both.is_async:
            both(lambda: asyncio.sleep(0))
        until(lambda: recorded.spans("generate_content acme/endless"))
        _, ended = story(recorded, "generate_content acme/endless")
        assert ended["stream.is_complete"] is False
        assert ended["prediction.status"] == "processing"
        with pytest.raises(exceptions.ModelError):
            run("acme/fail")
        _, ended = story(recorded, "generate_content acme/fail")
        assert ended["prediction.status"] == "failed"


# Ways to leave a stream after its first event, blocking and async.


def leave_by_break(stream):
    for _ in stream:
        break


async def aleave_by_break(stream):
    async for _ in stream:
        break


def leave_by_with(stream):
    with stream:
        next(stream)


async def aleave_by_with(stream):
    async with stream:
        await anext(stream)


def leave_by_close(stream):
    next(stream)
    stream.close()
    stream.close()


async def aleave_by_close(stream):
    await anext(stream)
    await stream.aclose()
    await stream.aclose()


def leave_by_raise(stream):
    with suppress(KeyError), stream:
        next(stream)
        raise KeyError


async def aleave_by_raise(stream):
    with suppress(KeyError):
        async with stream:
            await anext(stream)
            raise KeyError


def leave_by_drop(stream):
    next(stream)


async def aleave_by_drop(stream):
    await anext(stream)


LEAVING = {
    "break": (leave_by_break, aleave_by_break),
    "with": (leave_by_with, aleave_by_with),
    "close": (leave_by_close, aleave_by_close),
    "raise": (leave_by_raise, aleave_by_raise),
    "drop": (leave_by_drop, aleave_by_drop),
}


class TestReports:
    """Faults that others' instrumentations of streams have had."""

    @pytest.mark.parametrize("way", [*LEAVING])
    def test_a_stream_that_is_left_in_any_way_has_one_span(self, both, client, recorded, way):
        """A stream that its caller gives up early is exported all the same, and once."""
        leave = LEAVING[way]
        if both.is_async:

            async def use():
                await leave[1](client.stream("acme/endless", input={"text": ""}))
                gc.collect()
                # The loop closes generators that were dropped.
                await asyncio.sleep(0.05)

            both(use)
        else:
            leave[0](client.stream("acme/endless", input={"text": ""}))
            gc.collect()
        until(lambda: recorded.spans("generate_content acme/endless"))
        time.sleep(0.05)
        span, ended = story(recorded, "generate_content acme/endless")
        assert ended["stream.is_complete"] is False
        assert span.status.status_code == StatusCode.UNSET
        assert counts(recorded, FIRST_CHUNK) == 1

    def test_a_stream_whose_loop_has_ended_has_a_span(self, server, recorded):
        """Nobody closes its generator: it is only dropped."""
        loop = asyncio.new_event_loop()

        async def begin():
            client = replicate.AsyncReplicate("r8_secret", base_url=server.base_url)
            stream = client.stream("acme/endless", input={"text": ""})
            await anext(stream)
            return stream

        stream = loop.run_until_complete(begin())
        id = stream.prediction.id
        loop.close()
        del stream
        gc.collect()
        until(lambda: recorded.spans("generate_content acme/endless"))
        span, ended = story(recorded, "generate_content acme/endless")
        assert ended["stream.is_complete"] is False
        server_side = replicate.Replicate("r8_secret", base_url=server.base_url)
        server_side.predictions.cancel(id)
        assert span.attributes["gen_ai.response.id"] == id

    def test_steps_in_tasks_of_their_own(self, server, recorded, caplog):
        """Each step has another context than the last one, as with servers of ASGI."""

        async def main():
            client = replicate.AsyncReplicate("r8_secret", base_url=server.base_url)
            stream = client.stream("acme/words", input={"text": "a b c"})
            before = otel.get_current()
            while True:
                try:
                    await asyncio.ensure_future(anext(stream))
                except StopAsyncIteration:
                    break
            assert otel.get_current() == before
            left = client.stream("acme/endless", input={"text": ""})
            await asyncio.ensure_future(anext(left))
            await asyncio.ensure_future(left.aclose())
            dropped = client.stream("acme/endless", input={"text": ""})
            async for _ in dropped:
                break
            del dropped
            gc.collect()
            await asyncio.sleep(0.05)
            assert otel.get_current() == before

        with caplog.at_level(logging.DEBUG, "opentelemetry"):
            asyncio.run(main())
        recorded.span("generate_content acme/words")
        assert len(recorded.spans("generate_content acme/endless")) == 2
        # `no_warnings` looks at the log.

    def test_a_call_that_is_given_up_in_another_context(self, server, recorded):
        """As by a garbage collector that finds a task which never went on."""

        async def main():
            client = replicate.AsyncReplicate("r8_secret", base_url=server.base_url)
            step = client.run("acme/shout", {"text": ""}).__await__()
            before = otel.get_current()
            copy_context().run(next, step)
            step.close()
            assert otel.get_current() == before

        asyncio.run(main())
        span = recorded.span("generate_content acme/shout")
        assert span.attributes["error.type"] == "GeneratorExit"

    def test_a_stream_in_a_generator_that_the_loop_closes(self, server, recorded):
        """At the end of a program, in a task of the loop's own."""

        async def main():
            client = replicate.AsyncReplicate("r8_secret", base_url=server.base_url)

            async def relay():
                async for event in client.stream("acme/endless", input={"text": ""}):
                    yield event

            frames = relay()
            await anext(frames)
            return frames

        asyncio.run(main())
        _, ended = story(recorded, "generate_content acme/endless")
        assert ended["stream.is_complete"] is False
