"""Streams whose connection breaks: no event is lost or repeated, and no end is invented."""

import asyncio
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from support.wire import HEAD, Wire, done, hang, numbered, output, prediction, reply, streaming

WORDS = [f"w{n} " for n in range(30)]
TEXT = "".join(WORDS)
# What a server sends before it closes a silent stream.
SILENT = b":408: 408 Request Timeout\n\n"


def reset(connection):
    """Cut the connection hard."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def resuming(*cuts, kind="resume", poll=None):
    """Return a server that cuts its stream after so many bytes each, and then sends the rest.

    `kind` is what it does with a `Last-Event-ID`: ``resume`` after it, ``replay`` from the
    beginning, or ``live``: continue where the cut was, whatever the client has received.
    """
    whole = [*[numbered(text, first=n) for n, text in enumerate(WORDS)], done()]
    left = [*cuts]
    sent = {"live": 0}

    def stream(seen):
        last = seen.headers.get("last-event-id")
        start = {
            "resume": int(last.rpartition(":")[2]) + 1 if last else 0,
            "replay": 0,
            "live": sent["live"],
        }[kind]
        body = b": hi\n\n" + b"".join(whole[start:])
        if left:
            body = body[: left.pop(0)]
            sent["live"] = start + body.count(b"\n\n") + 1
        return lambda connection: connection.sendall(HEAD + body)

    return streaming(stream, poll=poll)


def text_of(both, wire, **options):
    return both(
        lambda: (
            both.client(wire.base_url, poll_interval=0.001, **options)
            .text_stream("acme/x", {})
            .collect()
        )
    )


@pytest.mark.parametrize("kind", ["resume", "replay"])
def test_cut_anywhere_the_text_is_the_same(both, kind):
    """After every event, and at some places within each; all at once, because each reconnects after
    a pause.
    """
    size = len(numbered("w10 ", first=10))
    wires = [
        resuming(cut, kind=kind, poll=prediction("succeeded", output=WORDS))
        for cut in range(7, 7 + 30 * size, 17)
    ]
    streams = [both.client(wire.base_url).predictions.stream("p1") for wire in wires]
    if both.is_async:

        async def collected():
            return await asyncio.gather(*(stream.collect() for stream in streams))

        assert both(collected) == [TEXT] * len(wires)
    else:
        with ThreadPoolExecutor(len(wires)) as threads:
            assert [*threads.map(lambda stream: stream.collect(), streams)] == [TEXT] * len(wires)
    for wire in wires:
        wire.__exit__()


@pytest.mark.parametrize("after", range(31))
def test_the_local_server_s_stream_is_gone_on_with_after_every_event(both, client, local, after):
    local.fault("GET /v1/streams/*", drop_stream=after)
    events = both(lambda: client.stream("acme/tokens", {"text": TEXT}))
    assert "".join(map(str, events)) == TEXT
    assert [event.event for event in events] == ["output"] * 30 + ["done"]


def test_a_connection_that_breaks_again_and_again_is_made_again_and_again(both):
    with resuming(*[200] * 6) as wire:
        assert text_of(both, wire) == TEXT
    asked = [seen.headers.get("last-event-id") for seen in wire.seen if seen.path == "/stream"]
    assert len(asked) == 7
    assert asked[:2] == [None, "1690212292:3"]


def test_a_reset_is_a_break_like_any_other(both):
    stream = numbered(*WORDS)
    with streaming(
        stream[:300], reset, lambda seen: _after(seen, stream), poll=prediction("processing")
    ) as wire:
        assert text_of(both, wire) == TEXT


def _after(seen, stream):
    last = seen.headers.get("last-event-id")
    rest = stream.partition(f"id: {last}\n".encode())[2].partition(b"\n\n")[2] if last else stream
    return lambda connection: connection.sendall(HEAD + rest + done())


@pytest.mark.parametrize("status", ["succeeded", "processing"])
def test_what_a_server_leaves_out_comes_from_the_prediction(both, status):
    """The server continues elsewhere, so none of its events are used."""
    polls = [prediction(status, output=WORDS[:20])] * (status == "processing") + [
        prediction("succeeded", output=WORDS)
    ]
    with resuming(200, kind="live", poll=polls) as wire:
        assert text_of(both, wire) == TEXT
    assert wire.routes.count("GET /stream") == 2, (
        "a stream that cannot be gone on with is not asked for again"
    )
    with resuming(200, kind="live", poll=polls) as wire:
        events = both(lambda: both.client(wire.base_url, poll_interval=0.001).stream("acme/x", {}))
    assert "".join(map(str, events)) == TEXT
    assert events[-1] == replicate.ServerSentEvent("done", "{}")


def test_logs_come_from_the_prediction_too(both):
    first = b"id: 5:0\nevent: logs\ndata: one\n\n" + b"id: 5:1\nevent: output\ndata: a\n\n"
    ended = prediction("succeeded", output=["a", "b"], logs="one\ntwo")
    with streaming(first, b"", poll=ended) as wire:
        events = both(lambda: both.client(wire.base_url).stream("acme/x", {}))
    assert [(event.event, event.data) for event in events[2:]] == [
        ("logs", "\ntwo"),
        ("output", "b"),
        ("done", "{}"),
    ]


@pytest.mark.parametrize(
    "ended",
    [
        prediction("succeeded", output=["something else"]),
        prediction("succeeded", output=None, data_removed=True),
        prediction("succeeded", output={"text": "w0 w1"}),
        prediction("succeeded", output="w0"),
    ],
)
def test_a_prediction_that_says_otherwise_completes_nothing(both, ended):
    with resuming(200, kind="live", poll=ended) as wire:
        with pytest.raises(
            exceptions.StreamInterrupted,
            match="after.*1690212292:3.*does not begin with what came before",
        ) as caught:
            text_of(both, wire)
    assert (caught.value.last_event_id, caught.value.prediction.id) == ("1690212292:3", "p1")
    assert not any("cancel" in route for route in wire.routes)


def test_a_stream_of_nothing_whose_prediction_was_deleted_is_interrupted_before_the_first_event(
    both,
):
    with streaming(SILENT, poll=prediction("succeeded", data_removed=True)) as wire:
        with pytest.raises(
            exceptions.StreamInterrupted, match="broke off before the first event"
        ) as caught:
            text_of(both, wire)
    assert caught.value.last_event_id is None


@pytest.mark.parametrize("status", ["canceled", "aborted"])
def test_a_cancel_that_only_the_prediction_tells_of_is_given_and_raised(both, status):
    with streaming(numbered("a"), b"", poll=prediction(status, output=["a"])) as wire:
        given = []
        with pytest.raises(replicate.PredictionCanceled):
            both.fill(given, lambda: both.client(wire.base_url).stream("acme/x", {}))
    assert given[1:] == [replicate.ServerSentEvent("done", '{"reason": "canceled"}')]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("failed", replicate.ModelError),
        ("canceled", replicate.PredictionCanceled),
        ("aborted", replicate.PredictionCanceled),
    ],
)
def test_a_prediction_that_has_failed_meanwhile_raises_that(both, status, error):
    with resuming(200, kind="live", poll=prediction(status, output=WORDS[:4], error="OOM")) as wire:
        with pytest.raises(error):
            text_of(both, wire)


def test_an_end_without_done_is_no_end(both):
    """The server closes cleanly, again and again, while the prediction still runs."""
    polls = [prediction("processing", output=["a"])] * 3 + [
        prediction("succeeded", output=["a", "b"])
    ]
    with streaming(numbered("a"), b"", poll=polls) as wire:
        assert text_of(both, wire) == "ab"
    assert wire.routes.count("GET /stream") == 5, (
        "it is asked after each connection that brought nothing"
    )


def test_after_six_connections_that_bring_nothing_the_prediction_is_asked_for_the_rest(both):
    polls = [prediction("processing", output=["a"])] * 9 + [
        prediction("succeeded", output=["a", "b"])
    ]
    with streaming(b"retry: 1\n\n", poll=polls) as wire:
        assert text_of(both, wire) == "ab"
    assert wire.routes.count("GET /stream") == 6


def test_connections_that_bring_something_are_not_counted(both):
    """Ten connections, each of which breaks after one more event."""
    events = [b"retry: 1\n" + numbered(text, first=n) for n, text in enumerate(WORDS[:10])]
    with streaming(*events[:-1], events[-1] + done(), poll=prediction("processing")) as wire:
        assert text_of(both, wire) == "".join(WORDS[:10])
    assert wire.routes.count("GET /stream") == 10


def test_a_stream_that_is_gone_is_completed_by_the_prediction(both):
    with streaming(
        numbered("a"),
        lambda _: reply({"detail": "gone"}, 404),
        poll=prediction("succeeded", output="abc"),
    ) as wire:
        assert text_of(both, wire) == "abc"
    assert wire.routes.count("GET /stream") == 2


def test_a_prediction_that_is_asked_for_the_rest_is_asked_at_intervals(both):
    with streaming(
        numbered("a"), lambda _: reply(status=404), poll=prediction("processing", output=["a"])
    ) as wire:
        client = both.client(wire.base_url, poll_interval=60)
        with pytest.raises(replicate.PredictionTimeout):
            both(lambda: client.text_stream("acme/x", {}, timeout=1.5).collect())
    assert wire.routes.count("GET /v1/predictions/p1") == 1


def test_a_stream_that_answers_no_more_is_completed_by_the_prediction(both):
    with streaming(
        numbered("a"), lambda _: hang, poll=prediction("succeeded", output=["a", "b"])
    ) as wire:
        assert text_of(both, wire, timeout=replicate.Timeout(read=0.2), max_retries=0) == "ab"


def test_a_deadline_ends_the_question_for_the_rest(both):
    def stuck(seen):
        if seen.method == "POST":
            return reply(prediction("processing", urls={"stream": f"{wire.origin}/stream"}), 201)
        if seen.path == "/stream" and wire.routes.count("GET /stream") == 1:
            return lambda connection: connection.sendall(HEAD + numbered("a"))
        return reply(status=404) if seen.path == "/stream" else hang

    with Wire(stuck) as wire:
        with pytest.raises(replicate.PredictionTimeout, match="p1 is still processing after 1.5 s"):
            both(
                lambda: both.client(wire.base_url).text_stream("acme/x", {}, timeout=1.5).collect()
            )


def test_an_api_that_is_gone_too_is_an_interruption(both):
    def gone(seen):
        if seen.method == "POST":
            return reply(prediction(urls={"stream": f"{wire.origin}/stream"}), 201)
        if wire.routes == ["POST /v1/models/acme/x/predictions", "GET /stream"]:
            return lambda connection: connection.sendall(HEAD + numbered("a"))
        return reply({"detail": "gone"}, 404)

    with Wire(gone) as wire:
        with pytest.raises(exceptions.StreamInterrupted, match="cannot be fetched") as caught:
            text_of(both, wire)
    assert isinstance(caught.value.__cause__, exceptions.NotFoundError)


def test_silence_is_asked_about_and_outlived(both):
    """Whether the server reports the silence, or the client's `idle` limit ends it."""
    quiet = numbered("a") + SILENT
    polls = [prediction("processing", output=None)] * 2 + [
        prediction("succeeded", output=["a", "b"])
    ]
    with streaming(quiet, SILENT, poll=polls) as wire:
        assert text_of(both, wire) == "ab"
    with streaming(numbered("a"), hang, poll=polls) as wire:
        assert text_of(both, wire, timeout=replicate.Timeout(idle=0.05)) == "ab"
    with streaming(quiet, numbered("b", first=1) + done(), poll=prediction("processing")) as wire:
        assert text_of(both, wire) == "ab"


