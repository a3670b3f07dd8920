"""Spans of operations, with their attempts below them."""

from __future__ import annotations

import asyncio
import io
import json
import threading

import pytest
from opentelemetry.trace import SpanKind, StatusCode

import replicate_rs as replicate
from replicate_rs import exceptions
from support.hosts import until
from support.wire import Wire, hang, prediction, reply

pytest_plugins = ["support.telemetry_fixtures"]


@pytest.fixture
def server(observed_server):
    return observed_server


@pytest.fixture
def client(both, server):
    return both.client(server.base_url, poll_interval=0.01)


CREATE = "POST /v1/models/{model_owner}/{model_name}/predictions"
POLL = "GET /v1/predictions/{prediction_id}"


def without_polls(tree):
    return [line for line in tree if POLL not in line]


def test_a_run_with_a_retry_a_stream_and_an_upload(both, client, server, recorded):
    file = io.BytesIO(b"abc")
    file.name = "abc.txt"

    async def use():
        with recorded.tracer.start_as_current_span("request"):
            server.fault("POST /models/*", retry_after=1)
            output = client.run("acme/reverse", input={"file": file}, wait=False)
            output = await output if both.is_async else output
            content = await output.read() if both.is_async else output.read()
            stream = client.stream("acme/words", input={"text": "to be"})
            words = [e async for e in stream] if both.is_async else [*stream]
        return content, words

    content, words = asyncio.run(use())
    assert content == b"cba"
    assert [str(event) for event in words if event.event == "output"] == ["to", "be"]

    def show(span):
        status = span.attributes.get("http.response.status_code", "")
        resend = span.attributes.get("http.request.resend_count")
        return f"{span.name} {status}{'' if resend is None else f' again {resend}'}".rstrip()

    assert without_polls(recorded.tree(show)) == [
        "request",
        "  generate_content acme/reverse",
        "    POST /v1/files 201",
        f"    {CREATE} 429",
        f"    {CREATE} 201 again 1",
        "  file.read",
        "    GET 200",
        "  generate_content acme/words",
        f"    {CREATE} 201",
        "    GET 200",
    ]
    run, stream = recorded.spans("generate_content acme/reverse", "generate_content acme/words")
    (polled,) = {span.parent.span_id for span in recorded.spans(POLL)}
    assert polled == run.context.span_id
    (event,) = run.events
    assert event.name == "replicate.retry"
    assert event.attributes["replicate.retry.attempt"] == 1
    assert event.attributes["http.response.status_code"] == 429
    assert 0 < event.attributes["replicate.retry.wait"] < 5
    assert run.start_time < event.timestamp < run.end_time
    assert len({span.context.trace_id for span in recorded.spans()}) == 1
    for span in recorded.spans():
        assert span.status.status_code == (
            StatusCode.ERROR
            if span.attributes.get("http.response.status_code") == 429
            else StatusCode.UNSET
        )
    assert stream.attributes["gen_ai.response.time_to_first_chunk"] > 0


def test_attributes_of_a_run(both, client, server, recorded):
    version = both(lambda: client.models.get("acme/shout")).latest_version.id
    assert both(lambda: client.run("acme/shout", input={"text": "hi"}, wait=False)) == "HI"
    span = recorded.span("generate_content acme/shout")
    assert span.kind == SpanKind.CLIENT
    attributes = dict(span.attributes)
    assert attributes.pop("replicate.prediction.predict_time") >= 0
    assert attributes.pop("replicate.prediction.total_time") >= 0
    assert len(attributes.pop("gen_ai.response.id")) > 10
    port = int(server.base_url.rpartition(":")[2].partition("/")[0])
    assert attributes == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "replicate",
        "gen_ai.system": "replicate",
        "gen_ai.request.model": "acme/shout",
        "gen_ai.response.model": "acme/shout",
        "replicate.model.version": version,
        "replicate.operation": "run",
        "replicate.prediction.status": "succeeded",
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    attempt = recorded.spans(CREATE)[0]
    assert attempt.kind == SpanKind.CLIENT
    assert dict(attempt.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 201,
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": port,
        "url.full": f"{server.base_url}/models/acme/shout/predictions",
        "url.template": "/v1/models/{model_owner}/{model_name}/predictions",
    }
    assert span.start_time <= attempt.start_time < attempt.end_time <= span.end_time
    get = recorded.span("models.get acme/shout")
    assert (get.kind, get.attributes["gen_ai.operation.name"]) == (SpanKind.INTERNAL, "models.get")


