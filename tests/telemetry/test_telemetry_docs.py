"""docs/telemetry.md: its trace is what a run gives, and its tables name what is recorded."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from replicate_rs import exceptions
from support.wire import Wire, prediction, reply

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))

import trace_picture  # noqa: E402 - found by the line above

pytest_plugins = ["support.telemetry_fixtures"]

TEXT = (ROOT / "docs" / "telemetry.md").read_text()
NAMED = set(re.findall(r"`((?:gen_ai|replicate|http|server|network|url|error)\.[a-z_.]+)`", TEXT))
# The name of another library's span.
NAMED.remove("replicate.run")


def test_the_trace_is_that_of_a_run():
    spans = trace_picture.record()
    (shown,) = trace_picture.TREE.findall(TEXT)
    assert shown == trace_picture.tree(spans)
    picture = (ROOT / "docs" / "trace.svg").read_text()
    assert all(trace_picture.label(span) in picture for span in spans)
    assert "replicate.retry" in picture


def test_each_attribute_and_metric_is_named(both, observed_server, recorded):
    recorded.instrument(capture_content=True)
    client = both.client(observed_server.base_url, poll_interval=0.01)
    observed_server.fault("POST /models/*", retry_after=1)
    both(lambda: client.run("acme/shout", {"text": "a"}, wait=False))
    both(lambda: client.stream("acme/words", {"text": "a"}))
    with pytest.raises(exceptions.NotFoundError):
        both(lambda: client.predictions.get("absent"))
    observed_server.fault("GET /v1/streams/*", drop_stream=1)
    both(lambda: client.stream("acme/words", {"text": "a b c"}))
    names = "predict_time", "time_to_first_token", "input_token_count", "output_token_count"
    metrics = dict.fromkeys(names, 1)
    with Wire(lambda seen: reply(prediction(metrics=metrics))) as wire:
        both(lambda: both.client(wire.base_url).predictions.create(deployment="a/b", input={}))
    seen = set(recorded.metrics())
    for span in recorded.spans():
        seen |= span.attributes.keys()
        for event in span.events:
            seen |= {event.name, *event.attributes}
    for points in recorded.metrics().values():
        for point in points:
            seen |= point.attributes.keys()
    assert seen - NAMED == set()
    # The local server's errors have no id.
    assert NAMED - seen <= {"replicate.request.id"}
