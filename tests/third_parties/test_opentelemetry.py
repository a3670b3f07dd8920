"""opentelemetry-instrumentation-replicate, which asks for the official client's distribution
metadata.
"""

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
    "Return what has ended so far, by name: model, prompt, and what was answered."
    told = []
    for span in exporter.get_finished_spans():
        attributes = dict(span.attributes)
        texts = [text for key, text in sorted(attributes.items()) if key.startswith("gen_ai.completion.")]
        asked = attributes.get("gen_ai.request.model"), attributes.get("gen_ai.prompt.0.user")
        told.append([span.name, *asked, texts, span.status.status_code.name])
    exporter.clear()
    return told

def show(*values):
    print(json.dumps(values))
"""


@pytest.fixture
def traced(program):
    """Run a program whose calls are instrumented, and return what it shows."""
    return lambda code: [json.loads(line) for line in program(code=PRELUDE + code).splitlines()]


def test_run(server, traced):
    (shown,) = traced("""
show(replicate.run("acme/llama", input={"prompt": "to be"}), replicate.run("acme/shout", input={"prompt": "hi"}), spans())
""")
    output, text, spans = shown
    assert (output, text) == (["to ", "be "], "HI")
    assert spans == [
        ["replicate.run", "acme/llama", "to be", ["to ", "be "], "OK"],
        ["replicate.run", "acme/shout", "hi", ["HI"], "OK"],
    ]
    assert len(server.created) == 2


def test_a_span_lasts_until_its_stream_ends(server, traced):
    (shown,) = traced("""
stream = replicate.stream("acme/llama", input={"prompt": "to be or not"})
first = next(stream)
before = spans()
show(before, "".join([str(first), *map(str, stream)]), spans())
""")
    assert shown == [
        [],
        "to be or not ",
        [["replicate.stream", "acme/llama", "to be or not", ["to be or not "], "OK"]],
    ]
    assert len(server.created) == 1


def test_predictions_create(server, traced):
    (shown,) = traced("""
version = replicate.models.get("acme/shout").latest_version
prediction = replicate.predictions.create(version=version, input={"prompt": "hi"})
prediction.wait()
show(prediction.output, spans())
""")
    assert shown == [
        "HI",
        [["replicate.predictions.create", server.version("acme/shout"), "hi", [], "OK"]],
    ]
    assert len(server.created) == 1


def test_what_one_call_does_is_one_span(server, traced):
    (shown,) = traced("""
ref = "acme/llama:" + replicate.models.get("acme/llama").latest_version.id
show(list(replicate.run(ref, input={"prompt": "to be"})), [name for name, *_ in spans()])
""")
    assert shown == [["to ", "be "], ["replicate.run"]]
    assert len(server.created) == 1


def test_async_calls_go_on(server, traced):
    (shown,) = traced("""
async def main():
    text = await replicate.async_run("acme/shout", input={"prompt": "hi"})
    words = [str(event) async for event in await replicate.async_stream("acme/llama", input={"prompt": "to be"})]
    prediction = await replicate.predictions.async_create("acme/shout", {"prompt": "ho"})
    await prediction.async_wait()
    return text, "".join(words), prediction.output

show(asyncio.run(main()), spans())
""")
    # It wraps the blocking functions only, in the official client too.
    assert shown == [["HI", "to be ", "HO"], []]
    assert len(server.created) == 3


def test_a_failure_passes_through(server, traced):
    (shown,) = traced("""
try:
    replicate.run("acme/broken", input={"prompt": "hi"})
except replicate.exceptions.ModelError as error:
    show(str(error), error.prediction.status)
""")
    assert shown == ["out of memory", "failed"]


def test_events(server, program):
    shown = program(
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
print(json.dumps([[log.log_record.event_name, dict(log.log_record.body)] for log in exporter.get_finished_logs()]))
"""
    )
    assert [
        [name, body.get("content") or body["message"]["content"]]
        for name, body in json.loads(shown)
    ] == [
        ["gen_ai.user.message", "hi"],
        ["gen_ai.choice", "hi "],
        ["gen_ai.user.message", "to be"],
        ["gen_ai.choice", "to be "],
        ["gen_ai.user.message", "ho"],
        ["gen_ai.choice", None],
    ]


def test_uninstrument(server, traced):
    (shown,) = traced("""
replicate.run("acme/shout", input={"prompt": "hi"})
before = len(spans())
ReplicateInstrumentor().uninstrument()
text = "".join(map(str, replicate.stream("acme/llama", input={"prompt": "to be"})))
show(before, replicate.run("acme/shout", input={"prompt": "hi"}), text, spans())
""")
    assert shown == [1, "HI", "to be ", []]