def test_tokens_are_counted_where_a_model_counts_them(both, recorded):
    done = prediction(
        output="hi", metrics={"predict_time": 0.5, "input_token_count": 7, "output_token_count": 3}
    )
    with Wire(lambda seen: reply(done)) as wire:
        both(lambda: both.client(wire.base_url).run("acme/x", input={}))
    attributes = recorded.span("generate_content acme/x").attributes
    assert attributes["gen_ai.usage.input_tokens"] == 7
    assert attributes["gen_ai.usage.output_tokens"] == 3
    assert attributes["replicate.prediction.predict_time"] == 0.5
    points = recorded.metrics()["gen_ai.client.token.usage"]
    assert {point.attributes["gen_ai.token.type"]: point.sum for point in points} == {
        "input": 7,
        "output": 3,
    }


@pytest.mark.parametrize(
    ("call", "name", "expected"),
    [
        (lambda client: client.predictions.get("p1"), "predictions.get", {}),
        (
            lambda client: client.predictions.create("acme/x:" + 64 * "0", {}),
            "predictions.create acme/x",
            {"gen_ai.request.model": "acme/x", "gen_ai.response.id": "p1"},
        ),
        (
            lambda client: client.models.predictions.create("acme/x", {}),
            "models.predictions.create acme/x",
            {"gen_ai.request.model": "acme/x"},
        ),
        (
            lambda client: client.deployments.predictions.create("acme/fast", {}),
            "deployments.predictions.create",
            {"replicate.deployment.name": "acme/fast"},
        ),
    ],
)
def test_names_of_operations(both, recorded, call, name, expected):
    with Wire(lambda seen: reply(prediction())) as wire:
        client = both.client(wire.base_url)
        both(lambda: call(client))
    operation = recorded.span(name)
    assert expected.items() <= operation.attributes.items()
    assert operation.attributes["gen_ai.operation.name"] == name.partition(" ")[0]
    attempts = [span for span in recorded.spans() if span.parent]
    assert [span.parent.span_id for span in attempts] == [operation.context.span_id]


def test_methods_of_records(both, client, recorded):
    made = both(lambda: client.predictions.create("acme/shout", {"text": "a"}))
    both(made.wait)
    both(made.reload)
    names = [span.name for span in recorded.spans() if span.parent is None]
    assert names == [
        "predictions.create acme/shout",
        "prediction.wait acme/shout",
        "prediction.reload acme/shout",
    ]
    for span in recorded.spans(*names[1:]):
        assert span.attributes["gen_ai.response.id"] == made.id


def test_a_failed_model(both, client, recorded):
    with pytest.raises(exceptions.ModelError):
        both(lambda: client.run("acme/fail", input={"text": "private"}))
    span = recorded.span("generate_content acme/fail")
    assert span.status.status_code == StatusCode.ERROR
    assert span.attributes["error.type"] == "replicate_rs.exceptions.ModelError"
    assert span.attributes["replicate.prediction.status"] == "failed"
    assert len(span.attributes["gen_ai.response.id"]) > 10
    assert "private" not in recorded.text()


def test_an_error_of_the_api(both, client, recorded):
    with pytest.raises(exceptions.NotFoundError):
        both(lambda: client.predictions.get("absent"))
    span = recorded.span("predictions.get")
    assert span.status.status_code == StatusCode.ERROR
    assert span.attributes["error.type"] == "replicate_rs.exceptions.NotFoundError"
    attempt = recorded.span(POLL)
    assert attempt.attributes["error.type"] == "404"
    assert attempt.status.status_code == StatusCode.ERROR


