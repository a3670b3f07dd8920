"""Histograms and counters."""

from __future__ import annotations

import pytest

from replicate_rs import exceptions
from support.wire import Wire, prediction, reply

pytest_plugins = ["support.telemetry_fixtures"]


@pytest.fixture
def server(observed_server):
    return observed_server


@pytest.fixture
def client(both, server):
    return both.client(server.base_url, poll_interval=0.01)


DURATION = "gen_ai.client.operation.duration"
FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"


def test_durations(both, client, recorded):
    both(lambda: client.run("acme/shout", input={"text": "a"}))
    both(lambda: client.run("acme/shout", input={"text": "a"}))
    with pytest.raises(exceptions.ModelError):
        both(lambda: client.run("acme/fail"))
    points = recorded.metrics()[DURATION]
    seen = {
        (point.attributes["gen_ai.request.model"], point.attributes.get("error.type")): point.count
        for point in points
    }
    assert seen == {
        ("acme/shout", None): 2,
        ("acme/fail", "replicate_rs.exceptions.ModelError"): 1,
    }
    for point in points:
        assert point.attributes["gen_ai.operation.name"] == "generate_content"
        assert point.attributes["gen_ai.provider.name"] == "replicate"
        assert point.explicit_bounds[0] == 0.01
        assert point.explicit_bounds[-1] == pytest.approx(81.92)
        assert 0 < point.sum < 60


def test_time_to_first_chunk(both, client, recorded):
    both(lambda: client.stream("acme/words", input={"text": "a b c"}))
    (point,) = recorded.metrics()[FIRST_CHUNK]
    assert point.count == 1
    assert 0 < point.sum <= recorded.metrics()[DURATION][0].sum
    both(lambda: client.run("acme/shout", input={"text": "a"}))
    assert recorded.metrics()[FIRST_CHUNK][0].count == 1


def test_attempts(both, recorded):
    answers = [reply({"detail": "later"}, 503), reply(prediction())]
    with Wire(lambda seen: answers.pop(0)) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.predictions.get("p1"))
    points = recorded.metrics()["replicate.client.attempts"]
    seen = {
        (p.attributes["http.response.status_code"], p.attributes.get("error.type")): p.value
        for p in points
    }
    assert seen == {(503, "503"): 1, (200, None): 1}


@pytest.mark.parametrize("size", [10, 300_000])
def test_bytes(both, recorded, size):
    bodies = []

    def answer(seen):
        bodies.append(len(seen.body))
        return reply({"id": "f1", "padding": "x" * size})

    with Wire(answer) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.files.create(b"y" * size, filename="f"))
    seen = {
        point.attributes["network.io.direction"]: point.value
        for point in recorded.metrics()["replicate.client.io"]
    }
    length = len(reply({"id": "f1", "padding": "x" * size}).partition(b"\r\n\r\n")[2])
    assert seen == {"transmit": bodies[0], "receive": length}


def test_bytes_of_files_and_streams(both, client, recorded, tmp_path):
    def received():
        points = recorded.metrics()["replicate.client.io"]
        return sum(p.value for p in points if p.attributes["network.io.direction"] == "receive")

    content = b"0123456789" * 100_000
    output = both(lambda: client.run("acme/reverse", input={"file": content}))
    for read in (
        output.read,
        lambda: output.save(tmp_path / "file"),
        output.achunks if both.is_async else output.chunks,
    ):
        before = received()
        both(read)
        assert received() - before == len(content)
    before = received()
    both(lambda: client.stream("acme/words", input={"text": "a b c"}))
    assert received() > before


def test_recorded_without_a_provider(both, server):
    """Without an SDK, OpenTelemetry's API records nothing."""
    from replicate_rs import telemetry

    telemetry.instrument()
    try:
        client = both.client(server.base_url)
        assert both(lambda: client.run("acme/shout", input={"text": "a"})) == "A"
    finally:
        telemetry.uninstrument()
