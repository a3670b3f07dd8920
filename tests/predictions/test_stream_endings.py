"""How streams of events end: failures, cancellations, refusals, deadlines and signals."""

import time

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs._base.cleanup import count_registered
from support.wire import HEAD, Wire, done, hang, output, prediction, reply, streaming


@pytest.mark.parametrize("id", ["", "id: 5:1\n"])
def test_an_error_event_is_the_model_s(both, client, id):
    with pytest.raises(exceptions.ModelError, match="OOM") as caught:
        both(lambda: client.stream("acme/fail", {}))
    assert caught.value.prediction.status == "failed"
    event = (
        f'{id}event: error\ndata: {{"detail": "no memory"}}\n\nevent: done\ndata: {{"reason":'
        ' "error"}\n\n'
    )
    with streaming(
        output("a") + event.encode(), poll=prediction("processing", logs="so far")
    ) as wire:
        given = []
        with pytest.raises(exceptions.ModelError, match="no memory") as caught:
            both.fill(given, lambda: both.client(wire.base_url).stream("acme/x", {}))
    assert [str(each) for each in given] == ["a"]
    assert (caught.value.prediction.status, caught.value.prediction.error) == (
        "failed",
        "no memory",
    )
    assert caught.value.prediction.logs == "so far"


def test_an_error_that_is_not_the_model_s_is_the_stream_s(both):
    with streaming(b"event: error\ndata: too slow\n\n", poll=prediction("succeeded")) as wire:
        with pytest.raises(exceptions.StreamError, match="too slow"):
            both(lambda: both.client(wire.base_url).stream("acme/x", {}))


def test_a_failure_that_the_stream_tells_of_does_not_wait_for_a_broken_api(both):
    def broken(seen):
        if seen.method == "POST":
            return reply(prediction("starting", urls={"stream": f"{wire.origin}/stream"}), 201)
        if seen.path == "/stream":
            return lambda connection: connection.sendall(HEAD + done("error"))
        return reply(status=503)

    with Wire(broken) as wire:
        with pytest.raises(replicate.ModelError) as caught:
            both(lambda: both.client(wire.base_url).stream("acme/x", {}))
    assert caught.value.prediction.status == "failed"
    assert wire.routes.count("GET /v1/predictions/p1") == 1


@pytest.mark.parametrize(
    ("reason", "error"),
    [("canceled", replicate.PredictionCanceled), ("error", replicate.ModelError)],
)
def test_a_done_that_is_not_success_is_given_and_raised(both, reason, error):
    for text in (False, True):
        with streaming(output("a") + done(reason), poll=prediction("processing")) as wire:
            client = both.client(wire.base_url)
            with pytest.raises(error) as caught:
                both(
                    lambda: (
                        client.text_stream("acme/x", {}).collect()
                        if text
                        else client.stream("acme/x", {})
                    )
                )
        assert caught.value.prediction.status == {"canceled": "canceled", "error": "failed"}[reason]


@pytest.mark.parametrize("reason", ["canceled", "error"])
def test_a_prediction_that_was_aborted_is_not_a_failure_of_the_model(both, reason):
    with streaming(output("a") + done(reason), poll=prediction("aborted")) as wire:
        with pytest.raises(replicate.PredictionCanceled) as caught:
            both(lambda: both.client(wire.base_url).stream("acme/x", {}))
    assert caught.value.prediction.status == "aborted"


def test_what_is_not_a_stream_is_refused_before_the_first_event(both):
    with Wire(lambda seen: reply(prediction(urls={"stream": f"{wire.origin}/s"}))) as wire:
        with pytest.raises(
            exceptions.APIConnectionError, match="expected an event stream.*application/json"
        ):
            both(lambda: both.client(wire.base_url).stream("acme/x", {}))
    with (
        Wire(lambda seen: reply(prediction())) as wire,
        pytest.raises(exceptions.StreamError, match="does not support"),
    ):
        both(lambda: both.client(wire.base_url).stream("acme/x", {}))


@pytest.mark.parametrize("address", [5, ["x"], "no address", ""])
def test_a_stream_address_that_is_none_is_refused(both, address):
    with Wire(lambda _: reply(prediction(urls={"stream": address}), 201)) as wire:
        with pytest.raises(exceptions.StreamError, match="not a URL") as caught:
            both(lambda: both.client(wire.base_url).stream("acme/x", {}))
    assert caught.value.prediction.id == "p1"


@pytest.mark.parametrize(
    ("status", "error"), [(404, exceptions.NotFoundError), (410, exceptions.APIStatusError)]
)
def test_an_answer_of_the_stream_s_server_is_raised_as_such(both, status, error):
    with streaming(
        lambda _: reply({"detail": "it is gone"}, status, kind="text/event-stream")
    ) as wire:
        with pytest.raises(error, match="it is gone"):
            both(lambda: both.client(wire.base_url).stream("acme/x", {}))
    assert wire.routes.count("GET /stream") == 1


def test_a_stream_that_does_not_begin_leaves_nothing_for_the_end_of_its_client(both):
    with streaming(lambda _: reply({"detail": "it is gone"}, 404)) as wire:
        client = both.client(wire.base_url)
        for call in (client.stream, client.relay):
            with pytest.raises(exceptions.NotFoundError):
                both(lambda call=call: call("acme/x", {}))
        assert count_registered(client._core) == 0


def test_a_deadline_is_over_all_of_a_stream(both):
    with streaming(output("a"), hang) as wire:
        for options in ({}, {"timeout": 30}):
            client = both.client(wire.base_url)
            with pytest.raises(replicate.PredictionTimeout, match="after 0.2 s") as caught:
                both(lambda: client.stream("acme/x", {}, **{**options, "timeout": 0.2}))
            assert caught.value.prediction.id == "p1"
        wire.until(lambda: wire.routes.count("POST /v1/predictions/p1/cancel") == 2)


def test_a_deadline_counts_from_the_first_step(both):
    with streaming(output("a") + done()) as wire:
        stream = both.client(wire.base_url).stream("acme/x", {}, timeout=1)
        time.sleep(1.1)
        assert wire.seen == []
        assert [str(event) for event in both(lambda: stream)] == ["a", ""]


def test_a_signal_stops_a_stream(both):
    controller = replicate.AbortController()

    def stop(connection):
        controller.abort("enough")
        hang(connection)

    with streaming(output("a"), stop) as wire:
        with pytest.raises(replicate.AbortError, match="enough"):
            both(lambda: both.client(wire.base_url).stream("acme/x", {}, signal=controller.signal))
        wire.until(lambda: "POST /v1/predictions/p1/cancel" in wire.routes)
        sent = len(wire.seen)
        with pytest.raises(replicate.AbortError):
            both(lambda: both.client(wire.base_url).stream("acme/x", {}, signal=controller.signal))
        assert len(wire.seen) == sent


def test_an_event_has_its_own_limit(both):
    with streaming(output("a" * 2000)) as wire:
        with pytest.raises(replicate.EventTooLarge, match="1000 bytes") as caught:
            both(lambda: both.client(wire.base_url, max_response_bytes=1000).stream("acme/x", {}))
    assert caught.value.prediction.id == "p1"