def test_failures_of_the_network(both, recorded):
    with Wire(lambda seen: None) as wire:
        client = both.client(wire.base_url, max_retries=1)
        with pytest.raises(exceptions.APIConnectionError):
            both(lambda: client.predictions.get("p1"))
    recorded.wait(3)
    first, second = recorded.spans(POLL)
    assert first.attributes["error.type"] == second.attributes["error.type"] == "disconnected"
    assert "http.response.status_code" not in first.attributes
    (event,) = recorded.span("predictions.get").events
    assert event.attributes["error.type"] == "disconnected"


def test_a_deadline_shows_the_attempt_that_had_no_answer(both, recorded):
    with Wire(lambda seen: hang) as wire:
        client = both.client(wire.base_url)
        with pytest.raises(exceptions.APITimeoutError):
            both(lambda: client.predictions.get("p1", timeout=0.2))
    attempt = recorded.span(POLL)
    assert attempt.attributes["error.type"] == "abandoned"
    assert 0.1e9 < attempt.end_time - attempt.start_time < 5e9


def test_a_cancelled_task(server, recorded):
    async def main():
        with Wire(lambda seen: hang) as wire:
            client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)
            task = asyncio.ensure_future(client.predictions.get("p1"))
            await asyncio.to_thread(until, lambda: wire.seen)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    recorded.wait(2)
    span = recorded.span("predictions.get")
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert recorded.span(POLL).parent.span_id == span.context.span_id


class TestStreams:
    def test_a_span_lasts_as_long_as_its_stream(self, both, client, recorded):
        async def read():
            stream = client.stream("acme/words", input={"text": "a b c"})
            assert recorded.spans() == []
            if both.is_async:
                return [len(recorded.spans("generate_content acme/words")) async for _ in stream]
            return [len(recorded.spans("generate_content acme/words")) for _ in stream]

        assert set(asyncio.run(read())) == {0}
        span = recorded.span("generate_content acme/words")
        assert span.attributes["replicate.prediction.status"] == "succeeded"
        assert span.attributes["gen_ai.request.stream"] is True

    def test_what_is_done_between_two_events_is_not_a_part_of_it(self, both, client, recorded):
        async def read():
            stream = client.text_stream("acme/words", input={"text": "a b"})
            with recorded.tracer.start_as_current_span("caller"):
                if both.is_async:
                    async for _ in stream:
                        recorded.tracer.start_span("work").end()
                else:
                    for _ in stream:
                        recorded.tracer.start_span("work").end()

        asyncio.run(read())
        caller = recorded.span("caller")
        works = recorded.spans("work")
        assert len(works) == 2
        assert {span.parent.span_id for span in works} == {caller.context.span_id}
        # The caller's span at the call is its parent, not that at the first step.
        assert recorded.span("generate_content acme/words").parent is None

    def test_a_stream_that_is_left_is_no_error(self, both, client, recorded):
        async def read():
            stream = client.stream("acme/words", input={"text": "a b c"})
            if both.is_async:
                async with stream:
                    async for _ in stream:
                        break
            else:
                with stream:
                    next(stream)

        asyncio.run(read())
        span = recorded.span("generate_content acme/words")
        assert span.status.status_code == StatusCode.UNSET

    def test_a_model_that_fails(self, both, client, recorded):
        with pytest.raises(exceptions.ModelError):
            both(lambda: client.stream("acme/fail"))
        span = recorded.span("generate_content acme/fail")
        assert span.status.status_code == StatusCode.ERROR
        assert span.attributes["replicate.prediction.status"] == "failed"

    def test_a_stream_that_breaks(self, both, recorded):
        urls = {}

        def answer(seen):
            if seen.method == "POST":
                return reply(prediction("starting", urls=urls), 201)
            if "stream" in seen.path:
                return reply({"detail": "gone"}, 410)
            return reply({"detail": "lost"}, 500)

        with Wire(answer) as wire:
            urls["stream"] = f"{wire.origin}/stream/p1"
            client = both.client(wire.base_url, max_retries=0)
            with pytest.raises(exceptions.APIStatusError):
                both(lambda: client.stream("acme/x"))
        span = recorded.span("generate_content acme/x")
        assert span.status.status_code == StatusCode.ERROR
        assert span.attributes["error.type"].startswith("replicate_rs.exceptions.")

    @pytest.mark.parametrize(
        ("model", "status"), [("acme/words", "succeeded"), ("acme/fail", "failed")]
    )
    def test_a_relay(self, both, client, recorded, model, status):
        async def read():
            relay = client.relay(model, input={"text": "a b"})
            relay = await relay if both.is_async else relay
            assert recorded.spans(f"generate_content {model}") == []
            return b"".join([*relay] if not both.is_async else [each async for each in relay])

        assert asyncio.run(read()).endswith(b"\n\n")
        span = recorded.span(f"generate_content {model}")
        assert span.attributes["replicate.prediction.status"] == status
        assert (span.status.status_code == StatusCode.ERROR) == (status == "failed")

    def test_a_relay_that_is_never_read(self, both, client, recorded):
        relay = both(lambda: client.relay("acme/words", input={"text": "a b"}))
        if both.is_async:
            both(relay.aclose)
        else:
            relay.close()
        del relay
        recorded.span("generate_content acme/words")


