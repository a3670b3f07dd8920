"""Servers that take their time: every wait ends where it was said to, and the error names the
phase.
"""

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
    """Let an upload stand still, until it must have been given up; then what is in the system's
    buffers can go.
    """
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
    Fault("silent", "no answer", until_left, RESPONSE, options=READ, lasts=SOON),
    Fault(
        "silent-deadline",
        "no answer, with a deadline over the call",
        until_left,
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "silent-create",
        "no answer to a POST",
        until_left,
        HELD,
        "create",
        options=READ,
        lasts=SOON,
        posts=1,
    ),
    Fault(
        "silent-create-deadline",
        "the same, with a deadline",
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
        "no answer to a DELETE",
        until_left,
        RESPONSE,
        "delete",
        options=READ,
        lasts=SOON,
    ),
    Fault(
        "silent-and-retried",
        "no answer, again and again, with a total",
        until_left,
        TOTAL,
        options={"max_retries": 5, "timeout": Timeout(read=0.1, total=0.4)},
        lasts=(0.3, 0.7),
    ),
    Fault(
        "silent-once",
        "no answer to the first request",
        (until_left, good()),
        options={"max_retries": 1, "timeout": Timeout(read=0.2)},
    ),
    Fault(
        "slow-loris", "a head of a byte per 50 ms", _slow_loris, RESPONSE, options=READ, lasts=SOON
    ),
    Fault(
        "slow-loris-deadline",
        "the same, with a deadline",
        _slow_loris,
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "endless-102", "interim answers without end", _informing, RESPONSE, options=READ, lasts=SOON
    ),
    Fault(
        "endless-102-deadline",
        "the same, with a deadline",
        _informing,
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "dripping-body",
        "a body of a byte per 20 ms",
        drip(HEAD),
        TOTAL,
        options={"timeout": Timeout(total=0.3)},
        lasts=SOON,
    ),
    Fault(
        "dripping-body-deadline",
        "the same, with a deadline",
        drip(HEAD),
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "dripping-error",
        "a status of 500 whose body drips",
        drip(HEAD.replace(b"200 OK", b"500 X")),
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault("stalled-body", "half a body", stall(good()[:-5]), BODY, options=READ, lasts=SOON),
    Fault(
        "stalled-body-deadline",
        "the same, with a deadline",
        stall(good()[:-5]),
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "stalled-create",
        "half an answer to a POST",
        stall(good()[:-5]),
        HELD,
        "create",
        options=READ,
        lasts=SOON,
        posts=1,
    ),
    Fault(
        "stalled-chunk", "half a chunk", stall(CHUNKED + b"64\r\n{"), BODY, options=READ, lasts=SOON
    ),
    Fault(
        "stalled-run",
        "a prediction that stays as it is",
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
        "a create that is held open",
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
        "a poll that is held open",
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
        "a stream that falls silent, and a deadline",
        _streamed(after=stall(_one_chunk(output("a")))),
        Error("PredictionTimeout", "after 0.3 s"),
        "stream",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "silent-stream",
        "a stream that never begins, and a deadline",
        _streamed(after=until_left),
        Error("PredictionTimeout", "after 0.3 s"),
        "stream",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "commenting-stream",
        "a stream of nothing but comments, and a deadline",
        _streamed(after=drip(CHUNKED, b"2\r\n:\n\r\n")),
        Error("PredictionTimeout", "after 0.3 s"),
        "stream",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "unread-upload",
        "an upload that the server does not read",
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
        "no answer to an upload",
        until_left,
        RESPONSE,
        "upload",
        options=READ,
        lasts=SOON,
        posts=1,
    ),
    Fault(
        "unread-upload-deadline",
        "the same, with a deadline",
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
        "not even the request's head is read",
        good(),
        TOTAL,
        openings=(say_nothing,),
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "stalled-download",
        "a file that stalls",
        stall(reply(CONTENT)[:100_000]),
        BODY,
        "download",
        options=READ,
        lasts=SOON,
    ),
    Fault(
        "dripping-download",
        "a file of a byte per 20 ms, and a deadline",
        drip(reply(CONTENT)[:100_000]),
        TOTAL,
        "download",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "dripping-save",
        "the same, to disk",
        drip(reply(CONTENT)[:100_000]),
        TOTAL,
        "save",
        deadline=0.3,
        lasts=SOON,
    ),
    Fault(
        "patient-advice",
        "advice to wait for longer than the deadline",
        reply({}, 429, headers="Retry-After: 30\r\n"),
        TOTAL,
        deadline=0.3,
        lasts=SOON,
    ),
]
