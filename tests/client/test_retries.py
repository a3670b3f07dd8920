"""Requests that are retried, when, and those that are not."""

import itertools
import logging
import socket
import struct
import threading
import time
from collections import deque
from email.utils import formatdate

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from support.wire import Wire, prediction, reply


def get(both, wire, **options):
    """Fetch a prediction, without retries unless `options` ask for them."""
    client = both.client(wire.base_url, **({"max_retries": 0} | options))
    return both(lambda: client.predictions.get("x"))


def test_a_get_is_repeated_on_passing_faults(both):
    count = itertools.count()
    answers = [None, reply(status=500), reply({"retry_after": 0}, 429), reply(prediction())]
    with Wire(lambda _: answers[next(count)]) as wire:
        assert get(both, wire, max_retries=3).id == "p1"
    assert len(wire.seen) == 4


@pytest.mark.parametrize(
    "fault",
    [None, reply(status=500), reply(status=503), reply(b"{")],
    ids=["reset", "500", "503", "half"],
)
def test_a_create_is_never_sent_twice(both, fault):
    with Wire(lambda _: fault) as wire:
        client = both.client(wire.base_url)
        with pytest.raises(replicate.ReplicateError):
            both(lambda: client.predictions.create("v", {}))
        time.sleep(0.05)
        assert len(wire.seen) == 1


def test_a_create_whose_answer_is_lost_says_that_it_may_have_been_taken(both):
    with Wire(lambda _: None) as wire:
        with pytest.raises(exceptions.APIConnectionError, match="may have taken this request"):
            both(lambda: both.client(wire.base_url).predictions.create("v", {}))


def test_a_create_that_was_refused_for_now_is_repeated_when_the_server_says(both):
    count = itertools.count()
    answers = [
        reply({"detail": "throttled"}, 429, headers="Retry-After: 0.2\r\n"),
        reply(prediction(), 201),
    ]
    with Wire(lambda _: answers[next(count)]) as wire:
        start = time.monotonic()
        both(lambda: both.client(wire.base_url).predictions.create("v", {}))
        assert time.monotonic() - start >= 0.2


def in_an_hour():
    return f"Retry-After: {formatdate(time.time() + 3600, usegmt=True)}\r\n"


@pytest.mark.parametrize(
    ("advice", "least", "most"),
    [
        (lambda: reply({}, 429, headers="Retry-After: 86400\r\n"), 86400, 86400),
        (lambda: reply({}, 429, headers=in_an_hour()), 3590, 3600),
        (lambda: reply({"retry_after": 61.5}, 429), 61.5, 61.5),
        (
            lambda: reply(
                {"detail": "Request was throttled. Your rate limit resets in ~75s."}, 429
            ),
            75,
            75,
        ),
        (
            lambda: reply(
                {"detail": "Request was throttled. Expected available in 2 minutes."}, 429
            ),
            120,
            120,
        ),
    ],
    ids=["seconds", "date", "body", "resets in", "available in"],
)
def test_advice_above_a_minute_is_raised_at_once(both, advice, least, most):
    with Wire(lambda _: advice()) as wire:
        with pytest.raises(exceptions.RateLimitError) as caught:
            get(both, wire, max_retries=5)
    assert least <= caught.value.retry_after <= most
    assert len(wire.seen) == 1


@pytest.mark.parametrize("skew", [-3600, -30, 30, 3600])
def test_a_date_is_read_by_the_clock_of_the_server_that_gave_it(both, skew):
    """The answer says what time it is there; this machine's clock is another."""

    def limited(seconds):
        dates = [formatdate(time.time() + skew + more, usegmt=True) for more in (0, seconds)]
        return reply({}, 429, headers=f"Date: {dates[0]}\r\nRetry-After: {dates[1]}\r\n")

    with Wire(lambda _: limited(120)) as wire:
        with pytest.raises(exceptions.RateLimitError) as caught:
            get(both, wire, max_retries=5)
    assert (caught.value.retry_after, len(wire.seen)) == (120, 1)
    count = itertools.count()
    with Wire(lambda _: [limited(1), reply(prediction())][next(count)]) as wire:
        start = time.monotonic()
        assert get(both, wire, max_retries=1).id == "p1"
        assert 1 <= time.monotonic() - start < 20