class TestFiles:
    def test_reading_and_saving(self, both, client, recorded, tmp_path):
        output = both(lambda: client.run("acme/reverse", input={"file": b"abc"}))
        assert both(output.read) == b"cba"
        both(lambda: output.save(tmp_path / "file"))
        chunks = both(output.achunks if both.is_async else output.chunks)
        assert b"".join(chunks) == b"cba"
        names = [span.name for span in recorded.spans() if span.parent is None]
        assert names[1:] == ["file.read", "file.save", "file.chunks"]
        for span in recorded.spans(*names[1:]):
            (attempt,) = [s for s in recorded.spans() if s.parent == span.context]
            assert attempt.attributes["url.full"].endswith("/REDACTED")

    def test_save_all(self, both, client, recorded, tmp_path):
        outputs = [
            both(lambda: client.run("acme/reverse", input={"file": text})) for text in (b"a", b"b")
        ]
        save = replicate.asave_all if both.is_async else replicate.save_all
        both(lambda: save(outputs, tmp_path))
        span = recorded.span("save_all")
        attempts = [s for s in recorded.spans() if s.parent == span.context]
        assert [attempt.name for attempt in attempts] == ["GET", "GET"]


def test_functions_of_models(client, server, recorded, monkeypatch):
    monkeypatch.setattr(replicate, "default_client", client, raising=False)
    shout = replicate.use("acme/shout")
    assert shout(text="a") == "A"
    run = shout.create(text="b")
    assert run.output() == "B"
    words = replicate.use("acme/words", streaming=True)
    assert [*words(text="a b")] == ["a", "b"]
    roots = [
        (span.name, span.attributes["replicate.operation"])
        for span in recorded.spans()
        if span.parent is None
    ]
    assert roots == [
        ("generate_content acme/shout", "use"),
        ("use.create acme/shout", "use.create"),
        ("use.output acme/shout", "use.output"),
        ("use.create acme/words", "use.create"),
        ("generate_content acme/words", "use.stream"),
    ]
    for span in recorded.spans():
        if span.parent is None:
            assert "gen_ai.response.id" in span.attributes, span.name