def test_silence_is_not_counted(both):
    """A model may be silent for any time."""
    with streaming(*[SILENT] * 7, numbered("a") + done(), poll=prediction("processing")) as wire:
        assert (
            both(lambda: both.client(wire.base_url).text_stream("acme/x", {}, timeout=30).collect())
            == "a"
        )
    assert wire.routes.count("GET /stream") == 8


def test_the_server_s_retry_is_obeyed(both):
    """The client does not reconnect before; its deadline still ends the stream."""
    with streaming(b"retry: 30000\n" + numbered("a"), poll=prediction("processing")) as wire:
        with pytest.raises(replicate.PredictionTimeout):
            both(
                lambda: both.client(wire.base_url).text_stream("acme/x", {}, timeout=0.3).collect()
            )
    assert wire.routes.count("GET /stream") == 1


def test_a_server_that_wants_no_other_connection_for_long_has_none(both):
    with streaming(
        b"retry: 61000\n" + numbered("a"), poll=prediction("succeeded", output=["a", "b"])
    ) as wire:
        assert text_of(both, wire) == "ab"
    assert wire.routes.count("GET /stream") == 1


def test_streams_without_ids_are_gone_on_with_if_they_begin_anew(both):
    with streaming(
        output("a", "b"), output("a", "b", "c") + done(), poll=prediction("processing")
    ) as wire:
        assert text_of(both, wire) == "abc"
    with streaming(
        output("a", "b"), output("c") + done(), poll=prediction("succeeded", output=["a", "b", "c"])
    ) as wire:
        assert text_of(both, wire) == "abc"


def test_files_are_gone_on_with(both):
    urls = [f"https://replicate.delivery/{n}.png" for n in range(3)]
    with streaming(
        numbered(urls[0]), b"", path="/v1/files/x", poll=prediction("succeeded", output=urls)
    ) as wire:
        events = both(lambda: both.client(wire.base_url).stream("acme/x", {}))
    assert [event.data for event in events[:-1]] == [
        replicate.FileOutput(url, both.client(wire.base_url)) for url in urls
    ]


def test_through_fetch_a_break_is_outlived_too(both):
    seen = []

    def fetch(request, send):
        seen.append(request.headers.get("Last-Event-ID"))
        return send(request)

    with resuming(200, 200) as wire:
        assert text_of(both, wire, fetch=fetch) == TEXT
    assert seen.count(None) == 2
    assert seen[2:] == ["1690212292:3", "1690212292:7"]
