"""Faults of event streams: broken, invalid and endless ones."""

from __future__ import annotations

import gzip
import hashlib

from chaos.fault import USUAL, Error, Fault, Value
from chaos.server import cut, flood, raw, reset, until_left
from replicate_rs import Timeout
from support.wire import CHUNKED, HEAD, done, numbered, prediction, reply

NONE = {"max_retries": 0}
FAST = {"poll_interval": 0.01, "max_retries": 1}
PARTS = ("a", " b", " c")
GOOD = HEAD + numbered("a", " b", " c") + done()
BIG = "x" * 10_000_000


def stream(
    name: str,
    what: str,
    *answers,
    expected=USUAL,
    poll=None,
    operation="stream",
    options=None,
    **more,
) -> Fault:
    """Return a fault of a stream that gets these responses in turn; a poll then returns `poll`."""
    present = prediction(output=list(PARTS)) if poll is None else poll

    def script(stage, seen):
        if seen.path == "/stream":
            asked = sum(each.path == "/stream" for each in stage.home.seen)
            return answers[min(asked, len(answers)) - 1]
        view = prediction("starting") if seen.method == "POST" else present
        return reply(
            {**view, "urls": {"stream": f"{stage.home.origin}/stream"}},
            201 if seen.method == "POST" else 200,
        )

    return Fault(
        f"stream-{name}",
        what,
        script,
        expected,
        operation,
        options=FAST if options is None else options,
        **more,
    )


def sent(*events: bytes) -> object:
    return cut(HEAD + b"".join(events), end=None)


FIRST = numbered("a")
GONE = Error("StreamInterrupted", "broke off")


def elsewhere(stage, seen):
    if seen.path == "/stream":
        return sent(numbered(*PARTS), done())
    return reply(
        {**prediction("starting"), "urls": {"stream": f"{stage.other.origin}/stream"}}, 201
    )


def to(url):
    return lambda stage, seen: reply({**prediction("starting"), "urls": {"stream": url}}, 201)