class TestMap:
    def map(self, both, client, **options):
        inputs = [{"text": text} for text in "abc"]
        return both(lambda: _all(client.map("acme/shout", inputs, **options), both.is_async))

    def test_each_prediction_has_a_span_below_the_callers(self, both, client, recorded):
        with recorded.tracer.start_as_current_span("batch") as batch:
            results = self.map(both, client)
        assert sorted(result.output for result in results) == ["A", "B", "C"]
        spans = recorded.spans("generate_content acme/shout")
        ids = {span.attributes["gen_ai.response.id"] for span in spans}
        assert ids == {result.prediction for result in results}
        for span in spans:
            assert span.parent.span_id == batch.get_span_context().span_id
            assert span.attributes["replicate.operation"] == "map"
            assert span.attributes["replicate.prediction.status"] == "succeeded"
        creates = recorded.spans(CREATE)
        assert {span.parent.span_id for span in creates} == {s.context.span_id for s in spans}

    def test_without_a_span_of_the_caller_each_is_a_trace(self, both, client, recorded):
        self.map(both, client)
        spans = recorded.spans("generate_content acme/shout")
        assert len({span.context.trace_id for span in spans}) == 3

    def test_a_failure(self, both, client, recorded):
        (result,) = both(lambda: _all(client.map("acme/fail", [{"text": "x"}]), both.is_async))
        assert result.status == "failed"
        span = recorded.span("generate_content acme/fail")
        assert span.status.status_code == StatusCode.ERROR
        assert span.attributes["error.type"] == "replicate_rs.exceptions.ModelError"

    def test_two_threads(self, server, recorded):
        client = replicate.Replicate("r8_secret", base_url=server.base_url, poll_interval=0.01)
        parents = {}

        def run(name):
            with recorded.tracer.start_as_current_span(name) as span:
                results = [*client.map("acme/shout", [{"text": name}])]
                parents[results[0].prediction] = span.get_span_context().span_id

        threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = {
            span.attributes["gen_ai.response.id"]: span.parent.span_id
            for span in recorded.spans("generate_content acme/shout")
        }
        assert found == parents


async def _gather(results):
    return [each async for each in results]


def _all(results, is_async):
    return _gather(results) if is_async else [*results]


def test_many_calls_at_once_have_their_own_attempts(server, recorded):
    async def main():
        client = replicate.AsyncReplicate("r8_secret", base_url=server.base_url)
        await asyncio.gather(*(client.run("acme/shout", {"text": str(n)}) for n in range(20)))

    asyncio.run(main())
    operations = recorded.spans("generate_content acme/shout")
    assert len(operations) == 20
    creates = recorded.spans(CREATE)
    assert sorted(span.parent.span_id for span in creates) == sorted(
        span.context.span_id for span in operations
    )


def test_a_retry_is_seen_while_it_waits(recorded):
    with Wire(lambda seen: reply({"detail": "later"}, 429, headers="Retry-After: 30\r\n")) as wire:

        async def main():
            client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)
            task = asyncio.ensure_future(client.accounts.current())
            await asyncio.to_thread(recorded.wait, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
    (event,) = recorded.span("accounts.current").events
    assert event.attributes["replicate.retry.wait"] >= 30


def test_a_cancel_that_the_core_sends_is_shown_as_one(recorded):
    """A create request that was left: its prediction is cancelled by a request of its own."""
    created = threading.Event()

    def answer(seen):
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        created.wait(20)
        return reply(prediction("starting"), 201)

    with Wire(answer) as wire:

        async def main():
            client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)
            task = asyncio.ensure_future(client.run("acme/x", {}))
            await asyncio.to_thread(until, lambda: wire.seen)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            created.set()
            await asyncio.to_thread(recorded.wait, 3)

        asyncio.run(main())
    assert recorded.tree() == [
        "generate_content acme/x",
        f"  {CREATE}",
        "  POST /v1/predictions/{prediction_id}/cancel",
    ]


def test_a_fetch_function(both, server, recorded):
    if both.is_async:

        async def fetch(request, send):
            return await send(request)
    else:

        def fetch(request, send):
            return send(request)

    client = both.client(server.base_url, fetch=fetch)
    assert both(lambda: client.run("acme/shout", input={"text": "a"})) == "A"
    assert without_polls(recorded.tree()) == ["generate_content acme/shout", f"  {CREATE}"]


def test_pages(both, recorded):
    pages = [{"next": None, "results": []}]
    with Wire(lambda seen: reply(pages[0])) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.models.list())
        both(lambda: client.request("/predictions", params={"cursor": "private"}))
    assert recorded.tree() == [
        "models.list",
        "  GET /v1/models",
        "request",
        "  GET /v1/predictions",
    ]
    assert "private" not in recorded.text()


def test_spans_can_be_exported_as_json(both, client, recorded):
    both(lambda: client.run("acme/shout", input={"text": "a"}))
    for span in recorded.spans():
        assert json.loads(span.to_json())["name"] == span.name
