"""Faults of slow servers: each limit is kept, and the error names the phase that took too long."""

from __future__ import annotations

import time

from chaos.fault import Error, Fault
from chaos.operations import CONTENT
from chaos.server import drip, good, say_nothing, stall, take, until_left
from replicate_rs import Timeout
from support.wire import CHUNKED, output, prediction, reply

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
READ = {"max_retries": 0, "timeout": Timeout(read=0.3)}
SOON = (0.2, 0.6)
TOTAL = Error("APITimeoutError", "over all attempts")
RESPONSE = Error("APITimeoutError", "waiting for the response")
BODY = Error("APITimeoutError", "reading the response body")
HELD = Error("APITimeoutError", "may have taken this request")


def _slow_loris(connection):
    for each in HEAD * 10:
        connection.sendall(bytes([each]))
        time.sleep(0.05)


def _informing(connection):
    while True:
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        time.sleep(0.02)


def _unread(connection):
    """Stop reading until the client must have given up, then drain the system's buffers."""
    time.sleep(1.0)
    while connection.recv(1 << 20):
        pass


def _streamed(*, after):
    def script(stage, seen):
        if seen.path == "/stream":
            return after
        return reply(
            {**prediction("starting"), "urls": {"stream": f"{stage.home.origin}/stream"}}, 201
        )

    return script


def _one_chunk(content):
    return CHUNKED + f"{len(content):x}\r\n".encode() + content + b"\r\n"


FAULTS = [
    Fault("silent", "no response", until_left, RESPONSE, options=READ, lasts=SOON),
    Fault(
        "silent-deadline",
        "no response; the call has a deadline",
        until_left,
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "silent-create",
        "no response to a POST",
        until_left,
        HELD,
        "create",
        options=READ,
        lasts=SOON,
        posts=1,
    ),
    Fault(
        "silent-create-deadline",
        "no response to a POST; the call has a deadline",
        until_left,
        HELD,
        "create",
        deadline=0.3,
        lasts=SOON,
        posts=1,
        settles=8.0,
    ),
    Fault(
        "silent-delete",
        "no response to a DELETE",
        until_left,
        RESPONSE,
        "delete",
        options=READ,
        lasts=SOON,
    ),
    Fault(
        "silent-and-retried",
        "no response to any attempt; the total time is limited",
        until_left,
        TOTAL,
        options={"max_retries": 5, "timeout": Timeout(read=0.1, total=0.4)},
        lasts=(0.3, 0.7),
    ),
    Fault(
        "silent-once",
        "no response to the first request",
        (until_left, good()),
        options={"max_retries": 1, "timeout": Timeout(read=0.2)},
    ),
    Fault(
        "slow-loris",
        "a response head of one byte per 50 ms",
        _slow_loris,
        RESPONSE,
        options=READ,
        lasts=SOON,
    ),
    Fault(
        "slow-loris-deadline",
        "a response head of one byte per 50 ms; the call has a deadline",
        _slow_loris,
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "endless-102",
        "endless interim responses (102)",
        _informing,
        RESPONSE,
        options=READ,
        lasts=SOON,
    ),
    Fault(
        "endless-102-deadline",
        "endless interim responses (102); the call has a deadline",
        _informing,
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "dripping-body",
        "a body of one byte per 20 ms; the total time is limited",
        drip(HEAD),
        TOTAL,
        options={"timeout": Timeout(total=0.3)},
        lasts=SOON,
    ),
    Fault(
        "dripping-body-deadline",
        "a body of one byte per 20 ms; the call has a deadline",
        drip(HEAD),
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "dripping-error",
        "status 500 with a body of one byte per 20 ms",
        drip(HEAD.replace(b"200 OK", b"500 X")),
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "stalled-body",
        "the body stalls halfway",
        stall(good()[:-5]),
        BODY,
        options=READ,
        lasts=SOON,
    ),
    Fault(
        "stalled-body-deadline",
        "the body stalls halfway; the call has a deadline",
        stall(good()[:-5]),
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "stalled-create",
        "the response to a POST stalls halfway",
        stall(good()[:-5]),
        HELD,
        "create",
        options=READ,
        lasts=SOON,
        posts=1,
    ),
    Fault(
        "stalled-chunk",
        "a chunk stalls halfway",
        stall(CHUNKED + b"64\r\n{"),
        BODY,
        options=READ,
        lasts=SOON,
    ),
    Fault(
        "stalled-run",
        "the prediction never ends",
        reply(prediction("processing")),
        Error(
            "PredictionTimeout",
            "is still processing after 0.3 s",
            lambda error: error.prediction.id == "p1",
        ),
        "run",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "held-run",
        "the create is held open without a response",
        until_left,
        Error("PredictionTimeout", "has no answer after 0.3 s"),
        "run",
        deadline=0.3,
        lasts=SOON,
        posts=1,
        settles=8.0,
    ),
    Fault(
        "held-poll",
        "a poll is held open without a response",
        lambda stage, seen: (
            reply(prediction("starting"), 201) if seen.method == "POST" else until_left
        ),
        Error("PredictionTimeout", "is still starting after 0.3 s"),
        "run",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "stalled-stream",
        "the event stream falls silent; the call has a deadline",
        _streamed(after=stall(_one_chunk(output("a")))),
        Error("PredictionTimeout", "after 0.3 s"),
        "stream",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "silent-stream",
        "the event stream never begins; the call has a deadline",
        _streamed(after=until_left),
        Error("PredictionTimeout", "after 0.3 s"),
        "stream",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "commenting-stream",
        "the event stream has only comments; the call has a deadline",
        _streamed(after=drip(CHUNKED, b"2\r\n:\n\r\n")),
        Error("PredictionTimeout", "after 0.3 s"),
        "stream",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "unread-upload",
        "the server does not read an upload",
        good(),
        Error("APITimeoutError", "sending the request"),
        "upload",
        argument=20_000_000,
        openings=(take(then=_unread),),
        options={"max_retries": 0, "timeout": Timeout(write=0.3)},
        lasts=(0.2, 0.9),
        posts=1,
    ),
    Fault(
        "silent-upload",
        "no response to an upload",
        until_left,
        RESPONSE,
        "upload",
        options=READ,
        lasts=SOON,
        posts=1,
    ),
    Fault(
        "unread-upload-deadline",
        "the server does not read an upload; the call has a deadline",
        good(),
        Error("APITimeoutError", "over all attempts"),
        "upload",
        argument=20_000_000,
        openings=(take(until=b"\r\n\r\n", then=_unread),),
        deadline=0.3,
        lasts=(0.2, 0.9),
        posts=1,
    ),
    Fault(
        "unread-connection",
        "the server does not even read the request head",
        good(),
        TOTAL,
        openings=(say_nothing,),
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "stalled-download",
        "the file stalls",
        stall(reply(CONTENT)[:100_000]),
        BODY,
        "download",
        options=READ,
        lasts=SOON,
    ),
    Fault(
        "dripping-download",
        "a file of one byte per 20 ms; the call has a deadline",
        drip(reply(CONTENT)[:100_000]),
        TOTAL,
        "download",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "dripping-save",
        "a file of one byte per 20 ms, saved to disk; the call has a deadline",
        drip(reply(CONTENT)[:100_000]),
        TOTAL,
        "save",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "patient-advice",
        "Retry-After asks for a longer wait than the deadline allows",
        reply({}, 429, headers="Retry-After: 30\r\n"),
        Error("RateLimitError", "429", lambda error: error.retry_after == 30),
        deadline=0.3,
        lasts=(0, 0.9),
    ),
]