def test_advice_in_words_is_obeyed(both):
    count = itertools.count()
    answers = [
        reply({"detail": "Request was throttled. Your rate limit resets in ~200ms."}, 429),
        reply(prediction(), 201),
    ]
    with Wire(lambda _: answers[next(count)]) as wire:
        start = time.monotonic()
        both(lambda: both.client(wire.base_url).predictions.create("v", {}))
        assert time.monotonic() - start >= 0.2


def test_attempts_are_counted(both):
    with Wire(lambda _: reply({"retry_after": 0}, 503)) as wire:
        with pytest.raises(exceptions.InternalServerError):
            get(both, wire, max_retries=2)
    assert len(wire.seen) == 3


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("GET", 3),
        ("HEAD", 3),
        ("OPTIONS", 3),
        ("PUT", 3),
        ("DELETE", 3),
        ("QUERY", 3),
        ("POST", 1),
        ("PATCH", 1),
    ],
)
@pytest.mark.parametrize(
    "fault",
    [None, reply({"detail": "down"}, 503, headers="Retry-After: 0\r\n")],
    ids=["reset", "503"],
)
def test_what_is_idempotent_or_safe_is_repeated(both, method, asked, fault):
    """RFC 9110, 9.2.2; QUERY is safe (RFC 9110 asks that of its definition)."""
    with Wire(lambda _: fault) as wire:
        client = both.client(wire.base_url, max_retries=2)
        with pytest.raises(replicate.ReplicateError):
            both(
                lambda: client.request(
                    "/x",
                    method=method,
                    data=None if method in {"GET", "HEAD"} else {"a": "b" * 100_000},
                )
            )
        assert wire.routes == [f"{method} /v1/x"] * asked
        assert len({each.body for each in wire.seen}) == 1


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "trace"])
def test_methods_that_are_not_for_an_api_are_refused(both, method):
    with Wire(lambda _: reply({})) as wire:
        with pytest.raises(ValueError, match=f"method {method.upper()}"):
            both(lambda: both.client(wire.base_url).request("/x", method=method))
        assert wire.seen == []


def reset(connection):
    """Hangs up so that what was sent meets an error, and not an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("end", [None, reset], ids=["end", "reset"])
def test_a_connection_that_was_closed_as_idle_costs_no_pause(both, caplog, end):
    """A server may close it just when a request is sent: the first repetition goes at once, further
    ones do not.
    """
    caplog.set_level(logging.INFO, logger="replicate_rs")
    # How many connections break in a call: the used one, and then new ones.
    breaks = deque([1, 2])
    connection = threading.local()
    left = 0

    def answer(_):
        nonlocal left
        is_used, connection.is_used = getattr(connection, "is_used", False), True
        # A client that is busy may open a new connection before it has back the used one.
        if not left and is_used and breaks:
            left = breaks.popleft()
        if not left:
            return reply(prediction())
        left -= 1
        return end

    with Wire(answer) as wire:
        client = both.client(wire.base_url)
        while breaks:
            assert both(lambda: client.predictions.get("x")).id == "p1"

        waits = [
            record.args["wait"] for record in caplog.records if record.args["wait"] is not None
        ]
        assert len(waits) == 3
        assert waits[0] == waits[1] == 0
        assert waits[2] > 0


def test_a_new_connection_that_breaks_costs_a_pause(both, caplog):
    caplog.set_level(logging.INFO, logger="replicate_rs")
    answers = iter([None, reply(prediction())])
    with Wire(lambda _: next(answers)) as wire:
        assert get(both, wire, max_retries=1).id == "p1"
    [wait] = [record.args["wait"] for record in caplog.records if record.args["wait"] is not None]
    assert wait > 0


def test_a_create_on_a_connection_that_was_closed_as_idle_is_not_repeated(both):
    answers = iter([reply(prediction()), None])
    with Wire(lambda _: next(answers)) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.predictions.get("x"))
        with pytest.raises(exceptions.APIConnectionError, match="may have taken this request"):
            both(lambda: client.predictions.create("v", {}))
        assert len(wire.seen) == 2