FAULTS = [
    stream("good", "no fault", sent(numbered(*PARTS), done())),
    stream(
        "cut-in-head",
        "the connection closes within the response head, then success",
        cut(HEAD, 20, None),
        cut(GOOD, end=None),
    ),
    stream(
        "reset-before-head",
        "the connection is reset before the response, then success",
        reset,
        cut(GOOD, end=None),
    ),
    stream(
        "cut-in-event",
        "the connection closes within an event, then success",
        sent(FIRST, b"event: output\ndata: half"),
        sent(numbered(*PARTS), done()),
    ),
    stream(
        "reset-in-event",
        "the connection is reset within an event, then success",
        cut(HEAD + FIRST + b"event: output\ndata: half"),
        cut(GOOD, end=None),
    ),
    stream(
        "cut-before-done", "the connection closes before the done event", sent(numbered(*PARTS))
    ),
    stream(
        "cut-before-anything",
        "the connection closes before the first event, then success",
        sent(),
        sent(numbered(*PARTS), done()),
    ),
    stream("cut-always", "every connection closes after the first event", sent(FIRST)),
    stream(
        "resumed",
        "the connection closes; the next one resumes at the right event",
        sent(numbered("a")),
        sent(numbered(" b", " c", first=1), done()),
    ),
    stream(
        "resumed-wrongly",
        "the connection closes; the next one resumes at a wrong event",
        sent(numbered("a")),
        sent(numbered(" z", first=7), done()),
    ),
    stream(
        "lost-and-changed",
        "the stream is lost, and the prediction's output differs from what was streamed",
        sent(FIRST),
        reply({}, 404),
        poll=prediction(output=["other"]),
        expected=GONE,
    ),
    stream(
        "lost-and-unknown",
        "the stream is lost, and the prediction never ends",
        sent(FIRST),
        reply({}, 404),
        poll={"id": "p1", "status": "starting"},
        expected=Error("PredictionTimeout", "after 0.4 s"),
        deadline=0.4,
    ),
    stream(
        "wrong-type",
        "JSON instead of events",
        reply({"a": 1}),
        expected=Error("ReplicateError", "(?i)event.stream|not a stream|application/json"),
    ),
    stream(
        "html",
        "a web page instead of events",
        reply(b"<html>", kind="text/html"),
        expected=Error("ReplicateError", "(?i)event.stream|text/html"),
    ),
    stream(
        "no-type",
        "events without a Content-Type",
        cut(raw("HTTP/1.1 200 OK", numbered(*PARTS) + done()), end=None),
        expected=(USUAL, Error("ReplicateError", "(?i)event.stream|type")),
    ),
    stream(
        "404",
        "404 to the stream",
        reply({"detail": "no such stream"}, 404),
        expected=Error("NotFoundError", "no such stream"),
    ),
    stream(
        "500",
        "500 to the stream",
        reply({"detail": "broken"}, 500),
        expected=Error("InternalServerError", "broken"),
    ),
    stream(
        "500-as-events",
        "500 with the media type of an event stream",
        reply(b"event: error\ndata: x\n\n", 500, kind="text/event-stream"),
        expected=Error("InternalServerError", "500"),
    ),
    stream("429", "429, then success", reply({"retry_after": 0}, 429), cut(GOOD, end=None)),
    stream(
        "error-event",
        "an error event",
        sent(FIRST, b'event: error\ndata: {"detail": "boom"}\n\n'),
        poll=prediction("failed", error="boom"),
        expected=Error("ModelError", "boom"),
    ),
    stream(
        "error-event-text",
        "an error event that is not JSON",
        sent(b"event: error\ndata: boom\n\n"),
        poll=prediction("processing"),
        expected=Error("ModelError", "boom"),
    ),
    stream(
        "done-canceled",
        "a done event with the reason canceled",
        sent(FIRST, done("canceled")),
        poll=prediction("canceled"),
        expected=Error("PredictionCanceled", "p1|cancel"),
    ),
    stream(
        "done-error",
        "a done event with the reason error",
        sent(FIRST, done("error")),
        poll=prediction("failed", error="boom"),
        expected=Error("ModelError", "boom"),
    ),
    stream(
        "done-garbage",
        "a done event that is not JSON",
        sent(numbered(*PARTS), b"event: done\ndata: {{{\n\n"),
    ),
    stream(
        "after-done",
        "events after the done event",
        sent(numbered(*PARTS), done(), numbered("more")),
    ),
    stream(
        "unknown-event",
        "an unknown event",
        sent(numbered("a"), b"event: usage\ndata: {}\n\n", numbered(" b", " c"), done()),
    ),
    stream(
        "endless-line",
        "an endless line",
        flood(HEAD + b"data: ", b"x" * 1_000_000, 300),
        expected=Error("EventTooLarge", "67108864|larger"),
        grows=True,
    ),
    stream(
        "endless-name",
        "an endless event name",
        flood(HEAD + b"event: ", b"x" * 1_000_000, 300),
        expected=Error("EventTooLarge", "67108864|larger"),
        grows=True,
    ),
    stream(
        "endless-event",
        "an event of endless lines",
        flood(HEAD, b"data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" * 20_000, 300),
        expected=Error("EventTooLarge", "67108864|larger"),
        grows=True,
    ),
    stream(
        "large-event",
        "an event of 10 MB",
        sent(numbered(BIG), done()),
        operation="stream length",
        expected=Value([len(BIG), hashlib.sha256(BIG.encode()).hexdigest()[:12]]),
    ),
    stream(
        "nul", "NUL bytes", sent(numbered("a\0b"), b"id: \0\n\n", done()), expected=Value("a\0b")
    ),
    stream("bom", "a byte-order mark first", sent(b"\xef\xbb\xbf", numbered(*PARTS), done())),
    stream(
        "bad-utf-8",
        "bytes that are not UTF-8",
        sent(b"event: output\ndata: a\xff\n\n", done()),
        expected=Value("a\ufffd"),
    ),
    stream(
        "cr", "lines that end in CR alone", sent((numbered(*PARTS) + done()).replace(b"\n", b"\r"))
    ),
    stream(
        "crlf-split",
        "CRLF in chunks of one byte",
        cut(
            CHUNKED
            + b"".join(
                b"1\r\n%c\r\n" % each
                for each in (numbered(*PARTS) + done()).replace(b"\n", b"\r\n")
            )
            + b"0\r\n\r\n",
            end=None,
        ),
    ),
    stream(
        "unicode-lines",
        "Unicode line separators, which do not end a line",
        sent(numbered("a\u2028b\x85c\x0bd"), done()),
        expected=Value("a\u2028b\x85c\x0bd"),
    ),
    stream(
        "retry-forever",
        "a reconnection time of a year, then a close",
        sent(b"retry: 31536000000\n\n", FIRST),
        sent(numbered(*PARTS), done()),
        lasts=(0, 4),
    ),
    stream(
        "gzip",
        "events in gzip",
        reply(
            gzip.compress(numbered(*PARTS) + done()),
            kind="text/event-stream",
            headers="Content-Encoding: gzip\r\n",
        ),
    ),
    stream(
        "bad-chunk",
        "an invalid chunk size",
        cut(CHUNKED + b"zz\r\n" + numbered(*PARTS) + done(), end=None),
        cut(GOOD, end=None),
    ),
    stream(
        "silent",
        "the stream falls silent, and the prediction has succeeded",
        cut(HEAD + FIRST, end=until_left),
        options={**FAST, "timeout": Timeout(idle=0.3)},
        lasts=(0.2, 4),
    ),
    Fault(
        "stream-without-url",
        "a prediction without a stream URL",
        reply(prediction("starting"), 201),
        Error("StreamError", "does not support streaming"),
        "stream",
    ),
    Fault(
        "stream-elsewhere",
        "a stream at another origin, opened without the token",
        elsewhere,
        operation="stream",
        check=lambda stage: len(stage.other.seen) == 1,
    ),
    Fault(
        "stream-at-file",
        "a stream with a file: URL",
        to("file:///etc/passwd"),
        Error("ReplicateError", "(?i)https|not fetched|url|file"),
        "stream",
    ),
    Fault(
        "stream-over-http",
        "a stream with an http: URL of another host",
        to("http://example.invalid/stream"),
        Error("ReplicateError", "not fetched"),
        "stream",
    ),
    Fault(
        "stream-at-nothing",
        "a stream URL that is not a URL",
        to("::::"),
        Error("ReplicateError", "(?i)url|::::"),
        "stream",
    ),
    Fault(
        "stream-of-number",
        "a number as the stream URL",
        to(7),
        Error("ReplicateError", "(?i)url|7|stream"),
        "stream",
    ),
]
