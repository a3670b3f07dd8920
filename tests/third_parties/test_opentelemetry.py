"""opentelemetry-instrumentation-replicate, which requires the official client's metadata."""

from __future__ import annotations

import json

import pytest

PRELUDE = """
import asyncio, json, logging
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.instrumentation.replicate import ReplicateInstrumentor

def fail(error):
    raise SystemExit(f"the instrumentation failed: {error!r}")

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
ReplicateInstrumentor(exception_logger=fail).instrument(tracer_provider=provider)

import replicate

def spans():
    "Return the finished spans: name, model, prompt, completions and status."
    finished = []
    for span in exporter.get_finished_spans():
        attributes = dict(span.attributes)
        keys = sorted(key for key in attributes if key.startswith("gen_ai.completion."))
        texts = [attributes[key] for key in keys]
        request = attributes.get("gen_ai.request.model"), attributes.get("gen_ai.prompt.0.user")
        finished.append([span.name, *request, texts, span.status.status_code.name])
    exporter.clear()
    return finished

def show(*values):
    print(json.dumps(values))
"""


@pytest.fixture
def traced(program):
    """Return a function that runs an instrumented program, and returns the lines that it prints."""
    return lambda code: [json.loads(line) for line in program(code=PRELUDE + code).splitlines()]


def test_run(server, traced):
    (printed,) = traced("""
output = replicate.run("acme/llama", input={"prompt": "to be"})
show(output, replicate.run("acme/shout", input={"prompt": "hi"}), spans())
""")
    output, text, spans = printed
    assert (output, text) == (["to ", "be "], "HI")
    assert spans == [
        ["replicate.run", "acme/llama", "to be", ["to ", "be "], "OK"],
        ["replicate.run", "acme/shout", "hi", ["HI"], "OK"],
    ]
    assert len(server.created) == 2


def test_a_span_lasts_until_its_stream_ends(server, traced):
    (printed,) = traced("""
stream = replicate.stream("acme/llama", input={"prompt": "to be or not"})
first = next(stream)
before = spans()
show(before, "".join([str(first), *map(str, stream)]), spans())
""")
    assert printed == [
        [],
        "to be or not ",
        [["replicate.stream", "acme/llama", "to be or not", ["to be or not "], "OK"]],
    ]
    assert len(server.created) == 1


def test_predictions_create(server, traced):
    (printed,) = traced("""
version = replicate.models.get("acme/shout").latest_version
prediction = replicate.predictions.create(version=version, input={"prompt": "hi"})
prediction.wait()
show(prediction.output, spans())
""")
    assert printed == [
        "HI",
        [["replicate.predictions.create", server.version("acme/shout"), "hi", [], "OK"]],
    ]
    assert len(server.created) == 1


def test_a_call_of_several_requests_is_one_span(server, traced):
    (printed,) = traced("""
ref = "acme/llama:" + replicate.models.get("acme/llama").latest_version.id
show(list(replicate.run(ref, input={"prompt": "to be"})), [name for name, *_ in spans()])
""")
    assert printed == [["to ", "be "], ["replicate.run"]]
    assert len(server.created) == 1


def test_async_calls_work(server, traced):
    (printed,) = traced("""
async def main():
    text = await replicate.async_run("acme/shout", input={"prompt": "hi"})
    stream = await replicate.async_stream("acme/llama", input={"prompt": "to be"})
    words = [str(event) async for event in stream]
    prediction = await replicate.predictions.async_create("acme/shout", {"prompt": "ho"})
    await prediction.async_wait()
    return text, "".join(words), prediction.output

show(asyncio.run(main()), spans())
""")
    # It instruments the blocking functions only, of the official client too.
    assert printed == [["HI", "to be ", "HO"], []]
    assert len(server.created) == 3


def test_a_failure_passes_through(server, traced):
    (printed,) = traced("""
try:
    replicate.run("acme/broken", input={"prompt": "hi"})
except replicate.exceptions.ModelError as error:
    show(str(error), error.prediction.status)
""")
    assert printed == ["out of memory", "failed"]


def test_events(server, program):
    printed = program(
        code="""
import json
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.instrumentation.replicate import ReplicateInstrumentor

exporter = InMemoryLogRecordExporter()
provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
ReplicateInstrumentor(use_legacy_attributes=False).instrument(logger_provider=provider)

import replicate
list(replicate.run("acme/llama", input={"prompt": "hi"}))
list(replicate.stream("acme/llama", input={"prompt": "to be"}))
replicate.predictions.create("acme/shout", input={"prompt": "ho"})
records = [log.log_record for log in exporter.get_finished_logs()]
print(json.dumps([[record.event_name, dict(record.body)] for record in records]))
"""
    )
    assert [
        [name, body.get("content") or body["message"]["content"]]
        for name, body in json.loads(printed)
    ] == [
        ["gen_ai.user.message", "hi"],
        ["gen_ai.choice", "hi "],
        ["gen_ai.user.message", "to be"],
        ["gen_ai.choice", "to be "],
        ["gen_ai.user.message", "ho"],
        ["gen_ai.choice", None],
    ]


def test_uninstrument(server, traced):
    (printed,) = traced("""
replicate.run("acme/shout", input={"prompt": "hi"})
before = len(spans())
ReplicateInstrumentor().uninstrument()
text = "".join(map(str, replicate.stream("acme/llama", input={"prompt": "to be"})))
show(before, replicate.run("acme/shout", input={"prompt": "hi"}), text, spans())
""")
    assert printed == [1, "HI", "to be ", []]


def test_beside_this_library_s_own(server, traced):
    """Both have a span for each call. It does not make its own the current one."""
    (printed,) = traced("""
from replicate_rs import telemetry
telemetry.instrument(tracer_provider=provider)

def tree():
    "Return the names of the finished spans, each with its parent's."
    finished = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in finished}
    exporter.clear()
    return sorted(
        [span.name, names.get(span.parent.span_id) if span.parent else None]
        for span in finished
        if not span.name.startswith("GET /v1/predictions")
    )

with provider.get_tracer("caller").start_as_current_span("caller"):
    text = replicate.run("acme/shout", input={"prompt": "hi"})
run = tree()
words = "".join(map(str, replicate.stream("acme/llama", input={"prompt": "to be"})))
stream = tree()
show(text, run, words, stream)
""")
    text, run, words, stream = printed
    create = "POST /v1/models/{model_owner}/{model_name}/predictions"
    assert (text, words) == ("HI", "to be ")
    assert run == [
        [create, "generate_content acme/shout"],
        ["caller", None],
        ["generate_content acme/shout", "caller"],
        ["replicate.run", "caller"],
    ]
    assert [create, "generate_content acme/llama"] in stream
    assert ["generate_content acme/llama", None] in stream
    assert ["replicate.stream", None] in stream
    assert len(server.created) == 2
